"""The depth of field of a stack whose optics nobody told, as its contrast shows it."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from parfocal.core.stack import FocalStack
from parfocal.measures.maps import focus_map

TILE_PX = 32
BEST_TILES = 0.1
"""Share of the tiles that are looked at: those whose contrast changes most."""
LEAST_PLANES = 4
WIDTH_DOF = 2.2
"""Depths of field within which contrast is above half of what it rises by: the median in
simulated stacks, of which nineteen in twenty lie within a factor of two."""


def likely_depth_um(stack: FocalStack) -> float | None:
    """Guess the depth of field from how fast Brenner's contrast falls in the busiest tiles.

    Thick structure holds its contrast for longer, so that the narrower of the curves count: a
    quarter of them are narrower. Good to about a factor of two.

    Returns
    -------
    In the unit of the planes' heights, or None where contrast rises nowhere by half of itself,
    or there are fewer than four planes.
    """
    planes, *sides = stack.shape
    if planes < LEAST_PLANES:
        return None
    side = min(TILE_PX, *sides)
    order = np.argsort(stack.z_um)
    curves = np.stack([
        np.asarray(focus_map(stack.read_counts(int(z)), "brenner", side, side), np.float64).ravel()
        for z in order
    ])  # fmt: skip
    widths = widths_um(stack.z_um[order], curves)
    return float(np.quantile(widths, 0.25)) / WIDTH_DOF if len(widths) else None


def widths_um(
    z_um: Float[np.ndarray, " z"], curves: Float[np.ndarray, "z tile"]
) -> Float[np.ndarray, " some"]:
    """Full widths at half height of the curves that rise most.

    Where one side does not fall to half within the stack, the other side is doubled; curves that
    fall to half on neither side are left out, and those with values that are not finite.

    Examples
    --------
    >>> z_um = np.arange(9.0)
    >>> widths_um(z_um, np.maximum(0, 4 - abs(z_um - 4))[:, None])
    array([4.])
    """
    curves = curves[:, np.isfinite(curves).all(0)]
    low, high = curves.min(0), curves.max(0)
    rises = high > 1.5 * low
    if not rises.any():
        return np.zeros(0)
    least = np.quantile((high - low)[rises], 1 - BEST_TILES)
    used = rises & (high - low >= least)
    found = []
    for curve in ((curves - low) / np.where(high > low, high - low, 1.0))[:, used].T:
        peak = int(curve.argmax())
        halves = [
            _fall_um(z_um[peak:], curve[peak:]),
            _fall_um(-z_um[peak::-1], curve[peak::-1]),
        ]
        known = [half for half in halves if half is not None]
        if known:
            found.append(2 * sum(known) / len(known))
    return np.array(found)


def _fall_um(z_um: Float[np.ndarray, " n"], curve: Float[np.ndarray, " n"]) -> float | None:
    """Distance from the first plane at which a curve first falls to a half."""
    below = np.flatnonzero(curve < 0.5)
    if not len(below):
        return None
    after = int(below[0])
    before = after - 1
    share = (curve[before] - 0.5) / (curve[before] - curve[after])
    return float(z_um[before] + share * (z_um[after] - z_um[before]) - z_um[0])
