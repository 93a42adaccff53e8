"""A pair of images as the network sees it: resampled, normalised, with the facts of its optics."""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from parfocal.core.setup import OpticalSetup

FINEST_PIXEL, BEST_PIXEL, COARSEST_PIXEL = 0.42, 0.5, 2.2
"""Pixels in units of wavelength / NA: finer ones are resampled to the best, coarser are unknown."""
LEAST_SPACING, MOST_SPACING = 0.3, 3.0
"""Distances of a pair that training covered, in effective depths of field."""
WIDEST_RATIO = 0.97
"""Largest NA / index that training covered."""
FACTS = 4
"""Numbers that tell the network the optics of a pair."""


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


def normalised(
    pairs: Float[Tensor, "b n y x"],
) -> Float[Tensor, "b n y x"]:
    """Images less their joint mean, over their joint standard deviation; constant ones are 0.

    Jointly, so that what the pair says by its brightness and contrast is kept.
    """
    mean = pairs.mean((1, 2, 3), keepdim=True)
    centred = pairs - mean
    spread = centred.square().mean((1, 2, 3), keepdim=True).sqrt()
    return centred / spread.clamp(min=1e-12) * (spread > 1e-6 * (1 + mean.abs()))


def pair_facts(
    *,
    pixel: Float[Tensor, " b"],
    spacing: Float[Tensor, " b"],
    ratio: Float[Tensor, " b"],
) -> Float[Tensor, "b f"]:
    """What the network is told, each number of order one.

    Parameters
    ----------
    pixel
        Camera pixel after resampling, in wavelength / NA.
    spacing
        Distance of the two images, in effective depths of field; 0 for one image given twice.
    ratio
        NA over index.
    """
    return torch.stack([pixel.log(), spacing - 1.0, (spacing == 0).to(spacing), ratio - 0.5], 1)


def swapped(pairs: Float[Tensor, "b n y x"]) -> Float[Tensor, "b n y x"]:
    """The images of a pair in reverse order: the same scene, seen from the other side."""
    return pairs.flip(1)


def bin_centres(bins: int, reach: float) -> Float[Tensor, " bins"]:
    """Defocus that each class stands for, in effective depths of field."""
    return torch.linspace(-reach, reach, bins)


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


def is_blank(pairs: Float[Tensor, "b n y x"]) -> Bool[Tensor, " b"]:
    """Whether a pair holds no grey value but one."""
    return pairs.amax((1, 2, 3)) == pairs.amin((1, 2, 3))
