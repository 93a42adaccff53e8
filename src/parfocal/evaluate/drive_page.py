"""Focus runs on one self-contained HTML page: every image, what it cost, and where it all ended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np

from parfocal.core.results import Status
from parfocal.core.setup import OpticalSetup
from parfocal.drive.record import FocusReport
from parfocal.drive.shots import Shot
from parfocal.evaluate.drive_figure import run_curve_svg
from parfocal.evaluate.pictures import contrast_limits, grey_jpeg, scale_bar, shrink
from parfocal.evaluate.sheet import ReportHeader, settings_list, sheet

THUMBNAIL_PX, LARGE_PX = 150, 420
ENDED = {
    "answer": "at the answer",
    "start": "back at the start",
    "best": "at the sharpest image seen",
    "unknown": "not where it should be",
}


@dataclass(frozen=True, eq=False, kw_only=True)
class FocusRun:
    """One run for the page.

    ``truth_um`` is where focus really was, for demonstrations; ``setup`` the optics, if known.
    """

    name: str
    report: FocusReport
    setup: OpticalSetup | None = None
    truth_um: float | None = None
    note: str = ""


def drive_page(header: ReportHeader, runs: Sequence[FocusRun], *, chapters: str = "") -> str:
    """Write the page.

    Parameters
    ----------
    header
        What the page says of itself.
    runs
        Focus runs, in order.
    chapters
        HTML before the runs: a map, a watch.
    """
    table = f"<h2>All runs</h2>{runs_table(runs)}" if len(runs) > 1 else ""
    sections = "".join(run_section(run, f"run-{k}") for k, run in enumerate(runs))
    return sheet(
        header, f"{chapters}{table}{sections}", top=_tally(runs),
        foot=f"{settings_list(header)}<p>Only the status “found” is an answer. The interval is the "
        "90 % interval of best focus. Dose is light on the specimen in ms at full power, or the "
        "summed exposure where the microscope keeps no account.</p>",
    )  # fmt: skip


def _tally(runs: Sequence[FocusRun]) -> str:
    """Counts of many runs; of one what it cost."""
    if len(runs) == 1:
        report = runs[0].report
        boxes = [
            ("", str(report.images), "images"),
            ("", f"{report.dose:.4g} ms", "light"),
            ("", f"{report.seconds:.3g} s", "time"),
            ("", str(len(report.moves)), "moves"),
        ]
    else:
        kinds = Counter(_kind(run.report) for run in runs)
        boxes = [("", str(len(runs)), "runs")]
        boxes += [(css, str(kinds[css]), word) for css, word in _KINDS.items()]
        boxes.append(("", str(sum(run.report.images for run in runs)), "images"))
    items = "".join(f'<li class="{css}"><b>{n}</b>{word}</li>' for css, n, word in boxes)
    return f'<ul class="tally">{items}</ul>' if runs else ""


_KINDS = {"keep": "found", "check": "declined", "failed": "failed"}


def _kind(report: FocusReport) -> str:
    if report.found:
        return "keep"
    return "failed" if report.status == Status.FAILED else "check"


def runs_table(runs: Sequence[FocusRun], *, linked: bool = True) -> str:
    """One row a run: answer, cost, and how far off where the truth is known."""
    known = any(run.truth_um is not None for run in runs)
    heads = ["run", "status", "best focus (µm)", "90 % interval"]
    heads += ["true focus", "off by"] if known else []
    heads += ["images", "light (ms)", "time (s)", "ended", "reason"]
    numeric = {"best focus (µm)", "90 % interval", "true focus", "off by", "images", "light (ms)",
               "time (s)"}  # fmt: skip
    head = "".join(f"<th{' class=number' if h in numeric else ''}>{h}</th>" for h in heads)
    rows = []
    for number, run in enumerate(runs):
        report = run.report
        name = escape(run.name)
        cells = [
            f'<td class="name"><a href="#run-{number}">{name}</a></td>' if linked
            else f'<td class="name">{name}</td>',
            f"<td>{_badge(report)}</td>",
            _number("" if report.z_um is None else f"{report.z_um:z.2f}"),
            _number(_interval(report)),
        ]  # fmt: skip
        if known:
            truth = run.truth_um
            off = "" if truth is None or report.z_um is None else f"{report.z_um - truth:+z.2f}"
            cells += [_number("" if truth is None else f"{truth:z.2f}"), _number(off)]
        cells += [
            _number(str(report.images)),
            _number(f"{report.dose:.4g}"),
            _number(f"{report.seconds:.3g}"),
            f"<td>{ENDED[report.ended]}</td>",
            f'<td class="note">{_words(report.reason)}</td>',
        ]
        rows.append(f"<tr>{''.join(cells)}</tr>")
    return (
        f'<div class="wide"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _number(text: str) -> str:
    return f'<td class="number">{escape(text)}</td>'


def _badge(report: FocusReport) -> str:
    return f'<span class="badge {_kind(report)}">{escape(str(report.status))}</span>'


def _interval(report: FocusReport) -> str:
    if report.interval_um is None:
        return ""
    low, high = report.interval_um
    return f"{low:z.2f} to {high:z.2f}"


def _words(text: str) -> str:
    """A sentence for the page: a capital first, the unit as it is written."""
    return escape(text[:1].upper() + text[1:]).replace(" um", " µm")


def run_section(run: FocusRun, anchor: str) -> str:
    """One run: the answer or the reason, the curve, where the stage ended, and every image."""
    report = run.report
    large = _large(run)
    return (
        f'<section class="field" id="{anchor}"><div class="head"><h3>{escape(run.name)}</h3>'
        f"{_badge(report)}</div>{_answer(run)}{_ending(report)}"
        f'<div class="lead"><figure>{run_curve_svg(report, name=run.name)}<figcaption>'
        f"<b>Focus curve</b> Each dot is an image. {_legend(report)}</figcaption></figure>"
        f"{large}</div>{_shots(run)}{_facts(run)}</section>"
    )


def _legend(report: FocusReport) -> str:
    answered = "Line: best focus; shaded: 90 % interval. " if report.found else ""
    return f"{answered}Hollow triangle: start of the stage; filled: where it was left."


def _answer(run: FocusRun) -> str:
    report = run.report
    if report.z_um is None:
        kind = " check" if _kind(report) == "check" else ""
        return (
            f'<div class="declined{kind}"><b>No answer: {escape(str(report.status))}.</b> '
            f"{_words(report.reason)}.</div>"
        )
    truth = ""
    if run.truth_um is not None:
        truth = f"; true focus {run.truth_um:z.2f} µm, off by {report.z_um - run.truth_um:+z.2f} µm"
    interval = f"90 % interval {_interval(report)} µm" if report.interval_um else "no interval"
    return (
        f'<p class="answer">{report.z_um:z.2f} µm <small>{interval}{truth}</small></p>'
        f"<p>{_words(report.reason)}.</p>"
    )


def _ending(report: FocusReport) -> str:
    where = "unknown" if report.reached_um is None else f"{report.reached_um:z.2f} µm"
    kind = "warn" if report.ended == "unknown" else "quiet"
    return (
        f'<p class="{kind}">The stage started at {report.start_um:z.2f} µm and was left at '
        f"{where}, {ENDED[report.ended]}: {escape(report.ending)}.</p>"
    )


def _last(report: FocusReport) -> Shot | None:
    """The image at the answer, else the sharpest."""
    if report.z_um is not None and report.shots:
        z_um = report.z_um
        return min(reversed(report.shots), key=lambda shot: abs(shot.z_reached_um - z_um))
    scored = [shot for shot in report.shots if np.isfinite(shot.score)]
    return max(scored, key=lambda shot: shot.score) if scored else None


def _large(run: FocusRun) -> str:
    shot = _last(run.report)
    if shot is None or shot.image is None:
        return ""
    title = "Image at the answer" if run.report.found else "Sharpest image"
    place = f"image {shot.number}, {shot.z_reached_um:z.2f} µm"
    bar = ""
    size_y, size_x = shot.image.shape
    if run.setup is not None:
        length_um, share = scale_bar(run.setup.pixel_um, size_x)
        bar = f'<div class="bar" style="width:{100 * share:.2f}%">{length_um:g} µm</div>'
    small = shrink(np.asarray(shot.image, dtype=np.float64), LARGE_PX)
    picture = grey_jpeg(small, contrast_limits(small))
    return (
        f'<figure><div class="frame" style="aspect-ratio:{size_x}/{size_y}">'
        f'<img alt="{title}" src="{picture}">{bar}</div>'
        f"<figcaption><b>{title}</b> {place}</figcaption></figure>"
    )


def _shots(run: FocusRun) -> str:
    """Every image with its z, score, light and why it was taken, all alike stretched."""
    shots = run.report.shots
    if not shots:
        return ""
    small = {
        shot.number: shrink(np.asarray(shot.image, dtype=np.float64), THUMBNAIL_PX)
        for shot in shots
        if shot.image is not None
    }
    limits = contrast_limits(*small.values()) if small else (0.0, 1.0)
    chosen, spent = _last(run.report), 0.0
    tiles = []
    for shot in shots:
        picture = ""
        if shot.number in small:
            size_y, size_x = small[shot.number].shape
            source = grey_jpeg(small[shot.number], limits)
            picture = (
                f'<div class="frame" style="aspect-ratio:{size_x}/{size_y}">'
                f'<img alt="image {shot.number}" src="{source}"></div>'
            )
        mark = " chosen" if shot is chosen and run.report.found else ""
        clipped = f", {100 * shot.clipped:.0f} % clipped" if shot.clipped > 0.005 else ""
        tiles.append(
            f'<figure class="shot{mark}">{picture}<figcaption><b>{shot.number}: '
            f"{shot.z_reached_um:z.2f} µm</b><br>score {shot.score:.4g}{clipped}<br>"
            f"light {shot.dose - spent:.3g} ms, {shot.seconds:.2f} s<br>{escape(shot.why)}"
            "</figcaption></figure>"
        )
        spent = shot.dose
    return (
        f'<h4>Every image, in the order it was taken</h4><div class="shots">{"".join(tiles)}</div>'
    )


def _facts(run: FocusRun) -> str:
    report, setup = run.report, run.setup
    rows = {
        "Search": plain_settings(report.search),
        "Limits": plain_settings(_limits(report)),
        "Cost": f"{report.images} images, {report.dose:.4g} ms of light, "
        f"{report.exposure_ms:.4g} ms of exposure, {report.seconds:.3g} s, "
        f"{len(report.moves)} moves",
        "Moves": _moves(report),
    }
    if setup is not None:
        rows["Optics"] = (
            f"NA {setup.na:g}, {setup.wavelength_nm:g} nm, immersion index "
            f"{setup.immersion_index:g}; depth of field {setup.depth_of_field_um:.3g} µm"
        )
    if run.note:
        rows["Note"] = run.note
    body = "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in rows.items())
    return f"<dl>{body}</dl>"


def _limits(report: FocusReport) -> dict[str, Any]:
    """The range, and what was set beyond the defaults."""
    return report.limits.model_dump(exclude_defaults=True)


def _moves(report: FocusReport) -> str:
    """Where the stage was sent, in order; the middle of a long list is left out."""
    told = [f"{move.z_commanded_um:.6g}" for move in report.moves]
    if len(told) > 60:
        told = [*told[:40], f"({len(told) - 50} more)", *told[-10:]]
    return f"to {', '.join(told)} µm" if told else "none"


def plain_settings(values: Mapping[str, Any]) -> str:
    """Settings on one line: the kind first, the rest by name.

    Examples
    --------
    >>> plain_settings({"kind": "brent", "range_um": 10.0, "step_um": None})
    'brent: range_um 10'
    """
    rest = [
        f"{name} {_plain(value)}"
        for name, value in values.items()
        if name != "kind" and value is not None
    ]
    kind = values.get("kind")
    return (
        ", ".join(rest)
        if kind is None
        else ": ".join([str(kind), ", ".join(rest)][: 1 + bool(rest)])
    )


def _plain(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, Mapping):
        return f"({plain_settings(value)})"
    if isinstance(value, (list, tuple)):
        return ", ".join(_plain(item) for item in value)
    return str(value)
