"""The Pinkard 2019 benchmark as tables of words, and as one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np

from parfocal.evaluate.pinkard2019 import CELLS, PAPER, THICKNESS_UM, TISSUE, Studies
from parfocal.evaluate.pinkard2019_figure import studies_png
from parfocal.evaluate.pinkard2019_rows import SURE, StudyRow
from parfocal.evaluate.sheet import (
    ReportHeader,
    in_micrometres,
    number_table,
    png_figure,
    settings_list,
    sheet,
)

TITLES = {
    "stacks": "Number of stacks of cells",
    "kinds": "Kinds of specimen, and fine-tuning",
    "feature": "Magnitude against phase",
    "angle": "Angle of one LED (NA; the objective has 0.5)",
    "pattern": "LEDs together",
}
SUREST = f"surest {100 * SURE:.0f} %"
HEADS = (
    "method", "case", "stacks", "RMSE (um)", SUREST, "learnt from", "always zero",
    "half thickness",
)  # fmt: skip
ADAPTING = (
    "Adapting to a kind that was never learnt, old stacks mixed in: RMSE (um), and that of the "
    f"{SUREST}"
)
ADAPTING_HEADS = (
    "method", "new kind", "stacks of it", "before", "after", "half thickness", "old kind",
    "before", "after", "half thickness",
)  # fmt: skip
MODEL_HEADS = (
    "specimen", "RMSE (um)", "of all", "answered", "wrong signs", "inside 90 % interval",
    "half thickness",
)  # fmt: skip


def study_rows(found: Studies, study: str) -> list[list[str]]:
    """Cells of ``HEADS``."""
    return [
        [
            row.method, row.case, str(row.stacks), f"{row.rmse_um:.2f}",
            "" if row.sure_rmse_um is None else f"{row.sure_rmse_um:.2f}",
            "" if row.train_rmse_um is None else f"{row.train_rmse_um:.2f}",
            f"{row.zero_um:.1f}", f"{row.limit_um:g}",
        ]
        for row in found.of(study)
    ]  # fmt: skip


def adapting_rows(found: Studies) -> list[list[str]]:
    """Cells of ``ADAPTING_HEADS``: one for each method and number of stacks of the new kind."""
    every = found.of("kinds")
    rmse = {(row.method, row.case): _with_sure(row) for row in every}
    limit = {kind: f"{THICKNESS_UM[kind] / 2:g}" for kind in (CELLS, TISSUE)}
    rows = []
    for method in dict.fromkeys(row.method for row in every):
        tuned = [row for row in every if row.method == method]
        for count in [row.stacks for row in tuned if row.case.startswith(f"on {TISSUE}, tuned")]:
            cells = [method, TISSUE, f"{count}"]
            for kind in (TISSUE, CELLS):
                before = rmse[method, f"on {kind}"]
                after = rmse[method, f"on {kind}, tuned with {count}"]
                cells += [*([kind] if kind == CELLS else []), before, after]
                cells.append(limit[kind])
            rows.append(cells)
    return rows


def _with_sure(row: StudyRow) -> str:
    sure = "" if row.sure_rmse_um is None else f" ({row.sure_rmse_um:.2f})"
    return f"{row.rmse_um:.2f}{sure}"


def model_rows(metrics: Mapping[str, float], coverage: Mapping[str, float]) -> list[list[str]]:
    """Cells of ``MODEL_HEADS``, from what a trained model's answers were worth."""
    names = [name.removeprefix("answered_") for name in metrics if name.startswith("answered_")]
    rows = []
    for name in names:
        limit = THICKNESS_UM.get(name)
        rows.append(
            [
                name,
                _number(metrics.get(f"rmse_um_{name}")),
                _number(metrics.get(f"every_rmse_um_{name}")),
                _percent(metrics.get(f"answered_{name}")),
                _percent(metrics.get(f"wrong_signs_{name}")),
                _percent(coverage.get(name)),
                "" if limit is None else f"{limit / 2:g}",
            ]
        )
    return rows


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f} %"


def truth_text(found: Studies) -> str:
    """How the published truth compares with the known one."""
    offsets = np.array(found.truth_offsets_um)
    if not len(offsets):
        return ""
    return (
        f"Published truth ({PAPER['truth']}) less the mean height of the structure, "
        f"{len(offsets)} stacks of cells: mean {offsets.mean():+.2f} um, from {offsets.min():+.2f} "
        f"to {offsets.max():+.2f} um."
    )


def saliency_text(found: Studies) -> str:
    """How much more the edges of the circles count than other frequencies."""
    parts = [f"{name} {share:.2f}" for name, share in found.edge_share.items()]
    return (
        "Saliency at the edges of the two circles, over that elsewhere: "
        f"{', '.join(parts)} (paper: {PAPER['saliency']})."
    )


def benchmark_page(
    header: ReportHeader, found: Studies, models: Mapping[str, Sequence[Sequence[str]]]
) -> str:
    """Write the page: the figure, the trained models, and a table for each study."""
    parts = [
        _table(f"{name}, on stacks that it never saw", MODEL_HEADS, rows)
        for name, rows in models.items()
    ]
    for study, title in TITLES.items():
        note = f"<p>The paper: {escape(in_micrometres(PAPER[study]))}.</p>"
        parts.append(_table(title, HEADS, study_rows(found, study), note))
        if study == "kinds":
            parts.append(_table(ADAPTING, ADAPTING_HEADS, adapting_rows(found)))
    notes = f"<p>{escape(in_micrometres(f'{saliency_text(found)} {truth_text(found)}'))}</p>"
    picture = png_figure(studies_png(found), "All studies")
    return sheet(header, f"{picture}{notes}{''.join(parts)}", foot=settings_list(header))


def _table(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]], note: str = "") -> str:
    return f"<h2>{escape(in_micrometres(title))}</h2>{note}{number_table(heads, rows)}"
