"""Figures of the Li 2021 benchmark: errors of all methods, confusion matrices, spacings."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from parfocal.evaluate.li2021_study import PUBLISHED, Benchmark, StudyRow

INK, PAPER, SEA, ROSE = "#3a3a3a", "#b9b4a7", "#2a6f97", "#d1495b"
DPI = 90


def errors_png(found: Benchmark) -> bytes:
    """Mean and median |error| of single patches, a panel for each kind of scene."""
    groups = [name for name in dict.fromkeys(row.group for row in found.rows) if "all" not in name]
    figure = Figure(figsize=(3.1 * len(groups) + 1.2, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(groups), squeeze=False, sharey=True, sharex=True)[0]
    for axes, group in zip(panels, groups, strict=True):
        _error_bars(axes, found, group)
    panels[0].invert_yaxis()
    panels[0].legend(fontsize=7, frameon=False, loc="lower right")
    return _png(figure)


def _error_bars(axes: Axes, found: Benchmark, group: str) -> None:
    rows = [row for row in found.rows if row.group == group]
    places = np.arange(len(rows))
    networks = {row.method for row in found.ratios}
    inks = [SEA if row.method in networks else PAPER for row in rows]
    axes.barh(places, [row.patch.mean_um or 0.0 for row in rows], color=inks, height=0.62)
    medians = [row.patch.median_um or 0.0 for row in rows]
    axes.plot(medians, places, "|", color=INK, ms=9, mew=1.8, label="median")
    known = [(PUBLISHED[row.method][0], k) for k, row in enumerate(rows) if row.method in PUBLISHED]
    if known:
        across, down = zip(*known, strict=True)
        axes.plot(across, down, "D", color=ROSE, ms=4, label="paper, its own stacks (mean)")
    axes.set_yticks(places, [f"{row.method} ({row.images})" for row in rows], fontsize=8)
    axes.set_title(group, fontsize=9)
    axes.set_xlabel("|error| of a single patch (µm): bar, mean", fontsize=8)
    axes.tick_params(axis="x", labelsize=7)
    axes.spines[["top", "right"]].set_visible(False)


def confusions_png(found: Benchmark) -> bytes:
    """Confusion matrices of the networks of one, two and three images, by share of each row."""
    rows = sorted((row for row in found.studies if "image" in row.name), key=lambda row: row.images)
    figure = Figure(figsize=(3.5 * len(rows) + 0.6, 3.9), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(rows), squeeze=False)[0]
    for axes, row in zip(panels, rows, strict=True):
        drawn = _matrix(axes, row)
    bar = figure.colorbar(drawn, ax=list(panels), shrink=0.75, pad=0.01)
    bar.set_label("share of the true class", fontsize=8)
    bar.ax.tick_params(labelsize=7)
    return _png(figure)


def _matrix(axes: Axes, row: StudyRow) -> Any:
    share = row.matrix / np.maximum(row.matrix.sum(1, keepdims=True), 1)
    half = (row.classes_um[1] - row.classes_um[0]) / 2
    low, high = row.classes_um[0] - half, row.classes_um[-1] + half
    drawn = axes.imshow(
        share, cmap="viridis", vmin=0, vmax=1, origin="lower", extent=(low, high, low, high)
    )
    s = row.summary
    axes.set_title(
        f"{row.name}: {100 * s.exact:.0f} % exact, {100 * s.near:.0f} % within one,\n"
        f"{100 * s.wrong_side:.0f} % on the wrong side",
        fontsize=8,
    )
    axes.set_xlabel("answered (µm)", fontsize=8)
    axes.set_ylabel("true defocus (µm)", fontsize=8)
    axes.set_xticks([-36, -18, 0, 18, 36])
    axes.set_yticks([-36, -18, 0, 18, 36])
    axes.tick_params(labelsize=7)
    return drawn


def spacings_png(found: Benchmark) -> bytes:
    """Accuracy against the distance of the two images."""
    rows = sorted(
        (row for row in found.studies if row.images == 2 and row.classes == 13),
        key=lambda row: row.spacing_um,
    )
    figure = Figure(figsize=(4.6, 3.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    across = [row.spacing_um for row in rows]
    for name, ink, mark in (("exact", SEA, "o"), ("near", INK, "s"), ("wrong_side", ROSE, "^")):
        shares = [100 * getattr(row.summary, name) for row in rows]
        words = {"exact": "right class", "near": "within one", "wrong_side": "wrong side"}
        axes.plot(across, shares, color=ink, marker=mark, ms=5, label=words[name])
    axes.set_xlabel("distance of the two images (µm)", fontsize=8)
    axes.set_ylabel("patches (%)", fontsize=8)
    axes.set_ylim(0, 100)
    axes.tick_params(labelsize=8)
    axes.legend(fontsize=8, frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    return _png(figure)


def _png(figure: Figure) -> bytes:
    held = BytesIO()
    figure.savefig(held, dpi=DPI, format="png")
    return held.getvalue()
