"""Where focus lies at each position of an acquisition, measured or carried over."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from parfocal.drive.drift import DriftPoint, DriftTracker
from parfocal.drive.pymmcore.acquisition import Basis

# Position and tile of the grid; None where the sequence has no such axis.
Place = tuple[int | None, int | None]


@dataclass(frozen=True)
class _Known:
    """What the last focus run at a place gave."""

    name: str
    correction_um: float
    time_index: int | None


class Corrections:
    """Focus minus planned z at each place, followed over time by a ``DriftTracker``.

    A place is a position and a tile of its grid. A tile without focus of its own takes that of
    its position. What was measured holds for the time point of the measurement; at others, the
    drift that all places share carries it on. A place that was never focused takes the median of
    the others.

    Examples
    --------
    >>> known = Corrections()
    >>> known.at((0, None), 0, time_s=0.0)
    (0.0, 'planned')
    >>> known.found((0, None), 0, 2.5, time_s=1.0)
    >>> known.at((0, 3), 0, time_s=2.0), known.at((7, None), 0, time_s=2.0)
    ((2.5, 'measured'), (2.5, 'predicted'))
    """

    def __init__(self) -> None:
        self.tracker = DriftTracker()
        self._known: dict[Place, _Known] = {}
        self._missed: dict[Place, str] = {}
        self._told: dict[tuple[Place, int | None], float] = {}

    def found(
        self,
        place: Place,
        time_index: int | None,
        correction_um: float,
        *,
        time_s: float,
        interval_um: tuple[float, float] | None = None,
    ) -> None:
        """Take a measurement in."""
        name = f"p{place[0]} g{place[1]}"
        known = _Known(name, correction_um, time_index)
        for key in (place, (place[0], None)):
            self._known[key] = known
            self._missed.pop(key, None)
        self._told.clear()
        point = DriftPoint(
            time_s=time_s, z_um=correction_um, interval_um=interval_um, position=name
        )
        self.tracker = self.tracker.with_points(point)

    def missed(self, place: Place, reason: str) -> None:
        """Remember that focus was not found, and why."""
        for key in (place, (place[0], None)):
            self._missed[key] = reason

    def refusal(self, place: Place) -> str:
        """Why focus is not known here although it was looked for; empty if it is."""
        return self._missed.get(self._key(place), "")

    def at(self, place: Place, time_index: int | None, *, time_s: float) -> tuple[float, Basis]:
        """Correction in um for one place and time point, and what it rests on."""
        key = self._key(place)
        known = self._known.get(key)
        if known is not None and known.time_index == time_index and key not in self._missed:
            return known.correction_um, "measured"
        if not self._known:
            return 0.0, "planned"
        # One answer for all frames of a time point, so that the planes of a stack stay even.
        if (key, time_index) not in self._told:
            self._told[key, time_index] = self._predict(known, time_s)
        return self._told[key, time_index], "predicted"

    def _key(self, place: Place) -> Place:
        own = place in self._known or place in self._missed
        return place if own else (place[0], None)

    def _predict(self, known: _Known | None, time_s: float) -> float:
        if known is not None:
            if known.name not in self.tracker.positions:  # beyond the memory of the tracker
                return known.correction_um
            return self.tracker.predict(time_s, position=known.name).z_um
        return statistics.median(told.z_um for told in self.tracker.carry_over(time_s).values())
