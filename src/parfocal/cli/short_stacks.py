"""Which images of a stack a prediction is made from."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from parfocal.core.errors import InputError, MetadataError
from parfocal.core.setup import OpticalSetup
from parfocal.core.stack import FocalStack

WHOLE = 3
"""Planes up to which a stack is taken whole, as a short stack that was meant for this."""
EVEN = 0.05
"""Distances of neighbouring planes may differ by this share."""
BEST_SPACING, LEAST_SPACING, MOST_SPACING = 1.25, 0.3, 3.0
"""Distance of a pair that tells most, and the ends of what is tried, in effective depths."""


def chosen_planes(stack: FocalStack, asked: tuple[int, ...] | None) -> list[int]:
    """The planes to predict from, in order of rising stage z.

    Raises
    ------
    InputError
        If the stack has no such plane, or more planes than are taken unasked.
    """
    count = stack.shape[0]
    if asked is not None and any(plane >= count for plane in asked):
        raise InputError(f"has planes 0 to {count - 1}, and no plane {max(asked)} (--planes).")
    if asked == () and count > WHOLE:
        raise InputError(
            f"holds {count} planes: say which to predict from with --planes 3,5 or --planes all, "
            "or try every pair of them with --every-pair."
        )
    return sorted(asked or range(count), key=lambda plane: float(stack.z_um[plane]))


def spacing_of(stack: FocalStack, planes: Sequence[int]) -> float | None:
    """Distance of neighbouring planes in um; None for one plane.

    Raises
    ------
    InputError
        If they are not evenly spaced.
    """
    z_um = [float(stack.z_um[plane]) for plane in planes]
    steps = [after - before for before, after in pairwise(z_um)]
    if not steps:
        return None
    if max(steps) - min(steps) > EVEN * max(steps):
        listed = ", ".join(f"{step:.4g}" for step in steps[:6])
        raise InputError(
            f"the planes lie {listed} um apart, and a prediction needs even distances: choose "
            "others with --planes."
        )
    return sum(steps) / len(steps)


def every_pair(stack: FocalStack, depth_um: float, images: int = 2) -> list[list[int]]:
    """Each plane with the one above it at the distance that tells most; alone if ``images`` is 1.

    Examples
    --------
    >>> import numpy as np
    >>> every_pair(FocalStack.of(np.zeros((5, 8, 8)), z_step_um=1.0), depth_um=1.6)
    [[0, 2], [1, 3], [2, 4], [3, 4]]
    """
    order = sorted(range(stack.shape[0]), key=lambda plane: float(stack.z_um[plane]))
    if images == 1:
        return [[plane] for plane in order]
    pairs = []
    for number, first in enumerate(order):
        apart = {
            other: float(stack.z_um[other] - stack.z_um[first]) / depth_um
            for other in order[number + 1 :]
        }
        usable = {k: gap for k, gap in apart.items() if LEAST_SPACING <= gap <= MOST_SPACING}
        if usable:
            pairs.append([first, min(usable, key=lambda k: abs(usable[k] - BEST_SPACING))])
    if not pairs:
        raise InputError(
            f"no two planes lie {LEAST_SPACING * depth_um:.3g} to {MOST_SPACING * depth_um:.3g} um "
            "apart, as pairs must with these optics: take planes closer together, or further apart."
        )
    return pairs


def optics_of(stack: FocalStack) -> OpticalSetup:
    """The optics, or a MetadataError with the flags that give them."""
    if stack.setup is not None:
        return stack.setup
    told = [note for note in stack.notes if "optics" in note]
    missing = ["--na", "--wavelength-nm"] + (["--pixel-um"] if stack.pixel_um is None else [])
    raise MetadataError(
        "the optics are not known, and defocus in um needs them: give "
        f"{' and '.join([', '.join(missing[:-1]), missing[-1]])}"
        f"{f' ({told[0]})' if told else ''}."
    )
