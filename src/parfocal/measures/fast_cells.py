"""From row accumulators to window sums: cells between window borders, running sums of cells.

A pass adds a few image rows into accumulators (2 k, x), one pair for each feature. Then the
columns between any two borders of windows are added up into one cell, and the accumulators
cleared. Cells are never cleared: when a row of windows starts, they are put aside; when it stops,
the difference is what the window rows hold, and running sums along x give every window. Each
pixel is read once, whatever the size of the window.

Accumulators of integer images are uint32 where sums must be whole numbers: values, or squares in
two halves of 16 bits, or in one where pixels are small. Cells are uint64 then. Other
accumulators of integer images are float32, whose rounding over ``FEW_ROWS`` rows is less than
that of the score itself; those of float images are float64, and so are their cells.
"""

from __future__ import annotations

from typing import no_type_check

import numpy as np
from numba import types
from numba.extending import overload

from parfocal.measures.fast_compile import compiled

FEW_ROWS = 16
SMALL = 2**14
"""Squares of numbers below this, or of their differences, may be added up ``FEW_ROWS`` times."""


@no_type_check
def fold(low, high):
    """One sum from its two halves; float sums lie in ``low`` alone."""
    raise NotImplementedError


@overload(fold, inline="always")
@no_type_check
def _fold(low, high):
    if isinstance(low, types.Integer):
        return lambda low, high: (
            np.uint64(np.uint32(low)) + (np.uint64(np.uint32(high)) << np.uint64(16))
        )
    return lambda low, high: np.float64(low)


@no_type_check
def is_small(image, y0, y1):
    """Whether all pixels of some rows are integers below ``SMALL``."""
    raise NotImplementedError


@overload(is_small, inline="always")
@no_type_check
def _is_small(image, y0, y1):
    if not isinstance(image.dtype, types.Integer):
        return lambda image, y0, y1: False

    def test(image, y0, y1):
        for y in range(y0, y1):
            row = image[y]
            bits = row[0]
            for x in range(row.size):
                bits |= row[x]
            if bits >= SMALL:
                return False
        return True

    return test


@compiled
@no_type_check
def gather(state, cuts, in_halves):
    """Add the accumulators to the cells, and clear them."""
    part, _, cells, _, split, _, _ = state
    for k in range(cells.shape[0]):
        low, high, own = part[2 * k], part[2 * k + 1], cells[k]
        if in_halves and split[k]:
            for c in range(own.size):
                total = own.dtype.type(0)
                for x in range(np.uintp(cuts[c]), np.uintp(cuts[c + 1])):
                    total += fold(low[x], high[x])
                own[c] += total
            high[:] = 0
        else:
            for c in range(own.size):
                total = own.dtype.type(0)
                for x in range(np.uintp(cuts[c]), np.uintp(cuts[c + 1])):
                    total += fold(low[x], 0)
                own[c] += total
        low[:] = 0


@compiled
@no_type_check
def restart(state):
    """Forget the plane before."""
    part, _, cells, _, _, done, _ = state
    part[:] = 0
    cells[:] = 0
    done[:] = 0


@compiled
@no_type_check
def advance(y, state, down, across, windows):
    """Start and stop the windows due at row y; the next row at which any is due, or -1.

    ``down`` holds starts and stops of windows along y, (k, n), not falling. ``across`` holds the
    columns at which any window starts or stops, and which of these are starts and stops of
    each, (k, n). ``windows`` (k, j, i) takes the sums. ``state`` holds the accumulators (2 k, x),
    twice: the second are for squares of small numbers in one half; cells (k, c); room for those
    of windows under way (k, slot, c); whether each feature is in two halves (k); how many of its
    windows have started and stopped (2, k); and room for the sums up to each cut.
    """
    _, _, cells, kept, _, done, running = state
    starts, stops = down
    _, left, right = across
    count = starts.shape[1]
    due = -1
    for k in range(starts.shape[0]):
        while done[0, k] < count and starts[k, done[0, k]] == y:
            kept[k, done[0, k] % kept.shape[1]] = cells[k]
            done[0, k] += 1
        while done[1, k] < count and stops[k, done[1, k]] == y:
            j = done[1, k]
            before = kept[k, j % kept.shape[1]]
            total = running.dtype.type(0)
            running[0] = total
            for c in range(before.size):
                total += cells[k, c] - before[c]
                running[c + 1] = total
            for i in range(left.shape[1]):
                windows[k, j, i] = np.float64(running[right[k, i]] - running[left[k, i]])
            done[1, k] += 1
        if done[1, k] < count:
            own = stops[k, done[1, k]]
            if done[0, k] < count:
                own = min(own, starts[k, done[0, k]])
            due = own if due < 0 else min(due, own)
    return due
