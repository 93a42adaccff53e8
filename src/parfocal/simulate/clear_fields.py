"""Pairs of images of clear and of stained specimens by transmitted light, for training.

A network for fluorescence must know them, to decline: a transparent specimen is faintest in focus.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from parfocal.core.device import pick_device
from parfocal.core.setup import OpticalSetup
from parfocal.optics.illumination import Source
from parfocal.optics.transmission import transmitted_images
from parfocal.optics.zernike import Aberrations
from parfocal.simulate.batch_noise import draw_exposures, noisy_counts
from parfocal.simulate.batches import FieldBatch
from parfocal.simulate.catalog import make_specimen
from parfocal.simulate.kept_images import KeptImages, Made, exposed
from parfocal.simulate.object_pool import ObjectPool

GRID_PX = 256
FINEST_SHARE = 0.24  # of wavelength / NA: pixel of the grid, less than what aliases
WAVES = 12  # of the condenser
KEPT = 96
FINE = 0.75  # share of pixels near half a wavelength / NA; coarser ones repeat a small field
OBJECTS = ("nuclei", "filaments", "epithelium", "beads")
VISIBLE = (0.5, 4.0)  # standard deviation of the light over that of its shot noise, at least
CELLS, STAINED = 0.5, 0.2  # shares: round cells, the rest structures; absorption without phase


class ClearFields:
    """Specimens by transmitted light, a pair of images each, with optics of their own.

    Round cells or fine structures, as a delay of 0.2 to 6 rad, an absorption, or both; a
    condenser of any aperture up to the objective's, centred or oblique; optics, defocus and
    distances as in ``FieldBatches``; at least 100 photons, and as many as it takes to see
    something.

    Parameters
    ----------
    size_px
        Side of the images. What is smaller is repeated: specimens wrap around.
    reach_depths
        Largest defocus of a pair's middle, in effective depths of field.
    seed
        Draws everything.
    device
        Where images go.
    specimen
        A row of ``SPECIMENS`` with absorption or phase, in place of these.
    kept
        Pairs that are kept, to be turned and exposed again: imaging them costs most.
    stained
        Share of the structures that absorb and hardly delay.

    Examples
    --------
    >>> fields = ClearFields(size_px=64, seed=1, kept=4).draw(2)
    >>> fields.images.shape, fields.na.shape
    (torch.Size([2, 2, 64, 64]), torch.Size([2]))
    """

    def __init__(
        self,
        *,
        size_px: int = 128,
        reach_depths: float = 8.0,
        seed: int = 0,
        device: str = "cpu",
        specimen: str | None = None,
        kept: int = KEPT,
        stained: float = STAINED,
    ) -> None:
        self.size_px, self.reach_depths = size_px, reach_depths
        self.device = pick_device(device)
        self.generator = torch.Generator().manual_seed(seed)
        self._specimen, self._stained = specimen, stained
        if specimen is None:
            self._pool = ObjectPool(OBJECTS, textures=6, size_px=GRID_PX, seed=seed)
        self._fields = KeptImages(self._make, kept=kept, generator=self.generator)

    def draw(self, count: int) -> FieldBatch:
        """Draw pairs from those that are kept."""
        light, facts = self._fields.draw(count)
        camera = draw_exposures(count, 2, self.generator)
        contrast = light.std((2, 3)).amax(1) / light.amax((1, 2, 3))
        visible = (self._uniform(*VISIBLE, count) / contrast.clamp(min=1e-3)).square()
        photons = torch.maximum(torch.exp(self._uniform(4.6, 9.9, count)), visible)
        camera.photons.copy_(photons)
        camera.background.copy_(0.02 * photons)
        camera.most.copy_(photons * self._uniform(1.1, 3.0, count))
        images = noisy_counts(light, camera, self.generator).to(self.device)
        return exposed(images, facts, camera.photons)

    def _make(self) -> Made:
        """One pair without noise, and its optics."""
        ratio, wavelength_um = self._one(0.1, 0.95), self._one(0.42, 0.7)
        index = 1.0 + self._one(0.0, 0.53) * (self._one(0.0, 1.0) > 0.5)
        na = ratio * index
        pixel = self._one(0.42, 0.58) if self._one(0.0, 1.0) < FINE else self._one(0.58, 1.8)
        pixel_um = pixel * wavelength_um / na
        depth_um = index * (wavelength_um / na + pixel_um) / na
        binned = math.ceil(pixel / FINEST_SHARE)
        middle = self._one(-self.reach_depths, self.reach_depths) * depth_um
        half = self._one(0.4, 2.5) * depth_um / 2
        setup = OpticalSetup(
            na=na, wavelength_nm=1000 * wavelength_um, pixel_um=pixel_um / binned,
            immersion_index=index,
        )  # fmt: skip
        z_um = torch.tensor([middle - half, middle + half])
        fine = transmitted_images(
            self._layer(setup), setup, z_um, heights_um=torch.zeros(1),
            source=self._condenser(na), aberrations=self._aberrations(),
        )  # fmt: skip
        side = GRID_PX // binned
        images = fine[:, : side * binned, : side * binned]
        images = images.reshape(2, side, binned, side, binned).mean((2, 4))
        repeats = -(-self.size_px // side)
        images = images.repeat(1, repeats, repeats)[:, : self.size_px, : self.size_px]
        facts = torch.tensor([na, index, wavelength_um, pixel_um])
        return images, torch.cat([facts, z_um])

    def _layer(self, setup: OpticalSetup) -> Tensor:
        """Complex amplitude (1, y, x) behind one layer of a specimen."""
        if self._specimen is not None:
            made = make_specimen(
                self._specimen, GRID_PX, pixel_um=setup.pixel_um, thickness_um=0.0,
                generator=self.generator,
            )  # fmt: skip
            return made.slices(setup.wavelength_nm).prod(0, keepdim=True)
        if self._one(0.0, 1.0) < CELLS:
            shape = self._cells()
        else:
            spectrum = self._pool.draw(1, self.generator)
            shape = torch.fft.irfft2(spectrum, s=(GRID_PX, GRID_PX))[0].clamp(min=0)
        shape = shape / shape.amax().clamp(min=1e-6)
        is_stained = self._one(0.0, 1.0) < self._stained
        delay = math.exp(self._one(-1.6, 1.8)) * (0.1 if is_stained else 1.0)
        sign = 1.0 if self._one(0.0, 1.0) < 0.85 else -1.0
        absorbed = self._one(0.3, 2.0) if is_stained else self._one(0.0, 0.3)
        return torch.polar(torch.exp(-absorbed / 2 * shape), sign * delay * shape)[None]

    def _cells(self) -> Float[Tensor, "y x"]:
        """Round cells like lenses, some with a rim or a nucleus, that wrap around."""
        shape = torch.zeros(GRID_PX, GRID_PX)
        line = torch.arange(GRID_PX, dtype=torch.float32)
        largest = math.exp(self._one(1.2, 3.6))
        count = int(min(60, max(1.0, self._one(0.05, 0.9) * GRID_PX**2 / (4 * largest**2))))
        for _ in range(count):
            y, x, turn = self._one(0.0, 1.0), self._one(0.0, 1.0), self._one(0.0, math.pi)
            radius, stretch = largest * self._one(0.6, 1.0), self._one(0.6, 1.0)
            down = (line - (y - 0.5) * GRID_PX) % GRID_PX - GRID_PX / 2
            along = (line - (x - 0.5) * GRID_PX) % GRID_PX - GRID_PX / 2
            u = math.cos(turn) * down[:, None] + math.sin(turn) * along
            v = math.cos(turn) * along - math.sin(turn) * down[:, None]
            r2 = (u / radius).square() + (v / (radius * stretch)).square()
            body = (1 - r2).clamp(min=0).sqrt()
            kind = self._one(0.0, 1.0)
            if kind < 0.3:
                body = body + self._one(0.2, 0.8) * (1 - (4 * r2)).clamp(min=0).sqrt()
            elif kind < 0.5:
                body = body * (0.4 + r2)
            shape = shape + body
        return shape

    def _condenser(self, na: float) -> Source:
        """Waves over a disc, small or as wide as the objective's pupil, sometimes off the axis."""
        radius = na * math.exp(self._one(-2.5, 0.0))
        points = torch.arange(WAVES) + 0.5
        angle = 2.399963 * points + self._one(0.0, 6.3)
        disc = radius * (points / WAVES).sqrt()[:, None]
        waves = disc * torch.stack([angle.sin(), angle.cos()], 1)
        if self._one(0.0, 1.0) < 0.25:
            turn = self._one(0.0, 6.3)
            away = (na - radius) * self._one(0.0, 1.0)
            waves = waves + away * torch.tensor([math.sin(turn), math.cos(turn)])
        return Source(na_yx=waves, weights=torch.full((WAVES,), 1.0 / WAVES))

    def _aberrations(self) -> Aberrations | None:
        if self._one(0.0, 1.0) < 1 / 3:
            return None
        waves = 0.03 * torch.randn(15, generator=self.generator)
        waves[12] *= 5.0
        waves[[0, 1, 2, 4]] = 0.0
        return Aberrations(zernike_waves=dict(enumerate(waves.tolist())))

    def _uniform(self, low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(shape, generator=self.generator)

    def _one(self, low: float, high: float) -> float:
        return float(self._uniform(low, high))
