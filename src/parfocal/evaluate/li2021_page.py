"""The Li 2021 benchmark as one self-contained HTML page."""

from __future__ import annotations

from html import escape

from parfocal.evaluate.li2021 import Ratio
from parfocal.evaluate.li2021_figure import confusions_png, errors_png, spacings_png
from parfocal.evaluate.li2021_study import PUBLISHED, Benchmark, Row
from parfocal.evaluate.sheet import (
    ReportHeader,
    bullets,
    number_table,
    png_figure,
    settings_list,
    sheet,
)

HEADS = (
    "method", "images", "mean", "median", "certain", "kept", "paper", "3 x 3 mean", "median",
    "certain", "answered", "paper",
)  # fmt: skip


def table_rows(found: Benchmark, group: str) -> list[list[str]]:
    """Cells of ``HEADS`` for one kind of scene, in um; an empty cell where there is no number."""
    return [_cells(row) for row in found.rows if row.group == group]


def _cells(row: Row) -> list[str]:
    single, field, certain_field = PUBLISHED.get(row.method, (None, None, None))
    return [
        row.method,
        str(row.images),
        number(row.patch.mean_um),
        number(row.patch.median_um),
        number(row.patch.certain_um),
        percent(row.patch.kept),
        number(single),
        number(row.field.mean_um),
        number(row.field.median_um),
        number(row.field.certain_um),
        percent(row.field.kept),
        number(field if certain_field is None else certain_field),
    ]


def number(value: float | None) -> str:
    """A length in um for a table."""
    return "" if value is None else f"{value:.2f}"


def percent(value: float) -> str:
    """A share for a table."""
    return f"{100 * value:.0f} %"


def ratio_text(ratio: Ratio | None) -> str:
    """A ratio with its interval.

    Examples
    --------
    >>> ratio_text(Ratio(value=0.5, low=0.41, high=0.62))
    '0.50 (0.41 to 0.62)'
    """
    return "" if ratio is None else f"{ratio.value:.2f} ({ratio.low:.2f} to {ratio.high:.2f})"


def benchmark_page(header: ReportHeader, found: Benchmark) -> str:
    """Write the page."""
    groups = list(dict.fromkeys(row.group for row in found.rows))
    tables = "".join(
        f"<h3>{escape(group)}</h3>{number_table(HEADS, table_rows(found, group))}"
        for group in groups
    )
    ratios = number_table(
        ("scenes", "network", "over DCTS, all patches", "over DCTS, its certain patches"),
        [[r.group, r.method, ratio_text(r.every), ratio_text(r.certain)] for r in found.ratios],
    )
    studies = number_table(
        ("study", "images", "apart (µm)", "classes", "right class", "within one", "wrong side",
         "mean |error| (µm)"),
        [[s.name, str(s.images), f"{s.spacing_um:g}" if s.images > 1 else "", str(s.classes),
          percent(s.summary.exact), percent(s.summary.near), percent(s.summary.wrong_side),
          number(s.mean_um)] for s in found.studies],
    )  # fmt: skip
    body = (
        f"<h2>Errors (µm)</h2>{png_figure(errors_png(found), 'Errors of all methods')}{tables}"
        f"<h2>Networks over DCTS</h2>{ratios}"
        "<h2>One, two and three images</h2>"
        f"{png_figure(confusions_png(found), 'Confusion matrices')}"
        f"<h2>Distance of the images</h2>{png_figure(spacings_png(found), 'Accuracy by distance')}"
        f"{studies}"
    )
    return sheet(header, body, top=bullets(found.facts), foot=settings_list(header))
