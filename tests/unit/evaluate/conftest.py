"""Hand-made estimates: the page and the verdict are tested apart from the scoring."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from parfocal.core.results import FocusCurve, FocusEstimate, Status, TileFocus
from parfocal.core.setup import OpticalSetup
from parfocal.core.stack import FocalStack

SETUP = OpticalSetup(na=0.5, wavelength_nm=550, pixel_um=0.5)


def _stack(name: str = "field", *, planes: int = 11, step_um: float = 2.0, **values: Any) -> Any:
    images = np.random.default_rng(0).integers(90, 4000, (planes, 48, 64)).astype(np.uint16)
    values = {"pixel_um": 0.5, "setup": SETUP, "source": f"/data/{name}.tif"} | values
    return FocalStack(images=images, z_um=np.arange(planes) * step_um, name=name, **values)


def _estimate(stack: FocalStack, *, status: str = "found", **values: Any) -> FocusEstimate:
    z = stack.z_um
    scores = np.exp(-(((np.arange(len(z)) - values.pop("peak", 4.25)) / 2.0) ** 2)) * 3e5
    curve = FocusCurve(z_um=z, scores=scores, measure="brenner", spread=scores * 0.02)
    common: dict[str, Any] = {"reason": "because", "curve": curve, "measure": "brenner"}
    if status == "found":
        common |= {"index": 4, "plane": 4.25, "interval_planes": (4.0, 4.5)}
        if stack.z_known:
            common |= {"z_um": 8.5, "interval_um": (8.0, 9.0)}
        tiles = np.array([[8.0, 9.0], [np.nan, 8.4]])
        common["tiles"] = TileFocus(z_um=tiles, weight=np.array([[1.0, 1], [0, 1]]), tile_px=24)
    return FocusEstimate(status=Status(status), **(common | values))


@pytest.fixture
def make_stack() -> Callable[..., FocalStack]:
    return _stack


@pytest.fixture
def make_estimate() -> Callable[..., FocusEstimate]:
    return _estimate
