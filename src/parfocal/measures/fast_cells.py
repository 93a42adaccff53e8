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
from numba import types
from numba.extending import overload

from parfocal.measures.fast_compile import compiled

MOST_ROWS = 4096
FEW_ROWS = 16


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
def add_up(acc, k, kept, split, place):
    """Sums of feature k since ``kept``: over all columns before each cut."""
    scratch, cuts, running = place
    width = scratch.size
    low, kept_low = acc[2 * k], kept[0]
    if split:
        high, kept_high = acc[2 * k + 1], kept[1]
        for x in range(width):
            scratch[x] = fold(low[x] - kept_low[x], high[x] - kept_high[x])
    else:
        for x in range(width):
            scratch[x] = fold(low[x] - kept_low[x], 0)
    total = scratch.dtype.type(0)
    running[0] = total
    for j in range(cuts.size - 1):
        cell = scratch[cuts[j] : cuts[j + 1]]
        inside = scratch.dtype.type(0)  # its own sum, so that it need not wait for the total
        for x in range(cell.size):
            inside += cell[x]
        total += inside
        running[j + 1] = total


@compiled
@no_type_check
def restart(state):
    """Forget the plane before."""
    part, acc, _, _, done, _, _ = state
    part[:] = 0
    acc[:] = 0
    done[:] = 0


@compiled
@no_type_check
def advance(y, state, down, across, windows):
    """Start and stop the windows due at row y; the next row at which any is due, or -1.

    ``down`` holds starts and stops of windows along y, (k, n), not falling. ``across`` holds the
    columns at which any window starts or stops, and which of these are starts and stops of
    each, (k, n). ``windows`` (k, j, i) takes the sums. ``state`` holds sums of a few rows and
    accumulators, both (2 k, x); room for those of windows under way (k, slot, 2, x); whether
    each feature is in two halves (k); how many of its windows have started and stopped (2, k);
    and room for sums of columns (x) and up to each cut.
    """
    _, acc, kept, split, done, scratch, running = state
    starts, stops = down
    cuts, left, right = across
    place = scratch, cuts, running
    count = starts.shape[1]
    due = -1
    for k in range(starts.shape[0]):
        while done[0, k] < count and starts[k, done[0, k]] == y:
            keep(acc, k, split[k], kept[k, done[0, k] % kept.shape[1]], scratch.size)
            done[0, k] += 1
        while done[1, k] < count and stops[k, done[1, k]] == y:
            j = done[1, k]
            add_up(acc, k, kept[k, j % kept.shape[1]], split[k], place)
            for i in range(left.shape[1]):
                windows[k, j, i] = np.float64(running[right[k, i]] - running[left[k, i]])
            done[1, k] += 1
        if done[1, k] < count:
            own = stops[k, done[1, k]]
            if done[0, k] < count:
                own = min(own, starts[k, done[0, k]])
            due = own if due < 0 else min(due, own)
    return due
