"""Focus that was found at places, and what is taken for granted between them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from parfocal.core.errors import InputError

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Share = Annotated[float, Field(gt=0, lt=0.5)]

HALF_WIDTH_90 = 1.6448536269514722
"""Half of a 90 % interval, in standard errors."""
LEAST_NOISE_UM = 0.01
"""No stage repeats better than this; a narrower interval is read as this."""


def standard_error_um(interval_um: tuple[float, float] | None, usual_um: float) -> float:
    """One standard error from a 90 % interval; the usual one where there is none.

    Examples
    --------
    >>> round(standard_error_um((9.0, 11.0), usual_um=0.3), 3)
    0.608
    """
    if interval_um is None:
        return usual_um
    low, high = interval_um
    return max((high - low) / (2 * HALF_WIDTH_90), LEAST_NOISE_UM)


def check_interval_um(z_um: float, interval_um: tuple[float, float] | None) -> None:
    """Refuse an interval that is not finite or does not hold its value."""
    if interval_um is None:
        return
    low, high = interval_um
    if not (np.isfinite([low, high]).all() and low <= z_um <= high):
        raise InputError(f"interval_um is ({low}, {high}) but must hold z_um, which is {z_um}.")


@dataclass(frozen=True, kw_only=True)
class FocusPoint:
    """Best focus as it was found at one place.

    Parameters
    ----------
    x_um, y_um
        Place on the xy stage.
    z_um
        Stage z of best focus.
    interval_um
        90 % interval (low, high) of z_um; None if nothing is known of it.
    channel
        Name of the channel that was focused; channels differ by a constant offset.
    """

    x_um: float
    y_um: float
    z_um: float
    interval_um: tuple[float, float] | None = None
    channel: str | None = None

    def __post_init__(self) -> None:
        if not np.isfinite([self.x_um, self.y_um, self.z_um]).all():
            raise InputError(
                f"A focus point needs finite x, y and z, but came as ({self.x_um}, {self.y_um}, "
                f"{self.z_um}) um: leave out places where focus was not found."
            )
        check_interval_um(self.z_um, self.interval_um)

    def error_um(self, usual_um: float) -> float:
        """One standard error of z_um; ``usual_um`` if it brings no interval."""
        return standard_error_um(self.interval_um, usual_um)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> FocusPoint:
        """The point that ``to_dict`` wrote."""
        interval = values.get("interval_um")
        return cls(**{**values, "interval_um": None if interval is None else tuple(interval)})


class SurfaceSettings(BaseModel):
    """What is taken for granted of a focus surface before anything is measured.

    All but the shares are scales, not limits: what is measured overrules them.

    Parameters
    ----------
    tilt_um_per_mm
        Usual slope of the specimen.
    relief_um
        Usual height of bumps about the tilted plane.
    length_um
        Usual distance over which bumps change; None is a third of the measured extent.
    noise_um
        Standard error of a point that brings no interval.
    outlier_share
        Share of the points that is expected to be wrong altogether (dust, debris, a reflection).
    outlier_um
        How far off such points are.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    tilt_um_per_mm: Positive = 5.0
    relief_um: Positive = 2.0
    length_um: Positive | None = None
    noise_um: Positive = 0.3
    outlier_share: Share = 0.05
    outlier_um: Positive = 50.0
