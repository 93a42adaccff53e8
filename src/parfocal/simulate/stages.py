"""One axis of a stage: how far it is from where it says, and when it gets there."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from parfocal.core.errors import StageError
from parfocal.simulate.faults import Fault

NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class StageSettings(BaseModel):
    """The mechanics of one axis.

    Parameters
    ----------
    low_um, high_um
        Soft limits: a goal outside is refused before anything moves.
    hard_low_um, hard_high_um
        Hard limits: the stage runs into them, stops there and raises. None: there is none.
    start_um
        Where the stage stands at first.
    speed_um_per_s
        Speed of travel.
    backlash_um
        Play of the thread. A carriage that comes from below is where the motor is; one that
        comes from above is ``backlash_um`` higher, until the motor has taken up the play.
    repeatability_um
        Standard deviation of the carriage about its place, drawn anew for each move.
    step_um
        The motor stops at multiples of this; 0 anywhere.
    creep_um, creep_s
        After arrival the carriage is this far past its place and comes back with this time
        constant.
    settle_s
        How long a move waits after arrival before it returns.
    reads
        What the stage reports: the motor (open loop, blind to backlash and creep), or the
        carriage (an encoder on it).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    low_um: Finite = -1000.0
    high_um: Finite = 1000.0
    hard_low_um: Finite | None = None
    hard_high_um: Finite | None = None
    start_um: Finite = 0.0
    speed_um_per_s: Annotated[float, Field(gt=0)] = 1000.0
    backlash_um: NotNegative = 0.0
    repeatability_um: NotNegative = 0.0
    step_um: NotNegative = 0.0
    creep_um: Finite = 0.0
    creep_s: Annotated[float, Field(gt=0)] = 0.05
    settle_s: NotNegative = 0.02
    reads: Literal["motor", "carriage"] = "motor"

    @model_validator(mode="after")
    def _start_lies_within(self) -> StageSettings:
        if not self.low_um <= self.start_um <= self.high_um:
            raise ValueError(
                f"start_um {self.start_um:g} lies outside the soft limits "
                f"{self.low_um:g} .. {self.high_um:g} um."
            )
        low, high = self.hard_range_um
        if not low <= self.start_um <= high:
            raise ValueError(f"start_um {self.start_um:g} lies beyond a hard limit.")
        return self

    @property
    def hard_range_um(self) -> tuple[float, float]:
        """Hard limits, infinite where there are none."""
        low = -math.inf if self.hard_low_um is None else self.hard_low_um
        high = math.inf if self.hard_high_um is None else self.hard_high_um
        return low, high


@dataclass(frozen=True, kw_only=True)
class Motion:
    """A straight run of the motor, what it does to the carriage, and how it ends."""

    start_s: float
    end_s: float
    start_um: float
    end_um: float
    carriage_um: float
    error_um: float = 0.0
    ready_s: float = 0.0
    failure: str | None = None

    def motor_um(self, time_s: float) -> float:
        """Where the motor is."""
        if time_s >= self.end_s:
            return self.end_um
        share = max(0.0, time_s - self.start_s) / (self.end_s - self.start_s)
        return self.start_um + share * (self.end_um - self.start_um)


class Axis:
    """One axis of a stage, without a clock of its own: every question names its time.

    Parameters
    ----------
    settings
        The mechanics.
    name
        How errors call it.
    generator
        Where repeatability and faults draw from.
    stalls, hangs, hang_s
        Faults, counted in moves.

    Examples
    --------
    >>> slack = Axis(StageSettings(backlash_um=2.0), name="z")
    >>> slack.begin(10.0, now_s=0.0); slack.begin(5.0, now_s=1.0)
    >>> slack.reading_um(2.0), slack.carriage_um(2.0)
    (5.0, 7.0)
    """

    def __init__(
        self,
        settings: StageSettings,
        *,
        name: str,
        generator: np.random.Generator | None = None,
        stalls: Fault | None = None,
        hangs: Fault | None = None,
        hang_s: float = 60.0,
    ) -> None:
        self.settings = settings
        self.name = name
        self.moves = 0
        self.travel_um = 0.0
        self.commanded_um = settings.start_um
        self._dice = np.random.default_rng(0) if generator is None else generator
        self.stalls, self.hangs, self.hang_s = stalls or Fault(), hangs or Fault(), hang_s
        rest = settings.start_um
        self._motion = Motion(
            start_s=-math.inf, end_s=-math.inf, start_um=rest, end_um=rest, carriage_um=rest
        )

    def carriage_um(self, time_s: float) -> float:
        """Where the axis really is."""
        motion = self._motion
        motor = motion.motor_um(time_s)
        held = min(max(motion.carriage_um, motor), motor + self.settings.backlash_um)
        return held + motion.error_um + self._creep_um(time_s)

    def reading_um(self, time_s: float) -> float:
        """Where the axis says it is."""
        if self.settings.reads == "carriage":
            return self.carriage_um(time_s)
        return self._motion.motor_um(time_s)

    def refuse(self, goal_um: float) -> None:
        """Raise StageError if a goal is no number or lies outside the soft limits."""
        low, high = self.settings.low_um, self.settings.high_um
        if not math.isfinite(goal_um):
            raise StageError(f"The {self.name} stage cannot go to {goal_um}; nothing has moved.")
        if not low <= goal_um <= high:
            raise StageError(
                f"The {self.name} stage refuses {goal_um:g} um: its soft limits are {low:g} .. "
                f"{high:g} um. Nothing has moved."
            )

    def begin(self, goal_um: float, *, now_s: float, speed_um_per_s: float | None = None) -> None:
        """Set off to a goal; ``end_s`` is when it arrives, ``finish`` says how it went.

        Raises
        ------
        StageError
            If the goal is refused; nothing has moved then.
        """
        self.refuse(goal_um)
        self.moves += 1
        step = self.settings.step_um
        goal = round(goal_um / step) * step if step else goal_um
        self.commanded_um = goal_um
        here = self._motion.motor_um(now_s)
        end, failure = self._end(here, goal)
        speed = self.settings.speed_um_per_s if speed_um_per_s is None else speed_um_per_s
        arrival = now_s + abs(end - here) / speed
        hangs = self.hangs.strikes(self.moves, generator=self._dice)
        error = self.settings.repeatability_um
        play = self.settings.backlash_um
        self.travel_um += abs(end - here)
        self._motion = Motion(
            start_s=now_s,
            end_s=arrival,
            ready_s=arrival + self.settings.settle_s + (self.hang_s if hangs else 0.0),
            start_um=here,
            end_um=end,
            carriage_um=min(max(self._motion.carriage_um, here), here + play),
            error_um=float(self._dice.normal(0.0, error)) if error else 0.0,
            failure=failure,
        )

    @property
    def arrival_s(self) -> float:
        """When the motor of the last move stands still."""
        return self._motion.end_s

    @property
    def ready_s(self) -> float:
        """When the last move returns."""
        return self._motion.ready_s

    def finish(self, now_s: float) -> None:
        """Raise StageError, once, if the last move failed and is over."""
        motion = self._motion
        if motion.failure is not None and now_s >= motion.end_s:
            self._motion = replace(motion, failure=None)
            raise StageError(
                f"The {self.name} stage {motion.failure}: it stands at "
                f"{self.reading_um(now_s):.3f} um, not at {self.commanded_um:g} um."
            )

    def stop(self, now_s: float) -> bool:
        """Stop where it is; whether it was moving."""
        motion = self._motion
        if now_s >= motion.ready_s:
            return False
        here, over = motion.motor_um(now_s), min(now_s, motion.end_s)
        self.travel_um -= abs(motion.end_um - here)
        failure = motion.failure if now_s >= motion.end_s else "was stopped"
        self._motion = replace(motion, end_s=over, end_um=here, ready_s=now_s, failure=failure)
        return True

    def push(self, by_um: float, *, now_s: float) -> None:
        """Move it as a hand at the knob would: no command, no limit, no error."""
        here = self._motion.motor_um(now_s) + by_um
        held = self._motion.carriage_um + by_um
        self._motion = replace(
            self._motion, start_s=now_s, end_s=now_s, start_um=here, end_um=here, carriage_um=held
        )

    def _creep_um(self, time_s: float) -> float:
        motion, creep = self._motion, self.settings.creep_um
        if not creep or time_s < motion.end_s or motion.end_um == motion.start_um:
            return 0.0
        sign = math.copysign(creep, motion.end_um - motion.start_um)
        return sign * math.exp(-(time_s - motion.end_s) / self.settings.creep_s)

    def _end(self, here_um: float, goal_um: float) -> tuple[float, str | None]:
        """Where the motor will stop, and what went wrong if not at its goal."""
        low, high = self.settings.hard_range_um
        end = min(max(goal_um, low), high)
        failure = None if end == goal_um else "ran into its hard limit"
        if self.stalls.strikes(self.moves, generator=self._dice):
            end = here_um + float(self._dice.uniform(0.1, 0.9)) * (end - here_um)
            failure = "stalled"
        return end, failure
