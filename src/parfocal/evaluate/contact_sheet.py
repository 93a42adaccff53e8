"""Contact sheets: rows of small images through focus, with their z and a scale bar."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

DPI = 100
GAP_PX, SIDE_PX, LABEL_PX = 2, 18, 27
FONT: dict[str, Any] = {"family": "DejaVu Sans", "fontsize": 6.6}


@dataclass(frozen=True, eq=False, kw_only=True)
class SheetRow:
    """Images of one thing in one way, all of one size.

    Parameters
    ----------
    title
        Written upwards at the left.
    images
        Grey values from 0 (black) to 1 (white); what lies outside is clipped.
    labels
        One above each image; empty for none.
    pixel_um
        Distance between pixels, for the scale bar; None leaves the bar out.
    """

    title: str
    images: Float[np.ndarray, "tile y x"]
    labels: tuple[str, ...] = ()
    pixel_um: float | None = None


def bar_um(width_um: float) -> float:
    """A round length of up to a third of a width: 1, 2 or 5 times a power of ten.

    Examples
    --------
    >>> bar_um(83.0), bar_um(3.0)
    (20.0, 1.0)
    """
    most = 0.34 * width_um
    power = 10.0 ** math.floor(math.log10(most))
    return float(max(step for step in (power, 2 * power, 5 * power) if step <= most))


def draw_contact_sheet(rows: Sequence[SheetRow], *, title: str = "") -> UInt8[np.ndarray, "v u"]:
    """Draw rows one below the other, pixel for pixel, as one grey picture.

    Parameters
    ----------
    rows
        At least one; rows may differ in the number and the size of their images.
    title
        One line above them all.

    Returns
    -------
    Grey values of the picture.

    Examples
    --------
    >>> row = SheetRow(title="widefield", images=np.zeros((2, 32, 48)), pixel_um=0.5)
    >>> draw_contact_sheet([row]).shape
    (38, 118)
    """
    widths = [row.images.shape[0] * (row.images.shape[2] + GAP_PX) for row in rows]
    heights = [_height_px(row) for row in rows]
    top = 16 if title else 0
    width, height = SIDE_PX + max(widths), top + sum(heights) + GAP_PX
    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI)
    canvas = FigureCanvasAgg(figure)
    if title:
        figure.text(SIDE_PX / width, 1 - 4 / height, title, va="top", family="DejaVu Sans",
                    fontsize=7.5, fontweight="bold")  # fmt: skip
    for row, tall in zip(rows, heights, strict=True):
        _draw_row(figure, row, top, (width, height))
        top += tall
    canvas.draw()  # type: ignore[no-untyped-call]
    rgba = np.asarray(canvas.buffer_rgba())  # type: ignore[no-untyped-call]
    return rgba[..., 1].copy()


def _height_px(row: SheetRow) -> int:
    return int(row.images.shape[1]) + GAP_PX + (LABEL_PX if row.labels else GAP_PX)


def _draw_row(figure: Figure, row: SheetRow, top_px: int, size_px: tuple[int, int]) -> None:
    width, height = size_px
    _, size_y, size_x = row.images.shape
    first = top_px + (LABEL_PX if row.labels else GAP_PX)
    middle = 1 - (first + size_y / 2) / height
    figure.text(8 / width, middle, row.title, rotation=90, ha="center", va="center", **FONT)
    for column, image in enumerate(row.images):
        left = SIDE_PX + column * (size_x + GAP_PX)
        bottom = height - first - size_y
        place = (left / width, bottom / height, size_x / width, size_y / height)
        axes = figure.add_axes(place)
        axes.imshow(image, cmap="gray", vmin=0, vmax=1, interpolation="none", aspect="auto")
        axes.set_axis_off()
        if row.labels:
            figure.text((left + size_x / 2) / width, 1 - (first - 2) / height, row.labels[column],
                        ha="center", va="bottom", linespacing=1.0, **FONT)  # fmt: skip
    if row.pixel_um is not None:
        _draw_bar(figure, row.pixel_um, (left, bottom, size_x), size_px)


def _draw_bar(
    figure: Figure, pixel_um: float, tile: tuple[int, int, int], size_px: tuple[int, int]
) -> None:
    """A white bar on black in the lower right corner of a tile, and its length."""
    (left, bottom, size_x), (width, height) = tile, size_px
    length = bar_um(size_x * pixel_um)
    bar, tall = round(length / pixel_um), 15
    wide = max(bar, 30) + 4
    axes = figure.add_axes(((left + size_x - wide) / width, bottom / height, wide / width,
                            tall / height))  # fmt: skip
    ground = np.zeros((tall, wide))
    start = (wide - bar) // 2
    ground[tall - 4 : tall - 2, start : start + bar] = 1.0
    axes.imshow(ground, cmap="gray", vmin=0, vmax=1, interpolation="none", aspect="auto")
    axes.set_axis_off()
    axes.text(wide / 2, 4.2, f"{length:g} um", color="white", ha="center", va="center",
              family="DejaVu Sans", fontsize=6)  # fmt: skip
