"""Widths that hold nine of ten errors, whatever a network's own doubt is worth."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

SHARE_INSIDE = 0.9
FLOORS = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5)
"""Least standard deviations that are tried."""


def conformal_quantile(values: NDArray[Any]) -> float:
    """The value that a further one stays below with a chance of 90 %; infinite if too few.

    Examples
    --------
    >>> conformal_quantile(np.arange(1.0, 10.0)), conformal_quantile(np.ones(8))
    (9.0, inf)
    """
    rank = math.ceil((len(values) + 1) * SHARE_INSIDE)
    return math.inf if rank > len(values) else float(np.sort(values)[rank - 1])


def likeliest_floor(size: NDArray[Any], spread: NDArray[Any]) -> float:
    """The floor of the spread under which errors of these sizes are likeliest."""
    return min(FLOORS, key=lambda floor: _misfit(size, np.hypot(spread, floor)))


def _misfit(size: NDArray[Any], scale: NDArray[Any]) -> float:
    """Less the likelihood of Laplace errors of these scales, times the best common factor."""
    return float(np.log(scale).mean() + np.log(np.maximum((size / scale).mean(), 1e-12)))
