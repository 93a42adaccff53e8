"""Search that looks where an image would tell most about where focus lies."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from parfocal.core.results import Status
from parfocal.drive.beside import REUSE_DOF
from parfocal.drive.checks import judge
from parfocal.drive.focus_belief import (
    LEAST_SIDE_PX,
    MISFITS,
    Belief,
    BlurModel,
    Spectrum,
    believe,
    expected_doubt,
    spectrum,
)
from parfocal.drive.limits import Positive
from parfocal.drive.search import Eye, Proposal, sharpest

# What no further image mends.
FINAL = (Status.FAILED, Status.SATURATED, Status.AMBIGUOUS)
# So many images are spread out while nothing is seen in any of them.
BLIND_IMAGES = 12
# Shares of a depth of field: the answer may stay at an image this near, the images beside it lie
# this far away, places count as looked at this near, and candidates lie so far from what is
# believed.
STAY_DOF, BESIDE_DOF, SEEN_DOF = 0.3, 1.5, 0.35
BESIDE_FROM_DOF, BESIDE_TO_DOF = 0.7, 8.0
STEPS_DOF = (0.0, 0.7, 1.5, 2.5, 4.0, 6.0, 9.0, 13.0)
MORE_DOF = (0.75, 1.5, 2.5, 4.0)
EVEN_CANDIDATES = 17
OTHER_LOBE_DOF = (-3.0, -1.5, 1.5, 3.0)
OTHER_LOBE_SHARES = (-1 / 16, 1 / 16, -1 / 8, 1 / 8)  # of the range, where no optics are known
# What glows is bright on dark: its mean is this far (in standard deviations) above its median, and
# its standard deviation is this share of the mean.
BRIGHT, PALE = 0.05, 0.1
# Belief outside the range that ends the search, once its end has been looked at.
MOSTLY = 0.9
# The interval is this much wider than believed, and no narrower than this, in depths of field.
WIDEN, LEAST_HALF_DOF = 1.3, 0.28
# The sharpest place and the believed one may differ by this beyond the interval of the former.
AGREE_DOF = 0.5


class BayesianSearch(BaseModel):
    """Believe, look where one image lessens the doubt most, and believe again.

    The power of an image in rings of spatial frequency falls with defocus as optics say: fine
    detail first, coarse last. A single image therefore tells how far focus is, a second on which
    side, and four to six where. What is believed is a posterior over the place of focus, the scale
    of the blur and the thickness of the specimen, with the specimen's spectrum integrated out
    (``focus_belief``). Without optics the scale is learnt too, which costs a few images more. Where
    the structure is not clearly bright on dark, and so may only shift the phase, it looks for a
    second lobe on both sides.

    Parameters
    ----------
    range_um
        Range around the start; None is all that the limits allow.
    tolerance_dof
        Look on until the 90 % interval is this wide, in depths of field.
    most_images
        Stop after so many.

    Notes
    -----
    The answer must also pass the checks that every search's images pass, by the measure of the
    run; ``judge`` gives the reason where it does not.

    Examples
    --------
    >>> BayesianSearch(tolerance_dof=0.6).kind
    'bayes'
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["bayes"] = "bayes"
    range_um: Positive | None = None
    tolerance_dof: Positive = 1.0
    most_images: Annotated[int, Field(ge=4)] = 30

    def propose(self, eye: Eye) -> Proposal:
        """Look until focus is known well enough and the images pass every check."""
        low, high = eye.window_um(self.range_um)
        best = sharpest(eye.shots)
        first_um = eye.start_um if best is None else best.z_commanded_um
        inquiry = _Inquiry(eye, low, high, self.tolerance_dof)
        inquiry.look(min(max(first_um, low), high), "where the search begins")
        for _ in range(self.most_images - 1):
            place = inquiry.next_um() if eye.looks_left >= 1 else None
            if place is None:
                break
            inquiry.look(*place)
        return inquiry.verdict()


@dataclass
class _Inquiry:
    """The images of one search, and what they say together."""

    eye: Eye
    low_um: float
    high_um: float
    tolerance_dof: float
    looked_um: list[float] = field(default_factory=list)
    z_um: list[float] = field(default_factory=list)
    spectra: list[Spectrum] = field(default_factory=list)
    belief: Belief | None = None
    contrast: float = 0.0
    rise: float = 0.0
    generator: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    def look(self, z_um: float, why: str) -> None:
        """Take an image, read its spectrum, and believe."""
        shot = self.eye.look(z_um, why)
        self.looked_um.append(z_um)
        area = self.eye.last_area
        if area is None or min(area.shape) < LEAST_SIDE_PX or not np.isfinite(area).all():
            return
        self.z_um.append(shot.z_reached_um)
        self.spectra.append(spectrum(area))
        mean, spread = float(area.mean(dtype=np.float64)), float(area.std(dtype=np.float64))
        self.contrast = spread / max(abs(mean), 1e-300)
        self.rise = (mean - float(np.median(area))) / max(spread, 1e-300)
        if any(each.seen.any() for each in self.spectra):
            model = BlurModel.of(self.eye.setup, self.spectra[0].per_px, self._span_um)
            self.belief = believe(
                np.array(self.z_um),
                self.spectra,
                model,
                low_um=self.low_um,
                high_um=self.high_um,
                depth_um=self.eye.depth_of_field_um or self._span_um / 50,
            )

    @property
    def _span_um(self) -> float:
        return max(self.high_um - self.low_um, 1e-6)

    def next_um(self) -> tuple[float, str] | None:
        """Where to look next, and why; None once there is nothing more to learn."""
        belief = self.belief
        if belief is None:
            if len(self.looked_um) >= BLIND_IMAGES:
                return None
            return self._widest_gap_um(), "nothing is seen yet: the widest gap"
        depth = self._depth_um(belief)
        answer = self._inside(belief.quantiles(0.5)[0])
        if self._is_outside(belief):
            end_um = self.low_um if answer - self.low_um < self.high_um - answer else self.high_um
            return None if self._seen(end_um, 0.0) else (end_um, "focus seems to lie beyond")
        if not self._sure(belief):
            return self._telling_um(belief, answer, depth)
        return self._settle_um(answer, depth)

    def _settle_um(self, answer: float, depth: float) -> tuple[float, str] | None:
        """Where to look once focus is known: on both sides, there, and no more than needed."""
        for side in (-1, 1):
            beside = self._inside(answer + side * BESIDE_DOF * depth)
            away = [side * (z_um - answer) / depth for z_um in self.looked_um]
            lacks = not any(BESIDE_FROM_DOF <= each <= BESIDE_TO_DOF for each in away)
            if lacks and abs(beside - answer) > BESIDE_FROM_DOF * depth:
                return beside, "beside the answer"
        if self._may_be_phase():
            for step_um, near_um in self._lobes_um(depth):
                z_um = answer + step_um
                if self._inside(z_um) == z_um and not self._seen(z_um, near_um):
                    return z_um, "beside the answer, for a second lobe"
        if abs(self.looked_um[-1] - answer) > STAY_DOF * depth:
            return answer, "the answer"
        return self._more_um(answer, depth)

    def _lobes_um(self, depth: float) -> list[tuple[float, float]]:
        """How far from the answer another lobe may lie, and what is near enough to each place.

        Without optics the depth of field may be believed far too large, and shares of the range
        are looked at too.
        """
        places = [(step * depth, REUSE_DOF * depth) for step in OTHER_LOBE_DOF]
        if self.eye.setup is None:
            shares = [share * self._span_um for share in OTHER_LOBE_SHARES]
            places += [(step, 0.3 * abs(step)) for step in shares]
        return places

    def _more_um(self, answer: float, depth: float) -> tuple[float, str] | None:
        """A place that may mend what the checks complain of; None if there is none."""
        verdict = self.verdict()
        if verdict.found or verdict.status in FINAL:
            return None
        for step in MORE_DOF:
            for side in (-1, 1):
                z_um = answer + side * step * depth
                if self._inside(z_um) == z_um and not self._seen(z_um, SEEN_DOF * depth):
                    return z_um, f"still {verdict.status}: nearby"
        return None

    def _telling_um(self, belief: Belief, answer: float, depth: float) -> tuple[float, str]:
        """The place that lessens the doubt most."""
        near = [answer + side * step * depth for step in STEPS_DOF for side in (-1, 1)]
        even = np.linspace(self.low_um, self.high_um, EVEN_CANDIDATES)
        places = np.unique([self._inside(z_um) for z_um in (*near, *even)])
        fresh = [z_um for z_um in places if not self._seen(z_um, SEEN_DOF * depth)]
        if not fresh:
            return answer, "the answer, once more"
        doubt = expected_doubt(belief, np.array(fresh), generator=self.generator)
        return float(fresh[int(doubt.argmin())]), "where an image tells most"

    def verdict(self) -> Proposal:
        """What the checks say, with the place and interval that are believed."""
        judged = judge(self.eye.shots, depth_of_field_um=self.eye.depth_of_field_um)
        belief = self.belief
        if not judged.found or judged.interval_um is None or belief is None:
            return judged
        depth = self._depth_um(belief)
        low, middle, high = belief.quantiles(0.05, 0.5, 0.95)
        slack = AGREE_DOF * depth + (0.0 if self._sure(belief) else high - low)
        if not judged.interval_um[0] - slack <= middle <= judged.interval_um[1] + slack:
            return Proposal(
                status=Status.UNCERTAIN,
                reason=f"the images are sharpest at {judged.z_um:.2f} um, but their spectra speak "
                f"for {middle:.2f} um: layers, or optics that are not as stated. Look at a stack",
            )
        if not self._sure(belief):
            return judged
        last_um = self.looked_um[-1]
        z_um = last_um if abs(last_um - middle) <= STAY_DOF * depth else self._inside(middle)
        half = math.hypot(WIDEN * (high - low) / 2, LEAST_HALF_DOF * depth)
        return replace(
            judged,
            z_um=z_um,
            interval_um=(min(z_um, middle - half), max(z_um, middle + half)),
            reason=f"{judged.reason}; their spectra agree",
        )

    def _depth_um(self, belief: Belief) -> float:
        """One depth of field, from the optics or as believed."""
        return self.eye.depth_of_field_um or belief.depth_um

    def _may_be_phase(self) -> bool:
        """Whether another lobe must be looked for: what glows has none.

        Without optics no scale of blur can tell a lobe from focus.
        """
        unlike = self.belief is not None and self.belief.misfit >= MISFITS[-1]
        is_pale = self.contrast < PALE and unlike
        return self.eye.setup is None or is_pale or self.rise < BRIGHT

    def _sure(self, belief: Belief) -> bool:
        low, high = belief.quantiles(0.05, 0.95)
        return high - low <= self.tolerance_dof * self._depth_um(belief)

    def _is_outside(self, belief: Belief) -> bool:
        inside = (belief.focus_um >= self.low_um) & (belief.focus_um <= self.high_um)
        return float(belief.density[inside].sum()) < 1 - MOSTLY

    def _inside(self, z_um: float) -> float:
        return float(min(max(z_um, self.low_um), self.high_um))

    def _seen(self, z_um: float, near_um: float) -> bool:
        return any(abs(z_um - each) <= near_um for each in self.looked_um)

    def _widest_gap_um(self) -> float:
        """Middle of the widest gap between what was looked at; an end counts double."""
        places = sorted({*self.looked_um})
        gaps = [(b - a, (a + b) / 2) for a, b in pairwise(places)]
        gaps.append((1.5 * (places[0] - self.low_um), (self.low_um + places[0]) / 2))
        gaps.append((1.5 * (self.high_um - places[-1]), (self.high_um + places[-1]) / 2))
        return max(gaps)[1]
