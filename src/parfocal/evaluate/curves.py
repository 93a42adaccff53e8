"""Focus curves and plates as inline SVG: crisp at any size, readable in light, dark and print."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

import numpy as np
from jaxtyping import Float
from matplotlib import colormaps

from parfocal.evaluate.fields import FieldRecord
from parfocal.evaluate.plate import Well, plate_format, row_name
from parfocal.evaluate.wording import decimals_for, interval_text, note_text, position_text

WIDTH, HEIGHT = 640.0, 300.0
LEFT, RIGHT, TOP, BOTTOM = 76.0, 16.0, 30.0, 48.0
MOST_DOTS = 150


def nice_ticks(low: float, high: float, count: int = 6) -> list[float]:
    """Round numbers between two ends, about ``count`` of them.

    Examples
    --------
    >>> nice_ticks(0.0, 10.0)
    [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]
    >>> nice_ticks(3.0, 3.0)
    [3.0]
    """
    if not high > low:
        return [low]
    raw = (high - low) / max(1, count - 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = min((m * power for m in (1.0, 2.0, 2.5, 5.0, 10.0)), key=lambda s: abs(s - raw))
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [float(f"{k * step:.12g}") for k in range(first, last + 1)]


class Axes:
    """Maps data to the drawing's coordinates; ``x`` and ``y`` are the ends of each axis."""

    def __init__(self, x: tuple[float, float], y: tuple[float, float]) -> None:
        self.x_low, self.x_high = x if x[1] > x[0] else (x[0] - 0.5, x[0] + 0.5)
        self.y_low, self.y_high = y if y[1] > y[0] else (y[0] - 0.5, y[0] + 0.5)

    def x(self, value: float) -> float:
        share = (value - self.x_low) / (self.x_high - self.x_low)
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        share = (value - self.y_low) / (self.y_high - self.y_low)
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)

    def points(self, xs: Sequence[float], ys: Sequence[float]) -> str:
        return " ".join(f"{self.x(a):.1f},{self.y(b):.1f}" for a, b in zip(xs, ys, strict=True))


def _power_of(low: float, high: float) -> int:
    """Power of ten to set apart in an axis label; 0 where plain numbers read well."""
    largest = max(abs(low), abs(high))
    if largest == 0 or 1e-2 <= largest < 1e4:
        return 0
    return math.floor(math.log10(largest))


def _superscript(power: int) -> str:
    return str(power).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def frame(axes: Axes, x_label: str, y_label: str) -> list[str]:
    """Axes with ticks, grid and labels."""
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    power = _power_of(axes.y_low, axes.y_high)
    if power:
        y_label += f", × 10{_superscript(power)}"
    parts = [f'<path class="axis" d="M{LEFT} {TOP}V{bottom}H{right}"/>']
    for tick in nice_ticks(axes.x_low, axes.x_high, 8):
        x = axes.x(tick)
        parts.append(f'<path class="axis" d="M{x:.1f} {bottom}v5"/>')
        parts.append(f'<text x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{tick:g}</text>')
    for tick in nice_ticks(axes.y_low, axes.y_high, 5):
        y, number = axes.y(tick), tick / 10.0**power
        parts.append(f'<path class="grid" d="M{LEFT} {y:.1f}H{right}"/>')
        parts.append(f'<text x="{LEFT - 7}" y="{y + 4:.1f}" text-anchor="end">{number:.4g}</text>')
    middle_x, middle_y = (LEFT + right) / 2, (TOP + bottom) / 2
    parts.append(
        f'<text class="label" x="{middle_x}" y="{HEIGHT - 8}" text-anchor="middle">'
        f"{escape(x_label)}</text>"
        f'<text class="label" transform="translate(14 {middle_y}) rotate(-90)" '
        f'text-anchor="middle">{escape(y_label)}</text>'
    )
    return parts


def _answer(record: FieldRecord, axes: Axes) -> list[str]:
    """The best position and its interval; nothing where there is no answer."""
    if record.position is None:
        return []
    parts = []
    height = HEIGHT - TOP - BOTTOM
    if record.interval is not None:
        left = max(LEFT, axes.x(record.interval[0]))
        right = min(WIDTH - RIGHT, axes.x(record.interval[1]))
        parts.append(
            f'<rect class="interval" x="{left:.1f}" y="{TOP}" '
            f'width="{max(1.0, right - left):.1f}" height="{height}"/>'
        )
    x = axes.x(record.position)
    anchor = "start" if x < WIDTH / 2 else "end"
    nudge = 4 if anchor == "start" else -4
    text = f"best focus {position_text(record, with_unit=True)}".replace("um", "µm")
    parts.append(f'<path class="best" d="M{x:.1f} {TOP}v{height}"/>')
    parts.append(
        f'<text class="besttext" x="{x + nudge:.1f}" y="{TOP - 9}" text-anchor="{anchor}">'
        f"{text}</text>"
    )
    return parts


def _finite(record: FieldRecord) -> tuple[list[float], list[float], list[float]]:
    curve = record.estimate.curve
    keep = np.isfinite(curve.scores)
    spread = np.zeros_like(curve.scores) if curve.spread is None else curve.spread
    spread = np.where(np.isfinite(spread), spread, 0.0)
    return curve.z_um[keep].tolist(), curve.scores[keep].tolist(), spread[keep].tolist()


def focus_curve_svg(record: FieldRecord) -> str:
    """Draw the focus curve with the best position and the 90 % interval, where there is one."""
    z, scores, spread = _finite(record)
    x_label = "stage z (µm)" if record.z_known else "plane (counted from 0)"
    if not z:
        return '<p class="quiet">The measure gave no finite score on any plane.</p>'
    lows = [s - e for s, e in zip(scores, spread, strict=True)]
    highs = [s + e for s, e in zip(scores, spread, strict=True)]
    pad = 0.04 * (max(highs) - min(lows))
    axes = Axes((min(z), max(z)), (min(lows) - pad, max(highs) + pad))
    parts = [
        f'<svg class="curve" viewBox="0 0 {WIDTH:g} {HEIGHT:g}" role="img" '
        f'aria-label="Focus curve of {escape(record.name)}">'
    ]
    parts += frame(axes, x_label, f"focus score: {record.estimate.curve.measure}")
    parts += _answer(record, axes)
    if any(spread):
        outline = axes.points(z + z[::-1], highs + lows[::-1])
        parts.append(f'<polygon class="spread" points="{outline}"/>')
    parts.append(f'<polyline class="line" points="{axes.points(z, scores)}"/>')
    if len(z) <= MOST_DOTS:
        for a, b in zip(z, scores, strict=True):
            parts.append(f'<circle class="dot" cx="{axes.x(a):.1f}" cy="{axes.y(b):.1f}" r="2.6"/>')
    return "".join([*parts, "</svg>"])


def sparkline_svg(record: FieldRecord) -> str:
    """Draw the focus curve small enough for a table."""
    z, scores, _ = _finite(record)
    if len(z) < 2:
        return ""
    low, high = min(scores), max(scores)
    scale_x, scale_y = 108.0 / (max(z) - min(z)), 20.0 / ((high - low) or 1.0)
    left = min(z)
    points = " ".join(
        f"{1 + (a - left) * scale_x:.1f},{22 - (b - low) * scale_y:.1f}"
        for a, b in zip(z, scores, strict=True)
    )
    best = ""
    if record.position is not None:
        best = f'<path class="best" d="M{1 + (record.position - left) * scale_x:.1f} 0v24"/>'
    return (
        f'<svg class="spark" viewBox="0 0 110 24" aria-hidden="true">{best}'
        f'<polyline class="line" points="{points}"/></svg>'
    )


def colour_css(share: float) -> str:
    """Colour of the map viridis at a share from 0 to 1, for CSS."""
    red, green, blue, _ = colormaps["viridis"](min(1.0, max(0.0, share)), bytes=True)
    return f"#{int(red):02x}{int(green):02x}{int(blue):02x}"


def gradient_css() -> str:
    """The colour map viridis as a CSS gradient, low to high."""
    stops = ",".join(colour_css(k / 8) for k in range(9))
    return f"linear-gradient(to right,{stops})"


def _well_cell(records: list[FieldRecord], low: float, high: float, box: tuple[float, ...]) -> str:
    """One well: filled with the colour of its median focus, hatched where it has none."""
    x, y, size = box
    worst = max(records, key=lambda r: ("keep", "check", "image again").index(r.judgement.verdict))
    found = [r.position for r in records if r.position is not None]
    lines = []
    for record in records:
        answer = position_text(record, with_unit=True)
        detail = f"{answer} ({interval_text(record)})" if record.position is not None else ""
        lines.append(f"{record.name}: {record.estimate.status} {detail or note_text(record)}")
    fill, label, ink = "url(#hatch)", str(worst.estimate.status)[:1].upper(), "var(--ink)"
    if found:
        median = float(np.median(found))
        share = (median - low) / (high - low) if high > low else 0.5
        fill, label = colour_css(share), f"{median:.{decimals_for(high - low)}f}"
        ink = "#fff" if share < 0.6 else "#111"
    verdict = worst.judgement.verdict.replace(" ", "-")
    text = ""
    if size >= 40:
        text = (
            f'<text x="{x + size / 2:.1f}" y="{y + size / 2 + 4:.1f}" text-anchor="middle" '
            f'style="fill:{ink}">{label}</text>'
        )
    return (
        f'<g><title>{escape(chr(10).join(lines))}</title><rect class="well {verdict}" '
        f'x="{x + 1.5:.1f}" y="{y + 1.5:.1f}" width="{size - 3:.1f}" height="{size - 3:.1f}" '
        f'rx="3" fill="{fill}"/>{text}</g>'
    )


def plate_range(records: Sequence[FieldRecord]) -> tuple[float, float]:
    """Lowest and highest focus on the plate (0, 0 where nothing was found)."""
    found: Float[np.ndarray, " n"] = np.array(
        [r.position for r in records if r.position is not None], dtype=np.float64
    )
    return (float(found.min()), float(found.max())) if len(found) else (0.0, 0.0)


def plate_svg(records: Sequence[FieldRecord], wells: dict[str, Well]) -> str:
    """Draw the plate: focus of each well by colour, its verdict by the outline."""
    rows, columns = plate_format(wells.values())
    size = {12: 50.0, 24: 34.0}.get(columns, 18.0)
    low, high = plate_range(records)
    parts = [
        f'<svg class="plate" viewBox="0 0 {columns * size + 26:g} {rows * size + 24:g}" '
        f'style="max-width:{columns * size + 26:g}px" role="img" aria-label="Plate heat map">'
        '<defs><pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" '
        'patternTransform="rotate(45)"><path class="hatch" d="M0 0v6"/></pattern></defs>'
    ]
    for column in range(columns):
        x = 26 + (column + 0.5) * size
        parts.append(f'<text x="{x:g}" y="14" text-anchor="middle">{column + 1}</text>')
    for row in range(rows):
        y = 22 + (row + 0.5) * size + 4
        parts.append(f'<text x="12" y="{y:g}" text-anchor="middle">{row_name(row)}</text>')
    grouped: dict[Well, list[FieldRecord]] = {}
    for record in records:
        grouped.setdefault(wells[record.name], []).append(record)
    for row in range(rows):
        for column in range(columns):
            x, y = 26 + column * size, 22 + row * size
            if members := grouped.get(Well(row, column)):
                parts.append(_well_cell(members, low, high, (x, y, size)))
                continue
            parts.append(
                f'<rect class="empty" x="{x + 1.5:g}" y="{y + 1.5:g}" width="{size - 3:g}" '
                f'height="{size - 3:g}" rx="3"/>'
            )
    return "".join([*parts, "</svg>"])
