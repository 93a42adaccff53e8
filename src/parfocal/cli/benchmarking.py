"""Replay recorded stacks, and print the league of searches."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import typer
from rich.console import Console
from rich.text import Text

from parfocal import __version__
from parfocal.cli.demonstration import known_focus
from parfocal.cli.drive_outputs import finite
from parfocal.cli.exits import DONE, SOME_FAILED, CallError
from parfocal.cli.microscopes import read_session, session_setup
from parfocal.cli.printable import printable
from parfocal.cli.progress import progress
from parfocal.cli.scoring import FIELD_FAULTS, Outcome, found_stacks
from parfocal.cli.searches import make_search, search_kinds
from parfocal.cli.tables import show_table
from parfocal.core.errors import UnknownNameError
from parfocal.drive.limits import Limits
from parfocal.drive.record import FocusReport
from parfocal.drive.search import Search
from parfocal.evaluate.league import League, ReplayCase, ReplayTrial, replay
from parfocal.evaluate.replay import stack_of_record
from parfocal.io.finding import StackSource
from parfocal.measures.catalog import find_measure


@dataclass(frozen=True, kw_only=True)
class ReplayRequest:
    """Options of ``parfocal benchmark replay``."""

    inputs: tuple[str, ...]
    searches: tuple[str, ...] = ()
    measure: str = "tenengrad"
    starts: tuple[float, ...] = (0.25, 0.5, 0.75)
    interpolate: bool = False
    max_images: int | None = None
    z_step_um: float | None = None
    runs: bool = False
    form: str = "table"
    debug: bool = False


def run_replay(request: ReplayRequest) -> int:
    """Run every search on every stack, print the league, and say what could not be opened."""
    names = request.searches or tuple(_defaults())
    searches = {name: make_search(name, {}) for name in names}
    try:
        find_measure(request.measure)
    except UnknownNameError as error:
        raise CallError(str(error)) from error
    records, others = _divided(request.inputs)
    sources: Sequence[StackSource] = ()
    if others:
        sources = found_stacks(
            others, crop_common=True, z_in_planes=True, z_step_um=request.z_step_um
        )
    outcome = Outcome()
    trials: list[ReplayTrial] = []
    named: list[tuple[str, StackSource | Path]] = [(str(r.parent), r) for r in records]
    named += [(source.name, source) for source in sources]
    with progress(len(named), "replay") as begin:
        for name, source in named:
            begin(name)
            try:
                trials += _trials(request, searches, source)
            except FIELD_FAULTS as error:
                outcome.fail(name, error, debug=request.debug)
    league = League(trials=tuple(trials))
    _print(request, league, outcome)
    return SOME_FAILED if outcome.failed else DONE


def _defaults() -> Iterator[str]:
    """All searches but the one that needs a camera that streams."""
    return (kind for kind in search_kinds() if kind != "continuous-sweep")


def _divided(inputs: Sequence[str]) -> tuple[list[Path], list[str]]:
    """Records of focus runs, also in folders below, and everything else."""
    records: list[Path] = []
    others = []
    for text in inputs:
        place = Path(text)
        found = sorted(place.rglob("record.json")) if place.is_dir() else []
        records += found
        if not found:
            others.append(text)
    return records, others


def _case(source: StackSource | Path) -> ReplayCase:
    if isinstance(source, Path):
        setup = session_setup(read_session(source.parent))
        report = FocusReport.load(source)
        return ReplayCase.of(stack_of_record(report, setup=setup, name=source.parent.name))
    stack = source.open()
    return ReplayCase.of(stack, known_focus(source.extra, stack))


def _trials(
    request: ReplayRequest, searches: dict[str, Search], source: StackSource | Path
) -> tuple[ReplayTrial, ...]:
    case = _case(source)
    limits = Limits(z_min_um=0, z_max_um=0, max_images=request.max_images)
    return replay(
        searches, [case], starts=request.starts, measure=request.measure, limits=limits,
        interpolate=request.interpolate,
    ).trials  # fmt: skip


def _print(request: ReplayRequest, league: League, outcome: Outcome) -> None:
    if request.form == "json":
        failed = [{"source": name, "error": why} for name, why in outcome.failed]
        whole = {"parfocal": __version__, **finite(league.to_dict()), "not_processed": failed}
        typer.echo(json.dumps(whole, indent=2, allow_nan=False))
    elif request.form == "csv":
        typer.echo(csv_text(league.trials), nl=False)
    else:
        if request.runs:
            _print_runs(league)
        _print_league(league)


def csv_text(trials: Sequence[ReplayTrial]) -> str:
    """One row a run."""
    sheet = io.StringIO()
    names = [field.name for field in fields(ReplayTrial) if field.name != "interval"]
    names[names.index("z") + 1 : names.index("z") + 1] = ["interval_low", "interval_high"]
    writer = csv.DictWriter(sheet, names, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    for trial in trials:
        row = trial.to_dict()
        row["interval_low"], row["interval_high"] = trial.interval or (None, None)
        writer.writerow({k: printable(v) if isinstance(v, str) else v for k, v in row.items()})
    return sheet.getvalue()


def _print_league(league: League) -> None:
    if not league.trials:
        return
    columns = [("search", "left"), ("runs", "right"), ("right", "right"), ("wrong", "right")]
    columns += [("declined", "right"), ("failed", "right"), ("off by (planes)", "right")]
    columns += [("images", "right"), ("light (ms)", "right"), ("time (s)", "right")]
    unjudged = any(row.unjudged for row in league.standings)
    if unjudged:
        columns.insert(4, ("not known", "right"))
    rows = []
    for row in league.standings:
        off = row.median_error_planes
        cells = [
            Text(row.search, style="bold"), Text(str(row.runs)),
            Text(str(row.right), style="green"),
            Text(str(row.wrong), style="bold red" if row.wrong else ""),
            Text(str(row.declined)), Text(str(row.failed), style="red" if row.failed else ""),
            Text("-" if off is None else f"{off:.2f}"), Text(f"{row.median_images:g}"),
            Text(f"{row.median_exposure_ms:g}"), Text(f"{row.median_seconds:.2f}"),
        ]  # fmt: skip
        if unjudged:
            cells.insert(4, Text(str(row.unjudged)))
        rows.append(cells)
    show_table(columns, rows, Console())
    wrong = sorted({t.stack for t in league.trials if t.right is False})
    stacks = len({trial.stack for trial in league.trials})
    text = f"{stacks} stack{'s' if stacks > 1 else ''}, {len(league.trials)} runs; medians a run. "
    text += f"Wrong answers on: {', '.join(wrong)}." if wrong else "No answer was wrong."
    typer.echo(printable(text))


def _print_runs(league: League) -> None:
    columns = [("stack", "left"), ("search", "left"), ("start", "right"), ("status", "left")]
    columns += [("focus", "right"), ("known", "right"), ("off by (planes)", "right")]
    columns += [("images", "right"), ("result", "left")]
    rows = []
    for t in league.trials:
        word = {True: "right", False: "WRONG", None: "" if t.z is None else "not known"}[t.right]
        cells = [
            t.stack, t.search, f"{t.start:.6g}", t.status, "-" if t.z is None else f"{t.z:.6g}",
            "-" if t.known is None else f"{t.known:.6g}",
            "-" if t.error_planes is None else f"{t.error_planes:+.2f}", str(t.images),
        ]  # fmt: skip
        style = "bold red" if t.right is False else "green"
        rows.append([*(Text(printable(cell)) for cell in cells), Text(word, style=style)])
    show_table(columns, rows, Console())
