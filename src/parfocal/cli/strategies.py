"""The part of the demonstration that moves: a simulated microscope, focused by every search."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from parfocal.cli.searches import DEFAULT_MODEL, NEEDS_MODEL, make_search, search_kinds
from parfocal.cli.tables import show_table
from parfocal.drive.limits import Limits
from parfocal.drive.loop import autofocus
from parfocal.evaluate.drive_page import FocusRun, run_section, runs_table
from parfocal.models.catalog import model_rows
from parfocal.simulate.microscope import VirtualMicroscope

WORLD, SEED, START_UM = "fluorescence-20x", 1, 3.0
LIMITS = Limits(z_min_um=-15.0, z_max_um=15.0)
# An answer this near counts as known, in depths of field.
NEAR_DOF = 0.5


def focused_by(search: str) -> FocusRun:
    """Focus the simulated microscope, from the same start on the same specimen, by one search."""
    scope = VirtualMicroscope(WORLD, seed=SEED)
    scope.move_to_um(START_UM)
    report = autofocus(
        scope, search=make_search(search, {}), limits=LIMITS, setup=scope.setup, keep_images=True
    )
    return FocusRun(name=search, report=report, setup=scope.setup, truth_um=scope.truth.focus_um())


def strategies() -> list[str]:
    """Names of the searches; the one that asks a network where there is one."""
    there = any(row.name == DEFAULT_MODEL and row.is_there for row in model_rows())
    return [*search_kinds(), *([NEEDS_MODEL] if there else [])]


def strategies_chapter(runs: Sequence[FocusRun]) -> str:
    """All runs as a chapter of the page."""
    sections = "".join(run_section(run, f"run-{k}") for k, run in enumerate(runs))
    return (
        f"<h2>A simulated microscope, brought to focus</h2><p>{WORLD}, seed {SEED}: the stage has "
        f"play and noise, light bleaches. Every search starts at {START_UM:g} µm and may go from "
        f"{LIMITS.low_um:g} to {LIMITS.high_um:g} µm; none is told where focus is.</p>"
        f"{runs_table(runs)}{sections}"
    )


def print_strategies(runs: Sequence[FocusRun]) -> None:
    """One row a search: its answer beside the truth, and what it cost."""
    columns = [("search", "left"), ("known", "right"), ("found", "right")]
    columns += [("90 % interval", "right"), ("images", "right"), ("light (ms)", "right")]
    columns += [("time (s)", "right"), ("status", "left"), ("result", "left")]
    rows = []
    for run in runs:
        report = run.report
        found = "-" if report.z_um is None else f"{report.z_um:.2f}"
        interval = "-"
        if report.interval_um is not None:
            interval = f"{report.interval_um[0]:.2f} to {report.interval_um[1]:.2f}"
        word = result_word(run)
        cells = [
            run.name, f"{run.truth_um:.2f}", found, interval, str(report.images),
            f"{report.dose:.4g}", f"{report.seconds:.2f}", str(report.status),
        ]  # fmt: skip
        style = "bold red" if word == "OFF" else "green"
        rows.append([*map(Text, cells), Text(word, style=style)])
    show_table(columns, rows, Console())


def result_word(run: FocusRun) -> str:
    """How the answer compares with the truth."""
    if run.report.z_um is None or run.truth_um is None or run.setup is None:
        return "declined"
    near_um = NEAR_DOF * run.setup.depth_of_field_um
    return "as known" if abs(run.report.z_um - run.truth_um) <= near_um else "OFF"
