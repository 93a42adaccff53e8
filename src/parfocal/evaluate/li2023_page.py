"""The Li 2023 benchmark as one self-contained HTML page."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from html import escape
from importlib.resources import files

from parfocal.evaluate.li2023_figure import (
    axial_png,
    bars_png,
    examples_png,
    phantom_png,
    real_png,
)
from parfocal.evaluate.li2023_study import Study, Table, tables
from parfocal.evaluate.report import ReportHeader


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
    css = files("parfocal.evaluate").joinpath("report.css").read_text(encoding="utf-8")
    facts = "".join(f"<li>{escape(text)}</li>" for text in found.facts)
    body = "".join(
        f"<h2>{escape(table.title.replace(' um', ' µm'))}</h2>{_table(table)}"
        for table in tables(found)
    )
    pictures = "".join(
        f"<h2>{escape(title)}</h2>{_image(png, title)}" for title, png in drawn.values()
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(header.title)}</title><style>{css}</style></head><body><main>"
        f"<header><h1>{escape(header.title)}</h1>"
        f'<div class="quiet">{escape(header.date)}, parfocal {escape(header.version)}</div>'
        f"<p>{escape(header.introduction)}</p><ul>{facts}</ul></header>{body}{pictures}"
        f"<footer><h2>How this was made</h2><pre><code>{escape(header.command)}</code></pre>"
        f"</footer></main></body></html>\n"
    )


def _table(table: Table) -> str:
    top = "".join(
        f"<th{' class=number' if k else ''}>{escape(head.replace('(um)', '(µm)'))}</th>"
        for k, head in enumerate(table.heads)
    )
    body = "".join(
        "<tr>"
        + "".join(
            f'<td class="{"number" if k else "name"}">{escape(cell)}</td>'
            for k, cell in enumerate(row)
        )
        + "</tr>"
        for row in table.cells
    )
    return (
        f'<div class="wide"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def _image(png: bytes, title: str) -> str:
    data = base64.b64encode(png).decode("ascii")
    return (
        f'<figure><img style="width:100%" alt="{escape(title)}" '
        f'src="data:image/png;base64,{data}"></figure>'
    )
