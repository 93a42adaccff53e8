"""Predictors of signed defocus tried on stacks whose focus is known: every useful pair of planes.

Lengths ``_depths`` are in effective depths of field, n (wavelength / NA + pixel) / NA; ``_dof`` in
depths of field, n wavelength / NA^2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from parfocal.core.errors import InputError
from parfocal.core.protocols import DefocusPredictor
from parfocal.core.results import Status
from parfocal.core.setup import OpticalSetup
from parfocal.predict.checks import effective_depth_um

LEAST_SPACING, MOST_SPACING = 0.4, 2.5
"""Distances of the planes of a pair that are tried, in effective depths of field."""
REACH = 7.0
"""Largest defocus of a pair's middle, likewise."""
SIGN_MATTERS = 0.5
"""Defocus beyond which a wrong side is an error, likewise."""


@dataclass(frozen=True, eq=False, kw_only=True)
class KnownStack:
    """A stack whose focus is known.

    Parameters
    ----------
    name
        For tables.
    images
        Planes in order of rising stage z, in counts.
    z_um
        Of each plane.
    focus_um
        z of best focus.
    setup
        The optics.
    """

    name: str
    images: Float[np.ndarray, "z y x"]
    z_um: Float[np.ndarray, " z"]
    focus_um: float
    setup: OpticalSetup

    def __post_init__(self) -> None:
        if len(self.images) != len(self.z_um) or not bool((np.diff(self.z_um) > 0).all()):
            raise InputError(
                f"{self.name} has {len(self.images)} planes and {len(self.z_um)} positions, which "
                "may not all rise; give one rising position for each plane."
            )

    @property
    def depth_um(self) -> float:
        """Effective depth of field."""
        return effective_depth_um(self.setup)


@dataclass(frozen=True, kw_only=True)
class DefocusTrial:
    """One prediction of a pair of planes beside the truth.

    ``truth_um`` is the defocus of the first plane; ``defocus_um`` and ``interval_um`` are None
    where the predictor declined.
    """

    first: int
    second: int
    truth_um: float
    depth_um: float
    dof_um: float
    status: Status
    reason: str = ""
    defocus_um: float | None = None
    interval_um: tuple[float, float] | None = None

    @property
    def error_um(self) -> float:
        """Answer less truth; NaN without an answer."""
        return math.nan if self.defocus_um is None else self.defocus_um - self.truth_um

    @property
    def is_sign_wrong(self) -> bool:
        """Whether an answer is on the other side of focus, where that matters."""
        far = abs(self.truth_um) > SIGN_MATTERS * self.depth_um
        return self.defocus_um is not None and far and self.defocus_um * self.truth_um < 0

    @property
    def is_inside(self) -> bool:
        """Whether the truth is in the interval of an answer."""
        if self.interval_um is None:
            return False
        low, high = self.interval_um
        return low <= self.truth_um <= high


def useful_pairs(known: KnownStack) -> list[tuple[int, int]]:
    """Pairs of planes at distances and defocus that a pair predictor is made for.

    Examples
    --------
    >>> setup = OpticalSetup(na=0.5, wavelength_nm=500, pixel_um=0.5)  # 3 um
    >>> planes = np.zeros((4, 8, 8))
    >>> useful_pairs(KnownStack(name="", images=planes, z_um=np.array([0.0, 1.0, 3.0, 12.0]),
    ...                         focus_um=2.0, setup=setup))
    [(0, 2), (1, 2)]
    """
    depth_um = known.depth_um
    pairs = []
    for first, low in enumerate(known.z_um):
        for second in range(first + 1, len(known.z_um)):
            apart = (known.z_um[second] - low) / depth_um
            middle = (low + known.z_um[second]) / 2 - known.focus_um
            near = abs(middle) <= REACH * depth_um
            if LEAST_SPACING <= apart <= MOST_SPACING and near:
                pairs.append((first, second))
    return pairs


def try_pair(
    predictor: DefocusPredictor, known: KnownStack, first: int, second: int
) -> DefocusTrial:
    """Ask about one pair of planes."""
    guess = predictor.predict(
        known.images[[first, second]],
        spacing_um=float(known.z_um[second] - known.z_um[first]),
        setup=known.setup,
    )
    answer: Any = guess
    return DefocusTrial(
        first=first,
        second=second,
        truth_um=float(known.z_um[first] - known.focus_um),
        depth_um=known.depth_um,
        dof_um=known.setup.depth_of_field_um,
        status=Status(guess.status),
        reason=answer.reason,
        defocus_um=guess.defocus_um,
        interval_um=answer.interval_um,
    )


def try_stack(predictor: DefocusPredictor, known: KnownStack) -> list[DefocusTrial]:
    """Ask about every useful pair of a stack."""
    return [try_pair(predictor, known, first, second) for first, second in useful_pairs(known)]


def after_one_move(known: KnownStack, trials: Sequence[DefocusTrial]) -> list[DefocusTrial]:
    """Second looks: each answer's move is made, to the pair whose middle is then nearest to focus.

    The pair that is looked at is one of ``trials``, with the distance nearest to that of the pair
    before. A trial without an answer has no second look.
    """
    if not trials:
        return []
    middles = np.array([(known.z_um[t.first] + known.z_um[t.second]) / 2 for t in trials])
    apart = np.array([known.z_um[t.second] - known.z_um[t.first] for t in trials])
    looks = []
    for trial, own in zip(trials, apart, strict=True):
        if trial.defocus_um is None:
            continue
        target = known.z_um[trial.first] - trial.defocus_um
        other = np.abs(apart - own) > np.abs(apart - own).min() + 0.1 * known.depth_um
        looks.append(trials[int(np.argmin(np.abs(middles - target) + 1e9 * other))])
    return looks


@dataclass(frozen=True, kw_only=True)
class DefocusScore:
    """How good a predictor was in some trials; shares are of answers, None where there is none.

    Parameters
    ----------
    trials, answered
        How many, and how many were answered.
    median_depths, median_dof, worst_dof
        Of |error|.
    signs, wrong_signs
        Answers at a defocus where the sign matters, and those of them on the wrong side.
    coverage
        Share of truths inside the interval.
    zero_depths
        Median |error| of always answering that the pair's first image is in focus.
    """

    trials: int
    answered: int
    median_depths: float | None
    median_dof: float | None
    worst_dof: float | None
    signs: int
    wrong_signs: int
    coverage: float | None
    zero_depths: float | None


def score_trials(trials: Sequence[DefocusTrial]) -> DefocusScore:
    """Sum up trials."""
    good = [trial for trial in trials if trial.defocus_um is not None]
    depths = [abs(trial.error_um) / trial.depth_um for trial in good]
    dof = [abs(trial.error_um) / trial.dof_um for trial in good]
    far = [trial for trial in good if abs(trial.truth_um) > SIGN_MATTERS * trial.depth_um]
    zero = [abs(trial.truth_um) / trial.depth_um for trial in good]
    return DefocusScore(
        trials=len(trials),
        answered=len(good),
        median_depths=_median(depths),
        median_dof=_median(dof),
        worst_dof=max(dof, default=None),
        signs=len(far),
        wrong_signs=sum(trial.is_sign_wrong for trial in far),
        coverage=sum(trial.is_inside for trial in good) / len(good) if good else None,
        zero_depths=_median(zero),
    )


def _median(values: Sequence[float]) -> float | None:
    return float(np.median(values)) if values else None
