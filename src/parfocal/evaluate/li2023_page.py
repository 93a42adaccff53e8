"""The Li 2023 benchmark as one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Mapping

from parfocal.evaluate.li2023_figure import (
    axial_png,
    bars_png,
    examples_png,
    phantom_png,
    real_png,
)
from parfocal.evaluate.li2023_study import Study, tables
from parfocal.evaluate.sheet import ReportHeader, study_page


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
    return study_page(header, tables(found), drawn, facts=found.facts)
