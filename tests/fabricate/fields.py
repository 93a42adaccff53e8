"""Tilted and bumpy fields of known focus, and focus measured on them with errors."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from parfocal.drive.surface import FocusPoint

PITCH_UM = 1000.0
ACROSS = 12
Height = Callable[[NDArray, NDArray], NDArray]


def grid_um(across: int = ACROSS, pitch_um: float = PITCH_UM) -> NDArray:
    """Places (n, 2) of a square grid."""
    axis = pitch_um * np.arange(across)
    return np.stack([axis.ravel() for axis in np.meshgrid(axis, axis)], axis=-1)


def bumpy_field(seed: int, *, tilt_um_per_mm: float = 3.0, bump_um: float = 2.0) -> Height:
    """A tilted plane with six bumps, 1.5 to 4 mm wide: focus z in um over x and y in um."""
    generator = np.random.default_rng(seed)
    slopes = generator.uniform(-tilt_um_per_mm, tilt_um_per_mm, 2) / 1000.0
    size = ACROSS * PITCH_UM
    bumps = [
        (generator.uniform(0, size, 2), generator.uniform(1500, 4000), generator.normal(0, bump_um))
        for _ in range(6)
    ]

    def height(x_um: NDArray, y_um: NDArray) -> NDArray:
        z_um = 100.0 + slopes[0] * x_um + slopes[1] * y_um
        for (x, y), width, rise in bumps:
            z_um = z_um + rise * np.exp(-((x_um - x) ** 2 + (y_um - y) ** 2) / (2 * width**2))
        return z_um

    return height


def measured(
    height: Height, places: NDArray, seed: int, *, outlier_share: float = 0.0
) -> tuple[list[FocusPoint], NDArray]:
    """Focus at places with errors of 0.1 to 0.4 um and outliers 8 to 30 um off, and which are."""
    generator = np.random.default_rng(10_000 + seed)
    count = len(places)
    error = generator.uniform(0.1, 0.4, count)
    z_um = height(*places.T) + generator.normal(0, error)
    wrong = generator.random(count) < outlier_share
    jump = generator.choice([-1.0, 1.0], count) * generator.uniform(8, 30, count)
    z_um = np.where(wrong, z_um + jump, z_um)
    return focus_points(places, z_um, error), wrong


def focus_points(
    places: NDArray, z_um: Sequence[float] | NDArray, error_um: Sequence[float] | NDArray | float
) -> list[FocusPoint]:
    """Points with the 90 % interval of their standard error."""
    half = 1.645 * np.broadcast_to(error_um, np.shape(z_um))
    return [
        FocusPoint(x_um=x, y_um=y, z_um=z, interval_um=(z - h, z + h))
        for (x, y), z, h in zip(places.tolist(), list(map(float, z_um)), half.tolist(), strict=True)
    ]
