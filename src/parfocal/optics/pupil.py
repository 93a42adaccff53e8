"""The pupil of an objective: aperture, apodisation, polarisation and phase, and its images."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Complex, Float
from torch import Tensor

Apodisation = Literal["emission", "excitation", "none"]
LEAST_COSINE = 0.02  # samples of the soft edge may lie beyond the last angle


def pupil_grid(
    radius_px: int, *, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu"
) -> tuple[Float[Tensor, "q q"], Float[Tensor, "q q"], Float[Tensor, "q q"]]:
    """Coordinates y, x of a square that holds the pupil, and the share of each sample inside it.

    The coordinates are 1 at the pupil's edge, which falls over one sample. There, samples are
    taken a little further in, by a quarter of what lies outside: then the sum of share times
    exp(i phase) is the integral over the disc to second order in the phase's slope.

    Examples
    --------
    >>> y, x, share = pupil_grid(2)
    >>> x[3], share[3]
    (tensor([-1.3750, -0.9375, -0.5000, 0.0000, 0.5000, 0.9375, 1.3750]),
     tensor([0.0000, 0.5000, 1.0000, 1.0000, 1.0000, 0.5000, 0.0000]))
    """
    count = torch.arange(-radius_px - 1, radius_px + 2, device=device).to(dtype) / radius_px
    y, x = torch.meshgrid(count, count, indexing="ij")
    rho = torch.hypot(y, x)
    share = ((1.0 - rho) * radius_px + 0.5).clamp(0.0, 1.0)
    inward = 1.0 - (1.0 - share) / (4 * radius_px * rho.clamp(min=0.5))
    return y * inward, x * inward, share


def cosine(sine2: Tensor) -> Tensor:
    """Cosine of an angle from its squared sine, kept above 0 beyond the last angle."""
    return (1.0 - sine2).clamp(min=LEAST_COSINE**2).sqrt()


def axial_waves_per_um(
    rho2: Tensor, *, na: Tensor | float, index: Tensor | float, wavelength_um: Tensor | float
) -> Tensor:
    """Phase in waves that 1 um of a medium adds, less that of the axial ray.

    sqrt((n / lambda)^2 - |f|^2) - n / lambda, written so that float32 keeps its digits. Below 0.

    Examples
    --------
    >>> waves = axial_waves_per_um(torch.tensor(1.0), na=0.8, index=1.0, wavelength_um=0.5)
    >>> round(float(waves), 6)  # (0.6 - 1) / 0.5
    -0.8
    """
    sine2 = rho2 * (na / index) ** 2
    return -(index / wavelength_um) * sine2 / (1.0 + cosine(sine2))


def apodise(cosines: Tensor, apodisation: Apodisation) -> Tensor:
    """Amplitude of the pupil at a cosine of the ray's angle, by the sine condition.

    ``"emission"`` is 1 / sqrt(cos): an isotropic source seen through an aplanatic objective.
    ``"excitation"`` is sqrt(cos): an evenly lit pupil that focuses [RichardsWolf1959]_.
    """
    if apodisation == "emission":
        return cosines.rsqrt()
    return cosines.sqrt() if apodisation == "excitation" else torch.ones_like(cosines)


def dipole_fields(
    y: Float[Tensor, "q q"],
    x: Float[Tensor, "q q"],
    sine: Float[Tensor, "q q"],
    *,
    p: Float[Tensor, "q q"] | float = 1.0,
    s: Float[Tensor, "q q"] | float = 1.0,
) -> Float[Tensor, "c q q"]:
    """Fields that dipoles along x, y and z send through each point of the pupil.

    Parameters
    ----------
    y, x
        Pupil coordinates.
    sine
        Sine of the ray's angle where the dipole is.
    p, s
        Amplitudes that the way to the pupil leaves of light polarised along and across the ray's
        meridian.

    Returns
    -------
    Five fields; their squared moduli sum to what a freely rotating dipole sends. The two mixed
    lateral ones are equal, so one of them stands for both, times sqrt(2) [Hanser2004]_.
    """
    rho2 = (y.square() + x.square()).clamp(min=1e-12)
    xx, yy, xy = x.square() / rho2, y.square() / rho2, x * y / rho2
    along = cosine(sine.square()) * p
    rho = rho2.sqrt()
    lateral = [along * xx + s * yy, along * yy + s * xx, math.sqrt(2) * (along - s) * xy]
    axial = [p * sine * x / rho, p * sine * y / rho]
    return torch.stack(lateral + axial)


def spread_light(fields: Complex[Tensor, "*b q q"], grid_px: int) -> Float[Tensor, "*b grid grid"]:
    """Intensity of the image of each pupil, its middle at point (0, 0), on a grid that repeats."""
    waves = spread_waves(fields, grid_px)
    return waves.real.square() + waves.imag.square()  # four times as fast as a sum over pairs


def spread_waves(
    fields: Complex[Tensor, "*b q q"], grid_px: int
) -> Complex[Tensor, "*b grid grid"]:
    """Amplitude of the image of each pupil, its middle at point (0, 0), on a grid that repeats."""
    rows = torch.fft.ifft(fields, n=grid_px, dim=-1, norm="forward")
    waves: Tensor = torch.fft.ifft(rows, n=grid_px, dim=-2, norm="forward")
    return waves


@dataclass(frozen=True, eq=False, kw_only=True)
class Pupil:
    """One objective's pupil on its grid, ready to image a point at any defocus.

    Parameters
    ----------
    amplitude
        One map for scalar light, five for dipoles (``dipole_fields``), of total power 1.
    phase_waves
        Phase of aberrations and layers.
    defocus_waves_per_um
        Phase that a defocus of 1 um adds.
    grid_px
        Points of the image's grid.
    step_um
        Distance of the image's points, in um.
    """

    amplitude: Float[Tensor, "c q q"]
    phase_waves: Float[Tensor, "q q"]
    defocus_waves_per_um: Float[Tensor, "q q"]
    grid_px: int
    step_um: float

    def intensities(self, z_um: Float[Tensor, " z"]) -> Float[Tensor, "z grid grid"]:
        """Image of a point at each defocus, in um; each plane sums to 1."""
        if len(z_um) == 0:
            return z_um.new_zeros(0, self.grid_px, self.grid_px)
        waves = self.phase_waves + z_um[:, None, None] * self.defocus_waves_per_um
        phasors = torch.polar(torch.ones_like(waves), 2 * math.pi * waves)
        images = phasors.real.new_zeros(len(z_um), self.grid_px, self.grid_px)
        for amplitude in self.amplitude / self.grid_px:
            images = images + spread_light(amplitude * phasors, self.grid_px)
        return images
