"""What a run has spent of its budget: images, exposure, light and time."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

from parfocal.core.errors import BudgetError
from parfocal.core.protocols import Clock, DoseMeter
from parfocal.drive.limits import Limits
from parfocal.drive.watchdog import Outcome


class Spending:
    """Counts images and exposure, and reads the microscope's clock and meter where it has them.

    A clock or a meter that fails is not believed: time goes on by the computer's, and the dose
    stays as it was told last.
    """

    def __init__(self, scope: object, limits: Limits) -> None:
        self.limits = limits
        self.images, self.exposure_ms = 0, 0.0
        # Duration of the longest image, which the next may take too.
        self.longest_s = 0.0
        self._clock = scope if isinstance(scope, Clock) else None
        self._meter = scope if isinstance(scope, DoseMeter) else None
        self._told_s, self._told_at_s, self._told_dose = 0.0, time.monotonic(), 0.0
        self._began_s = self.now_s()
        self._dose_before = self._dose_so_far()

    def now_s(self) -> float:
        """The microscope's clock where it has one, else the computer's."""
        wall_s = time.monotonic()
        if self._clock is None:
            return wall_s
        since_s = self._told_s + wall_s - self._told_at_s
        self._told_s, self._told_at_s = number(self._clock.now_s, since_s), wall_s
        return self._told_s

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        (time.sleep if self._clock is None else self._clock.wait_s)(seconds)

    @property
    def seconds(self) -> float:
        """Time since the beginning."""
        return self.now_s() - self._began_s

    @property
    def dose(self) -> float:
        """Light since the beginning, in ms at full power; else the summed exposure."""
        if self._meter is None:
            return self.exposure_ms
        return self._dose_so_far() - self._dose_before

    def _dose_so_far(self) -> float:
        meter = self._meter
        if meter is not None:
            self._told_dose = number(lambda: meter.ledger.dose, self._told_dose)
        return self._told_dose

    def images_left(self, exposure_ms: float | None) -> float:
        """Images that the budget still allows, of this exposure each."""
        limits, left = self.limits, math.inf
        if limits.max_images is not None:
            left = float(limits.max_images - self.images)
        if limits.max_exposure_ms is not None:
            rest = limits.max_exposure_ms - self.exposure_ms
            left = min(left, float(math.floor(rest / (exposure_ms or math.inf) + 1e-9)))
        return left

    def require(self, count: int, exposure_ms: float | None) -> None:
        """Raise BudgetError if so many images exceed the budget."""
        self.require_time()
        limits = self.limits
        if limits.max_images is not None and self.images + count > limits.max_images:
            raise BudgetError(f"{self.images} of {limits.max_images} images (max_images) are spent")
        total = self.exposure_ms + count * (exposure_ms or 0.0)
        if limits.max_exposure_ms is not None and total > limits.max_exposure_ms * (1 + 1e-9):
            raise BudgetError(
                f"{self.exposure_ms:g} of {limits.max_exposure_ms:g} ms of exposure "
                f"(max_exposure_ms) are spent, and the next image takes {exposure_ms:g} ms"
            )

    def require_time(self) -> None:
        """Raise BudgetError if there is no time for another image."""
        most = self.limits.max_seconds
        if most is not None and self.seconds + self.longest_s > most:
            raise BudgetError(f"{self.seconds:.1f} of {most:g} s (max_seconds) are over")

    def add(self, exposure_ms: float | None) -> None:
        """Count an image, before it is taken: one that fails has cost its light too."""
        self.require(1, exposure_ms)
        self.images += 1
        self.exposure_ms += exposure_ms or 0.0


def number(read: Callable[[], Any], otherwise: float) -> float:
    """What a driver tells, if it is a finite number; Ctrl-C goes through.

    Examples
    --------
    >>> number(lambda: "no number", 2.0)
    2.0
    """
    outcome = Outcome()
    with outcome:
        outcome.value = float(read())
    if outcome.error is not None and not isinstance(outcome.error, Exception):
        raise outcome.error
    told = otherwise if outcome.error is not None else float(outcome.value)
    return told if math.isfinite(told) else otherwise
