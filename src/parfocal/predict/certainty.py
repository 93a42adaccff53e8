"""From patches to one answer, as published: certain patches, their mean, their two main classes."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from parfocal.predict.posterior import certainty

LEAST_CERTAINTY = 0.35
"""Patches that are less certain have no say [Li2021]_."""


def chosen_class_um(
    probabilities: Float[Tensor, "*batch c"], classes_um: Float[Tensor, " c"]
) -> Float[Tensor, "*batch"]:
    """Defocus of the likeliest class.

    Examples
    --------
    >>> chosen_class_um(torch.tensor([[0.1, 0.7, 0.2]]), torch.tensor([-6.0, 0.0, 6.0]))
    tensor([0.])
    """
    return classes_um[probabilities.argmax(-1)]


def is_certain(
    probabilities: Float[Tensor, "*batch c"], *, least: float = LEAST_CERTAINTY
) -> Bool[Tensor, "*batch"]:
    """Whether 1 + sum(p ln p) / ln N of a patch's N classes reaches the threshold [Li2021]_."""
    return certainty(probabilities) >= least


def mean_of_certain(
    probabilities: Float[Tensor, "p c"],
    classes_um: Float[Tensor, " c"],
    *,
    least: float = LEAST_CERTAINTY,
) -> float | None:
    """Mean defocus of the certain patches, each by its likeliest class [Li2021]_.

    Published for 3 x 3 patches.

    Parameters
    ----------
    probabilities
        Of each patch.
    classes_um
        Defocus that each class stands for.
    least
        Certainty from which a patch counts.

    Returns
    -------
    The mean, or None where no patch is certain. (Erratum: the public code then answers class 0,
    which is -36 um.)

    Examples
    --------
    >>> sure, unsure = [1.0, 0.0, 0.0], [0.4, 0.3, 0.3]
    >>> classes_um = torch.tensor([-6.0, 0.0, 6.0])
    >>> mean_of_certain(torch.tensor([sure, unsure, sure]), classes_um)
    -6.0
    >>> mean_of_certain(torch.tensor([unsure]), classes_um) is None
    True
    """
    kept = probabilities[is_certain(probabilities, least=least)]
    return float(chosen_class_um(kept, classes_um).mean()) if len(kept) else None


def two_main_classes(
    probabilities: Float[Tensor, "p c"],
    classes_um: Float[Tensor, " c"],
    *,
    least: float = LEAST_CERTAINTY,
) -> float | None:
    """Mean of the two classes that most patches chose, by their patches [Li2021]_.

    Published for 8 x 8 patches, live: (dz1 S1 + dz2 S2) / (S1 + S2); outliers have no say.

    Parameters
    ----------
    probabilities, classes_um, least
        As in ``mean_of_certain``.

    Returns
    -------
    The mean, or None where no patch is certain. Of classes with as many patches, those nearer to
    the first are taken, then the lower.

    Examples
    --------
    >>> votes = torch.eye(3)[torch.tensor([0, 1, 1, 1, 2, 2])]
    >>> two_main_classes(votes, torch.tensor([-6.0, 0.0, 6.0]))
    2.4...
    """
    kept = probabilities[is_certain(probabilities, least=least)]
    if not len(kept):
        return None
    votes = torch.bincount(kept.argmax(-1), minlength=len(classes_um))
    first = int(votes.argmax())
    away = (torch.arange(len(classes_um), device=votes.device) - first).abs()
    # Votes first, then nearness: no distance reaches the number of classes.
    rank = votes * len(classes_um) - away
    rank[first] = torch.iinfo(rank.dtype).min
    pair = torch.stack([votes[first], votes[int(rank.argmax())]])
    centres = torch.stack([classes_um[first], classes_um[int(rank.argmax())]])
    return float((pair * centres).sum() / pair.sum())
