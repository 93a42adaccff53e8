"""A pair of images as the network sees it: resampled, normalised, with the facts of its optics."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from parfocal.core.setup import OpticalSetup
from parfocal.nets.pair_inputs import (
    FACTS,
    bin_centres,
    is_blank,
    normalised,
    pair_facts,
    swapped,
)

__all__ = [
    "BEST_PIXEL",
    "COARSEST_PIXEL",
    "FACTS",
    "FINEST_PIXEL",
    "LEAST_SPACING",
    "MOST_SPACING",
    "WIDEST_RATIO",
    "bin_centres",
    "is_blank",
    "normalised",
    "pair_facts",
    "resample",
    "resampling",
    "swapped",
    "two_hot",
]

FINEST_PIXEL, BEST_PIXEL, COARSEST_PIXEL = 0.42, 0.5, 2.2
"""Pixels in units of wavelength / NA: finer ones are resampled to the best, coarser are unknown."""
LEAST_SPACING, MOST_SPACING = 0.3, 3.0
"""Distances of a pair that training covered, in effective depths of field."""
WIDEST_RATIO = 0.97
"""Largest NA / index that training covered."""


def resampling(setup: OpticalSetup) -> float:
    """Pixels after resampling for each pixel before: 1, or less where pixels are very fine.

    Examples
    --------
    >>> setup = OpticalSetup(na=0.5, wavelength_nm=500, pixel_um=0.25)
    >>> resampling(setup)
    0.5
    """
    pixel = setup.pixel_um * setup.na / setup.wavelength_um
    return 1.0 if pixel >= FINEST_PIXEL else pixel / BEST_PIXEL


def resample(images: Float[Tensor, "*batch y x"], share: float) -> Float[Tensor, "*batch v u"]:
    """Crop the cosine spectrum of images to a share of its band: no aliasing, white noise stays so.

    Cosines, and not waves, because the edges of an image do not fit each other.

    Examples
    --------
    >>> resample(torch.full((8, 8), 3.0), 0.5)[0]
    tensor([3., 3., 3., 3.])
    """
    if share == 1.0:
        return images
    for axis in (-2, -1):
        old = images.shape[axis]
        new = max(1, round(old * share))
        images = torch.tensordot(images.movedim(axis, -1), _cropping(old, new, images), dims=1)
        images = images.movedim(-1, axis)
    return images


def _cropping(old: int, new: int, like: Tensor) -> Float[Tensor, "old new"]:
    """Matrix of a cosine transform, cut at the new band, and back at the new points."""
    waves = torch.arange(new, dtype=torch.float64)[:, None]
    forth = torch.cos(math.pi / old * waves * (torch.arange(old, dtype=torch.float64) + 0.5))
    back = torch.cos(math.pi / new * waves * (torch.arange(new, dtype=torch.float64) + 0.5))
    weights = torch.full((new, 1), 2.0 / old, dtype=torch.float64)
    weights[0] = 1.0 / old
    both: Tensor = forth.T @ (weights * back)
    return both.to(like)


def two_hot(defocus: Float[Tensor, " b"], *, bins: int, reach: float) -> Float[Tensor, "b bins"]:
    """Share each label between its two neighbouring classes; beyond the reach the last takes all.

    Examples
    --------
    >>> two_hot(torch.tensor([0.25]), bins=3, reach=1.0)
    tensor([[0.0000, 0.7500, 0.2500]])
    """
    place = ((defocus + reach) * (bins - 1) / (2 * reach)).clamp(0, bins - 1)
    lower = place.floor().clamp(max=bins - 2)
    labels = functional.one_hot(lower.long(), bins) * (1 - (place - lower))[:, None]
    return labels + functional.one_hot(lower.long() + 1, bins) * (place - lower)[:, None]
