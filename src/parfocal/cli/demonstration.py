"""What ``parfocal demo`` does: known stacks scored, a microscope focused, its images rescued."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.text import Text

from parfocal import __version__
from parfocal.cli.exits import DONE, SOME_FAILED
from parfocal.cli.outputs import write_text
from parfocal.cli.predictions import Predictions
from parfocal.cli.progress import progress
from parfocal.cli.refocusings import Refocusings
from parfocal.cli.scoring import FIELD_FAULTS, Outcome
from parfocal.cli.segmentations import Segmentations
from parfocal.cli.strategies import (
    focused_by,
    print_strategies,
    strategies,
    strategies_chapter,
)
from parfocal.cli.tables import show_table
from parfocal.core.results import Status
from parfocal.core.stack import FocalStack
from parfocal.evaluate.drive_page import FocusRun
from parfocal.evaluate.fields import FieldRecord, KnownFocus, record_of
from parfocal.evaluate.report import Report
from parfocal.evaluate.sheet import ReportHeader
from parfocal.evaluate.trial import SHIPPED_TRIALS, shipped_trials
from parfocal.evaluate.wording import interval_text, position_text
from parfocal.io.finding import StackSource, find_stacks
from parfocal.score.depth import depth_map
from parfocal.score.fusion import fuse
from parfocal.score.plane import best_focus

Trial = tuple[str, Callable[[], tuple[FocalStack, KnownFocus | None]]]
"""A name, and what opens its stack with its known focus."""

MANIFEST = Path("shared/data/stacks.toml")
INTRODUCTION = (
    "Real images, brought out of focus by known amounts, and real stacks where they are present: "
    "each is scored without being told where its focus is. A simulated microscope, brought to "
    "focus by every search; its defocus, predicted from two images; the pixels in focus of a thick "
    "specimen; and blurred images, brought into focus."
)


def find_manifest(start: Path) -> Path | None:
    """The table of real stacks in or beside the folder ``start``, if it is there."""
    places = (folder / MANIFEST for folder in (start, start.parent))
    return next((place for place in places if place.is_file()), None)


def known_focus(row: Mapping[str, Any], stack: FocalStack) -> KnownFocus | None:
    """What the table says of a stack's focus, to within one plane."""
    index = row.get("focus_index")
    if index is None or not 0 <= index < stack.shape[0]:
        return None
    caution = str(row.get("caution", ""))
    if stack.z_known:
        return KnownFocus(
            position=float(stack.z_um[index]), tolerance=stack.z_step_um or 0.0, note=caution
        )
    return KnownFocus(position=float(index), tolerance=1.0, note=caution)


def _shipped(trial: tuple[FocalStack, KnownFocus]) -> Trial:
    return trial[0].name, lambda: trial


def _real(source: StackSource) -> Trial:
    def open_it() -> tuple[FocalStack, KnownFocus | None]:
        stack = source.open()
        return stack, known_focus(source.extra, stack)

    return source.name, open_it


def _verdict_on(record: FieldRecord) -> str:
    """How the answer compares with the known focus, in a word."""
    if record.as_known is None:
        return ""
    if record.as_known:
        return "as known"
    return "OFF" if record.estimate.status == Status.FOUND else "declined"


def _print(records: list[FieldRecord]) -> None:
    rows = []
    for record in records:
        known = record.known.position if record.known is not None else None
        word = _verdict_on(record)
        cells = [
            record.name,
            "decline" if known is None else f"{known:.6g}",
            position_text(record),
            interval_text(record),
            record.unit,
            str(record.estimate.status),
            str(record.judgement.verdict),
        ]
        style = "bold red" if word == "OFF" else "green"
        rows.append([*map(Text, cells), Text(word, style=style)])
    columns = [("field", "fold"), ("known", "right"), ("found", "right")]
    columns += [("90 % interval", "right"), ("unit", "left"), ("status", "left")]
    show_table([*columns, ("verdict", "left"), ("result", "left")], rows, Console())


def run_demo(place: Path, *, debug: bool) -> int:
    """Score the known stacks, print the table, write the page and print its path."""
    started = time.perf_counter()
    manifest = find_manifest(Path.cwd())
    real = [] if manifest is None else find_stacks([manifest], crop_common=True, z_in_planes=True)
    trials = chain(map(_shipped, shipped_trials()), map(_real, real))
    report, outcome, runs = Report(total=0), Outcome(), list[FocusRun]()
    chapters = (Predictions(), Segmentations(), Refocusings())
    searches = strategies()
    total = SHIPPED_TRIALS + len(real) + len(searches) + len(chapters)
    with progress(total, "demo") as begin:
        for name, open_it in trials:
            begin(name)
            try:
                _score(*open_it(), report, outcome)
            except FIELD_FAULTS as error:
                outcome.fail(name, error, debug=debug)
        for name in searches:
            begin(f"{name} search")
            try:
                runs.append(focused_by(name))
            except FIELD_FAULTS as error:
                outcome.fail(f"{name} search", error, debug=debug)
        for part in chapters:
            what = type(part).__name__.lower()
            begin(what)
            try:
                part.make()
            except FIELD_FAULTS as error:
                outcome.fail(what, error, debug=debug)
    _print(outcome.records)
    typer.echo("")
    print_strategies(runs)
    for part in chapters:
        part.show()
    seconds = time.perf_counter() - started
    header = ReportHeader(
        title="parfocal demonstration",
        date=datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"),
        version=__version__,
        command="parfocal demo",
        settings={"took": f"{seconds:.0f} s", "python": sys.version.split()[0]},
        introduction=INTRODUCTION,
    )
    pages = (strategies_chapter(runs) if runs else "") + "".join(
        part.chapter() for part in chapters
    )
    write_text(place, report.page(header, failed=outcome.failed, chapters=pages))
    counted = ", ".join(f"{len(part.records)} {type(part).__name__.lower()}" for part in chapters)
    typer.echo(
        f"{len(outcome.records)} fields, {len(runs)} searches, {counted} in {seconds:.0f} s; "
        f"report: {place.resolve()}"
    )
    return SOME_FAILED if outcome.failed else DONE


def _score(stack: FocalStack, known: KnownFocus | None, report: Report, outcome: Outcome) -> None:
    estimate = best_focus(stack)
    record = record_of(stack, estimate, known=known)
    heights = estimate.found and estimate.modality != "phase"
    depth = depth_map(stack) if heights else None
    fused = fuse(stack) if estimate.found else None
    report.add(record, stack, depth=depth, fused=fused)
    outcome.records.append(record)
