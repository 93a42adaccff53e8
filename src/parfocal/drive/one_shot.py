"""Search that asks a predictor how far away focus is, goes there, and checks."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_serializer, field_validator

from parfocal.core.errors import BudgetError
from parfocal.core.protocols import Defocus, DefocusPredictor
from parfocal.core.results import Status
from parfocal.drive.checks import judge
from parfocal.drive.limits import Positive
from parfocal.drive.search import Eye, Proposal, sharpest
from parfocal.drive.shots import Shot

# Where the optics are unknown, a second prediction is small within this.
AGREE_UM = 1.0
# The image at the answer may be this much less sharp than the sharpest before.
LEAST_SHARE = 0.95
# A second prediction within this share of what is allowed is not followed: the stage stays.
STAY = 0.25
# Distance of images that tells most, in effective depths of field.
BEST_SPACING = 1.25


class PredictorSearch(BaseModel):
    """Predict focus from one to three images where the stage stands, move, and verify.

    Parameters
    ----------
    predictor
        Any ``DefocusPredictor``. Where its ``sharpest_in_focus`` is False, as for transparent
        specimens, sharpness has no say.
    images
        Images to predict from, in order of increasing z.
    spacing_um
        Their distance; None is one and a quarter effective depths of field.
    most_moves
        How often a prediction may be followed before the search gives up. One that says only that
        focus is far away, and where its distribution leans, is followed too.
    agree_um
        Greatest second prediction at the answer; None is one effective depth of field.
    land_images
        Images to take around the predicted focus, to judge by their sharpness instead; 0 trusts
        the verified prediction, otherwise at least 4.
    land_step_um
        Distance of those; None is half a depth of field.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    kind: Literal["predictor"] = "predictor"
    predictor: Any
    images: Annotated[int, Field(ge=1, le=3)] = 1
    spacing_um: Positive | None = None
    most_moves: Annotated[int, Field(ge=1, le=10)] = 3
    agree_um: Positive | None = None
    land_images: Annotated[int, Field(ge=0, le=50)] = 0
    land_step_um: Positive | None = None

    @field_validator("predictor")
    @classmethod
    def _can_predict(cls, value: Any) -> Any:
        if not isinstance(value, DefocusPredictor):
            raise ValueError(
                f"a predictor has predict(images, spacing_um=, setup=); {value!r} does not"
            )
        return value

    @field_validator("land_images")
    @classmethod
    def _enough_to_judge(cls, value: int) -> int:
        if 0 < value < 4:
            raise ValueError("fewer than 4 images show no peak: give 0, or 4 and more")
        return value

    @field_serializer("predictor")
    def _name_predictor(self, value: Any) -> str:
        return str(getattr(value, "name", type(value).__name__))

    def propose(self, eye: Eye) -> Proposal:
        """Follow predictions until one is small, then verify or land."""
        unit_um = None if eye.setup is None else eye.setup.effective_depth_of_field_um
        agree_um = self.agree_um or unit_um or AGREE_UM
        first_um = eye.position_um if not eye.shots else eye.shots[-1].z_commanded_um
        first_um = min(max(first_um, eye.limits.low_um), eye.limits.high_um)
        away_um = 0.0
        for move in range(self.most_moves + 1):
            seen = self._look(eye, first_um)
            if seen is None:
                return _declined(
                    Status.EDGE, f"no room for {self.images} images at {first_um:g} um"
                )
            shots, images = seen
            guess = self._ask(eye, images)
            defocus_um = guess.defocus_um if guess.status == Status.FOUND else _leaning_um(guess)
            if defocus_um is None:
                return _declined(Status(guess.status), f"the predictor declined: {guess.reason}")
            away_um = abs(float(defocus_um))
            z_um = shots[0].z_commanded_um - float(defocus_um)
            if not eye.limits.allow(z_um):
                return _declined(
                    Status.EDGE,
                    f"the predicted focus, {z_um:.2f} um, lies outside the limits, "
                    f"{eye.limits.low_um:g} to {eye.limits.high_um:g} um: it was not gone to",
                )
            if move and away_um <= agree_um and guess.status == Status.FOUND:
                if away_um <= STAY * agree_um:
                    z_um = shots[0].z_commanded_um
                return self._land(eye, z_um, agree_um) or self._arrive(eye, z_um, shots[0], guess)
            first_um = z_um
        return _declined(
            Status.UNCERTAIN,
            f"after {self.most_moves} moves the predictor still sees focus "
            f"{away_um:.2f} um away: search by images",
        )

    def _look(self, eye: Eye, first_um: float) -> tuple[list[Shot], list[Any]] | None:
        """The images to predict from, the first where focus is believed; None without room."""
        spacing_um = self._spacing_um(eye)
        reach = (self.images - 1) * spacing_um
        if not eye.limits.allow(first_um + reach):
            first_um = first_um - reach
        places = [first_um + number * spacing_um for number in range(self.images)]
        if not all(eye.limits.allow(z_um) for z_um in places):
            return None
        if eye.looks_left < self.images:
            raise BudgetError(f"{self.images} more images are needed to predict, and are not left")
        shots, images = [], []
        for z_um in places:
            shots.append(eye.look(z_um, "predict from it"))
            images.append(eye.last_image)
        return shots, images

    def _ask(self, eye: Eye, images: list[Any]) -> Defocus:
        spacing_um = self._spacing_um(eye) if self.images > 1 else None
        predictor: DefocusPredictor = self.predictor
        return predictor.predict(np.stack(images), spacing_um=spacing_um, setup=eye.setup)

    def _spacing_um(self, eye: Eye) -> float:
        if self.spacing_um is not None or eye.setup is None:
            return self.spacing_um or AGREE_UM
        return BEST_SPACING * eye.setup.effective_depth_of_field_um

    def _land(self, eye: Eye, z_um: float, agree_um: float) -> Proposal | None:
        """Judge by sharpness around the predicted focus, if that was asked for.

        Not beside it, as searches do that know nothing but sharpness: two predictions agree.
        """
        if not (self.land_images and self._sharpest_in_focus):
            return None
        step = self.land_step_um or 0.5 * (eye.depth_of_field_um or agree_um)
        middle = (self.land_images - 1) / 2
        planes = [z_um + (number - middle) * step for number in range(self.land_images)]
        for plane in sorted(planes, reverse=eye.limits.side == "down"):
            if eye.limits.allow(plane) and eye.looks_left >= 1:
                eye.look(plane, "land by sharpness", reuse_um=0.2 * step)
        return judge(eye.shots, depth_of_field_um=eye.depth_of_field_um)

    @property
    def _sharpest_in_focus(self) -> bool:
        """Whether sharpness may judge: a predictor for transparent specimens says no."""
        return bool(getattr(self.predictor, "sharpest_in_focus", True))

    def _arrive(self, eye: Eye, z_um: float, first: Shot, guess: Defocus) -> Proposal:
        """The verified prediction as an answer, unless sharpness fell on the way to it."""
        low, high = guess.interval_um or (-AGREE_UM, AGREE_UM)
        first_um = first.z_commanded_um
        proposal = Proposal(
            status=Status.FOUND,
            reason=f"predicted from {self.images} images and confirmed by a second prediction",
            z_um=z_um,
            interval_um=(min(first_um - high, z_um), max(first_um - low, z_um)),
        )
        if not self._sharpest_in_focus:
            shot = first if z_um == first_um else eye.look(z_um, "go to the answer")
            return replace(proposal, shot=shot.number)
        best = sharpest(eye.shots)
        expected = None if best is None else LEAST_SHARE * best.score
        return replace(proposal, expected_score=expected)


def _leaning_um(guess: Defocus) -> float | None:
    """Where the distribution of a predictor leans that knows only that focus is far away."""
    shares, classes_um = (getattr(guess, name, None) for name in ("probabilities", "classes_um"))
    if guess.status != Status.EDGE or shares is None or classes_um is None:
        return None
    return float(np.dot(shares, classes_um))


def _declined(status: Status, reason: str) -> Proposal:
    return Proposal(status=status, reason=reason)
