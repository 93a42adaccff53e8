"""Grey-level entropy of every window of a lattice, by histograms that slide.

Each block of columns between window borders keeps the histogram of the rows of the present row
of windows: a pixel enters once and leaves once, whatever the window. A window's histogram slides
along x by whole blocks.
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
    for y in range(y0, y1):
        row = levels[y]
        for b in range(borders.size - 1):
            block = blocks[b]
            for x in range(borders[b], borders[b + 1]):
                block[row[x]] += change


@compiled
@no_type_check
def slide(levels, rows, across, table, bits):
    """Entropy of windows ``rows`` (starts, stops) by ``across`` (borders, left, right)."""
    starts, stops = rows
    borders, left, right = across
    blocks = np.zeros((borders.size, BINS), np.int32)
    top = bottom = starts[0]
    for j in range(starts.size):
        _count(levels, bottom, stops[j], borders, blocks, 1)
        _count(levels, top, starts[j], borders, blocks, -1)
        top, bottom = starts[j], stops[j]
        first = last = 0
        window = np.zeros(BINS, np.int32)
        for i in range(left.size):
            while last < right[i]:
                window += blocks[last]
                last += 1
            while first < left[i]:
                window -= blocks[first]
                first += 1
            total = 0.0
            for k in range(BINS):
                total += table[window[k]]
            count = (bottom - top) * (borders[last] - borders[first])
            bits[j, i] = np.log2(count) - total / count


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
    levels = np.empty(planes.shape, np.uint8)

    def find(number: int) -> None:
        plane = np.ascontiguousarray(planes[number])
        find_levels(plane, *find_range(plane), levels[number])

    def score(job: tuple[int, slice]) -> None:
        number, band = job
        own = rows.starts[band], rows.stops[band]
        slide(levels[number], own, across, table, bits[number, band])

    numbers = range(len(planes))
    run_shared(find, list(numbers))
    run_shared(score, list(itertools.product(numbers, bands_of(rows, len(planes)))))
    return bits
