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
PRODUCT_AREA_FAST = 2**21  # terms by length of a line, where products use the widest registers
FOLDED_TERMS = 256  # more terms are worth another fold
ROWS_PX_CPU = 2**18  # pixels transformed at once


def low_cosines(
    images: Images, kept_y: int, kept_x: int, *, offset: Tensor | None = None
) -> Float[Tensor, "*batch {kept_y} {kept_x}"]:
    """The first ``kept_y`` x ``kept_x`` terms of the orthonormal DCT-II of ``images - offset``.

    Few terms: two truncated matrix products, after the image is folded so that even and odd
    terms cost half each. Many terms: along each axis a real FFT of the reordered line and a
    turn of phase [Makhoul1980]_, the second axis for the kept terms of the first alone, or by a
    product where that is faster than turning the terms over for a Fourier transform.

    Examples
    --------
    >>> low_cosines(torch.ones(4, 4), 2, 2)
    tensor([[4., 0.],
            [0., 0.]])
    """
    size_y, size_x = images.shape[-2:]
    if size_y % 2 == 0 and size_x % 2 == 0 and max(kept_y, kept_x) <= PRODUCT_TERMS:
        return _folded_product(images, kept_y, kept_x, offset)
    if _has_fast_products(images) and size_y % 2 == 0 and kept_y * size_y <= PRODUCT_AREA_FAST:
        flat = _cosines_along(images, kept_x, offset).flatten(0, -3)
        terms = flat.new_empty(len(flat), kept_y, kept_x)
        for image, into in zip(flat, terms, strict=True):
            _multiply_down(image, into)
        return terms.reshape(*images.shape[:-2], kept_y, kept_x)
    less = images if offset is None else images - offset
    return _cosines_down(_cosines_down(less, kept_x), kept_y)


def _has_fast_products(images: Tensor) -> bool:
    return images.dtype == torch.float32 and not images.requires_grad and _widest(images.device)


@lru_cache(maxsize=CACHED_SIZES)
def _widest(device: torch.device) -> bool:
    """Whether oneDNN is there and uses AVX-512: the BLAS of torch does not on every processor."""
    return (
        device.type == "cpu"
        and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
        and torch.backends.cpu.get_cpu_capability() == "AVX512"
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    )


def _product(lines: Tensor, waves: Tensor) -> Tensor:
    """``lines @ waves.T``."""
    if _has_fast_products(lines) and _has_fast_products(waves):
        product: Tensor = torch.ops.mkldnn._linear_pointwise(lines, waves, None, "none", [], "")
        return product
    return lines @ waves.T


def _cosines_along(images: Tensor, kept: int, offset: Tensor | None) -> Tensor:
    """Terms of each row; some rows at a time, whose spectra stay in the cache."""
    size_y, size_x = images.shape[-2:]
    step = max(1, ROWS_PX_CPU // size_x // max(1, images[..., 0, 0].numel()))
    terms = images.new_empty(*images.shape[:-1], kept)
    for first in range(0, size_y, step):
        rows = images[..., first : first + step, :]
        less = rows if offset is None else rows - offset
        terms[..., first : first + step, :] = _cosines_of_rows(less, kept)
    return terms if images.dim() > 2 else terms[None]


def _multiply_down(columns: Tensor, into: Tensor, *, scale: float = 1.0) -> None:
    """Terms of each column, by products; the even terms are those of a line half as long."""
    size, kept = columns.shape[0], into.shape[0]
    even, odd = _cosine_halves(size, kept, columns.dtype, columns.device, scale)
    top, bottom = columns[: size // 2], columns[size // 2 :].flip(0)
    into[1::2] = _product(odd, (top - bottom).T)
    folded = top.add_(bottom)
    if kept > FOLDED_TERMS and size % 4 == 0:
        _multiply_down(folded, into[::2], scale=scale * math.sqrt(0.5))
    else:
        into[::2] = _product(even, folded.T)


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


def _folded_product(images: Tensor, kept_y: int, kept_x: int, offset: Tensor | None) -> Tensor:
    """Both axes by products of all images at once; the first leaves its terms turned over."""
    size_y, size_x = images.shape[-2:]
    count = images.shape[:-2].numel()
    columns = _cosine_halves(size_x, kept_x, images.dtype, images.device)
    rows = _cosine_halves(size_y, kept_y, images.dtype, images.device)
    turned = images.new_empty(kept_x, count * size_y)
    for odd, folded in enumerate(_folded(images, offset)):
        turned[odd::2] = _product(columns[odd], folded)
    terms = images.new_empty(kept_x * count, kept_y)
    for odd, folded in enumerate(_folded(turned.reshape(kept_x * count, size_y), None)):
        terms[:, odd::2] = _product(folded, rows[odd])
    turned_back = terms.reshape(kept_x, count, kept_y).permute(1, 2, 0)
    return turned_back.reshape(*images.shape[:-2], kept_y, kept_x)


def _folded(images: Tensor, offset: Tensor | None) -> tuple[Tensor, Tensor]:
    """Rows folded in half: sum and difference of the halves, one row to each line of pixels."""
    half = images.shape[-1] // 2
    left, right = images[..., :half], images[..., half:].flip(-1)
    if offset is not None:
        left, right = left - offset, right - offset
    return (left + right).reshape(-1, half), (left - right).reshape(-1, half)


@lru_cache(maxsize=CACHED_SIZES)
def _cosine_halves(
    size: int, kept: int, dtype: torch.dtype, device: torch.device, scale: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Even and odd terms of the transform, times scale, each over the first half of the line."""
    place = torch.arange(size // 2, dtype=torch.float64)
    term = torch.arange(kept, dtype=torch.float64)[:, None]
    waves = torch.cos(math.pi * term * (2.0 * place + 1.0) / (2 * size))
    waves *= scale * math.sqrt(2.0 / size)
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
