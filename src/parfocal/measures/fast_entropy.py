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
LEAST_BITS = 1.0
"""Entropy below which a window is scored by a table in float64, to keep its digits."""
MOST_SUMMED = 2**24
"""Pixels from which a window is scored by the table too; any window, of float64."""
C1, C2, C3, C4, C5, C6, C7, C8 = (
    np.float32(value)
    for value in (
        1.44268988,
        -0.7211657,
        0.4786828,
        -0.34729741,
        0.24185675,
        -0.1375117,
        0.05205298,
        -0.00930764,
    )
)
"""log2(1 + t) = C1 t + C2 t^2 + ... to 5e-8 for t of 0 up to 1, by a weighted least-squares fit."""


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


@njit(inline="always")
@no_type_check
def _slide(window, blocks, span, left, right):
    """Move the window from blocks ``span`` (first, last) to those from left up to right."""
    first, last = span
    while last < right and first < left:
        for k in range(BINS):
            window[k] += blocks[last, k] - blocks[first, k]
        first, last = first + 1, last + 1
    while last < right:
        for k in range(BINS):
            window[k] += blocks[last, k]
        last += 1
    while first < left:
        for k in range(BINS):
            window[k] -= blocks[first, k]
        first += 1


@njit(inline="always")
@no_type_check
def _sum_n_log2_n(window):
    """Sum of n log2 n over the counts, to about 1e-7 of the sum of n.

    The whole part of each logarithm is summed in whole numbers, for counts of up to 2^24 in all;
    the rest is a polynomial of the fraction.
    """
    whole, part = np.int32(0), np.float32(0)
    for k in range(BINS):
        count = np.int32(window[k])
        number = np.float32(count)
        pattern = number.view(np.int32)
        power = np.int32((pattern >> np.int32(23)) - np.int32(127))
        fraction = np.int32((pattern & np.int32(0x7FFFFF)) | np.int32(0x3F800000))
        t = fraction.view(np.float32) - np.float32(1)
        log = C5 + t * (C6 + t * (C7 + t * C8))
        log = t * (C1 + t * (C2 + t * (C3 + t * (C4 + t * log))))
        whole = np.int32(whole + np.int32(count * power))  # 0 where the count is
        part += number * log
    return np.float64(whole) + np.float64(part)


@compiled
@no_type_check
def score_row(blocks, across, rows, terms, bits):
    """Entropy of the windows over the histograms of blocks of columns (b, bin).

    By ``terms``: n log2 n of each count, the size in px from which windows need them, and an
    array of the type of counts.
    """
    borders, left, right = across
    table, most = terms[:2]
    first = last = 0
    window = np.zeros(BINS, blocks.dtype)
    for i in range(left.size):
        _slide(window, blocks, (first, last), left[i], right[i])
        first, last = left[i], right[i]
        count = rows * (borders[last] - borders[first])
        bits[i] = 0.0
        if count < most:
            bits[i] = np.log2(count) - _sum_n_log2_n(window) / count
        if bits[i] < LEAST_BITS:
            total = 0.0
            for k in range(BINS):
                total += table[window[k]]
            bits[i] = np.log2(count) - total / count


@compiled
@no_type_check
def slide_pixels(levels, rows, across, terms, bits):
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
        score_row(blocks, across, bottom - top, terms, bits[j])


@compiled
@no_type_check
def count_cells(levels, borders, parts, cells, blocks):
    """Histograms (b, bin) of the blocks of columns of some rows; also added to ``blocks``."""
    height = levels.shape[0]
    whole = height - height % 4
    # Four histograms in turn: an equal neighbour need not wait for the count before.
    two, three, four = parts[0], parts[1], parts[2]
    for b in range(borders.size - 1):
        own, block = cells[b], blocks[b]
        own[:] = 0
        parts[:] = 0
        left, right = np.uintp(borders[b]), np.uintp(borders[b + 1])
        for y in range(0, whole, 4):
            row, second, third, fourth = levels[y], levels[y + 1], levels[y + 2], levels[y + 3]
            for x in range(left, right):
                own[row[x]] += 1
                two[second[x]] += 1
                three[third[x]] += 1
                four[fourth[x]] += 1
        for y in range(whole, height):
            row = levels[y]
            for x in range(left, right):
                own[row[x]] += 1
        for k in range(BINS):
            own[k] += two[k] + three[k] + four[k]
            block[k] += own[k]


@compiled
@no_type_check
def slide_cells(plane, extremes, rows, across, terms, bits):
    """The same as ``slide_pixels``, by the histograms of cells between all window borders.

    Each pixel is counted once; cells enter and leave whole. Counts between windows may overflow,
    which does no harm to those of windows.
    """
    starts, stops, cuts, first, last = rows
    low, high = extremes
    slots = (last - first).max()
    width = across[0].size - 1
    levels = np.empty(((cuts[1:] - cuts[:-1]).max(), plane.shape[1]), np.uint8)
    cells = np.empty((slots, width, BINS), np.uint16)
    blocks, parts = np.zeros((width, BINS), terms[2].dtype), np.zeros((3, BINS), np.uint16)
    top = bottom = first[0]
    for j in range(starts.size):
        while top < first[j]:
            gone = cells[top % slots]
            for b in range(width):
                for k in range(BINS):
                    blocks[b, k] -= gone[b, k]
            top += 1
        while bottom < last[j]:
            y0, y1 = cuts[bottom], cuts[bottom + 1]
            find_levels(plane[y0:y1], low, high, levels)
            count_cells(levels[: y1 - y0], across[0], parts, cells[bottom % slots], blocks)
            bottom += 1
        score_row(blocks, across, stops[j] - starts[j], terms, bits[j])


def window_entropy(planes: NDArray[Any], rows: Spans, columns: Spans) -> NDArray[np.float64] | None:
    """Entropy (bits) of every window of a lattice; grey levels fitted to each whole plane.

    Returns
    -------
    (n, rows, columns), or None if a pixel is not finite. Each within a few times 1e-7 of its
    value, and to float64's digits for images of float64.
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

    most = 0 if planes.dtype == np.float64 else MOST_SUMMED
    terms = table, most, np.zeros(0, np.uint16 if len(table) <= 2**16 else np.uint32)

    def score(job: tuple[int, slice]) -> None:
        number, band = job
        plane = np.ascontiguousarray(planes[number])
        extremes = find_range(plane)
        starts, stops = rows.starts[band], rows.stops[band]
        if by_cells:
            own = starts, stops, cuts, *(np.searchsorted(cuts, edge) for edge in (starts, stops))
            slide_cells(plane, extremes, own, across, terms, bits[number, band])
        else:
            levels = np.empty(plane.shape, np.uint8)
            find_levels(plane, *extremes, levels)
            slide_pixels(levels, (starts, stops), across, terms, bits[number, band])

    run_shared(score, list(itertools.product(range(len(planes)), bands_of(rows, len(planes)))))
    return bits
