"""What the spectrum of one image by an off-axis LED shows of its defocus.

Everywhere here the light comes from +x: the LED's axis is x, and y runs across it.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from parfocal.core.errors import InputError
from parfocal.core.shapes import require_images

PUBLISHED_ALONG, PUBLISHED_ACROSS = 0.9779, 0.1625
"""Frequencies kept as published, in NA / wavelength: 307 and 51 bins of a patch of 1024 px."""
BLOCK_PX = 256
"""Columns that are transformed at once."""
Cuts = tuple[int, int]


def towards_x(
    images: Float[Tensor, "*batch y x"], led_na_yx: tuple[float, float]
) -> Float[Tensor, "*batch v u"]:
    """Turn and mirror images so that the LED that lit them lies towards +x.

    Raises
    ------
    InputError
        If the LED lies on no axis of the camera, or in the middle.

    Examples
    --------
    >>> image = torch.arange(6.0).reshape(2, 3)
    >>> towards_x(image, (0.3, 0.0)).shape, towards_x(image, (0.0, -0.3))[0]
    (torch.Size([3, 2]), tensor([2., 1., 0.]))
    """
    na_y, na_x = led_na_yx
    if max(abs(na_y), abs(na_x)) == 0 or min(abs(na_y), abs(na_x)) > 0.05 * max(
        abs(na_y), abs(na_x)
    ):
        raise InputError(
            f"The LED at (na_y, na_x) = ({na_y:g}, {na_x:g}) must lie off the axis, along y or "
            "along x of the camera: choose another LED, or turn the image."
        )
    if abs(na_y) > abs(na_x):
        images, na_x = images.transpose(-1, -2), na_y
    return images.flip(-1) if na_x < 0 else images


@lru_cache(maxsize=32)
def _waves(
    size: int, count: int, first: int, step: int, device: str
) -> tuple[Float[Tensor, "v m"], Float[Tensor, "v m"]]:
    """Cosines, and sines with their sign turned, of waves ``first``, ``first + step``, ...

    Over the first half of a period of ``size // step`` pixels: what is its own mirror image
    counts half, because ``_mirrored`` holds it twice.
    """
    period = size // step
    wave = torch.arange(first, count, step, dtype=torch.float64)[:, None]
    pixel = torch.arange(period // 2 + 1, dtype=torch.float64)
    phase = wave * pixel % size * (2.0 * math.pi / size)
    share = torch.ones_like(pixel)
    share[0] = 0.5
    if period % 2 == 0:
        share[-1] = 0.5
    return (share * phase.cos()).float().to(device), (-share * phase.sin()).float().to(device)


def _mirrored(
    images: Float[Tensor, "*batch y x"], sign: float = 1.0
) -> tuple[Float[Tensor, "*batch m x"], Float[Tensor, "*batch m x"]]:
    """Rows plus, and less, those of the mirror image.

    ``sign`` -1 says that what follows the last row is the first one with its sign turned.
    """
    size = images.shape[-2]
    half = size // 2 + 1
    low = images[..., :half, :]
    places = (-torch.arange(half, device=images.device)) % size
    high = images.index_select(-2, places)
    if sign < 0:
        high[..., 0, :].neg_()
    return low + high, low - high


def _low_rows(images: Float[Tensor, "*batch y x"], count: int) -> Complex[Tensor, "*batch v x"]:
    """The lowest waves along y, by products with cosines and with sines.

    Cosines are even and sines are odd about the middle, so that a side is folded to half of it
    first. Of even sides the halves are added and subtracted before: even waves repeat after half
    a side, and odd ones turn their sign. A quarter of the products is left.
    """
    if images.shape[-1] > BLOCK_PX:  # so that what is folded stays in the cache
        blocks = [_low_rows(block, count) for block in torch.split(images, BLOCK_PX, dim=-1)]
        return torch.cat(blocks, dim=-1)
    size, device = images.shape[-2], str(images.device)
    if size % 2:
        plus, less = _mirrored(images)
        cosines, sines = _waves(size, count, 0, 1, device)
        return torch.complex(cosines @ plus, sines @ less)
    top, bottom = images[..., : size // 2, :], images[..., size // 2 :, :]
    plus, less = _mirrored(top + bottom)
    cosines, sines = _waves(size, count, 0, 2, device)
    even = torch.complex(cosines @ plus, sines @ less)
    if count == 1:
        return even
    plus, less = _mirrored(top - bottom, sign=-1.0)
    cosines, sines = _waves(size, count, 1, 2, device)
    rows = even.new_empty(*even.shape[:-2], count, even.shape[-1])
    rows[..., 0::2, :] = even
    rows[..., 1::2, :] = torch.complex(cosines @ less, sines @ plus)
    return rows


def _crop(rows: Complex[Tensor, "*batch v x"], along: int) -> Complex[Tensor, "*batch v u"]:
    """Low frequencies along x, rising, and nothing at the mean."""
    spectrum = torch.fft.fft(rows, dim=-1)
    kept = torch.cat([spectrum[..., spectrum.shape[-1] - along :], spectrum[..., :along]], -1)
    kept[..., 0, along] = 0.0
    return kept


def cropped_spectrum(
    images: Float[Tensor, "*batch y x"], *, across: int, along: int
) -> Complex[Tensor, "*batch v u"]:
    """The low frequencies of the discrete Fourier transform of images less their mean.

    Parameters
    ----------
    images
        Float32 of any size.
    across
        Frequencies along y that are kept: 0 to ``across`` - 1.
    along
        Frequencies along x that are kept: -``along`` to ``along`` - 1.

    Returns
    -------
    The spectrum, frequencies rising; 0 at the mean.

    Raises
    ------
    ShapeError
        If the images hold fewer frequencies.

    Notes
    -----
    Only what is kept is computed: the transform along y is one product with the waves that are
    kept, and few rows are left for the transform along x.

    Examples
    --------
    >>> wave = torch.cos(2 * torch.pi * torch.arange(16.0) / 16)
    >>> cropped_spectrum(wave.expand(16, 16), across=2, along=2)[0].abs().round()
    tensor([  0., 128.,   0., 128.])
    """
    require_images(images, least_y=max(2, 2 * across - 1), least_x=2 * along, what="This spectrum")
    return _crop(_low_rows(images, across), along)


def published_bins(side: float) -> tuple[int, int]:
    """Frequencies (across, along) that the published features keep of a patch.

    Parameters
    ----------
    side
        Of the patch, in wavelength / NA.

    Examples
    --------
    >>> published_bins(1024 * 0.325 * 0.5 / 0.53)
    (51, 307)
    """
    return round(PUBLISHED_ACROSS * side), round(PUBLISHED_ALONG * side)


def _patch_spectra(
    images: Float[Tensor, "*batch y x"], cuts: Cuts, across: int, along: int
) -> Complex[Tensor, "*batch p f"]:
    """Spectra of patches, cut without a copy."""
    size_y, size_x = (size // cut for size, cut in zip(images.shape[-2:], cuts, strict=True))
    require_images(
        images, least_y=cuts[0] * max(2, 2 * across - 1), least_x=cuts[1] * 2 * along,
        what=f"{cuts[0]} x {cuts[1]} patches with {across} and +-{along} frequencies",
    )  # fmt: skip
    whole = images[..., : cuts[0] * size_y, : cuts[1] * size_x]
    strips = whole.reshape(*whole.shape[:-2], cuts[0], size_y, whole.shape[-1])
    rows = _low_rows(strips, across)
    rows = rows.reshape(*rows.shape[:-1], cuts[1], size_x).transpose(-2, -3)
    return _crop(rows, along).flatten(-2).flatten(-3, -2)


def magnitude_features(
    images: Float[Tensor, "*batch y x"], *, cuts: Cuts = (2, 2), across: int = 51, along: int = 307
) -> Float[Tensor, "*batch p f"]:
    """Magnitude of the low frequencies of patches, each of unit length as a vector [Pinkard2019]_.

    Parameters
    ----------
    images
        In counts, the LED towards +x.
    cuts
        Patches along y and along x that each image is cut to.
    across, along
        Frequencies of a patch that are kept, as in ``cropped_spectrum``.

    Returns
    -------
    ``across`` * 2 * ``along`` values a patch; all 0 where a patch is even.

    Notes
    -----
    Laws: offset-free, gain-free, batch-free. The published text divides by the mean, its code by
    the length: this follows the code. The z-scores come from the network that holds them.

    Examples
    --------
    >>> images = torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(0))
    >>> features = magnitude_features(images, across=3, along=8)
    >>> features.shape, features.square().sum(-1)[0]
    (torch.Size([3, 4, 48]), tensor([1.0000, 1.0000, 1.0000, 1.0000]))
    """
    magnitude: Tensor = _patch_spectra(images, cuts, across, along).abs()
    length = torch.linalg.vector_norm(magnitude, dim=-1, keepdim=True)
    features: Tensor = magnitude / length.clamp(min=1e-12)
    return features


def phase_features(
    images: Float[Tensor, "*batch y x"], *, cuts: Cuts = (2, 2), across: int = 51, along: int = 307
) -> Float[Tensor, "*batch p f"]:
    """Phase of the same frequencies, in rad: what [Pinkard2019]_ found to tell little."""
    return _patch_spectra(images, cuts, across, along).angle()
