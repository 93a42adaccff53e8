"""What ``parfocal drive`` prints and writes."""

from __future__ import annotations

import json
import math
import shlex
import shutil
import sys
import tempfile
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import typer

from parfocal import __version__
from parfocal.cli.drive_request import DriveRequest
from parfocal.cli.microscopes import Opened
from parfocal.cli.outputs import write_text
from parfocal.cli.printable import printable
from parfocal.drive.record import FocusReport
from parfocal.evaluate.drive_page import ENDED, FocusRun, drive_page
from parfocal.evaluate.sheet import ReportHeader


def finite(value: Any) -> Any:
    """Plain values for JSON; not-a-number and infinity become null."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def print_json(task: str, **values: Any) -> None:
    """Print one object."""
    whole = {"parfocal": __version__, "task": task, **values}
    typer.echo(json.dumps(finite(whole), indent=2, allow_nan=False))


def say(text: str) -> None:
    """One line on stdout."""
    typer.echo(printable(text))


def complain(text: str) -> None:
    """One line on stderr."""
    sys.stderr.write(f"parfocal: {printable(' '.join(text.split()))}\n")


def summary(report: FocusReport, *, truth_um: float | None = None) -> list[str]:
    """A run in four lines: answer, reason, cost, and where the stage stands."""
    if report.z_um is None:
        first = f"{report.status}: no answer"
    else:
        first = f"found: focus at {report.z_um:.2f} um"
        if report.interval_um is not None:
            low, high = report.interval_um
            first += f", 90 % interval {low:.2f} to {high:.2f} um"
        if truth_um is not None:
            first += f" (true focus {truth_um:.2f} um)"
    return [
        first,
        f"  {report.reason}",
        f"  {report.images} images, {report.dose:.4g} ms of light, {report.seconds:.3g} s, "
        f"{len(report.moves)} moves",
        f"  stage: {stage_line(report)}",
    ]


def stage_line(report: FocusReport) -> str:
    """Where the stage stands, and why there."""
    where = "unknown" if report.reached_um is None else f"{report.reached_um:.2f} um"
    return f"from {report.start_um:.2f} um, now at {where}, {ENDED[report.ended]}: {report.ending}"


def write_page(
    request: DriveRequest, opened: Opened, runs: Sequence[FocusRun], *, chapters: str = ""
) -> None:
    """Write the HTML page, if one is asked for, and name it."""
    if request.report is None:
        return
    titles = {"focus": "Focus run", "hold": "Watch and hold", "map": "Focus map"}
    header = ReportHeader(
        title=f"{titles.get(request.task, 'Focus runs')}: {opened.name}",
        date=datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"),
        version=__version__,
        command=shlex.join(["parfocal", *sys.argv[1:]]),
        settings={"microscope": opened.name, "measure": request.measure},
    )
    write_text(request.report, drive_page(header, runs, chapters=chapters))
    if not request.as_json:
        say(f"report: {request.report}")


def write_records(
    request: DriveRequest, opened: Opened, reports: Sequence[tuple[str, FocusReport]]
) -> None:
    """Save runs with their images, each in a folder of its name, whole or not at all."""
    place = request.record
    if place is None:
        return
    session = {
        "parfocal": __version__,
        "microscope": opened.name,
        "measure": request.measure,
        "region": request.region,
        "setup": None if opened.setup is None else opened.setup.model_dump(),
    }
    unfinished = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=place.resolve().parent))
    try:
        for name, report in reports:
            folder = unfinished / name
            folder.mkdir(exist_ok=True)
            report.save(folder / "record.json")
            (folder / "session.json").write_text(json.dumps(session, indent=1), encoding="utf-8")
        unfinished.chmod(0o755)
        if place.is_dir():
            shutil.rmtree(place)
        unfinished.replace(place)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    if not request.as_json:
        say(f"record: {place}")
