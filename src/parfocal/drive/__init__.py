"""Move a microscope to focus, safely."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from parfocal.drive.brent import BrentSearch, GoldenSearch
from parfocal.drive.chain import AnySearch, ChainSearch, parse_search
from parfocal.drive.checks import judge
from parfocal.drive.climb import HillClimbSearch
from parfocal.drive.gate import Gate
from parfocal.drive.limits import Limits
from parfocal.drive.loop import autofocus
from parfocal.drive.one_shot import PredictorSearch
from parfocal.drive.record import FocusReport
from parfocal.drive.search import Eye, Proposal, Search
from parfocal.drive.shots import Sharpness, Shot
from parfocal.drive.sweeps import (
    CoarseFineSearch,
    ContinuousSweepSearch,
    EarlyStopSearch,
    SweepSearch,
)

__all__ = [
    "AnySearch",
    "BrentSearch",
    "ChainSearch",
    "CoarseFineSearch",
    "ContinuousSweepSearch",
    "EarlyStopSearch",
    "Eye",
    "FocusReport",
    "Gate",
    "GoldenSearch",
    "HillClimbSearch",
    "Limits",
    "PredictorSearch",
    "Proposal",
    "Search",
    "Sharpness",
    "Shot",
    "SweepSearch",
    "autofocus",
    "judge",
    "parse_search",
]


def __getattr__(name: str) -> ModuleType:
    """Import ``drive.pymmcore`` when it is first asked for: it needs the extra ``mm``."""
    if name == "pymmcore":
        return import_module("parfocal.drive.pymmcore")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
