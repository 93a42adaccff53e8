"""Searches that step through a range."""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import pairwise
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from parfocal.core.results import Status
from parfocal.drive.beside import judge_beside
from parfocal.drive.checks import judge
from parfocal.drive.limits import Positive
from parfocal.drive.search import Eye, Proposal, sharpest

# Step where neither it nor the optics are given: this many planes over the range.
PLANES = 31
# Step and fine step in depths of field: the first leaves three planes above half height.
STEP_DOF, FINE_STEP_DOF = 0.5, 0.4
COARSE_STEP_DOF = 1.5
# Images nearer than this share of a step to a planned one are not taken again.
REUSE = 0.3
# A sweep stops early only behind a peak that rises by this share of its height.
LEAST_RISE = 0.5


class SweepSearch(BaseModel):
    """Look at every plane of a range, then judge the whole curve.

    Parameters
    ----------
    range_um
        Range around the start; None is all that the limits allow.
    step_um
        Distance of the planes; None is half a depth of field, or a 30th of the range where the
        optics are unknown.
    most_images
        More planes than this are spread out instead.
    extend
        How often to go on, half a range at a time, where sharpness still rises at an end.

    Examples
    --------
    >>> SweepSearch(range_um=10, step_um=0.5).kind
    'sweep'
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["sweep"] = "sweep"
    range_um: Positive | None = None
    step_um: Positive | None = None
    most_images: Annotated[int, Field(ge=4)] = 101
    extend: Annotated[int, Field(ge=0)] = 1

    def propose(self, eye: Eye) -> Proposal:
        """Sweep, extend where the peak lies at an end, and judge."""
        low, high = eye.window_um(self.range_um)
        step_um = fitting_step_um(eye, low, high, self.step_um, STEP_DOF, self.most_images)
        reach = (high - low) / 2
        look_at(eye, planes_um(low, high, step_um), "sweep", step_um)
        proposal = judge(eye.shots, depth_of_field_um=eye.depth_of_field_um)
        for _ in range(self.extend):
            if proposal.status != Status.EDGE:
                break
            planes = beyond_um(eye, low, high, reach, step_um)
            if not planes or eye.looks_left < 1:
                break
            look_at(eye, planes, "extend the sweep towards the rising side", step_um)
            low, high = min(low, planes[0], planes[-1]), max(high, planes[0], planes[-1])
            proposal = judge(eye.shots, depth_of_field_um=eye.depth_of_field_um)
        return proposal


def fitting_step_um(
    eye: Eye, low_um: float, high_um: float, step_um: float | None, share_dof: float, most: int
) -> float:
    """The step asked for, or one from the optics, wide enough for the images that are left."""
    span = high_um - low_um
    if step_um is None:
        depth = eye.depth_of_field_um
        step_um = span / (PLANES - 1) if depth is None else min(share_dof * depth, span / 4)
    images = max(2.0, min(eye.looks_left, most))
    return max(step_um, span / (images - 1), 1e-9)


def planes_um(low_um: float, high_um: float, step_um: float) -> list[float]:
    """Planes from one end to the other, both included, evenly at about a step.

    Examples
    --------
    >>> planes_um(0.0, 2.0, 0.9)
    [0.0, 1.0, 2.0]
    """
    count = max(1, math.floor((high_um - low_um) / step_um + 1e-6))
    return [float(z_um) for z_um in np.linspace(low_um, high_um, count + 1)]


def look_at(eye: Eye, planes: Iterable[float], why: str, step_um: float) -> None:
    """Look at planes in the order that takes up backlash, as far as the budget goes."""
    ordered = sorted(planes, reverse=eye.limits.side == "down")
    for z_um in ordered:
        if eye.looks_left < 1:
            return
        eye.look(z_um, why, reuse_um=REUSE * step_um)


def beyond_um(
    eye: Eye, low_um: float, high_um: float, reach_um: float, step_um: float
) -> list[float]:
    """Planes beyond the end at which sharpness still rises, inside the limits."""
    best = sharpest(eye.shots)
    if best is None:
        return []
    limits = eye.limits
    if best.z_commanded_um > (low_um + high_um) / 2:
        end = min(high_um + reach_um, limits.high_um)
        return planes_um(high_um, end, step_um)[1:] if end - high_um > 0.5 * step_um else []
    end = max(low_um - reach_um, limits.low_um)
    return planes_um(end, low_um, step_um)[:-1] if low_um - end > 0.5 * step_um else []


class CoarseFineSearch(BaseModel):
    """Look coarsely over a range, then finely around the sharpest plane.

    Parameters
    ----------
    range_um
        Range around the start; None is all that the limits allow.
    coarse_step_um
        Distance of the coarse planes; None is one and a half depths of field.
    fine_step_um
        Distance of the fine planes; None is 0.4 depths of field, or a quarter of the coarse step.
    extend
        How often to go on, half a range at a time, where sharpness still rises at an end.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["coarse-fine"] = "coarse-fine"
    range_um: Positive | None = None
    coarse_step_um: Positive | None = None
    fine_step_um: Positive | None = None
    most_images: Annotated[int, Field(ge=6)] = 61
    extend: Annotated[int, Field(ge=0)] = 1

    def propose(self, eye: Eye) -> Proposal:
        """Sweep coarsely, then finely around the best, and judge both together."""
        low, high = eye.window_um(self.range_um)
        span = high - low
        asked = self.coarse_step_um
        if asked is None and eye.depth_of_field_um is None:
            asked = span / 12
        most = max(4, int(min(self.most_images, eye.looks_left) * 0.7))
        coarse = fitting_step_um(eye, low, high, asked, COARSE_STEP_DOF, most)
        look_at(eye, planes_um(low, high, coarse), "coarse sweep", coarse)
        for _ in range(self.extend):
            best = sharpest(eye.shots)
            if best is None or low + coarse / 2 < best.z_commanded_um < high - coarse / 2:
                break
            planes = beyond_um(eye, low, high, span / 2, coarse)
            look_at(eye, planes, "extend towards the rising side", coarse)
            low, high = min([low, *planes]), max([high, *planes])
        best = sharpest(eye.shots)
        if best is not None:
            self._look_closer(eye, best.z_commanded_um, coarse)
        return judge(eye.shots, depth_of_field_um=eye.depth_of_field_um)

    def _look_closer(self, eye: Eye, middle_um: float, coarse_um: float) -> None:
        """Fine planes as far as the coarse neighbours on both sides."""
        depth = eye.depth_of_field_um
        fine = self.fine_step_um or (coarse_um / 4 if depth is None else FINE_STEP_DOF * depth)
        count = math.ceil(coarse_um / fine - 1e-9)
        if eye.looks_left < 2 * count:
            count = max(1, int(eye.looks_left // 2))
            fine = coarse_um / (count + 1)
        offsets = [k * fine for k in range(-count, count + 1) if abs(k * fine) < coarse_um * 0.999]
        planes = [middle_um + offset for offset in offsets if eye.limits.allow(middle_um + offset)]
        look_at(eye, planes, "fine sweep", fine)


class EarlyStopSearch(BaseModel):
    """Step through a range from one end and stop once the peak is clearly past.

    Parameters
    ----------
    range_um
        Range around the start; None is all that the limits allow.
    step_um
        Distance of the planes; None is half a depth of field, or a 30th of the range.
    falls
        Images in a row that must be below ``share`` of the rise.
    share
        Height, as a share of the rise from the lowest to the highest score so far, below which
        an image counts as past the peak.
    most_images
        More planes than this are spread out instead.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["early-stop"] = "early-stop"
    range_um: Positive | None = None
    step_um: Positive | None = None
    falls: Annotated[int, Field(ge=1)] = 3
    share: Annotated[float, Field(gt=0, lt=1)] = 0.5
    most_images: Annotated[int, Field(ge=4)] = 101

    def propose(self, eye: Eye) -> Proposal:
        """Sweep until the peak is past, and judge."""
        low, high = eye.window_um(self.range_um)
        step_um = fitting_step_um(eye, low, high, self.step_um, STEP_DOF, self.most_images)
        down = eye.limits.side == "down"
        scores: list[float] = []
        for z_um in sorted(planes_um(low, high, step_um), reverse=down):
            if eye.looks_left < 1:
                break
            shot = eye.look(z_um, "sweep until the peak is past", reuse_um=REUSE * step_um)
            scores.append(shot.score)
            if self._past(scores, shot.pixels):
                break
        return judge_beside(eye)

    def _past(self, scores: list[float], pixels: int) -> bool:
        """Whether the last scores are all far enough below a peak that stands out of the noise."""
        if len(scores) <= self.falls + 1:
            return False
        low, high = min(scores), max(scores)
        noise = math.sqrt(3.5 / pixels) * abs(sum(scores) / len(scores))
        line = low + self.share * (high - low)
        risen = high - min(scores[: scores.index(high) + 1]) > max(8 * noise, 0.2 * (high - low))
        # Far from a phase object the score ripples; focus at least doubles it.
        return (
            risen
            and high - low > LEAST_RISE * high
            and all(score < line for score in scores[-self.falls :])
        )


class ContinuousSweepSearch(BaseModel):
    """Take images while the stage moves without stopping; needs a microscope that streams.

    Parameters
    ----------
    range_um
        Range around the start; None is all that the limits allow.
    step_um
        Distance travelled from image to image; None is half a depth of field, or a 30th of the
        range.
    most_images
        More images than this are spread out instead.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["continuous-sweep"] = "continuous-sweep"
    range_um: Positive | None = None
    step_um: Positive | None = None
    most_images: Annotated[int, Field(ge=4)] = 201

    def propose(self, eye: Eye) -> Proposal:
        """Sweep in as few pieces as ``max_step_um`` allows, and judge."""
        if not eye.can_sweep:
            return Proposal(
                status=Status.FAILED,
                reason="this microscope does not stream images while it moves: use SweepSearch",
            )
        low, high = eye.window_um(self.range_um)
        step_um = fitting_step_um(eye, low, high, self.step_um, STEP_DOF, self.most_images)
        cap = eye.limits.max_step_um
        pieces = 1 if cap is None else max(1, math.ceil((high - low) / cap - 1e-9))
        count = max(2, round((high - low) / step_um / pieces) + 1)
        count = int(min(count, eye.looks_left // pieces))
        ends = np.linspace(low, high, pieces + 1)
        if eye.limits.side == "down":
            ends = ends[::-1]
        if count >= 2:
            for z_from, z_to in pairwise(ends):
                for _ in eye.sweep(float(z_from), float(z_to), count, "continuous sweep"):
                    pass
        return judge(eye.shots, depth_of_field_um=eye.depth_of_field_um)
