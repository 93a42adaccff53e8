"""Pictures of a refocused image: before and after, trust, difference, and a line through both."""

from __future__ import annotations

import base64
import io
import math
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib import colormaps
from matplotlib.image import imsave
from numpy.typing import NDArray

from parfocal.evaluate.curves import HEIGHT, LEFT, TOP, WIDTH, Axes, frame, gradient_css
from parfocal.evaluate.pictures import contrast_limits, grey_jpeg, scale_bar, shrink

SHOWN_PX, READ_PX = 560, 1680
"""Side of a picture, and of what is read for it: of a larger image every n-th pixel."""
LEAST_DETAIL_PX, MOST_DETAIL_PX, DETAIL_SHARE = 48, 160, 4
MOST_DIFFERENCE = 99.8
"""Percentile of the differences at which colours end."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Views:
    """What is shown of an image before and after.

    Parameters
    ----------
    before, after, trust
        The whole field, small.
    detail_before, detail_after
        A part of it pixel by pixel, where the structure is strongest.
    corner
        Row and column of the detail in the image, in px.
    shape
        Sizes (y, x) of the image.
    """

    before: Float[np.ndarray, "v u"]
    after: Float[np.ndarray, "v u"]
    trust: Float[np.ndarray, "v u"]
    detail_before: Float[np.ndarray, "d d2"]
    detail_after: Float[np.ndarray, "d d2"]
    corner: tuple[int, int]
    shape: tuple[int, int]

    @property
    def row(self) -> int:
        """Row of the detail with the pixel that stands out most, bright or, of stains, dark."""
        away = np.abs(self.detail_after - np.median(self.detail_after))
        return int(np.unravel_index(np.argmax(away), away.shape)[0])


def views_of(before: Any, after: Any, trust: Any) -> Views:
    """Read what is shown of lazy images (1, y, x).

    Examples
    --------
    >>> image = np.arange(64.0 * 64).reshape(1, 64, 64)
    >>> views_of(image, image, image).detail_after.shape
    (48, 48)
    """
    shape = (int(before.shape[1]), int(before.shape[2]))
    small = [small_view(images) for images in (before, after, trust)]
    side = max(LEAST_DETAIL_PX, min(MOST_DETAIL_PX, min(shape) // DETAIL_SHARE))
    corner = _busiest_corner(small[1], shape, side)
    spans = [
        slice(first, min(size, first + side)) for first, size in zip(corner, shape, strict=True)
    ]
    details = [
        np.asarray(images[0, spans[0], spans[1]], dtype=np.float64) for images in (before, after)
    ]
    return Views(
        before=small[0], after=small[1], trust=small[2], detail_before=details[0],
        detail_after=details[1], corner=corner, shape=shape,
    )  # fmt: skip


def small_view(images: Any) -> NDArray[np.float64]:
    """The first of lazy images (z, y, x), shrunk; a huge one is read at every n-th pixel."""
    every = slice(None, None, max(1, math.ceil(max(images.shape[1:]) / READ_PX)))
    return shrink(np.asarray(images[0, every, every], dtype=np.float64), SHOWN_PX)


def _busiest_corner(
    small: NDArray[np.float64], shape: tuple[int, int], side: int
) -> tuple[int, int]:
    """Where a square of a side has most contrast, as the small picture shows it."""
    scale = [own / size for own, size in zip(small.shape, shape, strict=True)]
    window = [max(1, round(side * each)) for each in scale]
    rows = range(0, max(1, small.shape[0] - window[0] + 1), max(1, window[0] // 2))
    columns = range(0, max(1, small.shape[1] - window[1] + 1), max(1, window[1] // 2))
    best = max(
        ((row, column) for row in rows for column in columns),
        key=lambda at: float(small[at[0] : at[0] + window[0], at[1] : at[1] + window[1]].std()),
    )
    corner = [
        max(0, min(size - side, round(at / each)))
        for at, each, size in zip(best, scale, shape, strict=True)
    ]
    return corner[0], corner[1]


def _png(pixels: NDArray[Any]) -> str:
    buffer = io.BytesIO()
    imsave(buffer, pixels, format="png", pil_kwargs={"optimize": True})
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def framed(inside: str, sides: tuple[int, int], pixel_um: float | None) -> str:
    """Pictures one on the other in the proportions of a field, with a scale bar."""
    bar = ""
    if pixel_um is not None:
        length_um, share = scale_bar(pixel_um, sides[1])
        bar = f'<div class="bar" style="width:{100 * share:.2f}%">{length_um:g} µm</div>'
    return f'<div class="frame" style="aspect-ratio:{sides[1]}/{sides[0]}">{inside}{bar}</div>'


def grey_frame(
    image: Float[np.ndarray, "y x"], title: str, *, sides: tuple[int, int], pixel_um: float | None,
    over: str = "", is_blocky: bool = False,
) -> str:  # fmt: skip
    """An image between its own grey values."""
    kind = ' class="blocky"' if is_blocky else ""
    picture = grey_jpeg(image, contrast_limits(image))
    return framed(f'<img{kind} alt="{escape(title)}" src="{picture}">{over}', sides, pixel_um)


def trust_frame(views: Views, pixel_um: float | None) -> str:
    """Trust from 0 to 1 in colours, with their scale."""
    coloured = colormaps["viridis"](np.clip(views.trust, 0.0, 1.0))
    picture = f'<img alt="Trust" src="{_png(coloured)}">'
    return framed(picture, views.shape, pixel_um) + _ramp(gradient_css(), "0", "trust", "1")


def difference_frame(views: Views, pixel_um: float | None) -> str:
    """After less before, blue below and red above 0."""
    difference = views.after - views.before
    most = float(np.percentile(np.abs(difference), MOST_DIFFERENCE)) or 1.0
    coloured = colormaps["RdBu_r"](np.clip(0.5 + difference / (2 * most), 0.0, 1.0))
    picture = f'<img alt="Difference" src="{_png(coloured)}">'
    stops = ", ".join(
        f"rgb({', '.join(str(round(255 * part)) for part in colormaps['RdBu_r'](k / 8)[:3])})"
        for k in range(9)
    )
    end = f"{most:.0f}" if most >= 100 else f"{most:.3g}"
    ramp = _ramp(f"linear-gradient(90deg, {stops})", f"−{end}", "counts", f"+{end}")
    return framed(picture, views.shape, pixel_um) + ramp


def _ramp(background: str, low: str, unit: str, high: str) -> str:
    return (
        f'<div class="ramp" style="background:{background}"></div><div class="ends">'
        f"<span>{low}</span><span>{unit}</span><span>{high}</span></div>"
    )


def detail_mark(views: Views) -> str:
    """A square around the detail, to lie over the whole field."""
    (row, column), (size_y, size_x) = views.corner, views.shape
    height, width = views.detail_after.shape
    return (
        f'<svg class="over" viewBox="0 0 {size_x} {size_y}" preserveAspectRatio="none">'
        f'<rect x="{column}" y="{row}" width="{width}" height="{height}" fill="none" '
        f'stroke="#ffb000" stroke-width="{max(1.0, size_x / 280):.1f}"/></svg>'
    )


def line_mark(views: Views) -> str:
    """The line of the profile, to lie over the detail."""
    height, width = views.detail_after.shape
    return (
        f'<svg class="over" viewBox="0 0 {width} {height}" preserveAspectRatio="none">'
        f'<path d="M0 {views.row + 0.5}H{width}" stroke="#ffb000" stroke-opacity="0.8" '
        f'stroke-width="{max(0.4, width / 280):.2f}"/></svg>'
    )


def profile_svg(views: Views, pixel_um: float | None) -> str:
    """Counts along one row of the detail, before and after."""
    lines = [image[views.row] for image in (views.detail_before, views.detail_after)]
    step, unit = (1.0, "px") if pixel_um is None else (pixel_um, "µm")
    places = (np.arange(len(lines[0])) * step).tolist()
    low, high = (float(end(np.concatenate(lines))) for end in (np.min, np.max))
    spare = 0.05 * (high - low or 1.0)
    axes = Axes((0.0, max(places[-1], step)), (low - spare, high + spare))
    parts = [
        f'<svg class="curve" viewBox="0 0 {WIDTH:g} {HEIGHT:g}" role="img" '
        'aria-label="Line profile before and after">',
        *frame(axes, f"along the line ({unit})", "counts"),
    ]
    for line, kind in zip(lines, ("line", "best"), strict=True):
        points = axes.points(places, line.tolist())
        style = "" if kind == "line" else ' fill="none"'
        parts.append(f'<polyline class="{kind}"{style} points="{points}"/>')
    parts.append(
        f'<text x="{LEFT + 8}" y="{TOP - 10}" style="fill:var(--line);font-weight:600">before'
        f'</text><text class="besttext" x="{LEFT + 62}" y="{TOP - 10}">after</text></svg>'
    )
    return "".join(parts)
