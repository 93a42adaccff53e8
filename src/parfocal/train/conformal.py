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


def safest_floor(size: NDArray[Any], spread: NDArray[Any]) -> float:
    """The largest floor of the spread that is as likely as any, to one standard error.

    Where the errors do not tell, the larger floor is safer: it stands for what a microscope does
    that no network of the ensemble doubts.

    Examples
    --------
    >>> safest_floor(np.full(100, 0.3), np.linspace(0.28, 0.32, 100))
    0.5
    >>> safest_floor(np.linspace(0.01, 1.0, 100), np.linspace(0.01, 1.0, 100))
    0.02
    """
    costs = {floor: _misfits(size, np.hypot(spread, floor)) for floor in FLOORS}
    best = min(costs.values(), key=lambda cost: float(cost.mean()))
    as_good = [
        floor
        for floor, cost in costs.items()
        if (cost - best).mean() <= (cost - best).std() / math.sqrt(len(size))
    ]
    return max(as_good)


def _misfits(size: NDArray[Any], scale: NDArray[Any]) -> NDArray[Any]:
    """Less the likelihood of each as a Laplace error of its scale, times the best common factor."""
    ratio = size / scale
    costs: NDArray[Any] = np.log(scale) + ratio / max(float(ratio.mean()), 1e-12)
    costs += math.log(max(float(ratio.mean()), 1e-12))
    return costs
