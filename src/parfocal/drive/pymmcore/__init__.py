"""Drive Micro-Manager cores through pymmcore-plus (extra ``mm``): the one address of both."""

from __future__ import annotations

from parfocal.core.errors import MissingExtraError

try:
    import pymmcore_plus as _pymmcore_plus  # noqa: F401
    import useq as _useq  # noqa: F401
except ImportError as error:
    raise MissingExtraError("Driving a Micro-Manager core", "mm") from error

from parfocal.drive.pymmcore.acquisition import AcquisitionReport, FocusRecord, FrameRecord
from parfocal.drive.pymmcore.autofocus import Autofocus, AutofocusCalls, AutofocusCore
from parfocal.drive.pymmcore.connect import CoreMicroscope, connect
from parfocal.drive.pymmcore.engine import FocusEngine
from parfocal.drive.pymmcore.settings import EngineSettings

__all__ = [
    "AcquisitionReport",
    "Autofocus",
    "AutofocusCalls",
    "AutofocusCore",
    "CoreMicroscope",
    "EngineSettings",
    "FocusEngine",
    "FocusRecord",
    "FrameRecord",
    "connect",
]
