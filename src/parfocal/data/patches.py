"""Patches of short stacks, each with the defocus of its images: a torch Dataset."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from parfocal.core.errors import InputError
from parfocal.core.results import TileFocus
from parfocal.data.stacks import LabelledStack

SPACINGS = (0.4, 2.5)
"""Distances of the planes of a pair that tell something, in effective depths of field."""
REACH = 7.0
"""Largest defocus of a pair's middle, likewise."""
LEAST_VOTE = 0.05
"""Share of the loudest tile's say below which a tile is background."""


class Patch(NamedTuple):
    """Counts of a few images in order of rising z, defocus of each, and number of their stack."""

    images: Float[Tensor, "n y x"]
    defocus_um: Float[Tensor, " n"]
    stack: int


class ShortStack(NamedTuple):
    """Where a patch lies: number of the stack, planes by their place in rising z, and corner."""

    stack: int
    planes: tuple[int, ...]
    top: int
    left: int


def useful_pairs(
    z_um: NDArray[np.float64],
    focus_um: float,
    *,
    depth_um: float,
    reach: float = REACH,
    spacings: tuple[float, float] = SPACINGS,
) -> list[tuple[int, int]]:
    """Pairs of planes at distances and defocus that a pair predictor is made for.

    Parameters
    ----------
    z_um
        Of the planes, rising.
    focus_um
        z of best focus.
    depth_um
        Effective depth of field, the unit of ``reach`` and ``spacings``.

    Examples
    --------
    >>> useful_pairs(np.array([0.0, 1.0, 3.0, 12.0]), 2.0, depth_um=3.0)
    [(0, 2), (1, 2)]
    """
    least, most = (spacing * depth_um for spacing in spacings)
    pairs = []
    for first, low in enumerate(z_um):
        for second in range(first + 1, len(z_um)):
            middle = (low + z_um[second]) / 2 - focus_um
            if least <= z_um[second] - low <= most and abs(middle) <= reach * depth_um:
                pairs.append((first, second))
    return pairs


def patch_corners(size_px: int, side_px: int) -> list[int]:
    """Corners of patches that overlap by half, the last flush with the edge.

    Examples
    --------
    >>> patch_corners(250, 100), patch_corners(100, 100)
    ([0, 50, 100, 150], [0])
    """
    last = size_px - side_px
    steps = -(-last // max(1, side_px // 2))
    return [round(step * last / max(1, steps)) for step in range(steps + 1)]


class ShortStackPatches(Dataset[Patch]):
    """Every patch of every short stack that was named.

    Patches overlap by half. Where a stack says which tiles of the field hold something, patches
    that hold the middle of none are left out.

    Parameters
    ----------
    stacks
        Where images and labels come from; nothing is read before it is asked for.
    planes
        For each stack its short stacks, as planes by their place in rising z.
    sides_px
        For each stack the side of its patches.

    Raises
    ------
    InputError
        If the three are of different lengths, a stack has no short stack, or a field is smaller
        than its patches.

    Examples
    --------
    >>> from parfocal.core.setup import OpticalSetup
    >>> from parfocal.core.stack import FocalStack
    >>> setup = OpticalSetup(na=0.5, wavelength_nm=500, pixel_um=0.5)
    >>> stack = FocalStack.of(np.zeros((3, 64, 96)), z_step_um=2.0, setup=setup)
    >>> known = LabelledStack(stack=stack, focus_um=2.0, interval_um=(1.0, 3.0), specimen="a")
    >>> patches = ShortStackPatches([known], planes=[[(0, 1), (1, 2)]], sides_px=[64])
    >>> len(patches), patches[2].images.shape, patches[2].defocus_um
    (4, torch.Size([2, 64, 64]), tensor([0., 2.]))
    """

    def __init__(
        self,
        stacks: Sequence[LabelledStack],
        *,
        planes: Sequence[Sequence[tuple[int, ...]]],
        sides_px: Sequence[int],
    ) -> None:
        if not len(stacks) == len(planes) == len(sides_px) or not stacks:
            raise InputError(
                f"{len(stacks)} stacks, planes of {len(planes)} and sides of {len(sides_px)} were "
                "given: give as many of each, at least one."
            )
        self.stacks, self.planes, self.sides_px = tuple(stacks), tuple(planes), tuple(sides_px)
        self.corners = [_corners(known, side) for known, side in zip(stacks, sides_px, strict=True)]
        for known, short in zip(stacks, planes, strict=True):
            if not short:
                raise InputError(f"{known.name}: no short stack of it was named.")
        sizes = [len(p) * len(c) for p, c in zip(planes, self.corners, strict=True)]
        self._ends = list(accumulate(sizes))

    def __len__(self) -> int:
        return self._ends[-1]

    def items_of(self, stack: int) -> range:
        """Numbers of the patches of one stack."""
        return range(self._ends[stack - 1] if stack else 0, self._ends[stack])

    def place(self, item: int) -> ShortStack:
        """Where a patch lies."""
        if not 0 <= item < len(self):
            raise IndexError(f"patch {item} of {len(self)}")
        stack = bisect_right(self._ends, item)
        number, corner = divmod(item - self.items_of(stack).start, len(self.corners[stack]))
        return ShortStack(stack, tuple(self.planes[stack][number]), *self.corners[stack][corner])

    def __getitem__(self, item: int) -> Patch:
        at = self.place(item)
        known, side = self.stacks[at.stack], self.sides_px[at.stack]
        rows, columns = slice(at.top, at.top + side), slice(at.left, at.left + side)
        z_um = torch.from_numpy(known.z_um[list(at.planes)] - known.focus_um)
        return Patch(known.read(at.planes, rows, columns), z_um.float(), at.stack)


def _corners(known: LabelledStack, side_px: int) -> list[tuple[int, int]]:
    """Corners (top, left) of the patches of a field that hold something."""
    _, size_y, size_x = known.stack.shape
    if side_px > min(size_y, size_x):
        raise InputError(
            f"{known.name}: patches of {side_px} px do not fit into a field of {size_y} x "
            f"{size_x} px."
        )
    every = [(y, x) for y in patch_corners(size_y, side_px) for x in patch_corners(size_x, side_px)]
    if known.tiles is None:
        return every
    middles = _loud_middles(known.tiles, (size_y, size_x))
    busy = [
        (top, left)
        for top, left in every
        if any(top <= y < top + side_px and left <= x < left + side_px for y, x in middles)
    ]
    return busy or every


def _loud_middles(tiles: TileFocus, sizes: tuple[int, int]) -> list[tuple[float, float]]:
    """Middles (y, x) of the tiles with a say."""
    rows, columns = tiles.weight.shape
    return [
        ((row + 0.5) * sizes[0] / rows, (column + 0.5) * sizes[1] / columns)
        for row in range(rows)
        for column in range(columns)
        if tiles.weight[row, column] > LEAST_VOTE
    ]
