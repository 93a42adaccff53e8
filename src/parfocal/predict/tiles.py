"""Images of any size, resampled a tile at a time: what one tile holds is the same in any tiling."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from parfocal.core.errors import InputError
from parfocal.core.shapes import as_float_tensor
from parfocal.nets.pair import REDUCTION_PX

REACH = 16
"""Resampled pixels from a point to the last that has a say in its value, on either side."""
KAISER = 5.0
TOGETHER = 64
"""Resampled pixels along an axis that one matrix makes."""


@dataclass(frozen=True)
class Axis:
    """One axis of an image: resampled, and divided into cells of ``REDUCTION_PX``.

    Parameters
    ----------
    size_px
        Pixels as they came.
    share
        Resampled pixels for each of them, at most 1.

    Examples
    --------
    >>> axis = Axis(1000, 0.5)
    >>> axis.new_px, axis.cells, axis.offset_px, axis.edge_px(0)
    (500, 15, 10, 20)
    """

    size_px: int
    share: float

    @property
    def new_px(self) -> int:
        """Resampled pixels."""
        return max(1, round(self.size_px * self.share))

    @property
    def pitch(self) -> float:
        """Pixels as they came for each resampled one."""
        return self.size_px / self.new_px

    @property
    def cells(self) -> int:
        """Whole cells; what is left over lies on both sides."""
        return self.new_px // REDUCTION_PX

    @property
    def offset_px(self) -> int:
        """Resampled pixels before the first cell."""
        return (self.new_px - self.cells * REDUCTION_PX) // 2

    def edge_px(self, cell: int) -> int:
        """First of the pixels as they came that belongs to a cell."""
        return round((self.offset_px + cell * REDUCTION_PX) * self.pitch)

    def place_px(self, cell: float) -> float:
        """Where the edge before a cell (or a part of one) lies among pixel centres 0, 1, ..."""
        return (self.offset_px + cell * REDUCTION_PX) * self.pitch - 0.5

    def needs(self, start: int, stop: int) -> tuple[int, int]:
        """Pixels as they came that resampled ones from ``start`` to ``stop`` are made from."""
        if self.new_px == self.size_px:
            return start, stop
        taps, _ = self._taps(torch.tensor([start, stop - 1]))
        inside = torch.cat([_mirrored(taps, self.size_px), taps.clamp(0, self.size_px - 1)])
        return int(inside.min()), int(inside.max()) + 1

    def resample(
        self, pixels: Float[Tensor, "... x"], *, first_px: int, span: tuple[int, int]
    ) -> Float[Tensor, "... u"]:
        """Resample the last axis by a windowed sinc; its pixels begin with ``first_px``.

        Edges are mirrors, as they are to a cosine transform.
        """
        if self.new_px == self.size_px:
            return pixels
        parts = []
        for start in range(span[0], span[1], TOGETHER):
            stop = min(start + TOGETHER, span[1])
            low, high = self.needs(start, stop)
            taps, weights = self._taps(torch.arange(start, stop))
            matrix = torch.zeros(stop - start, high - low, dtype=torch.float64)
            matrix.scatter_add_(1, _mirrored(taps, self.size_px) - low, weights)
            parts.append(pixels[..., low - first_px : high - first_px] @ matrix.T.to(pixels))
        return torch.cat(parts, -1)

    def _taps(self, places: Tensor) -> tuple[Tensor, Tensor]:
        """Pixels around resampled ones, as (place, tap), and their weights."""
        middles = (places[:, None].double() + 0.5) * self.pitch - 0.5
        reach = math.ceil(REACH * self.pitch)
        taps = middles.floor().long() + torch.arange(-reach, reach + 2)
        away = (taps - middles) / self.pitch
        bell = torch.special.i0(KAISER * (1 - (away / REACH).square()).clamp(min=0).sqrt())
        weights = torch.sinc(away) * bell * (away.abs() < REACH)
        return taps, weights / weights.sum(1, keepdim=True)


def _mirrored(taps: Tensor, size: int) -> Tensor:
    """Places beyond an edge as those that a mirror there would show."""
    around = taps.remainder(2 * size)
    return torch.where(around < size, around, 2 * size - 1 - around)


@dataclass(frozen=True)
class Block:
    """Cells from ``top`` to ``bottom`` and from ``left`` to ``right``."""

    top: int
    bottom: int
    left: int
    right: int

    def parts(self, cells: int) -> Iterator[Block]:
        """Parts of at most so many cells along a side, which share none."""
        for top in range(self.top, self.bottom, cells):
            for left in range(self.left, self.right, cells):
                bottom, right = min(top + cells, self.bottom), min(left + cells, self.right)
                yield Block(top, bottom, left, right)

    def grown(self, by: int, rows: Axis, columns: Axis) -> Block:
        """With so many more cells on each side, where the image has them."""
        return Block(
            max(0, self.top - by),
            min(rows.cells, self.bottom + by),
            max(0, self.left - by),
            min(columns.cells, self.right + by),
        )


@dataclass(frozen=True, eq=False)
class Pixels:
    """Images (n, y, x) of any kind, read a part at a time.

    Parameters
    ----------
    images
        NumPy, torch, dask, xarray: what has a shape and can be sliced. One image is (y, x) too.
    share
        Resampled pixels for each pixel along either axis.
    device
        Where the parts go.
    """

    images: Any
    share: float
    device: torch.device
    _whole: dict[int, Tensor] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """Number of images."""
        return 1 if self.images.ndim == 2 else int(self.images.shape[0])

    @cached_property
    def rows(self) -> Axis:
        """The axis y."""
        return Axis(int(self.images.shape[-2]), self.share)

    @cached_property
    def columns(self) -> Axis:
        """The axis x."""
        return Axis(int(self.images.shape[-1]), self.share)

    @property
    def block(self) -> Block:
        """All cells."""
        return Block(0, self.rows.cells, 0, self.columns.cells)

    def resampled(self, number: int, block: Block) -> Float[Tensor, "y x"]:
        """Resampled pixels of some cells of one image; of all cells, as they were read last."""
        if block == self.block and number in self._whole:
            return self._whole[number]
        return self.read(number, block)[0]

    def read(self, number: int, block: Block) -> tuple[Tensor, Tensor]:
        """Resampled pixels of some cells of one image, and the pixels of those cells as they came.

        Raises
        ------
        InputError
            If pixels are NaN or infinite.
        """
        spans, needs = [], []
        for axis, first, last in (
            (self.rows, block.top, block.bottom),
            (self.columns, block.left, block.right),
        ):
            start = axis.offset_px
            spans.append((start + first * REDUCTION_PX, start + last * REDUCTION_PX))
            needs.append(axis.needs(*spans[-1]))
        (top, bottom), (left, right) = needs
        image = self.images if self.images.ndim == 2 else self.images[number]
        # What is left over beside the outermost cells is looked at too.
        beside = (
            slice(
                0 if block.top == 0 else top, None if block.bottom == self.block.bottom else bottom
            ),
            slice(
                0 if block.left == 0 else left, None if block.right == self.block.right else right
            ),
        )
        raw = as_float_tensor(image[beside], device=self.device).float()
        if not bool(torch.isfinite(raw.sum())) and not bool(torch.isfinite(raw).all()):
            raise InputError(
                f"Image {number} of {self.count} holds pixels that are NaN or infinite; "
                "replace them, or leave the image out."
            )
        raw = raw[top - beside[0].start : bottom - beside[0].start]
        raw = raw[:, left - beside[1].start : right - beside[1].start]
        small = self.rows.resample(raw.mT, first_px=top, span=spans[0]).mT
        small = self.columns.resample(small, first_px=left, span=spans[1])
        own = raw[
            self.rows.edge_px(block.top) - top : self.rows.edge_px(block.bottom) - top,
            self.columns.edge_px(block.left) - left : self.columns.edge_px(block.right) - left,
        ]
        if block == self.block:  # one tile: it is kept, for it is asked for again
            self._whole[number] = small
        return small, own
