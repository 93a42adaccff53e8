"""Vectors of pixels in compiled loops: 32 neighbours of 16 bits, or 16 numbers of 32 bits.

A vector loaded from integer images holds 32 neighbouring pixels. What needs more than 16 bits is
worked out apart for the even and the odd ones of them, which costs a mask and a shift, no
shuffle. Compilers do not find this by themselves: they widen every pixel first. LLVM turns the
vectors into what registers the processor has.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, no_type_check

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model

LANES = 32
"""Pixels in one vector."""

_BYTE, _SHORT, _WORD = ir.IntType(8), ir.IntType(16), ir.IntType(32)
_KINDS = {
    "shorts": ir.VectorType(_SHORT, LANES),
    "words": ir.VectorType(_WORD, LANES // 2),
    "reals": ir.VectorType(ir.FloatType(), LANES // 2),
}


class Lanes(types.Type):
    """numba's type of a vector: 32 ``shorts``, or 16 ``words`` or ``reals``."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        super().__init__(name=f"Lanes({kind})")


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):
    @no_type_check
    def __init__(self, manager, lanes):
        super().__init__(manager, lanes, _KINDS[lanes.kind])


SHORTS, WORDS, REALS = Lanes("shorts"), Lanes("words"), Lanes("reals")


@no_type_check
def _call(builder, name, values, *more):
    """A vector instruction of LLVM, named for its type."""
    kind = values[0].type
    letter = "f" if isinstance(kind.element, ir.FloatType) else "i"
    bits = 16 if kind.count == LANES else 32
    arguments = [value.type for value in (*values, *more)]
    function = cgutils.get_or_insert_function(
        builder.module,
        ir.FunctionType(kind, arguments),
        f"llvm.{name}.v{kind.count}{letter}{bits}",
    )
    return builder.call(function, [*values, *more])


def _constant(kind: Any, value: int) -> Any:
    return ir.Constant(kind, [value] * kind.count)


def _of_one(result: Lanes | None, build: Callable[..., Any]) -> Any:
    """An intrinsic of one vector; ``result`` None for its kind."""

    @intrinsic
    @no_type_check
    def operation(context, one):
        def generate(context, builder, signature, values):
            return build(builder, *values)

        return (result or one)(one), generate

    return operation


def _of_two(build: Callable[..., Any]) -> Any:
    """An intrinsic of two vectors of one kind."""

    @intrinsic
    @no_type_check
    def operation(context, one, other):
        def generate(context, builder, signature, values):
            return build(builder, *values)

        return one(one, other), generate

    return operation


def _is_real(value: Any) -> bool:
    return isinstance(value.type.element, ir.FloatType)


@no_type_check
def _pixel(context, builder, kind, array, y, x):
    """Address of one pixel of a two-dimensional array, which may lie beyond its end."""
    data = context.make_array(kind)(context, builder, array)
    strides = cgutils.unpack_tuple(builder, data.strides)
    address = builder.ptrtoint(data.data, y.type)
    address = builder.add(address, builder.mul(y, strides[0]))
    address = builder.add(address, builder.mul(x, strides[1]))
    return builder.inttoptr(address, _BYTE.as_pointer())


@intrinsic
@no_type_check
def load(context, image, y, x):
    """Shorts: the pixels of a row from x on, of an image of uint8 or uint16."""

    def generate(context, builder, signature, values):
        image, y, x = values
        bits = _BYTE if signature.args[0].dtype.bitwidth == 8 else _SHORT
        kind = ir.VectorType(bits, LANES)
        y, x = (
            context.cast(builder, value, one, types.intp)
            for value, one in zip((y, x), signature.args[1:], strict=True)
        )
        place = _pixel(context, builder, signature.args[0], image, y, x)
        found = builder.load(builder.bitcast(place, kind.as_pointer()), align=1)
        return found if bits is _SHORT else builder.zext(found, _KINDS["shorts"])

    return SHORTS(image, y, x), generate


@intrinsic
@no_type_check
def ask(context, image, y, x):
    """Fetch the pixels from (y, x) on into the cache; beyond the end, nothing happens."""

    def generate(context, builder, signature, values):
        image, y, x = values
        y, x = (
            context.cast(builder, value, one, types.intp)
            for value, one in zip((y, x), signature.args[1:], strict=True)
        )
        place = _pixel(context, builder, signature.args[0], image, y, x)
        kind = ir.FunctionType(ir.VoidType(), [place.type, _WORD, _WORD, _WORD])
        call = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        constants = [ir.Constant(_WORD, value) for value in (0, 2, 1)]  # to read; L2; data
        builder.call(call, [place, *constants])
        return context.get_dummy_value()

    return types.void(image, y, x), generate


@intrinsic
@no_type_check
def no_words(context):
    """Sixteen times 0."""
    return WORDS(), lambda context, builder, signature, values: ir.Constant(_KINDS["words"], None)


@intrinsic
@no_type_check
def no_reals(context):
    """Sixteen times 0.0."""
    return REALS(), lambda context, builder, signature, values: ir.Constant(_KINDS["reals"], None)


pairs = _of_one(WORDS, lambda builder, one: builder.bitcast(one, _KINDS["words"]))
odd = _of_one(
    WORDS,
    lambda builder, one: builder.lshr(
        builder.bitcast(one, _KINDS["words"]), _constant(_KINDS["words"], 16)
    ),
)
even = _of_one(
    WORDS,
    lambda builder, one: builder.and_(
        builder.bitcast(one, _KINDS["words"]), _constant(_KINDS["words"], 0xFFFF)
    ),
)
small_even = _of_one(
    WORDS,
    lambda builder, one: builder.and_(
        builder.bitcast(one, _KINDS["words"]), _constant(_KINDS["words"], 0x7FFF)
    ),
)
small_odd = _of_one(
    WORDS,
    lambda builder, one: builder.and_(
        builder.lshr(builder.bitcast(one, _KINDS["words"]), _constant(_KINDS["words"], 16)),
        _constant(_KINDS["words"], 0x7FFF),
    ),
)
low_square = _of_one(None, lambda builder, one: builder.mul(one, one))


def _high_square(builder: Any, one: Any) -> Any:
    wide = ir.VectorType(_WORD, LANES)
    value = builder.zext(one, wide)
    square = builder.lshr(builder.mul(value, value), _constant(wide, 16))
    return builder.trunc(square, one.type)


high_square = _of_one(None, _high_square)
up = _of_one(None, lambda builder, one: builder.shl(one, _constant(one.type, 16)))
reals = _of_one(REALS, lambda builder, one: builder.sitofp(one, _KINDS["reals"]))
modulus = _of_one(
    None, lambda builder, one: _call(builder, "abs", [one], ir.Constant(ir.IntType(1), 0))
)
plus = _of_two(
    lambda builder, one, other: (
        builder.fadd(one, other, flags=["contract"]) if _is_real(one) else builder.add(one, other)
    ),
)
minus = _of_two(
    lambda builder, one, other: (
        builder.fsub(one, other, flags=["contract"]) if _is_real(one) else builder.sub(one, other)
    ),
)
times = _of_two(
    lambda builder, one, other: (
        builder.fmul(one, other, flags=["contract"]) if _is_real(one) else builder.mul(one, other)
    ),
)
gap = _of_two(
    lambda builder, one, other: builder.sub(
        _call(builder, "umax", [one, other]), _call(builder, "umin", [one, other])
    ),
)


@no_type_check
def _add_to(context, builder, acc, kinds, place, numbers):
    """Add a vector to accumulators from (k, x) on."""
    k, x = (
        context.cast(builder, value, one, types.intp)
        for value, one in zip(place, kinds[1:3], strict=True)
    )
    first = _pixel(context, builder, kinds[0], acc, k, x)
    first = builder.bitcast(first, numbers.type.as_pointer())
    before = builder.load(first, align=4)
    after = (builder.fadd if _is_real(numbers) else builder.add)(before, numbers)
    builder.store(after, first, align=4)
    return context.get_dummy_value()


@intrinsic
@no_type_check
def deposit(context, acc, k, x, evens, odds):
    """Add numbers of even and odd columns to row k of the accumulators, from x on."""

    def generate(context, builder, signature, values):
        acc, k, x, evens, odds = values
        order = [half + LANES // 2 * side for half in range(LANES // 2) for side in (0, 1)]
        mask = ir.Constant(ir.VectorType(_WORD, LANES), order)
        numbers = builder.shuffle_vector(evens, odds, mask)
        return _add_to(context, builder, acc, signature.args, (k, x), numbers)

    return types.void(acc, k, x, evens, odds), generate


@intrinsic
@no_type_check
def deposit_row(context, acc, k, x, numbers):
    """Add sixteen neighbours to row k of the accumulators, from x on."""

    def generate(context, builder, signature, values):
        acc, k, x, numbers = values
        return _add_to(context, builder, acc, signature.args, (k, x), numbers)

    return types.void(acc, k, x, numbers), generate


@intrinsic
@no_type_check
def sum_few(context, row, x, stop):
    """Sum of the next sixteen numbers of a row from x on, but none from ``stop`` on.

    Float64, or uint64 of numbers without sign. The row has sixteen numbers more than are summed.
    """
    number = row.dtype
    whole = isinstance(number, types.Integer)
    count = LANES // 2

    def generate(context, builder, signature, values):
        row, x, stop = values
        array = context.make_array(signature.args[0])(context, builder, row)
        first = builder.gep(array.data, [x])
        kind = ir.VectorType(context.get_data_type(number), count)
        found = builder.load(builder.bitcast(first, kind.as_pointer()), align=4)
        places = ir.VectorType(x.type, count)
        left = builder.insert_element(ir.Constant(places, None), builder.sub(stop, x), _WORD(0))
        nought = ir.Constant(ir.VectorType(_WORD, count), None)
        left = builder.shuffle_vector(left, left, nought)
        counted = builder.icmp_signed("<", ir.Constant(places, list(range(count))), left)
        found = builder.select(counted, found, ir.Constant(kind, None))
        part = ir.IntType(64) if whole else ir.DoubleType()
        wide = ir.VectorType(part, count)
        if whole:
            found, name, start = builder.zext(found, wide), "add.v16i64", []
        else:
            found = found if kind == wide else builder.fpext(found, wide)
            name, start = "fadd.v16f64", [ir.Constant(part, 0.0)]
        shape = ir.FunctionType(part, [value.type for value in (*start, found)])
        total = cgutils.get_or_insert_function(builder.module, shape, f"llvm.vector.reduce.{name}")
        return builder.call(total, [*start, found], fastmath=() if whole else ("reassoc",))

    result = types.uint64 if whole else types.float64
    return result(row, types.intp, types.intp), generate
