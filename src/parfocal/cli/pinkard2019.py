"""Run the studies of Pinkard 2019, and print them beside what the paper says."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.text import Text

from parfocal import __version__
from parfocal.cli.exits import DONE, CallError
from parfocal.cli.outputs import check_output
from parfocal.cli.printable import printable
from parfocal.cli.progress import progress
from parfocal.cli.tables import show_table
from parfocal.core.errors import InputError
from parfocal.evaluate.pinkard2019 import PAPER, QUICK, Bench, Studies, StudySizes
from parfocal.evaluate.pinkard2019_page import (
    ADAPTING,
    ADAPTING_HEADS,
    HEADS,
    MODEL_HEADS,
    TITLES,
    adapting_rows,
    benchmark_page,
    model_rows,
    saliency_text,
    study_rows,
    truth_text,
)
from parfocal.evaluate.sheet import ReportHeader
from parfocal.models.catalog import find_model
from parfocal.models.package import load_model
from parfocal.predict.spectrum_predictor import SpectrumPredictor
from parfocal.simulate.led_fields import LedFields
from parfocal.train.spectrum_learner import StudyLearner
from parfocal.train.spectrum_trials import measure_led, try_led_fields

DEFAULT_MODEL = "led-phase"
ASKED = ("phase_cells", "tissue_section", "histology", "glass_beads", "blood_smear")
FIRST_SEED = 700_000
STUDY_COUNT = 40
"""About how many things are begun: for the progress bar."""


@dataclass(frozen=True, kw_only=True)
class Pinkard2019Request:
    """Options of ``parfocal benchmark pinkard2019``."""

    is_quick: bool = False
    stacks: int = 40
    steps: int = 1200
    our_steps: int = 400
    tests: int = 10
    model: str | None = None
    seed: int = 0
    as_json: bool = False
    report: Path | None = None
    overwrite: bool = False

    @property
    def sizes(self) -> StudySizes:
        """How large the studies are."""
        if self.is_quick:
            return QUICK
        counts = tuple(sorted({max(2, self.stacks // part) for part in (8, 4, 2, 1)}))
        return StudySizes(counts=counts, tests=self.tests, lights=max(4, self.stacks * 3 // 10))

    @property
    def learner(self) -> StudyLearner:
        """What trains."""
        if self.is_quick:
            return StudyLearner(published_steps=8, ours_steps=4, tuning_steps=4, seed=self.seed)
        return StudyLearner(published_steps=self.steps, ours_steps=self.our_steps, seed=self.seed)


def run_pinkard2019(request: Pinkard2019Request) -> int:
    """Do what was asked; return the exit status."""
    if request.report is not None:
        check_output(request.report, overwrite=request.overwrite, option="--report")
    predictor = _predictor(request.model)
    with progress(STUDY_COUNT, "studies") as begin:
        found = Bench(request.sizes, request.learner, tell=begin).finished()
    asked = {} if predictor is None else {predictor.name: _ask(request, predictor)}
    if request.report is not None:
        rows = {name: model_rows(*measured) for name, measured in asked.items()}
        request.report.write_text(benchmark_page(_header(request), found, rows), encoding="utf-8")
    if request.as_json:
        models = {name: {"metrics": m, "coverage": c} for name, (m, c) in asked.items()}
        typer.echo(json.dumps({**found.to_dict(), "models": models}, indent=2))
        return DONE
    _print(found, asked)
    if request.report is not None:
        typer.echo(printable(f"wrote {request.report}"))
    return DONE


def _predictor(model: str | None) -> SpectrumPredictor | None:
    """The model that is named, the shipped one if it is there, or none."""
    try:
        if model is None and not find_model(DEFAULT_MODEL).is_there:
            return None
        networks, card = load_model(DEFAULT_MODEL if model is None else model)
    except InputError as error:
        if model is None:
            return None
        raise CallError(f"--model: {error}") from error
    if not card.architecture.startswith("parfocal.nets.spectrum:"):
        raise CallError(f"--model {model} is no spectrum network, but {card.architecture}.")
    return SpectrumPredictor(networks, card)


def _ask(
    request: Pinkard2019Request, predictor: SpectrumPredictor
) -> tuple[dict[str, float], dict[str, float]]:
    """What a trained model's answers are worth on stacks that nothing was learnt from."""
    sizes = request.sizes
    planes = 2 if request.is_quick else 20
    fields = LedFields(size_px=300 if request.is_quick else 512, planes=planes)
    wanted = [(kind, FIRST_SEED + k) for kind in ASKED for k in range(min(6, sizes.tests))]
    with progress(len(wanted) * planes, predictor.name) as begin:
        trials = try_led_fields(predictor, fields, wanted, crops=False, on_field=begin)
    depth_um = fields.setup.depth_of_field_um
    return measure_led(trials, predictor.calibration, depth_um=depth_um)


def _header(request: Pinkard2019Request) -> ReportHeader:
    sizes = request.sizes
    return ReportHeader(
        title="One image by an off-axis LED: the studies of Pinkard 2019",
        date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        version=__version__,
        command="parfocal benchmark pinkard2019" + (" --quick" if request.is_quick else ""),
        settings={
            "Fields": f"{sizes.size_px} px of 0.26 µm, {sizes.planes} planes over ±30 µm",
            "Published network": f"{request.learner.published_steps} batches at "
            f"{request.learner.published_rate:g} (the paper: 2e-5, until it is best)",
            "Ours": f"{request.learner.ours_steps} batches; fine-tuning "
            f"{request.learner.tuning_steps} at {request.learner.tuning_rate:g}",
        },
        introduction="Simulated stacks, split by specimen; every network of the studies is "
        "trained in this run.",
    )


def _print(found: Studies, asked: dict[str, tuple[dict[str, float], dict[str, float]]]) -> None:
    console = Console()
    for name, measured in asked.items():
        typer.echo(f"{name}, on simulated stacks that it never saw; 'of all' counts the declined:")
        _table(MODEL_HEADS, model_rows(*measured), console)
    for study, title in TITLES.items():
        typer.echo(f"\n{title}. The paper: {PAPER[study]}.")
        _table(HEADS, study_rows(found, study), console)
        if study == "kinds":
            typer.echo(f"\n{ADAPTING}.")
            _table(ADAPTING_HEADS, adapting_rows(found), console)
    typer.echo(f"\n{saliency_text(found)}")
    typer.echo(truth_text(found))


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], console: Console) -> None:
    columns: list[Any] = [(head, "left" if k < 2 else "right") for k, head in enumerate(heads)]
    show_table(columns, [[Text(cell) for cell in row] for row in rows], console)
