"""A focus map and a watch as parts of the drive page."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

from parfocal.drive.hold import HoldReport
from parfocal.drive.mapping import FocusMap
from parfocal.evaluate.curves import Axes, colour_css, frame, gradient_css

CELL, GAP = 56.0, 4.0


def map_chapter(told: FocusMap, truths_um: Sequence[float] | None = None) -> str:
    """The map as coloured places, those that were focused at with a ring, and what it rests on.

    ``truths_um`` is where focus really is at each place, for demonstrations.
    """
    if told.surface is None:
        return f"<h2>Map</h2><p>No map: {escape(told.reason)}.</p>"
    x, y = (np.array([place[axis] for place in told.places]) for axis in (0, 1))
    known = told.surface.predict(x, y)
    half = float(np.max(known.high_um - known.low_um)) / 2
    # Colours span the interval at least: heights that cannot be told apart look alike.
    least, most = float(known.z_um.min()), float(known.z_um.max())
    spare = max(0.0, half - (most - least) / 2)
    low, high = least - spare, most + spare
    columns = {float(value): k for k, value in enumerate(np.unique(x))}
    rows = {float(value): k for k, value in enumerate(np.unique(y))}
    measured = {(point.x_um, point.y_um): point for point in told.points}
    parts = []
    for k, place in enumerate(told.places):
        left, top = columns[place[0]] * (CELL + GAP) + 2, rows[place[1]] * (CELL + GAP) + 2
        z_um = float(known.z_um[k])
        share = (z_um - low) / (high - low) if high > low else 0.5
        ink = "#fff" if share < 0.6 else "#111"
        tip = f"x {place[0]:.0f}, y {place[1]:.0f}: {known.low_um[k]:.2f} to {known.high_um[k]:.2f}"
        point = measured.get(place)
        ring = ""
        if point is not None:
            dash = "" if point.report.found else ' stroke-dasharray="4 3"'
            ring = (
                f'<rect x="{left}" y="{top}" width="{CELL}" height="{CELL}" rx="4" fill="none" '
                f'stroke="var(--best)" stroke-width="3"{dash}/>'
            )
        parts.append(
            f'<g><title>{tip} µm</title><rect x="{left}" y="{top}" width="{CELL}" '
            f'height="{CELL}" rx="4" fill="{colour_css(share)}"/>{ring}'
            f'<text x="{left + CELL / 2}" y="{top + CELL / 2 + 4}" text-anchor="middle" '
            f'style="fill:{ink}">{z_um:z.2f}</text></g>'
        )
    width, height = len(columns) * (CELL + GAP) + 4, len(rows) * (CELL + GAP) + 4
    truth = ""
    if truths_um is not None:
        off = np.abs(known.z_um - np.asarray(truths_um))
        held = np.mean((known.low_um <= truths_um) & (np.asarray(truths_um) <= known.high_um))
        truth = (
            f" True focus is off by {np.median(off):.2f} µm in the median, {off.max():.2f} µm at "
            f"most, and lies in the interval at {100 * held:.0f} % of the places."
        )
    tilt_x, tilt_y = told.surface.tilt_um_per_mm
    return (
        f'<h2>Map</h2><figure><svg viewBox="0 0 {width:g} {height:g}" role="img" '
        f'aria-label="Focus map" style="max-width:{min(1072.0, 1.3 * width):g}px">'
        f'{"".join(parts)}</svg><div style="max-width:320px"><div class="ramp" '
        f'style="background:{gradient_css()}"></div><div class="ends"><span>{low:z.2f}</span>'
        f"<span>stage z (µm)</span><span>{high:z.2f}</span></div></div><figcaption>Best focus at "
        f"{len(told.places)} places, from {len(told.points)} focus runs (ringed; dashed where "
        f"focus was not found) with {told.images} images. Known to within ±{half:.2f} µm (90 %) "
        f"everywhere. Tilt {tilt_x:+.2f} µm/mm along x, {tilt_y:+.2f} along y.{truth} "
        f"It ended because {escape(told.reason)}.</figcaption></figure>"
    )


def hold_chapter(told: HoldReport, truths_um: Sequence[float | None] = ()) -> str:
    """Focus over time: what was measured, what was predicted, and every check.

    ``truths_um`` is where focus really was at each check, for demonstrations.
    """
    checks = told.checks
    began_s = checks[0].time_s if checks else 0.0
    rows = []
    for number, check in enumerate(checks):
        truth = truths_um[number] if number < len(truths_um) else None
        known = ""
        if check.interval_um is not None:
            known = f"{check.interval_um[0]:.2f} to {check.interval_um[1]:.2f}"
        cells = [
            f"{check.time_s - began_s:.0f}", check.action,
            "" if check.z_um is None else f"{check.z_um:.2f}", known,
            "" if truth is None else f"{truth:.2f}", str(check.images), check.reason,
        ]  # fmt: skip
        rows.append("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>")
    heads = ["time (s)", "what was done", "z (µm)", "90 % interval", "true focus", "images", "why"]
    head = "".join(f"<th>{name}</th>" for name in heads)
    measured = sum(check.action == "measured" for check in checks)
    return (
        f"<h2>Watch</h2><figure>{_hold_svg(told, truths_um)}<figcaption>Where the stage was sent, "
        "filled where focus was measured by images, hollow where the drift was followed without; "
        "shaded: 90 % interval; line: true focus, where it is known.</figcaption></figure>"
        f"<p>{len(checks)} checks, {measured} by images: {told.images} images, "
        f"{told.exposure_ms:g} ms of exposure. {escape(told.ended.capitalize())}: "
        f'{escape(told.reason)}.</p><div class="wide"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _hold_svg(told: HoldReport, truths_um: Sequence[float | None]) -> str:
    sent = [check for check in told.checks if check.z_um is not None]
    if not sent:
        return '<p class="quiet">Focus was never known.</p>'
    began_s = told.checks[0].time_s
    bands = [(c.time_s - began_s, *c.interval_um) for c in sent if c.interval_um is not None]
    truths = [
        (check.time_s - began_s, truth)
        for check, truth in zip(told.checks, truths_um, strict=False)
        if truth is not None
    ]
    heights = [c.z_um for c in sent if c.z_um is not None] + [truth for _, truth in truths]
    heights += [value for band in bands for value in band[1:]]
    pad = 0.06 * ((max(heights) - min(heights)) or 1.0)
    last_s = told.checks[-1].time_s - began_s
    axes = Axes((0.0, last_s), (min(heights) - pad, max(heights) + pad))
    parts = ['<svg class="curve" viewBox="0 0 640 300" role="img" aria-label="Focus over time">']
    parts += frame(axes, "time (s)", "stage z (µm)")
    if len(bands) > 1:
        times = [band[0] for band in bands]
        edge = axes.points(times + times[::-1], [b[1] for b in bands] + [b[2] for b in bands[::-1]])
        parts.append(f'<polygon class="spread" points="{edge}"/>')
    if truths:
        line = axes.points([time for time, _ in truths], [truth for _, truth in truths])
        parts.append(f'<polyline class="best" points="{line}"/>')
    for check in sent:
        hollow = ' style="fill:var(--card);stroke:var(--line);stroke-width:1.5"'
        style = "" if check.action == "measured" else hollow
        parts.append(
            f'<circle class="dot" cx="{axes.x(check.time_s - began_s):.1f}" '
            f'cy="{axes.y(check.z_um or 0.0):.1f}" r="3.4"{style}/>'
        )
    return "".join([*parts, "</svg>"])
