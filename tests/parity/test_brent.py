"""Brent's points are those of scipy's bounded minimiser; golden sections narrow as they must."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from parfocal.drive.brent import GOLDEN, brent_steps, golden_steps

CURVES = {
    "parabola": lambda z: -((z - 3.3) ** 2),
    "peak": lambda z: (1 + ((z - 6.1) / 0.8) ** 2) ** -2,
    "edge": lambda z: z,
    "falling": lambda z: -z,
    "two": lambda z: np.exp(-((z - 2) ** 2)) + 1.2 * np.exp(-((z - 7) ** 2)),
    "constant": lambda z: 1.0,
    "kink": lambda z: -abs(z - 4.4),
    "rough": lambda z: np.sin(9 * z) + 0.1 * z,
}


def _visited(steps, curve):
    points = [next(steps)]
    while True:
        try:
            points.append(steps.send(float(curve(points[-1]))))
        except StopIteration:
            return points


@pytest.mark.parametrize("tolerance", [0.1, 0.01, 1e-4])
@pytest.mark.parametrize("name", CURVES)
def test_brent_visits_the_points_of_scipy(name, tolerance):
    visited = []

    def negative(z):
        visited.append(float(z))
        return -CURVES[name](z)

    minimize_scalar(negative, bounds=(0, 10), method="bounded", options={"xatol": tolerance})
    ours = _visited(brent_steps(0.0, 10.0, tolerance), CURVES[name])
    assert ours == pytest.approx(visited, abs=1e-9)


def test_golden_sections_narrow_by_the_golden_ratio():
    points = _visited(golden_steps(0.0, 10.0, 0.01), CURVES["peak"])
    assert abs(points[-1] - 6.1) < 0.05
    expected = np.log(0.02 / 10.0) / np.log(1 - GOLDEN)
    assert abs(len(points) - 1 - expected) <= 1.5
