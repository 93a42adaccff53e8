"""Sharpened copies of one image, one for each assumed height, and how well each height fits."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from parfocal.optics.sectioning import in_section
from parfocal.refocus.hypotheses import Levels, noise_to_signal

HEIGHTS_DOF = (-8.0, -6.0, -4.5, -3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 4.5, 6.0, 8.0)
"""Heights above the image's plane at which light is assumed, in depths of field."""
LEVEL_DOF = 1.0
"""Between the planes from which what is seen on an uneven surface is interpolated."""
CELL_PX, WINDOWS_CELLS = 8, (3, 7, 15)
"""Distance of the places at which heights are judged, and sides of the windows around each."""
CUES = 3 * len(HEIGHTS_DOF) * len(WINDOWS_CELLS)
LEAST_CUE = 1e-4


def taken_out(
    images: Float[Tensor, "b y x"],
    levels: Levels,
    *,
    transfers: Float[Tensor, "b k y kx"],
    pixel: Float[Tensor, " b"],
) -> tuple[Float[Tensor, "b k y x"], Float[Tensor, "b c y x"]]:
    """Images above their floor, normalised, without the blur of each assumed height.

    Wiener's estimate [Wiener1949]_, cut off at the floor; images wrap around.

    Parameters
    ----------
    images
        Counts.
    levels
        What they are normalised by.
    transfers
        Real transfer functions from each assumed height to the image's plane.
    pixel
        Pixel in units of wavelength / NA.

    Returns
    -------
    The light, and for each height three maps that say how well it fits: what was below the
    floor and had to be cut off, what is left of the image once the rest is blurred again (both
    squared), and the power of the rest. Of two heights as far above the plane as below it, the
    wrong one leaves more of the first two.

    Notes
    -----
    Laws: flips and transposes commute; gain-free, offset-free.

    Examples
    --------
    >>> from parfocal.refocus.hypotheses import levels_of
    >>> images = torch.rand(1, 16, 16)
    >>> same = torch.ones(1, 2, 16, 9)
    >>> clear, fits = taken_out(
    ...     images, levels_of(images), transfers=same, pixel=torch.tensor([0.3])
    ... )
    >>> clear.shape, fits.shape
    (torch.Size([1, 2, 16, 16]), torch.Size([1, 6, 16, 16]))
    """
    size = images.shape[-2:]
    small = levels.normalised(images)
    noise = noise_to_signal(size, levels, pixel)[:, None]
    floor = levels.floor[:, None, None, None]
    spectra = torch.fft.rfft2(small)[:, None]
    start = torch.fft.irfft2(spectra * (transfers / (transfers.square() + noise)), s=size)
    start.sub_(floor)
    guess = start.clamp(min=0.0)
    below = (start - guess).square_()
    again = torch.fft.irfft2(torch.fft.rfft2(guess) * transfers, s=size)
    left = again.sub_(small[:, None]).add_(floor).square_()
    return guess, torch.cat([below, left, guess.square()], 1)


def matched(
    small: Float[Tensor, "b y x"], levels: Levels, *, transfers: Float[Tensor, "b k y kx"]
) -> Float[Tensor, "b k y x"]:
    """How well each place agrees with a point at each assumed height: a bank of matched filters.

    Parameters
    ----------
    small
        Normalised images, which wrap around.
    levels
        What they were normalised by.
    transfers
        Real transfer functions from each assumed height to the image's plane.

    Returns
    -------
    Correlations with each blur of unit energy, over the root of their mean square over heights
    and of the noise: under white noise the largest is the likeliest height of a single point
    [North1963]_.

    Notes
    -----
    Laws: flips and transposes commute; gain-free, offset-free.

    Examples
    --------
    >>> from parfocal.refocus.hypotheses import levels_of
    >>> images = torch.rand(1, 16, 16)
    >>> levels = levels_of(images)
    >>> matched(levels.normalised(images), levels, transfers=torch.ones(1, 2, 16, 9)).shape
    torch.Size([1, 2, 16, 16])
    """
    size = small.shape[-2:]
    power = transfers.square().sum(2)
    energy = 2 * power.sum(2) - power[..., 0]
    energy = energy - power[..., -1] if size[1] % 2 == 0 else energy
    unit = transfers / (energy / (size[0] * size[1])).sqrt()[..., None, None]
    alike: Tensor = torch.fft.irfft2(torch.fft.rfft2(small)[:, None] * unit, s=size)
    noise = levels.noise.square()[:, None, None, None]
    return alike / (alike.square().mean(1, keepdim=True) + noise).sqrt()


def height_cues(fits: Float[Tensor, "b c y x"]) -> Float[Tensor, "b d v u"]:
    """What the fits of ``taken_out`` say of each height beside the others, around each place.

    Logarithms of means over windows, less those over all heights.

    Examples
    --------
    >>> height_cues(torch.rand(1, 39, 32, 48)).shape
    torch.Size([1, 117, 4, 6])
    """
    cells = functional.avg_pool2d(fits, CELL_PX)
    cues = []
    for window in WINDOWS_CELLS:
        around = functional.avg_pool2d(cells, window, 1, window // 2, count_include_pad=False)
        kinds = around.add_(LEAST_CUE).log_()
        kinds = kinds.view(len(fits), 3, -1, *cells.shape[2:])
        cues.append((kinds - kinds.mean(2, keepdim=True)).flatten(1, 2))
    return torch.cat(cues, 1)


def section_share(level_dof: Float[Tensor, " m"]) -> Float[Tensor, "m k"]:
    """Share of the light of each assumed height in a section at some planes.

    Examples
    --------
    >>> section_share(torch.tensor([0.0, 0.75]))[:, 6]
    tensor([1.0000, 0.5000])
    """
    heights = torch.tensor(HEIGHTS_DOF, device=level_dof.device)
    return in_section(level_dof[:, None] - heights)


def levels_between(low_dof: float, high_dof: float) -> Float[Tensor, " m"]:
    """Even surfaces around uneven ones between two heights, ``LEVEL_DOF`` apart.

    Examples
    --------
    >>> levels_between(-0.2, 1.5)
    tensor([-1.,  0.,  1.,  2.])
    """
    first, last = math.floor(low_dof / LEVEL_DOF + 1e-6), math.ceil(high_dof / LEVEL_DOF - 1e-6)
    return LEVEL_DOF * torch.arange(first, last + 1.0)


def hat(
    surface_dof: Float[Tensor, "b y x"], level_dof: Float[Tensor, " b"]
) -> Float[Tensor, "b y x"]:
    """Say of an even surface at each pixel of an uneven one.

    Examples
    --------
    >>> hat(torch.tensor([[[0.0, 0.25, 2.0]]]), torch.zeros(1))
    tensor([[[1.0000, 0.7500, 0.0000]]])
    """
    away = (surface_dof - level_dof[:, None, None]).abs() / LEVEL_DOF
    return (1.0 - away).clamp(min=0.0)


def surface_facts(
    *,
    pixel: Float[Tensor, " b"],
    ratio: Float[Tensor, " b"],
    noise: Float[Tensor, " b"],
    spherical: Float[Tensor, " b"],
) -> Float[Tensor, "b 4"]:
    """What the network is told: pixel in wavelength / NA, NA / n, noise, aberration.

    Examples
    --------
    >>> zero = torch.zeros(1)
    >>> surface_facts(pixel=zero + 0.35, ratio=zero + 0.6, noise=zero + 0.1, spherical=zero
    ...               ).abs().max() < 1e-6
    tensor(True)
    """
    return torch.stack(
        [8.0 * (pixel - 0.35), 4.0 * (ratio - 0.6), (noise / 0.1).log10(), 5.0 * spherical], -1
    )
