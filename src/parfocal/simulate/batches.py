"""Training batches made on the fly: a few images of one field, each field with its own optics."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from parfocal.core.device import pick_device
from parfocal.core.errors import InputError
from parfocal.simulate.batch_noise import draw_exposures, noisy_counts
from parfocal.simulate.object_pool import ObjectPool
from parfocal.simulate.training_optics import LENGTHS, SPHERICAL, TrainingOptics

OBJECTS = ("beads", "nuclei", "filaments", "microtubules", "mitochondria", "epithelium")
LEAST_PX = 16
BATCHES_KEPT = 4
RENEWED_TOGETHER = 8  # sets of optics: many small transforms share their preparation
FIELDS_AT_ONCE = 4  # on a CPU: their images and noise stay in its cache
THICK = 0.15  # share of the objects
SLICES = 5  # of a thick object


@dataclass(frozen=True, eq=False, kw_only=True)
class FieldBatch:
    """Images of many fields with the truth of each.

    Parameters
    ----------
    images
        Counts less the camera's offset, in order of rising stage z.
    z_um
        Stage z of each image less that of best focus: the defocus of each image.
    na, index, wavelength_um, pixel_um
        Optics of each field.
    second_height_um, second_share
        Height of a second layer and its share of the light, 0 where there is one layer only.
    photons
        Electrons of each field's brightest pixel, less the background.
    spherical_waves
        Spherical aberration of each field in waves RMS.
    """

    images: Float[Tensor, "b n y x"]
    z_um: Float[Tensor, "b n"]
    na: Float[Tensor, " b"]
    index: Float[Tensor, " b"]
    wavelength_um: Float[Tensor, " b"]
    pixel_um: Float[Tensor, " b"]
    second_height_um: Float[Tensor, " b"]
    second_share: Float[Tensor, " b"]
    photons: Float[Tensor, " b"]
    spherical_waves: Float[Tensor, " b"]

    @property
    def defocus_um(self) -> Float[Tensor, " b"]:
        """Defocus of the first image."""
        return self.z_um[:, 0]

    @property
    def spacing_um(self) -> Float[Tensor, " b"]:
        """Distance between neighbouring images; 0 for one image."""
        return self.z_um[:, 1] - self.z_um[:, 0] if self.z_um.shape[1] > 1 else 0 * self.na

    @property
    def depth_um(self) -> Float[Tensor, " b"]:
        """Effective depth of field, n (wavelength / NA^2 + pixel / NA)."""
        return self.index * (self.wavelength_um / self.na + self.pixel_um) / self.na


class FieldBatches:
    """An endless source of batches, drawn and imaged on the training device.

    Each field has optics and positions of its own, as ``TrainingOptics`` draws them; a second,
    dimmer layer near or far in half of them; objects up to six depths thick in one of seven; 3 to
    1000 photons, background, read noise, 10 % drift between images; 15 % saturated, 15 % with
    correlated noise.

    Parameters
    ----------
    batch, size_px, images
        Fields in a batch, pixels along a side, images of each field.
    reach_depths
        Largest defocus of the images' middle, in effective depths of field.
    seed
        Draws everything.
    device
        Where batches are made and stay.
    objects
        Rows of ``SPECIMENS`` that are imaged: a pool, made once, that is rolled, turned and
        mirrored. They wrap around, so that no light comes from beyond an edge.
    textures
        How many textures of 1 / f amplitude, and twice as many fields of a few balls, join the
        pool.
    pictures
        Sharp images of the user's (y, x), of which crops join the pool.
    reuse
        How often, in the mean, one set of optics and positions is used, each time with another
        object and another noise: point-spread functions cost most.

    Examples
    --------
    >>> source = FieldBatches(batch=4, size_px=32, seed=1, objects=("beads",))
    >>> batch = source.draw()
    >>> batch.images.shape, bool((batch.spacing_um > 0).all())
    (torch.Size([4, 2, 32, 32]), True)
    """

    def __init__(
        self,
        *,
        batch: int = 64,
        size_px: int = 128,
        images: int = 2,
        reach_depths: float = 8.0,
        seed: int = 0,
        device: str = "cpu",
        objects: tuple[str, ...] = OBJECTS,
        textures: int = 12,
        pictures: Sequence[Any] = (),
        reuse: int = 32,
    ) -> None:
        if min(batch, images, reuse) < 1 or size_px < LEAST_PX:
            raise InputError(
                f"A batch of {batch} fields of {images} images of {size_px} px, each used {reuse} "
                f"times, cannot be; give at least 1 of each, and {LEAST_PX} px."
            )
        self.batch, self.size_px, self.images = batch, size_px, images
        self.reach_depths = reach_depths
        self.device = pick_device(device)
        self.generator = torch.Generator(self.device).manual_seed(seed)
        self._optics = TrainingOptics(
            size_px=size_px, images=images, reach_depths=reach_depths, generator=self.generator
        )
        self._pool = ObjectPool(
            objects,
            textures=textures,
            balls=2 * textures,
            pictures=pictures,
            size_px=size_px,
            seed=seed,
            device=self.device,
        )
        self._reuse, self._due = reuse, 0.0
        self._oldest = 0
        self._bank: dict[str, Tensor] = {}
        parts = [self._draw_optics(batch) for _ in range(BATCHES_KEPT)]
        for name in parts[0]:
            self._bank[name] = torch.cat([part[name] for part in parts])

    def __iter__(self) -> Iterator[FieldBatch]:
        while True:
            yield self.draw()

    def draw(self) -> FieldBatch:
        """Draw and image the next batch."""
        kept = len(self._bank["na"])
        self._due += self.batch / self._reuse
        if self._due >= RENEWED_TOGETHER:
            self._renew(int(self._due))
            self._due %= 1.0
        order = torch.randperm(kept, generator=self.generator, device=self.device)
        chosen = {
            name: values[order[: self.batch]]
            for name, values in self._bank.items()
            if name not in ("first", "second")
        }
        parts = []
        camera = draw_exposures(self.batch, self.images, self.generator)
        together = FIELDS_AT_ONCE if self.device.type == "cpu" else self.batch
        for start in range(0, self.batch, together):
            part = slice(start, min(start + together, self.batch))
            light = self._imaged(order[part], chosen["second_share"][part])
            parts.append(noisy_counts(light, camera.part(start, len(light)), self.generator))
        return FieldBatch(images=torch.cat(parts), photons=camera.photons, **chosen)

    def _renew(self, count: int) -> None:
        """Replace the optics that have been there longest."""
        kept = len(self._bank["na"])
        count = min(count, kept)
        oldest = (self._oldest + torch.arange(count, device=self.device)) % kept
        self._oldest = (self._oldest + count) % kept
        for name, values in self._draw_optics(count).items():
            self._bank[name].index_copy_(0, oldest, values)

    def _draw_optics(self, count: int) -> dict[str, Tensor]:
        """Optics, positions and transfer functions of fields."""
        optics = self._optics.draw(count)
        depth, z_um = optics["depth_um"], optics["z_um"]
        uniform = self._optics.uniform
        kind = uniform(0.0, 1.0, count)
        near = self._signed(0.5, 2.0, count) * depth
        far = self._signed(3.0, 8.0, count) * depth
        height = torch.where(kind < 0.25, near, far) * (kind < 0.5)
        share = uniform(0.1, 0.45, count) * (kind < 0.5)
        first = torch.fft.rfft2(self._through(z_um, self._thickness(depth), optics))
        second = torch.zeros_like(first)
        two = share.nonzero()[:, 0]
        if len(two):
            part = {name: value[two] for name, value in optics.items()}
            second[two] = torch.fft.rfft2(self._optics.psfs((z_um - height[:, None])[two], part))
        places = {"z_um": z_um, "second_height_um": height, "second_share": share}
        places["spherical_waves"] = optics["zernike_waves"][:, SPHERICAL]
        told = {name: optics[name] for name in LENGTHS}
        return told | places | {"first": first, "second": second}

    def _through(
        self, z_um: Float[Tensor, "b n"], thickness_um: Tensor, optics: dict[str, Tensor]
    ) -> Float[Tensor, "b n y x"]:
        """Point-spread functions, the mean over the thickness of thick objects."""
        psfs = self._optics.psfs(z_um, optics)
        thick = thickness_um.nonzero()[:, 0]
        if len(thick):
            own = {name: value[thick] for name, value in optics.items()}
            span = torch.linspace(-0.5, 0.5, SLICES, device=self.device)
            for part in span[span != 0].tolist():
                psfs[thick] += self._optics.psfs(
                    z_um[thick] - part * thickness_um[thick, None], own
                )
            psfs[thick] /= SLICES
        return psfs

    def _thickness(self, depth: Float[Tensor, " b"]) -> Float[Tensor, " b"]:
        """Thickness of objects that reach through several depths of field; mostly 0."""
        is_thick = self._optics.uniform(0.0, 1.0, len(depth)) < THICK
        return self._optics.uniform(1.0, 6.0, len(depth)) * depth * is_thick

    def _signed(self, low: float, high: float, count: int) -> Tensor:
        return self._optics.uniform(low, high, count) * self._optics.normal(count).sign()

    def _imaged(
        self, fields: Int[Tensor, " b"], share: Float[Tensor, " b"]
    ) -> Float[Tensor, "b n y x"]:
        """Light of one or two layers through each field's own transfer functions."""
        above = self._pool.draw(len(share), self.generator)
        spectra = self._bank["first"].index_select(0, fields)
        spectra *= above.mul_((1 - share)[:, None, None])[:, None]
        two = share.nonzero()[:, 0]
        if len(two):
            below = self._pool.draw(len(two), self.generator).mul_(share[two, None, None])
            more = self._bank["second"].index_select(0, fields[two])
            spectra.index_add_(0, two, more.mul_(below[:, None]))
        images: Tensor = torch.fft.irfft2(spectra, s=(self.size_px, self.size_px))
        return images  # rolled by half a field, as all of them are
