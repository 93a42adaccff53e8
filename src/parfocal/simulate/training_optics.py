"""Optics and positions of training fields, each field with its own."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from parfocal.optics.batches import pupil_psfs

ZERNIKES = 15  # OSA indices 0 to 14
SPHERICAL = 12
WIDEST_RATIO = 0.95  # of NA to index
SECTIONED = 0.25  # share of the optics
SCAN_DEPTHS, SCAN_PX = 3.0, 32  # where the sharpest plane is looked for, and on what window
SCAN_PLANES = 13
LENGTHS = ("na", "index", "wavelength_um", "pixel_um")
"""What a predictor is told of the optics."""


class TrainingOptics:
    """Draws the optics of fields, and the point-spread functions through them.

    NA / n from 0.1 to 0.95, small aberrations, pixels from 0.42 to 2.2 wavelength / NA; defocus to
    +-``reach_depths``, spacings of 0.4 to 2.5 effective depths of field; a pinhole or sheet that
    dims what is out of focus in a quarter. Focus is where a point is sharpest: beyond 0.2 waves of
    spherical aberration that is a depth of field or more away from where the pupil's phase is
    flattest.

    Parameters
    ----------
    size_px, images
        Pixels along a side, and images of each field.
    reach_depths
        Largest defocus of the images' middle, in effective depths of field.
    generator
        Draws everything, on its own device.

    Examples
    --------
    >>> optics = TrainingOptics(size_px=32, images=2, reach_depths=8.0,
    ...                         generator=torch.Generator().manual_seed(0))
    >>> drawn = optics.draw(3)
    >>> optics.psfs(drawn["z_um"], drawn).shape
    torch.Size([3, 2, 32, 32])
    """

    def __init__(
        self, *, size_px: int, images: int, reach_depths: float, generator: torch.Generator
    ) -> None:
        self.size_px, self.images, self.reach_depths = size_px, images, reach_depths
        self.generator, self.device = generator, generator.device

    def draw(self, count: int) -> dict[str, Tensor]:
        """Lengths of the optics, ``depth_um``, ``z_um`` from focus (b, n), aberrations, sections.

        Focus lies ``focus_um`` above the plane of the flattest phase.
        """
        ratio = self.uniform(0.1, WIDEST_RATIO, count)
        index = 1.0 + self.uniform(0.0, 0.53, count) * (self.uniform(0.0, 1.0, count) > 0.5)
        na, wavelength = ratio * index, self.uniform(0.42, 0.7, count)
        fine, coarse = self.uniform(0.42, 0.58, count), self.uniform(0.58, 2.2, count)
        pixel = torch.where(self.uniform(0.0, 1.0, count) < 0.6, fine, coarse) * wavelength / na
        depth = index * (wavelength / na + pixel) / na
        spacing = self.uniform(0.4, 2.5, count) * depth
        middle = self.uniform(-self.reach_depths, self.reach_depths, count) * depth
        steps = torch.arange(self.images, device=self.device) - (self.images - 1) / 2
        drawn = {
            "na": na,
            "index": index,
            "wavelength_um": wavelength,
            "pixel_um": pixel,
            "depth_um": depth,
            "z_um": middle[:, None] + spacing[:, None] * steps,
            "zernike_waves": self._aberrations(count),
            "half_width_um": self._section_half_width(depth),
        }
        focus_um = torch.zeros_like(depth)
        aberrated = drawn["zernike_waves"].any(1).nonzero()[:, 0]
        if len(aberrated):
            some = {name: values[aberrated] for name, values in drawn.items()}
            focus_um[aberrated] = self._sharpest_um(some)
        return drawn | {"focus_um": focus_um}

    def psfs(
        self, away_um: Float[Tensor, "b n"], optics: dict[str, Tensor]
    ) -> Float[Tensor, "b n y x"]:
        """Point-spread functions at some defocus, dimmed by each field's section."""
        psfs = _plain_psfs(away_um + optics["focus_um"][:, None], optics, size_px=self.size_px)
        passed = 1 / (1 + (away_um / optics["half_width_um"][:, None]).square())
        return psfs * passed[:, :, None, None]

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        """Even numbers between two."""
        drawn = torch.rand(shape, generator=self.generator, device=self.device)
        return low + (high - low) * drawn

    def normal(self, *shape: int) -> Tensor:
        """Normal numbers of variance 1."""
        return torch.randn(shape, generator=self.generator, device=self.device)

    def _sharpest_um(self, optics: dict[str, Tensor]) -> Float[Tensor, " b"]:
        """Where differences between neighbouring pixels of a point's image are largest."""
        scan = torch.linspace(-SCAN_DEPTHS, SCAN_DEPTHS, SCAN_PLANES, device=self.device)
        away_um = scan * optics["depth_um"][:, None]
        psfs = _plain_psfs(away_um, optics, size_px=SCAN_PX)
        energy = sum((psfs - psfs.roll(1, axis)).square().sum((2, 3)) for axis in (2, 3))
        energy = torch.as_tensor(energy)
        best = energy.argmax(1, keepdim=True).clamp(1, SCAN_PLANES - 2)
        before, at, after = (energy.gather(1, best + k) for k in (-1, 0, 1))
        # The vertex of a parabola; at an end of the scan the parabola says little.
        vertex = 0.5 * (before - after) / (before - 2 * at + after).clamp(max=-1e-12)
        step = 2 * SCAN_DEPTHS / (SCAN_PLANES - 1)
        places = scan[best] + step * vertex.clamp(-1.0, 1.0)
        return places[:, 0] * optics["depth_um"]

    def _section_half_width(self, depth: Float[Tensor, " b"]) -> Float[Tensor, " b"]:
        """Defocus at which half the light is lost to a pinhole or a thin sheet; mostly none is."""
        width = depth * torch.exp(self.uniform(-0.4, 1.8, len(depth)))
        is_sectioned = self.uniform(0.0, 1.0, len(depth)) < SECTIONED
        return torch.where(is_sectioned, width, 1e6 * depth)

    def _aberrations(self, count: int) -> Float[Tensor, "b j"]:
        """Spherical aberration of SD 0.15 waves, other terms 0.03; a third have none."""
        waves = 0.03 * self.normal(count, ZERNIKES)
        waves[:, SPHERICAL] *= 5.0
        waves[:, [0, 1, 2, 4]] = 0.0
        return waves * (self.uniform(0.0, 1.0, count, 1) > 1 / 3)


def _plain_psfs(
    away_um: Float[Tensor, "b n"], optics: dict[str, Tensor], *, size_px: int
) -> Float[Tensor, "b n y x"]:
    own: dict[str, Any] = {name: optics[name] for name in (*LENGTHS, "zernike_waves")}
    return pupil_psfs(z_um=away_um, size_px=size_px, beyond="fold", **own)
