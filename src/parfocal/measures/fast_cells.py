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

A ``job`` is a plane and its rows of windows, first and last. The ``lattice`` holds starts and
stops of the windows of each feature along y, (k, n), not falling; the columns at which any of its
windows starts or stops (k, c), and the number of cells between these (k); which of them are
starts and stops of each window, (k, n); and one over the number of features of a window, along y
and x, (k, n). The ``state`` of a thread holds the accumulators (2 k, x), twice: the second are for
squares of small numbers in one half; cells (k, c); room for those of windows under way
(k, slot, c); whether each feature is in two halves (k); how many of its windows have started and
stopped (2, k); the row at which its accumulators were clear (k); and room for the sums up to each
column.
"""

from __future__ import annotations

from typing import no_type_check

import numpy as np
from numba import njit, types
from numba.extending import intrinsic, overload

from parfocal.measures.fast_compile import compiled
from parfocal.measures.fast_lanes import sum_few

inlined = njit(inline="always")

FEW_ROWS = 16
SMALL = 2**14
"""Squares of numbers below this, or of their differences, may be added up ``FEW_ROWS`` times."""


@inlined
@no_type_check
def _cell(row, first, stop):
    total = sum_few(row, first, stop)
    for x in range(first + 16, stop, 16):
        total += sum_few(row, x, stop)
    return total


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


@intrinsic
@no_type_check
def _next_of(context, turn):
    """Count on, and return the count before, whatever other threads do meanwhile."""

    def generate(context, builder, signature, values):
        array = context.make_array(signature.args[0])(context, builder, values[0])
        one = context.get_constant(types.int64, 1)
        return builder.atomic_rmw("add", array.data, one, "monotonic")

    return types.int64(turn), generate


@inlined
@no_type_check
def take(jobs):
    """A job that no thread has begun: a plane, and its rows of windows; or -1."""
    turn, table = jobs
    number = _next_of(turn)
    if number >= table.shape[0]:
        return np.int64(-1), np.int64(0), np.int64(0)
    return table[number, 0], table[number, 1], table[number, 2]


@compiled
@no_type_check
def begin(job, lattice, state):
    """Forget the plane before; the first row at which a window starts."""
    starts = lattice[0]
    part, _, cells, _, _, done, since, _ = state
    part[:] = 0
    cells[:] = 0
    done[:] = job[1]
    y = starts[0, job[1]]
    for k in range(starts.shape[0]):
        y = min(y, starts[k, job[1]])
    since[:] = y
    return y


@inlined
@no_type_check
def _due(k, job, starts, stops, done):
    """The next row at which a window of feature k starts or stops."""
    row = stops[k, done[1, k]]
    if done[0, k] < job[2]:
        row = min(row, starts[k, done[0, k]])
    return row


@compiled
@no_type_check
def gather(y, job, lattice, state, in_halves):
    """Add accumulators to their cells, and clear them, as far as row y makes that necessary."""
    starts, stops, cuts, widths, _, _, _, _ = lattice
    part, _, cells, _, split, done, since, _ = state
    for k in range(cells.shape[0]):
        halves = in_halves and split[k]
        waits = y - since[k] < FEW_ROWS and not split[k] and done[1, k] < job[2]
        if waits and _due(k, job, starts, stops, done) != y:
            continue
        since[k] = y
        low, high, own, borders = part[2 * k], part[2 * k + 1], cells[k], cuts[k]
        if halves:
            for c in range(widths[k]):
                total = _cell(high, borders[c], borders[c + 1]) * own.dtype.type(65536)
                own[c] += total + _cell(low, borders[c], borders[c + 1])
            high[:] = 0
        else:
            for c in range(widths[k]):
                own[c] += _cell(low, borders[c], borders[c + 1])
        low[:] = 0


@compiled
@no_type_check
def advance(y, job, lattice, state, means):
    """Start and stop the windows due at row y; the next row at which any is due, or -1."""
    starts, stops, _, widths, left, right, per_row, per_column = lattice
    _, _, cells, kept, _, done, _, running = state
    due = -1
    for k in range(starts.shape[0]):
        while done[0, k] < job[2] and starts[k, done[0, k]] == y:
            kept[k, done[0, k] % kept.shape[1]] = cells[k]
            done[0, k] += 1
        while done[1, k] < job[2] and stops[k, done[1, k]] == y:
            j = done[1, k]
            before = kept[k, j % kept.shape[1]]
            total = running.dtype.type(0)
            running[0] = total
            for c in range(widths[k]):
                total += cells[k, c] - before[c]
                running[c + 1] = total
            row = means[k, job[0], j]
            for i in range(left.shape[1]):
                held = np.float64(running[right[k, i]] - running[left[k, i]])
                row[i] = held * per_row[k, j] * per_column[k, i]
            done[1, k] += 1
        if done[1, k] < job[2]:
            own = _due(k, job, starts, stops, done)
            due = own if due < 0 else min(due, own)
    return due
