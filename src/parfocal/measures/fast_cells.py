"""From row accumulators to window sums: snapshots along y, running sums along x.

A pass adds image rows into accumulators (2 k, x), one pair for each feature, and never clears
them. When a row of windows starts, their state is put aside; when it stops, the difference is
what the window rows hold, and running sums along x give every window. Each pixel is read once,
whatever the size of the window.

Accumulators are float64, or, for the integer features of integer images, uint32: values, or
squares in two halves of 16 bits. Unsigned numbers wrap, and a difference of wrapped sums is exact
as long as the window's own sum fits: up to ``MOST_ROWS`` rows of 19 bits, which is the widest.
"""

from __future__ import annotations

from typing import no_type_check

import numpy as np
from numba import njit, types
from numba.extending import overload

MOST_ROWS = 4096

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


@compiled
@no_type_check
def keep(acc, k, kept):
    """Put the accumulators of feature k aside."""
    low, high, kept_low, kept_high = acc[2 * k], acc[2 * k + 1], kept[0], kept[1]
    for x in range(low.size):
        kept_low[x] = low[x]
    for x in range(high.size):
        kept_high[x] = high[x]


@compiled
@no_type_check
def close(acc, k, kept, running, left, right, windows):
    """Sums of feature k since ``kept``, over columns left[i] up to right[i] of each window i."""
    low, high, kept_low, kept_high = acc[2 * k], acc[2 * k + 1], kept[0], kept[1]
    for x in range(low.size):
        running[x] = fold(low[x] - kept_low[x], high[x] - kept_high[x])
    # running[x] becomes the sum of the columns before x; by fours, or each add would wait for
    # the one before.
    running[low.size] = 0
    total = running.dtype.type(0)
    x = 0
    while x + 4 <= low.size:
        a, b, c, d = running[x], running[x + 1], running[x + 2], running[x + 3]
        pair = a + b
        running[x] = total
        running[x + 1] = total + a
        running[x + 2] = total + pair
        running[x + 3] = total + (pair + c)
        total += pair + (c + d)
        x += 4
    while x <= low.size:
        a = running[x]
        running[x] = total
        total += a
        x += 1
    for i in range(left.size):
        windows[i] = np.float64(running[right[i]] - running[left[i]])


@compiled
@no_type_check
def advance(y, state, down, across, windows):
    """Start and stop the windows due at row y; the next row at which any is due, or -1.

    ``state`` holds the accumulators (2 k, x); room for those of windows under way (k, slot, 2,
    x); how many windows of each feature have started and stopped (2, k); and room for running
    sums (1 + x). Starts and stops of windows along y (``down``) and along x (``across``) are
    (k, n), not falling; ``windows`` (k, j, i) takes the sums.
    """
    acc, kept, done, running = state
    starts, stops = down
    left, right = across
    due = -1
    for k in range(starts.shape[0]):
        while done[0, k] < starts.shape[1] and starts[k, done[0, k]] == y:
            keep(acc, k, kept[k, done[0, k] % kept.shape[1]])
            done[0, k] += 1
        while done[1, k] < stops.shape[1] and stops[k, done[1, k]] == y:
            j = done[1, k]
            close(acc, k, kept[k, j % kept.shape[1]], running, left[k], right[k], windows[k, j])
            done[1, k] += 1
        if done[1, k] < stops.shape[1]:
            own = stops[k, done[1, k]]
            if done[0, k] < starts.shape[1]:
                own = min(own, starts[k, done[0, k]])
            due = own if due < 0 else min(due, own)
    return due
