"""parfocal: keep a microscope in focus, and rescue images that are not.

Public names are loaded when they are first used, so that ``import parfocal`` and
``parfocal --help`` stay fast.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from parfocal import (
        drive,
        io,
        measures,
        models,
        optics,
        predict,
        refocus,
        score,
        segment,
        simulate,
    )
    from parfocal.core.errors import ParfocalError
    from parfocal.core.results import (
        DefocusEstimate,
        DefocusMap,
        DepthMap,
        FocusCurve,
        FocusEstimate,
        FocusMasks,
        FocusQuality,
        Fused,
        PatchDefocus,
        Refocused,
        Status,
        TileFocus,
    )
    from parfocal.core.setup import OpticalSetup
    from parfocal.core.stack import FocalStack
    from parfocal.io.opening import open_stack

__version__ = "0.1.0"

_ADDRESSES = {
    "DefocusEstimate": "parfocal.core.results",
    "DefocusMap": "parfocal.core.results",
    "DepthMap": "parfocal.core.results",
    "FocalStack": "parfocal.core.stack",
    "FocusCurve": "parfocal.core.results",
    "FocusEstimate": "parfocal.core.results",
    "FocusMasks": "parfocal.core.results",
    "FocusQuality": "parfocal.core.results",
    "Fused": "parfocal.core.results",
    "OpticalSetup": "parfocal.core.setup",
    "ParfocalError": "parfocal.core.errors",
    "PatchDefocus": "parfocal.core.results",
    "Refocused": "parfocal.core.results",
    "Status": "parfocal.core.results",
    "TileFocus": "parfocal.core.results",
    "open_stack": "parfocal.io.opening",
}
_ROOMS = (
    "drive", "io", "measures", "models", "optics", "predict", "refocus", "score", "segment",
    "simulate",
)  # fmt: skip

__all__ = [
    "DefocusEstimate",
    "DefocusMap",
    "DepthMap",
    "FocalStack",
    "FocusCurve",
    "FocusEstimate",
    "FocusMasks",
    "FocusQuality",
    "Fused",
    "OpticalSetup",
    "ParfocalError",
    "PatchDefocus",
    "Refocused",
    "Status",
    "TileFocus",
    "drive",
    "io",
    "measures",
    "models",
    "open_stack",
    "optics",
    "predict",
    "refocus",
    "score",
    "segment",
    "simulate",
]


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return import_module(f"parfocal.{name}")
    if name in _ADDRESSES:
        return getattr(import_module(_ADDRESSES[name]), name)
    raise AttributeError(f"module 'parfocal' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
