"""The Li 2023 benchmark as one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from parfocal.evaluate.li2023_figure import (
    axial_png,
    bars_png,
    examples_png,
    phantom_png,
    real_png,
)
from parfocal.evaluate.li2023_study import Study, tables
from parfocal.evaluate.sheet import ReportHeader, bullets, number_table, png_figure, sheet


def figures(found: Study) -> dict[str, tuple[str, bytes]]:
    """Every figure: a title and a PNG, by the name of its file."""
    made = {
        "methods": ("Every method", bars_png(found)),
        "examples": ("Planes of the test stacks", examples_png(found)),
        "axial": ("Axial sensitivity", axial_png(found)),
        "phantom": ("Shepp-Logan phantom", phantom_png(found)),
    }
    for number, method in enumerate(dict.fromkeys(row.method for row in found.real)):
        rows = [row for row in found.real if row.method == method]
        made[f"real-{number + 1}"] = (f"Recorded stacks by {method}", real_png(rows))
    return made


def benchmark_page(
    header: ReportHeader, found: Study, drawn: Mapping[str, tuple[str, bytes]]
) -> str:
    """Write the page."""
    body = "".join(
        f"<h2>{escape(table.title.replace(' um', ' µm'))}</h2>{_numbers(table)}"
        for table in tables(found)
    )
    pictures = "".join(
        f"<h2>{escape(title)}</h2>{png_figure(png, title)}" for title, png in drawn.values()
    )
    return sheet(header, f"{body}{pictures}", top=bullets(found.facts))


def _numbers(table: Table) -> str:
    return number_table([head.replace("(um)", "(µm)") for head in table.heads], table.cells)
