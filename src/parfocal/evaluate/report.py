"""One self-contained HTML page on the focus of many fields: figures, words, settings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from html import escape

import numpy as np

from parfocal.core.results import DepthMap, Fused
from parfocal.core.stack import FocalStack
from parfocal.evaluate.curves import (
    focus_curve_svg,
    gradient_css,
    plate_range,
    plate_svg,
    sparkline_svg,
)
from parfocal.evaluate.fields import FieldRecord
from parfocal.evaluate.pictures import (
    Picture,
    depth_picture,
    fused_picture,
    height_scale,
    plane_pictures,
    scale_bar,
    sure_depth,
    tile_heights,
    tile_picture,
)
from parfocal.evaluate.plate import wells_of
from parfocal.evaluate.sheet import ReportHeader, not_processed, settings_list, sheet, tally
from parfocal.evaluate.verdict import Verdict
from parfocal.evaluate.wording import decimals_for, interval_text, note_text, position_text

MANY_FIELDS = 50
"""Above so many fields only those to check or image again are shown with pictures."""


def _words(text: str) -> str:
    """A sentence for the page: a capital first, the unit as it is written."""
    return escape(text[:1].upper() + text[1:]).replace(" um", " µm")


def _badge(verdict: str) -> str:
    return f'<span class="badge {verdict.replace(" ", "-")}">{escape(verdict)}</span>'


def _figure(picture: Picture) -> str:
    size_y, size_x = picture.shape
    bar = ""
    if picture.pixel_um is not None and picture.scale is None:
        length_um, share = scale_bar(picture.pixel_um, size_x)
        bar = f'<div class="bar" style="width:{100 * share:.2f}%">{length_um:g} µm</div>'
    ramp = ""
    if picture.scale is not None:
        low, high = picture.scale
        digits = decimals_for(high - low)
        ramp = (
            f'<div class="ramp" style="background:{gradient_css()}"></div><div class="ends">'
            f"<span>{low:.{digits}f}</span><span>{escape(picture.unit)}</span>"
            f"<span>{high:.{digits}f}</span></div>"
        )
    kind = ' class="blocky"' if picture.blocky else ""
    title = escape(picture.title)
    return (
        f'<figure><div class="frame" style="aspect-ratio:{size_x}/{size_y}">'
        f'<img{kind} alt="{title}" src="{picture.data_uri}">{bar}</div>{ramp}'
        f"<figcaption><b>{title}</b> {escape(picture.caption)}</figcaption></figure>"
    )


def _facts(record: FieldRecord) -> str:
    """Sampling, optics and the way the answer was found."""
    size_z, size_y, size_x = record.shape
    z = record.estimate.curve.z_um
    rows = {"Images": f"{size_z} planes of {size_y} x {size_x} px (y, x), {record.dtype}"}
    if record.z_known:
        rows["Stage z"] = f"{z[0]:.6g} to {z[-1]:.6g} µm" + (
            f", step {record.z_step_um:.4g} µm" if record.z_step_um is not None else ""
        )
    else:
        rows["Stage z"] = "unknown: positions are plane numbers, counted from 0"
    rows["Pixel"] = "unknown" if record.pixel_um is None else f"{record.pixel_um:.4g} µm"
    if record.setup is not None:
        s = record.setup
        rows["Optics"] = (
            f"NA {s.na:g}, {s.wavelength_nm:g} nm, immersion index {s.immersion_index:g}, "
            f"sample index {s.sample_index:g}; depth of field {s.depth_of_field_um:.3g} µm"
        )
    else:
        rows["Optics"] = "not fully known: no answer in depths of field"
    if record.channel or record.modality:
        rows["Channel"] = ", ".join(text for text in (record.channel, record.modality) if text)
    rows["Measure"] = record.estimate.measure + (
        f": {record.estimate.choice}" if record.estimate.choice else ""
    )
    if record.estimate.relief_um is not None and record.z_known:
        rows["Relief"] = f"{record.estimate.relief_um:.3g} µm between 5 and 95 % of the tiles"
    if record.notes:
        rows["Notes"] = "; ".join(record.notes)
    rows["Source"] = record.source
    body = "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in rows.items())
    return f"<dl>{body}</dl>"


def _answer(record: FieldRecord) -> str:
    """The answer with its interval; without one, the reason and nothing like a number."""
    estimate = record.estimate
    if not estimate.found:
        kind = " check" if record.judgement.verdict == Verdict.CHECK else ""
        return (
            f'<div class="declined{kind}"><b>No answer: {escape(str(estimate.status))}.</b> '
            f"{_words(note_text(record))}.</div>"
        )
    where = _words(position_text(record, with_unit=True))
    interval = f"90 % interval {interval_text(record)}" if record.interval else "no interval"
    beside = f"; nearest plane {estimate.index}" if estimate.index is not None else ""
    offset = ""
    if estimate.defocus_dof is not None and estimate.index is not None:
        distance = abs(float(estimate.defocus_dof[estimate.index]))
        offset = f", {distance:.2g} depths of field from best focus"
    lines = [
        f'<p class="answer">{where} <small>{interval}{beside}{offset}</small></p>',
        f"<p>{_words(estimate.reason)}</p>" if estimate.reason else "",
    ]
    notes = list(estimate.warnings)
    if record.judgement.advice and record.judgement.advice not in notes:
        notes.append(record.judgement.advice)
    if notes:
        items = "".join(f"<li>{_words(note)}</li>" for note in notes)
        lines.append(f'<ul class="warn">{items}</ul>')
    return "".join(lines)


def _known(record: FieldRecord) -> str:
    """Known focus beside the answer, for demonstrations."""
    if record.known is None:
        return ""
    if record.known.position is None:
        text = "should be declined"
    else:
        text = f"{record.known.position:.6g} ± {record.known.tolerance:.2g} {record.unit}"
    agreed = "as known" if record.as_known else "not as known"
    note = f" ({record.known.note})" if record.known.note else ""
    return f'<p class="quiet">{_words(f"Known focus: {text}{note}. {agreed.capitalize()}.")}</p>'


def _section(record: FieldRecord, anchor: str, pictures: Sequence[Picture], note: str) -> str:
    beside = record.estimate.found and len(pictures) > 1
    first = _figure(pictures[0]) if beside else ""
    figures = "".join(_figure(picture) for picture in pictures[1 if beside else 0 :])
    phase = " Phase object: least contrast is focus." if record.estimate.modality == "phase" else ""
    band = " Band: one standard error." if record.estimate.curve.spread is not None else ""
    answered = " Line: best focus; shaded: 90 % interval." if record.estimate.found else ""
    return (
        f'<section class="field" id="{anchor}"><div class="head"><h3>{escape(record.name)}</h3>'
        f"{_badge(record.judgement.verdict)}</div>{_answer(record)}{_known(record)}"
        f'<div class="lead"><figure>{focus_curve_svg(record)}<figcaption>'
        f"<b>Focus curve</b>{answered}{band}{phase}</figcaption></figure>{first}</div>"
        f'<div class="figures">{figures}</div>'
        + (f'<p class="quiet">{escape(note)}</p>' if note else "")
        + f"{_facts(record)}</section>"
    )


def _height_pictures(record: FieldRecord, depth: DepthMap | None) -> list[Picture | None]:
    """Tile map and depth map on one colour scale."""
    heights = None if depth is None else sure_depth(depth, z_known=record.z_known)
    scale = height_scale(record, tile_heights(record), heights)
    if scale is None:
        return []
    drawn = [tile_picture(record, scale)]
    if depth is not None and heights is not None and np.isfinite(heights).any():
        drawn.append(depth_picture(depth, record, scale))
    return drawn


class Report:
    """Collects fields one by one, keeping their figures and not their images.

    Parameters
    ----------
    total
        How many fields will come: beyond ``MANY_FIELDS`` the sharp ones get a table row only.

    Examples
    --------
    >>> header = ReportHeader(title="Focus", date="today", version="1", command="parfocal score")
    >>> page = Report(total=0).page(header)
    >>> page.startswith("<!doctype html>"), "<script" in page
    (True, False)
    """

    def __init__(self, *, total: int) -> None:
        self._many = total > MANY_FIELDS
        self._records: list[FieldRecord] = []
        self._sections: dict[int, str] = {}

    def wants_pictures(self, record: FieldRecord) -> bool:
        """Whether the page will show this field at length."""
        return not self._many or record.judgement.verdict != Verdict.KEEP

    def add(
        self,
        record: FieldRecord,
        stack: FocalStack,
        *,
        depth: DepthMap | None = None,
        fused: Fused | None = None,
        note: str = "",
    ) -> None:
        """Draw one field, with a note under its figures; its images may be forgotten afterwards."""
        number = len(self._records)
        self._records.append(record)
        if not self.wants_pictures(record):
            return
        pictures: list[Picture | None] = [*plane_pictures(stack, record.estimate)]
        if fused is not None:
            pictures.append(fused_picture(fused, stack.pixel_um))
        if record.estimate.found:
            pictures += _height_pictures(record, depth)
        shown = [picture for picture in pictures if picture is not None]
        self._sections[number] = _section(record, f"field-{number}", shown, note)

    def _tally(self, failed: int) -> str:
        counts = Counter(str(record.judgement.verdict) for record in self._records)
        boxes = [("fields", "", len(self._records))]
        boxes += [(str(v), str(v).replace(" ", "-"), counts[str(v)]) for v in Verdict]
        return tally(boxes, failed=failed)

    def _table(self) -> str:
        if not self._records:
            return ""
        has_known = any(record.known is not None for record in self._records)
        units = {record.unit for record in self._records}
        where = {"um": "best focus (µm)", "planes": "best focus (plane)"}
        heading = where[units.pop()] if len(units) == 1 else "best focus"
        heads = ["field", "verdict", "status", heading, "90 % interval"]
        heads += ["known"] if has_known else []
        numeric = set(heads[3:])
        heads += ["curve", "measure", "note"]
        rows = [self._row(n, r, mixed=len(units) > 0, known=has_known) for n, r in self._numbered()]
        head = "".join(
            f"<th{' class=number' if name in numeric else ''}>{escape(name)}</th>" for name in heads
        )
        return (
            f'<h2>All fields</h2><div class="wide"><table><thead><tr>{head}</tr></thead>'
            f"<tbody>{''.join(rows)}</tbody></table></div>"
        )

    def _numbered(self) -> list[tuple[int, FieldRecord]]:
        """Fields in the order they came; where they are many, those that need a hand first."""
        numbered = list(enumerate(self._records))
        if self._many:
            urgency = [Verdict.AGAIN, Verdict.CHECK, Verdict.KEEP]
            numbered.sort(key=lambda pair: urgency.index(pair[1].judgement.verdict))
        return numbered

    def _row(self, number: int, record: FieldRecord, *, mixed: bool, known: bool) -> str:
        name = escape(record.name)
        if number in self._sections:
            name = f'<a href="#field-{number}">{name}</a>'
        position = _words(position_text(record, with_unit=mixed))
        cells = [
            f'<td class="name">{name}</td>',
            f"<td>{_badge(record.judgement.verdict)}</td>",
            f"<td>{escape(str(record.estimate.status))}</td>",
            f'<td class="number">{position}</td>',
            f'<td class="number">{escape(interval_text(record))}</td>',
        ]
        if known:
            text = ""
            if record.known is not None:
                value = record.known.position
                text = "decline" if value is None else f"{value:.6g}"
            cells.append(f'<td class="number">{escape(text)}</td>')
        cells.append(f"<td>{sparkline_svg(record)}</td>")
        cells.append(f"<td>{escape(record.estimate.measure)}</td>")
        cells.append(f'<td class="note">{_words(note_text(record))}</td>')
        return f"<tr>{''.join(cells)}</tr>"

    def _plate(self) -> str:
        wells = wells_of({record.name: record.well for record in self._records})
        if wells is None:
            return ""
        low, high = plate_range(self._records)
        digits = decimals_for(high - low)
        units = {record.unit for record in self._records}
        unit = "stage z (µm)" if units == {"um"} else "plane"
        ends = (
            f'<div style="max-width:320px"><div class="ramp" style="background:{gradient_css()}">'
            f'</div><div class="ends"><span>{low:.{digits}f}</span><span>{unit}</span>'
            f"<span>{high:.{digits}f}</span></div></div>"
        )
        return (
            f"<h2>Plate</h2><figure>{plate_svg(self._records, wells)}{ends}<figcaption>Colour: "
            "best focus, the median of a well's fields. Hatched with a letter: no answer "
            "(E edge, F flat or failed, A ambiguous, B blank, S saturated, U uncertain). "
            "Outline: amber check, red image again.</figcaption></figure>"
        )

    def page(
        self,
        header: ReportHeader,
        *,
        failed: Sequence[tuple[str, str]] = (),
        chapters: str = "",
    ) -> str:
        """Write the page.

        Parameters
        ----------
        failed
            Inputs that could not be processed, with the reason.
        chapters
            HTML after the table of fields.
        """
        sections = "".join(self._sections.values())
        left_out = ""
        if self._many and len(self._sections) < len(self._records):
            left_out = '<p class="quiet">Only fields to check or to image again are shown here.</p>'
        body = f"{self._plate()}{self._table()}{not_processed(failed)}{chapters}"
        if sections:
            body += f"<h2>Fields</h2>{left_out}{sections}"
        return sheet(
            header, body, top=self._tally(len(failed)),
            foot=f"{settings_list(header)}<p>Only the status “found” is an answer. The interval is "
            "the 90 % interval of best focus. Defocus is the plane's stage z minus that of best "
            "focus.</p>",
        )  # fmt: skip
