"""Where focus lies in a user's stacks, by their own focus curves: labels to learn from."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import torch

from parfocal.core.errors import InputError, ParfocalError
from parfocal.core.stack import FocalStack
from parfocal.data import LabelledStack, joined_specimens, plane_marks, useful_pairs
from parfocal.io.finding import StackSource
from parfocal.predict.checks import effective_depth_um, refuse_optics
from parfocal.predict.pairs import resampling
from parfocal.score.plane import best_focus

WIDEST_LABEL = 1.0
"""Half width of the interval of a label, in effective depths of field, beyond which it is vague."""
LEAST_SIDE_PX = 64
"""Smallest side of a field after resampling: one patch."""
LEAST_PLANES = 5
KNOWN_FOCUS, KNOWN_SPECIMEN = "focus_um", "specimen"
"""What a manifest may say of a stack."""


@dataclass(frozen=True)
class LeftOut:
    """A stack that nothing is learnt from, and why; a fault is one that cannot be read."""

    name: str
    reason: str
    is_fault: bool = False


@dataclass(frozen=True, eq=False)
class LabelledStacks:
    """Stacks whose focus is known, a mark for each of their planes, and those left out."""

    stacks: tuple[LabelledStack, ...]
    marks: tuple[frozenset[bytes], ...]
    left_out: tuple[LeftOut, ...]


def label_stacks(
    sources: Iterable[StackSource],
    *,
    specimen: str | None = None,
    on_stack: Callable[[str], None] | None = None,
) -> LabelledStacks:
    """Open stacks and find their focus; what cannot be learnt from is left out with its reason.

    A manifest may say ``focus_um`` (else ``best_focus`` finds it) and ``specimen``. Without that,
    a specimen is a well where one is known, else a file or folder; stacks that share a plane are
    one specimen.

    Parameters
    ----------
    sources
        From ``find_stacks``.
    specimen
        A regular expression that finds the specimen's name in the path of a stack; its first
        group, or the whole match.
    on_stack
        Called with the name of each stack before it is read.

    Raises
    ------
    InputError
        If the expression is none, or does not match a path.
    """
    pattern = _pattern(specimen)
    labelled: list[LabelledStack] = []
    left_out: list[LeftOut] = []
    for source in sources:
        if on_stack is not None:
            on_stack(source.name)
        shown = _specimen(source, pattern)
        try:
            stack = source.open()
        except (ParfocalError, OSError) as error:
            left_out.append(LeftOut(source.name, _reason(error), is_fault=True))
            continue
        try:
            labelled.append(label_stack(stack, specimen=shown, **_known(source)))
        except InputError as error:
            left_out.append(LeftOut(source.name, _reason(error)))
        except OSError as error:  # a damaged block shows only when it is read
            left_out.append(LeftOut(source.name, _reason(error), is_fault=True))
    marks = [plane_marks(known) for known in labelled]
    joined = joined_specimens([known.specimen for known in labelled], marks)
    stacks = [replace(known, specimen=name) for known, name in zip(labelled, joined, strict=True)]
    return LabelledStacks(tuple(stacks), tuple(marks), tuple(left_out))


def label_stack(
    stack: FocalStack, *, specimen: str, focus_um: float | None = None
) -> LabelledStack:
    """Find the focus of a stack, unless it is given, and see whether a pair network can learn.

    Raises
    ------
    InputError
        If not; the text says why.
    """
    if stack.setup is None:
        raise InputError("its optics are unknown: give --na, --wavelength-nm and --pixel-um.")
    depth_um = effective_depth_um(stack.setup)
    _require_useful(stack)
    if focus_um is not None:
        known = LabelledStack(
            stack=stack, focus_um=focus_um, interval_um=(focus_um, focus_um), specimen=specimen
        )
    else:
        best = best_focus(stack)
        if best.z_um is None or best.interval_um is None:
            raise InputError(f"its focus was not found ({best.status}): {best.reason}.")
        if best.modality != "intensity":
            raise InputError("it is a phase object, where the sign of the defocus would be wrong.")
        low, high = best.interval_um
        if high - low > 2 * WIDEST_LABEL * depth_um:
            raise InputError(
                f"its focus is too vague: {low:.3g} to {high:.3g} um, and one effective depth of "
                f"field is {depth_um:.3g} um."
            )
        known = LabelledStack(
            stack=stack, focus_um=best.z_um, interval_um=best.interval_um, specimen=specimen,
            label=f"best_focus by {best.measure}", tiles=best.tiles,
        )  # fmt: skip
    if not useful_pairs(known.z_um, known.focus_um, depth_um=depth_um):
        raise InputError(
            f"no two of its planes are {0.4 * depth_um:.3g} to {2.5 * depth_um:.3g} um apart and "
            f"near focus at {known.focus_um:.3g} um."
        )
    return known


def patch_side_px(known: LabelledStack) -> tuple[int, int]:
    """Side of a stack's patches in its own pixels, and after resampling."""
    share = resampling(known.setup)
    least = min(known.stack.shape[1:])
    side = min(128, int(least * share) // 32 * 32)
    return min(round(side / share), least), side


def _require_useful(stack: FocalStack) -> None:
    """Raise InputError for what can be known to be useless before it is read."""
    planes, size_y, size_x = stack.shape
    if planes < LEAST_PLANES:
        raise InputError(f"it has {planes} planes; {LEAST_PLANES} are the least to find focus in.")
    if stack.setup is None:
        return
    refusal = refuse_optics(torch.empty(2, size_y, size_x, device="meta"), None, stack.setup)
    if refusal is not None:
        raise InputError(f"{refusal[1]}.")
    side = min(size_y, size_x) * resampling(stack.setup)
    if side < LEAST_SIDE_PX:
        raise InputError(
            f"its field is {side:.0f} px wide at half a wavelength / NA; patches need "
            f"{LEAST_SIDE_PX}."
        )


def _pattern(text: str | None) -> re.Pattern[str] | None:
    if text is None:
        return None
    try:
        return re.compile(text)
    except re.error as error:
        raise InputError(f"--specimen {text!r} is no regular expression: {error}.") from error


def _specimen(source: StackSource, pattern: re.Pattern[str] | None) -> str:
    """What a stack shows, by a manifest, the user's expression, its well or its path."""
    if KNOWN_SPECIMEN in source.extra:
        return str(source.extra[KNOWN_SPECIMEN])
    path = _place(source)
    if pattern is not None:
        match = pattern.search(path)
        if match is None:
            raise InputError(
                f"--specimen {pattern.pattern!r} finds nothing in {path}; give an expression that "
                "matches every path."
            )
        return match[1] if pattern.groups and match[1] is not None else match[0]
    return f"{path} {source.well}" if source.well else path


def _place(source: StackSource) -> str:
    """The file of a stack, or the folder of its planes."""
    if not source.paths:
        return source.name
    path = source.paths[0].resolve()
    return (path if len(source.paths) == 1 else path.parent).as_posix()


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())


def _known(source: StackSource) -> dict[str, float]:
    given = source.extra.get(KNOWN_FOCUS)
    if given is None:
        return {}
    if not isinstance(given, (int, float)):
        raise InputError(f"its manifest says {KNOWN_FOCUS} = {given!r}, which is no number.")
    return {"focus_um": float(given)}
