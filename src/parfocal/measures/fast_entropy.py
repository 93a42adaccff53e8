"""Grey-level entropy of every window of a lattice, by histograms that slide.

Each block of columns between window borders keeps the histogram of the rows of the present row
of windows, whatever the window. A window's histogram slides along x by whole blocks.
"""

from __future__ import annotations

import itertools
from typing import Any, no_type_check

import numpy as np
from numba import njit, types
from numba.extending import overload
from numpy.typing import NDArray

from parfocal.measures.fast_compile import compiled, compiled_strictly
from parfocal.measures.fast_threads import bands_of, run_shared
from parfocal.measures.windows import Spans

BINS = 256
LEAST_CELL_PX = 100
"""Mean cell from which whole cells are faster than single pixels."""


@no_type_check
def as_grey(value):
    """A pixel in the float type in which the kernel scores it."""
    raise NotImplementedError


@overload(as_grey, inline="always")
@no_type_check
def _as_grey(value):
    if value == types.float64:
        return lambda value: np.float64(value)  # noqa: PLW0108
    return lambda value: np.float32(value)  # noqa: PLW0108


@compiled
@no_type_check
def find_range(plane):
    """Least and largest pixel."""
    low = high = plane[0, 0]
    for y in range(plane.shape[0]):
        row = plane[y]
        least = most = row[0]
        for x in range(row.size):
            least = min(least, row[x])
            most = max(most, row[x])
        low, high = min(low, least), max(high, most)
    return low, high


# Strict arithmetic: the grey level of a pixel must be that of the kernel, bit for bit.
@compiled_strictly
@no_type_check
def find_levels(plane, low, high, levels):
    """The bin of each pixel, of BINS between ``low`` and ``high``."""
    base = as_grey(low)
    width = as_grey(as_grey(high) - base)
    scale = as_grey(as_grey(BINS) / (width if width > 0 else as_grey(1)))
    for y in range(plane.shape[0]):
        row, out = plane[y], levels[y]
        for x in range(row.size):
            level = np.int32(as_grey(as_grey(as_grey(row[x]) - base) * scale))
            out[x] = min(max(level, np.int32(0)), np.int32(BINS - 1))


@njit(inline="always")
@no_type_check
def _count(levels, y0, y1, borders, blocks, change):
    # Unsigned counts and places need no check for signs; the largest number takes one away.
    for y in range(y0, y1):
        row = levels[y]
        for b in range(borders.size - 1):
            block = blocks[b]
            for x in range(np.uintp(borders[b]), np.uintp(borders[b + 1])):
                block[row[x]] += change


@compiled
@no_type_check
def score_row(blocks, across, rows, table, bits):
    """Entropy of the windows over the histograms of blocks of columns (b, bin)."""
    borders, left, right = across
    first = last = 0
    window = np.zeros(BINS, np.uint32)
    for i in range(left.size):
        while last < right[i]:
            for k in range(BINS):
                window[k] += blocks[last, k]
            last += 1
        while first < left[i]:
            for k in range(BINS):
                window[k] -= blocks[first, k]
            first += 1
        total = 0.0
        for k in range(BINS):
            total += table[window[k]]
        count = rows * (borders[last] - borders[first])
        bits[i] = np.log2(count) - total / count


@compiled
@no_type_check
def slide_pixels(levels, rows, across, table, bits):
    """Entropy of windows ``rows`` (starts, stops) by ``across`` (borders, left, right).

    Each pixel enters the histogram of its block of columns once, and leaves it once.
    """
    starts, stops = rows
    blocks = np.zeros((across[0].size - 1, BINS), np.uint32)
    top = bottom = starts[0]
    for j in range(starts.size):
        _count(levels, bottom, stops[j], across[0], blocks, np.uint32(1))
        _count(levels, top, starts[j], across[0], blocks, ~np.uint32(0))
        top, bottom = starts[j], stops[j]
        score_row(blocks, across, bottom - top, table, bits[j])


@compiled
@no_type_check
def count_cells(levels, y0, y1, borders, pair, cells):
    """Histograms (b, bin) of the blocks of columns in rows y0 up to y1."""
    for b in range(borders.size - 1):
        pair[:] = 0
        one, other, own = pair[0], pair[1], cells[b]
        left, right = np.uintp(borders[b]), np.uintp(borders[b + 1])
        # Two histograms in turn: an equal neighbour need not wait for the count before.
        for y in range(y0, y1 - 1, 2):
            row, below = levels[y], levels[y + 1]
            for x in range(left, right):
                one[row[x]] += 1
                other[below[x]] += 1
        if (y1 - y0) % 2:
            row = levels[y1 - 1]
            for x in range(left, right):
                one[row[x]] += 1
        for k in range(BINS):
            own[k] = one[k] + other[k]


@compiled
@no_type_check
def slide_cells(levels, rows, across, table, bits):
    """The same as ``slide_pixels``, by the histograms of cells between all window borders.

    Each pixel is counted once; cells enter and leave whole.
    """
    starts, stops, cuts, first, last = rows
    slots = (last - first).max()
    width = across[0].size - 1
    cells = np.empty((slots, width, BINS), np.uint16)
    blocks, pair = np.zeros((width, BINS), np.uint32), np.zeros((2, BINS), np.uint32)
    top = bottom = first[0]
    for j in range(starts.size):
        while top < first[j]:
            gone = cells[top % slots]
            for b in range(width):
                for k in range(BINS):
                    blocks[b, k] -= gone[b, k]
            top += 1
        while bottom < last[j]:
            new = cells[bottom % slots]
            count_cells(levels, cuts[bottom], cuts[bottom + 1], across[0], pair, new)
            for b in range(width):
                for k in range(BINS):
                    blocks[b, k] += new[b, k]
            bottom += 1
        score_row(blocks, across, stops[j] - starts[j], table, bits[j])


def window_entropy(planes: NDArray[Any], rows: Spans, columns: Spans) -> NDArray[np.float64] | None:
    """Entropy (bits) of every window of a lattice; grey levels fitted to each whole plane.

    Returns
    -------
    (n, rows, columns), or None if a pixel is not finite.
    """
    if planes.dtype.kind == "f" and not np.isfinite(planes).all():
        return None
    borders = np.unique(np.concatenate([columns.starts, columns.stops]))
    across = (borders, *(np.searchsorted(borders, x) for x in (columns.starts, columns.stops)))
    counts = np.arange(rows.sizes.max() * columns.sizes.max() + 1, dtype=np.float64)
    table = counts * np.log2(np.maximum(counts, 1.0))
    bits = np.empty((len(planes), len(rows), len(columns)))
    cuts = np.unique(np.concatenate([rows.starts, rows.stops]))
    cell_px = np.diff(cuts).max() * np.diff(borders).max(), np.ptp(cuts) * np.ptp(borders)
    by_cells = cell_px[0] < 2**16 and cell_px[1] > LEAST_CELL_PX * len(cuts) * len(borders)

    def score(job: tuple[int, slice]) -> None:
        number, band = job
        plane = np.ascontiguousarray(planes[number])
        levels = np.empty(plane.shape, np.uint8)
        find_levels(plane, *find_range(plane), levels)
        starts, stops = rows.starts[band], rows.stops[band]
        if by_cells:
            own = starts, stops, cuts, *(np.searchsorted(cuts, edge) for edge in (starts, stops))
            slide_cells(levels, own, across, table, bits[number, band])
        else:
            slide_pixels(levels, (starts, stops), across, table, bits[number, band])

    run_shared(score, list(itertools.product(range(len(planes)), bands_of(rows, len(planes)))))
    return bits
