"""How far an image on another surface is believed, by place and as a whole."""

from __future__ import annotations

import math
from typing import Annotated

import torch
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from parfocal.refocus.trust import log_gain


class SurfaceCalibration(BaseModel):
    """Numbers that turn a network's output on surfaces into trust and verdicts.

    Parameters
    ----------
    surface_dof
        Farthest surfaces that are answered, in depths of field.
    spherical_waves
        Spherical aberration (OSA/ANSI index 12, waves RMS) that training knew, lowest and highest.
    assumed_waves
        What is assumed where it is not told.
    agreement
        How much the opinion of the places around counts in the choice of each; see ``agreed``.
    ratios, pixels
        NA / n, and pixels in wavelength / NA, that training knew.
    trust_offset, trust_slope
        Of the chance that a place is nearer to the truth than in the input, over the logarithm of
        the ratio of the predicted errors.
    verdict_offset, verdict_slope
        The same of the whole image.
    most_flux
        Factor by which the light may be off before it is put right; beyond it there is no answer.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    surface_dof: Annotated[float, Field(gt=0)] = 8.0
    spherical_waves: tuple[float, float] = (0.08, 0.25)
    assumed_waves: float = 0.16
    agreement: Annotated[float, Field(ge=0)] = 2.0
    ratios: tuple[float, float] = (0.35, 0.85)
    pixels: tuple[float, float] = (0.2, 0.5)
    trust_offset: float = 0.0
    trust_slope: float = 1.0
    verdict_offset: float = 0.0
    verdict_slope: float = 4.0
    most_flux: Annotated[float, Field(gt=1)] = 1.5


def surface_trust(
    scales: Float[Tensor, "b 2 v u"], calibration: SurfaceCalibration
) -> Float[Tensor, "b v u"]:
    """Chance that each place of the answer is nearer to the truth there than the input.

    Examples
    --------
    >>> surface_trust(torch.zeros(1, 2, 8, 8), SurfaceCalibration()).mean()
    tensor(0.5000)
    """
    return torch.sigmoid(calibration.trust_offset + calibration.trust_slope * log_gain(scales))


def surface_verdict(gain: float, calibration: SurfaceCalibration) -> float:
    """Chance that the whole image is nearer to the truth there than the input.

    Parameters
    ----------
    gain
        Logarithm of the ratio of the summed predicted errors, input over answer.

    Examples
    --------
    >>> surface_verdict(0.0, SurfaceCalibration())
    0.5
    """
    odds = calibration.verdict_offset + calibration.verdict_slope * gain
    return 1.0 / (1.0 + math.exp(-max(-30.0, min(30.0, odds))))
