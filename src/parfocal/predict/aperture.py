"""The aperture that a stack itself speaks for: the one by which answers move as the stage did."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from parfocal.core.errors import InputError
from parfocal.core.protocols import DefocusPredictor
from parfocal.core.setup import OpticalSetup

LEAST_ANSWERS, LEAST_SPAN = 4, 2.5
"""Answers that a scale needs, and how far apart their images lie, in effective depths of field."""
APART = 1.0
"""Effective depths of field between answers that are compared."""
AGREES = 0.12
"""Off from 1, up to which a scale speaks for the optics that were told."""
CLOSE_ENOUGH, MOST_TRIES = 0.03, 6
LEAST_SHARE, MOST_SHARE, STEEPEST = 0.4, 2.0, 0.94
MOST_PAIRS = 16


@dataclass(frozen=True, kw_only=True)
class ApertureFit:
    """How the answers of a predictor along a stack compare with the stage.

    Parameters
    ----------
    scale
        How far answers move for each um of the stage, with the optics as they were told; 1 where
        these are right.
    na
        Numerical aperture with which the answers move as the stage does; the one that was told
        where the scale is near 1, None where none was found.
    answers
        Pairs of planes that were answered.
    """

    scale: float
    na: float | None
    answers: int

    @property
    def agrees(self) -> bool:
        """Whether the stack speaks for the optics that were told."""
        return agrees(self.scale)


def agrees(scale: float) -> bool:
    """Whether a scale is so near to 1 that it speaks for the optics that were told.

    Examples
    --------
    >>> agrees(0.95), agrees(0.77)
    (True, False)
    """
    return abs(scale - 1.0) <= AGREES


def fit_aperture(
    predictor: DefocusPredictor,
    images: Any,
    z_um: ArrayLike,
    *,
    setup: OpticalSetup,
    pairs: Sequence[tuple[int, int]],
) -> ApertureFit | None:
    """Look for the numerical aperture by which answers along a stack move as the stage did.

    Focus need not be known. A lens that is not filled, or whose aperture is written down wrongly,
    blurs less with each um than is expected, and every answer falls short by the same factor.

    Parameters
    ----------
    predictor
        Answers pairs of planes, such as ``parfocal.predict.load("pair-fluorescence")``.
    images
        Planes of a stack in counts: (z, y, x), or a sequence that reads each when it is asked for.
    z_um
        Stage z of each plane.
    setup
        The optics as they are told; all but the aperture is believed.
    pairs
        Planes (lower, upper) of each pair to ask; of many a few are asked.

    Returns
    -------
    None where fewer than four pairs, 2.5 effective depths of field apart, are answered.

    Raises
    ------
    InputError
        If planes and positions differ in number, or a pair does not rise.

    Notes
    -----
    The scale is the median of the slopes between answers (Theil and Sen). A wrong wavelength or
    pixel size shows in the same way: the fit cannot tell them from the aperture.
    """
    z = np.asarray(z_um, dtype=float)
    if len(images) != len(z) or any(not z[first] < z[second] for first, second in pairs):
        raise InputError(
            f"{len(images)} planes and {len(z)} positions do not fit these pairs; give one "
            "position for each plane, and pairs (lower, upper)."
        )
    chosen = _few(pairs)

    def scale(na: float) -> tuple[float, int] | None:
        told = setup.model_copy(update={"na": na})
        places, answers = [], []
        for first, second in chosen:
            pair = np.stack([np.asarray(images[plane]) for plane in (first, second)])
            guess = predictor.predict(pair, spacing_um=float(z[second] - z[first]), setup=told)
            if guess.defocus_um is not None:
                places.append(z[first])
                answers.append(guess.defocus_um)
        slope = stage_scale(places, answers, depth_um=setup.effective_depth_of_field_um)
        return None if slope is None else (slope, len(answers))

    found = scale(setup.na)
    if found is None:
        return None
    slope, count = found
    na: float | None = setup.na
    if not agrees(slope):
        na = _solved(lambda na: None if (tried := scale(na)) is None else tried[0], setup, slope)
    return ApertureFit(scale=slope, na=na, answers=count)


def stage_scale(
    z_um: Sequence[float], answers_um: Sequence[float], *, depth_um: float
) -> float | None:
    """How far answers move for each um of the stage: the median of the slopes between them.

    Parameters
    ----------
    z_um, answers_um
        Stage z and predicted defocus of each image.
    depth_um
        Effective depth of field; answers nearer than that are not compared.

    Returns
    -------
    None if there are too few answers, or these are too near to one another.

    Examples
    --------
    >>> stage_scale([0.0, 2.0, 4.0, 6.0, 8.0], [-2.5, -1.0, 0.5, 2.0, 9.0], depth_um=1.0)
    0.75
    """
    if len(z_um) < LEAST_ANSWERS or max(z_um) - min(z_um) < LEAST_SPAN * depth_um:
        return None
    slopes = [
        (after - before) / (right - left)
        for (left, before), (right, after) in combinations(zip(z_um, answers_um, strict=True), 2)
        if abs(right - left) >= APART * depth_um
    ]
    return float(np.median(slopes))


def _few(pairs: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """At most ``MOST_PAIRS`` of them, evenly."""
    if len(pairs) <= MOST_PAIRS:
        return list(pairs)
    return [pairs[round(k)] for k in np.linspace(0, len(pairs) - 1, MOST_PAIRS)]


def _solved(
    scale: Callable[[float], float | None], setup: OpticalSetup, first: float
) -> float | None:
    """The aperture at which the scale is 1, or None; scales rise as the aperture told falls."""
    low, high = LEAST_SHARE * setup.na, min(MOST_SHARE * setup.na, STEEPEST * setup.immersion_index)
    known = [(setup.na, first)]
    na = setup.na * first
    for _ in range(MOST_TRIES):
        na = float(np.clip(na, low, high))
        slope = scale(na)
        if slope is None:
            return None
        if abs(slope - 1.0) <= CLOSE_ENOUGH:
            return na
        known.append((na, slope))
        (one, at_one), (other, at_other) = sorted(known, key=lambda pair: abs(pair[1] - 1.0))[:2]
        if one == other or at_one == at_other:
            return None
        na = one + (1.0 - at_one) * (other - one) / (at_other - at_one)
    best, at_best = min(known, key=lambda pair: abs(pair[1] - 1.0))
    return best if abs(at_best - 1.0) <= AGREES / 2 else None
