"""Searches that narrow a bracket: Brent's method and the golden section."""

from __future__ import annotations

import math
from collections.abc import Generator
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from parfocal.drive.beside import judge_beside
from parfocal.drive.limits import Positive
from parfocal.drive.search import Eye, Proposal

GOLDEN = (3.0 - math.sqrt(5.0)) / 2.0
ROUNDING = math.sqrt(2.2e-16)
# Generators that yield a z to look at and are sent its score.
Steps = Generator[float, float, None]


def brent_steps(low: float, high: float, tolerance: float, most: int = 500) -> Steps:
    """Points of Brent's bounded minimisation of the negative score [Brent1973]_.

    Golden sections, replaced by a parabola through the three best points where it is safe.

    Parameters
    ----------
    low, high
        Bracket.
    tolerance
        Distance within which the maximum is to be known.
    most
        Greatest number of points.

    Yields
    ------
    The next point; the score there is sent back.
    """
    best = low + GOLDEN * (high - low)
    second = third = best
    step = previous = 0.0
    f_best = -(yield best)
    f_second = f_third = f_best
    for _ in range(most - 1):
        middle = 0.5 * (low + high)
        near = ROUNDING * abs(best) + tolerance / 3.0
        if abs(best - middle) <= 2.0 * near - 0.5 * (high - low):
            return
        parabolic = False
        if abs(previous) > near:
            r = (best - second) * (f_best - f_third)
            q = (best - third) * (f_best - f_second)
            p = (best - third) * q - (best - second) * r
            q = 2.0 * (q - r)
            p, q = (-p, q) if q > 0 else (p, -q)
            before, previous = previous, step
            parabolic = abs(p) < abs(0.5 * q * before) and q * (low - best) < p < q * (high - best)
            if parabolic:
                step = p / q
                if min(best + step - low, high - best - step) < 2.0 * near:
                    step = near if middle >= best else -near
        if not parabolic:
            previous = (low if best >= middle else high) - best
            step = GOLDEN * previous
        point = best + (step if abs(step) >= near else math.copysign(near, step or 1.0))
        f_point = -(yield point)
        if f_point <= f_best:
            low, high = (best, high) if point >= best else (low, best)
            third, f_third, second, f_second = second, f_second, best, f_best
            best, f_best = point, f_point
            continue
        low, high = (point, high) if point < best else (low, point)
        if f_point <= f_second or second == best:
            third, f_third, second, f_second = second, f_second, point, f_point
        elif f_point <= f_third or third in (best, second):
            third, f_third = point, f_point


def golden_steps(low: float, high: float, tolerance: float, most: int = 500) -> Steps:
    """Points of a golden-section search for the highest score [Kiefer1953]_.

    Yields
    ------
    The next point; the score there is sent back.
    """
    left, right = low + GOLDEN * (high - low), high - GOLDEN * (high - low)
    f_left = yield left
    f_right = yield right
    for _ in range(most - 2):
        if high - low <= 2 * tolerance:
            return
        if f_left >= f_right:
            high, right, f_right = right, left, f_left
            left = low + GOLDEN * (high - low)
            f_left = yield left
        else:
            low, left, f_left = left, right, f_right
            right = high - GOLDEN * (high - low)
            f_right = yield right


def follow(eye: Eye, steps: Steps, why: str) -> None:
    """Look where the steps say until they end or the budget does."""
    z_um = next(steps, None)
    while z_um is not None and eye.looks_left >= 1:
        score = eye.look(z_um, why).score
        if not math.isfinite(score):
            return
        z_um = _send(steps, score)
    steps.close()


def _send(steps: Steps, score: float) -> float | None:
    try:
        return steps.send(score)
    except StopIteration:
        return None


class BrentSearch(BaseModel):
    """Narrow a bracket around the start by Brent's method [Brent1973]_.

    With its defaults the search that Micro-Manager's OughtaFocus makes, and then a few images
    beside the answer. Fast, but it follows one peak only and may take the wrong one.

    Parameters
    ----------
    range_um
        Bracket around the start, cut to the limits.
    tolerance_um
        Distance within which the peak is to be known.
    most_images
        Stop after so many.

    Notes
    -----
    Laws: visits the points of ``scipy.optimize.minimize_scalar(method="bounded")``.

    Examples
    --------
    >>> BrentSearch().range_um, BrentSearch().tolerance_um
    (10.0, 0.1)
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["brent"] = "brent"
    range_um: Positive = 10.0
    tolerance_um: Positive = 0.1
    most_images: Annotated[int, Field(ge=4)] = 60

    def propose(self, eye: Eye) -> Proposal:
        """Follow Brent's points and judge all of them."""
        low, high = eye.window_um(self.range_um)
        follow(eye, brent_steps(low, high, self.tolerance_um, self.most_images), "Brent's method")
        return judge_beside(eye)


class GoldenSearch(BaseModel):
    """Narrow a bracket around the start by golden sections [Kiefer1953]_.

    Parameters
    ----------
    range_um
        Bracket around the start, cut to the limits.
    tolerance_um
        Distance within which the peak is to be known.
    most_images
        Stop after so many.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["golden"] = "golden"
    range_um: Positive = 10.0
    tolerance_um: Positive = 0.1
    most_images: Annotated[int, Field(ge=4)] = 60

    def propose(self, eye: Eye) -> Proposal:
        """Follow golden sections and judge all points."""
        low, high = eye.window_um(self.range_um)
        steps = golden_steps(low, high, self.tolerance_um, self.most_images)
        follow(eye, steps, "golden section")
        return judge_beside(eye)
