"""The Wu 2019 benchmark as one self-contained HTML page, and its figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO

import numpy as np
from jaxtyping import Float
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from parfocal.evaluate.pictures import contrast_limits
from parfocal.evaluate.sheet import ReportHeader, study_page
from parfocal.evaluate.wu2019 import (
    BLURRED,
    FLIPPED,
    INPUT,
    NETWORK,
    SECTIONED,
    TOLD,
    Example,
    Wu2019Row,
)
from parfocal.evaluate.wu2019_study import Wu2019Study, tables

INK, SEA, ROSE, PAPER = "#3a3a3a", "#2a6f97", "#d1495b", "#b9b4a7"
STYLES = {
    INPUT: (INK, ":"), BLURRED: (PAPER, "-"), NETWORK: (ROSE, "-"), FLIPPED: (ROSE, ":"),
    TOLD: (SEA, "-"), SECTIONED: (ROSE, "-"),
}  # fmt: skip
DPI = 90


def figures(study: Wu2019Study) -> dict[str, tuple[str, bytes]]:
    """Every figure of what was run: a title and a PNG, by the name of its file."""
    made = {}
    if study.of("stack"):
        made["stacks"] = ("Virtual stacks", heights_png(study.of("stack")))
    if study.of("focus"):
        made["focus"] = ("Focusing on one thin object", heights_png(study.of("focus")))
    if study.examples:
        made["examples"] = ("Fields", examples_png(study.examples))
    if study.bead_errors_um is not None and len(study.bead_errors_um):
        made["beads"] = ("Axial errors of beads", beads_png(study.bead_errors_um))
    return made


def heights_png(rows: Sequence[Wu2019Row]) -> bytes:
    """PSNR against height above the image's plane, for each specimen."""
    kinds = list(dict.fromkeys(row.kind for row in rows))
    figure = _figure(3.4 * len(kinds), 3.0)
    for axes, kind in zip(figure.subplots(1, len(kinds), squeeze=False)[0], kinds, strict=True):
        own = [row for row in rows if row.kind == kind]
        for name in dict.fromkeys(row.method for row in own):
            ink, style = STYLES[name]
            heights = sorted({row.z_um for row in own})
            means = [
                np.mean([r.psnr for r in own if r.method == name and r.z_um == z]) for z in heights
            ]
            axes.plot(heights, means, style, color=ink, lw=1.5, marker="o", ms=2.5, label=name)
        axes.set_title(kind, fontsize=8)
        axes.set_xlabel("height above the image's plane (um)", fontsize=7)
        axes.set_ylabel("PSNR (dB)", fontsize=7)
        axes.tick_params(labelsize=6)
        axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=6, frameon=False)
    return _png(figure)


def examples_png(examples: Sequence[Example]) -> bytes:
    """A row of pictures for each field, each by its own contrast."""
    most = max(len(example.pictures) for example in examples)
    figure = _figure(1.9 * most, 2.05 * len(examples))
    grid = figure.subplots(len(examples), most, squeeze=False)
    for line, example in zip(grid, examples, strict=True):
        for axes in line:
            axes.axis("off")
        for axes, (caption, picture) in zip(line, example.pictures, strict=False):
            low, high = contrast_limits(picture)
            axes.imshow(picture, cmap="gray", vmin=low, vmax=high)
            axes.set_title(f"{example.title}\n{caption}", fontsize=6)
    return _png(figure)


def beads_png(errors_um: Float[np.ndarray, " bead"]) -> bytes:
    """Histogram of axial errors."""
    figure = _figure(4.0, 2.6)
    axes = figure.subplots()
    axes.hist(errors_um, bins=25, color=SEA)
    axes.set_xlabel("height in the virtual stack less that in the scan (um)", fontsize=7)
    axes.set_ylabel("beads", fontsize=7)
    axes.tick_params(labelsize=6)
    axes.spines[["top", "right"]].set_visible(False)
    return _png(figure)


def benchmark_page(
    header: ReportHeader, study: Wu2019Study, drawn: Mapping[str, tuple[str, bytes]]
) -> str:
    """Write the page."""
    return study_page(header, tables(study), drawn, facts=study.facts)


def _figure(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _png(figure: Figure) -> bytes:
    held = BytesIO()
    figure.savefig(held, format="png", dpi=DPI)
    return held.getvalue()
