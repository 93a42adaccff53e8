"""``parfocal drive --sequence``: run a useq sequence whose autofocus plans focus by images."""

from __future__ import annotations

from typing import Any

from parfocal.cli.drive_outputs import print_json, say, write_page
from parfocal.cli.drive_request import DriveRequest
from parfocal.cli.exits import DONE, SOME_FAILED
from parfocal.cli.microscopes import Opened
from parfocal.drive.search import Search
from parfocal.evaluate.drive_page import FocusRun


def run_sequence(request: DriveRequest, opened: Opened, search: Search) -> int:
    """Run it, saying one line an event, and give the account."""
    from parfocal.drive.pymmcore import FocusEngine
    from parfocal.drive.pymmcore.sequences import load_sequence

    began_s: list[float] = []

    def show(record: Any) -> None:
        began_s.append(record.time_s)
        if not request.as_json:
            say(event_line(record, began_s[0]))

    scope: Any = opened.scope
    engine = FocusEngine(
        scope,
        limits=opened.limits,
        search=search,
        measure=request.measure,
        setup=opened.setup,
        on_record=show,
    )
    account = engine.run(
        load_sequence(str(request.sequence)), output=_output(request), overwrite=request.overwrite
    )
    if request.as_json:
        print_json("sequence", microscope=opened.name, acquisition=account.to_dict())
    else:
        for line in account.summary().splitlines():
            say(line)
    runs = [
        FocusRun(name=f"focus run {number}", report=report, setup=opened.setup)
        for number, report in sorted(account.focus_runs.items())
    ]
    write_page(request, opened, runs)
    return DONE if account.ended == "done" and not account.lost else SOME_FAILED


def _output(request: DriveRequest) -> str | None:
    return None if request.frames is None else str(request.frames)


def event_line(record: Any, began_s: float) -> str:
    """One event in one line."""
    where = " ".join(f"{axis}{place}" for axis, place in record.index.items()) or "-"
    z_um = "" if record.z_um is None else f"z {record.z_um:9.2f} um"
    kind = "focus" if hasattr(record, "images") else "frame"
    extra = f"{record.images} images" if kind == "focus" else str(record.channel)
    why = f"  {record.reason}" if record.outcome not in ("taken", "found") else ""
    time_s = record.time_s - began_s
    return f"{time_s:8.1f} s  {where:12s} {kind}  {record.outcome:8s} {z_um}  {extra}{why}"
