"""A pair predictor tried on stacks whose focus is known, beside a classical search on the same."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.typing import NDArray

from parfocal.data import LabelledStack, useful_pairs
from parfocal.measures.scoring import score
from parfocal.predict.calibration import Calibration
from parfocal.predict.checks import effective_depth_um
from parfocal.predict.pair_predictor import PairPredictor
from parfocal.predict.posterior import centre

SHARE_INSIDE, LEAST_SPECIMENS = 0.9, 9
"""So many held-out specimens are the least that set a 90 % interval."""
SWEEP_IMAGES, SWEEP_REACH = 13, 7.0
"""A classical search takes 13 images over about +-7 effective depths of field [Li2021]_."""


@dataclass(frozen=True, eq=False, kw_only=True)
class StackTrials:
    """What a predictor said of pairs of planes; lengths in effective depths of field.

    Parameters
    ----------
    stacks, specimens
        Name of each pair's stack, and what it shows.
    truth
        Defocus of the first image.
    answer
        Mean of the distribution that came, also where the predictor declined; 0 without any.
    half
        Half width of the interval; NaN where it declined.
    """

    stacks: NDArray[Any]
    specimens: NDArray[Any]
    truth: Float[np.ndarray, " p"]
    answer: Float[np.ndarray, " p"]
    half: Float[np.ndarray, " p"]

    @property
    def size(self) -> Float[np.ndarray, " p"]:
        """|answer less truth|."""
        size: NDArray[Any] = np.abs(self.answer - self.truth)
        return size

    @property
    def is_answered(self) -> Bool[np.ndarray, " p"]:
        """Whether the predictor gave an answer."""
        answered: NDArray[Any] = np.isfinite(self.half)
        return answered

    @property
    def mean_error(self) -> float:
        """Mean |error| over all pairs, declined ones too; every stack weighs the same."""
        return _mean_of_groups(self.size, self.stacks)

    def metrics(self, name: str) -> dict[str, float]:
        """Figures for a card; errors but ``all_pairs`` are of answers alone."""
        answered = self.is_answered
        size, far = self.size[answered], np.abs(self.truth[answered]) > 0.5
        wrong = (self.answer * self.truth < 0)[answered][far]
        values = {"answered": answered.mean(), "mean_error_depths_all_pairs": self.mean_error}
        if len(size):
            values |= {"median_error_depths": np.median(size), "mean_error_depths": size.mean()}
        if len(wrong):
            values["wrong_signs"] = wrong.mean()
        return {f"{key}_{name}": round(float(value), 4) for key, value in values.items()}

    def coverage(self) -> float | None:
        """Share of truths inside the interval, of answers; None without any."""
        answered = self.is_answered
        return float((self.size <= self.half)[answered].mean()) if answered.any() else None


def try_stacks(
    predictor: PairPredictor,
    stacks: Sequence[LabelledStack],
    *,
    most_pairs: int = 16,
    on_stack: Callable[[str], None] | None = None,
) -> StackTrials:
    """Ask about useful pairs of each stack, evenly chosen where there are more than enough."""
    rows: list[tuple[Any, ...]] = []
    for known in stacks:
        if on_stack is not None:
            on_stack(known.name)
        depth_um = effective_depth_um(known.setup)
        for first, second in chosen_pairs(known, most_pairs):
            guess = predictor.predict(
                known.read((first, second)).numpy(),
                spacing_um=float(known.z_um[second] - known.z_um[first]),
                setup=known.setup,
                saturation_counts=known.stack.saturation_counts,
            )
            answer, half = 0.0, math.nan
            if guess.probabilities is not None and guess.classes_um is not None:
                shares = torch.from_numpy(guess.probabilities)
                answer = float(centre(shares, torch.from_numpy(guess.classes_um)))
            if guess.defocus_um is not None and guess.interval_um is not None:
                answer = guess.defocus_um
                half = (guess.interval_um[1] - guess.interval_um[0]) / 2
            truth = known.z_um[first] - known.focus_um
            lengths = (float(value) / depth_um for value in (truth, answer, half))
            rows.append((known.name, known.specimen, *lengths))
    columns = [np.array(column) for column in zip(*rows, strict=True)]
    names = ("stacks", "specimens", "truth", "answer", "half")
    return StackTrials(**dict(zip(names, columns, strict=True)))


def chosen_pairs(known: LabelledStack, most: int) -> list[tuple[int, int]]:
    """Useful pairs of a stack; where there are more than ``most``, evenly spread ones."""
    pairs = useful_pairs(known.z_um, known.focus_um, depth_um=effective_depth_um(known.setup))
    steps = np.linspace(0, len(pairs) - 1, min(most, len(pairs))).round().astype(int)
    return [pairs[step] for step in steps]


@dataclass(frozen=True)
class ClassicalError:
    """Mean |error| of a classical search, in effective depths of field, and images it takes."""

    mean: float
    images: float


def classical_error(
    stacks: Sequence[LabelledStack], *, images: int = SWEEP_IMAGES, measure: str = "dcts"
) -> ClassicalError:
    """How far from focus the parabola through the three best scores of a sweep has its top.

    Sweeps as a search makes them: so many images over ``SWEEP_REACH`` to either side of focus,
    fewer where a stack is shorter, at every offset that its planes allow. Every stack weighs
    the same.
    """
    means, counts = [], []
    for known in stacks:
        depth_um = effective_depth_um(known.setup)
        near = np.flatnonzero(np.abs(known.z_um - known.focus_um) <= SWEEP_REACH * depth_um)
        scores = np.array(
            [float(score(known.read((int(k),)), measure, setup=known.setup)[0]) for k in near]
        )
        sweeps = sweep_planes(known.z_um[near], depth_um, images=images)
        tops = [top_of_parabola(known.z_um[near][sweep], scores[sweep]) for sweep in sweeps]
        means.append(float(np.abs(np.array(tops) - known.focus_um).mean()) / depth_um)
        counts.append(float(np.mean([len(sweep) for sweep in sweeps])))
    return ClassicalError(float(np.mean(means)), float(np.mean(counts)))


def sweep_planes(
    z_um: Float[np.ndarray, " z"], depth_um: float, *, images: int = SWEEP_IMAGES
) -> list[NDArray[np.intp]]:
    """Planes of every sweep at the step of a classical search; at least three in each.

    Examples
    --------
    >>> [sweep.tolist() for sweep in sweep_planes(np.arange(7.0), 1.7)]
    [[0, 2, 4, 6], [1, 3, 5]]
    """
    numbers = np.arange(len(z_um))
    if len(numbers) < 3:
        return [numbers]
    step_um = 2 * SWEEP_REACH / (images - 1) * depth_um
    stride = round(step_um / float(np.median(np.diff(z_um))))
    stride = max(1, min(stride, len(numbers) // 3))
    return [numbers[offset::stride] for offset in range(stride)]


def top_of_parabola(z_um: Float[np.ndarray, " n"], scores: Float[np.ndarray, " n"]) -> float:
    """z of the top of the parabola through the best score and its neighbours; at an end, the end.

    Examples
    --------
    >>> z = np.array([0.0, 1.0, 3.0, 4.0])
    >>> round(top_of_parabola(z, 5 - (z - 1.4) ** 2), 6)
    1.4
    """
    best = int(np.argmax(scores))
    if not 0 < best < len(scores) - 1:
        return float(z_um[best])
    (left, right), (up, down) = (
        (values[best - 1] - values[best], values[best + 1] - values[best])
        for values in (z_um, scores)
    )
    bend = (up / left - down / right) / (left - right)
    if bend >= 0:
        return float(z_um[best])
    slope = up / left - bend * left
    return float(z_um[best] + np.clip(-slope / (2 * bend), left, right))


def recalibrated(
    trials: StackTrials, calibration: Calibration
) -> tuple[Calibration, float | None, str]:
    """Widen or narrow the intervals by split conformal prediction over specimens.

    Pairs of one specimen are alike, so specimens are what is exchanged, and each weighs the
    same [Lee2023]_: the truth of an answered pair of a further specimen is inside with at least
    90 %. Fewer than ``LEAST_SPECIMENS`` cannot tell, and the calibration stays as it is.

    Returns
    -------
    The calibration; the coverage where each specimen's interval comes from the others alone, or
    None; and a sentence that says what was done.
    """
    answered = trials.is_answered
    ratios = (trials.size / trials.half)[answered]
    specimens = trials.specimens[answered]
    count = len(set(specimens))
    if count < LEAST_SPECIMENS:
        return calibration, None, (
            f"The interval is that of the model before: {count} held-out specimens were answered, "
            f"and {LEAST_SPECIMENS} are the least that set a 90 % interval."
        )  # fmt: skip
    factor = max(conformal_factor(ratios, specimens), 1e-3)
    inside: list[float] = []
    for name in dict.fromkeys(specimens) if count > LEAST_SPECIMENS else ():
        others = specimens != name
        own = ratios[~others] <= conformal_factor(ratios[others], specimens[others])
        inside.append(float(own.mean()))
    changed = calibration.model_copy(
        update={
            "widen": calibration.widen * factor,
            "widen_by": tuple(tuple(factor * w for w in row) for row in calibration.widen_by),
        }
    )
    return changed, float(np.mean(inside)) if inside else None, (
        f"The interval was set by {count} held-out specimens: {factor:.2f} times as wide as that "
        "of the model before."
    )  # fmt: skip


def conformal_factor(ratios: Float[np.ndarray, " p"], groups: NDArray[Any]) -> float:
    """Least ratio with nine tenths of the groups' mean distribution up to it [Lee2023]_.

    A further group, of which nothing is known, counts as infinite; so it is with too few.

    Examples
    --------
    >>> conformal_factor(np.arange(1.0, 10.0), np.arange(9))
    9.0
    >>> conformal_factor(np.ones(8), np.arange(8))
    inf
    """
    names, sizes = np.unique(groups, return_counts=True)
    count = len(names)
    share = dict(zip(names.tolist(), (1 / (sizes * (count + 1))).tolist(), strict=True))
    order = np.argsort(ratios)
    below = np.cumsum([share[group] for group in np.asarray(groups)[order].tolist()])
    enough = np.flatnonzero(below >= SHARE_INSIDE - 1e-9)
    return float(ratios[order][enough[0]]) if len(enough) else math.inf


def _mean_of_groups(values: NDArray[Any], groups: NDArray[Any]) -> float:
    return float(np.mean([values[groups == name].mean() for name in dict.fromkeys(groups)]))
