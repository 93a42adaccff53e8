"""The microscope of Wu 2019, simulated: deep specimens, one image, and the scanned stack."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from parfocal.core.setup import OpticalSetup
from parfocal.optics.round_pupil import round_transfers
from parfocal.optics.sectioning import in_section
from parfocal.simulate.catalog import make_specimen
from parfocal.simulate.specimen import Specimen, bend

SETUP = OpticalSetup(na=0.75, wavelength_nm=530, pixel_um=0.325, magnification=20)
"""20x / 0.75 dry, green light, as in the paper."""
SPHERICAL = 0.16
"""Waves RMS that a dry objective of this kind has some 10 um deep in water; told to the network."""
LAYER_UM = 0.5
EDGE_PX = 32
PHOTONS, BACKGROUND, READ_NOISE = 500.0, 20.0, 1.5


@dataclass(frozen=True, eq=False)
class Scene:
    """A specimen under the microscope; its fields wrap around, and edges are cut off what is seen.

    Parameters
    ----------
    specimen
        Layers of light; heights above the plane of the image that is taken.
    spherical
        Aberration in waves RMS.
    """

    specimen: Specimen
    spherical: float = SPHERICAL

    @cached_property
    def _spectra(self) -> Tensor:
        light = self.specimen.emission
        spectra: Tensor = torch.fft.rfft2(torch.zeros(1, 1, 1) if light is None else light)
        return spectra

    @cached_property
    def scale(self) -> float:
        """Photons of a unit of light: the brightest pixel of the image has ``PHOTONS``."""
        return PHOTONS / float(self._light(0.0).max())

    def scanned(self, z_um: NDArray[np.float64] | list[float]) -> Float[np.ndarray, "z y x"]:
        """What the microscope shows on planes, without noise, background included."""
        planes = [self.scale * self._light(float(z)) + BACKGROUND for z in z_um]
        return cut(torch.stack(planes).numpy())

    def section(self, z_um: float) -> Float[np.ndarray, "y x"]:
        """Light from near a plane alone, as a confocal-equivalent section."""
        away = (z_um - self.specimen.heights_um) / SETUP.depth_of_field_um
        return cut((self.scale * self._light(z_um, in_section(away)) + BACKGROUND).numpy())

    def on(self, surface_um: Float[np.ndarray, "y x"]) -> Float[np.ndarray, "y x"]:
        """What a scan shows on a surface, between planes a quarter of a depth of field apart."""
        step = SETUP.depth_of_field_um / 4
        low = math.floor(float(surface_um.min()) / step)
        count = math.ceil(float(surface_um.max()) / step) - low + 1
        shown = np.zeros(surface_um.shape, np.float64)
        for number, plane in enumerate(self.scanned([step * (low + k) for k in range(count)])):
            shown += plane * np.clip(1 - np.abs(surface_um / step - low - number), 0, None)
        return shown.astype(np.float32)

    def taken(self, z_um: float = 0.0, *, seed: int = 0) -> Float[np.ndarray, "y x"]:
        """One noisy image, in counts of one electron each."""
        dice = torch.Generator().manual_seed(seed)
        expected = torch.from_numpy(self.scanned([z_um])[0]).clamp(min=0.0)
        noise = READ_NOISE * torch.randn(expected.shape, generator=dice)
        counts: NDArray[np.float32] = (torch.poisson(expected, generator=dice) + noise).numpy()
        return counts

    def _light(self, z_um: float, gate: Tensor | None = None) -> Float[Tensor, "y x"]:
        heights = self.specimen.heights_um
        shape = self.specimen.shape[1:]
        transfers = transfers_to((z_um - heights).tolist(), shape, spherical=self.spherical)
        if gate is not None:
            transfers = transfers * gate[:, None, None]
        light: Tensor = torch.fft.irfft2((self._spectra * transfers).sum(0), s=shape)
        return light.clamp(min=0.0)


def transfers_to(
    defocus_um: list[float], shape: tuple[int, int], *, spherical: float = SPHERICAL
) -> Float[Tensor, "k y kx"]:
    """Transfer functions of the microscope at some defocus."""
    one = torch.ones(1)
    return round_transfers(
        na=SETUP.na * one, index=one, wavelength_um=SETUP.wavelength_um * one,
        pixel_um=SETUP.pixel_um * one, z_um=torch.tensor([defocus_um]),
        spherical_waves=spherical * one, size_px=shape,
    )[0]  # fmt: skip


def deep_scene(
    name: str, *, size_px: int, seed: int, thickness_um: float, spherical: float = SPHERICAL
) -> Scene:
    """A specimen whose layers lie on both sides of the image's plane."""
    dice = torch.Generator().manual_seed(seed)
    specimen = make_specimen(
        name, size_px + 2 * EDGE_PX, pixel_um=SETUP.pixel_um, generator=dice,
        thickness_um=thickness_um, layer_step_um=LAYER_UM if thickness_um else None,
    )  # fmt: skip
    return Scene(specimen, spherical)


def flat_scene(
    name: str, *, size_px: int, seed: int, height_um: float, spherical: float = SPHERICAL
) -> Scene:
    """A thin specimen at one height above the image's plane."""
    flat = deep_scene(name, size_px=size_px, seed=seed, thickness_um=0.0, spherical=spherical)
    return Scene(flat.specimen.raised(height_um), spherical)


def bent_scene(
    name: str, surface_um: Float[np.ndarray, "y x"], *, seed: int, size_px: int
) -> Scene:
    """A thin specimen that lies on a surface; the surface holds the edges too."""
    flat = deep_scene(name, size_px=size_px, seed=seed, thickness_um=0.0)
    bent = bend(flat.specimen, torch.from_numpy(surface_um), step_um=LAYER_UM)
    return Scene(bent)


def cut(field: NDArray[np.float32]) -> NDArray[np.float32]:
    """What is seen of a field: all but its edges."""
    return field[..., EDGE_PX:-EDGE_PX, EDGE_PX:-EDGE_PX]
