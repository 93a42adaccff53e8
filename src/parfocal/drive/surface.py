"""The surface of best focus over the field: where it lies, how surely, and where to look next."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from parfocal.core.errors import InputError, ReadError
from parfocal.drive.focus_points import FocusPoint, SurfaceSettings
from parfocal.drive.kriging import Grid, Heights, Mixture, fit, in_order
from parfocal.drive.kriging import mixture_quantile as quantile

MOST_EXPLANATIONS = 16
"""So many explanations decide where to measure next."""

XY = tuple[float, float]
Numbers = float | int | Sequence[float | int] | NDArray[Any]
Places = Sequence[XY] | NDArray[Any]


@dataclass(frozen=True, eq=False, kw_only=True)
class PredictedFocus:
    """Focus where it was asked for: ``z_um``, one standard error, and a 90 % interval, in um.

    Each has the shape of the x and y that were asked.
    """

    z_um: Float[np.ndarray, "*at"]
    error_um: Float[np.ndarray, "*at"]
    low_um: Float[np.ndarray, "*at"]
    high_um: Float[np.ndarray, "*at"]


class FocusSurface:
    """Best focus at any place, from focus found at a few.

    A tilted plane plus a smooth relief with a constant offset per channel, as a Gaussian process
    ([Rasmussen2006]_, sections 2.2 and 2.7) with a Matern 5/2 covariance; each point weighs by
    its own interval. Length and height of the relief are integrated over, by marginal likelihood.
    Points that the others contradict are set aside; where that is open, the interval says so.

    Parameters
    ----------
    points
        Where focus was found; at least one.
    settings
        What is taken for granted.

    Raises
    ------
    InputError
        If there is no point.

    Notes
    -----
    Laws: the order of the points is of no account; a plane is found exactly; adding a plane to the
    points adds it to the answer (but for the pull of ``tilt_um_per_mm``, which points some
    millimetres apart override); one wrong point does not move the rest.

    Examples
    --------
    >>> corners = [(0.0, 0.0), (4e3, 0.0), (0.0, 4e3), (4e3, 4e3)]
    >>> surface = FocusSurface(FocusPoint(x_um=x, y_um=y, z_um=50 + x / 1000) for x, y in corners)
    >>> round(float(surface.predict(2000.0, 2000.0).z_um), 2)
    52.0
    """

    def __init__(
        self, points: Iterable[FocusPoint], settings: SurfaceSettings | None = None
    ) -> None:
        self.points = tuple(points)
        self.settings = settings or SurfaceSettings()
        if not self.points:
            raise InputError("A focus surface needs at least one point, but none came.")
        self.channels = tuple(sorted({point.channel or "" for point in self.points}))

    def with_points(self, *points: FocusPoint) -> FocusSurface:
        """The same surface with more points."""
        return FocusSurface((*self.points, *points), self.settings)

    def predict(
        self, x_um: Numbers, y_um: Numbers, *, channel: str | None = None
    ) -> PredictedFocus:
        """Focus at each (x, y), of one place or of arrays that broadcast.

        Raises
        ------
        InputError
            If a place is not finite, or the channel was never focused.
        """
        x, y = np.broadcast_arrays(np.asarray(x_um, float), np.asarray(y_um, float))
        means, deviations = self._parts(_places(x.ravel(), y.ravel()), channel)
        weights = self._fit.weights
        mean = weights @ means
        error = np.sqrt(np.maximum(weights @ (deviations**2 + means**2) - mean**2, 0.0))
        low = quantile(means, deviations, weights, 0.05)
        high = quantile(means, deviations, weights, 0.95)
        shape = [value.reshape(x.shape) for value in (mean, error, low, high)]
        return PredictedFocus(z_um=shape[0], error_um=shape[1], low_um=shape[2], high_um=shape[3])

    def search_range_um(
        self, x_um: float, y_um: float, *, channel: str | None = None, probability: float = 0.99
    ) -> tuple[float, float]:
        """The z range (low, high) in um that holds focus at a place with this probability.

        Examples
        --------
        >>> point = FocusPoint(x_um=0.0, y_um=0.0, z_um=10.0, interval_um=(9.8, 10.2))
        >>> surface = FocusSurface([point])
        >>> low, high = surface.search_range_um(100.0, 0.0)
        >>> low < 9 and high > 11
        True
        """
        if not 0 < probability < 1:
            raise InputError(f"probability is {probability} but must lie between 0 and 1.")
        means, deviations = self._parts(_places([x_um], [y_um]), channel)
        tail = 0.5 * (1 - probability)
        ends = [quantile(means, deviations, self._fit.weights, p)[0] for p in (tail, 1 - tail)]
        return float(ends[0]), float(ends[1])

    def next_position(
        self,
        candidates: Places,
        *,
        at_um: XY | None = None,
        targets: Places | None = None,
        focus_costs_um: float = 5000.0,
    ) -> int:
        """Which candidate to focus next: the most expected drop in variance per cost.

        Parameters
        ----------
        candidates
            Places (x, y) that may be measured, in um.
        at_um
            Where the stage stands; None if travel is of no account.
        targets
            Places where the surface shall be known; the candidates by default.
        focus_costs_um
            How far the stage travels in the time that one focus search takes.

        Returns
        -------
        Index of the candidate, the first of equals. A place that is measured already comes last.
        """
        if len(candidates) == 0:
            raise InputError("next_position needs at least one candidate, but none came.")
        where = _places(*np.asarray(candidates, float).T)
        wanted = where if targets is None else _places(*np.asarray(targets, float).T)
        shared, variance = self._shared(wanted, where)
        noise = float(np.median(self._fit.best.noise_variance[~self._fit.best.bad]))
        drop = (shared**2).sum(0) / (variance + noise)
        fresh = np.min(np.hypot(*(where[:, None] - self._measured).transpose(2, 0, 1)), 1) > 0
        if fresh.any():  # dust that misled once misleads again
            drop = np.where(fresh, drop, 0.0)
        if at_um is not None:
            travel = np.hypot(*(where - np.asarray(at_um, float)).T)
            drop = drop / (1.0 + travel / focus_costs_um)
        return int(np.argmax(drop))

    def good_enough(
        self, tolerance_um: float, *, at: Places | None = None, channel: str | None = None
    ) -> bool:
        """Whether the 90 % interval is within +-tolerance everywhere.

        ``at`` are the places (x, y) that count; by default 12 x 12 over the measured rectangle.
        """
        if at is None:
            axes = [np.linspace(low, high, 12) for low, high in self._rectangle()]
            x, y = (axis.ravel() for axis in np.meshgrid(*axes))
        else:
            x, y = np.asarray(at, float).T
        answer = self.predict(x, y, channel=channel or self.channels[0])
        return bool(np.max(answer.high_um - answer.low_um) <= 2 * tolerance_um)

    @property
    def outlier_probability(self) -> Float[np.ndarray, " n"]:
        """How probably each point is wrong, in the order of ``points``."""
        probability = np.empty(len(self.points))
        probability[self._order] = self._fit.bad
        return probability

    @property
    def tilt_um_per_mm(self) -> tuple[float, float]:
        """Slope along x and y."""
        slopes = sum(
            weight * part.trend[:2]
            for weight, part in zip(self._fit.weights, self._fit.parts, strict=True)
        )
        return float(slopes[0]), float(slopes[1])

    def channel_offset_um(self, channel: str, reference: str) -> tuple[float, float]:
        """How much higher a channel focuses than the reference, and one standard error, in um."""
        axis = self._column(channel), self._column(reference)
        parts, weights = self._fit.parts, self._fit.weights
        offsets = np.array([part.trend[axis[0]] - part.trend[axis[1]] for part in parts])
        picks = np.zeros(2 + len(self.channels))
        picks[axis[0]] += 1.0
        picks[axis[1]] -= 1.0
        own = np.array([picks @ part.trend_covariance @ picks for part in parts])
        mean = float(weights @ offsets)
        return mean, float(np.sqrt(weights @ (own + offsets**2) - mean**2))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: the points and the settings; the fit follows from them."""
        return {
            "kind": "parfocal focus surface",
            "settings": self.settings.model_dump(),
            "points": [point.to_dict() for point in self.points],
        }

    def save(self, path: str | Path) -> None:
        """Write JSON that ``load`` reads."""
        Path(path).write_text(json.dumps(self.to_dict(), indent=1), encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> FocusSurface:
        """Read what ``save`` wrote.

        Raises
        ------
        ReadError
            If the file is no focus surface.
        """
        try:
            held = json.loads(Path(path).read_text(encoding="utf-8"))
            points = [FocusPoint.from_dict(point) for point in held["points"]]
            return cls(points, SurfaceSettings(**held["settings"]))
        except (OSError, ValueError, KeyError, TypeError) as fault:
            raise ReadError(f"{path} holds no focus surface of parfocal: {fault}") from fault

    @cached_property
    def _order(self) -> NDArray[np.intp]:
        keys = [
            [point.x_um for point in self.points],
            [point.y_um for point in self.points],
            [point.z_um for point in self.points],
            [self._column(point.channel) for point in self.points],
            [point.error_um(self.settings.noise_um) for point in self.points],
        ]
        return in_order(*(np.asarray(key, float) for key in keys))

    @cached_property
    def _sorted(self) -> list[FocusPoint]:
        return [self.points[place] for place in self._order]

    @cached_property
    def _measured(self) -> Float[np.ndarray, "n 2"]:
        return _places([p.x_um for p in self._sorted], [p.y_um for p in self._sorted])

    @cached_property
    def _fit(self) -> Mixture:
        settings, points = self.settings, self._sorted
        noise = np.array([point.error_um(settings.noise_um) for point in points])
        columns = np.array([self._column(point.channel) for point in points])
        basis = self._basis(self._measured, self.channels[0])
        basis[:, 2:] = columns[:, None] == np.arange(2, 2 + len(self.channels))
        slope = 1.0 / settings.tilt_um_per_mm**2
        heights = Heights(
            z=np.array([point.z_um for point in points]) - self._level,
            basis=basis,
            precision=np.array([slope, slope, *np.zeros(len(self.channels))]),
            noise=noise,
            bad_share=settings.outlier_share,
            bad_noise=settings.outlier_um,
        )
        (left, right), (front, back) = self._rectangle()
        extent = float(np.hypot(right - left, back - front))
        length = settings.length_um or max(extent, 1.0) / 3
        grid = Grid.of(
            (length, 0.8, 7),
            (settings.relief_um, 1.2, 7),
            float(np.median(noise)) * np.array([0.0, 0.7, 2.0, 6.0]),
            nugget_weights=np.array([0.5, 0.25, 0.15, 0.1]),
            spans=(4.0, 16.0),
        )
        return fit(heights, lambda scale: matern(self._measured, self._measured, scale), grid)

    @cached_property
    def _level(self) -> float:
        return float(np.median([point.z_um for point in self.points]))

    @cached_property
    def _centre(self) -> Float[np.ndarray, " 2"]:
        return np.asarray(self._measured.mean(0))

    def _rectangle(self) -> tuple[XY, XY]:
        low, high = self._measured.min(0), self._measured.max(0)
        return (float(low[0]), float(high[0])), (float(low[1]), float(high[1]))

    def _column(self, channel: str | None) -> int:
        if channel is None and len(self.channels) == 1:
            return 2
        if (channel or "") not in self.channels:
            known = ", ".join(repr(name) for name in self.channels)
            raise InputError(f"Focus of channel {channel!r} is not known, only of {known}.")
        return 2 + self.channels.index(channel or "")

    def _basis(
        self, places: Float[np.ndarray, "m 2"], channel: str | None
    ) -> Float[np.ndarray, "m p"]:
        basis = np.zeros((len(places), 2 + len(self.channels)))
        basis[:, :2] = (places - self._centre) / 1000.0
        basis[:, self._column(channel)] = 1.0
        return basis

    def _unit(self, places: Float[np.ndarray, "m 2"], length: float) -> Float[np.ndarray, "m n"]:
        return matern(places, self._measured, length)

    def _parts(
        self, places: Float[np.ndarray, "m 2"], channel: str | None
    ) -> tuple[Float[np.ndarray, "k m"], Float[np.ndarray, "k m"]]:
        """Mean and standard error of each explanation."""
        basis, own = self._basis(places, channel), np.ones(len(places))
        crosses = {length: self._unit(places, length) for length in self._lengths}
        told = [part.predict(crosses[part.length], own, basis) for part in self._fit.parts]
        means, variances = (np.array(column) for column in zip(*told, strict=True))
        return means + self._level, np.sqrt(variances)

    def _shared(
        self, wanted: Float[np.ndarray, "a 2"], where: Float[np.ndarray, "b 2"]
    ) -> tuple[Float[np.ndarray, "a b"], Float[np.ndarray, " b"]]:
        """Covariance of focus at two sets of places, and its variance at the second.

        Over the likeliest explanations: where these differ, a measurement decides between them.
        """
        channel, count = self.channels[0], MOST_EXPLANATIONS
        bases = self._basis(wanted, channel), self._basis(where, channel)
        parts = self._fit.parts[:count]
        weights = self._fit.weights[:count] / self._fit.weights[:count].sum()
        shared, variance = np.zeros((len(wanted), len(where))), np.zeros(len(where))
        means: list[tuple[NDArray[Any], NDArray[Any]]] = []
        for part, weight in zip(parts, weights, strict=True):
            crosses = self._unit(wanted, part.length), self._unit(where, part.length)
            between = matern(wanted, where, part.length)
            shared += weight * part.covariance(crosses, between, bases)
            there, spread = part.predict(crosses[1], np.ones(len(where)), bases[1])
            means.append((part.predict(crosses[0], np.ones(len(wanted)), bases[0])[0], there))
            variance += weight * spread
        first, second = (np.array(side) for side in zip(*means, strict=True))
        first, second = first - weights @ first, second - weights @ second
        shared += (weights[:, None] * first).T @ second
        return shared, variance + weights @ second**2

    @cached_property
    def _lengths(self) -> tuple[float, ...]:
        return tuple({part.length for part in self._fit.parts})


def matern(
    first_um: Float[np.ndarray, "a 2"], second_um: Float[np.ndarray, "b 2"], length_um: float
) -> Float[np.ndarray, "a b"]:
    """Matern 5/2 covariance at unit amplitude ([Rasmussen2006]_, equation 4.17).

    Examples
    --------
    >>> here = np.zeros((1, 2))
    >>> float(matern(here, here, 100.0)[0, 0])
    1.0
    """
    apart = np.hypot(*(first_um[:, None] - second_um[None]).transpose(2, 0, 1))
    ratio = np.sqrt(5.0) * apart / length_um
    return np.asarray((1.0 + ratio + ratio**2 / 3.0) * np.exp(-ratio))


def _places(x_um: Numbers, y_um: Numbers) -> Float[np.ndarray, "n 2"]:
    places = np.stack([np.asarray(x_um, float), np.asarray(y_um, float)], axis=-1)
    if not np.isfinite(places).all():
        raise InputError("Places must have finite x and y in um, but one does not.")
    return places
