"""What windows of an image by an off-axis LED show: powers of their low frequencies."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor

from parfocal.core.setup import OpticalSetup
from parfocal.core.shapes import require_images
from parfocal.nets.fast import computes_bfloat16
from parfocal.predict.spectrum import cropped_spectrum

WINDOW = 62.8
"""Side of a window of ``window_powers``, in wavelength / NA."""
ROWS, COLUMNS = 56, 64
"""Bins across and along of ``window_powers``: to 0.89 and +-1.02 NA / wavelength."""
FOLD = 2
"""Bins along that are averaged."""
LEAST_POWER = 1e-4
"""Of the mean power; less is noise."""
MOST_WINDOWS = 12
"""Windows along each side of an image; of larger ones they are samples."""
MOST_TILES = 4


def window_px(setup: OpticalSetup) -> int:
    """Side of a window of ``window_powers`` in pixels.

    Examples
    --------
    >>> window_px(OpticalSetup(na=0.5, wavelength_nm=530, pixel_um=0.325))
    205
    """
    return round(WINDOW * setup.wavelength_um / setup.na / setup.pixel_um)


def window_powers(windows: Float[Tensor, "w y x"]) -> Float[Tensor, "w v u"]:
    """Power of windows at the low frequencies: ``ROWS`` across, ``COLUMNS`` along.

    Parameters
    ----------
    windows
        Parts of an image, each of the side that ``window_px`` says.

    Returns
    -------
    Power under a Hann window, of pixels less their window's mean. A bin stands for the same
    frequency in NA / wavelength whatever the pixel; ``FOLD`` bins along are averaged.

    Notes
    -----
    Laws: offset-free, gain-squared. Averages over windows are Welch's estimate [Welch1967]_.

    Examples
    --------
    >>> window_powers(torch.rand(2, 205, 205)).shape
    torch.Size([2, 56, 64])
    """
    size_y, size_x = windows.shape[-2:]
    bell = torch.outer(
        torch.hann_window(size_y, device=windows.device),
        torch.hann_window(size_x, device=windows.device),
    )
    centred = (windows - windows.mean((-2, -1), keepdim=True)) * bell
    parts = cropped_spectrum(centred, across=ROWS, along=COLUMNS * FOLD // 2)
    power: Tensor = parts.abs().square() / bell.square().sum()
    folded: Tensor = power.unfold(-1, FOLD, FOLD).mean(-1)
    return folded


def powers_of_windows(
    image: Float[Tensor, "y x"],
    rows: Sequence[int],
    columns: Sequence[int],
    side: int,
    *,
    is_narrow: bool | None = None,
) -> Float[Tensor, "r c v u"]:
    """``window_powers`` of the windows of one image, without a copy of any.

    Parameters
    ----------
    image
        In counts.
    rows, columns
        First pixels of the windows along y and along x.
    side
        Of the windows.
    is_narrow
        Whether to multiply in bfloat16; None where the processor does so by itself. Pixels less
        their mean are then rounded to three digits, which is less than their noise.

    Notes
    -----
    Windows share their rows: products with the waves along y, the bell on them, are made once
    for a strip of windows, and those along x once for all strips. Each window's own mean is
    taken off at the end, as so much of the bell's spectrum.

    Examples
    --------
    >>> image = torch.rand(150, 230)
    >>> powers_of_windows(image, [0, 20], [0, 50, 100], 130).shape
    torch.Size([2, 3, 56, 64])
    """
    require_images(
        image[:side, :side], least_y=2 * ROWS - 1, least_x=COLUMNS * FOLD, what="This spectrum"
    )
    waves_y, waves_x = _bell_waves(side, ROWS), _bell_waves(side, COLUMNS * FOLD // 2 + 1)
    narrow = computes_bfloat16(image.device) if is_narrow is None else is_narrow
    kind = torch.bfloat16 if narrow else torch.float32
    near_mean = image[:: max(1, side // 4), :: max(1, side // 16)].mean()
    level = torch.sub(image, near_mean, out=torch.empty_like(image, dtype=kind))
    down, across = (waves.to(image.device, kind) for waves in (waves_y, waves_x))
    strips = torch.empty(len(rows), len(down), image.shape[1], device=image.device, dtype=kind)
    for strip, first in zip(strips, rows, strict=True):
        torch.mm(down, level[first : first + side], out=strip)
    lines = strips.view(-1, image.shape[1])
    parts = torch.stack([lines[:, first : first + side] @ across.mT for first in columns])
    parts = parts.float().view(len(columns), len(rows), len(down), len(across)).transpose(0, 1)
    return _powers_of_parts(parts, waves_y.sum(1).to(parts), waves_x.sum(1).to(parts), side)


@lru_cache(maxsize=8)
def _bell_waves(side: int, count: int) -> Float[Tensor, "w p"]:
    """Cosines, then sines, of the lowest waves under a Hann window; ones last."""
    pixel = torch.arange(side, dtype=torch.float64)
    phase = torch.arange(count)[:, None] * pixel % side * (2.0 * math.pi / side)
    bell = torch.hann_window(side, dtype=torch.float64)
    return torch.cat([bell * phase.cos(), bell * phase.sin(), torch.ones(1, side)]).float()


def _powers_of_parts(
    parts: Float[Tensor, "r c w z"], bell_y: Tensor, bell_x: Tensor, side: int
) -> Float[Tensor, "r c v u"]:
    """From products with cosines and sines of both axes to powers, folded along x."""
    mean = parts[..., -1:, -1:] / side**2
    flat = parts[..., :-1, :-1] - mean * torch.outer(bell_y[:-1], bell_x[:-1])
    cos_cos, cos_sin, sin_cos, sin_sin = (
        half for rows in flat.tensor_split(2, dim=-2) for half in rows.tensor_split(2, dim=-1)
    )
    rising = (cos_cos - sin_sin).square() + (cos_sin + sin_cos).square()
    falling = (cos_cos + sin_sin).square() + (cos_sin - sin_cos).square()
    rising[..., 0, 0] = 0.0
    both = torch.cat([falling[..., 1:].flip(-1), rising[..., :-1]], -1)
    bell = torch.hann_window(side, device=parts.device).square().sum()
    folded = torch.stack([both[..., k::FOLD] for k in range(FOLD)]).sum(0)
    return folded / (FOLD * bell.square())


def log_powers(powers: Float[Tensor, "*batch v u"]) -> Float[Tensor, "*batch v u"]:
    """Logarithm of powers over their mean: what is left of a spectrum whatever the gain.

    Examples
    --------
    >>> log_powers(torch.full((2, 2), 4.0)).abs().max() < 1e-3
    tensor(True)
    """
    mean = powers.mean((-2, -1), keepdim=True).clamp(min=1e-30)
    return (powers / mean + LEAST_POWER).log()


@dataclass(frozen=True)
class Tiles:
    """How an image was parted: tiles (y, x), their side and their distance, in pixels."""

    shape: tuple[int, int]
    side_px: float
    stride_px: tuple[float, float]


def spectrum_tiles(
    image: Float[Tensor, "y x"], setup: OpticalSetup
) -> tuple[Float[Tensor, "t v u"], Tiles]:
    """Mean powers of the windows in each tile of an image, tiles row by row.

    Parameters
    ----------
    image
        In counts, the LED towards +x; at least one window along each side.
    setup
        The optics, by which the size of a window is known.

    Examples
    --------
    >>> setup = OpticalSetup(na=0.5, wavelength_nm=530, pixel_um=0.26)
    >>> powers, tiles = spectrum_tiles(torch.rand(512, 1024), setup)
    >>> powers.shape, tiles.shape
    (torch.Size([2, 56, 64]), (1, 2))
    """
    side = window_px(setup)
    require_images(image, least_y=side, least_x=side, what="A spectrum by windows")
    rows, columns = (_corners(size, side) for size in image.shape)
    powers = powers_of_windows(image, rows, columns, side)
    shape = (_tiles(image.shape[0], side), _tiles(image.shape[1], side))
    down, across = (
        _averages(count, len(places)).to(powers)
        for count, places in zip(shape, (rows, columns), strict=True)
    )
    means = across @ torch.tensordot(down, powers, 1).flatten(2)
    strides = [size / count for size, count in zip(image.shape, shape, strict=True)]
    stride = (strides[0] if shape[0] > 1 else 0.0, strides[1] if shape[1] > 1 else 0.0)
    return means.reshape(-1, ROWS, COLUMNS), Tiles(shape, max(strides), stride)


def _averages(tiles: int, windows: int) -> Float[Tensor, "t w"]:
    """Means over the windows of each tile, which follow each other, as products.

    Examples
    --------
    >>> _averages(2, 3)
    tensor([[0.5000, 0.5000, 0.0000],
            [0.0000, 0.0000, 1.0000]])
    """
    parts = torch.eye(windows).tensor_split(tiles)
    return torch.stack([part.mean(0) for part in parts])


def _tiles(size_px: int, side: int) -> int:
    """Tiles along a side: two windows or more each."""
    return max(1, min(MOST_TILES, size_px // (2 * side) + (size_px % (2 * side) > 1.9 * side)))


def _corners(size_px: int, side: int) -> list[int]:
    """First pixels of windows that cover a side evenly; they overlap by half where there are few.

    Examples
    --------
    >>> _corners(512, 256), _corners(256, 256), _corners(2048, 256)[:3]
    ([0, 128, 256], [0], [0, 256, 512])
    """
    apart = side if size_px >= 4 * side else side / 2
    count = min(MOST_WINDOWS, 1 + math.ceil((size_px - side) / apart - 0.1))
    return [round(place) for place in torch.linspace(0, size_px - side, count).tolist()]
