"""The Li 2021 benchmark as one self-contained HTML page."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from importlib.resources import files

from parfocal.evaluate.li2021 import Ratio
from parfocal.evaluate.li2021_figure import confusions_png, errors_png, spacings_png
from parfocal.evaluate.li2021_study import PUBLISHED, Benchmark, Row
from parfocal.evaluate.report import ReportHeader

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
    css = files("parfocal.evaluate").joinpath("report.css").read_text(encoding="utf-8")
    groups = list(dict.fromkeys(row.group for row in found.rows))
    tables = "".join(
        f"<h3>{escape(group)}</h3>{_table(HEADS, table_rows(found, group))}" for group in groups
    )
    ratios = _table(
        ("scenes", "network", "over DCTS, all patches", "over DCTS, its certain patches"),
        [[r.group, r.method, ratio_text(r.every), ratio_text(r.certain)] for r in found.ratios],
    )
    studies = _table(
        ("study", "images", "apart (µm)", "classes", "right class", "within one", "wrong side",
         "mean |error| (µm)"),
        [[s.name, str(s.images), f"{s.spacing_um:g}" if s.images > 1 else "", str(s.classes),
          percent(s.summary.exact), percent(s.summary.near), percent(s.summary.wrong_side),
          number(s.mean_um)] for s in found.studies],
    )  # fmt: skip
    facts = "".join(f"<li>{escape(text)}</li>" for text in found.facts)
    settings = "".join(
        f"<dt>{escape(key)}</dt><dd>{escape(value)}</dd>" for key, value in header.settings.items()
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(header.title)}</title><style>{css}</style></head><body><main>"
        f"<header><h1>{escape(header.title)}</h1>"
        f'<div class="quiet">{escape(header.date)}, parfocal {escape(header.version)}</div>'
        f"<p>{escape(header.introduction)}</p><ul>{facts}</ul></header>"
        f"<h2>Errors (µm)</h2>{_image(errors_png(found), 'Errors of all methods')}{tables}"
        f"<h2>Networks over DCTS</h2>{ratios}"
        f"<h2>One, two and three images</h2>{_image(confusions_png(found), 'Confusion matrices')}"
        f"<h2>Distance of the images</h2>{_image(spacings_png(found), 'Accuracy by distance')}"
        f"{studies}"
        f"<footer><h2>How this was made</h2><pre><code>{escape(header.command)}</code></pre>"
        f"<dl>{settings}</dl></footer></main></body></html>\n"
    )


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    top = "".join(
        f"<th{' class=number' if k else ''}>{escape(head)}</th>" for k, head in enumerate(heads)
    )
    body = "".join(
        "<tr>"
        + "".join(
            f'<td class="{"number" if k else "name"}">{escape(cell)}</td>'
            for k, cell in enumerate(row)
        )
        + "</tr>"
        for row in rows
    )
    return (
        f'<div class="wide"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'
    )


_PNG = "data:image/png;base64,"


def _image(png: bytes, title: str) -> str:
    data = base64.b64encode(png).decode("ascii")
    return f'<figure><img style="width:100%" alt="{escape(title)}" src="{_PNG}{data}"></figure>'
