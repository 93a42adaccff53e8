"""One self-contained HTML page on refocused images: before and after, trust, difference, lines."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from parfocal.evaluate.collected import Collected, PageWords
from parfocal.evaluate.refocus_fields import (
    RefocusRecord,
    chance_text,
    distance_text,
    flux_text,
    note_text,
    trust_text,
)
from parfocal.evaluate.refocus_figure import (
    detail_mark,
    difference_frame,
    grey_frame,
    line_mark,
    profile_svg,
    small_view,
    trust_frame,
    views_of,
)
from parfocal.evaluate.sheet import ReportHeader

MANY_IMAGES = 30
"""So many images are shown with pictures; the others have a row in the table."""
EXPLANATION = (
    "Only the status “found” is an answer; otherwise nothing was written. Each picture is drawn "
    "between its own grey values; the line profile and the difference are in counts of the image. "
    "Trust runs from 0 (keep the input here) to 1; that of a deconvolution knows of saturated "
    "pixels only, not of a wrong distance. Light is that of the output over that of the "
    "input, above the background. Depths of field are n λ / NA²."
)
GRID = "display:grid;gap:14px;margin-top:16px;align-items:start;grid-template-columns:"
FOURTHS = f"{GRID}repeat(4,minmax(0,1fr))"
DETAIL = f"{GRID}minmax(0,1fr) minmax(0,1fr) minmax(0,2fr)"


def _words(text: str) -> str:
    """A sentence for the page: a capital first, the unit as it is written."""
    return escape(text[:1].upper() + text[1:]).replace(" um", " µm")


def _badge(record: RefocusRecord) -> str:
    kind = "keep" if record.found else "check"
    return f'<span class="badge {kind}">{escape(str(record.status))}</span>'


def _figure(picture: str, title: str, text: str = "") -> str:
    return f"<figure>{picture}<figcaption><b>{title}</b> {text}</figcaption></figure>"


def _answer(record: RefocusRecord) -> str:
    """What was done; without an answer the reason."""
    made = record.made
    if not record.found:
        return (
            f'<div class="declined check"><b>Not refocused: {escape(str(record.status))}.</b> '
            f"{_words(made.reason)}.</div>"
        )
    warnings = "".join(f"<li>{_words(text)}</li>" for text in made.warnings)
    return (
        f'<p class="answer">{escape(made.method.capitalize())} <small>{escape(made.reason)}'
        "</small></p>".replace(" um", " µm")
        + (f'<ul class="warn">{warnings}</ul>' if warnings else "")
    )


def _distance(record: RefocusRecord) -> str:
    made = record.made
    if made.defocus_um is None:
        return (
            f"varies: {record.told_by}" if record.told_by.startswith(("tilt", "surface")) else "-"
        )
    text = f"{distance_text(record).replace(' (', ' µm (').replace(')', ' depths of field)')}"
    if made.interval_um is not None:
        low, high = made.interval_um
        text += f", 90 % interval {low:.2f} to {high:.2f} µm"
    return f"{text}; {record.told_by}" if record.told_by else text


def _facts(record: RefocusRecord) -> str:
    size_y, size_x = record.shape
    made, setup = record.made, record.setup
    rows = {"Image": f"{size_y} x {size_x} px (y, x)"}
    if record.planes > 1:
        rows["Image"] += f", plane {record.plane} of {record.planes}"
    if setup is not None:
        rows["Optics"] = (
            f"NA {setup.na:g}, {setup.wavelength_nm:g} nm, pixel {setup.pixel_um:.4g} µm, "
            f"immersion index {setup.immersion_index:g}; depth of field "
            f"{setup.depth_of_field_um:.3g} µm"
        )
    rows["From focus"] = _distance(record)
    if record.found:
        rows["Trust"] = f"{trust_text(record)} on average"
        rows["Light kept"] = flux_text(record)
    if made.verdict is not None:
        rows["Better than input"] = f"with a chance of {chance_text(record)}"
    if made.card is not None:
        rows["Network"] = f"{made.card.get('name', '')}, {str(made.card.get('sha256', ''))[:16]}"
    if made.blocks > 1:
        kept = f", {made.kept} of them kept from an earlier run" if made.kept else ""
        rows["Made in"] = f"{made.blocks} blocks{kept}"
    if record.channel or record.modality:
        rows["Channel"] = ", ".join(text for text in (record.channel, record.modality) if text)
    if record.notes:
        rows["Notes"] = "; ".join(record.notes)
    if made.paths:
        rows["Written"] = ", ".join(str(path) for path in made.paths)
    rows["Source"] = record.source
    body = "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in rows.items())
    return f"<dl>{body}</dl>"


def _pictures(record: RefocusRecord, before: Any, after: Any, trust: Any) -> str:
    """The whole field four times, and a detail of it with a line through both."""
    views = views_of(before, after, trust)
    pixel_um = None if record.setup is None else record.setup.pixel_um
    of_field: dict[str, Any] = {"sides": views.shape, "pixel_um": pixel_um}
    mark = detail_mark(views)
    whole = [
        _figure(grey_frame(views.before, "Input", over=mark, **of_field), "Input"),
        _figure(grey_frame(views.after, "Output", over=mark, **of_field), "Output"),
        _figure(trust_frame(views, pixel_um), "Trust"),
        _figure(difference_frame(views, pixel_um), "Output less input"),
    ]
    sides = (views.detail_after.shape[0], views.detail_after.shape[1])
    of_detail: dict[str, Any] = {"sides": sides, "pixel_um": pixel_um, "over": line_mark(views)}
    row, column = views.corner
    detail = [
        _figure(
            grey_frame(views.detail_before, "Input, detail", is_blocky=True, **of_detail),
            "Input", f"{sides[0]} x {sides[1]} px at y {row}, x {column}",
        ),
        _figure(
            grey_frame(views.detail_after, "Output, detail", is_blocky=True, **of_detail),
            "Output", "the same pixels",
        ),
        _figure(profile_svg(views, pixel_um), "Along the line", "through what stands out most."),
    ]  # fmt: skip
    return (
        f'<div style="{FOURTHS}">{"".join(whole)}</div>'
        f'<div style="{DETAIL}">{"".join(detail)}</div>'
    )


def image_section(record: RefocusRecord, before: Any, made: Sequence[Any], anchor: str) -> str:
    """One image: the answer, the pictures and the facts; a declined one shows the input only."""
    if len(made) == 2:
        pictures = _pictures(record, before, made[0], made[1])
    else:
        pixel_um = None if record.setup is None else record.setup.pixel_um
        small = small_view(before)
        picture = grey_frame(small, "Input", sides=record.shape, pixel_um=pixel_um)
        pictures = f'<div style="{FOURTHS}">{_figure(picture, "Input")}</div>'
    return (
        f'<section class="field" id="{anchor}"><div class="head"><h3>{escape(record.name)}</h3>'
        f"{_badge(record)}</div>{_answer(record)}{pictures}{_facts(record)}</section>"
    )


def images_table(records: Sequence[RefocusRecord], anchors: dict[int, str]) -> str:
    """One row an image."""
    heads = [
        "image",
        "status",
        "method",
        "from focus, µm (DoF)",
        "trust",
        "better",
        "light",
        "note",
    ]
    numeric = heads[3:7]
    head = "".join(f"<th{' class=number' if h in numeric else ''}>{h}</th>" for h in heads)
    rows = []
    for number, record in enumerate(records):
        name = escape(record.name)
        if number in anchors:
            name = f'<a href="#{anchors[number]}">{name}</a>'
        numbers = [
            distance_text(record), trust_text(record), chance_text(record), flux_text(record)
        ]  # fmt: skip
        cells = [f'<td class="name">{name}</td>', f"<td>{_badge(record)}</td>"]
        cells.append(f"<td>{escape(record.made.method) if record.found else '-'}</td>")
        cells += [f'<td class="number">{escape(text)}</td>' for text in numbers]
        cells.append(f'<td class="note">{_words(note_text(record))}</td>')
        rows.append(f"<tr>{''.join(cells)}</tr>")
    return (
        f'<div class="wide"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


WORDS = PageWords[RefocusRecord](
    anchor="refocused",
    many="images",
    counted="images",
    answered="refocused",
    explanation=EXPLANATION,
    most=MANY_IMAGES,
    is_answered=lambda record: record.found,
    table=images_table,
)


class RefocusPage:
    """Collects images one by one, keeping their pictures and not their pixels.

    Examples
    --------
    >>> header = ReportHeader(title="Refocused", date="today", version="1", command="parfocal")
    >>> page = RefocusPage().page(header)
    >>> page.startswith("<!doctype html>"), "<script" in page
    (True, False)
    """

    def __init__(self) -> None:
        self._fields = Collected(WORDS)

    def add(self, record: RefocusRecord, before: Any, *made: Any) -> None:
        """Draw one image before and, where there is an answer, after, with its trust; each lazy."""
        self._fields.add(record, lambda anchor: image_section(record, before, made, anchor))

    def body(self) -> str:
        """The table and the images."""
        return self._fields.body()

    def page(self, header: ReportHeader, *, failed: Sequence[tuple[str, str]] = ()) -> str:
        """Write the page.

        Parameters
        ----------
        failed
            Inputs that could not be processed, with the reason.
        """
        return self._fields.page(header, self.body(), failed=failed)
