"""Gaussian-process regression of a few noisy heights, some of them wrong: the kernels.

What the focus surface (over x and y) and the drift (over time) share. A height is a linear trend
plus a smooth field plus noise; the field's settings are integrated over a grid, not guessed; and
each height is either good, with its own noise, or bad, with a very wide one. Which ones are bad is
decided by the evidence of the whole, so that the answer is a mixture of Gaussians.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.linalg import cho_factor, cho_solve
from scipy.special import ndtr

Covariance = Callable[[float], Float[np.ndarray, "n n"]]
"""From a length to the field's covariance at unit amplitude."""

LEAST_WEIGHT = 1e-3
"""Explanations less probable than this share of the best are left out."""
MOST_BAD = 0.4
"""No more than this share of the heights is ever set aside."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Heights:
    """What was measured: ``z`` (n), its trend ``basis`` (n, p) and one standard error each.

    ``precision`` (p) is one over the prior variance of each trend coefficient; 0 is a flat prior.
    """

    z: Float[np.ndarray, " n"]
    basis: Float[np.ndarray, "n p"]
    precision: Float[np.ndarray, " p"]
    noise: Float[np.ndarray, " n"]
    bad_share: float
    bad_noise: float

    def noise_variance(self, bad: Bool[np.ndarray, " n"], nugget: float) -> Float[np.ndarray, " n"]:
        """Variance of each height about the field."""
        return np.where(bad, self.bad_noise**2, self.noise**2 + nugget**2)

    def log_prior(self, bad: Bool[np.ndarray, " n"]) -> float:
        """Log probability that just these heights are bad."""
        wrong = int(bad.sum())
        right = len(bad) - wrong
        return float(wrong * np.log(self.bad_share) + right * np.log1p(-self.bad_share))


@dataclass(frozen=True, eq=False, kw_only=True)
class Grid:
    """Settings of the field that are tried, with the log of their prior weights."""

    lengths: Float[np.ndarray, " h"]
    amplitudes: Float[np.ndarray, " h"]
    nuggets: Float[np.ndarray, " h"]
    log_prior: Float[np.ndarray, " h"]

    @staticmethod
    def of(
        lengths: tuple[float, float, int],
        amplitudes: tuple[float, float, int],
        nuggets: Float[np.ndarray, " k"],
        *,
        nugget_weights: Float[np.ndarray, " k"],
        spans: tuple[float, float] = (6.0, 8.0),
    ) -> Grid:
        """All triples of geometric series about (median, log deviation, count) and the nuggets.

        ``spans`` is how far the lengths and the amplitudes reach to either side, as a factor.
        """

        def series(
            about: tuple[float, float, int], span: float
        ) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, " k"]]:
            median, deviation, count = about
            steps = np.linspace(-np.log(span), np.log(span), count) if count > 1 else np.zeros(1)
            return median * np.exp(steps), -0.5 * (steps / deviation) ** 2

        length, length_prior = series(lengths, spans[0])
        size, size_prior = series(amplitudes, spans[1])
        at = np.indices((len(length), len(size), len(nuggets))).reshape(3, -1)
        prior = length_prior[at[0]] + size_prior[at[1]] + np.log(nugget_weights)[at[2]]
        return Grid(
            lengths=length[at[0]],
            amplitudes=size[at[1]],
            nuggets=np.asarray(nuggets, float)[at[2]],
            log_prior=prior,
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class Explanation:
    """One reading of the heights: the field's settings, who is bad, and the solved system."""

    length: float
    amplitude: float
    bad: Bool[np.ndarray, " n"]
    noise_variance: Float[np.ndarray, " n"]
    factor: tuple[Float[np.ndarray, "n n"], bool]
    half: Float[np.ndarray, "n p"]
    """K^-1 H, with H the trend's basis."""
    trend_covariance: Float[np.ndarray, "p p"]
    trend: Float[np.ndarray, " p"]
    pull: Float[np.ndarray, " n"]
    """K^-1 (z - H trend)."""
    log_evidence: float

    def predict(
        self,
        cross: Float[np.ndarray, "m n"],
        own: Float[np.ndarray, " m"],
        basis: Float[np.ndarray, "m p"],
    ) -> tuple[Float[np.ndarray, " m"], Float[np.ndarray, " m"]]:
        """Mean and variance of the heights where the unit covariances are ``cross`` and ``own``."""
        cross = self.amplitude**2 * cross
        mean = basis @ self.trend + cross @ self.pull
        rest = basis - cross @ self.half
        variance = self.amplitude**2 * own
        variance = variance - np.einsum("mn,nm->m", cross, cho_solve(self.factor, cross.T))
        variance = variance + np.einsum("mp,pq,mq->m", rest, self.trend_covariance, rest)
        return mean, np.maximum(variance, 0.0)

    def covariance(
        self,
        crosses: tuple[Float[np.ndarray, "a n"], Float[np.ndarray, "b n"]],
        between: Float[np.ndarray, "a b"],
        bases: tuple[Float[np.ndarray, "a p"], Float[np.ndarray, "b p"]],
    ) -> Float[np.ndarray, "a b"]:
        """Covariance of the heights at two sets of places, after what was measured."""
        first, second = (self.amplitude**2 * cross for cross in crosses)
        rest = [
            basis - cross @ self.half for basis, cross in zip(bases, (first, second), strict=True)
        ]
        field = self.amplitude**2 * between - first @ cho_solve(self.factor, second.T)
        return np.asarray(field + rest[0] @ self.trend_covariance @ rest[1].T)


def explain(
    heights: Heights,
    unit: Float[np.ndarray, "n n"],
    bad: Bool[np.ndarray, " n"],
    *,
    length: float,
    amplitude: float,
    nugget: float,
) -> Explanation:
    """Solve for one reading of the heights ([Rasmussen2006]_, section 2.7).

    Trend coefficients with a precision of 0 have a flat prior; their evidence is that of the
    residuals.
    """
    variance = heights.noise_variance(bad, nugget)
    factor = cho_factor(amplitude**2 * unit + np.diag(variance), lower=True)
    basis, z = heights.basis, heights.z
    half = cho_solve(factor, basis)
    trend_factor = cho_factor(basis.T @ half + np.diag(heights.precision), lower=True)
    trend = cho_solve(trend_factor, half.T @ z)
    pull = cho_solve(factor, z - basis @ trend)
    fitted = z @ pull  # z' (K^-1 - K^-1 H A^-1 H' K^-1) z
    volume = np.log(np.diag(factor[0])).sum() + np.log(np.diag(trend_factor[0])).sum()
    known = heights.precision[heights.precision > 0]
    evidence = -0.5 * fitted - volume + 0.5 * np.log(known).sum() + heights.log_prior(bad)
    return Explanation(
        length=length,
        amplitude=amplitude,
        bad=bad,
        noise_variance=variance,
        factor=factor,
        half=half,
        trend_covariance=cho_solve(trend_factor, np.eye(len(trend))),
        trend=trend,
        pull=pull,
        log_evidence=float(evidence),
    )


def left_out(
    heights: Heights, answer: Explanation
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Each height's distance from what the others say, and the variance of what they say.

    The variance is infinite where the others say nothing ([Rasmussen2006]_, section 5.4.2).
    """
    inverse = cho_solve(answer.factor, np.eye(len(heights.z)))
    inverse = inverse - answer.half @ answer.trend_covariance @ answer.half.T
    sharpness = np.diag(inverse)
    known = sharpness * answer.noise_variance > 1e-9
    safe = np.where(known, sharpness, 1.0)
    distance = np.where(known, answer.pull / safe, 0.0)
    variance = np.where(known, 1.0 / safe - answer.noise_variance, np.inf)
    return distance, np.maximum(variance, 0.0)


def log_odds_bad(
    heights: Heights, answer: Explanation, *, nugget: float
) -> Float[np.ndarray, " n"]:
    """Log odds that each height is bad, given the others; the prior's odds if they are mute."""
    distance, variance = left_out(heights, answer)
    mute = np.isinf(variance)
    variance = np.where(mute, 0.0, variance)
    good = variance + heights.noise**2 + nugget**2
    wrong = variance + heights.bad_noise**2
    odds = np.log(heights.bad_share) - np.log1p(-heights.bad_share)
    told = 0.5 * (np.log(good / wrong) + distance**2 * (1.0 / good - 1.0 / wrong))
    return np.asarray(odds + np.where(mute, 0.0, told))


@dataclass(frozen=True, eq=False, kw_only=True)
class Mixture:
    """Every explanation that is worth its weight, the likeliest first."""

    parts: tuple[Explanation, ...]
    weights: Float[np.ndarray, " k"]

    @property
    def best(self) -> Explanation:
        """The likeliest explanation."""
        return self.parts[0]

    @property
    def bad(self) -> Float[np.ndarray, " n"]:
        """Probability that each height is bad."""
        told = np.array([part.bad for part in self.parts], dtype=float)
        return np.asarray(self.weights @ told)


def fit(heights: Heights, covariance: Covariance, grid: Grid) -> Mixture:
    """Fit the heights: integrate over the settings of the field and over who is bad.

    Parameters
    ----------
    heights
        What was measured.
    covariance
        Covariance of the field at the heights' places, for a length, at unit amplitude.
    grid
        Settings of the field to weigh by marginal likelihood.

    Returns
    -------
    A mixture of explanations.

    Notes
    -----
    Bad heights are looked for one at a time with three sizes of the field; the set with the
    highest evidence over the whole grid is kept. Where a bad height might as well be good, or its
    nearest neighbour bad in its stead, both readings stay in the mixture. The order of the heights
    is of no account but in exact ties.
    """
    unit = {float(length): covariance(float(length)) for length in np.unique(grid.lengths)}

    def over_grid(bad: Bool[np.ndarray, " n"]) -> list[tuple[float, Explanation, float]]:
        answers = []
        for length, size, nugget, prior in zip(
            grid.lengths, grid.amplitudes, grid.nuggets, grid.log_prior, strict=True
        ):
            answer = explain(
                heights, unit[length], bad, length=length, amplitude=size, nugget=nugget
            )
            answers.append((answer.log_evidence + prior, answer, float(nugget)))
        return sorted(answers, key=lambda row: -row[0])

    found = max((over_grid(bad) for bad in _suspicions(heights, unit, grid)), key=lambda r: r[0][0])
    top, best, nugget = found[0]
    rows = [row for row in found if row[0] > top + np.log(LEAST_WEIGHT)]
    prior = top - best.log_evidence
    for other in _alternatives(best, unit[best.length]):
        answer = explain(
            heights, unit[best.length], other,
            length=best.length, amplitude=best.amplitude, nugget=nugget,
        )  # fmt: skip
        share = np.log(sum(np.exp(row[0] - top) for row in rows if row[1].bad is best.bad))
        if answer.log_evidence + prior + share > top + np.log(LEAST_WEIGHT):
            rows.append((answer.log_evidence + prior + share, answer, nugget))
    rows.sort(key=lambda row: -row[0])
    weights = np.exp(np.array([row[0] for row in rows]) - rows[0][0])
    return Mixture(parts=tuple(row[1] for row in rows), weights=weights / weights.sum())


def _suspicions(
    heights: Heights, unit: dict[float, Float[np.ndarray, "n n"]], grid: Grid
) -> list[Bool[np.ndarray, " n"]]:
    """Sets of bad heights to compare: none, and those that stand out of fields of three sizes."""
    nobody = np.zeros(len(heights.z), dtype=bool)
    sets = {nobody.tobytes(): nobody}
    lengths, sizes = np.unique(grid.lengths), np.unique(grid.amplitudes)
    length, nugget = float(lengths[len(lengths) // 2]), float(np.unique(grid.nuggets)[0])
    for share in (0.35, 0.6, 0.85):
        size = float(sizes[int(share * (len(sizes) - 1))])
        bad = nobody.copy()
        while bad.sum() < MOST_BAD * len(bad):
            answer = explain(
                heights, unit[length], bad, length=length, amplitude=size, nugget=nugget
            )
            odds = np.where(bad, -np.inf, log_odds_bad(heights, answer, nugget=nugget))
            worst = int(np.argmax(odds))
            if odds[worst] <= 0:
                break
            bad[worst] = True
        sets[bad.tobytes()] = bad
    return list(sets.values())


def _alternatives(
    best: Explanation, unit: Float[np.ndarray, "n n"]
) -> list[Bool[np.ndarray, " n"]]:
    """Each bad height good after all, alone or with its nearest good neighbour bad instead."""
    sets = []
    for place in np.flatnonzero(best.bad):
        spared = best.bad.copy()
        spared[place] = False
        sets.append(spared)
        near = np.where(best.bad, -np.inf, unit[place])
        swapped = spared.copy()
        swapped[int(np.argmax(near))] = True
        sets.append(swapped)
    return sets


def mixture_quantile(
    means: Float[np.ndarray, "k m"],
    deviations: Float[np.ndarray, "k m"],
    weights: Float[np.ndarray, " k"],
    share: float,
) -> Float[np.ndarray, " m"]:
    """The value below which ``share`` of a mixture of Gaussians lies, by bisection."""
    wide = np.maximum(deviations, 1e-12)
    low, high = (means - 12 * wide).min(0), (means + 12 * wide).max(0)
    for _ in range(60):
        middle = 0.5 * (low + high)
        below = weights @ ndtr((middle - means) / wide) < share
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return np.asarray(0.5 * (low + high))


def in_order(*keys: Float[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
    """An order of the heights that depends on their values alone."""
    return np.lexsort(keys[::-1])
