"""Features of pixels, added row by row: the inner loops of the fast focus maps.

Each function adds image rows ``y0`` up to ``y1``, from feature column ``x0`` on, into accumulators
``acc`` (2 k, x), two rows for each feature k. Differences of integers are exact in 32 bits.
"""

from __future__ import annotations

from typing import no_type_check

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic, overload

inlined = njit(inline="always")

AHEAD = 24
"""Rows between one that is added up and the one that is fetched from memory meanwhile."""


@intrinsic
@no_type_check
def _prefetch(context, rows, y, x):
    """Ask for the cache line of one pixel."""

    def generate(context, builder, signature, values):
        array = context.make_array(rows)(context, builder, values[0])
        place = cgutils.get_item_pointer(context, builder, rows, array, values[1:])
        byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        call = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        constants = [ir.Constant(number, value) for value in (0, 2, 1)]  # to read; L2; data
        builder.call(call, [builder.bitcast(place, byte), *constants])
        return context.get_dummy_value()

    return types.void(rows, y, x), generate


@inlined
@no_type_check
def fetch(image, y):
    """Ask for a row that will be read soon: memory works while the rows before are added up."""
    if y < image.shape[0]:
        for x in range(0, image.shape[1], 64 // image.itemsize):
            _prefetch(image, y, x)


@no_type_check
def widen(value):
    """An integer as int32, a float as float64."""
    raise NotImplementedError


@overload(widen, inline="always")
@no_type_check
def _widen(value):
    if isinstance(value, types.Integer):
        return lambda value: np.int32(value)  # noqa: PLW0108  (numba inlines functions, not types)
    return lambda value: np.float64(value)  # noqa: PLW0108


@intrinsic
@no_type_check
def plus(context, one, other):
    """Sum of two widened values. Numba's own would go to 64 bits, and halve the vectors."""

    def generate(context, builder, signature, values):
        is_whole = isinstance(signature.return_type, types.Integer)
        return (builder.add if is_whole else builder.fadd)(*values)

    return one(one, one), generate


@intrinsic
@no_type_check
def minus(context, one, other):
    """Difference of two widened values, in 32 bits for integers."""

    def generate(context, builder, signature, values):
        is_whole = isinstance(signature.return_type, types.Integer)
        return (builder.sub if is_whole else builder.fsub)(*values)

    return one(one, one), generate


@inlined
@no_type_check
def twice(value):
    """Two times a widened value."""
    return plus(value, value)


@no_type_check
def add_value(low, high, x, value):
    """Add a value; not negative and below 2^20 where sums are integers."""
    raise NotImplementedError


@overload(add_value, inline="always")
@no_type_check
def _add_value(low, high, x, value):
    number = np.dtype(str(low.dtype)).type

    def add(low, high, x, value):
        low[x] += number(value)

    return add


@no_type_check
def add_product(low, high, x, one, other):
    """Add a product; below 2^32 where sums are uint32, and then in two halves."""
    raise NotImplementedError


@overload(add_product, inline="always")
@no_type_check
def _add_product(low, high, x, one, other):
    number = np.dtype(str(low.dtype)).type
    if low.dtype == types.uint32:

        def add(low, high, x, one, other):
            product = np.uint32(one) * np.uint32(other)
            product = np.uint32(product)
            low[x] += product & np.uint32(0xFFFF)
            high[x] += product >> np.uint32(16)
    elif low.dtype == types.int32:

        def add(low, high, x, one, other):
            product = np.uint32(one) * np.uint32(other)
            low[x] += np.int32(product)
    else:

        def add(low, high, x, one, other):
            low[x] += number(one) * number(other)

    return add


@inlined
@no_type_check
def add_brenner(image, y0, y1, acc, x0):
    """(I(x+2) - I(x))^2."""
    low, high = acc[0], acc[1]
    for y in range(y0, y1):
        row = image[y]
        fetch(image, y + AHEAD)
        for x in range(x0, row.size - 2):
            step = minus(widen(row[x + 2]), widen(row[x]))
            add_product(low, high, x, step, step)


@inlined
@no_type_check
def add_squared_steps(image, y0, y1, acc, x0):
    """(I(x+1) - I(x))^2 and (I(x+2) - I(x))^2."""
    low, high, low_2, high_2 = acc[0], acc[1], acc[2], acc[3]
    for y in range(y0, y1):
        row = image[y]
        fetch(image, y + AHEAD)
        for x in range(x0, row.size - 2):
            step = minus(widen(row[x + 1]), widen(row[x]))
            add_product(low, high, x, step, step)
            leap = minus(widen(row[x + 2]), widen(row[x]))
            add_product(low_2, high_2, x, leap, leap)
        x = row.size - 2
        if x >= x0:
            step = minus(widen(row[x + 1]), widen(row[x]))
            add_product(low, high, x, step, step)


@inlined
@no_type_check
def add_value_and_square(image, y0, y1, acc, x0):
    """I and I^2."""
    low, high, low_2, high_2 = acc[0], acc[1], acc[2], acc[3]
    for y in range(y0, y1):
        row = image[y]
        fetch(image, y + AHEAD)
        for x in range(x0, row.size):
            value = widen(row[x])
            add_value(low, high, x, value)
            add_product(low_2, high_2, x, value, value)


@inlined
@no_type_check
def add_values_and_step(image, y0, y1, acc, x0):
    """I, I^2 and (I(x+1) - I(x))^2."""
    low, high, low_2, high_2, low_3, high_3 = acc[0], acc[1], acc[2], acc[3], acc[4], acc[5]
    for y in range(y0, y1):
        row = image[y]
        fetch(image, y + AHEAD)
        for x in range(x0, row.size - 1):
            value = widen(row[x])
            add_value(low, high, x, value)
            add_product(low_2, high_2, x, value, value)
            step = minus(widen(row[x + 1]), value)
            add_product(low_3, high_3, x, step, step)
        x = row.size - 1
        value = widen(row[x])
        add_value(low, high, x, value)
        add_product(low_2, high_2, x, value, value)


@inlined
@no_type_check
def add_absolute_steps(image, y0, y1, acc, x0):
    """|I(x+1) - I(x)| and |I(y+1) - I(y)|."""
    low, high, low_2, high_2 = acc[0], acc[1], acc[2], acc[3]
    for y in range(y0, y1):
        row = image[y]
        fetch(image, y + AHEAD)
        below = image[min(y + 1, image.shape[0] - 1)]
        for x in range(x0, row.size - 1):
            here = widen(row[x])
            add_value(low, high, x, abs(minus(widen(row[x + 1]), here)))
            add_value(low_2, high_2, x, abs(minus(widen(below[x]), here)))
        x = row.size - 1
        add_value(low_2, high_2, x, abs(minus(widen(below[x]), widen(row[x]))))


@inlined
@no_type_check
def add_product_of_steps(image, y0, y1, acc, x0):
    """|I(x+1) - I(x)| * |I(y+1) - I(y)|."""
    low, high = acc[0], acc[1]
    for y in range(y0, y1):
        row, below = image[y], image[y + 1]
        fetch(image, y + AHEAD)
        for x in range(x0, row.size - 1):
            here = widen(row[x])
            along_x = abs(minus(widen(row[x + 1]), here))
            along_y = abs(minus(widen(below[x]), here))
            add_product(low, high, x, along_x, along_y)


@inlined
@no_type_check
def _slopes(a, b, c, x):
    ends = minus(widen(c[x + 2]), widen(a[x]))
    cross = minus(widen(c[x]), widen(a[x + 2]))
    along_x = plus(minus(ends, cross), twice(minus(widen(b[x + 2]), widen(b[x]))))
    along_y = plus(plus(ends, cross), twice(minus(widen(c[x + 1]), widen(a[x + 1]))))
    return along_x, along_y


@inlined
@no_type_check
def add_sobel_energy(image, y0, y1, acc, x0):
    """Gx^2 + Gy^2 of the 3 x 3 Sobel gradient."""
    low, high = acc[0], acc[1]
    for y in range(y0, y1):
        a, b, c = image[y], image[y + 1], image[y + 2]
        fetch(image, y + AHEAD)
        for x in range(x0, a.size - 2):
            along_x, along_y = _slopes(a, b, c, x)
            add_product(low, high, x, along_x, along_x)
            add_product(low, high, x, along_y, along_y)


@inlined
@no_type_check
def add_sobel_magnitude(image, y0, y1, acc, x0):
    """|G| and |G|^2 of the 3 x 3 Sobel gradient."""
    total, squares = acc[0], acc[2]
    number = acc.dtype.type
    for y in range(y0, y1):
        a, b, c = image[y], image[y + 1], image[y + 2]
        fetch(image, y + AHEAD)
        for x in range(x0, a.size - 2):
            along_x, along_y = _slopes(a, b, c, x)
            energy = number(along_x) * number(along_x) + number(along_y) * number(along_y)
            total[x] += np.sqrt(energy)
            squares[x] += energy


@inlined
@no_type_check
def _bend(a, b, c, x):
    along_x = plus(widen(b[x]), widen(b[x + 2]))
    along_y = plus(widen(a[x + 1]), widen(c[x + 1]))
    return minus(plus(along_x, along_y), twice(twice(widen(b[x + 1]))))


@inlined
@no_type_check
def add_bend_modulus(image, y0, y1, acc, x0):
    """|L| of the five-point Laplacian."""
    low, high = acc[0], acc[1]
    for y in range(y0, y1):
        a, b, c = image[y], image[y + 1], image[y + 2]
        fetch(image, y + AHEAD)
        for x in range(x0, a.size - 2):
            add_value(low, high, x, abs(_bend(a, b, c, x)))


@inlined
@no_type_check
def add_bend_energy(image, y0, y1, acc, x0):
    """L^2 of the five-point Laplacian."""
    low, high = acc[0], acc[1]
    for y in range(y0, y1):
        a, b, c = image[y], image[y + 1], image[y + 2]
        fetch(image, y + AHEAD)
        for x in range(x0, a.size - 2):
            bend = _bend(a, b, c, x)
            add_product(low, high, x, bend, bend)


@inlined
@no_type_check
def add_bend_and_square(image, y0, y1, acc, x0):
    """L and L^2 of the five-point Laplacian."""
    low, high, low_2, high_2 = acc[0], acc[1], acc[2], acc[3]
    for y in range(y0, y1):
        a, b, c = image[y], image[y + 1], image[y + 2]
        fetch(image, y + AHEAD)
        for x in range(x0, a.size - 2):
            bend = _bend(a, b, c, x)
            add_value(low, high, x, bend)
            add_product(low_2, high_2, x, bend, bend)


@inlined
@no_type_check
def _bent(before, middle, after):
    return abs(minus(twice(widen(middle)), plus(widen(before), widen(after))))


@inlined
@no_type_check
def add_axes_moduli(image, y0, y1, acc, x0):
    """|2 I - I(x-1) - I(x+1)| + |2 I - I(y-1) - I(y+1)|."""
    low, high = acc[0], acc[1]
    for y in range(y0, y1):
        a, b, c = image[y], image[y + 1], image[y + 2]
        fetch(image, y + AHEAD)
        for x in range(x0, a.size - 2):
            add_value(low, high, x, _bent(b[x], b[x + 1], b[x + 2]))
            add_value(low, high, x, _bent(a[x + 1], b[x + 1], c[x + 1]))


@inlined
@no_type_check
def add_axes_and_diagonals(image, y0, y1, acc, x0):
    """|2 I - I(x-1) - I(x+1)| + |2 I - I(y-1) - I(y+1)|, and the same along both diagonals."""
    low, high, low_2, high_2 = acc[0], acc[1], acc[2], acc[3]
    for y in range(y0, y1):
        a, b, c = image[y], image[y + 1], image[y + 2]
        fetch(image, y + AHEAD)
        for x in range(x0, a.size - 2):
            add_value(low, high, x, _bent(b[x], b[x + 1], b[x + 2]))
            add_value(low, high, x, _bent(a[x + 1], b[x + 1], c[x + 1]))
            add_value(low_2, high_2, x, _bent(a[x], b[x + 1], c[x + 2]))
            add_value(low_2, high_2, x, _bent(c[x], b[x + 1], a[x + 2]))


@inlined
@no_type_check
def add_haar_energies(image, y0, y1, acc, x0):
    """Four times the energy of the three Haar details, and of the smooth part, of 2 x 2 blocks."""
    high, low = acc[0], acc[2]
    number = acc.dtype.type
    for j in range(y0, y1):
        even, odd = image[2 * j], image[2 * j + 1]
        fetch(image, 2 * j + AHEAD)
        fetch(image, 2 * j + 1 + AHEAD)
        for i in range(x0, even.size // 2):
            a, b = widen(even[2 * i]), widen(even[2 * i + 1])
            c, d = widen(odd[2 * i]), widen(odd[2 * i + 1])
            fall, rise = minus(a, d), minus(b, c)
            down, across = number(plus(fall, rise)), number(minus(fall, rise))
            upper, lower = plus(a, d), plus(b, c)
            twist, smooth = number(minus(upper, lower)), number(plus(upper, lower))
            high[i] += down * down + across * across + twist * twist
            low[i] += smooth * smooth
