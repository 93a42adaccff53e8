"""Map focus over a field: search at a few places, and know the rest by the surface between."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from parfocal.core.errors import DeviceError, InputError, LimitsError
from parfocal.core.protocols import Microscope, XYStage
from parfocal.core.results import Status
from parfocal.core.setup import OpticalSetup
from parfocal.drive.focus_points import FocusPoint, Positive
from parfocal.drive.gate import Gate
from parfocal.drive.limits import Limits
from parfocal.drive.loop import autofocus
from parfocal.drive.record import FocusReport
from parfocal.drive.search import Search
from parfocal.drive.surface import XY, FocusSurface

Measure = str | Callable[[NDArray[Any]], Any]
FEWEST_IMAGES = 5
"""A focus search with fewer images left cannot end in a checked answer."""


@runtime_checkable
class MappingMicroscope(Microscope, XYStage, Protocol):
    """A microscope that also moves the specimen across the field."""


class MapSettings(BaseModel):
    """When a map is good enough, and what it may cost.

    Parameters
    ----------
    tolerance_um
        The map is good enough when focus is known to within +- this (90 %) at every place.
    fewest, most
        Places to focus at, at least and at most; None is all.
    range_um
        Least range that a search looks at once the surface is roughly known.
    max_images
        Budget of the whole map.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    tolerance_um: Positive = 0.5
    fewest: Annotated[int, Field(ge=1)] = 4
    most: Annotated[int, Field(ge=1)] | None = None
    range_um: Positive = 8.0
    max_images: Annotated[int, Field(ge=1)] | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class MapPoint:
    """One place that was focused at; ``report`` is the last run there."""

    x_um: float
    y_um: float
    report: FocusReport
    images: int


@dataclass(frozen=True, eq=False, kw_only=True)
class FocusMap:
    """What was measured, and the surface through it; None where focus was found nowhere.

    ``ended`` is "good" (known well enough everywhere), "all" (every place was looked at), "spent"
    (the budget is) or "failed"; ``reason`` says it in plain words.
    """

    places: tuple[XY, ...]
    points: tuple[MapPoint, ...]
    surface: FocusSurface | None
    ended: Literal["good", "all", "spent", "failed"]
    reason: str

    @property
    def images(self) -> int:
        """Images that the map took."""
        return sum(point.images for point in self.points)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: every place with its focus, and every run."""
        rows: list[dict[str, Any]] = [{"x_um": x, "y_um": y} for x, y in self.places]
        if self.surface is not None:
            told = self.surface.predict([x for x, _ in self.places], [y for _, y in self.places])
            values = zip(told.z_um, told.low_um, told.high_um, strict=True)
            for row, (z, low, high) in zip(rows, values, strict=True):
                row |= {"z_um": float(z), "interval_um": [float(low), float(high)]}
        return {
            "kind": "parfocal focus map",
            "ended": self.ended,
            "reason": self.reason,
            "images": self.images,
            "places": rows,
            "points": [
                {"x_um": p.x_um, "y_um": p.y_um, "images": p.images, "report": p.report.to_dict()}
                for p in self.points
            ],
            "surface": None if self.surface is None else self.surface.to_dict(),
        }


def grid_um(count_x: int, count_y: int, pitch_um: float, centre_um: XY) -> tuple[XY, ...]:
    """Places of a grid around a centre, row by row in turns (a snake).

    Examples
    --------
    >>> grid_um(2, 2, 10.0, (0.0, 0.0))
    ((-5.0, -5.0), (5.0, -5.0), (5.0, 5.0), (-5.0, 5.0))
    """
    if min(count_x, count_y) < 1 or not pitch_um > 0:
        raise InputError(f"A grid of {count_x} x {count_y} places, {pitch_um:g} um apart, is none.")
    places = []
    for row in range(count_y):
        y_um = centre_um[1] + (row - (count_y - 1) / 2) * pitch_um
        columns = range(count_x) if row % 2 == 0 else reversed(range(count_x))
        places += [(centre_um[0] + (c - (count_x - 1) / 2) * pitch_um, y_um) for c in columns]
    return tuple(places)


def map_focus(
    scope: MappingMicroscope,
    places: Sequence[XY],
    *,
    limits: Limits,
    settings: MapSettings | None = None,
    search: Search | None = None,
    measure: Measure = "tenengrad",
    setup: OpticalSetup | None = None,
    keep_images: bool = False,
    on_point: Callable[[MapPoint], None] | None = None,
) -> FocusMap:
    """Focus at one place after the other, where it tells most, until the map is good enough.

    Afterwards the stages go back: xy to where it was, z to the focus that the map gives there.

    Parameters
    ----------
    scope
        A ``Microscope`` with an ``XYStage``.
    places
        (x, y) in um at which focus shall be known; measurements are taken at some of them.
    limits
        The envelope of every move of the focus and of every run. xy has limits of its own, those
        of its stage.
    on_point
        Called with every place that was focused at, found or not; what it raises ends the map.

    Returns
    -------
    FocusMap
        Devices that fail are in it.

    Raises
    ------
    InputError
        If the microscope has no xy stage, or there are no places.
    LimitsError
        If the focus stands outside the limits, before anything moves.
    """
    if not isinstance(scope, XYStage):
        raise InputError("This microscope has no xy stage, so it cannot map: focus once instead.")
    if not places:
        raise InputError("A map needs at least one place, but none came.")
    limits.require(scope.position_um(), "the stage stands at")
    walk = _Walk(scope, tuple(places), limits, settings or MapSettings())
    runs: dict[str, Any] = {
        "search": search, "measure": measure, "setup": setup, "keep_images": keep_images,
    }  # fmt: skip
    home = scope.xy_um()
    ended: Literal["good", "all", "spent", "failed"]
    while True:
        ended, reason = walk.over(home)
        if reason:
            break
        try:
            walk.visit(walk.choose(home), runs, on_point)
        except DeviceError as error:
            ended, reason = "failed", str(error)
            break
    if ended != "failed":
        reason += walk.go_home(home)
    return FocusMap(
        places=walk.places, points=tuple(walk.points), surface=walk.surface(), ended=ended,
        reason=reason,
    )  # fmt: skip


class _Walk:
    """Where a map has been."""

    def __init__(
        self,
        scope: MappingMicroscope,
        places: tuple[XY, ...],
        limits: Limits,
        settings: MapSettings,
    ) -> None:
        self.scope, self.places, self.limits, self.settings = scope, places, limits, settings
        self.left = list(places)
        self.points: list[MapPoint] = []
        self._held: tuple[int, FocusSurface | None] = (0, None)

    def surface(self) -> FocusSurface | None:
        """Through all that was found; fitted anew only after another run."""
        if self._held[0] != len(self.points):
            found = [
                FocusPoint(
                    x_um=p.x_um, y_um=p.y_um, z_um=p.report.z_um, interval_um=p.report.interval_um
                )
                for p in self.points
                if p.report.z_um is not None
            ]
            self._held = (len(self.points), FocusSurface(found) if found else None)
        return self._held[1]

    def over(self, home: XY) -> tuple[Literal["good", "all", "spent", "failed"], str]:
        """Why the map ends here; an empty reason if it goes on."""
        last = self.points[-1].report if self.points else None
        if last is not None and last.status == Status.FAILED:
            return "failed", last.reason
        settings, surface = self.settings, self.surface()
        found = 0 if surface is None else len(surface.points)
        if not self.left:
            return "all", f"every place was looked at, and focus found at {found}"
        if settings.most is not None and len(self.points) >= settings.most:
            return "spent", f"{len(self.points)} places were looked at"
        left = self.images_left()
        if left is not None and left < FEWEST_IMAGES:
            return "spent", f"the budget of {settings.max_images} images is spent"
        enough = surface is not None and found >= settings.fewest
        if enough and surface is not None and self._good(surface):
            return "good", (
                f"focus is known to within +-{settings.tolerance_um:g} um at all "
                f"{len(self.places)} places"
            )
        return "good", ""

    def _good(self, surface: FocusSurface) -> bool:
        return surface.good_enough(self.settings.tolerance_um, at=self.places)

    def images_left(self) -> int | None:
        """What the budget still allows; None without one."""
        most = self.settings.max_images
        return None if most is None else most - sum(point.images for point in self.points)

    def choose(self, home: XY) -> XY:
        """The nearest place at first, then where a search tells most."""
        surface = self.surface()
        here = self.scope.xy_um() if self.points else home
        if surface is None:
            return min(self.left, key=lambda place: float(np.hypot(*np.subtract(place, here))))
        return self.left[surface.next_position(self.left, at_um=here, targets=self.places)]

    def visit(
        self, place: XY, runs: dict[str, Any], on_point: Callable[[MapPoint], None] | None
    ) -> None:
        """Focus at a place: where the surface expects it, and over the whole range if not there."""
        self.left.remove(place)
        self.scope.move_xy_to_um(*place)
        windows: list[tuple[float, float] | None] = [self._window_um(place), None]
        report, images = None, 0
        for window_um in windows if windows[0] is not None else windows[1:]:
            limits = self._limits(window_um, images)
            if limits is None:
                break
            if not limits.allow(self.scope.position_um()):
                self._go_to((limits.low_um + limits.high_um) / 2)
            report = autofocus(self.scope, limits=limits, **runs)
            images += report.images
            if report.found or report.status == Status.FAILED:
                break
        if report is not None:
            point = MapPoint(x_um=place[0], y_um=place[1], report=report, images=images)
            self.points.append(point)
            if on_point is not None:
                on_point(point)

    def _window_um(self, place: XY) -> tuple[float, float] | None:
        """Where focus is with a probability of 99 %; None where next to nothing is known."""
        surface = self.surface()
        if surface is None or len(surface.points) < self.settings.fewest - 1:
            return None
        low, high = surface.search_range_um(*place)
        middle, half = (low + high) / 2, max(high - low, self.settings.range_um) / 2
        half += self.limits.overshoot_um
        low = max(middle - half, self.limits.low_um)
        high = min(middle + half, self.limits.high_um)
        narrow = high - low < 0.8 * (self.limits.high_um - self.limits.low_um)
        return (low, high) if narrow and high > low else None

    def _limits(self, window_um: tuple[float, float] | None, spent: int) -> Limits | None:
        """The limits of one run, or None if too few images are left."""
        values: dict[str, Any] = {}
        left = self.images_left()
        if left is not None:
            if left - spent < FEWEST_IMAGES:
                return None
            values["max_images"] = min(left - spent, self.limits.max_images or left)
        if window_um is not None:
            values |= {"z_min_um": window_um[0], "z_max_um": window_um[1]}
        return self.limits.model_copy(update=values)

    def _go_to(self, z_um: float) -> None:
        with Gate(self.scope, self.limits) as gate:
            gate.move_to_um(z_um)

    def go_home(self, home: XY) -> str:
        """Back to where the map began, in focus; what went wrong, if something did."""
        surface = self.surface()
        try:
            self.scope.move_xy_to_um(*home)
            if surface is not None:
                self._go_to(float(surface.predict(*home).z_um))
        except (DeviceError, LimitsError) as error:
            return f"; but the stages did not get back: {error}"
        return ""
