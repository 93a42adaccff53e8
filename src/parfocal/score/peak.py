"""The top of a focus curve: where it lies between planes, how wide it is, and how noisy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

# Median of a squared unit normal, and the variance that a second difference adds up.
MEDIAN_CHI2 = 0.4549
SECOND_DIFFERENCE_GAIN = 6.0


@dataclass(frozen=True)
class Peak:
    """The highest point of a curve, in plane numbers.

    ``plane`` lies between planes; ``index`` is the highest sample after light smoothing;
    ``width`` is the number of planes above half height; ``lobes`` are the (index, height,
    prominence) of every local maximum, highest first, with heights as fractions of the range.
    """

    plane: float
    index: int
    width: int
    lobes: tuple[tuple[int, float, float], ...]


def roughness(curves: Float[np.ndarray, "*batch z"]) -> Float[np.ndarray, "*batch"]:
    """Standard deviation of independent noise on smooth curves, from their second differences.

    The median makes it blind to a single sharp peak. Zero for fewer than four planes.
    """
    if curves.shape[-1] < 4:
        return np.zeros(curves.shape[:-1])
    squares = np.diff(curves, 2, axis=-1) ** 2
    noise: NDArray[np.float64] = np.sqrt(
        np.median(squares, axis=-1) / (SECOND_DIFFERENCE_GAIN * MEDIAN_CHI2)
    )
    return noise


def smooth(curve: Float[np.ndarray, " z"], sigma: float) -> Float[np.ndarray, " z"]:
    """Smooth a curve by a Gaussian of ``sigma`` planes; the ends are held."""
    if sigma < 0.3:
        return curve
    reach = int(np.ceil(3 * sigma))
    offsets = np.arange(-reach, reach + 1)
    kernel = np.exp(-0.5 * (offsets / sigma) ** 2)
    padded = np.pad(curve, reach, mode="edge")
    smoothed: NDArray[np.float64] = np.convolve(padded, kernel / kernel.sum(), mode="valid")
    return smoothed


def unit_height(curve: Float[np.ndarray, " z"]) -> Float[np.ndarray, " z"]:
    """Shift and scale a curve to run from 0 to 1; a constant curve becomes zero."""
    low, high = float(curve.min()), float(curve.max())
    if high <= low:
        return np.zeros_like(curve)
    return (curve - low) / (high - low)


def find_peak(curve: Float[np.ndarray, " z"], *, height: float = 0.5) -> Peak:
    """Locate the highest peak of a curve, between its samples.

    Around focus, gradient energy falls as (1 + (z / w)^2)^-2, the square of a Lorentzian: its
    inverse square root is a parabola. That parabola is fitted to the samples above ``height``
    (weighted towards the top), which keeps its accuracy where the peak is only one or two
    planes wide; a parabola or a Gaussian through the same samples is drawn to the nearest plane.

    Parameters
    ----------
    curve
        One score per plane, larger is sharper.
    height
        Fraction of the range above which samples take part in the fit.

    Examples
    --------
    >>> z = np.arange(9.0)
    >>> round(find_peak((1 + ((z - 3.7) / 1.5) ** 2) ** -2).plane, 2)
    3.7
    """
    scaled = unit_height(curve)
    width = int((scaled > 0.5).sum())
    smoothed = unit_height(smooth(scaled, min(width / 8, 3.0))) if width >= 5 else scaled
    index = int(smoothed.argmax())
    first, last = _lobe(smoothed, index, height)
    first, last = max(0, min(first, index - 1)), min(len(curve) - 1, max(last, index + 1))
    plane = float(index)
    if last - first >= 2:
        offsets = np.arange(first, last + 1) - index
        samples = np.maximum(scaled[first : last + 1], 0.01)
        bend, slope, _ = np.polyfit(offsets, -(samples**-0.5), 2, w=samples**1.5)
        if bend < 0:
            plane = float(np.clip(index - slope / (2 * bend), first, last))
    low, high = _lobe(smoothed, index, 0.5)
    return Peak(plane, index, high - low + 1, _lobes(smoothed))


def _lobe(curve: NDArray[np.float64], index: int, height: float) -> tuple[int, int]:
    """First and last sample around ``index`` that stay above ``height`` of its value."""
    first = last = index
    level = height * curve[index]
    while first > 0 and curve[first - 1] >= level:
        first -= 1
    while last < len(curve) - 1 and curve[last + 1] >= level:
        last += 1
    return first, last


def _lobes(curve: NDArray[np.float64]) -> tuple[tuple[int, float, float], ...]:
    """Every local maximum with its prominence, its height above the pass to a higher one."""
    found = []
    for index, value in enumerate(curve):
        left = curve[index - 1] if index else -np.inf
        right = curve[index + 1] if index + 1 < len(curve) else -np.inf
        if value < left or value <= right:
            continue
        passes = []
        for side in (curve[:index][::-1], curve[index + 1 :]):
            higher = np.flatnonzero(side > value)
            if len(higher):
                passes.append(float(side[: higher[0] + 1].min()))
        base = max(passes) if passes else float(curve.min())
        found.append((index, float(value), float(value - base)))
    return tuple(sorted(found, key=lambda lobe: -lobe[1]))
