"""Point-spread functions of many optics at once, for training."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor

from parfocal.core.errors import InputError, ShapeError
from parfocal.optics.psf import check_size
from parfocal.optics.pupil import (
    axial_waves_per_um,
    cosine,
    pupil_grid,
    spread_light,
    spread_waves,
)
from parfocal.optics.sampling import Beyond, fill_up, onto_pixels, pixel_matrix
from parfocal.optics.zernike import steepest_slope, zernike_basis

MARGIN = 8.0  # lambda / NA that a grid is wider than the geometric spread, to either side
RADII_PX = (19, 23, 29, 35, 44, 53, 63, 80, 95, 107, 124, 149, 179, 199, 239, 319, 499)
CHUNK_POINTS_CPU = 2**20
CHUNK_POINTS_GPU = 2**26


@dataclass(frozen=True, eq=False, kw_only=True)
class Stain:
    """Points that weaken transmitted light a little, and how the condenser lights them.

    Parameters
    ----------
    coherence
        NA of the condenser over that of the objective; 1 and more images as fluorescence does.
    delay
        Phase that a point adds over the logarithm by which it weakens the amplitude.
    """

    coherence: Float[Tensor, " b"]
    delay: Float[Tensor, " b"]

    def chosen(self, rows: Tensor) -> Stain:
        """Those of some optics."""
        return Stain(coherence=self.coherence[rows], delay=self.delay[rows])


def pupil_psfs(
    *,
    na: Float[Tensor, " b"] | float,
    index: Float[Tensor, " b"] | float,
    wavelength_um: Float[Tensor, " b"] | float,
    pixel_um: Float[Tensor, " b"],
    z_um: Float[Tensor, "b z"],
    size_px: int,
    zernike_waves: Float[Tensor, "b j"] | None = None,
    apodise: bool = True,
    beyond: Beyond = "fold",
    stain: Stain | None = None,
) -> Float[Tensor, "b z y x"]:
    """Scalar point-spread functions of many optics at once, differentiable in all of them.

    Parameters
    ----------
    na, index, wavelength_um
        Numerical aperture, immersion index and vacuum wavelength of each optic, or of all.
    pixel_um
        Camera pixel of each optic, in the object. Pixels integrate over their area.
    z_um
        Defocus of each image of each optic.
    size_px
        Pixels of the window, along y and x; the point is at index ``size_px // 2``.
    zernike_waves
        Column j holds the coefficient of OSA/ANSI index j, in waves RMS.
    apodise
        Apodise by the sine condition, 1 / sqrt(cos), or leave the pupil even.
    beyond
        Fold light outside the window back (each plane sums to 1), or cut it off.
    stain
        Not a point that shines, but one that takes away transmitted light.

    Returns
    -------
    Shares of the light in each pixel, or of the light that is taken away: those may be below 0.

    Raises
    ------
    InputError
        If an NA reaches its index, or if the light of one optic spreads over more than 998
        wavelengths / NA.

    Notes
    -----
    Laws: energy kept, batch-free: each optic is computed on the smallest of a few grids that
    holds its light, whatever its neighbours.

    The pixels agree with ``widefield_psf(model="scalar")`` to 1e-2 of the brightest.

    Examples
    --------
    >>> z_um = torch.tensor([[0.0, 6.0], [-1.0, 0.5]])
    >>> psfs = pupil_psfs(na=torch.tensor([0.3, 0.8]), index=1.0, wavelength_um=0.53,
    ...                   pixel_um=torch.tensor([0.65, 0.325]), z_um=z_um, size_px=64)
    >>> psfs.shape, round(float(psfs.sum()), 3)
    (torch.Size([2, 2, 64, 64]), 4.0)
    """
    check_size(size_px)
    count = len(z_um)
    if len(pixel_um) != count:
        raise ShapeError(f"pixel_um holds {len(pixel_um)} optics and z_um {count}; give as many.")
    like = z_um.new_ones(count)
    optics = torch.stack([na * like, index * like, wavelength_um * like, pixel_um * like], dim=-1)
    radii = _radii_px(optics.detach(), z_um.detach(), zernike_waves)
    psfs, rows = [], []
    for radius in sorted(set(radii)):
        same = [row for row, own in enumerate(radii) if own == radius]
        for part in _parts(same, radius, z_um):
            chosen = torch.tensor(part, device=z_um.device)
            waves = None if zernike_waves is None else zernike_waves[chosen]
            own_stain = None if stain is None else stain.chosen(chosen)
            images, steps = _images(
                radius, optics[chosen], z_um[chosen], waves, apodise=apodise, stain=own_stain
            )
            matrix = pixel_matrix(steps, grid_px=images.shape[-1], size_px=size_px, beyond=beyond)
            psfs.append(onto_pixels(images, matrix))
            rows += part
    order = torch.tensor(sorted(range(count), key=rows.__getitem__), device=z_um.device)
    result = torch.cat(psfs)[order]
    return fill_up(result) if beyond == "fold" else result


def _parts(rows: list[int], radius: int, z_um: Tensor) -> list[list[int]]:
    """Optics that share a grid, few enough at a time to stay in the cache."""
    points = CHUNK_POINTS_CPU if z_um.device.type == "cpu" else CHUNK_POINTS_GPU
    size = max(1, points // (16 * (radius + 1) ** 2 * max(1, z_um.shape[1])))
    return [rows[first : first + size] for first in range(0, len(rows), size)]


def _radii_px(optics: Tensor, z_um: Tensor, zernike_waves: Tensor | None) -> list[int]:
    """Radius of the pupil's grid for each optic, by the farthest ray."""
    na, index, wavelength_um, _ = optics.double().unbind(-1)
    sine = na / index
    farthest = z_um.double().abs().amax(-1) if z_um.shape[1] else torch.zeros_like(na)
    reach = farthest * sine / (1 - sine.square()).sqrt() * na / wavelength_um
    if zernike_waves is not None:
        slopes = [steepest_slope(j) for j in range(zernike_waves.shape[1])]
        reach = reach + zernike_waves.detach().double().abs() @ reach.new_tensor(slopes)
    widths = torch.where(sine < 1, 2 * reach + 2 * MARGIN, torch.nan).tolist()
    for row, width in enumerate(widths):
        if math.isnan(width):
            raise InputError(
                f"Optic {row} has NA {float(na[row]):g} in index {float(index[row]):g}, and depths "
                "or coefficients that must be finite: give an NA below the index."
            )
        if width > RADII_PX[-1]:
            raise InputError(
                f"Light of optic {row} would spread over {width:.0f} wavelengths / NA, but at most "
                f"{RADII_PX[-1]} can be computed: come closer to focus than "
                f"{float(farthest[row]):.4g} um or give weaker aberrations."
            )
    return [next(radius for radius in RADII_PX if radius >= width) for width in widths]


@lru_cache(maxsize=32)
def _maps(
    radius: int, terms: int, dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, Tensor, Tensor]:
    """Squared radius, soft edge and Zernike polynomials of a pupil's grid."""
    y, x, share = pupil_grid(radius, dtype=dtype, device=device)
    return y.square() + x.square(), share, zernike_basis(range(terms), y, x)


def _images(
    radius: int,
    optics: Tensor,
    z_um: Tensor,
    zernike_waves: Tensor | None,
    *,
    apodise: bool,
    stain: Stain | None,
) -> tuple[Tensor, Tensor]:
    """Intensities on the grid, and the camera's pixel in steps of it, for some optics."""
    terms = 0 if zernike_waves is None else zernike_waves.shape[1]
    rho2, edge, basis = _maps(radius, terms, z_um.dtype, z_um.device)
    na, index, wavelength_um, pixel_um = optics[..., None, None].unbind(1)
    weight = cosine(rho2 * (na / index).square()).rsqrt() if apodise else torch.ones_like(na)
    power = (weight.square() * edge).sum((-2, -1), keepdim=True)  # of the true disc
    grid_px = 4 * (radius + 1)
    defocus = axial_waves_per_um(rho2, na=na, index=index, wavelength_um=wavelength_um)
    waves = z_um[..., None, None] * defocus[:, None]
    if zernike_waves is not None:
        waves = waves + torch.tensordot(zernike_waves, basis, dims=1)[:, None]
    modulus = (weight * edge * (power.rsqrt() / grid_px))[:, None].expand_as(waves)
    fields = torch.polar(modulus, 2 * math.pi * waves)
    if stain is None:
        images = spread_light(fields, grid_px)
    else:
        images = _taken_away(fields, stain, rho2=rho2, radius=radius, grid_px=grid_px)
    steps = pixel_um * na * grid_px / (radius * wavelength_um)
    return images, steps[:, 0, 0]


def _taken_away(
    fields: Tensor, stain: Stain, *, rho2: Tensor, radius: int, grid_px: int
) -> Float[Tensor, "b z grid grid"]:
    """Light that a weak point takes away from that of a condenser, to first order [Streibl1985]_.

    Waves of the source that pass the pupil straight, times those that the point scatters.
    """
    edge = stain.coherence[:, None, None]
    lit = ((edge - rho2.sqrt()) * radius + 0.5).clamp(0.0, 1.0)[:, None]
    product = spread_waves(fields, grid_px) * spread_waves(fields * lit, grid_px).conj()
    whole = product.real.sum((-2, -1), keepdim=True)
    return (product.real + stain.delay[:, None, None, None] * product.imag) / whole
