"""One image in overlapping tiles of one size, mirrored beyond its edges, and put together again."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from parfocal.core.shapes import as_float_tensor

MARGIN_PX = 64
"""Working pixels around a tile's own part that are looked at too."""
FADE_PX = 24
"""Working pixels to either side of a border over which one tile fades into the next."""
LEAST_PX, MULTIPLE_PX = 256, 32
MOST_PX = 1152


@dataclass(frozen=True, kw_only=True)
class Line:
    """How one axis is cut.

    Parameters
    ----------
    size_px
        Pixels of the image.
    count, core_px
        Tiles, and pixels that are each one's own.
    region_px, work_px
        Pixels that each one looks at, and how many they are resampled to.
    fade_px
        Half the width in which two tiles are blended.
    """

    size_px: int
    count: int
    core_px: int
    region_px: int
    work_px: int
    fade_px: int

    @classmethod
    def plan(cls, size_px: int, share: float, *, most_px: int = MOST_PX) -> Line:
        """Cut an axis whose pixels are resampled by ``share``.

        Examples
        --------
        >>> line = Line.plan(2048, 1.0)
        >>> line.count, line.core_px, line.region_px, line.work_px
        (2, 1024, 1152, 1152)
        """
        count = math.ceil(size_px * share / (most_px - 2 * MARGIN_PX))
        core = math.ceil(size_px / count)
        work = max(LEAST_PX, math.ceil(core * share + 2 * MARGIN_PX))
        work = MULTIPLE_PX * math.ceil(work / MULTIPLE_PX)
        fade = min(round(FADE_PX / share), core // 2) if count > 1 else 0
        return cls(
            size_px=size_px, count=count, core_px=core, region_px=round(work / share),
            work_px=work, fade_px=fade,
        )  # fmt: skip

    def first(self, number: int) -> int:
        """Where a tile's region begins; before the image where that is negative."""
        return number * self.core_px - (self.region_px - self.core_px) // 2

    def weights(self, number: int) -> Float[Tensor, " px"]:
        """Say of each pixel of a region: 1 in its own part, falling across inner borders.

        Examples
        --------
        >>> line = Line.plan(2048, 1.0)
        >>> whole = torch.zeros(2048)
        >>> for number in range(line.count):
        ...     inside = slice(max(0, line.first(number)), line.first(number) + line.region_px)
        ...     whole[inside] += line.weights(number)[-line.first(number) if number == 0 else 0 :][
        ...         : 2048 - inside.start]
        >>> bool(torch.allclose(whole, torch.ones(2048)))
        True
        """
        place = torch.arange(self.region_px) + 0.5 + self.first(number) - number * self.core_px
        rise = torch.ones(self.region_px)
        fall = torch.ones(self.region_px)
        if self.count > 1:
            if number > 0:
                rise = (place / (2 * self.fade_px) + 0.5).clamp(0.0, 1.0)
            if number < self.count - 1:
                fall = ((self.core_px - place) / (2 * self.fade_px) + 0.5).clamp(0.0, 1.0)
        return torch.minimum(rise, fall)


@dataclass(frozen=True, kw_only=True)
class Tile:
    """One region of an image.

    Parameters
    ----------
    lines
        How the axes are cut.
    place
        Number of the tile along each axis.
    """

    lines: tuple[Line, Line]
    place: tuple[int, int]

    @property
    def inside(self) -> tuple[slice, slice]:
        """Pixels of the image that lie in the region."""
        spans = []
        for line, number in zip(self.lines, self.place, strict=True):
            first = line.first(number)
            spans.append(slice(max(0, first), min(line.size_px, first + line.region_px)))
        return spans[0], spans[1]

    def read(self, image: Any, *, device: torch.device) -> Float[Tensor, "y x"]:
        """Counts of the region; beyond the image its mirror. Reads no more than that."""
        rows, columns = self.inside
        counts = as_float_tensor(_computed(image[rows, columns]), device=device).float()
        for axis, span in enumerate((rows, columns)):
            line, number = self.lines[axis], self.place[axis]
            chosen = mirrored(line.first(number), line.region_px, line.size_px) - span.start
            chosen = mirrored_within(chosen, span.stop - span.start)
            counts = counts.index_select(axis, torch.from_numpy(chosen).to(device))
        return counts

    def part_inside(self, region: Float[Tensor, "y x"]) -> Float[Tensor, "v u"]:
        """What of a region lies in the image."""
        spans = []
        for axis, span in enumerate(self.inside):
            first = self.lines[axis].first(self.place[axis])
            spans.append(slice(span.start - first, span.stop - first))
        return region[spans[0], spans[1]]

    def weights(self) -> Float[Tensor, "y x"]:
        """Say of each pixel of the region."""
        y, x = (line.weights(k) for line, k in zip(self.lines, self.place, strict=True))
        return y[:, None] * x

    def own_cells(self, cell_px: int) -> tuple[Int[Tensor, " q"], Int[Tensor, " p"]]:
        """Cells of ``cell_px`` working pixels whose middles lie in the tile's own part."""
        found = []
        for line, number in zip(self.lines, self.place, strict=True):
            step = line.region_px / line.work_px
            middles = (torch.arange(line.work_px // cell_px) + 0.5) * cell_px * step
            middles = middles + line.first(number)
            low = number * line.core_px
            high = min(line.size_px, low + line.core_px)
            own = ((middles >= low) & (middles < high)).nonzero()[:, 0]
            if not len(own):  # an image smaller than a cell
                own = (middles - (low + high) / 2).abs().argmin()[None]
            found.append(own)
        return found[0], found[1]


def tiles_of(shape: tuple[int, int], share: float, *, most_px: int = MOST_PX) -> Iterator[Tile]:
    """Tiles of an image, row by row.

    Examples
    --------
    >>> [tile.inside for tile in tiles_of((100, 80), 1.0)]
    [(slice(0, 100, None), slice(0, 80, None))]
    """
    lines = (
        Line.plan(shape[0], share, most_px=most_px),
        Line.plan(shape[1], share, most_px=most_px),
    )
    for row in range(lines[0].count):
        for column in range(lines[1].count):
            yield Tile(lines=lines, place=(row, column))


def mirrored(first: int, count: int, size: int) -> NDArray[np.int64]:
    """Places first, first + 1, ... of an image that goes on as its mirror, again and again.

    Examples
    --------
    >>> mirrored(-2, 7, 3).tolist()
    [2, 1, 0, 1, 2, 1, 0]
    """
    return mirrored_within(np.arange(first, first + count, dtype=np.int64), size)


def mirrored_within(places: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """Places beyond either end, mirrored into an axis.

    Examples
    --------
    >>> mirrored_within(np.array([-1, 5]), 4).tolist()
    [1, 1]
    """
    if size == 1:
        return np.zeros_like(places)
    period = 2 * (size - 1)
    around = places % period
    inside: NDArray[np.int64] = np.where(around < size, around, period - around)
    return inside


def resized(image: Float[Tensor, "*b y x"], size: tuple[int, int]) -> Float[Tensor, "*b v u"]:
    """Crop or fill up the cosine spectrum of an image, so that it has another number of pixels.

    Examples
    --------
    >>> small = torch.rand(8, 8)
    >>> bool(torch.allclose(resized(resized(small, (32, 16)), (8, 8)), small, atol=1e-5))
    True
    """
    for axis, new in zip((-2, -1), size, strict=True):
        old = image.shape[axis]
        if old != new:
            image = torch.tensordot(image.movedim(axis, -1), _resizing(old, new, image), dims=1)
            image = image.movedim(-1, axis)
    return image


def _resizing(old: int, new: int, like: Tensor) -> Float[Tensor, "old new"]:
    """Matrix of a cosine transform, to the lower of two bands, and back at the new points."""
    band = min(old, new)
    waves = torch.arange(band, dtype=torch.float64)[:, None]
    forth = torch.cos(math.pi / old * waves * (torch.arange(old, dtype=torch.float64) + 0.5))
    back = torch.cos(math.pi / new * waves * (torch.arange(new, dtype=torch.float64) + 0.5))
    weights = torch.full((band, 1), 2.0 / old, dtype=torch.float64)
    weights[0] = 1.0 / old
    both: Tensor = forth.T @ (weights * back)
    return both.to(like)


def _computed(part: Any) -> Any:
    """What a lazy array holds."""
    return part if isinstance(part, Tensor) else np.asarray(part)
