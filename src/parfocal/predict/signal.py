"""What kind of field this is: how much of it is signal, and how much of it is filled."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

NORMAL_MEDIAN = 0.6745
"""Median of |x| of a normal variable of variance 1."""
FLOOR_SHARE = 0.2
"""Share of the pixels that are taken for background."""


def signal_to_noise(images: Float[Tensor, "*n y x"]) -> float:
    """Standard deviation of the light over that of the noise, of the image that has most of it.

    Noise is what second differences along both axes leave [Immerkaer1996]_, by their median, so
    that few bright edges do not count. Detail as fine as a pixel counts as noise.

    Notes
    -----
    Laws: gain-free, offset-free, mirror-free.

    Examples
    --------
    >>> import torch
    >>> noise = torch.randn(64, 64, generator=torch.Generator().manual_seed(0))
    >>> light = 4.0 * torch.sin(torch.arange(64) / 8.0).expand(64, 64) * 2**0.5
    >>> round(signal_to_noise(noise)), round(signal_to_noise(noise + light))
    (0, 4)
    """
    flat = images.reshape(-1, 1, *images.shape[-2:]).float()
    flat = flat - flat.mean((2, 3), keepdim=True)
    bend = flat.new_tensor([1.0, -2.0, 1.0])
    rough = functional.conv2d(flat, (bend[:, None] * bend)[None, None]).flatten(1)
    noise = rough.abs().median(1).values / (6.0 * NORMAL_MEDIAN)
    total = flat.square().mean((1, 2, 3))
    ratio = total / noise.square().clamp(min=1e-12) - 1.0
    return float(ratio.clamp(min=0.0).sqrt().amax())


def filled_share(images: Float[Tensor, "*n y x"]) -> float:
    """Share of a field that its light fills: 1 if it is even, next to 0 for few bright points.

    The square of the mean over the mean square, of what exceeds the darkest fifth, in the image
    where that is least.

    Examples
    --------
    >>> import torch
    >>> spots = torch.zeros(100, 100)
    >>> spots[::10, ::10] = 5.0
    >>> round(filled_share(spots), 3)
    0.01
    """
    flat = images.flatten(-2).reshape(-1, images.shape[-2] * images.shape[-1]).float()
    rank = max(1, int(FLOOR_SHARE * flat.shape[1]))
    light = (flat - flat.kthvalue(rank, dim=1, keepdim=True).values).clamp(min=0.0)
    shares = light.mean(1).square() / light.square().mean(1).clamp(min=1e-12)
    return float(shares.amin())
