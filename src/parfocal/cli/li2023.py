"""Run the comparison of Li 2023: simulate, train, ask every method, print the tables."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
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
from parfocal.core.results import FocusMasks, Status
from parfocal.core.stack import FocalStack
from parfocal.evaluate.li2023 import (
    Case,
    Method,
    Row,
    ceilings,
    make_cases,
    rank_measures,
    score,
)
from parfocal.evaluate.li2023_page import benchmark_page, figures
from parfocal.evaluate.li2023_real import RealRow, judge_real
from parfocal.evaluate.li2023_study import Example, Study, tables
from parfocal.evaluate.sheet import ReportHeader
from parfocal.evaluate.shepp_logan import shepp_logan_test
from parfocal.io.finding import find_stacks
from parfocal.models.package import load_model
from parfocal.segment.in_focus import DEFAULT_MODEL, in_focus, load
from parfocal.segment.li2023_segmenter import Li2023Segmenter
from parfocal.segment.ranking import LI2023_MEASURES
from parfocal.segment.weak_labels import weak_labels
from parfocal.simulate.thick_scenes import SEEN, UNSEEN, ThickScene, ThickSet, load_thick_scenes
from parfocal.train.li2023_making import PRETRAINED, is_made, make_li2023
from parfocal.train.li2023_task import Li2023Recipe
from parfocal.train.making import Step
from parfocal.train.recipes import find_recipe, settle

DEFAULT_DATA = Path("../shared/data")
REAL = (
    "dfnn_mitochondria", "faim_beads_E07_s1", "faim_beads_E07_s2", "faim_beads_E08_s1", "smear",
    "bfseg_yeast",
)  # fmt: skip
EPOCHS = 8
WINDOWS_PX = (16, 32, 64, 128)
QUICK: dict[str, Any] = {
    "families": (SEEN[0],), "each": 1, "size_px": 64, "planes": 4, "patch_px": 64, "batch": 2,
    "widths": (4, 8), "tuning": 1, "tuning_validation": 1, "window_px": 16, "strides_px": (4, 8),
}  # fmt: skip
PRETRAINED_NAME, TUNED_NAME = "Li 2023, pre-trained", "Li 2023, fine-tuned"
RULE_NAME = "rule: std"


class Li2023Request(BaseModel):
    """Options of ``parfocal benchmark li2023``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    is_quick: bool = False
    stacks: int = 2
    steps: int = 600
    tuning_steps: int = 2000
    model: str | None = None
    data: Path | None = None
    folder: Path | None = None
    seed: int = 0
    device: str = "cpu"
    as_json: bool = False
    report: Path | None = None
    overwrite: bool = False
    command: str = "parfocal benchmark li2023"

    @property
    def place(self) -> Path:
        """Folder of stacks and networks."""
        default = Path(platformdirs.user_cache_dir("parfocal")) / "li2023"
        folder = default if self.folder is None else self.folder
        return folder / "quick" if self.is_quick else folder

    @property
    def recipe(self) -> Li2023Recipe:
        """What is trained: the published recipe, shortened."""
        steps, tuning = (2, 2) if self.is_quick else (self.steps, self.tuning_steps)
        changes = {
            "steps": steps, "epoch_steps": max(1, steps // EPOCHS),
            "tuning_steps": tuning, "tuning_epoch_steps": max(1, tuning // EPOCHS),
        }  # fmt: skip
        whole = changes | (QUICK if self.is_quick else {})
        recipe = settle(find_recipe("li2023"), whole, is_quick=True)
        return Li2023Recipe.model_validate(recipe.model_dump())


def run_li2023(request: Li2023Request) -> int:
    """Do what was asked; return the exit status."""
    if request.report is not None:
        check_output(request.report, overwrite=request.overwrite, option="--report")
    if request.data is not None and not request.data.is_dir():
        raise CallError(f"--data {request.data} is no folder.")
    ours, why_not = _ours(request)
    recipe = request.recipe
    network = _trained(request, recipe)
    scenes = _scenes(request, recipe)
    cases = make_cases(scenes, recipe.weak)
    methods = [*_networks(network, request.device), *ours, *_rules(request)]
    found = _ask(request, methods, cases, [*_facts(request, recipe, network, cases), *why_not])
    _show(request, found)
    return DONE


def _ours(request: Li2023Request) -> tuple[list[Method], list[str]]:
    """Our own network where there is one, or the reason why it is not in the tables."""
    name = request.model or DEFAULT_MODEL
    try:
        segmenter = load(name, device=request.device)
    except InputError as error:
        if request.model is not None:
            raise CallError(f"--model: {error}") from error
        return [], [f"Our own network, {name}, is not in the tables: its weights are not here."]

    def segment(stack: FocalStack) -> FocusMasks:
        return in_focus(stack, model=segmenter, device=request.device)

    return [Method(name=f"ours, {Path(name).name}", kind="network", segment=segment)], []


def _trained(request: Li2023Request, recipe: Li2023Recipe) -> Path:
    """Train what is not there yet; where it lies."""
    folder = request.place / "networks" / "li2023"
    if is_made(folder, recipe, seed=request.seed):
        return folder
    with progress(recipe.steps + recipe.tuning_steps, "training") as begin:
        told = 0

        def follow(step: Step) -> None:
            nonlocal told
            for _ in range(step.done - told):
                begin(step.what)
            told = step.done

        make_li2023(
            recipe, folder, seed=request.seed, device=request.device, on_progress=follow,
            scenes=request.place / "scenes",
        )  # fmt: skip
    return folder


def _scenes(request: Li2023Request, recipe: Li2023Recipe) -> list[ThickScene]:
    """Test stacks that no network saw, of known families and of others."""
    quick = request.is_quick
    wanted = ThickSet(
        split="test", families=(SEEN[0], UNSEEN[0]) if quick else (*SEEN, *UNSEEN),
        each=1 if quick else request.stacks, size_px=recipe.size_px, planes=recipe.planes,
    )  # fmt: skip
    with progress(wanted.count, "test stacks") as begin:
        return load_thick_scenes(wanted, request.place / "scenes", begin=begin)


@dataclass(frozen=True)
class _Network:
    """A published network as published: no check whether there is anything to segment."""

    segmenter: Li2023Segmenter

    def __call__(self, stack: FocalStack) -> FocusMasks:
        chances = np.stack(list(self.segmenter.chances(stack)))
        masks = chances >= self.segmenter.threshold
        return FocusMasks(
            status=Status.FOUND if masks.any() else Status.FLAT, reason="by its probabilities",
            masks=masks, method=self.segmenter.card.name, z_um=stack.z_um, z_known=stack.z_known,
            pixel_um=stack.pixel_um,
        )  # fmt: skip


def _networks(folder: Path, device: str) -> list[Method]:
    places = {PRETRAINED_NAME: folder / PRETRAINED, TUNED_NAME: folder}
    return [
        Method(
            name=name, kind="network",
            segment=_Network(Li2023Segmenter(*load_model(place), device=device)),
        )
        for name, place in places.items()
    ]  # fmt: skip


def _rules(request: Li2023Request) -> list[Method]:
    """The nine measures by parfocal's rule, and std as published and by larger windows."""

    def rule(**options: Any) -> Callable[[FocalStack], FocusMasks]:
        return lambda stack: weak_labels(stack, device=request.device, **options)

    measures = (
        ("std",) if request.is_quick else ("std", *(m for m in LI2023_MEASURES if m != "std"))
    )
    made = [(f"rule: {measure}", rule(measure=measure)) for measure in measures]
    made.append(("rule: std, as published", rule(mode="li2023")))
    if not request.is_quick:
        made += [
            (f"rule: std, {side} px a stack",
             rule(mode="li2023", window_px=side, strides_px=(side // 4,), per="stack"))
            for side in WINDOWS_PX
        ]  # fmt: skip
    return [Method(name=name, kind="rule", segment=segment) for name, segment in made]


def _ask(
    request: Li2023Request, methods: Sequence[Method], cases: Sequence[Case], facts: Sequence[str]
) -> Study:
    """Ask every method about every case, and make the other tables."""
    rows: list[Row] = []
    masks: dict[str, list[Any]] = {}
    quick = request.is_quick
    with progress(len(methods) + 2, "asking") as begin:
        for method in methods:
            begin(method.name)
            row, masks[method.name] = score(method, cases, blank_seeds=(0,) if quick else (0, 1, 2))
            rows.append(row)
        begin("axial ranking")
        measures = LI2023_MEASURES[:2] if quick else LI2023_MEASURES
        axial = rank_measures(cases, measures)
        begin("Shepp-Logan phantom")
        phantom = shepp_logan_test(measures, blurs_px=(12,) if quick else (6, 12))
    return Study(
        rows=tuple(rows),
        ceilings=ceilings(cases),
        axial=axial,
        phantom=phantom,
        real=tuple(_real(request, methods)),
        examples=tuple(_examples(cases, masks)),
        facts=tuple(facts),
    )


def _real(request: Li2023Request, methods: Sequence[Method]) -> list[RealRow]:
    """Recorded stacks by the networks and by the rule of the default."""
    folder = DEFAULT_DATA if request.data is None else request.data
    if request.is_quick or not folder.is_dir():
        return []
    sources = {s.name: s for s in find_stacks([folder], z_in_planes=True, crop_common=True)}
    asked = [m for m in methods if m.name.startswith("ours") or m.name in (TUNED_NAME, RULE_NAME)]
    pairs = [(method, name) for method in asked for name in REAL if name in sources]
    rows = []
    with progress(len(pairs), "recorded stacks") as begin:
        for method, name in pairs:
            begin(f"{name}, {method.name}")
            rows.append(judge_real(sources[name].open(), method))
    return rows


def _examples(cases: Sequence[Case], masks: dict[str, list[Any]]) -> list[Example]:
    """The fullest plane of the first stack of each family."""
    names = [PRETRAINED_NAME, TUNED_NAME]
    names += [name for name in masks if name.startswith("ours")] + [RULE_NAME]
    found: dict[str, Example] = {}
    for number, case in enumerate(cases):
        if case.scene.family not in found:
            plane = int(case.scene.truth.mean((1, 2)).argmax())
            found[case.scene.family] = Example(
                title=f"{case.scene.family}, plane {plane} ({case.group})",
                image=case.scene.counts[plane].astype(np.float64),
                truth=case.scene.truth[plane],
                masks={name: masks[name][number][plane] for name in names},
            )
    return list(found.values())


def _facts(
    request: Li2023Request, recipe: Li2023Recipe, folder: Path, cases: Sequence[Case]
) -> list[str]:
    """What was trained and tested, in sentences."""
    card = load_model(folder)[1]
    unseen = sorted({case.scene.family for case in cases if case.group == "unseen"})
    return [
        f"Tested on {len(cases)} simulated stacks of {recipe.planes} planes of {recipe.size_px} px "
        f"of specimens that no network saw; {', '.join(unseen)} were never trained on.",
        f"The U-Net of Li 2023, shortened: {recipe.steps} batches of {recipe.batch} patches of "
        f"{recipe.patch_px} px at up to {recipe.rate:g} on weak labels of "
        f"{recipe.each * len(recipe.families)} stacks, then {recipe.tuning_steps} of "
        f"{recipe.tuning_batch} at up to {recipe.tuning_rate:g} on true masks of {recipe.tuning}; "
        f"in {card.seconds:.0f} s on {card.machine} (published: about 29,000 batches of 16 and "
        "70,000 of 1, of 256 px, at 1e-4).",
        f"Algorithmic truth: {recipe.measure} in windows of {recipe.window_px} px, strides "
        f"{', '.join(map(str, recipe.strides_px))}, Otsu per {recipe.per}. True truth: structure "
        "within half a depth of field. Regions: the same with gaps of 15 px closed.",
        f"Probability from which a pixel is in focus: {recipe.threshold:g}, as in the public code. "
        "The paper's numbers are for its own stacks, against truth by hand.",
        "Blank pixels: share of blank fields that is taken as in focus; blank answered: share of "
        "these fields with any mask. Recorded stacks were never trained on.",
    ]


def _show(request: Li2023Request, found: Study) -> None:
    if request.report is not None:
        header = ReportHeader(
            title="Li 2023: which pixels are in focus",
            date=datetime.now().astimezone().strftime("%Y-%m-%d %H:%M"),
            version=__version__,
            command=request.command,
            introduction="Intersection over union of masks with three truths, beside the paper's.",
        )
        write_text(request.report, benchmark_page(header, found, figures(found)))
    if request.as_json:
        whole = {"parfocal": __version__, **finite(found.to_dict())}
        typer.echo(json.dumps(whole, indent=2, allow_nan=False))
        return
    for text in found.facts:
        typer.echo(text)
    for table in tables(found):
        typer.echo(f"\n{table.title}")
        columns = [(head, "left" if not k else "right") for k, head in enumerate(table.heads)]
        show_table(columns, [[Text(cell) for cell in row] for row in table.cells], Console())
    if request.report is not None:
        typer.echo(f"wrote {request.report}")
