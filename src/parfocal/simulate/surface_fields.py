"""One image of a deep field beside what the same microscope shows on other surfaces in it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from parfocal.core.device import pick_device
from parfocal.core.errors import InputError
from parfocal.optics.round_pupil import round_transfers
from parfocal.optics.sectioning import in_section
from parfocal.simulate.batch_noise import GAIN, Exposures, noisy_counts
from parfocal.simulate.batches import LEAST_PX
from parfocal.simulate.surface_scenes import (
    OBJECTS,
    SPARSE,
    DeepScene,
    DeepScenes,
    SceneKind,
    between,
)

STEP_DOF = 0.5
"""Between the grid's planes, in depths of field; each field's objects lie off it by up to half."""
LEVELS = 9
"""Planes of the grid between which the truth on an uneven surface is interpolated."""
TO_OBJECT, AT_ITSELF = 0.45, 0.08
"""Shares of even surfaces through an object, and in the image's own plane."""
ON_SHEET = 0.6
"""Share of uneven surfaces that follow a bent sheet where there is one."""
SPHERICAL, NOMINAL_SPHERICAL = (0.08, 0.25), 0.16
"""Range of the spherical aberration in waves RMS, and what is assumed where it is not told."""
UNTOLD, EVEN = 0.25, 0.12
"""Shares of the optics whose aberration is not told, and that have none."""
TELLING, NA_ERROR = 0.02, 0.02  # of a told aberration, in waves; of the NA, relative
RATIOS, PIXELS = (0.35, 0.85), (0.2, 0.5)
FEW_PHOTONS, MANY_PHOTONS = 30.0, 3000.0
KEPT = 24
OPTICS = ("na", "index", "wavelength_um", "pixel_um")
Surface = Literal["even", "uneven"]


@dataclass(frozen=True, eq=False, kw_only=True)
class SurfaceBatch:
    """One image of each field, and the field on one surface.

    Parameters
    ----------
    images
        Counts less the camera's offset.
    photons
        Electrons of the image's brightest pixel, less the background.
    surface_dof
        Wanted height of each pixel above the image's plane, in depths of field.
    truth
        What the same microscope shows there, without noise; in the same counts, background
        included. Of a section, the light from near the surface alone.
    is_section
        Which truths are confocal-equivalent.
    is_even
        Whether the surfaces are planes of one height.
    shares, heights_dof
        Light of each layer, all in focus, over that of the brightest pixel; and their heights.
    na, index, wavelength_um, pixel_um
        Optics of each field.
    spherical, told
        Spherical aberration in waves RMS (OSA/ANSI index 12), true and as it is told.
    nominal
        Transfer functions (``rfft2``, real) of the optics with the told aberration alone, at
        every plane of the grid.
    """

    images: Float[Tensor, "b y x"]
    photons: Float[Tensor, " b"]
    surface_dof: Float[Tensor, "b y x"]
    truth: Float[Tensor, "b y x"]
    is_section: Tensor
    is_even: bool
    shares: Float[Tensor, "b layer y x"]
    heights_dof: Float[Tensor, "b layer"]
    na: Float[Tensor, " b"]
    index: Float[Tensor, " b"]
    wavelength_um: Float[Tensor, " b"]
    pixel_um: Float[Tensor, " b"]
    spherical: Float[Tensor, " b"]
    told: Float[Tensor, " b"]
    nominal: Float[Tensor, "b plane y kx"]


@dataclass(frozen=True, kw_only=True)
class Only:
    """What all fields of a measurement have in common.

    Parameters
    ----------
    kind
        Of the scenes.
    to_object
        Share of the even surfaces that go through an object; the others lie anywhere.
    photons
        Electrons of the image's brightest pixel, less the background; None as in training.
    """

    kind: SceneKind | None = None
    to_object: float = TO_OBJECT
    photons: float | None = None


class _Taken(NamedTuple):
    """Images in counts, counts for each unit of light, how they were exposed, and the layers."""

    images: Float[Tensor, "b y x"]
    glow: Float[Tensor, " b"]
    camera: Exposures
    shares: Float[Tensor, "b layer y x"]


class SurfaceFields:
    """An endless source of images of deep fields with their truth on even and uneven surfaces.

    Each field has optics of its own: NA / n from 0.35 to 0.85, pixels from 0.2 to 0.5
    wavelength / NA, a spherical aberration of one sign from 0.08 to 0.25 waves RMS (one in eight
    has none), and an NA that is known to 2 %. Its light lies in one layer, in up to seven at any
    heights within ``reach_dof`` of the image's plane, or in a tilted, bowed or bumpy sheet. 30 to
    3000 photons, background, read noise. Each image is asked on an even and an uneven surface.

    Parameters
    ----------
    batch, size_px
        Fields in a batch, pixels along a side. Fields wrap around.
    reach_dof
        Largest height of objects and surfaces, in depths of field.
    sections
        Share of the truths that are confocal-equivalent.
    seed, device
        What draws everything; where batches are made and stay.
    objects, sparse
        Rows of ``SPECIMENS`` for single layers and sheets, and for fields of several layers.
    reuse
        How often, in the mean, one set of optics is used, and how many are kept.
    only
        What every field has in common, for measuring; None to draw each anew.

    Examples
    --------
    >>> fields = SurfaceFields(batch=2, size_px=32, seed=1, objects=("beads",), sparse=("beads",),
    ...                        reach_dof=2.0, reuse=(1, 2))
    >>> even, uneven = fields.draw()
    >>> even.truth.shape, even.nominal.shape, uneven.is_even
    (torch.Size([2, 32, 32]), torch.Size([2, 17, 32, 17]), False)
    """

    def __init__(
        self,
        *,
        batch: int = 6,
        size_px: int = 160,
        reach_dof: float = 8.0,
        sections: float = 0.25,
        seed: int = 0,
        device: str = "cpu",
        objects: tuple[str, ...] = OBJECTS,
        sparse: tuple[str, ...] = SPARSE,
        reuse: tuple[int, int] = (24, KEPT),
        only: Only | None = None,
    ) -> None:
        uses, kept = reuse
        if min(batch, uses) < 1 or size_px < LEAST_PX or kept < batch:
            raise InputError(
                f"A batch of {batch} fields of {size_px} px of {kept} optics, each used {uses} "
                f"times, cannot be; give at least 1 of each, {LEAST_PX} px, and optics for all."
            )
        self.batch, self.size_px, self.sections, self._only = batch, size_px, sections, only
        self.reach = round(reach_dof / STEP_DOF)
        self.device = pick_device(device)
        self.generator = torch.Generator(self.device).manual_seed(seed)
        self._scenes = DeepScenes(
            objects, sparse, batch=batch, size_px=size_px, reach=self.reach, seed=seed,
            generator=self.generator, kind=None if only is None else only.kind,
        )  # fmt: skip
        self._uses, self._due, self._oldest = uses, 0.0, 0
        parts = [self._draw_optics(min(batch, kept - first)) for first in range(0, kept, batch)]
        self._bank = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}

    def __iter__(self) -> Iterator[SurfaceBatch]:
        while True:
            yield from self.draw()

    @property
    def planes_dof(self) -> Float[Tensor, " plane"]:
        """Defocus at which ``nominal`` holds the transfer functions, in depths of field."""
        return STEP_DOF * torch.arange(-2 * self.reach, 2 * self.reach + 1, device=self.device)

    def draw(self) -> tuple[SurfaceBatch, SurfaceBatch]:
        """Draw and image the next fields, each on an even and on an uneven surface."""
        kept = len(self._bank["na"])
        self._due += self.batch / self._uses
        if self._due >= min(4, kept):
            self._renew(min(int(self._due), kept))
            self._due %= 1.0
        order = torch.randperm(kept, generator=self.generator, device=self.device)[: self.batch]
        some = {name: values[order] for name, values in self._bank.items()}
        scene = self._scenes.draw()
        light = self._shown(scene, some, torch.zeros_like(scene.heights[:, :1]))[:, 0]
        light = light.clamp(min=0.0)  # tails that are cut off leave traces below it
        camera = self._exposures()
        images = noisy_counts(light[:, None], camera, self.generator)[:, 0]
        glow = GAIN * camera.photons / light.amax((1, 2)).clamp(min=1e-6)
        taken = _Taken(images, glow, camera, self._layers(scene, some))
        return (
            self._asked(scene, some, taken, "even"),
            self._asked(scene, some, taken, "uneven"),
        )

    def _asked(
        self, scene: DeepScene, some: dict[str, Tensor], taken: _Taken, kind: Surface
    ) -> SurfaceBatch:
        """The fields on one surface each."""
        images = taken.images
        is_section = self._uniform(0.0, 1.0, self.batch) < self.sections
        if kind == "even":
            base = self._even(scene)
            surface = base[:, None, None].expand_as(images).to(images)
            gate = self._gate(scene, some, base[:, None], is_section)
            truth = self._shown(scene, some, base[:, None], gate)[:, 0]
        else:
            base, above = self._uneven(scene, some)
            levels = base[:, None] + torch.arange(LEVELS, device=self.device)
            gate = self._gate(scene, some, levels, is_section)
            truth = between(self._shown(scene, some, levels, gate), above)
            surface = base[:, None, None] + above
        floor = GAIN * taken.camera.background[:, None, None]
        return SurfaceBatch(
            images=images,
            photons=taken.camera.photons,
            surface_dof=STEP_DOF * surface,
            truth=torch.addcmul(floor, truth, taken.glow[:, None, None]),
            is_section=is_section,
            is_even=kind == "even",
            shares=taken.shares,
            heights_dof=STEP_DOF * scene.heights + some["offset"][:, None],
            **{name: some[name] for name in (*OPTICS, "spherical", "told", "nominal")},
        )

    def _even(self, scene: DeepScene) -> Int[Tensor, " b"]:
        """Heights of even surfaces: often those of an object, sometimes the image's own."""
        base = self._whole(-self.reach, self.reach, self.batch)
        kind = self._uniform(0.0, 1.0, self.batch)
        which = (self._uniform(0.0, 1.0, self.batch) * scene.count).long()
        own = scene.heights.gather(1, which[:, None])[:, 0]
        if self._only is not None:
            return torch.where(kind < self._only.to_object, own, base)
        base = torch.where(kind < TO_OBJECT, own, base)
        return torch.where(kind > 1 - AT_ITSELF, 0, base)

    def _uneven(
        self, scene: DeepScene, some: dict[str, Tensor]
    ) -> tuple[Int[Tensor, " b"], Float[Tensor, "b y x"]]:
        """Lowest plane of uneven surfaces, and each pixel's height above it in steps."""
        span = self._uniform(1.0, LEVELS - 1.0, self.batch, 1, 1)
        above = self._scenes.reliefs() * span
        base = self._whole(-self.reach, self.reach - LEVELS + 1, self.batch)
        follows = scene.is_sheet & (self._uniform(0.0, 1.0, self.batch) < ON_SHEET)
        own = scene.relief + 1.0 + (some["offset"] / STEP_DOF)[:, None, None]
        low = scene.heights[:, 0] - 1
        follows &= low >= -self.reach
        above = torch.where(follows[:, None, None], own, above)
        return torch.where(follows, low, base), above.clamp(0.0, LEVELS - 1.0)

    def _gate(
        self,
        scene: DeepScene,
        some: dict[str, Tensor],
        levels: Int[Tensor, "b m"],
        is_section: Tensor,
    ) -> Float[Tensor, "b m layer"]:
        """What of each layer's light counts on each plane: all of it, or a section's."""
        away = (
            STEP_DOF * (levels[:, :, None] - scene.heights[:, None]) - some["offset"][:, None, None]
        )
        return torch.where(is_section[:, None, None], in_section(away), 1.0)

    def _transfers(
        self, scene: DeepScene, some: dict[str, Tensor], field: int, levels: Int[Tensor, " m"]
    ) -> Float[Tensor, "m layer y kx"]:
        """From each layer of a field to some planes."""
        heights = scene.heights[field, : int(scene.count[field])]
        chosen: Tensor = some["true"][field][levels[:, None] - heights + 2 * self.reach]
        return chosen

    def _layers(self, scene: DeepScene, some: dict[str, Tensor]) -> Float[Tensor, "b layer y x"]:
        """Light of each layer in focus, over the brightest sum of all."""
        in_focus = some["true"][:, None, 2 * self.reach]
        size = (self.size_px, self.size_px)
        light: Tensor = torch.fft.irfft2(scene.spectra * in_focus, s=size).clamp(min=0.0)
        return light / light.sum(1, True).amax((2, 3), True).clamp(min=1e-9)

    def _shown(
        self,
        scene: DeepScene,
        some: dict[str, Tensor],
        levels: Int[Tensor, "b m"],
        gate: Float[Tensor, "b m layer"] | None = None,
    ) -> Float[Tensor, "b m y x"]:
        """The light of all layers on some planes."""
        sums = []
        for field, count in enumerate(scene.count.tolist()):
            transfers = self._transfers(scene, some, field, levels[field])
            if gate is not None:
                transfers = transfers * gate[field, :, :count, None, None]
            sums.append(torch.einsum("lyx,mlyx->myx", scene.spectra[field, :count], transfers + 0j))
        shown: Tensor = torch.fft.irfft2(torch.stack(sums), s=(self.size_px, self.size_px))
        return shown

    def _renew(self, count: int) -> None:
        """Replace the optics that have been there longest."""
        kept = len(self._bank["na"])
        oldest = (self._oldest + torch.arange(count, device=self.device)) % kept
        self._oldest = (self._oldest + count) % kept
        for name, values in self._draw_optics(count).items():
            self._bank[name].index_copy_(0, oldest, values)

    def _draw_optics(self, count: int) -> dict[str, Tensor]:
        """Optics and their transfer functions on the grid, true and nominal."""
        ratio = self._uniform(*RATIOS, count)
        index = 1.0 + self._uniform(0.0, 0.4, count) * (self._uniform(0.0, 1.0, count) > 0.7)
        na, wavelength = ratio * index, self._uniform(0.42, 0.7, count)
        pixel = self._uniform(*PIXELS, count) * wavelength / na
        kind = self._uniform(0.0, 1.0, count)
        spherical = self._uniform(*SPHERICAL, count)
        told = spherical + TELLING * self._normal(count)
        told = torch.where(kind < UNTOLD, NOMINAL_SPHERICAL, told)
        is_even = kind > 1 - EVEN
        spherical = torch.where(is_even, 0.01 * self._normal(count), spherical)
        told = torch.where(is_even, 0.0, told)
        offset = self._uniform(-0.5 * STEP_DOF, 0.5 * STEP_DOF, count)
        optics = {"na": na, "index": index, "wavelength_um": wavelength, "pixel_um": pixel}
        depth = (index * wavelength / na.square())[:, None]
        own_na = na * (1 + NA_ERROR * self._normal(count)).clamp(0.95, 1.05)
        return optics | {
            "offset": offset,
            "spherical": spherical,
            "told": told,
            "true": round_transfers(
                z_um=(self.planes_dof - offset[:, None]) * depth, spherical_waves=spherical,
                size_px=self.size_px, **optics | {"na": own_na},
            ),
            "nominal": round_transfers(
                z_um=self.planes_dof * depth, spherical_waves=told, size_px=self.size_px, **optics
            ),
        }  # fmt: skip

    def _exposures(self) -> Exposures:
        """30 to 3000 photons at the image's brightest pixel, some background and read noise."""
        count = self.batch
        photons = torch.exp(self._uniform(math.log(FEW_PHOTONS), math.log(MANY_PHOTONS), count))
        if self._only is not None and self._only.photons is not None:
            photons = torch.full_like(photons, self._only.photons)
        background = (
            photons * self._uniform(0.0, 1.0, count) * self._uniform(0.0, 1.0, count).square()
        )
        return Exposures(
            photons=photons,
            background=background,
            drift=torch.ones(count, 1, device=self.device),
            read_noise=torch.exp(self._uniform(-0.7, 1.4, count)),
            most=3.0 * (photons + background) + 15.0,
            correlation=torch.zeros(count, device=self.device),
        )

    def _whole(self, low: int, high: int, *shape: int) -> Int[Tensor, "*shape"]:
        return torch.randint(low, high + 1, shape, generator=self.generator, device=self.device)

    def _uniform(self, low: float, high: float, *shape: int) -> Tensor:
        drawn = torch.rand(shape, generator=self.generator, device=self.device)
        return low + (high - low) * drawn

    def _normal(self, *shape: int) -> Tensor:
        return torch.randn(shape, generator=self.generator, device=self.device)
