"""What a focus run may do to the microscope: where it may go, how, and for how long."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from parfocal.core.errors import LimitsError, StageError
from parfocal.core.setup import plain_fault

Finite = Annotated[float, Field(allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]

# Rounding of stage units, in um: a position this far outside is inside.
ROUNDING_UM = 1e-6
# More than the play of a usual focus drive, in um.
USUAL_PLAY_UM = 3.0


class Limits(BaseModel):
    """The envelope under every search; whatever lies outside is refused, never clipped.

    Parameters
    ----------
    z_min_um, z_max_um
        Soft range of the stage.
    max_step_um
        Greatest single commanded step; a longer way is walked in steps of at most this.
    approach
        Direction of the last move to every position, "up" or "down" in stage z. None comes
        towards the sample, so that an overshoot leads away from it. "any" saves the overshoots;
        then no answer and no interval knows of the play of the stage.
    backlash_um
        How far a move against ``approach`` goes beyond its target before it comes back: more
        than the play of the stage. None is 3 um. Near the end of the range there is less room
        for it, and it stays inside.
    settle_um
        Greatest distance between commanded and reached; None takes the stage's word, unless it
        stands outside the range.
    settle_s
        Wait after each move.
    timeout_s
        Greatest duration of one move, and of one image beyond its exposure; None waits for ever
        and calls the driver on the caller's own thread.
    still_um
        A stage further than this from where it was left has been moved by someone else.
    max_images, max_exposure_ms, max_seconds
        Budget of one run: images, summed exposure, and duration (on the microscope's clock).
        The way back after a failure is always allowed.
    surface_z_um
        Stage z at which the glass is in focus; needs ``working_distance_um``.
    working_distance_um
        Free distance between objective and glass when the glass is in focus.
    keep_off_um
        Objective and glass never come nearer than this.
    toward_sample
        Direction of stage z that brings objective and glass together.
    after_failure
        Where the stage goes when no answer is found: its "start", or the "best" image seen.

    Raises
    ------
    LimitsError
        From ``Limits.of`` if the values contradict each other; the constructor raises pydantic's
        ``ValidationError`` with the same text.

    Examples
    --------
    >>> Limits(z_min_um=0, z_max_um=50).require(60.0)
    Traceback (most recent call last):
    parfocal.core.errors.LimitsError: z = 60 um lies outside the limits, 0 to 50 um: ...
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    z_min_um: Finite
    z_max_um: Finite
    max_step_um: Positive | None = None
    approach: Literal["up", "down", "any"] | None = None
    backlash_um: NotNegative | None = None
    settle_um: Positive | None = 1.0
    settle_s: NotNegative = 0.0
    timeout_s: Positive | None = 30.0
    still_um: Positive = 0.25
    max_images: Annotated[int, Field(ge=1)] | None = None
    max_exposure_ms: Positive | None = None
    max_seconds: Positive | None = None
    surface_z_um: Finite | None = None
    working_distance_um: Positive | None = None
    keep_off_um: NotNegative = 0.0
    toward_sample: Literal["up", "down"] = "up"
    after_failure: Literal["start", "best"] = "start"

    @model_validator(mode="after")
    def _leave_a_range(self) -> Limits:
        if self.z_min_um > self.z_max_um:
            raise ValueError(
                f"z_min_um {self.z_min_um:g} is above z_max_um {self.z_max_um:g}: exchange them"
            )
        if (self.surface_z_um is None) != (self.working_distance_um is None):
            raise ValueError("surface_z_um needs working_distance_um, and the reverse: give both")
        if self.keep_off_um and self.surface_z_um is None:
            raise ValueError("keep_off_um needs to know the glass: give surface_z_um")
        if self.backlash_um and self.approach == "any":
            raise ValueError("backlash_um needs a side: give approach, 'up' or 'down'")
        if self.low_um > self.high_um:
            raise ValueError(
                f"between {self.z_min_um:g} and {self.z_max_um:g} um nothing is "
                f"{self.keep_off_um:g} um away from the glass: check surface_z_um and toward_sample"
            )
        return self

    @classmethod
    def of(cls, **values: object) -> Limits:
        """Build limits from named values; impossible ones raise a one-line LimitsError."""
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            text = "; ".join(plain_fault(fault) for fault in error.errors())
            raise LimitsError(f"These limits cannot be: {text}.") from error

    @property
    def low_um(self) -> float:
        """Lowest stage z allowed, in um: the soft range less what is too near to the glass."""
        glass = self._glass_um()
        down = glass is not None and self.toward_sample == "down"
        return max(self.z_min_um, glass) if down and glass is not None else self.z_min_um

    @property
    def high_um(self) -> float:
        """Highest stage z allowed, in um."""
        glass = self._glass_um()
        up = glass is not None and self.toward_sample == "up"
        return min(self.z_max_um, glass) if up and glass is not None else self.z_max_um

    @property
    def side(self) -> Literal["up", "down"] | None:
        """Direction of the last move to every position; None if it does not matter."""
        if self.approach == "any":
            return None
        return self.toward_sample if self.approach is None else self.approach

    @property
    def overshoot_um(self) -> float:
        """How far a move against ``side`` goes beyond its target, in um."""
        if self.side is None:
            return 0.0
        return USUAL_PLAY_UM if self.backlash_um is None else self.backlash_um

    def _glass_um(self) -> float | None:
        """Stage z at which the objective is ``keep_off_um`` from the glass."""
        if self.surface_z_um is None or self.working_distance_um is None:
            return None
        sign = 1.0 if self.toward_sample == "up" else -1.0
        return self.surface_z_um + sign * (self.working_distance_um - self.keep_off_um)

    def allow(self, z_um: float) -> bool:
        """Whether the stage may be at ``z_um``."""
        inside = self.low_um - ROUNDING_UM <= z_um <= self.high_um + ROUNDING_UM
        return bool(math.isfinite(z_um) and inside)

    def require(self, z_um: float, what: str = "") -> None:
        """Raise LimitsError unless the stage may be at ``z_um``."""
        if not self.allow(z_um):
            text = f"{what} z = {z_um:g} um".strip()
            raise LimitsError(
                f"{text} lies outside the limits, {self.low_um:g} to {self.high_um:g} um: "
                "nothing was moved. Widen z_min_um and z_max_um if the objective is safe there."
            )

    def window_um(self, middle_um: float, range_um: float | None) -> tuple[float, float]:
        """The part of a range around ``middle_um`` that is allowed; None is all of it.

        Examples
        --------
        >>> Limits(z_min_um=0, z_max_um=50).window_um(2.0, 10.0)
        (0.0, 7.0)
        """
        if range_um is None:
            return self.low_um, self.high_um
        low = max(self.low_um, middle_um - range_um / 2)
        return low, max(low, min(self.high_um, middle_um + range_um / 2))


def next_step_um(
    target_um: float, reported_um: float, commanded_um: float, max_step_um: float | None
) -> float:
    """Next command on the way to a target, at most a step from where the stage may be.

    The stage may be where it reports, or where it was last sent.

    Raises
    ------
    StageError
        If the two are so far apart that no command is within a step of both.

    Examples
    --------
    >>> next_step_um(10.0, 3.2, 3.0, 2.0)
    5.0
    """
    if max_step_um is None:
        return target_um
    low = max(reported_um, commanded_um) - max_step_um
    high = min(reported_um, commanded_um) + max_step_um
    if low > high:
        raise StageError(
            f"The stage reports {reported_um:g} um, but was sent to {commanded_um:g} um: no "
            f"command is within max_step_um = {max_step_um:g} um of both."
        )
    return min(max(target_um, low), high)
