"""How far a refocused image is believed: its distance, its pixels, and the whole of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

import torch
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor
from torch.nn import functional

NORMAL_90 = 1.645
SMOOTH_CELLS = 5
"""Places over which predicted errors are averaged before they are compared."""
FAR_DOF = 3.0
"""From here on a distance says nothing more about a verdict."""


class RefocusCalibration(BaseModel):
    """Numbers that turn a refocusing network's output into distances, trust and verdicts.

    Parameters
    ----------
    is_dark
        Whether the network knows stains by transmitted light, not fluorescence.
    bins, reach_dof
        Classes of |defocus| from 0 to the reach, in depths of field.
    floor_dof, widen
        Half the 90 % interval is ``widen`` times the root of the squares of the distribution's
        spread and of the floor.
    most_dof
        Farthest |defocus| that is answered.
    most_clear
        Probability of transmitted light above which an image is declined.
    trust_offset, trust_slope
        Of the chance that a place is nearer to the truth than in the input, over the logarithm of
        the ratio of the predicted errors.
    verdict_offset, verdict_slope, verdict_distance, verdict_noise
        Of the chance of the whole image: over the same logarithm, the |defocus| in depths of field
        up to ``FAR_DOF``, and the logarithm of the noise in standard deviations of the image.
    pass_dof, pass_chance
        An image whose |defocus| is below that, its interval included, is passed through; and one
        that may be that near, if the chance that the answer is better is below this.
    most_flux
        Factor by which the light may be off before it is put right; beyond it there is no answer.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    is_dark: bool = False
    bins: Annotated[int, Field(ge=3)] = 17
    reach_dof: Annotated[float, Field(gt=1)] = 8.0
    floor_dof: Annotated[float, Field(ge=0)] = 0.1
    widen: Annotated[float, Field(gt=0)] = NORMAL_90
    most_dof: Annotated[float, Field(gt=0)] = 7.0
    most_clear: Annotated[float, Field(ge=0, le=1)] = 0.5
    trust_offset: float = 0.0
    trust_slope: float = 1.0
    verdict_offset: float = 0.0
    verdict_slope: float = 4.0
    verdict_distance: float = 0.0
    verdict_noise: float = 0.0
    pass_dof: Annotated[float, Field(ge=0)] = 1.0
    pass_chance: Annotated[float, Field(ge=0, le=1)] = 0.8
    most_flux: Annotated[float, Field(gt=1)] = 1.3


@dataclass(frozen=True, kw_only=True)
class Distance:
    """|defocus| of a field in depths of field.

    Parameters
    ----------
    centre, spread
        Mean and standard deviation of its distribution.
    interval
        90 % interval (low, high), not below 0.
    clear
        Probability that the field is no fluorescence.
    beyond
        Probability that it is farther than is answered.
    """

    centre: float
    spread: float
    interval: tuple[float, float]
    clear: float
    beyond: float


def distance_of(logits: Float[Tensor, " bins"], calibration: RefocusCalibration) -> Distance:
    """Read a field's logits; the last is of what is no fluorescence.

    Examples
    --------
    >>> logits = torch.full((18,), -20.0)
    >>> logits[4] = 20.0
    >>> distance = distance_of(logits, RefocusCalibration())
    >>> distance.centre, [round(end, 2) for end in distance.interval]
    (2.0, [1.84, 2.16])
    """
    shares = logits.double().softmax(-1)
    clear = float(shares[-1])
    shares = logits[:-1].double().softmax(-1)
    classes = torch.linspace(0.0, calibration.reach_dof, calibration.bins, dtype=torch.float64)
    centre = float((shares * classes).sum())
    spread = math.sqrt(max(0.0, float((shares * (classes - centre).square()).sum())))
    half = calibration.widen * math.hypot(spread, calibration.floor_dof)
    return Distance(
        centre=centre,
        spread=spread,
        interval=(max(0.0, centre - half), centre + half),
        clear=clear,
        beyond=float(shares[classes > calibration.most_dof].sum()),
    )


def passes(
    interval: tuple[float, float], *, gain: float, verdict: float, calibration: RefocusCalibration
) -> bool:
    """Whether an input is as good as it gets: in focus, or so near that nothing is won.

    Parameters
    ----------
    interval
        Of |defocus|, in depths of field.
    gain
        Logarithm of the input's predicted error over the answer's.
    verdict
        Chance that the answer is better.
    calibration
        Borders.

    Examples
    --------
    >>> settings = RefocusCalibration(pass_dof=1.0, pass_chance=0.8)
    >>> [passes((low, 2.0), gain=0.5, verdict=0.7, calibration=settings) for low in (0.5, 1.5)]
    [True, False]
    """
    low, high = interval
    is_doubtful = verdict < calibration.pass_chance or gain < 0
    return high <= calibration.pass_dof or (low < calibration.pass_dof and is_doubtful)


def error_sizes(scales: Float[Tensor, "b 2 v u"]) -> Float[Tensor, "b 2 v u"]:
    """Mean absolute errors from a network's logarithms, within what can be.

    Examples
    --------
    >>> error_sizes(torch.zeros(1, 2, 1, 1)).flatten()
    tensor([1., 1.])
    """
    return scales.clamp(-8.0, 6.0).exp()


def log_gain(scales: Float[Tensor, "b 2 v u"]) -> Float[Tensor, "b v u"]:
    """Logarithm of the input's predicted error over the answer's, each averaged around a place.

    Examples
    --------
    >>> log_gain(torch.tensor([0.0, 1.0])[None, :, None, None].expand(1, 2, 8, 8))[0, 0, 0]
    tensor(1.)
    """
    sizes = error_sizes(scales)
    around = functional.avg_pool2d(
        sizes, SMOOTH_CELLS, 1, SMOOTH_CELLS // 2, count_include_pad=False
    )
    return (around[:, 1] / around[:, 0]).log()


def trust_of(
    scales: Float[Tensor, "b 2 v u"], calibration: RefocusCalibration
) -> Float[Tensor, "b v u"]:
    """Chance that each place of the answer is nearer to the truth than the input.

    Examples
    --------
    >>> trust_of(torch.zeros(1, 2, 8, 8), RefocusCalibration()).mean()
    tensor(0.5000)
    """
    gain = log_gain(scales)
    return torch.sigmoid(calibration.trust_offset + calibration.trust_slope * gain)


def verdict_facts(gain: float, centre_dof: float, noise: float) -> tuple[float, float, float]:
    """What a verdict is made of: predicted gain, distance up to ``FAR_DOF``, noise.

    Examples
    --------
    >>> verdict_facts(0.5, 7.0, 0.1)
    (0.5, 3.0, -1.0)
    """
    return gain, min(centre_dof, FAR_DOF), math.log10(max(noise, 1e-6))


def verdict_of(facts: tuple[float, float, float], calibration: RefocusCalibration) -> float:
    """Chance that the whole image is nearer to the truth than the input.

    Parameters
    ----------
    facts
        As ``verdict_facts`` gives them.

    Examples
    --------
    >>> verdict_of((0.0, 1.0, -1.0), RefocusCalibration())
    0.5
    """
    gain, centre, noise = facts
    odds = (
        calibration.verdict_offset
        + calibration.verdict_slope * gain
        + calibration.verdict_distance * centre
        + calibration.verdict_noise * noise
    )
    return 1.0 / (1.0 + math.exp(-max(-30.0, min(30.0, odds))))
