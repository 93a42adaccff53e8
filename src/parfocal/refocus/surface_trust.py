"""How far an image on another surface is believed, by place and as a whole."""

from __future__ import annotations

import math
from typing import Annotated

import torch
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from parfocal.refocus.trust import log_gain

MOST_OFF = 10.0
"""Factor by which light is off that says no more beyond."""
LEAST_ERROR = 1e-3


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
    ratios, pixels
        NA / n, and pixels in wavelength / NA, that training knew.
    trust_offset, trust_slope
        Of the chance that a place is nearer to the truth than in the input, over the logarithm of
        the ratio of the predicted errors.
    verdict_offset, verdict_slope, verdict_error, verdict_flux
        The same of the whole image; and over the logarithm of the error that is expected, in
        standard deviations of the image, and over how far the light is off.
    most_flux
        Factor by which the light may be off before it is put right; beyond it there is no answer.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    surface_dof: Annotated[float, Field(gt=0)] = 8.0
    spherical_waves: tuple[float, float] = (0.08, 0.25)
    assumed_waves: float = 0.16
    ratios: tuple[float, float] = (0.35, 0.85)
    pixels: tuple[float, float] = (0.2, 0.5)
    trust_offset: float = 0.0
    trust_slope: float = 1.0
    verdict_offset: float = 0.0
    verdict_slope: float = 4.0
    verdict_error: float = 0.0
    verdict_flux: float = 0.0
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


def surface_verdict_facts(gain: float, error: float, flux: float) -> tuple[float, float, float]:
    """What a verdict is made of.

    Parameters
    ----------
    gain
        Logarithm of the ratio of the summed predicted errors, input over answer.
    error
        Mean predicted error of the answer, in standard deviations of the image.
    flux
        Light of the answer over that of the input; NaN where that has none.

    Returns
    -------
    The gain, the logarithm of the error, and how far the logarithm of the light is from 0, at most
    that of ``MOST_OFF``.

    Examples
    --------
    >>> surface_verdict_facts(0.5, 1.0, -2.0)
    (0.5, 0.0, 2.30258...)
    """
    light = flux if flux > 0 else 0.0  # NaN is not
    off = abs(math.log(min(max(light, 1 / MOST_OFF), MOST_OFF)))
    return gain, math.log(max(error, LEAST_ERROR)), off


def surface_verdict(facts: tuple[float, float, float], calibration: SurfaceCalibration) -> float:
    """Chance that the whole image is nearer to the truth there than the input.

    Parameters
    ----------
    facts
        As ``surface_verdict_facts`` gives them.

    Examples
    --------
    >>> surface_verdict((0.0, 0.0, 0.0), SurfaceCalibration())
    0.5
    """
    slopes = (calibration.verdict_slope, calibration.verdict_error, calibration.verdict_flux)
    odds = calibration.verdict_offset + sum(
        slope * fact for slope, fact in zip(slopes, facts, strict=True)
    )
    return 1.0 / (1.0 + math.exp(-max(-30.0, min(30.0, odds))))
