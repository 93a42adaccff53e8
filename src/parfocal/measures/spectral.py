"""Focus measures from the spectrum: entropy of cosines, power in bands."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache, partial

import torch
from torch import Tensor

from parfocal.core.errors import InputError, ShapeError
from parfocal.core.setup import OpticalSetup
from parfocal.core.shapes import Images, Scores, on_any_array, require_images
from parfocal.measures.cosines import blur_mirrored, low_cosines
from parfocal.measures.local import without_mean

CACHED_SIZES = 8  # tables for so many image sizes are kept
MOST_NEGATIVE_BITS = -200.0  # of a share of zero: 0 log 0 is 0
CHUNK_PX_CPU = 2**18
CHUNK_PX_GPU = 2**26


@on_any_array
def dcts(images: Images, *, cutoff: float = 0.5, prefilter_px: float = 0.0) -> Scores:
    """Score focus by the entropy of the normalised discrete cosine transform [Royer2016]_.

    Larger is sharper. The best classical measure in light-sheet microscopy, and free of gain.

    Parameters
    ----------
    images
        Intensities, in counts, camera offset included: the constant term steadies the
        normalisation, and without it the measure fails (errors ten times as large).
    cutoff
        Radius of the quarter disc of frequencies that count, as a fraction of the band that the
        pixels can carry; near the optical cut-off, 0.5 for a camera that samples it twice.
        The published radius of 100 in a patch of 128 px is ``cutoff=100 / 128``.
    prefilter_px
        Standard deviation of a Gaussian blur before the transform; 0 for none. The public code
        of [Li2021]_ has 0.5.

    Returns
    -------
    One score per image, without unit: -2 / r^2 * sum(abs(v) log2 abs(v)) over frequencies within
    the quarter disc of radius r, where v is the orthonormal transform divided by its norm and
    r^2 = cutoff^2 * pixels. An all-zero image scores 0.

    Notes
    -----
    Laws: not offset-free, gain-free, mirror-free, batch-free, blur-monotonic.

    Errata: [Royer2016]_ sums over a triangle, of which r^2 / 2 is the area; the public code of
    [Li2021]_ sums over a quarter disc with the same factor, as does this. That code divides by
    the largest singular value of the transform, not by the square root of its energy, and its
    disc is off by one frequency.

    Examples
    --------
    >>> import torch
    >>> spot = torch.zeros(16, 16)
    >>> spot[8, 8] = 1.0
    >>> bool(dcts(spot) > dcts(torch.ones(16, 16)))
    True
    """
    require_images(images, least_y=4, least_x=4, what="dcts")
    if not 0 < cutoff <= 1:
        raise InputError(f"cutoff must lie in (0, 1], but came as {cutoff:g}.")
    if not prefilter_px >= 0:
        raise InputError(f"prefilter_px must be 0 or more, but came as {prefilter_px:g}.")
    smooth = blur_mirrored(images, prefilter_px) if prefilter_px > 0 else images
    weights = _quarter_disc(*images.shape[-2:], cutoff, images.dtype, images.device)
    return _in_chunks(smooth, partial(_cosine_entropy, weights=weights))


def _cosine_entropy(images: Tensor, *, weights: Tensor) -> Tensor:
    mean = images.mean(dim=(-2, -1), keepdim=True)
    # The mean returns as the constant term: it would cost float32 digits on the way.
    terms = low_cosines(images, *weights.shape, offset=mean)
    terms[..., :1, :1] = mean * math.sqrt(images.shape[-2] * images.shape[-1])
    # Row by row, then in float64: a running float32 sum of equal squares drifts.
    rows = torch.linalg.vector_norm(images, dim=-1)
    norm = torch.linalg.vector_norm(rows, dim=-1, dtype=torch.float64).to(images.dtype)
    share = terms.div_(torch.where(norm > 0, norm, 1.0)[..., None, None]).abs_()
    bits = share.log2().clamp_(min=MOST_NEGATIVE_BITS).mul_(share)
    return -(bits.mul_(weights)).sum(dim=(-2, -1))


def _in_chunks(images: Tensor, scores: Callable[[Tensor], Tensor]) -> Tensor:
    """Score a few images at a time, so that what lies between the steps stays in the cache."""
    if images.shape[:-2].numel() == 0:
        return images.new_zeros(images.shape[:-2])
    size_y, size_x = images.shape[-2:]
    limit_px = CHUNK_PX_CPU if images.device.type == "cpu" else CHUNK_PX_GPU
    flat, count = images.reshape(-1, size_y, size_x), max(1, limit_px // (size_y * size_x))
    chunks = [flat[first : first + count] for first in range(0, len(flat), count)]
    return torch.cat([scores(chunk) for chunk in chunks]).reshape(images.shape[:-2])


@lru_cache(maxsize=CACHED_SIZES)
def _quarter_disc(
    size_y: int, size_x: int, cutoff: float, dtype: torch.dtype, device: torch.device
) -> Tensor:
    """2 / r^2 inside the disc, else 0, over the frequencies it touches."""
    v = torch.arange(math.ceil(cutoff * size_y), dtype=torch.float64) / size_y
    u = torch.arange(math.ceil(cutoff * size_x), dtype=torch.float64) / size_x
    inside = (u.square() + v.square()[:, None] < cutoff**2).to(torch.float64)
    factor = 2.0 / (cutoff**2 * size_y * size_x)
    return (inside * factor).to(device, dtype)


@on_any_array
def log_power_tail(images: Images) -> Scores:
    """Score focus by the mean radial log power above a quarter of the radius [Pinkard2019]_.

    Larger is sharper. Each scale weighs alike, so fine detail is heard beside bright, coarse
    detail; so is noise.

    Parameters
    ----------
    images
        Intensities, in counts.

    Returns
    -------
    One score per image, in nepers of power: log power per frequency, averaged over each ring,
    then over the rings above one quarter of the largest radius that fits. Power less than 1e-12
    of the mean is rounding, and is raised to that.

    Notes
    -----
    Laws: offset-free, no gain power law (gain a adds 2 ln a), mirror-free, batch-free,
    blur-monotonic.

    The source sums over the rings, of one pixel's width; the mean lets sizes compare.

    Examples
    --------
    >>> import torch
    >>> spot = torch.zeros(16, 16)
    >>> spot[8, 8] = 16.0
    >>> log_power_tail(spot).abs() < 1e-5
    tensor(True)
    """
    require_images(images, least_y=8, least_x=8, what="log_power_tail")
    weights = _ring_weights(*images.shape[-2:], images.dtype, images.device)
    return _in_chunks(images, partial(_weighed_log_power, weights=weights))


def _weighed_log_power(images: Tensor, *, weights: Tensor) -> Tensor:
    spectrum = torch.fft.rfft2(without_mean(images), norm="ortho")
    power = spectrum.real.square() + spectrum.imag.square()
    floor = power.mean(dim=(-2, -1), keepdim=True) * 1e-12
    smallest = torch.finfo(torch.float32).tiny
    return (torch.maximum(power, floor + smallest).log_() * weights).sum(dim=(-2, -1))


@lru_cache(maxsize=CACHED_SIZES)
def _ring_weights(size_y: int, size_x: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Weights that average half a spectrum over rings, then over the rings of the tail."""
    least = min(size_y, size_x)
    radius, multiple = _half_plane(size_y, size_x)
    # Half a pixel belongs to the outer ring, whatever rounding makes of it.
    ring = (radius * least + (0.5 + 1e-9)).floor().long()
    in_tail = (ring > least / 8) & (ring <= least // 2)
    counts = torch.bincount(ring[in_tail], multiple[in_tail])
    weights = torch.where(in_tail, multiple / counts[ring.clamp(max=len(counts) - 1)], 0.0)
    return (weights / weights.sum()).to(device, dtype)


def _half_plane(size_y: int, size_x: int) -> tuple[Tensor, Tensor]:
    """Radius (cycles per px) of an rfft2's frequencies, and how often the full plane has each."""
    v = torch.fft.fftfreq(size_y, dtype=torch.float64)[:, None]
    u = torch.fft.rfftfreq(size_x, dtype=torch.float64)
    twice = torch.full_like(u, 2.0)
    twice[0] = 1.0
    if size_x % 2 == 0:
        twice[-1] = 1.0
    return torch.hypot(v, u), twice.expand(size_y, -1)


@on_any_array
def midband_power(
    images: Images,
    *,
    setup: OpticalSetup,
    band: tuple[float, float] = (0.125, 0.25),
    exponent: float = 2.0,
) -> Scores:
    """Score focus by the power between two fractions of the optical cut-off [Waveorder]_.

    Larger is sharper. The band is where defocus acts and noise does not rule; the optics set
    it, not the pixels.

    Parameters
    ----------
    images
        Intensities, in counts.
    setup
        The optics: NA, wavelength and pixel size give the cut-off 2 NA / wavelength.
    band
        Lower and upper edge as fractions of the cut-off, both left out.
    exponent
        Power of the Fourier modulus that is summed.

    Returns
    -------
    One score per image, in counts to the exponent: sum(abs(F)^exponent) / pixels^exponent over
    the band. With exponent 2, the part of the variance that lies in the band.

    Raises
    ------
    InputError
        If the band does not rise within 0 .. 1.
    ShapeError
        If the images are below 8 x 8 px, or so small that no frequency lies in the band.

    Notes
    -----
    Laws: offset-free, gain-squared, mirror-free, batch-free, blur-monotonic.

    ``waveorder.focus.compute_midband_power`` sums the modulus, not the power: it is
    ``midband_power(images, setup=setup, exponent=1)`` times the number of pixels.

    Examples
    --------
    >>> import torch
    >>> setup = OpticalSetup(na=0.5, wavelength_nm=500, pixel_um=0.25)
    >>> wave = torch.cos(2 * torch.pi * torch.arange(32.0) * 3 / 32).expand(32, 32)
    >>> midband_power(wave, setup=setup)
    tensor(0.5000)
    """
    require_images(images, least_y=8, least_x=8, what="midband_power")
    if not 0 <= band[0] < band[1] <= 1:
        raise InputError(f"band must rise within 0 .. 1, but came as {band}.")
    if not exponent > 0:
        raise InputError(f"exponent must be positive, but came as {exponent:g}.")
    low, high = (fraction * setup.cutoff_cycles_per_px for fraction in band)
    size_y, size_x = images.shape[-2:]
    weights = _band_weights(size_y, size_x, low, high, images.dtype, images.device)
    total = _in_chunks(images, partial(_weighed_moduli, weights=weights, exponent=exponent))
    return (total / math.pow(size_y * size_x, exponent)).to(images.dtype)


def _weighed_moduli(images: Tensor, *, weights: Tensor, exponent: float) -> Tensor:
    columns, rows = weights.shape
    size_y = images.shape[-2]
    # A constant is not in the band, but would cost float32 digits; nearly the mean will do.
    near_mean = images[..., :1, :].mean(dim=-1, keepdim=True)
    half = torch.fft.rfft(images - near_mean)[..., :columns]
    turned = half.transpose(-1, -2).contiguous()
    spectrum = torch.fft.fft(turned)
    if rows < size_y:
        reach = rows // 2
        slow = (spectrum[..., : reach + 1], spectrum[..., size_y - reach :])
        spectrum = torch.cat(slow, dim=-1)
    power = spectrum.real.square() + spectrum.imag.square()
    moduli: Tensor = power if exponent == 2.0 else power.pow_(0.5 * exponent)
    total: Tensor = moduli.mul_(weights).sum(dim=(-2, -1), dtype=torch.float64)
    return total


@lru_cache(maxsize=CACHED_SIZES)
def _band_weights(
    size_y: int, size_x: int, low: float, high: float, dtype: torch.dtype, device: torch.device
) -> Tensor:
    """How often each frequency of the band occurs, over the columns and rows that it touches."""
    radius, multiple = _half_plane(size_y, size_x)
    weights = torch.where((radius > low) & (radius < high), multiple, 0.0)
    if not bool(weights.any()):
        raise ShapeError(
            f"No frequency of a {size_y} x {size_x} px image lies in the mid-band, "
            f"{low:.4g} .. {high:.4g} cycles per px: give larger images or a wider band."
        )
    columns = min(weights.shape[1], math.floor(high * size_x) + 1)
    reach = math.floor(high * size_y)
    if 2 * reach + 1 < size_y:
        weights = torch.cat([weights[: reach + 1], weights[size_y - reach :]])
    return weights[:, :columns].T.to(device, dtype).contiguous()
