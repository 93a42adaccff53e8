"""From row accumulators to window sums: snapshots along y, running sums along x.

A pass adds image rows into accumulators (2 k, x), one pair for each feature, and never clears
them. When a row of windows starts, their state is put aside; when it stops, the difference is
what the window rows hold, and running sums along x give every window. Each pixel is read once,
whatever the size of the window.

Accumulators are uint32, for whole numbers: values, or squares in two halves of 16 bits. Unsigned
numbers wrap, and a difference of wrapped sums is exact as long as the window's own sum fits: up
to ``MOST_ROWS`` rows of 20 bits. Else they are float64; integer images then go through float32
sums of ``FEW_ROWS`` rows, whose rounding is less than that of the score itself.
"""

from __future__ import annotations

from typing import no_type_check

import numpy as np
from numba import njit, types
from numba.extending import overload

MOST_ROWS = 4096
FEW_ROWS = 16

# Sums may be reordered, so that loops use vector registers; NaN and infinity keep their meaning.
FAST = {"reassoc", "contract", "nsz"}
compiled = njit(nogil=True, cache=True, fastmath=FAST, error_model="numpy")


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
    return lambda low, high: low


@no_type_check
def spill(part, acc, width):
    """Add sums of a few rows to the accumulators, and clear them; nothing if they are the same."""
    raise NotImplementedError


@overload(spill, inline="always")
@no_type_check
def _spill(part, acc, width):
    if part.dtype == acc.dtype:
        return lambda part, acc, width: None

    def add(part, acc, width):
        for k in range(0, acc.shape[0], 2):
            few, many = part[k], acc[k]
            for x in range(width):
                many[x] += few[x]
                few[x] = 0

    return add


@compiled
@no_type_check
def keep(acc, k, split, kept, width):
    """Put the accumulators of feature k aside."""
    for half in range(2 if split else 1):
        values, own = acc[2 * k + half], kept[half]
        for x in range(width):
            own[x] = values[x]


@compiled
@no_type_check
def add_up(acc, k, split, kept, running):
    """Sums of feature k since ``kept``, over all columns before each."""
    width = running.size - 1
    low, kept_low = acc[2 * k], kept[0]
    if split:
        high, kept_high = acc[2 * k + 1], kept[1]
        for x in range(width):
            running[x] = fold(low[x] - kept_low[x], high[x] - kept_high[x])
    else:
        for x in range(width):
            running[x] = fold(low[x] - kept_low[x], 0)
    running[width] = 0
    # By fours, or each addition would wait for the one before.
    total = running.dtype.type(0)
    x = 0
    while x + 4 <= width:
        a, b, c, d = running[x], running[x + 1], running[x + 2], running[x + 3]
        pair = a + b
        running[x] = total
        running[x + 1] = total + a
        running[x + 2] = total + pair
        running[x + 3] = total + (pair + c)
        total += pair + (c + d)
        x += 4
    while x <= width:
        a = running[x]
        running[x] = total
        total += a
        x += 1


@compiled
@no_type_check
def advance(y, state, down, across, windows):
    """Start and stop the windows due at row y; the next row at which any is due, or -1.

    ``state`` holds sums of a few rows, and the accumulators, both (2 k, x); room for those of
    windows under way (k, slot, 2, x); whether each feature is in two halves (k); how many of its
    windows have started and stopped (2, k); and room for running sums (1 + x). Starts and stops
    of windows along y (``down``) and along x (``across``) are (k, n), not falling; ``windows``
    (k, j, i) takes the sums.
    """
    _, acc, kept, split, done, running = state
    starts, stops = down
    left, right = across
    count = starts.shape[1]
    due = -1
    for k in range(starts.shape[0]):
        while done[0, k] < count and starts[k, done[0, k]] == y:
            keep(acc, k, split[k], kept[k, done[0, k] % kept.shape[1]], running.size - 1)
            done[0, k] += 1
        while done[1, k] < count and stops[k, done[1, k]] == y:
            j = done[1, k]
            add_up(acc, k, split[k], kept[k, j % kept.shape[1]], running)
            for i in range(left.shape[1]):
                windows[k, j, i] = np.float64(running[right[k, i]] - running[left[k, i]])
            done[1, k] += 1
        if done[1, k] < count:
            own = stops[k, done[1, k]]
            if done[0, k] < count:
                own = min(own, starts[k, done[0, k]])
            due = own if due < 0 else min(due, own)
    return due
