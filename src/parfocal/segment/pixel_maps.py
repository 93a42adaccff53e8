"""Focus maps by overlapping windows of several sizes and strides, one value for every pixel.

A map is constant between the borders of its windows, so it is kept as one value a cell, and each
cell knows how many pixels it covers. Thresholds and masks come from cells: exact, and far fewer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray

from parfocal.core.errors import InputError, ShapeError
from parfocal.core.setup import OpticalSetup
from parfocal.core.stack import FocalStack
from parfocal.measures.catalog import find_measure
from parfocal.measures.maps import window_scores
from parfocal.measures.scoring import setup_options
from parfocal.measures.windows import Spans

BAND_PX = 2**22
"""Pixels of one plane that are read and scored at once."""

Lattice = tuple[Spans, Spans]
Scores = list[Float[np.ndarray, "z _ny _nx"]]


@dataclass(frozen=True, eq=False)
class MapPlan:
    """Where the windows of a map lie.

    Parameters
    ----------
    sizes
        Of a plane (y, x).
    lattices
        One pair of spans (rows, columns) for each window size and stride.
    overlap
        ``"mean"`` divides the sum of overlapping windows by their number; ``"sum"`` does not.
    """

    sizes: tuple[int, int]
    lattices: tuple[Lattice, ...]
    overlap: str

    @cached_property
    def edges(self) -> tuple[Int[np.ndarray, " cy1"], Int[np.ndarray, " cx1"]]:
        """First pixel of each cell along y and x, and the end."""
        rows, columns = zip(*self.lattices, strict=True)
        return _borders(rows, self.sizes[0]), _borders(columns, self.sizes[1])

    @cached_property
    def weights(self) -> Int[np.ndarray, "cy cx"]:
        """Pixels in each cell."""
        rows, columns = (np.diff(edge) for edge in self.edges)
        product: NDArray[np.int64] = np.outer(rows, columns)
        return product

    @cached_property
    def _ranges(self) -> tuple[tuple[_Ranges, _Ranges], ...]:
        """For each lattice, the windows over each cell, along y and x."""
        edges_y, edges_x = self.edges
        return tuple(
            (_Ranges.of(rows, edges_y[:-1]), _Ranges.of(columns, edges_x[:-1]))
            for rows, columns in self.lattices
        )

    def cells(self, scores: Sequence[Float[np.ndarray, "_ny _nx"]]) -> Float[np.ndarray, "cy cx"]:
        """The map of one plane from the scores of its windows: the largest over the lattices.

        NaN where no window has a score.
        """
        best: NDArray[np.float32] | None = None
        for score, (along_y, along_x) in zip(scores, self._ranges, strict=True):
            own = _overlapped(score, along_y, along_x, self.overlap)
            spread = np.take(np.take(own, along_x.cell, axis=1), along_y.cell, axis=0)
            best = spread if best is None else np.fmax(best, spread, out=best)
        if best is None:
            raise InputError("A map needs at least one lattice of windows.")
        return best

    def to_pixels(self, cells: NDArray[Any]) -> NDArray[Any]:
        """Give every pixel the value of its cell."""
        edges_y, edges_x = self.edges
        rows: NDArray[Any] = np.repeat(cells, np.diff(edges_x), axis=1)
        return np.repeat(rows, np.diff(edges_y), axis=0)


def plan_maps(
    sizes: tuple[int, int],
    windows_px: Sequence[int],
    strides_px: Sequence[int],
    *,
    centred: bool = True,
    overlap: str = "mean",
) -> MapPlan:
    """Lay windows of every size at every stride that is no larger than the window.

    Parameters
    ----------
    sizes
        Of a plane (y, x). A window that is larger is cut to it.
    windows_px, strides_px
        Sides of the square windows, and distances between them.
    centred
        Windows lie symmetrically about the middle of the plane, one pixel larger where its side
        is odd and theirs even (or the other way round), so that maps follow flips and rotations.
        Otherwise they start at the corner, as published [Li2023]_. Both are cut off at borders.
    overlap
        ``"mean"`` or ``"sum"`` of the windows over a pixel.

    Raises
    ------
    ShapeError
        If every stride skips pixels between the windows of some size.
    InputError
        If a size is not a positive whole number, or there is none.

    Examples
    --------
    >>> plan_maps((10, 8), [4], [2]).weights.sum()
    np.int64(80)
    """
    for values, name in ((windows_px, "window_px"), (strides_px, "strides_px")):
        if not len(values):
            raise InputError(f"{name} is empty: give at least one size, in px.")
        for value in values:
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
                raise InputError(f"{name} holds positive whole numbers, but {value!r} came.")
    lattices = []
    lay = _centred if centred else Spans.truncated
    for window in dict.fromkeys(windows_px):
        usable = [stride for stride in dict.fromkeys(strides_px) if stride <= window]
        if not usable:
            raise ShapeError(
                f"Strides of {min(strides_px)} px and more skip pixels between windows of "
                f"{window} px: give strides_px no larger than window_px."
            )
        for stride in usable:
            rows, columns = (lay(size, int(window), int(stride)) for size in sizes)
            lattices.append((rows, columns))
    return MapPlan(sizes, tuple(lattices), overlap)


def score_windows(
    stack: FocalStack,
    measure: str,
    plan: MapPlan,
    *,
    setup: OpticalSetup | None = None,
    device: str = "cpu",
) -> Scores:
    """Score every window of a plan in every plane; planes and bands of rows are read one by one.

    Returns
    -------
    For each lattice (z, ny, nx), float32; NaN for windows that are too small for the measure once
    cut off, or that hold a pixel that is not finite.
    """
    row = find_measure(measure)
    setup_options(row, setup)
    planes = stack.shape[0]
    found = [
        np.empty((planes, len(rows), len(columns)), np.float32) for rows, columns in plan.lattices
    ]
    band_px = BAND_PX if row.name != "entropy" else np.iinfo(np.int64).max  # shares grey levels
    for z in range(planes):
        for top, bottom, parts in _bands(plan, band_px):
            counts = stack.read_counts(z, slice(top, bottom))
            for scores, (_, columns), part in zip(found, plan.lattices, parts, strict=True):
                if part is None:
                    continue
                windows, rows = part
                own = Spans(rows.starts - top, rows.stops - top)
                values = window_scores(counts, row, own, columns, setup=setup, device=device)
                scores[z, windows] = values
    return found


@dataclass(frozen=True, eq=False)
class _Ranges:
    """The run of windows ``first`` up to ``last`` over each piece, and each cell's piece."""

    first: NDArray[np.int64]
    last: NDArray[np.int64]
    cell: NDArray[np.int64]

    @classmethod
    def of(cls, spans: Spans, pixels: NDArray[np.int64]) -> _Ranges:
        first = np.searchsorted(spans.stops, pixels, side="right")
        last = np.searchsorted(spans.starts, pixels, side="right")
        both, cell = np.unique(np.stack([first, last]), axis=1, return_inverse=True)
        return cls(both[0], both[1], cell.reshape(-1))

    def sums(self, values: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
        running = np.cumsum(values, axis=axis)
        running = np.concatenate([np.zeros_like(running.take([0], axis)), running], axis=axis)
        total: NDArray[np.float64] = running.take(self.last, axis) - running.take(self.first, axis)
        return total


def _overlapped(
    score: NDArray[Any], along_y: _Ranges, along_x: _Ranges, overlap: str
) -> NDArray[np.float32]:
    """Sum, or mean, of the windows over each piece of a lattice; NaN where none has a score."""
    missing = ~np.isfinite(score)  # a ratio over a black window is infinite
    known = np.where(missing, 0.0, score).astype(np.float64)
    total = along_y.sums(along_x.sums(known, 1), 0)
    if missing.any():
        count = along_y.sums(along_x.sums((~missing).astype(np.float64), 1), 0)
    else:
        count = np.multiply.outer(along_y.last - along_y.first, along_x.last - along_x.first)
    total = np.where(count > 0.5, total, np.nan)
    if overlap == "mean":
        total /= np.maximum(count, 1.0)
    return total.astype(np.float32)


def _borders(spans: Sequence[Spans], size: int) -> NDArray[np.int64]:
    every = [edge for span in spans for edge in (span.starts, span.stops)]
    return np.unique(np.concatenate([*every, np.array([0, size])]))


@lru_cache(maxsize=64)
def _centred(size: int, window_px: int, stride_px: int) -> Spans:
    """Windows symmetric about the middle, out to those that just reach the borders."""
    window = min(window_px, size)
    window += (size - window) % 2
    middle = (size - window) // 2
    beside = -(-middle // stride_px)
    starts = middle + stride_px * np.arange(-beside, beside + 1, dtype=np.int64)
    return Spans(np.maximum(starts, 0), np.minimum(starts + window, size))


_Part = tuple[slice, Spans] | None


def _bands(plan: MapPlan, band_px: int) -> Iterator[tuple[int, int, list[_Part]]]:
    """Rows to read at once, and the windows of each lattice that end within them."""
    size_y, size_x = plan.sizes
    height = max(1, band_px // size_x)
    done = [0] * len(plan.lattices)
    for end in range(height, size_y + height, height):
        parts: list[_Part] = []
        for k, (rows, _) in enumerate(plan.lattices):
            upto = int(np.searchsorted(rows.stops, min(end, size_y), side="right"))
            here = slice(done[k], upto)
            parts.append((here, _taken(rows, here)) if upto > done[k] else None)
            done[k] = upto
        tops = [int(part[1].starts[0]) for part in parts if part is not None]
        if tops:
            yield min(tops) // 2 * 2, min(end, size_y), parts  # even: where Haar's pairs begin


def _taken(spans: Spans, here: slice) -> Spans:
    return Spans(spans.starts[here], spans.stops[here])
