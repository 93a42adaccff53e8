"""Watch and hold: keep a field in focus for hours, with as little light as the drift allows."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from parfocal.core.errors import DeviceError, InputError, LimitsError
from parfocal.core.protocols import Clock, Microscope
from parfocal.core.results import Status
from parfocal.core.setup import OpticalSetup
from parfocal.drive.drift import DriftPoint, DriftTracker, PredictedZ
from parfocal.drive.focus_points import Positive
from parfocal.drive.gate import Gate
from parfocal.drive.limits import Limits
from parfocal.drive.loop import autofocus
from parfocal.drive.record import FocusReport
from parfocal.drive.search import Search

Action = Literal["measured", "predicted", "missed", "failed"]

FEWEST_IMAGES = 3
"""A focus search with fewer images left cannot end in a checked answer."""


class HoldSettings(BaseModel):
    """When to measure, and what may be spent over the whole watch.

    Parameters
    ----------
    every_s
        Time between two checks.
    tolerance_um
        Focus is measured when the 90 % interval of the prediction is wider than +- this, else
        the stage follows the prediction without an image.
    range_um
        Least range that a focus search looks at.
    max_images, max_exposure_ms
        Budget of the whole watch.
    when_spent
        With the budget spent: follow the "predict"ion on, or "stop".
    after_miss
        When focus is not found: follow the "predict"ion, or "stop".
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    every_s: Positive = 60.0
    tolerance_um: Positive = 0.5
    range_um: Positive = 8.0
    max_images: Annotated[int, Field(ge=1)] | None = None
    max_exposure_ms: Positive | None = None
    when_spent: Literal["predict", "stop"] = "predict"
    after_miss: Literal["predict", "stop"] = "predict"


@dataclass(frozen=True, kw_only=True)
class HoldCheck:
    """One look at the clock, and what was done.

    ``action`` is "measured" (focus was found by images), "predicted" (followed without), "missed"
    (looked, and not found) or "failed" (a device or a limit forbade it). ``z_um`` is where the
    stage was sent; ``interval_um`` the 90 % interval of focus, as far as it is known.
    """

    time_s: float
    action: Action
    reason: str
    z_um: float | None = None
    interval_um: tuple[float, float] | None = None
    images: int = 0
    exposure_ms: float = 0.0


@dataclass(frozen=True, eq=False, kw_only=True)
class HoldReport:
    """A watch: every check, what was learned of the drift, and why it ended."""

    checks: tuple[HoldCheck, ...]
    tracker: DriftTracker
    ended: Literal["done", "stopped", "interrupted"]
    reason: str

    @property
    def images(self) -> int:
        """Images that focusing took."""
        return sum(check.images for check in self.checks)

    @property
    def exposure_ms(self) -> float:
        """Their summed exposure."""
        return sum(check.exposure_ms for check in self.checks)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "kind": "parfocal hold",
            "ended": self.ended,
            "reason": self.reason,
            "images": self.images,
            "exposure_ms": self.exposure_ms,
            "checks": [asdict(check) for check in self.checks],
            "drift": self.tracker.to_dict(),
        }

    def save(self, path: str | Path) -> None:
        """Write JSON."""
        Path(path).write_text(json.dumps(self.to_dict(), indent=1), encoding="utf-8")


def hold(
    scope: Microscope,
    *,
    limits: Limits,
    duration_s: float,
    settings: HoldSettings | None = None,
    search: Search | None = None,
    tracker: DriftTracker | None = None,
    measure: str | Callable[[NDArray[Any]], Any] = "tenengrad",
    setup: OpticalSetup | None = None,
    on_check: Callable[[HoldCheck], None] | None = None,
    on_report: Callable[[HoldReport], None] | None = None,
) -> HoldReport:
    """Keep one field in focus: predict the drift, and look only when the prediction is unsure.

    Parameters
    ----------
    scope
        Any ``Microscope``; a ``Clock`` of its own is used.
    limits
        The envelope of every move and of every focus run. Searches look at less: the range that
        the drift predicts with a probability of 99 %, and at all of it where that fails.
    duration_s
        How long to watch; there is a check at the start and one every ``settings.every_s``.
    tracker
        What is known of the drift already, in seconds of the same clock.
    on_check
        Called with every check; what it raises ends the watch.
    on_report
        Called with the report however the watch ends, also before an exception goes on.

    Returns
    -------
    HoldReport
        Devices that fail are in it; a run that fails leaves the stage where
        ``limits.after_failure`` says.

    Raises
    ------
    LimitsError
        If the stage stands outside the limits, before anything moves.
    """
    if not 0 <= duration_s < math.inf:
        raise InputError(f"duration_s is {duration_s:g}, but a watch lasts 0 s or longer.")
    watch = _Watch(scope, limits, settings or HoldSettings(), tracker or DriftTracker())
    end_s = watch.now_s() + duration_s
    try:
        while True:
            due_s = watch.now_s() + watch.settings.every_s
            check = watch.check(search, measure, setup)
            if on_check is not None:
                on_check(check)
            stop = watch.stop_after(check)
            if stop or due_s > end_s:
                watch.ended = "stopped" if stop else "done"
                watch.reason = stop or f"watched for {duration_s:g} s"
                return watch.report()
            watch.wait_until(due_s)
    finally:
        if on_report is not None:
            on_report(watch.report())


class _Watch:
    """What a watch has seen and spent."""

    def __init__(
        self, scope: Microscope, limits: Limits, settings: HoldSettings, tracker: DriftTracker
    ) -> None:
        self.scope, self.limits, self.settings, self.tracker = scope, limits, settings, tracker
        self.checks: list[HoldCheck] = []
        self.ended: Literal["done", "stopped", "interrupted"] = "interrupted"
        self.reason = "interrupted before its end"
        self._clock = scope if isinstance(scope, Clock) else None

    def now_s(self) -> float:
        return time.monotonic() if self._clock is None else float(self._clock.now_s())

    def report(self) -> HoldReport:
        return HoldReport(
            checks=tuple(self.checks), tracker=self.tracker, ended=self.ended, reason=self.reason
        )

    def wait_until(self, due_s: float) -> None:
        left_s = max(0.0, due_s - self.now_s())
        if self._clock is None:
            time.sleep(left_s)
        else:
            self._clock.wait_s(left_s)

    def check(
        self,
        search: Search | None,
        measure: str | Callable[[NDArray[Any]], Any],
        setup: OpticalSetup | None,
    ) -> HoldCheck:
        known = self.tracker.predict(self.now_s()) if self.tracker.points else None
        spent, runs = self._spent(), list[FocusReport]()
        check: HoldCheck | None = None
        try:
            if known is not None and (spent or self._sure(known)):
                check = self._follow(known, spent or "the prediction is sure enough")
            elif spent:
                check = HoldCheck(time_s=self.now_s(), action="failed", reason=spent)
            else:
                run = partial(
                    autofocus, self.scope, search=search, measure=measure, setup=setup,
                    on_report=runs.append,
                )  # fmt: skip
                check = self._look(known, run, runs)
        except (DeviceError, LimitsError) as fault:
            if not self.checks:  # nothing has moved
                raise
            check = self._cut_short(str(fault), runs)
        finally:
            self.checks.append(check or self._cut_short("interrupted", runs))
        return check

    def _cut_short(self, reason: str, runs: list[FocusReport]) -> HoldCheck:
        return HoldCheck(
            time_s=self.now_s(),
            action="failed",
            reason=reason,
            images=sum(run.images for run in runs),
            exposure_ms=sum((run.exposure_ms for run in runs), 0.0),
        )

    def stop_after(self, check: HoldCheck) -> str:
        """Why the watch ends here; empty if it goes on."""
        if check.action == "failed":
            return check.reason
        if self.settings.after_miss == "stop" and check.action == "missed":
            return check.reason
        return self._spent() if self.settings.when_spent == "stop" else ""

    def _sure(self, known: PredictedZ) -> bool:
        low, high = known.interval_um
        return high - low <= 2 * self.settings.tolerance_um

    def _spent(self) -> str:
        images, exposure_ms = self._left()
        if images is not None and images < FEWEST_IMAGES:
            return f"the budget of {self.settings.max_images} images is spent"
        if exposure_ms is not None and exposure_ms <= 0:
            return f"the budget of {self.settings.max_exposure_ms:g} ms of light is spent"
        return ""

    def _left(self) -> tuple[int | None, float | None]:
        images, exposure_ms = self.settings.max_images, self.settings.max_exposure_ms
        if images is not None:
            images -= sum(check.images for check in self.checks)
        if exposure_ms is not None:
            exposure_ms -= sum(check.exposure_ms for check in self.checks)
        return images, exposure_ms

    def _follow(self, known: PredictedZ, reason: str) -> HoldCheck:
        """Go where focus should be, without an image."""
        if not self.limits.allow(known.z_um):
            text = f"focus should be at {known.z_um:g} um, outside the limits: nothing was moved"
            return HoldCheck(
                time_s=self.now_s(), action="failed", reason=text, interval_um=known.interval_um
            )
        try:
            with Gate(self.scope, self.limits) as gate:
                gate.move_to_um(known.z_um)
        except DeviceError as fault:
            return HoldCheck(time_s=self.now_s(), action="failed", reason=str(fault))
        return HoldCheck(
            time_s=self.now_s(), action="predicted", reason=reason,
            z_um=known.z_um, interval_um=known.interval_um,
        )  # fmt: skip

    def _look(
        self,
        known: PredictedZ | None,
        run: Callable[..., FocusReport],
        reports: list[FocusReport],
    ) -> HoldCheck:
        """Measure focus where it should be, then everywhere; follow the prediction if it is not."""
        began_s = self.now_s()
        near = known is not None and self.limits.allow(known.z_um)
        windows = [self._window_um(known), None] if near and known is not None else [None]
        for window_um in windows:
            left = self._limits(window_um, reports)
            if left is None:
                break
            if window_um is not None and known is not None:
                there = self._follow(known, "")
                if there.action == "failed":
                    return there
            run(limits=left)
            if reports[-1].found or reports[-1].status == Status.FAILED:
                break
        last = reports[-1]
        action: Action = "missed"
        z_um, interval_um = last.z_um, last.interval_um
        if z_um is not None:
            action = "measured"
            point = DriftPoint(time_s=began_s, z_um=z_um, interval_um=interval_um)
            self.tracker = self.tracker.with_points(point)
        elif last.status == Status.FAILED:
            action = "failed"
        elif known is not None:
            z_um = self._follow(known, "").z_um
        return HoldCheck(
            time_s=began_s,
            action=action,
            reason=last.reason,
            z_um=z_um,
            interval_um=interval_um,
            images=sum(report.images for report in reports),
            exposure_ms=sum(report.exposure_ms for report in reports),
        )

    def _window_um(self, known: PredictedZ) -> tuple[float, float]:
        """Where focus is with a probability of 99 %, with room for backlash."""
        low, high = self.tracker.predict(self.now_s(), probability=0.99).interval_um
        half = 0.5 * max(high - low, self.settings.range_um) + self.limits.overshoot_um
        middle = 0.5 * (low + high)
        return min(middle - half, known.z_um), max(middle + half, known.z_um)

    def _limits(
        self, window_um: tuple[float, float] | None, reports: list[FocusReport]
    ) -> Limits | None:
        """The limits of one focus run, or None if too little is left of the budget."""
        images, exposure_ms = self._left()
        values: dict[str, Any] = {}
        if images is not None:
            images -= sum(report.images for report in reports)
            if images < FEWEST_IMAGES:
                return None
            values["max_images"] = min(images, self.limits.max_images or images)
        if exposure_ms is not None:
            exposure_ms -= sum(report.exposure_ms for report in reports)
            if exposure_ms <= 0:
                return None
            values["max_exposure_ms"] = min(exposure_ms, self.limits.max_exposure_ms or exposure_ms)
        if window_um is not None:
            values["z_min_um"] = max(window_um[0], self.limits.z_min_um)
            values["z_max_um"] = min(window_um[1], self.limits.z_max_um)
        return self.limits.model_copy(update=values)
