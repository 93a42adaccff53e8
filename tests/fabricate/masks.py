"""Masks of known shape, and stacks to which they belong."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from parfocal.core.masks import FocusMasks
from parfocal.core.stack import FocalStack
from parfocal.core.status import Status


def masks_of(drawn: NDArray[np.bool_], *, step_um: float = 1.0, **more: Any) -> FocusMasks:
    """Masks that were found; z rises evenly from 0 unless it is given."""
    values = {
        "status": Status.FOUND, "reason": "drawn by hand", "masks": drawn, "method": "by hand",
        "z_um": step_um * np.arange(float(len(drawn))), "pixel_um": 0.5,
    }  # fmt: skip
    return FocusMasks(**(values | more))


def declined(shape: tuple[int, int, int], status: Status = Status.BLANK) -> FocusMasks:
    """Masks that are no answer."""
    return masks_of(np.zeros(shape, dtype=bool), status=status, reason="nothing to see there")


def ball(
    shape: tuple[int, int, int], radius_um: float, z_um: NDArray[np.float64], pixel_um: float
) -> NDArray[np.float64]:
    """Distance to the surface of a ball in the middle, in um; positive inside."""
    _, size_y, size_x = shape
    y, x = np.mgrid[:size_y, :size_x] * pixel_um
    middle = (z_um.min() + z_um.max()) / 2, y.mean(), x.mean()
    far = (z_um[:, None, None] - middle[0]) ** 2 + (y - middle[1]) ** 2 + (x - middle[2]) ** 2
    return radius_um - np.sqrt(far)


def tilted_stack(planes: int = 9, size: int = 48, *, seed: int = 0) -> tuple[FocalStack, Any]:
    """Noise that is rough along a slope from the first plane to the last, and its true mask."""
    rng = np.random.default_rng(seed)
    height = np.broadcast_to(np.linspace(1, planes - 2, size), (size, size))
    z = np.arange(planes)[:, None, None]
    mask = np.abs(z - height) <= 0.75
    counts = 200 + rng.normal(0, 2, (planes, size, size)) + mask * rng.normal(0, 60, (size, size))
    stack = FocalStack.of(
        counts.clip(0).astype(np.uint16), z_step_um=2.0, pixel_um=0.5, name="slope"
    )
    return stack, masks_of(mask, step_um=2.0)
