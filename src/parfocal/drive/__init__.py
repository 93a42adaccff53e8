"""Move a microscope to focus, safely."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from parfocal.drive.auto import AutoSearch
from parfocal.drive.bayes import BayesianSearch
from parfocal.drive.brent import BrentSearch, GoldenSearch
from parfocal.drive.chain import AnySearch, ChainSearch, parse_search
from parfocal.drive.checks import judge
from parfocal.drive.climb import HillClimbSearch
from parfocal.drive.drift import DriftPoint, DriftSettings, DriftTracker
from parfocal.drive.focus_points import FocusPoint, SurfaceSettings
from parfocal.drive.gate import Gate
from parfocal.drive.hold import HoldReport, HoldSettings, hold
from parfocal.drive.light_sheet import SheetFocus
from parfocal.drive.limits import Limits
from parfocal.drive.loop import autofocus
from parfocal.drive.one_shot import PredictorSearch
from parfocal.drive.positions import Position, in_focus, read_positions, write_positions
from parfocal.drive.record import FocusReport
from parfocal.drive.search import Eye, Proposal, Search
from parfocal.drive.shots import Sharpness, Shot
from parfocal.drive.surface import FocusSurface
from parfocal.drive.sweeps import (
    CoarseFineSearch,
    ContinuousSweepSearch,
    EarlyStopSearch,
    SweepSearch,
)

__all__ = [
    "AnySearch",
    "AutoSearch",
    "BayesianSearch",
    "BrentSearch",
    "ChainSearch",
    "CoarseFineSearch",
    "ContinuousSweepSearch",
    "DriftPoint",
    "DriftSettings",
    "DriftTracker",
    "EarlyStopSearch",
    "Eye",
    "FocusPoint",
    "FocusReport",
    "FocusSurface",
    "Gate",
    "GoldenSearch",
    "HillClimbSearch",
    "HoldReport",
    "HoldSettings",
    "Limits",
    "Position",
    "PredictorSearch",
    "Proposal",
    "Search",
    "Sharpness",
    "SheetFocus",
    "Shot",
    "SurfaceSettings",
    "SweepSearch",
    "autofocus",
    "hold",
    "in_focus",
    "judge",
    "parse_search",
    "read_positions",
    "write_positions",
]


def __getattr__(name: str) -> ModuleType:
    """Import ``drive.pymmcore`` when it is first asked for: it needs the extra ``mm``."""
    if name == "pymmcore":
        return import_module("parfocal.drive.pymmcore")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
