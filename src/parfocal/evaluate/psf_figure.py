"""Measured and simulated point-spread functions side by side, as one picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

HALF_UM = 1.5  # of the spot that is shown in focus
DEEP_UM = 3.6  # to either side of focus
INKS = ("black", "#999999", "#d1495b")  # measured, nominal, fitted


@dataclass(frozen=True, eq=False, kw_only=True)
class PsfComparison:
    """One measured stack and what simulations make of it, in the same counts.

    Parameters
    ----------
    name
        What was measured.
    z_um
        Defocus of each plane.
    pixel_um
        Distance between pixel centres.
    stacks
        Name -> planes less their background; the measured ones first.
    terms
        OSA/ANSI index -> waves RMS that were found.
    """

    name: str
    z_um: Float[np.ndarray, " z"]
    pixel_um: float
    stacks: dict[str, Float[np.ndarray, "z y x"]]
    terms: Mapping[int, float] = field(default_factory=dict)


def axis_curve(planes: Float[np.ndarray, "z y x"]) -> Float[np.ndarray, " z"]:
    """Mean of the 3 x 3 pixels about the brightest one, through focus.

    Examples
    --------
    >>> axis_curve(np.ones((2, 5, 5)))
    array([1., 1.])
    """
    row, column = np.unravel_index(planes.max(axis=0).argmax(), planes.shape[1:])
    rows, columns = slice(max(0, row - 1), row + 2), slice(max(0, column - 1), column + 2)
    return np.asarray(planes[:, rows, columns].mean(axis=(1, 2)))


def full_width(
    places: Float[np.ndarray, " n"], values: Float[np.ndarray, " n"], *, share: float = 0.5
) -> float:
    """Full width at a share of the maximum, linear between samples; NaN if an end is not reached.

    Examples
    --------
    >>> full_width(np.arange(5.0), np.array([0.0, 1.0, 2.0, 1.0, 0.0]))
    2.0
    """
    top = int(values.argmax())
    level = values[top] * share
    below_left = np.flatnonzero(values[:top] <= level)
    below_right = np.flatnonzero(values[top:] <= level)
    if not len(below_left) or not len(below_right):
        return float("nan")
    a, b = below_left[-1], top + below_right[0]
    left = np.interp(level, values[a : a + 2], places[a : a + 2])
    right = np.interp(level, values[b - 1 : b + 1][::-1], places[b - 1 : b + 1][::-1])
    return float(right - left)


def _show(
    axes: Axes, image: Float[np.ndarray, "a b"], extent: tuple[float, float, float, float]
) -> None:
    """Square root of an image of values from 0 to 1."""
    axes.imshow(
        np.sqrt(np.clip(image, 0, 1)), extent=extent, cmap="inferno", vmin=0, vmax=1,
        interpolation="nearest",
    )  # fmt: skip
    axes.set_xlabel("x (um)", fontsize=7, labelpad=1)
    axes.tick_params(labelsize=6)


def _views(above: Axes, below: Axes, one: PsfComparison, name: str) -> None:
    """Section along z and x, and the plane of best focus, both through the brightest pixel."""
    planes, measured = one.stacks[name], next(iter(one.stacks.values()))
    focus, row, column = np.unravel_index(measured.argmax(), measured.shape)
    bright = measured.max()
    left, right = (edge * one.pixel_um for edge in (-column - 0.5, planes.shape[2] - column - 0.5))
    half_step = (one.z_um[1] - one.z_um[0]) / 2
    _show(
        above,
        planes[:, row] / bright,
        (left, right, one.z_um[-1] + half_step, one.z_um[0] - half_step),
    )
    above.set_ylim(min(DEEP_UM, one.z_um[-1]), max(-DEEP_UM, one.z_um[0]))
    above.set_title(f"{one.name}: {name}", fontsize=8)
    above.set_ylabel("z (um)", fontsize=7, labelpad=1)
    half = round(HALF_UM / one.pixel_um)
    rows, columns = slice(row - half, row + half + 1), slice(column - half, column + half + 1)
    edge = (half + 0.5) * one.pixel_um
    _show(below, planes[focus, rows, columns] / bright, (-edge, edge, edge, -edge))
    below.set_ylabel("y (um)", fontsize=7, labelpad=1)


def _curves(axes: Axes, one: PsfComparison) -> None:
    """Brightness of the axis through focus, relative to the measured one's peak."""
    top = axis_curve(next(iter(one.stacks.values()))).max()
    for ink, (name, planes) in zip(INKS, one.stacks.items(), strict=False):
        dots = {"marker": ".", "ms": 4, "linestyle": "none"} if ink == "black" else {"lw": 1.2}
        axes.plot(one.z_um, axis_curve(planes) / top, color=ink, label=name, **dots)
    axes.set_title("brightness of the axis", fontsize=8)
    axes.set_xlabel("z (um)", fontsize=7, labelpad=1)
    axes.set_xlim(-DEEP_UM, DEEP_UM)
    axes.set_ylim(bottom=0)
    axes.tick_params(labelsize=6)
    axes.legend(fontsize=6, frameon=False)


def _bars(axes: Axes, terms: Mapping[int, float]) -> None:
    """Zernike terms, in order of their index."""
    names = [str(j) for j in sorted(terms)]
    axes.bar(names, [terms[int(name)] for name in names], color=INKS[2], width=0.7)
    axes.axhline(0, color="black", lw=0.6)
    axes.set_title("Zernike terms found (waves RMS)", fontsize=8)
    axes.set_xlabel("OSA/ANSI index", fontsize=7, labelpad=1)
    axes.tick_params(labelsize=6)


def draw_measured_psf(comparisons: list[PsfComparison], path: Path) -> Path:
    """Write two rows for each stack as PNG: sections and planes, axis and Zernike terms."""
    columns = max(len(one.stacks) for one in comparisons)
    figure = Figure(figsize=(1.9 * columns + 3.0, 4.4 * len(comparisons)), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(
        2 * len(comparisons),
        columns + 1,
        squeeze=False,
        width_ratios=[1.0] * columns + [1.5],
        height_ratios=[1.5, 1.0] * len(comparisons),
    )
    for first, one in enumerate(comparisons):
        above, below = grid[2 * first], grid[2 * first + 1]
        for column, name in enumerate(one.stacks):
            _views(above[column], below[column], one, name)
        for axes in (*above[len(one.stacks) : -1], *below[len(one.stacks) : -1]):
            axes.set_axis_off()
        _curves(above[-1], one)
        _bars(below[-1], one.terms)
    figure.savefig(path, dpi=100)
    return path
