"""The focus curve of one run as inline SVG: every image a dot, and where the stage ended."""

from __future__ import annotations

import math
from html import escape

from parfocal.drive.record import FocusReport
from parfocal.evaluate.curves import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Axes, frame

# A number nearer than this to another, in px of the drawing, is left out.
CLEAR_X, CLEAR_Y = 22.0, 16.0


def run_curve_svg(report: FocusReport, *, name: str = "") -> str:
    """Draw score over z of every image, the answer with its interval, the start and the end.

    Numbers tell the order of the images, where there is room for them.
    """
    shots = [shot for shot in report.shots if math.isfinite(shot.score)]
    if not shots:
        return '<p class="quiet">No image with a score was taken.</p>'
    z_um = [shot.z_reached_um for shot in shots]
    scores = [shot.score for shot in shots]
    ends = [*z_um, report.start_um]
    if report.reached_um is not None:
        ends.append(report.reached_um)
    pad = 0.06 * ((max(scores) - min(scores)) or 1.0)
    side = 0.02 * (max(ends) - min(ends))
    axes = Axes((min(ends) - side, max(ends) + side), (min(scores) - pad, max(scores) + pad))
    measure = report.curve.measure if report.curve is not None else "score"
    ordered = sorted(zip(z_um, scores, strict=True))
    line = axes.points([z for z, _ in ordered], [score for _, score in ordered])
    parts = [
        f'<svg class="curve" viewBox="0 0 {WIDTH:g} {HEIGHT:g}" role="img" '
        f'aria-label="Focus curve of {escape(name or "the run")}">',
        *frame(axes, "stage z (µm)", f"focus score: {measure}"),
        *_answer(report, axes),
        f'<polyline class="line" points="{line}"/>',
    ]
    numbered: list[tuple[float, float]] = []
    for shot in shots:
        x, y = axes.x(shot.z_reached_um), axes.y(shot.score)
        tip = f"image {shot.number}: {shot.z_reached_um:.2f} µm, {shot.why}"
        parts.append(
            f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="3"><title>{escape(tip)}</title>'
            "</circle>"
        )
        crowded = any(abs(x - a) < CLEAR_X and abs(y - b) < CLEAR_Y for a, b in numbered)
        if not crowded:
            numbered.append((x, y))
            parts.append(f'<text x="{x + 5:.1f}" y="{y - 5:.1f}">{shot.number}</text>')
    parts += _mark(axes, report.start_um, "start")
    if report.reached_um is not None:
        parts += _mark(axes, report.reached_um, "end")
    return "".join([*parts, "</svg>"])


def _answer(report: FocusReport, axes: Axes) -> list[str]:
    """The answer and its interval; nothing without one."""
    if report.z_um is None:
        return []
    height, parts = HEIGHT - TOP - BOTTOM, []
    if report.interval_um is not None:
        left = max(LEFT, axes.x(report.interval_um[0]))
        right = min(WIDTH - RIGHT, axes.x(report.interval_um[1]))
        parts.append(
            f'<rect class="interval" x="{left:.1f}" y="{TOP}" '
            f'width="{max(1.0, right - left):.1f}" height="{height}"/>'
        )
    x = axes.x(report.z_um)
    anchor, nudge = ("start", 4) if x < WIDTH / 2 else ("end", -4)
    parts.append(f'<path class="best" d="M{x:.1f} {TOP}v{height}"/>')
    parts.append(
        f'<text class="besttext" x="{x + nudge:.1f}" y="{TOP - 9}" text-anchor="{anchor}">'
        f"best focus {report.z_um:.2f} µm</text>"
    )
    return parts


def _mark(axes: Axes, z_um: float, word: str) -> list[str]:
    """A triangle on the axis: the start below it hollow, the end filled."""
    x, bottom = axes.x(z_um), HEIGHT - BOTTOM
    style = (
        "fill:var(--best)" if word == "end" else "fill:none;stroke:var(--quiet);stroke-width:1.5"
    )
    return [
        f'<path d="M{x:.1f} {bottom - 1:.1f}l-5 -9h10z" style="{style}">'
        f"<title>{word}: {z_um:.2f} µm</title></path>"
    ]
