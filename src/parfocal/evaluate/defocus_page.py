"""One self-contained HTML page on predicted defocus: what to do, patch maps, distributions."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np
from jaxtyping import Float

from parfocal.evaluate.collected import Collected, PageWords
from parfocal.evaluate.defocus_fields import (
    DefocusRecord,
    certainty_text,
    defocus_text,
    from_text,
    interval_text,
    move_text,
    note_text,
    planes_text,
    verdict_text,
)
from parfocal.evaluate.defocus_figure import FULL, distribution_svg, patch_map, trials_svg
from parfocal.evaluate.sheet import ReportHeader, bullets
from parfocal.models.card import ModelCard

MANY_FIELDS = 50
"""So many fields are shown with pictures; the others have a row in the table."""
EXPLANATION = (
    "Only the status “found” is an answer. Defocus is stage z of the first image, that at the "
    "lowest z, minus that of best focus: the stage must move by the negative. The interval is the "
    "90 % interval of the defocus. Certainty is 1 where one class has all the probability and 0 "
    "where all are alike; depths of field are n λ / NA²."
)


def _words(text: str) -> str:
    """A sentence for the page: a capital first, the unit as it is written."""
    return escape(text[:1].upper() + text[1:]).replace(" um", " µm")


def _badge(record: DefocusRecord) -> str:
    kind = "keep" if record.estimate.found else "check"
    return f'<span class="badge {kind}">{escape(str(record.estimate.status))}</span>'


def _answer(record: DefocusRecord) -> str:
    """What to do; without an answer the reason, and nothing like a number."""
    estimate = record.estimate
    if not estimate.found:
        return (
            f'<div class="declined check"><b>{escape(verdict_text(record))}.</b> '
            f"{_words(note_text(record).rstrip('.'))}.</div>"
        )
    warnings = "".join(f"<li>{_words(text)}</li>" for text in estimate.warnings)
    return (
        f'<p class="answer">{_words(verdict_text(record))} <small>{escape(from_text(record))}'
        f"; defocus {escape(defocus_text(record).replace('(', 'µm (').replace(')', ' DoF)'))}, "
        f"certainty {certainty_text(record)}</small></p>"
        + (f'<ul class="warn">{warnings}</ul>' if warnings else "")
    ).replace(" um", " µm")


def _tilt(record: DefocusRecord) -> str:
    tilt = record.estimate.tilt_um_per_mm
    if tilt is None:
        return "not told by the patches"
    return f"{tilt[1]:+z.2g} µm/mm to the right, {tilt[0]:+z.2g} µm/mm downwards"


def _facts(record: DefocusRecord) -> str:
    size_y, size_x = record.shape
    setup = record.setup
    z = ", ".join(f"{value:.6g}" for value in record.z_um[:6])
    z += ", ..." if len(record.z_um) > 6 else ""
    rows = {
        "Images": f"{len(record.planes)} of {size_y} x {size_x} px (y, x), planes "
        f"{planes_text(record)}, z = {z} µm",
        "Optics": f"NA {setup.na:g}, {setup.wavelength_nm:g} nm, pixel {setup.pixel_um:.4g} µm, "
        f"immersion index {setup.immersion_index:g}; depth of field "
        f"{setup.depth_of_field_um:.3g} µm",
        "Tilt": _tilt(record),
    }
    if record.known_um is not None:
        rows["Known"] = f"defocus {record.known_um:+z.2f} µm"
    if record.channel or record.modality:
        rows["Channel"] = ", ".join(text for text in (record.channel, record.modality) if text)
    if record.notes:
        rows["Notes"] = "; ".join(record.notes)
    rows["Source"] = record.source
    body = "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in rows.items())
    return f"<dl>{body}</dl>"


def field_section(record: DefocusRecord, image: Float[np.ndarray, "y x"], anchor: str) -> str:
    """One field: what to do, the patch map over the first image, the distribution, the facts."""
    patches = record.estimate.patches
    told = "First image"
    if patches is not None:
        count = int(np.isfinite(patches.defocus_um).sum())
        told = (
            f"First image and its {count} patches</b> Colour: predicted defocus; opacity: "
            f"certainty of the patch, full from {FULL:g}."
        )
        if record.estimate.tilt_um_per_mm is not None:
            told += f" Arrow: towards higher defocus, {escape(_tilt(record))}."
        told += "<b>"
    planes = f", planes {planes_text(record)}" if record.known_um is not None else ""
    shaded = " Line: the answer; shaded: 90 % interval." if record.estimate.found else ""
    return (
        f'<section class="field" id="{anchor}"><div class="head"><h3>{escape(record.name)}'
        f"{planes}</h3>{_badge(record)}</div>{_answer(record)}"
        '<div class="lead" style="grid-template-columns:minmax(0,430px) minmax(0,1fr)">'
        f"<figure>{patch_map(record, image)}<figcaption><b>{told}</b></figcaption></figure>"
        f"<figure>{distribution_svg(record)}<figcaption><b>Distribution over defocus</b> of the "
        f"whole field.{shaded}</figcaption></figure></div>{_facts(record)}</section>"
    )


def fields_table(records: Sequence[DefocusRecord], anchors: dict[int, str]) -> str:
    """One row a field."""
    known = any(record.known_um is not None for record in records)
    heads = ["field", "planes", "status", "defocus, µm (DoF)", "90 % interval"]
    heads += ["known"] if known else []
    heads += ["certainty", "move stage by (µm)", "note"]
    numeric = {"defocus, µm (DoF)", "90 % interval", "known", "certainty", "move stage by (µm)"}
    head = "".join(f"<th{' class=number' if h in numeric else ''}>{h}</th>" for h in heads)
    rows = []
    for number, record in enumerate(records):
        name = escape(record.name)
        if number in anchors:
            name = f'<a href="#{anchors[number]}">{name}</a>'
        numbers = [defocus_text(record), interval_text(record)]
        if known:
            numbers.append("-" if record.known_um is None else f"{record.known_um:+z.2f}")
        numbers += [certainty_text(record), move_text(record)]
        cells = [f'<td class="name">{name}</td>', f"<td>{planes_text(record)}</td>"]
        cells.append(f"<td>{_badge(record)}</td>")
        cells += [f'<td class="number">{escape(text)}</td>' for text in numbers]
        cells.append(f'<td class="note">{_words(note_text(record))}</td>')
        rows.append(f"<tr>{''.join(cells)}</tr>")
    return (
        f'<div class="wide"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def card_section(card: ModelCard) -> str:
    """What the model is, how good it was, and what it cannot do."""
    rows = {
        "Model": f"{card.name}: {card.task}",
        "Trained on": card.data,
        "Networks": f"{card.members}, {card.architecture.partition(':')[2]}, recipe "
        f"{card.recipe.get('name', 'unknown')}",
    }
    error, answered = (card.metrics.get(f"{k}_all") for k in ("median_error_depths", "answered"))
    if error is not None and answered is not None:
        rows["On unseen fields"] = (
            f"{100 * answered:.0f} % answered, median |error| {error:.2f} effective depths of field"
        )
    if card.coverage:
        rows["Interval holds"] = ", ".join(
            f"{name.replace('_', ' ')} {100 * share:.0f} %" for name, share in card.coverage.items()
        )
    rows["Weights"] = card.sha256[:16] or "no hash"
    body = "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in rows.items())
    limits = "".join(f"<li>{escape(limit)}</li>" for limit in card.limits)
    return (
        f'<h2>The model</h2><section class="field"><dl>{body}</dl>'
        + (f"<h4>What it cannot do</h4><ul>{limits}</ul>" if limits else "")
        + "</section>"
    )


WORDS = PageWords[DefocusRecord](
    anchor="defocus",
    many="fields",
    counted="predictions",
    answered="answered",
    explanation=EXPLANATION,
    most=MANY_FIELDS,
    is_answered=lambda record: record.estimate.found,
    table=fields_table,
)


class DefocusPage:
    """Collects fields one by one, keeping their figures and not their images.

    Parameters
    ----------
    card
        Of the model that predicts; None leaves it out.

    Examples
    --------
    >>> header = ReportHeader(title="Defocus", date="today", version="1", command="parfocal")
    >>> page = DefocusPage().page(header)
    >>> page.startswith("<!doctype html>"), "<script" in page
    (True, False)
    """

    def __init__(self, card: ModelCard | None = None) -> None:
        self._card = card
        self._fields = Collected(WORDS)
        self._remarks: list[str] = []

    def add(self, record: DefocusRecord, image: Float[np.ndarray, "y x"]) -> None:
        """Draw one field over its first image, which may be forgotten afterwards."""
        self._fields.add(record, lambda anchor: field_section(record, image, anchor))

    def remark(self, text: str) -> None:
        """Say something of a whole stack, below the figure of its predictions."""
        self._remarks.append(text)

    def body(self) -> str:
        """Trials where focus is known, the table, and the fields."""
        trials = trials_svg(self._fields.records)
        if trials:
            trials = (
                f'<h2>Predicted and known</h2><figure style="max-width:720px">{trials}<figcaption>'
                "Each dot is a prediction with its 90 % interval, over the defocus that is known; "
                "triangles on the axis were declined. The dashed line is truth.</figcaption>"
                "</figure>"
            )
        if self._remarks:
            trials += bullets(self._remarks)
        model = "" if self._card is None else card_section(self._card)
        return f"{trials}{self._fields.body()}{model}"

    def page(self, header: ReportHeader, *, failed: Sequence[tuple[str, str]] = ()) -> str:
        """Write the page.

        Parameters
        ----------
        failed
            Inputs that could not be processed, with the reason.
        """
        return self._fields.page(header, self.body(), failed=failed)
