"""A pair of images as its network is given it: normalised, in order, with facts of its optics."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

FACTS = 4
"""Numbers that tell the network the optics of a pair."""
CLEAR_PRIOR = 0.1
"""Probability of no fluorescence for a patch that shows nothing: the share in training."""


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


def is_blank(pairs: Float[Tensor, "b n y x"]) -> Bool[Tensor, " b"]:
    """Whether a pair holds no grey value but one."""
    return pairs.amax((1, 2, 3)) == pairs.amin((1, 2, 3))


def bin_centres(bins: int, reach: float) -> Float[Tensor, " bins"]:
    """Defocus that each class stands for, in effective depths of field."""
    return torch.linspace(-reach, reach, bins)
