"""The read floor: adding up all pixels of a stack, once, by as many threads as a map uses."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from parfocal.measures.fast_threads import run_shared


@njit(nogil=True, cache=True)
def _sum(plane):  # type: ignore[no-untyped-def]
    total = np.uint64(0)
    for y in range(plane.shape[0]):
        row = plane[y]
        part = np.uint32(0)
        for x in range(row.size):
            part += np.uint32(row[x])
        total += np.uint64(part)
    return total


def read_once(stack: NDArray[Any]) -> int:
    """Sum of a stack of integers (z, y, x)."""
    sums: list[int] = []
    run_shared(lambda plane: sums.append(int(_sum(plane))), list(stack))
    return sum(sums)
