"""From classes of many patches to one distribution, one estimate and its interval."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

LEAST_SIDE = 0.1
"""Share of the probability on the far side of zero beyond which the sign is in doubt."""
VALLEY = 0.5
"""Share of the lower of two peaks below which they are two."""
FLOOR = 1e-3
"""Smallest probability of a class: what no patch excludes."""


@dataclass(frozen=True, eq=False, kw_only=True)
class FieldPosterior:
    """One distribution over classes for a field.

    Parameters
    ----------
    probabilities
        Of each class.
    centre, spread
        Its mean and standard deviation, in the unit of the classes.
    certainty
        1 + sum(p ln p) / ln N.
    disagreement
        Standard deviation of the patches' own centres, weighted.
    patches
        Effective number of patches that had a say.
    """

    probabilities: Float[Tensor, " c"]
    centre: float
    spread: float
    certainty: float
    disagreement: float
    patches: float


def certainty(probabilities: Float[Tensor, "*batch c"]) -> Float[Tensor, "*batch"]:
    """How sure a distribution is: 1 + sum(p ln p) / ln N of its N classes [Yang2018]_ [Li2021]_.

    Examples
    --------
    >>> certainty(torch.tensor([[0.0, 1.0], [0.5, 0.5]]))
    tensor([1., 0.])
    """
    entropy = -torch.xlogy(probabilities, probabilities).sum(-1)
    return 1 - entropy / math.log(probabilities.shape[-1])


def centre(
    probabilities: Float[Tensor, "*batch c"], classes: Float[Tensor, " c"]
) -> Float[Tensor, "*batch"]:
    """Mean of a distribution."""
    return probabilities @ classes


def spread(
    probabilities: Float[Tensor, "*batch c"], classes: Float[Tensor, " c"]
) -> Float[Tensor, "*batch"]:
    """Standard deviation of a distribution."""
    mean = centre(probabilities, classes)
    return (probabilities @ classes.square() - mean.square()).clamp(min=0).sqrt()


def has_valley(probabilities: Float[Tensor, " c"], classes: Float[Tensor, " c"]) -> bool:
    """Whether the two sides of zero are two answers, and not the flanks of one around it.

    They are if some class between their peaks has less than ``VALLEY`` of the lower peak.

    Examples
    --------
    >>> classes = torch.linspace(-2.0, 2.0, 5)
    >>> has_valley(torch.tensor([0.1, 0.2, 0.4, 0.2, 0.1]), classes)
    False
    >>> has_valley(torch.tensor([0.1, 0.4, 0.0, 0.4, 0.1]), classes)
    True
    """
    below, above = probabilities * (classes < 0), probabilities * (classes > 0)
    first, last = int(below.argmax()), int(above.argmax())
    between = probabilities[first : last + 1].min()
    return bool(between < VALLEY * torch.minimum(below.max(), above.max()))


def join(
    probabilities: Float[Tensor, "p c"],
    classes: Float[Tensor, " c"],
    weights: Float[Tensor, " p"],
    *,
    independence: float = 0.5,
) -> FieldPosterior:
    """Join patches of one field into one distribution.

    The product of the patches' distributions, each to the power of its weight: patches that know
    nothing do not count, and none can exclude what all others see (``FLOOR``). Patches of one
    field share optics and errors, so n of them count as n^``independence``.

    Parameters
    ----------
    probabilities
        Of each patch.
    classes
        What each class stands for.
    weights
        Each patch's say, at least 0 and not all 0.
    """
    share = weights / weights.sum()
    count = 1 / share.square().sum()
    floored = (1 - FLOOR) * probabilities + FLOOR / probabilities.shape[-1]
    logs = share @ floored.log() * count**independence
    joint = torch.softmax(logs, -1)
    centres = centre(probabilities, classes)
    middle = share @ centres
    return FieldPosterior(
        probabilities=joint,
        centre=float(centre(joint, classes)),
        spread=float(spread(joint, classes)),
        certainty=float(certainty(joint)),
        disagreement=float((share @ (centres - middle).square()).sqrt()),
        patches=float(count),
    )
