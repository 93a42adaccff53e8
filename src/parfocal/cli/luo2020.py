"""Run the comparison of Luo 2020: blur, refocus in every way, print the tables."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
import torch
import typer
from pydantic import BaseModel, ConfigDict
from rich.console import Console
from rich.text import Text
from torch import nn

from parfocal import __version__
from parfocal.cli.drive_outputs import finite
from parfocal.cli.exits import DONE, CallError
from parfocal.cli.kept_rows import KeptRows
from parfocal.cli.luo2020_chapters import (
    bead_rows,
    clear_rows,
    examples,
    field_rows,
    range_rows,
    real_planes,
    stain_examples,
    stain_rows,
    tilt_rows,
    time_rows,
)
from parfocal.cli.outputs import check_output, write_text
from parfocal.cli.tables import show_table
from parfocal.core.errors import InputError
from parfocal.evaluate.luo2020 import DISTANCES_DOF, PHOTONS, methods
from parfocal.evaluate.luo2020_page import benchmark_page, figures
from parfocal.evaluate.luo2020_study import Study
from parfocal.evaluate.luo2020_tables import tables
from parfocal.evaluate.sheet import ReportHeader
from parfocal.models.package import load_model
from parfocal.refocus.blind import DEFAULT_MODEL, load_refocuser
from parfocal.refocus.refocuser import BlindRefocuser
from parfocal.train.held_out import UNSEEN

DEFAULT_DATA = Path("../shared/data")
PUBLISHED_ARCHITECTURE = "parfocal.nets.luo2020:Luo2020Generator"
STAINS = "deep-r-brightfield"
CHAPTERS = ("fields", "ranges", "beads", "tilt", "clear", "stains", "times", "real")


class Luo2020Request(BaseModel):
    """Options of ``parfocal benchmark luo2020``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    is_quick: bool = False
    fields: int = 3
    model: str | None = None
    published: Path | None = None
    data: Path | None = None
    folder: Path | None = None
    only: tuple[str, ...] = ()
    steps: int = 2000
    seed: int = 0
    device: str = "cpu"
    as_json: bool = False
    report: Path | None = None
    overwrite: bool = False
    command: str = "parfocal benchmark luo2020"

    @property
    def chapters(self) -> tuple[str, ...]:
        """What is run."""
        whole = ("fields", "beads", "tilt") if self.is_quick else CHAPTERS
        return self.only or whole

    @property
    def range_steps(self) -> int:
        """Batches that each network of the trade-off of ranges learns from."""
        return 2 if self.is_quick else self.steps

    @property
    def kinds(self) -> tuple[str, ...]:
        """Families that no recipe trains on."""
        return UNSEEN[-1:] if self.is_quick else UNSEEN

    @property
    def size_px(self) -> int:
        """Side of a simulated image."""
        return 64 if self.is_quick else 192

    @property
    def conditions(self) -> list[tuple[float, float]]:
        """|defocus| in depths of field, and photons, of each group of fields."""
        if self.is_quick:
            return [(2.0, PHOTONS[0])]
        return [(dof, photons) for photons in PHOTONS for dof in DISTANCES_DOF]

    @property
    def place(self) -> Path:
        """Folder of what was found so far."""
        default = Path(platformdirs.user_cache_dir("parfocal")) / "luo2020"
        folder = default if self.folder is None else self.folder
        return folder / "quick" if self.is_quick else folder


def run_luo2020(request: Luo2020Request) -> int:
    """Do what was asked; return the exit status."""
    if request.report is not None:
        check_output(request.report, overwrite=request.overwrite, option="--report")
    if request.data is not None and not request.data.is_dir():
        raise CallError(f"--data {request.data} is no folder.")
    unknown = [name for name in request.only if name not in CHAPTERS]
    if unknown:
        raise CallError(f"--only {unknown[0]} is no chapter; give {', '.join(CHAPTERS)}.")
    ours, facts = _ours(request)
    published, more = _published(request)
    _show(request, _study(request, ours, published, [*_words(request, ours), *facts, *more]))
    return DONE


def _ours(request: Luo2020Request) -> tuple[BlindRefocuser | None, list[str]]:
    """Our own network where there is one, or the reason why it is not in the tables."""
    name = request.model or DEFAULT_MODEL
    try:
        return load_refocuser(name, device=request.device), []
    except InputError as error:
        if request.model is not None:
            raise CallError(f"--model: {error}") from error
        return None, [f"Our own network, {name}, is not in the tables: its weights are not here."]


def _stains(request: Luo2020Request) -> BlindRefocuser | None:
    """The network for stains, where it is there."""
    try:
        return load_refocuser(STAINS, device=request.device)
    except InputError:
        return None


def _published(request: Luo2020Request) -> tuple[nn.Module | None, list[str]]:
    if request.published is None:
        return None, [
            "The network as published is not in the tables: none was given. Train one with "
            "parfocal train luo2020, and name its folder by --published."
        ]
    try:
        networks, card = load_model(request.published)
    except InputError as error:
        raise CallError(f"--published: {error}") from error
    if card.architecture != PUBLISHED_ARCHITECTURE:
        raise CallError(f"--published {request.published} is no generator of luo2020.")
    said = (
        f"The network as published was trained for {card.recipe.get('steps')} iterations in "
        f"{card.seconds:.0f} s on the simulated fields that ours learns from (published: 100,000 "
        "iterations)."
    )
    return networks[0].eval(), [said]


def _words(request: Luo2020Request, ours: BlindRefocuser | None) -> list[str]:
    """What is tried, in sentences."""
    trained = "" if ours is None else f" {ours.name} learned up to {_reach(ours):g} DoF."
    return [
        f"Simulated fields of {request.size_px} px of {', '.join(request.kinds)}, of which no "
        f"network saw any: {request.fields if not request.is_quick else 1} of each at each "
        "distance and brightness, thin layers, each with optics, aberrations, background and read "
        f"noise of its own. Photons are those of the brightest pixel.{trained}",
        "Truth is the field in focus by the same optics without aberrations. Errors are relative "
        "to its range. The best Gaussian is chosen with the truth at hand.",
        "Deconvolution takes 100 steps and is told the background. The user's PSF has no "
        "aberrations and is half a depth of field too near or too far; for 'estimated' the "
        "distance is the network's.",
        "Where the blind refocuser declines, the input stands for its answer.",
        f"The networks of three ranges differ in nothing but how far from focus they learned, for "
        f"{request.range_steps} batches each.",
    ]


def _reach(ours: BlindRefocuser) -> float:
    return float(ours.card.recipe.get("reach_dof", ours.calibration.reach_dof))


def _study(
    request: Luo2020Request,
    ours: BlindRefocuser | None,
    published: nn.Module | None,
    facts: Sequence[str],
) -> Study:
    steps = 4 if request.is_quick else 100
    asked = methods(ours, published=published, steps=steps)
    common = {"quick": request.is_quick, "fields": request.fields, "seed": request.seed}
    key = common | {
        "model": None if ours is None else [ours.card.sha256, ours.card.calibration],
        "published": None if request.published is None else str(request.published),
        "methods": sorted(asked),
    }  # fmt: skip
    kept = KeptRows(request.place, json.loads(json.dumps(key)))
    classical = KeptRows(request.place / "classical", common)
    chapters = request.chapters
    found: dict[str, Any] = {}
    if "fields" in chapters:
        found["fields"] = field_rows(request, asked, kept, classical)
        found["examples"] = examples(request, asked)
    if "ranges" in chapters:
        of_ranges = KeptRows(request.place / "ranges", common | {"steps": request.range_steps})
        found["ranges"] = range_rows(request, of_ranges)
    if "beads" in chapters:
        found["beads"] = bead_rows(request, ours, published, kept, steps=steps)
    if "tilt" in chapters:
        found["tilt"] = tilt_rows(request, ours, published, kept)
    if "clear" in chapters and ours is not None:
        found["clear"] = clear_rows(request, ours, kept)
    if "stains" in chapters:
        stains = _stains(request)
        of_stains = KeptRows(
            request.place / "stains",
            common | {"model": None if stains is None else stains.card.sha256},
        )
        found["stains"] = stain_rows(request, stains, of_stains, steps=steps)
        found["examples"] = [*found.get("examples", ()), *stain_examples(request, stains)]
    if "times" in chapters:
        found["times"] = time_rows(request, ours, kept)
    folder = DEFAULT_DATA if request.data is None else request.data
    if "real" in chapters and ours is not None and folder.is_dir():
        found["real"] = real_planes(folder, ours)
    return Study(**{name: tuple(rows) for name, rows in found.items()}, facts=tuple(facts))


def _show(request: Luo2020Request, found: Study) -> None:
    if request.report is not None:
        header = ReportHeader(
            title="Luo 2020: one blurred image into focus",
            date=datetime.now().astimezone().strftime("%Y-%m-%d %H:%M"),
            version=__version__,
            command=request.command,
            introduction="Blind refocusing beside deconvolution, by defocus, light and specimen.",
        )
        write_text(request.report, benchmark_page(header, found, figures(found)))
    made = tables(found)
    if request.as_json:
        whole = {"parfocal": __version__, **finite(found.to_dict())}
        whole["tables"] = [vars(table) for table in made]
        typer.echo(json.dumps(whole, indent=2, allow_nan=False, default=_plain))
        return
    for text in found.facts:
        typer.echo(text)
    for table in made:
        typer.echo(f"\n{table.title}")
        columns = [(head, "left" if not k else "right") for k, head in enumerate(table.heads)]
        show_table(columns, [[Text(cell) for cell in row] for row in table.cells], Console())
    if request.report is not None:
        typer.echo(f"wrote {request.report}")


def _plain(value: Any) -> Any:
    if isinstance(value, (np.generic, torch.Tensor)):
        return value.item()
    raise TypeError(f"{type(value).__name__} is no JSON.")
