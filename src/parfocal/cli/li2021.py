"""Run the comparison of Li 2021: simulate, train, ask every method, print the tables."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import platformdirs
import typer
from pydantic import BaseModel, ConfigDict
from rich.console import Console
from rich.text import Text

from parfocal import __version__
from parfocal.cli.drive_outputs import finite
from parfocal.cli.exits import DONE, CallError
from parfocal.cli.outputs import check_output, write_text
from parfocal.cli.progress import progress
from parfocal.cli.tables import show_table
from parfocal.core.errors import InputError
from parfocal.evaluate.li2021 import (
    Answers,
    Cases,
    after_one_move,
    class_answers,
    draw_cases,
    pair_answers,
)
from parfocal.evaluate.li2021_measures import CLASSICAL, SWEEP_IMAGES, classical_answers
from parfocal.evaluate.li2021_page import HEADS, benchmark_page, ratio_text, table_rows
from parfocal.evaluate.li2021_study import Benchmark, StudyRow, compare, study_row
from parfocal.evaluate.sheet import ReportHeader
from parfocal.models.catalog import find_model
from parfocal.models.package import load_model
from parfocal.predict.class_predictor import ClassPredictor
from parfocal.predict.pair_predictor import PairPredictor
from parfocal.simulate.sheet_scenes import SEEN, UNSEEN, Scene, SceneSet, load_scenes
from parfocal.train.li2021_study import MAIN, OURS, STUDY_RATE, StudyPlan, train_studies
from parfocal.train.making import Step

DEFAULT_MODEL = "pair-fluorescence"
PUBLISHED_NAME, OURS_NAME, GENERAL_NAME = "Li 2021", "ours, light sheet", "ours, general"
MOVED_NAME = "ours, after one move"
QUICK: dict[str, Any] = {
    "steps": 1, "study_steps": 1, "our_steps": 2, "thick": 0, "flat": 1, "size_px": 128,
    "batch": 2, "studies": (MAIN,),
}  # fmt: skip


class Li2021Request(BaseModel):
    """Options of ``parfocal benchmark li2021``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    is_quick: bool = False
    stacks: int = 6
    levels: int = 5
    steps: int = 3000
    study_steps: int = 600
    our_steps: int = 3000
    train_stacks: int = 16
    model: str | None = None
    folder: Path | None = None
    seed: int = 0
    device: str = "cpu"
    as_json: bool = False
    report: Path | None = None
    overwrite: bool = False
    command: str = "parfocal benchmark li2021"

    @property
    def place(self) -> Path:
        """Folder of scenes and networks."""
        default = Path(platformdirs.user_cache_dir("parfocal")) / "li2021"
        folder = default if self.folder is None else self.folder
        return folder / "quick" if self.is_quick else folder


def run_li2021(request: Li2021Request) -> int:
    """Do what was asked; return the exit status."""
    if request.report is not None:
        check_output(request.report, overwrite=request.overwrite, option="--report")
    general = _general(request.model)
    changes: dict[str, Any] = QUICK if request.is_quick else {
        "steps": request.steps, "study_steps": request.study_steps,
        "our_steps": request.our_steps,
        "thick": request.train_stacks, "flat": (request.train_stacks + 1) // 2,
    }  # fmt: skip
    plan = StudyPlan(folder=request.place, general=general, **changes)
    with progress(plan.total, "training") as begin:
        told = 0

        def follow(step: Step) -> None:
            nonlocal told
            for _ in range(step.done - told):
                begin(step.what)
            told = step.done

        places = train_studies(plan, device=request.device, on_progress=follow)
    cases = _cases(request, plan)
    found = _ask(request, plan, places, cases, general)
    _show(request, found)
    return DONE


def _general(model: str | None) -> str:
    """The general pair model: the one that is named, the shipped one if it is there, or none."""
    if model is not None:
        try:
            load_model(model)
        except InputError as error:
            raise CallError(f"--model: {error}") from error
        return model
    try:
        return DEFAULT_MODEL if find_model(DEFAULT_MODEL).is_there else ""
    except InputError:
        return ""


def _cases(request: Li2021Request, plan: StudyPlan) -> Cases:
    """Scenes that no network saw, and what is asked about them."""
    if request.is_quick:
        wanted = SceneSet(split="test", tissues=(SEEN[0], UNSEEN), thick=0, flat=1, size_px=384)
    else:
        half = (request.stacks + 1) // 2
        wanted = SceneSet(
            split="test", tissues=(*SEEN, UNSEEN), thick=request.stacks, flat=half, size_px=384
        )
    with progress(wanted.count, "test scenes") as begin:
        scenes: list[Scene] = load_scenes(wanted, plan.scenes, begin=begin)
    return draw_cases(scenes, levels=2 if request.is_quick else request.levels, seed=request.seed)


def _ask(
    request: Li2021Request, plan: StudyPlan, places: dict[str, Path], cases: Cases, general: str
) -> Benchmark:
    """Ask every method about every case."""
    studies: list[StudyRow] = []
    methods: list[Answers] = []
    names = [row.name for row in CLASSICAL] + list(plan.studies) + [OURS_NAME]
    names += [GENERAL_NAME] if general else []
    with progress(len(names), "asking") as begin:
        for row in CLASSICAL:
            begin(row.name)
            methods.append(classical_answers(row, cases))
        for name in plan.studies:
            begin(name)
            predictor = ClassPredictor(*load_model(places[name]), device=request.device)
            own = class_answers(name, predictor, cases)
            classes_um = predictor.classes_um.double().numpy()
            spacing_um = predictor.calibration.spacing_um
            studies.append(study_row(own, cases, classes_um=classes_um, spacing_um=spacing_um))
            if name == MAIN:
                methods.append(replace(own, name=PUBLISHED_NAME))
        begin(OURS_NAME)
        ours = PairPredictor(*load_model(places[OURS]), device=request.device)
        methods.append(pair_answers(OURS_NAME, ours, cases))
        methods.append(after_one_move(MOVED_NAME, methods[-1], ours, cases))
        if general:
            begin(GENERAL_NAME)
            other = PairPredictor(*load_model(general), device=request.device)
            methods.append(pair_answers(GENERAL_NAME, other, cases))
    networks = [answers.name for answers in methods if answers.images < SWEEP_IMAGES]
    rows, ratios = compare(methods, cases, certain_of=OURS_NAME, networks=networks)
    return Benchmark(
        scenes=len(cases.scenes),
        cases=len(cases.truth_um),
        rows=rows,
        ratios=ratios,
        studies=tuple(studies),
        facts=_facts(plan, places, cases, general),
    )


def _facts(plan: StudyPlan, places: dict[str, Path], cases: Cases, general: str) -> tuple[str, ...]:
    """What was trained and tested, in sentences."""
    recipes = dict(plan.recipes())
    base = load_model(places[MAIN])[1]
    ours = load_model(places[OURS])[1]
    start = f" starting from {Path(general).name}" if general else ""
    return (
        f"Tested on {len(cases.scenes)} simulated stacks of specimens that no network saw, "
        f"{len(cases.truth_um)} planes at class centres, 9 patches of 83 um each; {UNSEEN} was "
        "never trained on.",
        f"Trained on {recipes[MAIN].scenes('train').count} stacks of {', '.join(SEEN)}.",
        f"Li's network: {plan.steps} batches of {plan.batch} in {base.seconds:.0f} s; each further "
        f"study starts from it, {plan.study_steps} batches at {STUDY_RATE:g} (published: about 35 "
        f"hours of a V100); Adam at {base.recipe['rate']:g}, falling, counts less "
        f"{base.recipe['dark_counts']:g} over {base.recipe['unit_counts']:g} (published: 5e-6, "
        "constant, counts over 10,000).",
        f"Ours, light sheet: {plan.our_steps} batches of 64 in {ours.seconds:.0f} s{start}; "
        f"{ours.machine}.",
        "Measures see 13 images 6 um apart, centred on focus, and are scored as certain on the "
        f"patches that '{OURS_NAME}' keeps; networks see 2 images 6 um apart.",
    )


def _show(request: Li2021Request, found: Benchmark) -> None:
    if request.report is not None:
        header = ReportHeader(
            title="Li 2021: signed defocus from two light-sheet images",
            date=datetime.now().astimezone().strftime("%Y-%m-%d %H:%M"),
            version=__version__,
            command=request.command,
            introduction="Mean and median |error| in um, beside the paper's on its own stacks.",
        )
        write_text(request.report, benchmark_page(header, found))
    if request.as_json:
        whole = {"parfocal": __version__, **finite(found.to_dict())}
        typer.echo(json.dumps(whole, indent=2, allow_nan=False))
        return
    for text in found.facts:
        typer.echo(text)
    console = Console()
    columns = [(head, "left" if k == 0 else "right") for k, head in enumerate(HEADS)]
    for group in dict.fromkeys(row.group for row in found.rows):
        typer.echo(f"\n{group}: |error| in um of single patches, then of 3 x 3")
        show_table(columns, [[Text(c) for c in row] for row in table_rows(found, group)], console)
    typer.echo("\nmean |error| over that of DCTS with 13 images, on the same patches")
    heads = [("scenes", "left"), ("network", "left"), ("all patches", "right")]
    heads += [("its certain patches", "right")]
    rows = [[r.group, r.method, ratio_text(r.every), ratio_text(r.certain)] for r in found.ratios]
    show_table(heads, [[Text(cell) for cell in row] for row in rows], console)
    typer.echo("\nLi's network on single patches of seen tissues")
    heads = [("study", "left"), ("images", "right"), ("apart (um)", "right"), ("classes", "right")]
    heads += [("right class", "right"), ("within one", "right"), ("wrong side", "right")]
    heads += [("mean |error| (um)", "right")]
    show_table(heads, [_study_cells(row) for row in found.studies], console)
    if request.report is not None:
        typer.echo(f"wrote {request.report}")


def _study_cells(row: StudyRow) -> list[Text]:
    shares = (row.summary.exact, row.summary.near, row.summary.wrong_side)
    cells = [row.name, str(row.images), f"{row.spacing_um:g}" if row.images > 1 else "-"]
    cells += [str(row.classes), *(f"{100 * share:.0f} %" for share in shares)]
    return [Text(cell) for cell in [*cells, f"{row.mean_um:.2f}"]]
