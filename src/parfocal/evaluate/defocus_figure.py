"""Figures of predicted defocus: the patch map over its image, the distribution, and trials."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

import numpy as np
from jaxtyping import Float
from matplotlib import colormaps

from parfocal.core.results import PatchDefocus
from parfocal.evaluate.curves import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Axes, frame
from parfocal.evaluate.defocus_fields import DefocusRecord, decimals_of, defocus_text
from parfocal.evaluate.pictures import contrast_limits, grey_jpeg, scale_bar, shrink

LARGE_PX = 640
SURE = 0.2
"""Certainty from which a patch has a say in the colour scale, and its number is written."""
FULL = 0.6
"""Certainty from which a patch is drawn in full colour; few are more certain."""
GAP = 0.06
"""Share of a patch's side that is left free between its border and the next."""
LEAST_TEXT = 0.11
"""Least side of a patch, over the width of the image, for a number to be read in it."""
LEAST_PROBABILITY = 2e-3


def hue_css(share: float) -> str:
    """Colour at a share from 0 to 1: red far below focus, green in it, purple far above [Li2021]_.

    Examples
    --------
    >>> hue_css(0.0), hue_css(1.0)
    ('#ff0000', '#7f00ff')
    """
    red, green, blue, _ = colormaps["rainbow"](1 - min(1.0, max(0.0, share)), bytes=True)
    return f"#{int(red):02x}{int(green):02x}{int(blue):02x}"


def hue_gradient_css() -> str:
    """The same colours as a CSS gradient, low to high."""
    return f"linear-gradient(to right,{','.join(hue_css(k / 12) for k in range(13))})"


def hue_reach_um(record: DefocusRecord) -> float:
    """Defocus at either end of the colours: that of the patches, and two depths of field at least.

    Patches that are not certain do not stretch it.
    """
    reach_um = 2 * record.setup.depth_of_field_um
    patches = record.estimate.patches
    if patches is not None:
        sure = np.nan_to_num(patches.certainty) >= SURE
        known = np.abs(patches.defocus_um[sure & np.isfinite(patches.defocus_um)])
        reach_um = max(reach_um, float(known.max(initial=0.0)))
    return max(reach_um, abs(record.estimate.defocus_um or 0.0))


def patch_map(record: DefocusRecord, image: Float[np.ndarray, "y x"]) -> str:
    """The first image, and over it what each patch says: colour its defocus, opacity its certainty.

    As in Fig. 1c and 4b of [Li2021]_, with opacity, full from ``FULL``, in place of a threshold.
    """
    size_y, size_x = record.shape
    length_um, share = scale_bar(record.setup.pixel_um, size_x)
    small = shrink(np.asarray(image, dtype=np.float64), LARGE_PX)
    drawn = "" if record.estimate.patches is None else _patches(record, record.estimate.patches)
    reach_um = hue_reach_um(record)
    digits = decimals_of(record)
    bars = ""
    if drawn:
        bars = (
            f'<div class="ramp" style="background:{hue_gradient_css()}"></div><div class="ends">'
            f"<span>−{reach_um:.{digits}f}</span><span>below focus</span><span>0</span>"
            f"<span>above focus</span><span>+{reach_um:.{digits}f} µm</span></div>"
        )
    return (
        f'<div class="frame" style="aspect-ratio:{size_x}/{size_y}">'
        f'<img alt="First image of {escape(record.name)}" '
        f'src="{grey_jpeg(small, contrast_limits(small))}">{drawn}'
        f'<div class="bar" style="width:{100 * share:.2f}%">{length_um:g} µm</div></div>{bars}'
    )


def _patches(record: DefocusRecord, patches: PatchDefocus) -> str:
    """Borders of the patches as SVG over the image, and the arrow of the tilt."""
    size_y, size_x = record.shape
    reach_um, digits = hue_reach_um(record), decimals_of(record)
    # Patches that overlap are drawn as the part of the field that is theirs.
    sides = [min(patches.patch_px, stride or patches.patch_px) for stride in patches.stride_px]
    parts = []
    for row, column in np.ndindex(*patches.defocus_um.shape):
        defocus_um = float(patches.defocus_um[row, column])
        certainty = float(np.nan_to_num(patches.certainty[row, column]))
        if not math.isfinite(defocus_um) or certainty <= 0:
            continue
        centre = [
            index * stride + patches.patch_px / 2
            for index, stride in zip((row, column), patches.stride_px, strict=True)
        ]
        y, x = (middle - side * (1 - GAP) / 2 for middle, side in zip(centre, sides, strict=True))
        colour = hue_css(0.5 + defocus_um / reach_um / 2)
        tip = f"{defocus_um:+z.{digits}f} µm, certainty {certainty:.2f}"
        parts.append(
            f'<g opacity="{min(1.0, certainty / FULL):.2f}"><title>{tip}</title>'
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{sides[1] * (1 - GAP):.1f}" '
            f'height="{sides[0] * (1 - GAP):.1f}" fill="{colour}" fill-opacity="0.18" '
            f'stroke="{colour}" stroke-width="3" vector-effect="non-scaling-stroke"/>'
        )
        if certainty >= SURE and sides[1] >= LEAST_TEXT * size_x:
            font = 0.19 * min(sides)
            parts.append(
                f'<text class="onimage" x="{x + 0.35 * font:.1f}" y="{y + 1.1 * font:.1f}" '
                f'style="font-size:{font:.1f}px;fill:{colour}">{defocus_um:+z.{digits}f}</text>'
            )
        parts.append("</g>")
    return (
        f'<svg class="over" viewBox="0 0 {size_x} {size_y}" preserveAspectRatio="none" '
        f'aria-hidden="true">{"".join(parts)}{_tilt_arrow(record)}</svg>'
    )


def _tilt_arrow(record: DefocusRecord) -> str:
    """An arrow towards higher defocus; nothing where the patches cannot tell."""
    tilt = record.estimate.tilt_um_per_mm
    if tilt is None or not any(tilt):
        return ""
    size_y, size_x = record.shape
    length, steep = 0.3 * min(size_x, size_y), math.hypot(*tilt)
    down, right = tilt[0] / steep * length, tilt[1] / steep * length
    x, y = size_x / 2 - right / 2, size_y / 2 - down / 2
    tip_x, tip_y = x + right, y + down
    wings = [
        (
            tip_x - 0.22 * (right * math.cos(turn) - down * math.sin(turn)),
            tip_y - 0.22 * (right * math.sin(turn) + down * math.cos(turn)),
        )
        for turn in (-0.5, 0.5)
    ]
    head = f"M{wings[0][0]:.1f} {wings[0][1]:.1f}L{tip_x:.1f} {tip_y:.1f}"
    path = f"M{x:.1f} {y:.1f}L{tip_x:.1f} {tip_y:.1f}{head}L{wings[1][0]:.1f} {wings[1][1]:.1f}"
    return "".join(
        f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="{width}" '
        'stroke-linecap="round" stroke-linejoin="round" vector-effect="non-scaling-stroke"/>'
        for colour, width in (("#000", 7), ("#fff", 3.5))
    )


def distribution_svg(record: DefocusRecord) -> str:
    """Probability of each class of defocus, with the answer and its interval."""
    estimate = record.estimate
    if estimate.probabilities is None or estimate.classes_um is None:
        return '<p class="quiet">The network was not asked: the reason stands above.</p>'
    classes, shares = estimate.classes_um, estimate.probabilities
    step = float(np.median(np.diff(classes)))
    shown = classes[shares >= LEAST_PROBABILITY]
    ends = [0.0, *shown, *(estimate.interval_um or ())]
    axes = Axes((min(ends) - 1.5 * step, max(ends) + 1.5 * step), (0.0, 1.08 * float(shares.max())))
    reach_um = hue_reach_um(record)
    parts = [
        f'<svg class="curve" viewBox="0 0 {WIDTH:g} {HEIGHT:g}" role="img" '
        f'aria-label="Distribution over defocus of {escape(record.name)}">',
        *frame(axes, "defocus of the first image (µm)", "probability"),
    ]
    if estimate.interval_um is not None:
        low, high = (axes.x(end) for end in estimate.interval_um)
        parts.append(
            f'<rect class="interval" x="{low:.1f}" y="{TOP}" width="{max(1.0, high - low):.1f}" '
            f'height="{HEIGHT - TOP - BOTTOM}"/>'
        )
    half = 0.42 * (axes.x(step) - axes.x(0.0))
    for value, probability in zip(classes, shares, strict=True):
        if probability < LEAST_PROBABILITY or not axes.x_low <= value <= axes.x_high:
            continue
        top = axes.y(float(probability))
        parts.append(
            f'<rect x="{axes.x(float(value)) - half:.1f}" y="{top:.1f}" width="{2 * half:.1f}" '
            f'height="{HEIGHT - BOTTOM - top:.1f}" fill="{hue_css(0.5 + value / reach_um / 2)}" '
            f'stroke="var(--quiet)" stroke-width="0.6"><title>{value:+z.2f} µm: '
            f"{100 * probability:.1f} %</title></rect>"
        )
    parts.append(_upright(axes, 0.0, "focus", "axis", lower_px=13))
    if estimate.defocus_um is not None:
        text = f"{defocus_text(record).split(' ')[0]} µm"
        parts.append(_upright(axes, estimate.defocus_um, text, "best"))
    if record.known_um is not None and axes.x_low <= record.known_um <= axes.x_high:
        parts.append(_upright(axes, record.known_um, "known", "line", lower_px=28))
    return "".join([*parts, "</svg>"])


def _upright(axes: Axes, value: float, text: str, kind: str, *, lower_px: int = 0) -> str:
    """A line at a value with its word; dashed where the word is set lower."""
    x = axes.x(value)
    dash = ' stroke-dasharray="5 4"' if lower_px else ""
    anchor, nudge = ("start", 5) if x < (LEFT + WIDTH - RIGHT) / 2 else ("end", -5)
    place = TOP + (lower_px or -9)
    word = "besttext" if kind == "best" else "label"
    return (
        f'<path class="{kind}" d="M{x:.1f} {TOP}V{HEIGHT - BOTTOM}"{dash}/>'
        f'<text class="{word}" x="{x + nudge:.1f}" y="{place:.1f}" text-anchor="{anchor}">'
        f"{escape(text)}</text>"
    )


def trials_svg(records: Sequence[DefocusRecord]) -> str:
    """Predicted over known defocus: answers with their intervals, those declined on the axis."""
    known = [record for record in records if record.known_um is not None]
    if not known:
        return ""
    truths = [record.known_um or 0.0 for record in known]
    answers = [record for record in known if record.estimate.defocus_um is not None]
    heights = [*truths]
    for record in answers:
        heights += [*(record.estimate.interval_um or ()), record.estimate.defocus_um or 0.0]
    pad = 0.05 * ((max(heights) - min(heights)) or 1.0)
    axes = Axes((min(truths) - pad, max(truths) + pad), (min(heights) - pad, max(heights) + pad))
    parts = [
        f'<svg class="curve" viewBox="0 0 {WIDTH:g} {HEIGHT:g}" role="img" '
        'aria-label="Predicted over known defocus">',
        *frame(axes, "known defocus (µm)", "predicted (µm)"),
    ]
    low, high = max(axes.x_low, axes.y_low), min(axes.x_high, axes.y_high)
    parts.append(
        f'<path class="axis" stroke-dasharray="5 4" d="M{axes.x(low):.1f} {axes.y(low):.1f}'
        f'L{axes.x(high):.1f} {axes.y(high):.1f}"/>'
    )
    for record in known:
        x = axes.x(record.known_um or 0.0)
        estimate = record.estimate
        tip = f"planes {'+'.join(map(str, record.planes))}: {estimate.status}"
        if estimate.defocus_um is None or estimate.interval_um is None:
            y = HEIGHT - BOTTOM
            parts.append(
                f'<path d="M{x:.1f} {y - 1:.1f}l-5 -9h10z" style="fill:none;stroke:var(--check);'
                f'stroke-width:1.5"><title>{escape(tip)}</title></path>'
            )
            continue
        bottom, top = (axes.y(end) for end in estimate.interval_um)
        parts.append(
            f'<path class="line" d="M{x:.1f} {bottom:.1f}V{top:.1f}"/><circle class="dot" '
            f'cx="{x:.1f}" cy="{axes.y(estimate.defocus_um):.1f}" r="3.4">'
            f"<title>{escape(tip)}, {estimate.defocus_um:+z.2f} µm</title></circle>"
        )
    return "".join([*parts, "</svg>"])
