"""Run the comparison of Wu 2019: refocus one image onto planes and surfaces, print the tables."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import typer
from pydantic import BaseModel, ConfigDict
from rich.console import Console
from rich.text import Text

from parfocal import __version__
from parfocal.cli.exits import DONE, CallError
from parfocal.cli.outputs import check_output, write_text
from parfocal.cli.tables import show_table
from parfocal.core.errors import InputError
from parfocal.evaluate.sheet import ReportHeader
from parfocal.evaluate.wu2019 import (
    Example,
    Wu2019Row,
    bead_errors_um,
    focus_rows,
    section_rows,
    stack_rows,
    surface_rows,
    worm_series,
)
from parfocal.evaluate.wu2019_page import benchmark_page, figures
from parfocal.evaluate.wu2019_scope import PHOTONS, SETUP, SPHERICAL
from parfocal.evaluate.wu2019_study import Wu2019Study, tables, targets
from parfocal.refocus.surface import DEFAULT_MODEL, load_surface_refocuser
from parfocal.refocus.surface_refocuser import SurfaceRefocuser

CHAPTERS = ("stack", "focus", "surface", "section", "beads", "series")
MOST_EXAMPLES = 12


class Wu2019Request(BaseModel):
    """Options of ``parfocal benchmark wu2019``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    is_quick: bool = False
    seeds: int = 2
    model: str | None = None
    only: tuple[str, ...] = ()
    device: str = "cpu"
    as_json: bool = False
    report: Path | None = None
    overwrite: bool = False
    command: str = "parfocal benchmark wu2019"

    @property
    def chapters(self) -> tuple[str, ...]:
        """What is run."""
        return self.only or CHAPTERS

    @property
    def size_px(self) -> int:
        """Side of an image."""
        return 96 if self.is_quick else 256

    @property
    def repeats(self) -> int:
        """Specimens of each kind."""
        return 1 if self.is_quick else self.seeds


def run_wu2019(request: Wu2019Request) -> int:
    """Do what was asked; return the exit status."""
    if request.report is not None:
        check_output(request.report, overwrite=request.overwrite, option="--report")
    unknown = [name for name in request.only if name not in CHAPTERS]
    if unknown:
        raise CallError(f"--only {unknown[0]} is no chapter; give {', '.join(CHAPTERS)}.")
    name = request.model or DEFAULT_MODEL
    try:
        ours = load_surface_refocuser(name, device=request.device)
    except InputError as error:
        raise CallError(f"--model: {error}") from error
    _show(request, _study(request, ours))
    return DONE


def _study(request: Wu2019Request, ours: SurfaceRefocuser) -> Wu2019Study:
    section = SurfaceRefocuser(
        ours.looker.networks, ours.card, is_section=True, device=request.device
    )
    study = Wu2019Study(model=ours.name, facts=_words(request, ours))
    common: dict[str, Any] = {"size_px": request.size_px, "seeds": request.repeats}
    step = 3.5 if request.is_quick else 1.0
    sources: dict[str, Iterator[tuple[list[Wu2019Row], Example]]] = {
        "stack": stack_rows(ours, z_um=np.arange(-7.0, 7.01, step), **common),
        "focus": focus_rows(ours, **common),
        "surface": surface_rows(ours, **common),
        "section": section_rows(ours, section, **common),
    }
    for chapter, source in sources.items():
        if chapter not in request.chapters:
            continue
        _tell(request, chapter)
        for rows, example in source:
            study.rows += rows
            titles = [each.title for each in study.examples]
            if example.pictures and example.title not in titles and len(titles) < MOST_EXAMPLES:
                study.examples.append(example)
    if "beads" in request.chapters:
        _tell(request, "beads")
        study.bead_errors_um = bead_errors_um(ours, **common)
    if "series" in request.chapters:
        _tell(request, "series")
        frames = 2 if request.is_quick else 10
        study.series = worm_series(ours, size_px=request.size_px, frames=frames)
    return study


def _tell(request: Wu2019Request, chapter: str) -> None:
    if not request.as_json:
        typer.echo(f"{chapter} ...", err=True)


def _words(request: Wu2019Request, ours: SurfaceRefocuser) -> tuple[str, ...]:
    """What is tried, in sentences."""
    return (
        f"One image of {request.size_px} px at NA {SETUP.na:g}, {SETUP.wavelength_nm:g} nm and "
        f"{SETUP.pixel_um:g} um pixels: one depth of field is {SETUP.depth_of_field_um:.2f} um. "
        f"{PHOTONS:g} photons at the brightest pixel, background and read noise.",
        f"Spherical aberration of {SPHERICAL:g} waves RMS, told to every method that asks. "
        f"{ours.name} knows surfaces within "
        f"{ours.calibration.surface_dof * SETUP.depth_of_field_um:.1f} um, not the paper's 10.",
        f"{request.repeats} specimens of each kind (nematodes, neurons, beads), 10 um deep or "
        "thin; worms and neurons are of families that the network never saw.",
        "Truth is the scan by the same microscope without noise. Wiener is told the distance, the "
        "point-spread function and the background; the network is told the surface alone.",
    )


def _show(request: Wu2019Request, study: Wu2019Study) -> None:
    if request.report is not None:
        header = ReportHeader(
            title="Wu 2019: one image onto other surfaces",
            date=datetime.now().astimezone().strftime("%Y-%m-%d %H:%M"),
            version=__version__,
            command=request.command,
            introduction="Virtual stacks, surfaces and sections from one image, beside the scan.",
        )
        write_text(request.report, benchmark_page(header, study, figures(study)))
    made = tables(study)
    if request.as_json:
        whole = {
            "parfocal": __version__, "model": study.model, "facts": study.facts,
            "rows": [vars(row) for row in study.rows],
            "series": None if study.series is None else vars(study.series),
            "targets": [vars(each) for each in targets(study)],
            "tables": [vars(table) for table in made],
        }  # fmt: skip
        typer.echo(json.dumps(whole, indent=2, allow_nan=False))
        return
    for text in study.facts:
        typer.echo(text)
    for table in made:
        typer.echo(f"\n{table.title}")
        columns = [(head, "left" if not k else "right") for k, head in enumerate(table.heads)]
        show_table(columns, [[Text(cell) for cell in row] for row in table.cells], Console())
    if request.report is not None:
        typer.echo(f"wrote {request.report}")
