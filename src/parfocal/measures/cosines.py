"""Low frequencies of the discrete cosine transform, without the cost of the high ones."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor

from parfocal.core.shapes import Images
from parfocal.measures.local import weigh_neighbours

CACHED_SIZES = 16


def low_cosines(images: Images, kept_y: int, kept_x: int) -> Float[Tensor, "*batch kept_y kept_x"]:
    """The first ``kept_y`` x ``kept_x`` terms of the orthonormal DCT-II.

    Along each axis one real FFT of the reordered line, then a turn of phase [Makhoul1980]_;
    the second axis is transformed for the kept terms of the first alone.

    Examples
    --------
    >>> low_cosines(torch.ones(4, 4), 2, 2)
    tensor([[4., 0.],
            [0., 0.]])
    """
    along_x = _cosines_of_rows(images, kept_x)
    return _cosines_of_rows(along_x.transpose(-1, -2), kept_y).transpose(-1, -2)


def _cosines_of_rows(values: Tensor, kept: int) -> Tensor:
    size = values.shape[-1]
    order = _even_up_odd_down(size, values.device)
    spectrum = torch.fft.rfft(values.index_select(-1, order))
    cosine, sine = _turn(size, values.dtype, values.device)
    first = min(kept, size // 2 + 1)
    part = spectrum[..., :first]
    terms: Tensor = part.real * cosine[:first] + part.imag * sine[:first]
    if kept <= first:
        return terms
    # The upper half of the terms are the imaginary parts of the lower half, in reverse.
    part = spectrum[..., size - kept + 1 : size - first + 1]
    back = slice(size - kept + 1, size - first + 1)
    upper = part.real * sine[back] - part.imag * cosine[back]
    return torch.cat([terms, upper.flip(-1)], dim=-1)


@lru_cache(maxsize=CACHED_SIZES)
def _even_up_odd_down(size: int, device: torch.device) -> Tensor:
    index = torch.arange(size, device=device)
    return torch.cat([index[::2], index[1::2].flip(0)])


@lru_cache(maxsize=CACHED_SIZES)
def _turn(size: int, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    angle = torch.arange(size // 2 + 1, dtype=torch.float64) * (math.pi / (2 * size))
    scale = torch.full_like(angle, math.sqrt(2.0 / size))
    scale[0] = math.sqrt(1.0 / size)
    return (angle.cos() * scale).to(device, dtype), (angle.sin() * scale).to(device, dtype)


def blur_mirrored(images: Images, sigma_px: float) -> Images:
    """Gaussian blur of an image continued by its mirror image, cut at four sigma."""
    radius = max(1, math.ceil(4.0 * sigma_px))
    bell = [math.exp(-0.5 * (k / sigma_px) ** 2) for k in range(-radius, radius + 1)]
    weights = tuple(value / sum(bell) for value in bell)
    for axis in (-1, -2):
        size = images.shape[axis]
        index = torch.arange(-radius, size + radius, device=images.device) % (2 * size)
        padded = images.index_select(axis, torch.minimum(index, 2 * size - 1 - index))
        images = weigh_neighbours(padded, weights, axis=axis)
    return images
