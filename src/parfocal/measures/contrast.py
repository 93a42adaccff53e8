"""Recognise a phase object: its contrast is least in focus and turns over on passing it.

A structure that emits or absorbs looks the same on both sides of focus: fine structure keeps
its sign. A transparent one bends light, so that what is bright on one side of focus is dark on
the other and all but gone in between (the transport of intensity, [Teague1983]_). Planes on
either side of focus are then anticorrelated, which no blur of an intensity object does.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from scipy import ndimage

# On simulated and real stacks phase objects reached -0.5 and below, all others stayed above -0.15.
TURNED_OVER = -0.35
# Below this a specimen is at least partly transparent; noise alone stays above it.
PARTLY_TURNED = -0.15
# Planes with less than this share of the greatest contrast are not compared: they hold noise.
LEAST_CONTRAST = 0.2
SCALES_PX = (1.0, 2.0, 4.0)


@dataclass(frozen=True)
class PhaseFocus:
    """Focus of a phase object in plane numbers, from every scale that showed one.

    ``before`` and ``after`` are the planes whose contrast is opposite; ``planes`` holds the
    estimates (where the contrast turns over, where it is least) whose spread is the doubt;
    ``scales`` counts the sizes of structure that turned over.
    """

    plane: float
    planes: tuple[float, ...]
    correlation: float
    before: int
    after: int
    scales: int = 1


def band_products(patch: Float[np.ndarray, "z y x"], scale_px: float) -> Float[np.ndarray, "z z"]:
    """Mean products of every pair of planes, each limited to structure of about ``scale_px``."""
    relative = patch / np.maximum(patch.mean(axis=(1, 2), keepdims=True), 1e-12)
    fine = ndimage.gaussian_filter(relative, (0, scale_px, scale_px))
    fine -= ndimage.gaussian_filter(relative, (0, 2 * scale_px, 2 * scale_px))
    rim = int(2 * scale_px)
    fine = fine[:, rim:-rim, rim:-rim].reshape(len(patch), -1)
    fine = fine - fine.mean(axis=1, keepdims=True)
    products: NDArray[np.float64] = fine @ fine.T / fine.shape[1]
    return products


def find_phase_focus(patches: Iterable[Float[np.ndarray, "z y x"]]) -> PhaseFocus | None:
    """Look for a contrast that turns over; None if there is none, or the patches are too small.

    Parameters
    ----------
    patches
        Parts of one stack with all their planes, in counts; they are judged together.
    """
    kept = [np.asarray(patch, dtype=np.float64) for patch in patches]
    kept = [patch for patch in kept if min(patch.shape[1:]) >= 8 * SCALES_PX[0] + 8]
    if not kept or len(kept[0]) < 5:
        return None
    found = []
    for scale_px in SCALES_PX:
        usable = [patch for patch in kept if min(patch.shape[1:]) >= 10 * scale_px]
        if usable:
            products = sum(band_products(patch, scale_px) for patch in usable)
            turn = _turning_point(np.asarray(products))
            if turn is not None:
                found.append(turn)
    if not found:
        return None
    planes = tuple(plane for turn in found for plane in turn.planes)
    finest = found[0]
    return replace(finest, planes=planes, scales=len(found))


def _turning_point(products: Float[np.ndarray, "z z"]) -> PhaseFocus | None:
    """Find two planes of opposite contrast, and where between them the contrast vanishes."""
    energy = np.diagonal(products)
    if energy.max() <= 0:
        return None
    strong = energy > LEAST_CONTRAST * energy.max()
    correlation = products / np.sqrt(np.outer(energy, energy) + 1e-300)
    correlation = np.where(strong[:, None] & strong[None, :], correlation, 1.0)
    before, after = sorted(np.unravel_index(int(correlation.argmin()), correlation.shape))
    lowest = float(correlation[before, after])
    if lowest > TURNED_OVER or after - before < 2:
        return None
    pattern = products[:, before] / energy[before] - products[:, after] / energy[after]
    between = np.arange(before, after)
    crossings = between[(pattern[before:after] > 0) & (pattern[before + 1 : after + 1] <= 0)]
    if not len(crossings):
        return None
    steps = [float(k + pattern[k] / (pattern[k] - pattern[k + 1])) for k in crossings]
    crossing = float(np.mean(steps))
    dip = _least(energy, int(before), int(after))
    return PhaseFocus((crossing + dip) / 2, (crossing, dip), lowest, int(before), int(after))


def _least(energy: NDArray[np.float64], before: int, after: int) -> float:
    """Where the energy is least between two planes, by a parabola through three."""
    k = before + int(energy[before : after + 1].argmin())
    if not 0 < k < len(energy) - 1:
        return float(k)
    left, middle, right = energy[k - 1 : k + 2]
    bend = left - 2 * middle + right
    return float(k + 0.5 * (left - right) / bend) if bend > 0 else float(k)
