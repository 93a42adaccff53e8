"""The Luo 2020 benchmark as one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Mapping

from parfocal.evaluate.luo2020_figure import (
    beads_png,
    examples_png,
    quality_png,
    real_png,
    tilt_png,
)
from parfocal.evaluate.luo2020_study import Study
from parfocal.evaluate.luo2020_tables import tables
from parfocal.evaluate.sheet import ReportHeader, study_page


def figures(found: Study) -> dict[str, tuple[str, bytes]]:
    """Every figure of what was run: a title and a PNG, by the name of its file."""
    drawn = {
        "quality": ("Quality against defocus", quality_png, found.fields),
        "examples": ("Fields", examples_png, found.examples),
        "beads": ("Beads against defocus", beads_png, found.beads),
        "tilt": ("A tilted field", tilt_png, found.tilt),
    }
    made = {name: (title, draw(found)) for name, (title, draw, rows) in drawn.items() if rows}
    if found.real:
        made["real"] = ("Recorded stacks", real_png(found.real))
    return made


def benchmark_page(
    header: ReportHeader, found: Study, drawn: Mapping[str, tuple[str, bytes]]
) -> str:
    """Write the page."""
    return study_page(header, tables(found), drawn, facts=found.facts, pictures_first=True)
