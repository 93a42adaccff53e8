"""Measured and simulated point-spread functions side by side, as one picture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure


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
    """

    name: str
    z_um: Float[np.ndarray, " z"]
    pixel_um: float
    stacks: dict[str, Float[np.ndarray, "z y x"]]


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


def full_width(places: Float[np.ndarray, " n"], values: Float[np.ndarray, " n"]) -> float:
    """Full width at half maximum, linear between samples; NaN if an end is not reached.

    Examples
    --------
    >>> full_width(np.arange(5.0), np.array([0.0, 1.0, 2.0, 1.0, 0.0]))
    2.0
    """
    top = int(values.argmax())
    half = values[top] / 2
    below_left = np.flatnonzero(values[:top] <= half)
    below_right = np.flatnonzero(values[top:] <= half)
    if not len(below_left) or not len(below_right):
        return float("nan")
    a, b = below_left[-1], top + below_right[0]
    left = np.interp(half, values[a : a + 2], places[a : a + 2])
    right = np.interp(half, values[b - 1 : b + 1][::-1], places[b - 1 : b + 1][::-1])
    return float(right - left)


def _section(axes: Axes, comparison: PsfComparison, planes: np.ndarray, title: str) -> None:
    """Square root of a section along z and x through the brightest pixel."""
    row = np.unravel_index(planes.max(axis=0).argmax(), planes.shape[1:])[0]
    half_um = planes.shape[2] * comparison.pixel_um / 2
    z = comparison.z_um
    axes.imshow(
        np.sqrt(np.clip(planes[:, row] / planes.max(), 0, 1)),
        extent=(-half_um, half_um, z[-1], z[0]),
        aspect="equal",
        cmap="inferno",
        vmin=0,
        vmax=1,
    )
    axes.set_title(title, fontsize=8)
    axes.set_xlabel("x (um)", fontsize=7)
    axes.set_ylabel("z (um)", fontsize=7)
    axes.tick_params(labelsize=6)


def draw_measured_psf(comparisons: list[PsfComparison], path: Path) -> Path:
    """Write sections along z and x, and the brightness of the axis through focus, as PNG."""
    columns = max(len(one.stacks) for one in comparisons) + 1
    figure = Figure(figsize=(2.2 * columns, 2.5 * len(comparisons)), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(comparisons), columns, squeeze=False)
    for line, one in zip(grid, comparisons, strict=True):
        for axes, (name, planes) in zip(line, one.stacks.items(), strict=False):
            _section(axes, one, planes, f"{one.name}: {name}")
        curves = line[-1]
        for name, planes in one.stacks.items():
            dots = {"marker": ".", "linestyle": "none"} if name == "measured" else {"lw": 1}
            curve = axis_curve(planes)
            curves.plot(one.z_um, curve / axis_curve(next(iter(one.stacks.values()))).max(),
                        label=name, **dots)  # fmt: skip
        curves.set_title("axis through focus", fontsize=8)
        curves.set_xlabel("z (um)", fontsize=7)
        curves.tick_params(labelsize=6)
        curves.legend(fontsize=6)
    figure.savefig(path, dpi=90)
    return path
