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
# On a CPU a matrix product wins where the terms it makes cost less than a Fourier transform.
PRODUCT_TERMS = 128
ROWS_PX_CPU = 2**18  # pixels transformed at once


def low_cosines(
    images: Images, kept_y: int, kept_x: int
) -> Float[Tensor, "*batch {kept_y} {kept_x}"]:
    """The first ``kept_y`` x ``kept_x`` terms of the orthonormal DCT-II.

    Few terms: two truncated matrix products, after the image is folded so that even and odd
    terms cost half each. Many terms: along each axis a real FFT of the reordered line and a
    turn of phase [Makhoul1980]_, the second axis for the kept terms of the first alone.

    Examples
    --------
    >>> low_cosines(torch.ones(4, 4), 2, 2)
    tensor([[4., 0.],
            [0., 0.]])
    """
    even = images.shape[-1] % 2 == 0 and images.shape[-2] % 2 == 0
    if even and max(kept_y, kept_x) <= PRODUCT_TERMS:
        return _folded_product(images, kept_y, kept_x)
    return _cosines_down(_cosines_down(images, kept_x), kept_y)


def _cosines_down(images: Tensor, kept: int) -> Tensor:
    """Terms of each row, as columns; some rows at a time, whose spectra stay in the cache."""
    step = max(1, ROWS_PX_CPU // images.shape[-1] // max(1, images[..., 0, 0].numel()))
    if images.device.type != "cpu" or images.requires_grad or images.shape[-2] <= step:
        return _cosines_of_rows(images, kept).transpose(-1, -2)
    turned = images.new_empty(*images.shape[:-2], kept, images.shape[-2])
    for first in range(0, images.shape[-2], step):
        terms = _cosines_of_rows(images[..., first : first + step, :], kept)
        turned[..., first : first + step] = terms.transpose(-1, -2)
    return turned


def _folded_product(images: Tensor, kept_y: int, kept_x: int) -> Tensor:
    half_y, half_x = images.shape[-2] // 2, images.shape[-1] // 2
    rows = _cosine_halves(2 * half_y, kept_y, images.dtype, images.device)
    columns = _cosine_halves(2 * half_x, kept_x, images.dtype, images.device)
    top, bottom = images[..., :half_y, :], images[..., half_y:, :].flip(-2)
    terms = images.new_empty(*images.shape[:-2], kept_y, kept_x)
    for odd_y, folded in enumerate((top + bottom, top - bottom)):
        part = rows[odd_y] @ folded
        left, right = part[..., :half_x], part[..., half_x:].flip(-1)
        terms[..., odd_y::2, ::2] = (left + right) @ columns[0].T
        terms[..., odd_y::2, 1::2] = (left - right) @ columns[1].T
    return terms


@lru_cache(maxsize=CACHED_SIZES)
def _cosine_halves(
    size: int, kept: int, dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Even and odd terms of the transform, each over the first half of the line."""
    place = torch.arange(size // 2, dtype=torch.float64)
    term = torch.arange(kept, dtype=torch.float64)[:, None]
    waves = torch.cos(math.pi * term * (2.0 * place + 1.0) / (2 * size)) * math.sqrt(2.0 / size)
    waves[0] *= math.sqrt(0.5)
    waves = waves.to(device, dtype)
    return waves[::2].contiguous(), waves[1::2].contiguous()


def _cosines_of_rows(values: Tensor, kept: int) -> Tensor:
    size = values.shape[-1]
    reordered = torch.cat([values[..., ::2], values[..., 1::2].flip(-1)], dim=-1)
    spectrum = torch.fft.rfft(reordered)
    phase = _turn(size, values.dtype, values.device)
    first = min(kept, size // 2 + 1)
    terms: Tensor = (spectrum[..., :first] * phase[:first]).real
    if kept <= first:
        return terms
    # The upper half of the terms are the imaginary parts of the lower half, in reverse.
    back = slice(size - kept + 1, size - first + 1)
    upper = (spectrum[..., back] * phase[back]).imag
    return torch.cat([terms, -upper.flip(-1)], dim=-1)


@lru_cache(maxsize=CACHED_SIZES)
def _turn(size: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    angle = torch.arange(size // 2 + 1, dtype=torch.float64) * (-math.pi / (2 * size))
    scale = torch.full_like(angle, math.sqrt(2.0 / size))
    scale[0] = math.sqrt(1.0 / size)
    return torch.polar(scale, angle).to(device, dtype.to_complex())


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
