"""From row accumulators to window sums: cells between window borders, then running sums.

The borders of all windows cut the image into cells, at most two for each stride and axis. A
measure's row loop adds the rows of one row of cells; ``flush`` sums them along x into windows;
``close_windows`` sums the rows of cells along y. Every pixel is read once.
"""

from __future__ import annotations

from typing import no_type_check

import numpy as np
from numba import njit

from parfocal.measures.fast_rows import inlined

compiled = njit(nogil=True, cache=True)


@inlined
@no_type_check
def new_rows(image, across, sums):
    """Row accumulators (k, x), and one running sum per cut along x."""
    return np.zeros((sums.shape[1], image.shape[1])), np.empty(across[0].size, sums.dtype)


@inlined
@no_type_check
def flush(acc, across, running, sums):
    """Move row accumulators (k, x) into window sums along x (k, i), and clear them.

    Window i of feature k lies from cut ``left[k, i]`` to cut ``right[k, i]``.
    """
    cuts, left, right = across
    for k in range(acc.shape[0]):
        values = acc[k]
        running[0] = 0
        for j in range(cuts.size - 1):
            x, stop = cuts[j], cuts[j + 1]
            total = 0.0
            while x + 4 <= stop:
                total += (values[x] + values[x + 1]) + (values[x + 2] + values[x + 3])
                x += 4
            while x < stop:
                total += values[x]
                x += 1
            running[j + 1] = total
        for j in range(cuts.size - 1):
            running[j + 1] += running[j]
        values[:] = 0.0
        for i in range(left.shape[1]):
            sums[k, i] = running[right[k, i]] - running[left[k, i]]


@compiled
@no_type_check
def close_windows(sums, top, bottom, windows):
    """Add rows of cells (1 + n, k, i) along y: window j runs from cut top[k, j] to bottom[k, j]."""
    for j in range(1, sums.shape[0]):
        for k in range(sums.shape[1]):
            for i in range(sums.shape[2]):
                sums[j, k, i] += sums[j - 1, k, i]
    for k in range(windows.shape[0]):
        for j in range(windows.shape[1]):
            low, high = sums[top[k, j], k], sums[bottom[k, j], k]
            for i in range(windows.shape[2]):
                windows[k, j, i] = np.float64(high[i] - low[i])
