"""One picture of the studies of Pinkard 2019: a panel each, saliency below."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from parfocal.evaluate.pinkard2019 import (
    ANGLES_NA,
    CELLS,
    OURS,
    PUBLISHED,
    TISSUE,
    Studies,
    extent,
)
from parfocal.evaluate.pinkard2019_rows import StudyRow

INKS = {PUBLISHED: "#b9a27c", OURS: "#2a6f97", "phase": "#d1495b"}
QUIET = "#8a8a8a"
OBJECTIVE_NA = 0.5
DPI = 90


def studies_png(found: Studies) -> bytes:
    """All studies, lengths in um."""
    figure = Figure(figsize=(12.5, 8.2), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(2, 3)
    _stacks(panels[0, 0], found)
    _kinds(panels[0, 1], found)
    _feature(panels[0, 2], found)
    _angle(panels[1, 0], found)
    _pattern(panels[1, 1], found)
    cell = panels[1, 2].get_subplotspec()
    panels[1, 2].remove()
    below = cell.subgridspec(2, 1, height_ratios=(1, 1.6))
    for place, method in enumerate((PUBLISHED, OURS)):
        _saliency(figure.add_subplot(below[place]), found, method)
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI)
    return buffer.getvalue()


def _limits(axes: Axes, row: StudyRow) -> None:
    """What always answering zero errs by, and half the specimen's thickness."""
    axes.axhline(row.zero_um, color=QUIET, ls=":", lw=1)
    axes.axhline(row.limit_um, color=QUIET, ls="--", lw=1)
    side = axes.get_xlim()[1]
    axes.annotate("always zero", (side, row.zero_um), (-3, 2), textcoords="offset points",
                  ha="right", fontsize=7, color=QUIET)  # fmt: skip
    axes.annotate("half the thickness", (side, row.limit_um), (-3, 2),
                  textcoords="offset points", ha="right", fontsize=7, color=QUIET)  # fmt: skip


def _dress(axes: Axes, title: str, label: str = "") -> None:
    axes.set_title(title, fontsize=10, loc="left")
    axes.set_ylabel("RMSE (µm)", fontsize=8)
    axes.set_xlabel(label, fontsize=8)
    axes.tick_params(labelsize=7)
    axes.set_ylim(bottom=0)
    axes.spines[["top", "right"]].set_visible(False)


def _stacks(axes: Axes, found: Studies) -> None:
    for method in (PUBLISHED, OURS):
        rows = found.of("stacks", method)
        x = [row.stacks for row in rows]
        y = [row.rmse_um for row in rows]
        axes.plot(x, y, "o-", color=INKS[method], label=method, ms=4)
        for place, value in zip(x, y, strict=True):
            axes.annotate(f"{value:.1f}", (place, value), (0, 5), textcoords="offset points",
                          ha="center", fontsize=7)  # fmt: skip
    axes.set_xscale("log")
    ticks = [row.stacks for row in found.of("stacks", PUBLISHED)]
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()
    axes.legend(fontsize=7, frameon=False)
    _dress(axes, "a  Stacks of cells learnt from", "stacks")
    _limits(axes, found.of("stacks")[0])


def _kinds(axes: Axes, found: Studies) -> None:
    tuned = sorted({row.stacks for row in found.of("kinds") if "tuned" in row.case})
    groups = [f"on {CELLS}", f"on {TISSUE}"]
    groups += [f"on {kind}, tuned with {tuned[-1]}" for kind in (CELLS, TISSUE)] if tuned else []
    words = ["cells", "tissue", f"cells,\n{tuned[-1]} tissue" if tuned else "",
             f"tissue,\n{tuned[-1]} tissue" if tuned else ""][: len(groups)]  # fmt: skip
    for side, method in enumerate((PUBLISHED, OURS)):
        values = [
            next(row.rmse_um for row in found.of("kinds", method) if row.case == case)
            for case in groups
        ]
        places = np.arange(len(groups)) + 0.38 * side - 0.19
        bars = axes.bar(places, values, 0.36, color=INKS[method], label=method)
        axes.bar_label(bars, fmt="%.1f", fontsize=7)
    axes.set_xticks(np.arange(len(groups)), words)
    axes.legend(fontsize=7, frameon=False)
    _dress(axes, "b  Learnt on cells, then on some tissue too")


def _feature(axes: Axes, found: Studies) -> None:
    rows = found.of("feature")
    for side, name in enumerate(("learnt from", "not seen")):
        values = [(row.train_rmse_um or 0.0) if side == 0 else row.rmse_um for row in rows]
        places = np.arange(len(rows)) + 0.38 * side - 0.19
        inks = [INKS["phase"] if row.case == "phase" else INKS[PUBLISHED] for row in rows]
        bars = axes.bar(places, values, 0.36, color=inks, alpha=0.5 if side == 0 else 1.0)
        axes.bar_label(bars, labels=[f"{value:.1f}\n{name}" for value in values], fontsize=7)
    axes.set_xticks(np.arange(len(rows)), [row.case for row in rows])
    _dress(axes, "c  Magnitude or phase (published network)")
    axes.set_ylim(top=1.25 * max(max(row.rmse_um, row.train_rmse_um or 0) for row in rows))


def _angle(axes: Axes, found: Studies) -> None:
    rows = found.of("angle")
    y = [row.rmse_um for row in rows]
    axes.plot(ANGLES_NA, y, "o-", color=INKS[PUBLISHED], ms=4)
    for place, value in zip(ANGLES_NA, y, strict=True):
        axes.annotate(f"{value:.1f}", (place, value), (0, 5), textcoords="offset points",
                      ha="center", fontsize=7)  # fmt: skip
    axes.axvspan(OBJECTIVE_NA, max(ANGLES_NA) + 0.03, color="#00000012", lw=0)
    axes.annotate("dark field", (OBJECTIVE_NA, 0), (3, 4), textcoords="offset points", fontsize=7,
                  color=QUIET)  # fmt: skip
    _dress(axes, "d  Angle of one LED (published network)", "NA of the LED")
    _limits(axes, rows[0])


def _pattern(axes: Axes, found: Studies) -> None:
    rows = found.of("pattern")
    bars = axes.barh(np.arange(len(rows)), [row.rmse_um for row in rows], 0.6,
                     color=INKS[PUBLISHED])  # fmt: skip
    axes.bar_label(bars, fmt="%.1f", fontsize=7, padding=2)
    axes.set_yticks(np.arange(len(rows)), [row.case for row in rows])
    axes.invert_yaxis()
    axes.set_title("e  LEDs together (published network)", fontsize=10, loc="left")
    axes.set_xlabel("RMSE (µm)", fontsize=8)
    axes.tick_params(labelsize=7)
    axes.spines[["top", "right"]].set_visible(False)


def _saliency(axes: Axes, found: Studies, method: str) -> None:
    values = found.saliency[method]
    across, along = extent(method)
    axes.imshow(values, extent=(-along, along, 0, across), origin="lower", cmap="magma",
                aspect="auto" if method == PUBLISHED else "equal", vmin=0,
                vmax=float(np.quantile(values, 0.995)))  # fmt: skip
    turn = np.linspace(0, np.pi, 200)
    for middle in (-0.6, 0.6):
        axes.plot(middle + np.cos(turn), np.sin(turn), color="w", lw=0.7, ls="--")
    axes.set_xlim(-along, along)
    axes.set_ylim(0, across)
    title = f"f  Saliency, {method}: edges {found.edge_share[method]:.2f} x elsewhere"
    axes.set_title(title, fontsize=9, loc="left")
    axes.set_xlabel("along the LED's axis (NA / wavelength)", fontsize=7)
    axes.set_ylabel("across", fontsize=7)
    axes.tick_params(labelsize=6)
