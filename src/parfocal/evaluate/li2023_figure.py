"""Figures of the Li 2023 benchmark: bars, examples, axial curves, the phantom, recorded stacks."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from parfocal.evaluate.li2023 import PUBLISHED
from parfocal.evaluate.li2023_real import RealRow
from parfocal.evaluate.li2023_study import Example, Study
from parfocal.evaluate.pictures import contrast_limits

INK, PAPER, SEA, ROSE, GOLD = "#3a3a3a", "#b9b4a7", "#2a6f97", "#d1495b", "#ffb000"
DPI = 90


def bars_png(found: Study) -> bytes:
    """IoU of every method against true truth, with what two right annotations allow."""
    rows = found.rows
    figure = _figure(9.6, 0.30 * len(rows) + 1.6)
    for axes, target in zip(
        figure.subplots(1, 2, sharey=True), ("algorithmic", "true"), strict=True
    ):
        places = np.arange(len(rows))
        for shift, group, ink in ((-0.18, "known", SEA), (0.18, "unseen", PAPER)):
            values = [row.iou[target].get(group, 0.0) for row in rows]
            axes.barh(places + shift, values, height=0.34, color=ink, label=f"{group} families")
        column = ("algorithmic", "true").index(target)
        known = [
            (PUBLISHED[r.method][column], k) for k, r in enumerate(rows) if r.method in PUBLISHED
        ]
        if known:
            axes.plot(
                *zip(*known, strict=True), "D", color=ROSE, ms=4, label="paper, its own stacks"
            )
        if target == "true":
            for number, row in enumerate(found.ceilings):
                label = "two right annotations" if not number else None
                axes.axvline(row.iou.get("known", 0.0), color=GOLD, lw=0.9, ls=":", label=label)
        axes.set_yticks(places, [row.method for row in rows], fontsize=8)
        axes.set_xlim(0, 1)
        axes.set_xlabel(f"IoU against {target} truth", fontsize=8)
        axes.tick_params(axis="x", labelsize=7)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(fontsize=7, frameon=False, loc="lower right")
    axes.invert_yaxis()
    return _png(figure)


def examples_png(found: Study) -> bytes:
    """A plane of each family: what the camera saw, the truth, and the masks of some methods."""
    names = list(dict.fromkeys(name for example in found.examples for name in example.masks))
    columns = 1 + 1 + len(names)
    figure = _figure(2.2 * columns, 2.3 * len(found.examples))
    panels = figure.subplots(len(found.examples), columns, squeeze=False)
    for line, example in zip(panels, found.examples, strict=True):
        _example(list(line), example, names)
    return _png(figure)


def _example(line: Sequence[Axes], example: Example, names: Sequence[str]) -> None:
    limits = contrast_limits(example.image)
    masks = [None, example.truth, *(example.masks.get(name) for name in names)]
    for axes, mask, title in zip(line, masks, [example.title, "truth", *names], strict=True):
        _overlay(axes, example.image, mask, limits)
        axes.set_title(title, fontsize=7)


def axial_png(found: Study) -> bytes:
    """Scores of regions against distance from focus, one line a measure."""
    figure = _figure(6.4, 3.6)
    axes = figure.subplots()
    inks = [SEA, ROSE, INK, PAPER, GOLD]
    for number, row in enumerate(found.axial):
        style = ("-", "--", ":")[number // len(inks) % 3]
        axes.plot(row.offsets_um, row.curve, style, color=inks[number % len(inks)], lw=1.4,
                  label=f"{row.measure} ({row.fall:.2f})")  # fmt: skip
    axes.set_xlabel("stage z from the focus of the region (µm)", fontsize=8)
    axes.set_ylabel("score, 0 to 1 of its own range", fontsize=8)
    axes.tick_params(labelsize=7)
    axes.legend(fontsize=7, frameon=False, title="measure (fall)", title_fontsize=7)
    axes.spines[["top", "right"]].set_visible(False)
    return _png(figure)


def phantom_png(found: Study) -> bytes:
    """The phantom with its right half blurred, and the maps of the measures with their masks."""
    test = found.phantom
    blur = max(test.images)
    names = list(dict.fromkeys(row.measure for row in test.rows))
    iou = {row.measure: row.iou for row in test.rows if row.blur_px == blur}
    figure = _figure(9.6, 2.1 * -(-(len(names) + 1) // 5))
    panels = figure.subplots(-(-(len(names) + 1) // 5), 5, squeeze=False).ravel()
    _overlay(panels[0], test.images[blur], test.truth, contrast_limits(test.images[blur]))
    panels[0].set_title(f"right half blurred, {blur} px; truth", fontsize=7)
    for axes, name in zip(panels[1:], names, strict=False):
        scores = test.maps[name, blur]
        _overlay(axes, scores, test.masks[name, blur], contrast_limits(scores))
        axes.set_title(f"{name}, IoU {iou[name]:.2f}", fontsize=7)
    for axes in panels[len(names) + 1 :]:
        axes.axis("off")
    return _png(figure)


def real_png(rows: Sequence[RealRow]) -> bytes:
    """Recorded stacks of one method: three planes each, with contours of what is in focus."""
    columns = max(len(row.pictures) for row in rows)
    figure = _figure(3.0 * columns, sum(2.9 * _tallness(row) for row in rows) + 0.3)
    tall = [_tallness(row) for row in rows]
    panels = figure.subplots(len(rows), columns, squeeze=False, height_ratios=tall)
    for line, row in zip(panels, rows, strict=True):
        limits = contrast_limits(*(picture.image for picture in row.pictures))
        for axes, picture in zip(line, row.pictures, strict=False):
            _overlay(axes, picture.image, picture.mask, limits)
            axes.set_title(f"{row.stack}, plane {picture.plane}: {row.status}", fontsize=7)
        for axes in line[len(row.pictures) :]:
            axes.axis("off")
    return _png(figure)


def _tallness(row: RealRow) -> float:
    size_y, size_x = row.pictures[0].image.shape
    return min(float(size_y) / float(size_x), 1.6) + 0.08


def _overlay(axes: Axes, image: Any, mask: Any, limits: tuple[float, float]) -> None:
    axes.imshow(image, cmap="gray", vmin=limits[0], vmax=limits[1], interpolation="nearest")
    if mask is not None and mask.any() and not mask.all():
        axes.contour(mask, [0.5], colors=GOLD, linewidths=0.6)
    axes.axis("off")


def _figure(wide: float, tall: float) -> Figure:
    figure = Figure(figsize=(wide, tall), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _png(figure: Figure) -> bytes:
    held = BytesIO()
    figure.savefig(held, dpi=DPI, format="png")
    return held.getvalue()
