"""Losses of segmenting, as pure functions of probabilities and truth."""

from __future__ import annotations

from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

DICE_SMOOTH = 1e-5
FOCAL_SHARE, FOCAL_POWER = 0.25, 2.0
LEAST_PROBABILITY = 1e-7


def dice_loss(
    probabilities: Float[Tensor, "b y x"],
    truth: Bool[Tensor, "b y x"],
    *,
    smooth: float = DICE_SMOOTH,
) -> Float[Tensor, ""]:
    """One less twice the shared over the sum of both, over the whole batch together [Li2023]_.

    Parameters
    ----------
    probabilities
        From 0 to 1.
    truth
        Pixels in focus.
    smooth
        Added above and below: an empty truth that is found empty costs nothing.

    Examples
    --------
    >>> import torch
    >>> half = torch.tensor([[[1.0, 1.0]]])
    >>> round(dice_loss(half, torch.tensor([[[True, False]]])).item(), 4)
    0.3333
    """
    wanted = truth.to(probabilities.dtype)
    shared = 2 * (probabilities * wanted).sum()
    return 1 - (shared + smooth) / (probabilities.sum() + wanted.sum() + smooth)


def focal_loss(
    probabilities: Float[Tensor, "b y x"],
    truth: Bool[Tensor, "b y x"],
    *,
    share: float = FOCAL_SHARE,
    power: float = FOCAL_POWER,
    positives_only: bool = False,
) -> Float[Tensor, ""]:
    """Cross-entropy in which a pixel counts by how far off it is [Lin2017]_.

    ``-share * (1 - p)**power * log(p)`` where p is the probability of what is true; the mean over
    all pixels.

    Parameters
    ----------
    probabilities
        From 0 to 1.
    truth
        Pixels in focus.
    share
        Weight of pixels in focus; the others have one less it.
    power
        How fast sure pixels stop counting.
    positives_only
        Only pixels in focus count: what the categorical loss of the public code of [Li2023]_
        comes to with its single channel.

    Examples
    --------
    >>> import torch
    >>> round(focal_loss(torch.tensor([[[0.5]]]), torch.tensor([[[True]]])).item(), 4)
    0.0433
    """
    sure = probabilities.clamp(LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
    inside = share * (1 - sure) ** power * sure.log()
    outside = (1 - share) * sure**power * (1 - sure).log()
    wanted = truth.to(sure.dtype)
    cost = inside * wanted if positives_only else inside * wanted + outside * (1 - wanted)
    return -cost.mean()


def li2023_loss(
    logits: Float[Tensor, "b y x"],
    truth: Bool[Tensor, "b y x"],
    *,
    dice: float,
    focal: float,
    cross_entropy: float,
) -> Float[Tensor, ""]:
    """Dice, focal and cross-entropy by weight [Li2023]_.

    Published: 1, 1, 0.005 to pre-train, 0.05, 1, 0.95 to fine-tune. The focal part counts pixels
    in focus alone, as the public code does.

    Examples
    --------
    >>> import torch
    >>> logits, truth = torch.zeros(1, 2, 2), torch.ones(1, 2, 2, dtype=torch.bool)
    >>> round(li2023_loss(logits, truth, dice=0.0, focal=0.0, cross_entropy=1.0).item(), 4)
    0.6931
    """
    logits = logits.float()
    shares = logits.sigmoid()
    plain = functional.binary_cross_entropy_with_logits(logits, truth.to(logits.dtype))
    return (
        dice * dice_loss(shares, truth)
        + focal * focal_loss(shares, truth, positives_only=True)
        + cross_entropy * plain
    )
