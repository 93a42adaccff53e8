"""The microscope that a call names: simulated, real, or a run that was saved."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parfocal.cli.drive_request import DriveRequest
from parfocal.cli.exits import CallError
from parfocal.core.errors import InputError, LimitsError, ReadError
from parfocal.core.protocols import Microscope
from parfocal.core.setup import OpticalSetup
from parfocal.drive.limits import Limits
from parfocal.drive.record import FocusReport
from parfocal.evaluate.replay import ReplayMicroscope, record_limits

# What a simulated stage may do unless the call says otherwise, and where it starts in that.
VIRTUAL_RANGE_UM, VIRTUAL_START = (-30.0, 30.0), 0.7


@dataclass(frozen=True, eq=False, kw_only=True)
class Opened:
    """A microscope ready to be driven.

    ``truth`` tells where focus really is, for a simulated one.
    """

    scope: Microscope
    name: str
    limits: Limits
    setup: OpticalSetup | None
    truth: Any = None
    record: FocusReport | None = None
    session: dict[str, Any] | None = None


def open_microscope(request: DriveRequest) -> Opened:
    """Open it, without moving it.

    Raises
    ------
    CallError
        If there is no such microscope, or the limits or optics contradict themselves.
    """
    if request.virtual is not None:
        return _virtual(request)
    if request.replay is not None:
        return _replayed(request, request.replay)
    return _real(request)


def make_limits(given: dict[str, Any], **otherwise: Any) -> Limits:
    """Limits of the call, with other values where it gives none."""
    values = {**otherwise, **{name: value for name, value in given.items() if value is not None}}
    try:
        return Limits.of(**values)
    except LimitsError as error:
        raise CallError(str(error)) from error


def make_setup(given: dict[str, Any], other: OpticalSetup | None) -> OpticalSetup | None:
    """Optics of the call over those that the microscope knows; None where they are incomplete."""
    named = {name: value for name, value in given.items() if value is not None}
    if not named:
        return other
    values = {**({} if other is None else other.model_dump(exclude_none=True)), **named}
    missing = {"na", "wavelength_nm", "pixel_um"} - set(values)
    if missing:
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in sorted(missing))
        raise CallError(f"the optics are incomplete: give {flags} too, or none of them.")
    try:
        return OpticalSetup.of(**values)
    except InputError as error:
        raise CallError(str(error)) from error


def _virtual(request: DriveRequest) -> Opened:
    from parfocal.simulate.microscope import VirtualMicroscope

    low, high = VIRTUAL_RANGE_UM
    limits = make_limits(request.limits, z_min_um=low, z_max_um=high)
    if request.task == "sequence":
        return _virtual_core(request, limits)
    try:
        scope = VirtualMicroscope(str(request.virtual), seed=request.seed)
    except InputError as error:
        raise CallError(str(error)) from error
    start_um = request.start_um
    if start_um is None:
        start_um = limits.low_um + VIRTUAL_START * (limits.high_um - limits.low_um)
    if not limits.allow(start_um):
        raise CallError(
            f"--start-um {start_um:g} lies outside the limits, {limits.low_um:g} to "
            f"{limits.high_um:g} um."
        )
    scope.move_to_um(start_um)
    return Opened(
        scope=scope,
        name=f"simulated {request.virtual}, seed {request.seed}",
        limits=limits,
        setup=make_setup(request.optics, scope.setup),
        truth=scope.truth,
    )


def _virtual_core(request: DriveRequest, limits: Limits) -> Opened:
    """The simulated microscope as a Micro-Manager core, which runs sequences."""
    from parfocal.drive.pymmcore import connect
    from parfocal.simulate.pymmcore import config_path
    from parfocal.simulate.worlds import world_preset

    try:
        world = world_preset(str(request.virtual))
    except InputError as error:
        raise CallError(str(error)) from error
    shipped = config_path().read_text(encoding="utf-8").splitlines()
    group = "#py ConfigGroup,Channel,"
    own = {"#py Property,World,Preset,": str(request.virtual),
           "#py Property,World,Seed,": str(request.seed),
           "PixelSize_um,20x,": f"{world.setup.pixel_um:g}"}  # fmt: skip
    lines = [
        next((start + value for start, value in own.items() if line.startswith(start)), line)
        for line in shipped
        if not line.startswith(group)
    ]
    first = lines.index("Property,Core,ChannelGroup,Channel")
    names = [channel.name for channel in world.channels]
    lines[first:first] = [f"{group}{name},Filter,Label,{name}" for name in names]
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "virtual.cfg"
        place.write_text("\n".join(lines) + "\n", encoding="utf-8")
        scope = connect(place)
    return Opened(
        scope=scope,
        name=f"simulated {request.virtual}, seed {request.seed}",
        limits=limits,
        setup=make_setup(request.optics, world.setup),
    )


def _real(request: DriveRequest) -> Opened:
    from parfocal.drive.pymmcore import connect

    limits = make_limits(request.limits)
    setup = make_setup(request.optics, None)
    scope = connect(str(request.config))
    return Opened(scope=scope, name=str(request.config), limits=limits, setup=setup)


def _replayed(request: DriveRequest, folder: Path) -> Opened:
    record = FocusReport.load(folder / "record.json")
    session = read_session(folder)
    setup = make_setup(request.optics, session_setup(session))
    scope = ReplayMicroscope.of_record(record, setup=setup)
    return Opened(
        scope=scope,
        name=f"replay of {folder}",
        limits=record_limits(record),
        setup=setup,
        record=record,
        session=session,
    )


def read_session(folder: Path) -> dict[str, Any]:
    """What was saved beside a record: optics, measure, region, microscope.

    Raises
    ------
    ReadError
        If it is there and cannot be read.
    """
    place = folder / "session.json"
    if not place.is_file():
        return {}
    try:
        session: dict[str, Any] = json.loads(place.read_text(encoding="utf-8"))
        session_setup(session)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise ReadError(f"{place} is not a readable session: {error}") from error
    return session


def session_setup(session: dict[str, Any]) -> OpticalSetup | None:
    """Optics of a saved session."""
    values = session.get("setup")
    return None if values is None else OpticalSetup.of(**values)
