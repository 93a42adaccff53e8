"""What keeps noise from growing while an image is sharpened."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

LEAST_SLOPE = 1e-3
"""Slopes below this share of the mean count as flat."""


def total_variation_divisor(
    sharp: Float[Tensor, "*field"], weight: float, *, axes: tuple[int, ...]
) -> Float[Tensor, "*field"]:
    """Divisor of a multiplicative step that lowers total variation, 1 - w div(grad u / |grad u|).

    Parameters
    ----------
    sharp
        Estimate, in a circular field.
    weight
        Weight of total variation [Dey2006]_.
    axes
        Axes along which the field varies.

    Notes
    -----
    Laws: gain-free; 1 where the field is flat; its mean is 1.

    Examples
    --------
    >>> total_variation_divisor(torch.ones(2, 3), 0.01, axes=(-2, -1)).unique()
    tensor([1.])
    """
    slopes = [sharp.roll(-1, axis).sub_(sharp) for axis in axes]
    size = sharp.mean(axes, keepdim=True).mul_(LEAST_SLOPE).square_().clamp_(min=1e-30)
    length = size.expand_as(sharp).clone()
    for slope in slopes:
        length.addcmul_(slope, slope)
    length.sqrt_()
    divisor = torch.ones_like(sharp)
    for axis, slope in zip(axes, slopes, strict=True):
        slope.div_(length)
        divisor.sub_(slope, alpha=weight).add_(slope.roll(1, axis), alpha=weight)
    return divisor
