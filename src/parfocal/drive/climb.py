"""Search that walks uphill from where the stage stands."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from parfocal.drive.beside import judge_beside
from parfocal.drive.limits import Positive
from parfocal.drive.search import Eye, Proposal


class HillClimbSearch(BaseModel):
    """Walk towards higher scores, with steps that grow uphill and shrink once the top is passed.

    Few images where focus is near; follows one peak only and stops at the first one. A few images
    beside the top tell whether a second one is near, as of a phase object.

    Parameters
    ----------
    step_um
        First step; None is one depth of field, or a 20th of what the limits allow.
    tolerance_um
        Step at which the walk ends; None is an eighth of the first.
    growth, shrink
        Factors of the step after a rise and after a fall.
    most_images
        Stop after so many.

    Examples
    --------
    >>> HillClimbSearch(step_um=2.0).kind
    'hill-climb'
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["hill-climb"] = "hill-climb"
    step_um: Positive | None = None
    tolerance_um: Positive | None = None
    growth: Annotated[float, Field(ge=1, le=4)] = 1.5
    shrink: Annotated[float, Field(gt=0, lt=1)] = 0.4
    most_images: Annotated[int, Field(ge=4)] = 40

    def propose(self, eye: Eye) -> Proposal:
        """Walk from the start and judge every image of the way."""
        low, high = eye.window_um(None)
        step_um = self.step_um or eye.depth_of_field_um or (high - low) / 20
        least_um = max(self.tolerance_um or step_um / 8, 1e-6)
        best = eye.look(eye.start_um, "where the walk begins")
        sign = 1.0 if high - eye.start_um >= eye.start_um - low else -1.0
        turned = False
        for _ in range(self.most_images - 1):
            z_um = min(max(best.z_commanded_um + sign * step_um, low), high)
            if eye.looks_left < 1 or step_um < least_um or not math.isfinite(best.score):
                break
            shot = eye.look(z_um, "walk uphill", reuse_um=0.25 * least_um)
            if shot.score > best.score:
                best, turned = shot, False
                step_um *= self.growth
                continue
            sign = -sign
            # Both sides are lower: the top is here, within a step.
            if turned:
                step_um *= self.shrink
            turned = not turned
        return judge_beside(eye)
