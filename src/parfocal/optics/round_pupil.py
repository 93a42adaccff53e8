"""Transfer functions of round pupils: defocus and spherical aberration alone, by one radius."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from parfocal.core.errors import InputError
from parfocal.optics.pupil import axial_waves_per_um, cosine

RAYS = 320
"""Gauss-Legendre points of the pupil's radius."""
STEP, FARTHEST = 0.1, 60.0
"""Of radii in the image, in wavelength / NA."""
BANDS = 192
"""Frequencies from 0 to the cut-off."""


def round_transfers(
    *,
    na: Float[Tensor, " b"],
    index: Float[Tensor, " b"],
    wavelength_um: Float[Tensor, " b"],
    pixel_um: Float[Tensor, " b"],
    z_um: Float[Tensor, "b z"],
    spherical_waves: Float[Tensor, " b"],
    size_px: int | tuple[int, int],
) -> Float[Tensor, "b z y kx"]:
    """Transfer functions of many optics whose only aberration is spherical, for ``rfft2``.

    Such pupils look alike from every side, so that one radius tells the whole: the image of a
    point by a Hankel transform of the pupil, its transfer function by another [Goodman2005]_.
    Scalar, apodised by the sine condition; pixels integrate over their area. A hundred times
    faster than ``pupil_psfs`` where many distances are asked of one optic.

    Parameters
    ----------
    na, index, wavelength_um, pixel_um
        Of each optic; lengths in the object.
    z_um
        Defocus of each image of each optic.
    spherical_waves
        Zernike coefficient of OSA/ANSI index 12, in waves RMS.
    size_px
        Side of the images, or (y, x).

    Returns
    -------
    Real factors, 1 for the mean of an image: a product with them blurs without any shift.

    Raises
    ------
    InputError
        If light spreads farther than 60 wavelengths / NA.

    Notes
    -----
    Laws: negating defocus and aberration together changes nothing; batch-free.

    Examples
    --------
    >>> one = torch.ones(1)
    >>> both = round_transfers(na=0.5 * one, index=one, wavelength_um=0.5 * one,
    ...                        pixel_um=0.3 * one, z_um=torch.tensor([[2.0, -2.0]]),
    ...                        spherical_waves=0 * one, size_px=32)
    >>> both.shape, bool(torch.allclose(both[:, 0], both[:, 1], atol=1e-5))
    (torch.Size([1, 2, 32, 17]), True)
    """
    sides = (size_px, size_px) if isinstance(size_px, int) else size_px
    radial = radial_transfers(
        na=na, index=index, wavelength_um=wavelength_um, z_um=z_um, spherical_waves=spherical_waves
    )
    y = torch.fft.fftfreq(sides[0], device=na.device, dtype=na.dtype)[:, None]
    x = torch.fft.rfftfreq(sides[1], device=na.device, dtype=na.dtype)
    camera = torch.sinc(y) * torch.sinc(x)
    pixel = pixel_um * na / wavelength_um
    frequency = torch.hypot(y, x) / pixel[:, None, None]
    place = (frequency * ((BANDS - 1) / 2.0)).clamp(max=BANDS - 1)
    lower = place.floor().clamp(max=BANDS - 2)
    share = place - lower
    whole = []
    for k, values in enumerate(radial):
        first = lower[k].long().flatten()
        low, high = values[:, first], values[:, first + 1]
        mixed = torch.lerp(low, high, share[k].flatten())
        whole.append(mixed.view(-1, *camera.shape).mul_(camera))
    return torch.stack(whole)


def radial_transfers(
    *,
    na: Float[Tensor, " b"],
    index: Float[Tensor, " b"],
    wavelength_um: Float[Tensor, " b"],
    z_um: Float[Tensor, "b z"],
    spherical_waves: Float[Tensor, " b"],
) -> Float[Tensor, "b z f"]:
    """Transfer functions at ``BANDS`` even steps from frequency 0 to 2 NA / wavelength.

    Examples
    --------
    >>> one = torch.ones(1)
    >>> perfect = radial_transfers(na=0.1 * one, index=one, wavelength_um=one,
    ...                            z_um=torch.zeros(1, 1), spherical_waves=0 * one)[0, 0]
    >>> round(float(perfect[0]), 3), abs(round(float(perfect[-1]), 1))
    (1.0, 0.0)
    """
    _require_near(na, index, wavelength_um, z_um)
    forth, back, weights, rho2, radii = _transforms(na.device)
    rho2 = rho2.to(na.dtype)
    optics = {name: value[:, None] for name, value in
              (("na", na), ("index", index), ("wavelength_um", wavelength_um))}  # fmt: skip
    axial = axial_waves_per_um(rho2, **optics)
    amplitude = weights.to(na.dtype) * cosine(rho2 * (na / index).square()[:, None]).rsqrt()
    bump = math.sqrt(5.0) * (6 * rho2.square() - 6 * rho2 + 1)
    phase = z_um[:, :, None] * axial[:, None] + (spherical_waves[:, None] * bump)[:, None]
    pupil = torch.polar(amplitude[:, None].expand_as(phase), 2 * math.pi * phase)
    fields = torch.complex(pupil.real @ forth.to(na.dtype), pupil.imag @ forth.to(na.dtype))
    light = fields.abs().square() * radii.to(na.dtype)
    transfers: Tensor = light @ back.to(na.dtype)
    return transfers / transfers[..., :1]


@lru_cache(maxsize=4)
def _transforms(device: torch.device) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Matrices of both Hankel transforms; weights and squared radii of rays; radii of images."""
    nodes, weights = np.polynomial.legendre.leggauss(RAYS)
    rho = torch.from_numpy((nodes + 1) / 2)
    radii = STEP * torch.arange(round(FARTHEST / STEP) + 1, dtype=torch.float64)
    bands = torch.linspace(0.0, 2.0, BANDS, dtype=torch.float64)
    forth = torch.special.bessel_j0(2 * math.pi * rho[:, None] * radii)
    back = torch.special.bessel_j0(2 * math.pi * radii[:, None] * bands)
    share = torch.from_numpy(weights) * rho
    parts = (forth, back, share, rho.square(), radii)
    one, other, third, fourth, fifth = (part.float().to(device) for part in parts)
    return one, other, third, fourth, fifth


def _require_near(na: Tensor, index: Tensor, wavelength_um: Tensor, z_um: Tensor) -> None:
    """Refuse rays beyond the largest radius."""
    sine = na / index
    if bool((sine >= 1).any()):
        raise InputError("An NA reaches its index; give an NA below it.")
    if not z_um.numel():
        return
    reach = z_um.abs().amax(1) * sine / (1 - sine.square()).sqrt() * na / wavelength_um
    if not bool((reach <= FARTHEST - 4.0).all()):
        raise InputError(
            f"Light would spread {float(reach.max()):.0f} wavelengths / NA to either side, but at "
            f"most {FARTHEST - 4:g} can be computed: come closer to focus."
        )
