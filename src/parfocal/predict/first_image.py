"""From the defocus of a pair's middle to that of the first image of a short stack."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from parfocal.predict.calibration import Calibration
from parfocal.predict.pairs import bin_centres


def classes_of_first(calibration: Calibration, span: float) -> Float[Tensor, " k"]:
    """Defocus that classes of the first image stand for, in effective depths of field.

    Those of a pair's middle, and before them those for which only the way to the middle reaches.

    Parameters
    ----------
    calibration
        Holds the classes of a pair's middle.
    span
        Largest way from the first image to the middle of a pair, in effective depths of field.

    Examples
    --------
    >>> classes_of_first(Calibration(bins=5, classes_reach=2.0), 1.5)
    tensor([-4., -3., -2., -1.,  0.,  1.,  2.])
    """
    step = _step(calibration)
    before = torch.arange(math.ceil(span / step), 0, -1)
    centres = bin_centres(calibration.bins, calibration.classes_reach)
    return torch.cat([-calibration.classes_reach - step * before, centres])


def of_first(
    probabilities: Float[Tensor, "*p c"],
    classes: Float[Tensor, " k"],
    shift: float,
    calibration: Calibration,
) -> Float[Tensor, "*p k"]:
    """Distribution over the first image's defocus, from that over a pair's middle.

    Parameters
    ----------
    probabilities
        Of the middle's defocus.
    classes
        What the new classes stand for, as ``classes_of_first`` gives them.
    shift
        Way from the first image to the pair's middle, in effective depths of field.
    calibration
        Holds the classes of the middle.
    """
    place = (classes + shift + calibration.classes_reach) / _step(calibration)
    lower = place.floor().long()
    share = (place - lower).to(probabilities.device)
    padded = functional.pad(probabilities, (1, 1))
    low = (lower + 1).clamp(0, calibration.bins + 1)
    high = (lower + 2).clamp(0, calibration.bins + 1)
    values = padded[..., low] * (1 - share) + padded[..., high] * share
    return values / values.sum(-1, keepdim=True).clamp(min=1e-12)


def _step(calibration: Calibration) -> float:
    return 2 * calibration.classes_reach / (calibration.bins - 1)
