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


def roughness(curves: Float[np.ndarray, "*batch z"]) -> NDArray[np.float64]:
    """Standard deviation of independent noise on smooth curves, from their second differences.

    The median makes it blind to a single sharp peak. Zero for fewer than four planes.
    """
    if curves.shape[-1] < 4:
        return np.zeros(curves.shape[:-1])
    squares = np.median(np.diff(curves, 2, axis=-1) ** 2, axis=-1)
    return np.asarray(np.sqrt(squares / (SECOND_DIFFERENCE_GAIN * MEDIAN_CHI2)))


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
    smoothed = unit_height(smooth(scaled, _smoothing(width)))
    plane, index, above = (values[0] for values in _locate(scaled[None], smoothed[None], height))
    return Peak(float(plane), int(index), int(above), _lobes(smoothed))


def peak_planes(curves: Float[np.ndarray, "curves z"]) -> Float[np.ndarray, " curves"]:
    """Best planes of many curves of about the same width, as ``find_peak`` finds them."""
    low, high = curves.min(axis=1, keepdims=True), curves.max(axis=1, keepdims=True)
    scaled = (curves - low) / np.where(high > low, high - low, 1.0)
    sigma = _smoothing(int(np.median((scaled > 0.5).sum(axis=1))))
    smoothed = np.array([unit_height(smooth(curve, sigma)) for curve in scaled])
    planes: NDArray[np.float64] = _locate(scaled, smoothed, 0.5)[0]
    return planes


def _smoothing(width: int) -> float:
    """Standard deviation of the smoothing, in planes, that keeps a peak of this width."""
    return min(width / 8, 3.0) if width >= 5 else 0.0


def _locate(
    scaled: NDArray[np.float64], smoothed: NDArray[np.float64], height: float
) -> tuple[NDArray[np.float64], NDArray[np.intp], NDArray[np.intp]]:
    """Fit the inverse square root of each row's top; plane, index and planes above half height."""
    count, size = scaled.shape
    rows, numbers = np.arange(count), np.arange(size)
    index = smoothed.argmax(axis=1)
    top = smoothed[rows, index]

    def lobe(level: float) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        low = smoothed < (level * top)[:, None]
        before = np.where(low & (numbers < index[:, None]), numbers, -1).max(axis=1)
        after = np.where(low & (numbers > index[:, None]), numbers, size).min(axis=1)
        return before + 1, after - 1

    first, last = lobe(height)
    first = np.maximum(np.minimum(first, index - 1), 0)
    last = np.minimum(np.maximum(last, index + 1), size - 1)
    inside = (numbers >= first[:, None]) & (numbers <= last[:, None])
    offsets = (numbers - index[:, None]).astype(np.float64)
    samples = np.maximum(scaled, 0.01)
    weights = np.where(inside, samples**3, 0.0)
    powers = offsets[:, :, None] ** np.arange(5)
    moments = np.einsum("rz,rzk->rk", weights, powers)
    right = np.einsum("rz,rzk->rk", weights * -(samples**-0.5), powers[:, :, :3])
    normal = moments[:, np.arange(3)[:, None] + np.arange(3)[None, :]]
    enough = (last - first) >= 2
    normal[~enough] = np.eye(3)
    _, slope, bend = np.linalg.solve(normal, right[:, :, None])[:, :, 0].T
    peaked = enough & (bend < 0)
    vertex = index - slope / np.where(peaked, 2 * bend, 1.0)
    plane = np.where(peaked, np.clip(vertex, first, last), index)
    half_first, half_last = lobe(0.5)
    return plane, index, half_last - half_first + 1


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
