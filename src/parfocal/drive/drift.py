"""How focus drifts over time, learned from every stack that is taken anyway."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field

from parfocal.core.errors import InputError, ReadError
from parfocal.core.results import FocusEstimate
from parfocal.drive.focus_points import (
    Positive,
    Share,
    check_interval_um,
    standard_error_um,
)
from parfocal.drive.kriging import Grid, Heights, Mixture, fit, in_order, mixture_quantile

HOUR_S = 3600.0


class DriftSettings(BaseModel):
    """What is taken for granted of drift before anything is measured; scales, not limits.

    Parameters
    ----------
    rate_um_per_h
        Usual steady drift.
    wander_um_per_sqrt_h
        Usual random walk: one standard deviation after an hour.
    noise_um
        Standard error of an estimate that brings no interval.
    outlier_share
        Share of the estimates that is expected to be wrong altogether.
    outlier_um
        How far off such estimates are.
    memory
        How many of the latest estimates count.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rate_um_per_h: Positive = 3.0
    wander_um_per_sqrt_h: Positive = 1.0
    noise_um: Positive = 0.3
    outlier_share: Share = 0.05
    outlier_um: Positive = 50.0
    memory: int = Field(default=120, ge=2)


@dataclass(frozen=True, kw_only=True)
class DriftPoint:
    """Best focus of one position at one time: ``time_s``, ``z_um``, its 90 % interval."""

    time_s: float
    z_um: float
    interval_um: tuple[float, float] | None = None
    position: str = ""

    def __post_init__(self) -> None:
        if not np.isfinite([self.time_s, self.z_um]).all():
            raise InputError(
                f"A drift point needs a finite time and z, but came as ({self.time_s} s, "
                f"{self.z_um} um): leave out stacks where focus was not found."
            )
        check_interval_um(self.z_um, self.interval_um)


@dataclass(frozen=True, kw_only=True)
class PredictedZ:
    """Focus at a time: ``z_um``, one standard error, and a 90 % interval (low, high)."""

    z_um: float
    error_um: float
    interval_um: tuple[float, float]


class DriftTracker:
    """Focus over time, at one or many positions that drift together.

    A steady drift plus a random walk, the same for all positions, each at a height of its own: a
    Gaussian process with a linear trend and a Wiener covariance ([Rasmussen2006]_, sections 2.7
    and 6.3), which at the times of the estimates is the smoother of a random-walk Kalman filter
    with drift. The size of the walk is integrated over, by marginal likelihood. An estimate
    that the others contradict is set aside; several that agree are a jump, and are followed.

    Parameters
    ----------
    points
        What is known already.
    settings
        What is taken for granted.

    Notes
    -----
    Laws: the order of the points is of no account; a steady drift is carried on; a later time is
    never surer than an earlier one; one wrong estimate does not move the prediction.

    Examples
    --------
    >>> tracker = DriftTracker()
    >>> for minute in range(0, 60, 5):
    ...     tracker = tracker.with_points(DriftPoint(time_s=60.0 * minute, z_um=50 + minute / 30))
    >>> round(tracker.predict(3600.0).z_um, 1)
    52.0
    """

    def __init__(
        self, points: Iterable[DriftPoint] = (), settings: DriftSettings | None = None
    ) -> None:
        self.settings = settings or DriftSettings()
        kept = sorted(points, key=lambda p: (p.time_s, p.position, p.z_um))
        kept = kept[-self.settings.memory :]
        self.points = tuple(kept)
        self.positions = tuple(sorted({point.position for point in kept}))

    def with_points(self, *points: DriftPoint) -> DriftTracker:
        """The same tracker with more points."""
        return DriftTracker((*self.points, *points), self.settings)

    def with_estimate(
        self, estimate: FocusEstimate, *, time_s: float, position: str = ""
    ) -> DriftTracker:
        """The same tracker with what ``score.best_focus`` found in a stack; else unchanged.

        Stacks are taken anyway, so that this costs no light. Estimates that are no answer, or
        whose z is not in um, are passed over.
        """
        if not estimate.found or estimate.z_um is None:
            return self
        return self.with_points(
            DriftPoint(
                time_s=time_s,
                z_um=estimate.z_um,
                interval_um=estimate.interval_um,
                position=position,
            )
        )

    def predict(
        self, time_s: float, *, position: str | None = None, probability: float = 0.9
    ) -> PredictedZ:
        """Focus at a time, usually a later one, with an interval of the given probability.

        Raises
        ------
        InputError
            If nothing is known yet, or nothing of this position.
        """
        if not np.isfinite(time_s):
            raise InputError(f"time_s is {time_s} but must be finite.")
        if not 0 < probability < 1:
            raise InputError(f"probability is {probability} but must lie between 0 and 1.")
        column = self._column(position)
        times = np.array([(time_s - self._start_s) / HOUR_S])
        basis = self._basis(times)
        basis[:, column] = 1.0
        cross, own = wiener(times, self._times), np.abs(times)
        told = [part.predict(cross, own, basis) for part in self._fit.parts]
        means, variances = (np.array(values) for values in zip(*told, strict=True))
        weights, deviations = self._fit.weights, np.sqrt(variances)
        mean = float(weights @ means[:, 0])
        spread = float(weights @ (variances + means**2)[:, 0]) - mean**2
        tail = 0.5 * (1 - probability)
        low, high = (
            float(mixture_quantile(means, deviations, weights, share)[0]) + self._level_um
            for share in (tail, 1 - tail)
        )
        return PredictedZ(
            z_um=mean + self._level_um,
            error_um=float(np.sqrt(max(spread, 0.0))),
            interval_um=(low, high),
        )

    def carry_over(self, time_s: float) -> dict[str, PredictedZ]:
        """Focus of every known position at the next time point."""
        return {name: self.predict(time_s, position=name) for name in self.positions}

    @property
    def rate_um_per_h(self) -> tuple[float, tuple[float, float]]:
        """The steady drift and its 90 % interval."""
        weights, parts = self._fit.weights, self._fit.parts
        rates = np.array([[part.trend[0]] for part in parts])
        errors = np.sqrt(np.array([[part.trend_covariance[0, 0]] for part in parts]))
        low, high = (float(mixture_quantile(rates, errors, weights, p)[0]) for p in (0.05, 0.95))
        return float(weights @ rates[:, 0]), (low, high)

    @property
    def outlier_probability(self) -> Float[np.ndarray, " n"]:
        """How probably each point is wrong, in the order of ``points``."""
        probability = np.empty(len(self.points))
        probability[self._order] = self._fit.bad
        return probability

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: the points and the settings."""
        return {
            "kind": "parfocal drift",
            "settings": self.settings.model_dump(),
            "points": [asdict(point) for point in self.points],
        }

    def save(self, path: str | Path) -> None:
        """Write JSON that ``load`` reads."""
        Path(path).write_text(json.dumps(self.to_dict(), indent=1), encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> DriftTracker:
        """Read what ``save`` wrote.

        Raises
        ------
        ReadError
            If the file is no drift record.
        """
        try:
            held = json.loads(Path(path).read_text(encoding="utf-8"))
            points = []
            for values in held["points"]:
                interval = values["interval_um"]
                values["interval_um"] = None if interval is None else tuple(interval)
                points.append(DriftPoint(**values))
            return cls(points, DriftSettings(**held["settings"]))
        except (OSError, ValueError, KeyError, TypeError) as fault:
            raise ReadError(f"{path} holds no drift record of parfocal: {fault}") from fault

    @cached_property
    def _order(self) -> Any:
        keys = [
            [point.time_s for point in self.points],
            [point.z_um for point in self.points],
            [self.positions.index(point.position) for point in self.points],
        ]
        return in_order(*(np.asarray(key, float) for key in keys))

    @cached_property
    def _times(self) -> Float[np.ndarray, " n"]:
        times_s = np.array([self.points[place].time_s for place in self._order])
        return (times_s - self._start_s) / HOUR_S

    @property
    def _start_s(self) -> float:
        return self.points[0].time_s

    @cached_property
    def _level_um(self) -> float:
        return float(np.median([point.z_um for point in self.points]))

    def _basis(self, times: Float[np.ndarray, " m"]) -> Float[np.ndarray, "m p"]:
        basis = np.zeros((len(times), 1 + len(self.positions)))
        basis[:, 0] = times
        return basis

    def _column(self, position: str | None) -> int:
        if not self.points:
            raise InputError("Nothing is known of the drift yet: add a point first.")
        if position is None and len(self.positions) == 1:
            return 1
        if position not in self.positions:
            known = ", ".join(repr(name) for name in self.positions)
            raise InputError(f"Focus of position {position!r} is not known, only of {known}.")
        return 1 + self.positions.index(position)

    @cached_property
    def _fit(self) -> Mixture:
        if not self.points:
            raise InputError("Nothing is known of the drift yet: add a point first.")
        settings = self.settings
        points = [self.points[place] for place in self._order]
        noise = np.array([standard_error_um(p.interval_um, settings.noise_um) for p in points])
        basis = self._basis(self._times)
        basis[np.arange(len(points)), [self._column(point.position) for point in points]] = 1.0
        flat = np.zeros(len(self.positions))
        heights = Heights(
            z=np.array([point.z_um for point in points]) - self._level_um,
            basis=basis,
            precision=np.array([1.0 / settings.rate_um_per_h**2, *flat]),
            noise=noise,
            bad_share=settings.outlier_share,
            bad_noise=settings.outlier_um,
        )
        grid = Grid.of(
            (1.0, 1.0, 1),
            (settings.wander_um_per_sqrt_h, 1.2, 13),
            float(np.median(noise)) * np.array([0.0, 0.7, 2.0, 6.0]),
            nugget_weights=np.array([0.5, 0.25, 0.15, 0.1]),
            spans=(1.0, 32.0),
        )
        walk = wiener(self._times, self._times)
        return fit(heights, lambda _: walk, grid)


def wiener(
    first: Float[np.ndarray, " a"], second: Float[np.ndarray, " b"]
) -> Float[np.ndarray, "a b"]:
    """Covariance of a random walk that passes 0 at time 0, to either side of it.

    Examples
    --------
    >>> wiener(np.array([-1.0, 2.0]), np.array([3.0])).ravel()
    array([0., 2.])
    """
    first, second = first[:, None], second[None]
    return np.asarray(0.5 * (np.abs(first) + np.abs(second) - np.abs(first - second)))
