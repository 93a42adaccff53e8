"""The tops of many focus curves at once: where each lies between planes, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from parfocal.measures.peaks import MEDIAN_CHI2, SECOND_DIFFERENCE_GAIN

# A curve whose range is this many times that of noise alone is beyond doubt.
BEYOND_DOUBT = 3.0
# A second lobe of this height above the pass between leaves no confidence in the first.
RIVAL_RISE = 0.6
# Half height of a Lorentzian squared is where its inverse root is 1.41; samples above take part.
_HALF = 0.5
_LEAST_SAMPLE = 0.01
_LEAST_TAIL = 3
_BLOCK_CURVES = 50_000


@dataclass(frozen=True, eq=False)
class Summits:
    """Peak of each curve in plane numbers (NaN where there is none) and confidence 0 to 1."""

    plane: Float[np.ndarray, "ny nx"]
    confidence: Float[np.ndarray, "ny nx"]


def find_summits(
    curves: Float[np.ndarray, "z ny nx"],
    noise: Float[np.ndarray, "ny nx"],
) -> Summits:
    """Locate the highest peak of each curve, between its samples, with confidence.

    Around focus, gradient energy falls as the square of a Lorentzian, whose inverse square root
    is a parabola: that parabola is fitted to the samples above half height, weighted towards the
    top. Confidence is the product of three factors: the curve's range against that of noise
    (equal gives 0, ``BEYOND_DOUBT`` times gives 1), the height of a second lobe (``RIVAL_RISE``
    gives 0), and the room that the peak has before the end of the stack.

    Parameters
    ----------
    curves
        One score per plane, larger is sharper, for each place of a lattice.
    noise
        The least standard error of the scores of each curve. Where curves are rougher than that
        beside their highest lobe, it is raised, for each curve and for the lattice as a whole:
        correlated noise scatters more than white noise, and does so everywhere.

    Returns
    -------
    NaN and confidence 0 for a curve that is flat, that does not stand out of its noise, or that is
    highest at the first or last plane.

    Notes
    -----
    Laws: offset-free, gain-free; reversing the planes mirrors the answer.

    Examples
    --------
    >>> z = np.arange(12.0)[:, None, None]
    >>> curves = 1 / (1 + (z - np.array([[4.3, 11.0]])) ** 2) ** 2
    >>> summits = find_summits(curves, np.zeros((1, 2)))
    >>> summits.plane.round(2), summits.confidence.round(2)
    (array([[4.3, nan]]), array([[1., 0.]]))
    """
    lattice = curves.shape[1:]
    plane, confidence = np.full(lattice, np.nan), np.zeros(lattice)
    if len(curves) < 3:
        return Summits(plane, confidence)
    sparse = max(1, int(np.ceil(np.sqrt(lattice[0] * lattice[1] / _BLOCK_CURVES))))
    excess = _noise_excess(curves[:, ::sparse, ::sparse], noise[::sparse, ::sparse])
    step = max(1, _BLOCK_CURVES // lattice[1])
    for top in range(0, lattice[0], step):
        rows = slice(top, top + step)
        plane[rows], confidence[rows] = _judge(curves[:, rows], excess * noise[rows])
    return Summits(plane, confidence)


def _judge(
    curves: NDArray[np.float64], noise: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Peak and confidence of a block of curves."""
    planes = len(curves)
    scaled, span = _scale(curves)
    judged = _smooth(scaled)
    index = judged.argmax(axis=0)
    first, last = _lobe_ends(judged, index)
    plane = _fit_vertex(scaled, index, first, last)
    error = np.fmax(noise, _tail_roughness(curves, first, last))
    significance = span / np.maximum(error, 1e-9 * np.abs(curves).max(axis=0) + 1e-300)
    sure = np.clip((significance / _noise_range(planes) - 1.0) / (BEYOND_DOUBT - 1.0), 0.0, 1.0)
    alone = np.clip(1.0 - _rival_rise(judged, index) / RIVAL_RISE, 0.0, 1.0)
    room = np.clip(np.minimum(plane, planes - 1 - plane), 0.0, 1.0)
    confidence = sure * alone * room
    nothing = (index == 0) | (index == planes - 1) | (confidence <= 0.0)
    return np.where(nothing, np.nan, plane), np.where(nothing, 0.0, confidence)


def _scale(curves: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Curves from 0 to 1, and the range of each; a flat curve becomes zero."""
    low = curves.min(axis=0)
    span = curves.max(axis=0) - low
    return (curves - low) / np.where(span > 0, span, 1.0), span


def _noise_excess(curves: NDArray[np.float64], noise: NDArray[np.float64]) -> float:
    """How much rougher than expected most curves are beside their lobes, at least 1."""
    judged = _smooth(_scale(curves)[0])
    roughness = _tail_roughness(curves, *_lobe_ends(judged, judged.argmax(axis=0)))
    usable = np.isfinite(roughness) & (noise > 0)
    if not usable.any():
        return 1.0
    return max(1.0, float(np.quantile(roughness[usable] / noise[usable], 0.75)))


def _noise_range(planes: int) -> float:
    """Range in standard errors that noise alone all but never exceeds in so many planes."""
    return 3.0 + 1.4 * float(np.sqrt(2.0 * np.log(planes)))


def _smooth(scaled: NDArray[np.float64]) -> NDArray[np.float64]:
    """Smooth the curves whose lobe is wide, so that a single noisy sample is not the top."""
    width = (scaled > _HALF).sum(axis=0)
    result = scaled
    for least, rounds in ((5, 1), (9, 3), (15, 8)):
        softer = scaled
        for _ in range(rounds):
            padded = np.concatenate((softer[:1], softer, softer[-1:]))
            softer = 0.25 * padded[:-2] + 0.5 * softer + 0.25 * padded[2:]
        result = np.where(width >= least, softer, result)
    return result


def _lobe_ends(
    curves: NDArray[np.float64], index: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First and last plane around ``index`` above half height, and at least its neighbours."""
    z = _planes_like(curves)
    below = curves < _HALF * np.take_along_axis(curves, index[None], axis=0)
    first = np.where(below & (z < index), z, -1).max(axis=0) + 1
    last = np.where(below & (z > index), z, len(curves)).min(axis=0) - 1
    return np.minimum(first, index - 1), np.maximum(last, index + 1)


def _fit_vertex(
    scaled: NDArray[np.float64],
    index: NDArray[np.int64],
    first: NDArray[np.int64],
    last: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Vertex of the weighted parabola through the inverse square roots of the lobe's samples."""
    z = _planes_like(scaled)
    samples = np.maximum(scaled, _LEAST_SAMPLE)
    weight = np.where((z >= first) & (z <= last), samples**3, 0.0)
    offset = (z - index).astype(np.float64)
    value = samples**-0.5
    moments = [(weight * offset**power).sum(axis=0) for power in range(5)]
    sides = [(weight * offset**power * value).sum(axis=0) for power in range(3)]
    matrix = np.stack(
        [np.stack([moments[row + column] for column in range(3)], axis=-1) for row in range(3)],
        axis=-2,
    )
    matrix += 1e-9 * np.eye(3)
    solution = np.linalg.solve(matrix, np.stack(sides, axis=-1)[..., None])[..., 0]
    slope, bend = solution[..., 1], solution[..., 2]
    upright = bend > 1e-6
    shift = np.where(upright, -slope / np.where(upright, 2.0 * bend, 1.0), 0.0)
    inside: NDArray[np.float64] = np.clip(index + shift, first, last)
    return inside


def _tail_roughness(
    curves: NDArray[np.float64],
    first: NDArray[np.int64],
    last: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Noise from the second differences that the highest lobe has no part in; NaN for too few."""
    z = _planes_like(curves)[1:-1]
    beside = (z + 1 < first) | (z - 1 > last)
    squares = np.where(beside, np.diff(curves, 2, axis=0) ** 2, np.inf)
    kept = beside.sum(axis=0)
    middle = np.maximum(kept - 1, 0) // 2
    median = np.take_along_axis(np.sort(squares, axis=0), middle[None], axis=0)[0]
    variance = np.where(kept >= _LEAST_TAIL, median, np.nan)
    noise: NDArray[np.float64] = np.sqrt(variance / (SECOND_DIFFERENCE_GAIN * MEDIAN_CHI2))
    return noise


def _rival_rise(curves: NDArray[np.float64], index: NDArray[np.int64]) -> NDArray[np.float64]:
    """How far any other lobe rises above the pass to the highest, in shares of the range."""
    z = _planes_like(curves)
    rise = np.zeros(index.shape)
    for turned in (False, True):
        ordered = curves[::-1] if turned else curves
        top = len(curves) - 1 - index if turned else index
        beyond = np.where(z >= top, ordered, np.inf)  # from the top towards one end
        deepest = np.minimum.accumulate(beyond, axis=0)
        rise = np.maximum(rise, np.where(z > top, ordered - deepest, 0.0).max(axis=0))
    return rise


def _planes_like(curves: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.arange(len(curves)).reshape(-1, *(1,) * (curves.ndim - 1))


def steady_median(
    values: Float[np.ndarray, "y x"], weights: Float[np.ndarray, "y x"]
) -> Float[np.ndarray, "y x"]:
    """Weighted median over 3 x 3 neighbours, which removes lone outliers and keeps steps.

    Places without weight stay NaN.

    Examples
    --------
    >>> values = np.full((3, 3), 5.0); values[1, 1] = 9.0
    >>> float(steady_median(values, np.ones((3, 3)))[1, 1])
    5.0
    """
    size_y, size_x = values.shape
    wide = np.pad(np.where(weights > 0, values, 0.0), 1)
    heavy = np.pad(weights, 1)
    shifts = [(slice(y, y + size_y), slice(x, x + size_x)) for y in range(3) for x in range(3)]
    near = np.stack([wide[shift] for shift in shifts])
    mass = np.stack([heavy[shift] for shift in shifts])
    order = near.argsort(axis=0)
    near = np.take_along_axis(near, order, axis=0)
    total = np.take_along_axis(mass, order, axis=0).cumsum(axis=0)
    # Where the weights split in equal halves, the median lies midway, whatever the order of z.
    picks = [total >= (0.5 - 1e-9) * total[-1], total > (0.5 + 1e-9) * total[-1]]
    sides = [np.take_along_axis(near, pick.argmax(axis=0)[None], axis=0)[0] for pick in picks]
    median = 0.5 * (sides[0] + sides[1])
    result: NDArray[np.float64] = np.where(weights > 0, median, np.nan)
    return result
