"""Point-spread functions that dim what is out of focus: confocal, spinning disk, light sheet."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from parfocal.core.errors import InputError
from parfocal.core.setup import OpticalSetup
from parfocal.optics.layers import Layers
from parfocal.optics.psf import (
    Depths,
    Model,
    as_depths,
    camera_matrix,
    check_size,
    in_chunks,
    make_pupil,
    widefield_psf,
)
from parfocal.optics.pupil import Pupil
from parfocal.optics.sampling import onto_pixels
from parfocal.optics.zernike import Aberrations

AIRY = 1.219670  # first zero of the Airy pattern: diameter of its disc in wavelengths / NA
MOST_FINE_PX = 3072
CHUNK_POINTS = 2**22
SECTION_DOF = 1.5
"""Full width at half maximum of a confocal-equivalent section, in depths of field."""


def _positive(**values: float) -> None:
    for name, value in values.items():
        if not (value > 0 and math.isfinite(value)):
            raise InputError(f"{name} must be positive and finite, but came as {value:g}.")


def _disc_response(radius: Tensor) -> Tensor:
    """Transfer function of a disc of unit diameter: 2 J1(pi f) / (pi f)."""
    angle = math.pi * radius
    safe = angle.clamp(min=1e-3)
    wave: Tensor = 2 * torch.special.bessel_j1(safe) / safe
    limit: Tensor = 1 - angle.square() / 8
    return torch.where(angle < 1e-3, limit, wave)


def through_holes(
    images: Float[Tensor, "z grid grid"], step_um: float, diameter_um: float, *, times: int = 1
) -> Float[Tensor, "z grid grid"]:
    """Average images over discs, as a pinhole does, once or more often; sums are kept.

    Examples
    --------
    >>> point = torch.zeros(1, 32, 32)
    >>> point[0, 0, 0] = 1.0
    >>> round(float(through_holes(point, 0.1, 0.8).sum()), 4)
    1.0
    """
    size = images.shape[-1]
    like = {"dtype": torch.float64}
    y = torch.fft.fftfreq(size, step_um, **like)[:, None]
    response = _disc_response(
        torch.hypot(y, torch.fft.rfftfreq(size, step_um, **like)) * diameter_um
    )
    spectrum = torch.fft.rfft2(images) * response.pow(times).to(images)
    averaged: Tensor = torch.fft.irfft2(spectrum, s=(size, size))
    return averaged


def _finer(setup: OpticalSetup, excitation_nm: float, size_px: int) -> int:
    """Odd number of points along a pixel that sample excitation times emission."""
    band_per_um = 2 * setup.na * (1000.0 / excitation_nm + 1000.0 / setup.wavelength_nm)
    finer = math.ceil(2 * band_per_um * setup.pixel_um)
    finer += 1 - finer % 2
    if finer * size_px > MOST_FINE_PX:
        most_um = setup.pixel_um * MOST_FINE_PX / (finer * size_px)
        raise InputError(
            f"A window of {size_px} px of {setup.pixel_um:g} um is too wide for the detail of NA "
            f"{setup.na:g}: give {math.floor(MOST_FINE_PX / finer)} px or fewer, or pixels of "
            f"{most_um:.3g} um or less."
        )
    return finer


class _Scan:
    """Excitation and emission of one scan, on points finer than the pixels."""

    def __init__(
        self, setup: OpticalSetup, z_um: Tensor, excitation_nm: float, size_px: int, **optics: Any
    ) -> None:
        check_size(size_px)
        _positive(excitation_nm=excitation_nm)
        self.setup, self.size_px = setup, size_px
        self.finer = _finer(setup, excitation_nm, size_px)
        self.chunk = max(1, CHUNK_POINTS // (size_px * self.finer) ** 2)
        lit = setup.model_copy(update={"wavelength_nm": excitation_nm})
        window_um = size_px * setup.pixel_um
        self.emission = make_pupil(setup, z_um, window_um=window_um, **optics)
        self.excitation = make_pupil(
            lit, z_um, window_um=window_um, apodisation="excitation", **optics
        )

    def fine(self, pupil: Pupil) -> Tensor:
        """Matrix onto points; an even window's middle pixel has its middle point in the middle."""
        count = self.size_px * self.finer
        shift = (self.size_px // 2) * self.finer + self.finer // 2 - count // 2
        size = count + 2 * shift
        point_um = self.setup.pixel_um / self.finer
        matrix = camera_matrix(pupil, point_um, size, pixel="point")
        first = size // 2 - (self.size_px // 2) * self.finer - self.finer // 2
        return matrix[first : first + count]

    def whole_pixels(self, fine: Tensor) -> Tensor:
        """Sum the points of each pixel."""
        parts = fine.reshape(len(fine), self.size_px, self.finer, self.size_px, self.finer)
        return parts.sum((2, 4))

    def relative(self, z_um: Tensor, planes: Callable[[Tensor], Tensor]) -> Tensor:
        """Planes divided by the light of the one in focus."""
        with torch.no_grad():
            in_focus = planes(z_um.new_zeros(1)).sum()
        return planes(z_um) / in_focus


def confocal_psf(
    setup: OpticalSetup,
    z_um: Depths,
    *,
    excitation_nm: float,
    pinhole_airy: float = 1.0,
    size_px: int = 128,
    model: Model = "vectorial",
    aberrations: Aberrations | None = None,
    layers: Layers | None = None,
    device: torch.device | str = "cpu",
) -> Float[Tensor, "z y x"]:
    """Image of a fluorescent point in a confocal microscope at each defocus [Wilson1990]_.

    The excitation's focus times the emission's image, averaged over the pinhole. By reciprocity
    the excitation's intensity at a point is the image of that point at its wavelength.

    Parameters
    ----------
    setup
        The optics; the objective's NA also focuses the excitation, which fills the pupil evenly
        and is unpolarised.
    z_um, size_px, model, aberrations, layers, device
        See ``widefield_psf``. Aberrations in waves hold at both wavelengths.
    excitation_nm
        Wavelength of the excitation in vacuum.
    pinhole_airy
        Diameter of the pinhole in Airy discs of the emission, 1.22 wavelengths / NA.

    Returns
    -------
    Light at each position of the scan, averaged over the pixel, relative: the window in
    focus sums to 1, others to less.

    Raises
    ------
    InputError
        If the excitation or the pinhole is not positive, or the window too wide.

    Notes
    -----
    Laws: never negative, symmetric in z without aberrations, batch-free.

    Examples
    --------
    >>> setup = OpticalSetup(na=1.2, wavelength_nm=520, pixel_um=0.1, immersion_index=1.333)
    >>> psf = confocal_psf(setup, [0.0, 2.0], excitation_nm=488.0, size_px=32)
    >>> bool(psf[1].sum() < 0.2 * psf[0].sum())
    True
    """
    _positive(pinhole_airy=pinhole_airy)
    z = as_depths(z_um, device)
    optics = {"model": model, "aberrations": aberrations, "layers": layers}
    scan = _Scan(setup, z, excitation_nm, size_px, **optics)
    hole_um = pinhole_airy * AIRY * setup.wavelength_um / setup.na
    seen, lit = scan.fine(scan.emission), scan.fine(scan.excitation)

    def planes(z: Tensor) -> Tensor:
        def emitted(images: Tensor) -> Tensor:
            return onto_pixels(through_holes(images, scan.emission.step_um, hole_um), seen)

        parts = []
        for part in torch.split(z, scan.chunk):
            light = in_chunks(scan.emission, part, emitted)
            light = light * in_chunks(scan.excitation, part, lambda im: onto_pixels(im, lit))
            parts.append(scan.whole_pixels(light.clamp(min=0.0)))
        return torch.cat(parts)

    return scan.relative(z, planes)


def spinning_disk_psf(
    setup: OpticalSetup,
    z_um: Depths,
    *,
    excitation_nm: float,
    pinhole_um: float,
    spacing_um: float,
    size_px: int = 128,
    model: Model = "vectorial",
    aberrations: Aberrations | None = None,
    device: torch.device | str = "cpu",
) -> Float[Tensor, "z y x"]:
    """Image of a fluorescent point behind a spinning disk of pinholes [Wilson2010]_.

    The emission's image times the light of all pinholes that reaches the point and passes: the
    excitation averaged over the hole that lights and the hole that sees, summed over a square
    array. Neighbouring holes let light from out of focus through.

    Parameters
    ----------
    setup, z_um, size_px, model, aberrations, excitation_nm, device
        See ``confocal_psf``.
    pinhole_um
        Diameter of a pinhole in the object: that on the disk divided by the magnification.
    spacing_um
        Distance between pinholes in the object; disks have about 5 diameters.

    Returns
    -------
    Light in each camera pixel, relative: the window in focus sums to 1; far from focus the sum
    tends to the crosstalk of the array times the share of widefield light in the window.

    Raises
    ------
    InputError
        If a length is not positive, the holes overlap, or the window is too wide.

    Notes
    -----
    Laws: never negative, symmetric in z without aberrations, batch-free.

    Examples
    --------
    >>> setup = OpticalSetup(na=1.2, wavelength_nm=520, pixel_um=0.1, immersion_index=1.333)
    >>> psf = spinning_disk_psf(setup, [0.0, 2.0], excitation_nm=488.0, pinhole_um=0.83,
    ...                         spacing_um=4.2, size_px=32)
    >>> bool(psf[1].sum() < 0.5 * psf[0].sum())
    True
    """
    _positive(pinhole_um=pinhole_um, spacing_um=spacing_um)
    if spacing_um < pinhole_um:
        raise InputError(
            f"Pinholes of {pinhole_um:g} um overlap {spacing_um:g} um apart: give spacing_um above "
            "pinhole_um."
        )
    z = as_depths(z_um, device)
    scan = _Scan(setup, z, excitation_nm, size_px, model=model, aberrations=aberrations)
    seen = scan.fine(scan.emission)
    lattice = _lattice_matrix(scan, spacing_um)

    def planes(z: Tensor) -> Tensor:
        def lit(images: Tensor) -> Tensor:
            smooth = through_holes(images, scan.excitation.step_um, pinhole_um, times=2)
            return onto_pixels(smooth, lattice)

        parts = []
        for part in torch.split(z, scan.chunk):
            light = in_chunks(scan.emission, part, lambda im: onto_pixels(im, seen))
            light = light * in_chunks(scan.excitation, part, lit)
            parts.append(scan.whole_pixels(light.clamp(min=0.0)))
        return torch.cat(parts)

    return scan.relative(z, planes)


def _lattice_matrix(scan: _Scan, spacing_um: float) -> Tensor:
    """Matrix from the grid onto points, summed over the array: a Fourier series in its period."""
    pupil = scan.excitation
    grid_px, dtype = pupil.grid_px, torch.float64
    orders = math.ceil(spacing_um / (2 * pupil.step_um)) - 1
    cycles = torch.arange(orders + 1, dtype=dtype) / spacing_um
    weights = torch.full_like(cycles, 2.0)
    weights[0] = 1.0
    points = torch.arange(scan.size_px * scan.finer, dtype=dtype)
    middle = (scan.size_px // 2) * scan.finer + scan.finer // 2
    points = (points - middle) * scan.setup.pixel_um / scan.finer
    grid = torch.arange(grid_px, dtype=dtype)
    grid = torch.where(grid >= grid_px / 2, grid - grid_px, grid) * pupil.step_um
    angles = 2 * math.pi * (points[:, None, None] - grid[:, None]) * cycles
    return (angles.cos() * weights).sum(-1).to(pupil.amplitude)


def light_sheet_psf(
    setup: OpticalSetup,
    z_um: Depths,
    *,
    waist_um: float,
    sheet_offset_um: float = 0.0,
    size_px: int = 128,
    model: Model = "vectorial",
    aberrations: Aberrations | None = None,
    layers: Layers | None = None,
    device: torch.device | str = "cpu",
) -> Float[Tensor, "z y x"]:
    """Image of a fluorescent point at each defocus, lit by a Gaussian sheet [Li2021]_.

    Parameters
    ----------
    setup, z_um, size_px, model, aberrations, layers, device
        See ``widefield_psf``.
    waist_um
        Full width at half maximum of the sheet's intensity along z, taken as even over the field.
    sheet_offset_um
        Height of the sheet's middle above the plane in focus, along +z: what Li calls dz. Then
        the brightest structures have defocus ``-sheet_offset_um``.

    Returns
    -------
    Shares of the light in each pixel, times the sheet's intensity relative to its middle,
    2^-(2 (z + offset) / waist)^2.

    Raises
    ------
    InputError
        If the waist is not positive; see also ``widefield_psf``.

    Notes
    -----
    Laws: sums over the whole plane equal the sheet's profile; an even sheet is widefield.

    Examples
    --------
    >>> setup = OpticalSetup(na=0.6, wavelength_nm=580, pixel_um=0.65)
    >>> psf = light_sheet_psf(setup, [-6.0, 0.0, 6.0], waist_um=8.5, sheet_offset_um=6.0)
    >>> psf.sum((1, 2)).argmax()
    tensor(0)
    """
    _positive(waist_um=waist_um)
    z = as_depths(z_um, device)
    psf = widefield_psf(
        setup,
        z,
        size_px=size_px,
        model=model,
        aberrations=aberrations,
        layers=layers,
        device=device,
    )
    sheet = torch.exp2(-(2.0 * (z + sheet_offset_um) / waist_um).square())
    return psf * sheet[:, None, None]


def in_section(away_dof: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Share of light in a confocal-equivalent section, by its distance in depths of field.

    Examples
    --------
    >>> in_section(torch.tensor([0.0, 0.75]))
    tensor([1.0000, 0.5000])
    """
    return torch.exp(-4 * math.log(2) * (away_dof / SECTION_DOF).square())
