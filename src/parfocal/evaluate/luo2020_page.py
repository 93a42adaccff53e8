"""The Luo 2020 benchmark as one self-contained HTML page."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from html import escape
from importlib.resources import files

from parfocal.evaluate.luo2020_figure import (
    beads_png,
    examples_png,
    quality_png,
    real_png,
    tilt_png,
)
from parfocal.evaluate.luo2020_study import Study, Table
from parfocal.evaluate.luo2020_tables import tables
from parfocal.evaluate.report import ReportHeader


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
    css = files("parfocal.evaluate").joinpath("report.css").read_text(encoding="utf-8")
    facts = "".join(f"<li>{escape(text)}</li>" for text in found.facts)
    body = "".join(
        f"<h2>{escape(_units(table.title))}</h2>{_table(table)}" for table in tables(found)
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
        f"<p>{escape(header.introduction)}</p><ul>{facts}</ul></header>{pictures}{body}"
        f"<footer><h2>How this was made</h2><pre><code>{escape(header.command)}</code></pre>"
        f"</footer></main></body></html>\n"
    )


def _units(text: str) -> str:
    return text.replace("(um)", "(µm)").replace(" um", " µm")


def _table(table: Table) -> str:
    top = "".join(
        f"<th{' class=number' if k else ''}>{escape(_units(head))}</th>"
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
