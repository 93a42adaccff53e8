"""Figures of the Luo 2020 benchmark: quality against defocus, beads, the tilt, examples."""

from __future__ import annotations

import math
from collections.abc import Sequence
from io import BytesIO
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from scipy.ndimage import gaussian_filter

from parfocal.evaluate.luo2020 import (
    BLIND,
    ESTIMATED,
    INPUT,
    LANDWEBER,
    SMOOTHED,
    TRUE,
    USERS,
    mean_of,
)
from parfocal.evaluate.luo2020_real import RealPlane
from parfocal.evaluate.luo2020_study import Study, distinct
from parfocal.evaluate.pictures import contrast_limits

INK, PAPER, SEA, ROSE, GOLD, LEAF = "#3a3a3a", "#b9b4a7", "#2a6f97", "#d1495b", "#ffb000", "#5b8e4d"
STYLES: dict[str, tuple[str, str]] = {
    INPUT: (INK, ":"), SMOOTHED: (INK, "--"), TRUE: (SEA, "-"), USERS: (SEA, "--"),
    ESTIMATED: (SEA, ":"), BLIND: (ROSE, "-"), "blind": (ROSE, "-"),
    **dict(zip(LANDWEBER, ((PAPER, "--"), (PAPER, "-")), strict=True)),
}  # fmt: skip
WORDS = {"psnr": "PSNR (dB)", "ssim": "SSIM", "rmse": "RMSE (of the range)"}
DPI = 90
UNITS = {"smear": "planes"}
"""Of z, where the step is not known."""


def quality_png(found: Study) -> bytes:
    """PSNR, SSIM and RMSE against defocus, a row for each brightness."""
    photons = distinct(row.photons for row in found.fields)
    names = [n for n in distinct(row.method for row in found.fields) if n in STYLES]
    figure = _figure(10.2, 2.9 * len(photons) + 0.4)
    grid = figure.subplots(len(photons), len(WORDS), squeeze=False)
    for line, light in zip(grid, photons, strict=True):
        distances = distinct(row.dof for row in found.fields if row.photons == light)
        for axes, (value, word) in zip(line, WORDS.items(), strict=True):
            for name in names:
                ink, style = STYLES[name]
                means = [mean_of(found.of(name, dof, light), value) for dof in distances]
                axes.plot(distances, means, style, color=ink, lw=1.5, marker="o", ms=2.5,
                          label=name)  # fmt: skip
            _dress(axes, "defocus (depths of field)", f"{word}, {light:g} photons")
    grid[0][-1].legend(fontsize=6, frameon=False)
    return _png(figure)


def beads_png(found: Study) -> bytes:
    """Width, peak and encircled light of beads against defocus."""
    figure = _figure(10.2, 3.1)
    words = {"width_um": "width at half maximum (um)", "peak": "peak, of the truth's",
             "encircled": "light within 1 um, of the truth's"}  # fmt: skip
    for axes, (value, word) in zip(figure.subplots(1, 3), words.items(), strict=True):
        for name in distinct(row.method for row in found.beads):
            ink, style = STYLES.get(name, (LEAF, "-"))
            own = [row for row in found.beads if row.method == name]
            z_um = [row.defocus_um for row in own]
            means = np.array([getattr(row, value) for row in own])
            axes.plot(z_um, means, style, color=ink, lw=1.5, marker="o", ms=2.5, label=name)
            if value == "width_um":
                spread = np.array([row.width_spread_um for row in own])
                axes.fill_between(z_um, means - spread, means + spread, color=ink, alpha=0.12, lw=0)
        if value != "width_um":
            axes.axhline(1.0, color=GOLD, lw=0.9)
        _dress(axes, "stage z from focus (um)", word)
    axes.legend(fontsize=7, frameon=False)
    return _png(figure)


def tilt_png(found: Study) -> bytes:
    """Sharpness and error of rows of a tilted field."""
    figure = _figure(8.4, 3.0)
    words = {"sharpness": "sharpness beside the truth's", "rmse": "RMSE (of the range)"}
    for axes, (value, word) in zip(figure.subplots(1, 2), words.items(), strict=True):
        for name in found.tilt[0].sharpness:
            ink, style = STYLES.get(name, (LEAF, "-"))
            values = [getattr(row, value)[name] for row in found.tilt]
            axes.plot([row.defocus_um for row in found.tilt], values, style, color=ink, lw=1.5,
                      label=name)  # fmt: skip
        _dress(axes, "defocus of the row (um)", word)
    axes.legend(fontsize=7, frameon=False)
    return _png(figure)


def examples_png(found: Study) -> bytes:
    """Fields as they came, by some methods, and in truth; each row on one scale."""
    columns = max(len(shot.images) for shot in found.examples)
    figure = _figure(1.9 * columns, 2.05 * len(found.examples))
    panels = figure.subplots(len(found.examples), columns, squeeze=False)
    for line, shot in zip(panels, found.examples, strict=True):
        limits = contrast_limits(shot.images["truth"])
        for axes in line:
            axes.axis("off")
        for axes, (name, image) in zip(line, shot.images.items(), strict=False):
            axes.imshow(image, cmap="gray", vmin=limits[0], vmax=limits[1], interpolation="nearest")
            axes.set_title(name if axes is not line[0] else f"{shot.title}\n{name}", fontsize=6)
    return _png(figure)


def real_png(planes: Sequence[RealPlane], *, most: int = 3) -> bytes:
    """Recorded stacks: input, answer and plane in focus of some planes of each."""
    stacks = distinct(plane.stack for plane in planes)
    lines = [_spread([p for p in planes if p.stack == stack], most) for stack in stacks]
    figure = _figure(9.6, 1.9 * len(lines) + 0.2)
    panels = figure.subplots(len(lines), 2 * most + 1, squeeze=False)
    for line, own in zip(panels, lines, strict=True):
        for axes in line:
            axes.axis("off")
        truth = own[0].pictures[-1]
        centre = _brightest(truth)
        for place, plane in enumerate(own):
            image, *answer, _ = plane.pictures
            title = f"{plane.stack}\n{plane.offset_um:+.2f} {UNITS.get(plane.stack, 'um')}"
            _show(line[2 * place], image, title.replace(" um", " µm"), centre)
            beside = line[2 * place + 1]
            if answer:
                gain = f"{plane.gain_db:+.1f} dB" if math.isfinite(plane.gain_db) else "in focus"
                _show(beside, answer[0], f"{plane.status}\n{gain}", centre)
            else:
                beside.text(0.5, 0.5, f"declined:\n{plane.status}", fontsize=7, ha="center")
        _show(line[-1], truth, "plane in focus", centre)
    return _png(figure)


def _spread(planes: Sequence[RealPlane], most: int) -> list[RealPlane]:
    """Some planes: near both ends, and in focus."""
    places = np.linspace(0, len(planes) - 1, min(most, len(planes))).round().astype(int)
    return [planes[place] for place in places]


def _show(axes: Axes, image: Any, title: str, centre: tuple[int, int]) -> None:
    part = _around(image, centre)
    low, high = contrast_limits(part)
    axes.imshow(part, cmap="gray", vmin=low, vmax=high, interpolation="nearest")
    axes.set_title(title, fontsize=6)


def _brightest(image: Any) -> tuple[int, int]:
    """Where most light is."""
    smooth = gaussian_filter(np.asarray(image, dtype=np.float64), 8.0)
    y, x = np.unravel_index(int(smooth.argmax()), smooth.shape)
    return int(y), int(x)


def _around(image: Any, centre: tuple[int, int], side: int = 128) -> Any:
    """A square of an image."""
    top, left = (
        int(np.clip(at - side // 2, 0, max(0, size - side)))
        for at, size in zip(centre, image.shape, strict=True)
    )
    return image[top : top + side, left : left + side]


def _dress(axes: Axes, along: str, up: str) -> None:
    axes.set_xlabel(along.replace("um", "µm"), fontsize=8)
    axes.set_ylabel(up.replace("um", "µm"), fontsize=8)
    axes.tick_params(labelsize=7)
    axes.spines[["top", "right"]].set_visible(False)


def _figure(wide: float, tall: float) -> Figure:
    figure = Figure(figsize=(wide, tall), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _png(figure: Figure) -> bytes:
    held = BytesIO()
    figure.savefig(held, dpi=DPI, format="png")
    return held.getvalue()
