"""What goes wrong: on schedule, by chance, or both."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

Probability = Annotated[float, Field(ge=0, le=1)]


class Fault(BaseModel):
    """When one kind of fault strikes.

    Parameters
    ----------
    at
        Numbers of the attempts that fail; the first is 1.
    probability
        Chance that any other attempt fails.

    Examples
    --------
    >>> dice = np.random.default_rng(0)
    >>> [Fault(at=(2,)).strikes(number, generator=dice) for number in (1, 2, 3)]
    [False, True, False]
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    at: tuple[Annotated[int, Field(ge=1)], ...] = ()
    probability: Probability = 0.0

    def strikes(self, number: int, *, generator: np.random.Generator) -> bool:
        """Whether attempt ``number`` fails; draws once a call if there is a chance."""
        by_chance = self.probability > 0 and bool(generator.random() < self.probability)
        return number in self.at or by_chance


class FaultSettings(BaseModel):
    """All faults of a microscope.

    Parameters
    ----------
    frames
        Snaps and frames of a sweep that give no image (CameraError); their light is spent.
    z_stalls, xy_stalls
        Moves that end short of their goal (StageError).
    z_hangs
        Moves that arrive, but ``hang_s`` late.
    hang_s
        How long a move hangs.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    frames: Fault = Fault()
    z_stalls: Fault = Fault()
    z_hangs: Fault = Fault()
    xy_stalls: Fault = Fault()
    hang_s: Annotated[float, Field(ge=0)] = 60.0
