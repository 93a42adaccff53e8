"""What all report pages have in common: their frame, their tables of numbers, their faults."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from importlib.resources import files

from parfocal.evaluate.study_tables import Table


@dataclass(frozen=True, kw_only=True)
class ReportHeader:
    """What a page says of itself: title, when, with which program and settings."""

    title: str
    date: str
    version: str
    command: str
    settings: dict[str, str] = field(default_factory=dict)
    introduction: str = ""


def sheet(header: ReportHeader, body: str, *, top: str = "", foot: str = "") -> str:
    """Write one self-contained page.

    Parameters
    ----------
    header
        What the page says of itself.
    body, top, foot
        HTML: the page, what ends its head, and what stands below the command at its end.

    Examples
    --------
    >>> header = ReportHeader(title="A & B", date="today", version="1", command="parfocal")
    >>> page = sheet(header, "<h2>Fields</h2>")
    >>> page.count("A &amp; B"), page.startswith("<!doctype html>"), page.endswith("</html>\\n")
    (2, True, True)
    """
    css = files("parfocal.evaluate").joinpath("report.css").read_text(encoding="utf-8")
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(header.title)}</title><style>{css}</style></head><body><main>"
        f"<header><h1>{escape(header.title)}</h1>"
        f'<div class="quiet">{escape(header.date)}, parfocal {escape(header.version)}</div>'
        f"<p>{escape(header.introduction)}</p>{top}</header>{body}"
        f"<footer><h2>How this was made</h2><pre><code>{escape(header.command)}</code></pre>"
        f"{foot}</footer></main></body></html>\n"
    )


def study_page(
    header: ReportHeader,
    tables: Sequence[Table],
    drawn: Mapping[str, tuple[str, bytes]],
    *,
    facts: Sequence[str],
    pictures_first: bool = False,
) -> str:
    """The page of a study: what was done, its tables, and its pictures with their titles."""
    body = "".join(
        f"<h2>{escape(in_micrometres(table.title))}</h2>{number_table(table.heads, table.cells)}"
        for table in tables
    )
    pictures = "".join(
        f"<h2>{escape(title)}</h2>{png_figure(png, title)}" for title, png in drawn.values()
    )
    whole = f"{pictures}{body}" if pictures_first else f"{body}{pictures}"
    return sheet(header, whole, top=bullets(facts))


def in_micrometres(text: str) -> str:
    """Text for a page, with the sign of the micrometre.

    Examples
    --------
    >>> in_micrometres("RMSE (um) of 3 um")
    'RMSE (µm) of 3 µm'
    """
    return text.replace("(um)", "(µm)").replace(" um", " µm")


def settings_list(header: ReportHeader) -> str:
    """The settings of a page, name by name."""
    rows = header.settings.items()
    items = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in rows)
    return f"<dl>{items}</dl>"


def not_processed(failed: Sequence[tuple[str, str]]) -> str:
    """Inputs that could not be processed, with the reason; nothing where all were.

    Examples
    --------
    >>> not_processed([])
    ''
    """
    if not failed:
        return ""
    items = "".join(
        f"<tr><td><b>{escape(path)}</b></td><td>{escape(why)}</td></tr>" for path, why in failed
    )
    return f'<h2>Not processed</h2><div class="wide"><table>{items}</table></div>'


def tally(boxes: Sequence[tuple[str, str, int]], *, failed: int = 0) -> str:
    """Counts in boxes, each with its word and its class, and of what could not be processed.

    Examples
    --------
    >>> tally([("fields", "", 3)])
    '<ul class="tally"><li class=""><b>3</b>fields</li></ul>'
    """
    every = [*boxes, ("not processed", "failed", failed)] if failed else boxes
    items = "".join(f'<li class="{css}"><b>{n}</b>{word}</li>' for word, css, n in every)
    return f'<ul class="tally">{items}</ul>'


def bullets(lines: Sequence[str]) -> str:
    """Sentences, one to a bullet; um becomes µm.

    Examples
    --------
    >>> bullets(["a & b", "3 um"])
    '<ul><li>a &amp; b</li><li>3 µm</li></ul>'
    """
    return "<ul>" + "".join(f"<li>{escape(in_micrometres(text))}</li>" for text in lines) + "</ul>"


def number_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table whose first column has names, and the others numbers; um becomes µm."""
    top = "".join(
        f"<th{' class=number' if k else ''}>{escape(in_micrometres(head))}</th>"
        for k, head in enumerate(heads)
    )
    body = "".join(
        "<tr>"
        + "".join(
            f'<td class="{"number" if k else "name"}">{escape(in_micrometres(cell))}</td>'
            for k, cell in enumerate(row)
        )
        + "</tr>"
        for row in rows
    )
    return (
        f'<div class="wide"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def png_figure(png: bytes, title: str) -> str:
    """A picture as wide as the page, held by the page itself."""
    data = base64.b64encode(png).decode("ascii")
    return (
        f'<figure><img style="width:100%" alt="{escape(title)}" '
        f'src="data:image/png;base64,{data}"></figure>'
    )
