"""Fit one peak to scores at irregular z."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray

Curve = NDArray[np.float64]

# The tails of a peak are not of this form; samples low on the flank count this much.
LEAST_WEIGHT = 0.05
# Strength of the priors that keep a fit through few samples sane, in squared heights.
BASE_PRIOR, WIDTH_PRIOR = 0.02, 0.004
REFINEMENTS = 3


@dataclass(frozen=True)
class PeakFit:
    """base + height * (1 + ((z - centre) / width)^2)^-2, and how well it fits.

    ``misfit`` is one standard deviation of the samples around the curve, weighted towards its
    top; ``agreement`` is the share of their (weighted) variance that it explains.
    """

    centre_um: float
    width_um: float
    height: float
    base: float
    misfit: float
    agreement: float

    def at(self, z_um: float) -> float:
        """The curve at one z."""
        return self.base + self.height * float(_lobe(np.array(z_um), self.centre_um, self.width_um))


def fit_peak(
    z_um: Float[np.ndarray, " n"],
    scores: Float[np.ndarray, " n"],
    *,
    width_um: float | None = None,
    least_width_um: float = 0.0,
) -> PeakFit:
    """Fit one peak to three or more scores.

    Around focus, gradient energy falls as (1 + (z / w)^2)^-2. Centre and width are searched on a
    grid that is refined; base and height follow by least squares, weighted towards the top.

    Parameters
    ----------
    z_um, scores
        Samples in any order; the scores must not all be equal.
    width_um
        Where the width is expected, if it is known; few samples do not fix it.
    least_width_um
        No peak is narrower than this.

    Examples
    --------
    >>> z = np.array([0.0, 2.0, 3.0, 4.5, 5.0, 8.0])
    >>> round(fit_peak(z, 1 + 9 * (1 + ((z - 3.7) / 1.5) ** 2) ** -2).centre_um, 2)
    3.7
    """
    low, high = float(scores.min()), float(scores.max())
    unit = (scores - low) / (high - low)
    weights = weigh(unit)
    span = float(np.ptp(z_um)) or 1.0
    narrow = max(least_width_um, 0.02 * span, 1e-9)
    expected = max(width_um or span / 4, narrow)
    centres, step = np.linspace(z_um.min() - span / 4, z_um.max() + span / 4, 91, retstep=True)
    widths = np.geomspace(narrow, max(1.5 * span, 2 * narrow), 25)
    factor = float(widths[1] / widths[0])
    for _ in range(REFINEMENTS):
        grid_c, grid_w = (grid.ravel() for grid in np.meshgrid(centres, widths))
        cost, height, base = _solve(z_um, unit[None], weights, grid_c, grid_w)
        cost = cost[:, 0] + WIDTH_PRIOR * np.log(grid_w / expected) ** 2
        best = int(cost.argmin())
        centre, width = float(grid_c[best]), float(grid_w[best])
        centres = np.linspace(centre - step, centre + step, 15)
        widths = np.maximum(np.geomspace(width / factor, width * factor, 9), narrow)
        step, factor = float(step) / 7, factor**0.25
    model = base[best, 0] + height[best, 0] * _lobe(z_um, centre, width)
    freedom = max(len(z_um) - 4, 1) / len(z_um)
    residual = float((weights * (unit - model) ** 2).sum() / weights.sum())
    middle = float((weights * unit).sum() / weights.sum())
    total = float((weights * (unit - middle) ** 2).sum() / weights.sum())
    return PeakFit(
        centre_um=centre,
        width_um=width,
        height=float(height[best, 0]) * (high - low),
        base=low + float(base[best, 0]) * (high - low),
        misfit=float(np.sqrt(residual / freedom)) * (high - low),
        agreement=1.0 - residual / max(total, 1e-300),
    )


def refit_centres(
    z_um: Float[np.ndarray, " n"], curves: Float[np.ndarray, "curves n"], fit: PeakFit
) -> Float[np.ndarray, " curves"]:
    """Centres of many curves that resemble the fitted one, for its uncertainty."""
    low, high = curves.min(axis=1, keepdims=True), curves.max(axis=1, keepdims=True)
    unit = (curves - low) / np.where(high > low, high - low, 1.0)
    scale = max(fit.height, 1e-300)
    weights = weigh(np.array([max(fit.at(z) - fit.base, 0.0) / scale for z in z_um]))
    offsets = np.linspace(-2.0, 2.0, 161) * fit.width_um
    factors = np.array([0.7, 0.85, 1.0, 1.2, 1.45]) * fit.width_um
    grid_c, grid_w = (grid.ravel() for grid in np.meshgrid(fit.centre_um + offsets, factors))
    cost, _, _ = _solve(z_um, unit, weights, grid_c, grid_w)
    best: Int[np.ndarray, " curves"] = cost.argmin(axis=0)
    return np.asarray(grid_c[best])


def _lobe(z_um: Curve, centre_um: float | Curve, width_um: float | Curve) -> Curve:
    return np.asarray((1 + ((z_um - centre_um) / width_um) ** 2) ** -2)


def _solve(
    z_um: Curve, curves: Curve, weights: Curve, centres: Curve, widths: Curve
) -> tuple[Curve, Curve, Curve]:
    """Weighted cost, height and base of every curve at every grid point (grid, curve).

    A prior holds the base near the lowest sample, zero; a height below zero costs infinity.
    """
    lobe = _lobe(z_um, centres[:, None], widths[:, None])
    total = weights.sum()
    shares = weights / total
    ff, f = (lobe**2 @ shares)[:, None], (lobe @ shares)[:, None]
    fy, y, yy = (lobe * shares) @ curves.T, curves @ shares, curves**2 @ shares
    ones = 1.0 + BASE_PRIOR
    determinant = np.maximum(ff * ones - f**2, 1e-12)
    height = (fy * ones - f * y) / determinant
    base = (ff * y - f * fy) / determinant
    cost = yy - height * fy - base * y
    return np.where(height > 0, cost, np.inf), height, base


def weigh(unit: Curve) -> Curve:
    """Weight of samples by their height, 0 to 1: the top decides, the tails hardly speak."""
    return np.asarray(LEAST_WEIGHT + unit**2)
