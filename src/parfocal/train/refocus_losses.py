"""What an image costs beside its truth: absolute differences, and structure at three scales."""

from __future__ import annotations

from functools import cache

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

SCALES = 3
WEIGHTS = (0.2, 0.35, 0.45)  # of the scales, from fine to coarse
WINDOW_PX, SIGMA_PX = 11, 1.5
LEAST_RANGE = 0.5
"""Of a truth, in standard deviations of the image that was taken."""
STEADY = (0.01**2, 0.03**2)  # constants of the means and of the contrasts, for a range of 1


def ms_ssim(one: Float[Tensor, "b y x"], other: Float[Tensor, "b y x"]) -> Float[Tensor, " b"]:
    """Structural similarity at three scales [Wang2003]_ of images whose range is 1.

    Terms below 0 are set to 0: a power of a negative one would be no number.

    Parameters
    ----------
    one, other
        Images with values from about 0 to about 1, of at least 44 px along a side.

    Notes
    -----
    Laws: 1 for equal images, symmetric, mirror-free.

    Examples
    --------
    >>> image = torch.rand(2, 64, 64)
    >>> ms_ssim(image, image)
    tensor([1., 1.])
    """
    total = one.new_ones(len(one))
    for scale, weight in enumerate(WEIGHTS):
        if scale:
            one, other = (functional.avg_pool2d(each[:, None], 2)[:, 0] for each in (one, other))
        light, structure = _similarities(one, other)
        term = structure if scale < SCALES - 1 else structure * light
        total = total * term.mean((1, 2)).clamp(min=1e-3) ** weight
    return total


def _similarities(one: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """Similarity of the means, and of contrast and structure, in a Gaussian window."""
    parts = torch.stack([one, other, one.square(), other.square(), one * other])
    mean, their, power, their_power, product = _smooth(parts)
    means, both = mean.square() + their.square(), mean * their
    light = (2 * both + STEADY[0]) / (means + STEADY[0])
    structure = (2 * (product - both) + STEADY[1]) / (power + their_power - means + STEADY[1])
    return light, structure


def _smooth(images: Float[Tensor, "*b y x"]) -> Float[Tensor, "*b v u"]:
    """Gaussian means where the window fits; products of matrices, faster than convolutions."""
    rows = _window(images.shape[-2], images.device)
    columns = _window(images.shape[-1], images.device)
    return rows @ images @ columns.mT


@cache
@torch.inference_mode(mode=False)  # kept for training too, whoever asks first
def _window(size: int, device: torch.device) -> Float[Tensor, "v y"]:
    line = torch.arange(WINDOW_PX, dtype=torch.float32, device=device) - WINDOW_PX // 2
    bell = torch.exp(-0.5 * (line / SIGMA_PX).square())
    bell = bell / bell.sum()
    rows = size - WINDOW_PX + 1
    matrix = torch.zeros(rows, size, device=device)
    for row in range(rows):
        matrix[row, row : row + WINDOW_PX] = bell
    return matrix


def to_unit_range(
    truth: Float[Tensor, "b y x"],
) -> tuple[Float[Tensor, "b 1 1"], Float[Tensor, "b 1 1"]]:
    """Lowest value and range of each image, by which it runs from 0 to 1; an empty one has none.

    Examples
    --------
    >>> to_unit_range(torch.tensor([[[1.0, 3.0]]]))
    (tensor([[[1.]]]), tensor([[[2.]]]))
    """
    low, high = truth.amin((1, 2), keepdim=True), truth.amax((1, 2), keepdim=True)
    return low, (high - low).clamp(min=LEAST_RANGE)
