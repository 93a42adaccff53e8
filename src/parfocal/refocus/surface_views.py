"""Views of one image on a surface: what would be seen there if all its light came from one height.

Each view assumes a height, takes the blur of that height out of the image, and blurs what is left
as far as the surface is from there. Taking out does not depend on the surface, so that many
surfaces of one image share it.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Complex, Float
from torch import Tensor
from torch.nn import functional

from parfocal.refocus.hypotheses import CORNER, REGULAR, Levels

HEIGHTS_DOF = (-6.5, -4.5, -3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 4.5, 6.5)
"""Heights above the image's plane that the views assume, in depths of field."""
LEVEL_DOF = 1.0
"""Between the even surfaces from which views on an uneven one are interpolated."""
UNASSUMING = 2
"""Views that assume no height: the image itself, and the dark."""
VIEWS = UNASSUMING + len(HEIGHTS_DOF)
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
) -> tuple[Complex[Tensor, "b k y kx"], Float[Tensor, "b c y x"]]:
    """Spectra of images above their floor, without the blur of each assumed height.

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
    The spectra, and for each height three maps that say how well it fits: what was below the
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
    (torch.Size([1, 2, 16, 9]), torch.Size([1, 6, 16, 16]))
    """
    size = images.shape[-2:]
    small = levels.normalised(images)
    y = torch.fft.fftfreq(size[0], device=images.device)
    x = torch.fft.rfftfreq(size[1], device=images.device)
    radius2 = (y[:, None].square() + x.square()) / (2.0 * CORNER * pixel[:, None, None]).square()
    power = levels.noise.square()
    power = REGULAR * power / (1.0 - power).clamp(min=0.05)
    noise = (power[:, None, None] * (1.0 + radius2))[:, None]
    floor = levels.floor[:, None, None, None]
    spectra = torch.fft.rfft2(small)[:, None]
    start = torch.fft.irfft2(spectra * (transfers / (transfers.square() + noise)), s=size)
    start.sub_(floor)
    guess = start.clamp(min=0.0)
    below = (start - guess).square_()
    clear: Tensor = torch.fft.rfft2(guess)
    again = torch.fft.irfft2(clear * transfers, s=size)
    left = again.sub_(small[:, None]).add_(floor).square_()
    return clear, torch.cat([below, left, guess.square_()], 1)


def height_cues(fits: Float[Tensor, "b c y x"]) -> Float[Tensor, "b d v u"]:
    """What the fits of ``taken_out`` say of each height beside the others, around each place.

    Logarithms of means over windows, less those over all heights.

    Examples
    --------
    >>> height_cues(torch.rand(1, 33, 32, 48)).shape
    torch.Size([1, 99, 4, 6])
    """
    cells = functional.avg_pool2d(fits, CELL_PX)
    cues = []
    for window in WINDOWS_CELLS:
        around = functional.avg_pool2d(cells, window, 1, window // 2, count_include_pad=False)
        kinds = around.add_(LEAST_CUE).log_()
        kinds = kinds.view(len(fits), 3, -1, *cells.shape[2:])
        cues.append((kinds - kinds.mean(2, keepdim=True)).flatten(1, 2))
    return torch.cat(cues, 1)


def even_views(
    clear: Complex[Tensor, "b k y kx"],
    small: Float[Tensor, "b y x"],
    levels: Levels,
    *,
    transfers: Float[Tensor, "b k y kx"],
) -> Float[Tensor, "b views y x"]:
    """Views on an even surface, the image itself and the dark before them; normalised.

    Parameters
    ----------
    clear
        As ``taken_out`` gives it.
    small
        Normalised images.
    transfers
        Real transfer functions from each assumed height to the surface.
    """
    shown = torch.fft.irfft2(clear * transfers, s=small.shape[-2:])
    floor = levels.floor[:, None, None, None]
    dark = floor.expand(-1, 1, *small.shape[-2:])
    return torch.cat([small[:, None], dark, shown.add_(floor)], 1)


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
    section: Float[Tensor, " b"],
) -> Float[Tensor, "b 5"]:
    """What the network is told: pixel in wavelength / NA, NA / n, noise, aberration, section.

    Examples
    --------
    >>> zero = torch.zeros(1)
    >>> surface_facts(pixel=zero + 0.35, ratio=zero + 0.6, noise=zero + 0.1, spherical=zero,
    ...               section=zero).abs().max() < 1e-6
    tensor(True)
    """
    return torch.stack(
        [
            8.0 * (pixel - 0.35),
            4.0 * (ratio - 0.6),
            (noise / 0.1).log10(),
            5.0 * spherical,
            section,
        ],
        -1,
    )
