"""One self-contained HTML page on what is in focus: masks over planes, heights, the volume."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

from parfocal.core.binning import binned
from parfocal.core.masks import FocusMasks
from parfocal.core.stack import FocalStack
from parfocal.evaluate.collected import Collected, PageWords
from parfocal.evaluate.segment_fields import (
    SegmentRecord,
    height_text,
    note_text,
    planes_text,
    share_text,
    thinned,
)
from parfocal.evaluate.segment_figure import (
    SHOWN_PX,
    Drawn,
    coverage_svg,
    height_frame,
    height_range,
    limits_of,
    plane_frames,
    projection_frames,
    shown_planes,
    volume_png,
)
from parfocal.evaluate.sheet import ReportHeader
from parfocal.segment.sections import sectioned_projection
from parfocal.segment.surface import focus_height

MANY_FIELDS = 30
"""So many fields are shown with pictures; the others have a row in the table."""
EXPLANATION = (
    "Only the status “found” is an answer. The contour runs around what was called in focus. Each "
    "plane is shown between its own grey values, a dim one brightened at most fourfold. A height "
    "is the centre of the heaviest run of planes in focus at a pixel. The sectioned projection "
    "takes each pixel from the planes in which it is in focus, and is black where there is none."
)


def _words(text: str) -> str:
    """A sentence for the page: a capital first, the unit as it is written."""
    return escape(text[:1].upper() + text[1:]).replace(" um", " µm")


def _badge(record: SegmentRecord) -> str:
    kind = "keep" if record.found else "check"
    return f'<span class="badge {kind}">{escape(str(record.status))}</span>'


def _unit(record: SegmentRecord) -> str:
    return "µm" if record.z_known else "(plane numbers)"


def _answer(record: SegmentRecord) -> str:
    """What was found; without an answer the reason, and nothing like a number."""
    if not record.found:
        return (
            f'<div class="declined check"><b>No mask: {escape(str(record.status))}.</b> '
            f"{_words(note_text(record).rstrip('.'))}.</div>"
        )
    warnings = "".join(f"<li>{_words(text)}</li>" for text in record.warnings)
    low, _, high = height_text(record).partition(" to ")
    span = f"at height {low}" if low == high else f"90 % of it at heights from {low} to {high}"
    noun = "plane" if len(record.planes) == 1 else "planes"
    return (
        f'<p class="answer">{share_text(record)} of the field in focus <small>in {noun} '
        f"{planes_text(record)} of {record.shape[0]}, {span} {_unit(record)}</small></p>"
        + (f'<ul class="warn">{warnings}</ul>' if warnings else "")
    )


def _facts(record: SegmentRecord) -> str:
    size_z, size_y, size_x = record.shape
    z = record.z_um
    rows = {"Images": f"{size_z} planes of {size_y} x {size_x} px (y, x)"}
    rows["Stage z"] = "unknown: heights are plane numbers, counted from 0"
    if record.z_known:
        rows["Stage z"] = f"{z[0]:.6g} to {z[-1]:.6g} µm"
    rows["Pixel"] = "unknown" if record.pixel_um is None else f"{record.pixel_um:.4g} µm"
    rows["Method"] = record.method
    if record.cut_share is not None:
        rows["Cut off"] = (
            f"{100 * record.cut_share:.0f} % of the heights, by the first or last plane"
        )
    if record.parts is not None:
        rows["Structures"] = f"{record.parts} connected"
    if record.channel or record.modality:
        rows["Channel"] = ", ".join(text for text in (record.channel, record.modality) if text)
    if record.notes:
        rows["Notes"] = "; ".join(record.notes)
    if record.files:
        rows["Written"] = ", ".join(record.files)
    rows["Source"] = record.source
    body = "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in rows.items())
    return f"<dl>{body}</dl>"


def _place(record: SegmentRecord, plane: int) -> str:
    place = f", z = {record.z_um[plane]:.6g} µm" if record.z_known else ""
    return f"Plane {plane}{place}: {100 * record.coverage[plane]:.1f} % in focus"


def _figure(picture: str, title: str, text: str = "") -> str:
    return f"<figure>{picture}<figcaption><b>{title}</b> {text}</figcaption></figure>"


def _planes(record: SegmentRecord, drawn: Drawn, shown: tuple[int, ...]) -> str:
    """The fullest plane large, grey and with its contour; the others small."""
    large = shown[len(shown) // 2] if record.peak is None else record.peak
    halves = "display:grid;gap:16px;margin-top:16px;grid-template-columns:1fr 1fr"
    grey, both = plane_frames(drawn, large)
    body = (
        f'<div style="{halves}">{_figure(grey, _place(record, large))}'
        f"{_figure(both, 'The same, with the contour of what is in focus')}</div>"
    )
    cells = []
    for plane in shown:
        if plane != large:
            grey, both = plane_frames(drawn, plane)
            cells.append(f'<figure>{grey}<div style="height:6px"></div>{both}'
                         f"<figcaption>{_place(record, plane)}</figcaption></figure>")  # fmt: skip
    columns = f"repeat({max(1, len(cells))},minmax(0,1fr))"
    return body + (
        f'<div style="display:grid;gap:12px;margin-top:16px;grid-template-columns:{columns}">'
        f"{''.join(cells)}</div>"
    )


def _maps(record: SegmentRecord, drawn: Drawn, shown: tuple[int, ...]) -> str:
    """Coverage, heights, projections and the volume of a field with an answer."""
    height = focus_height(drawn.masks)
    step = float(np.median(np.abs(np.diff(record.z_um)))) if len(record.z_um) > 1 else 1.0
    scale = height_range(height, step)
    if scale is None:
        return ""
    sectioned, plain, _ = projection_frames(drawn, sectioned_projection(drawn.stack, drawn.masks))
    picture, note = volume_png(drawn.masks, scale)
    band = "Shaded: 90 % of the heights. Rings: the planes shown."
    coverage = _figure(coverage_svg(record, shown), "Coverage through z", band)
    volume = _figure(
        picture.replace("<img", '<img style="width:100%;display:block;border-radius:5px"'),
        "Volume in focus",
        f"Colour: height{f'; {note}' if note else ''}.",
    )
    layers = int(np.percentile(height.layers[height.planes > 0], 95))
    told = "Hatched: nothing in focus in any plane."
    if layers > 1:
        told += " Where structure lies over structure, the heavier one is shown."
    thirds = "display:grid;gap:16px;margin-top:16px;grid-template-columns:repeat(3,minmax(0,1fr))"
    return (
        f'<div class="lead" style="grid-template-columns:1fr 1fr">{coverage}{volume}</div>'
        f'<div style="{thirds}">'
        f"{_figure(height_frame(height, drawn, scale), 'Height', told)}"
        f"{_figure(sectioned, 'Sectioned projection', 'The brightest of the planes in focus.')}"
        f"{_figure(plain, 'Maximum projection', 'The brightest of all planes, drawn alike.')}</div>"
    )


def field_section(record: SegmentRecord, stack: FocalStack, masks: FocusMasks, anchor: str) -> str:
    """One field: the answer, contours over a handful of planes, and what the masks make of it."""
    skip = max(1, -(-max(stack.shape[1:]) // SHOWN_PX))
    skip = min(skip, *stack.shape[1:])
    small = binned(stack, skip)
    shown = shown_planes(record)
    drawn = Drawn(small, thinned(masks, skip), limits_of(small, shown))
    maps = _maps(record, drawn, shown) if record.found else ""
    planes = _planes(record, drawn, shown)
    return (
        f'<section class="field" id="{anchor}"><div class="head"><h3>{escape(record.name)}</h3>'
        f"{_badge(record)}</div>{_answer(record)}{planes}{maps}{_facts(record)}</section>"
    )


def fields_table(records: Sequence[SegmentRecord], anchors: dict[int, str]) -> str:
    """One row a field."""
    units = {record.z_known for record in records if record.found} or {True}
    unit = ", µm" if units == {True} else ", planes" if units == {False} else ""
    heads = [
        "field",
        "status",
        "planes in focus",
        "field in focus",
        f"heights (90 %){unit}",
        "note",
    ]
    numeric = heads[2:5]
    head = "".join(f"<th{' class=number' if h in numeric else ''}>{h}</th>" for h in heads)
    rows = []
    for number, record in enumerate(records):
        name = escape(record.name)
        if number in anchors:
            name = f'<a href="#{anchors[number]}">{name}</a>'
        height = height_text(record)
        if len(units) > 1 and record.found:
            height += f" {_unit(record)}"
        numbers = [planes_text(record), share_text(record), height]
        cells = [
            f'<td class="name" style="min-width:180px">{name}</td>',
            f"<td>{_badge(record)}</td>",
        ]
        cells += [f'<td class="number">{escape(text)}</td>' for text in numbers]
        cells.append(f'<td class="note">{_words(note_text(record))}</td>')
        rows.append(f"<tr>{''.join(cells)}</tr>")
    return (
        f'<div class="wide"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


WORDS = PageWords[SegmentRecord](
    anchor="segment",
    many="fields",
    counted="fields",
    answered="with masks",
    explanation=EXPLANATION,
    most=MANY_FIELDS,
    is_answered=lambda record: record.found,
    table=fields_table,
)


class SegmentPage:
    """Collects fields one by one, keeping their figures and not their images.

    Examples
    --------
    >>> header = ReportHeader(title="In focus", date="today", version="1", command="parfocal")
    >>> page = SegmentPage().page(header)
    >>> page.startswith("<!doctype html>"), "<script" in page
    (True, False)
    """

    def __init__(self) -> None:
        self._fields = Collected(WORDS)

    def add(self, record: SegmentRecord, stack: FocalStack, masks: FocusMasks) -> None:
        """Draw one field; stack and masks may be forgotten afterwards."""
        self._fields.add(record, lambda anchor: field_section(record, stack, masks, anchor))

    def body(self) -> str:
        """The table and the fields."""
        return self._fields.body()

    def page(self, header: ReportHeader, *, failed: Sequence[tuple[str, str]] = ()) -> str:
        """Write the page.

        Parameters
        ----------
        failed
            Inputs that could not be processed, with the reason.
        """
        return self._fields.page(header, self.body(), failed=failed)
