"""Training batches of thick specimens: a few planes of a field, and which pixels are in focus."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from parfocal.core.binning import light_range
from parfocal.core.errors import InputError
from parfocal.core.setup import OpticalSetup
from parfocal.optics.zernike import Aberrations
from parfocal.simulate.batch_noise import correlated
from parfocal.simulate.catalog import make_specimen
from parfocal.simulate.focus_truth import focus_evidence
from parfocal.simulate.imaging import Renderer
from parfocal.simulate.modalities import (
    Imaging,
    LightSheetImaging,
    WidefieldImaging,
)

THICK_OBJECTS = (
    "beads", "nuclei", "packed_nuclei", "filaments", "microtubules", "mitochondria", "cells",
    "epithelium", "neurites", "dense_tissue",
)  # fmt: skip
"""Rows of ``SPECIMENS`` that are imaged; those of other families are for measuring."""
STEP = 0.5  # of the kept planes, in depths of field
BEYOND = 6.0  # depths of field that planes reach below and above the specimen
SPECIMENS_EACH = 10  # of each set of optics, whose transfer functions cost most
OPTICS_KEPT = 16
DRAWS_EACH = 32  # batches between two sets of optics
SECTIONED = 0.25  # share of the optics that light, or see, a layer only
APART = (1, 2, 2, 2, 3, 3, 4, 6)  # steps between neighbouring planes that are drawn
EVEN = 0.8  # share of the farther neighbours that are as far from the nearer as these are
FAINTEST = (0.06, 0.1, 0.16)
"""Of the brightest structure: what three annotators call too faint to count."""
EMPTY = 0.05  # share of fields that hold nothing
ANYWHERE = 0.35  # share of planes that are drawn from the whole stack, in focus or not


@dataclass(frozen=True, eq=False, kw_only=True)
class ThickBatch:
    """Planes below, at and above a place in a thick specimen, with the truth of the middle one.

    Parameters
    ----------
    images
        Electrons: the middle plane among its neighbours, in order of rising stage z.
    dark, bright
        The least and the largest light of the field's whole stack, in the same unit.
    mask
        Share of right annotators who call a pixel of the middle plane in focus: all of them see
        structure within half a depth of field, but differ in what is too faint to count.
    apart
        Distances of the neighbours from the middle plane, in the same order, in depths of field,
        n * wavelength / NA^2.
    pixel
        Pixel in wavelength / NA.
    ratio
        NA over the index.
    """

    images: Float[Tensor, "b c y x"]
    dark: Float[Tensor, " b"]
    bright: Float[Tensor, " b"]
    mask: Float[Tensor, "b y x"]
    apart: Float[Tensor, "b n"]
    pixel: Float[Tensor, " b"]
    ratio: Float[Tensor, " b"]


@dataclass(frozen=True, eq=False)
class _Entry:
    """Light of one specimen at every half depth of field, and its truth."""

    light: Tensor
    mask: Tensor
    dark: float
    bright: float
    pixel: float
    ratio: float
    busy: list[int]


class ThickFields:
    """An endless source of batches; each set of optics serves a few specimens.

    NA / n from 0.1 to 0.95, small aberrations, pixels from 0.2 to 1.2 wavelength / NA, specimens
    up to sixteen depths of field thick; a quarter of the optics dims what is out of focus, as a
    sheet or a pinhole does; 10 to 2000 electrons, background up to twice that, read noise, one in
    ten saturated, one in seven with correlated noise; one field in twenty is empty.

    Parameters
    ----------
    batch, size_px
        Fields in a batch, pixels along a side of what is drawn from them.
    field_px
        Side of the simulated fields, which wrap around: drawn anywhere, in any of eight
        orientations.
    seed
        Draws everything.
    objects
        Rows of ``SPECIMENS``.
    optics
        Sets of optics that are kept; one of them is renewed every few batches.
    specimens
        Of each set of optics.
    each_side
        Neighbours below the middle plane, and as many above.

    Examples
    --------
    >>> source = ThickFields(batch=2, size_px=32, field_px=64, seed=1, objects=("beads",), optics=1)
    >>> batch = source.draw()
    >>> batch.images.shape, batch.mask.shape
    (torch.Size([2, 3, 32, 32]), torch.Size([2, 32, 32]))
    """

    def __init__(
        self,
        *,
        batch: int = 16,
        size_px: int = 128,
        field_px: int = 192,
        seed: int = 0,
        objects: tuple[str, ...] = THICK_OBJECTS,
        optics: int = OPTICS_KEPT,
        specimens: int = SPECIMENS_EACH,
        each_side: int = 1,
    ) -> None:
        least = min(batch, optics, specimens, each_side, len(objects))
        if least < 1 or not 16 <= size_px <= field_px:
            raise InputError(
                f"A batch of {batch} fields of {size_px} px from fields of {field_px} px cannot "
                "be; give at least one field, 16 px, and no more px than the fields have."
            )
        self.batch, self.size_px, self.field_px, self.objects = batch, size_px, field_px, objects
        self.generator = torch.Generator().manual_seed(seed)
        self._specimens, self._each_side = specimens, each_side
        self._drawn = 0
        self._bank = [self._image() for _ in range(optics)]

    def __iter__(self) -> Iterator[ThickBatch]:
        while True:
            yield self.draw()

    def draw(self) -> ThickBatch:
        """Draw the next batch."""
        if self._drawn and self._drawn % DRAWS_EACH == 0:
            self._bank.pop(0)
            self._bank.append(self._image())
        self._drawn += 1
        parts = [self._sample() for _ in range(self.batch)]
        images, masks, numbers = zip(*parts, strict=True)
        dark, bright, pixel, ratio, *apart = torch.tensor(numbers).unbind(1)
        return ThickBatch(
            images=torch.stack(images), mask=torch.stack(masks), dark=dark, bright=bright,
            apart=torch.stack(apart, 1), pixel=pixel, ratio=ratio,
        )  # fmt: skip

    def _sample(self) -> tuple[Tensor, Tensor, tuple[float, ...]]:
        entries = self._bank[self._whole(len(self._bank))]
        entry = entries[self._whole(len(entries))]
        apart = self._apart()
        planes = len(entry.light)
        if entry.busy and self._number() > ANYWHERE:
            middle = entry.busy[self._whole(len(entry.busy))]
        else:
            middle = self._whole(planes)
        steps = (*(-step for step in reversed(apart)), 0, *apart)
        chosen = [min(max(middle + step, 0), planes - 1) for step in steps]
        rows, columns = (
            (self._whole(self.field_px) + torch.arange(self.size_px)) % self.field_px
            for _ in range(2)
        )
        planes_px = [entry.light[plane].index_select(0, rows) for plane in chosen]
        light = torch.stack(planes_px).index_select(2, columns).float()
        mask = entry.mask[middle].index_select(0, rows).index_select(1, columns)
        turns, mirror = self._whole(4), self._whole(2) == 1
        light, mask = (
            torch.rot90(part.flip(-1) if mirror else part, turns, dims=(-2, -1))
            for part in (light, mask)
        )
        if self._number() < EMPTY:
            light, mask = torch.zeros_like(light), torch.zeros_like(mask)
        images, dark, bright = self._exposed(light.contiguous(), entry)
        share = mask.float() / len(FAINTEST)
        far = [STEP * abs(step) for step in steps if step]
        return images, share, (dark, bright, entry.pixel, entry.ratio, *far)

    def _apart(self) -> list[int]:
        """Steps to the neighbours on a side; mostly as far from each other as the first is."""
        first = APART[self._whole(len(APART))]
        total = [first]
        while len(total) < self._each_side:
            is_even = self._number() < EVEN
            total.append(total[-1] + (first if is_even else APART[self._whole(len(APART))]))
        return total

    def _exposed(self, light: Tensor, entry: _Entry) -> tuple[Tensor, float, float]:
        """Electrons, and the least and the largest light, as noise lets them be found."""
        photons = math.exp(self._number(2.3, 7.6))
        floor = photons * 2.0 * self._number() ** 3
        scale = photons / entry.bright
        mean = light.clamp_(min=0.0).mul_(scale).add_(floor)
        read = math.exp(self._number(-0.7, 1.4))
        bell = torch.randn(mean.shape, generator=self.generator)
        if self._number() < 0.15:
            bell = correlated(bell, self._number(0.4, 0.9))
        counts = (mean + read**2).sqrt_().mul_(bell).add_(mean)
        if self._number() < 0.1:
            counts = counts.clamp(max=floor + photons * self._number(0.4, 0.9))
        drift = torch.tensor([self._number(0.95, 1.05) for _ in counts])
        ends = [floor + scale * light for light in (entry.dark, entry.bright)]
        dark, bright = (
            end + side * self._number(0.0, 1.2) * math.sqrt(max(end, 0.0) + read**2)
            for side, end in zip((-1.0, 1.0), ends, strict=True)
        )
        return counts.mul_(drift[:, None, None]), dark, max(bright, dark + 1e-3)

    def _image(self) -> list[_Entry]:
        """Draw one set of optics, and image a few specimens by it."""
        ratio = math.exp(self._number(math.log(0.1), math.log(0.95)))
        index = 1.0 if self._number() < 0.5 else self._number(1.3, 1.52)
        na, wavelength_um = ratio * index, self._number(0.42, 0.7)
        fine = self._number() < 0.75
        pixel = self._number(0.2, 0.6) if fine else self._number(0.6, 1.2)
        setup = OpticalSetup(
            na=na, wavelength_nm=1000 * wavelength_um, pixel_um=pixel * wavelength_um / na,
            immersion_index=index, sample_index=index,
        )  # fmt: skip
        renderer = Renderer(setup, self._imaging(setup))
        return [self._entry(renderer, pixel, ratio) for _ in range(self._specimens)]

    def _imaging(self, setup: OpticalSetup) -> Imaging:
        aberrations = None
        if self._number() > 1 / 3:
            spherical = 0.08 * float(torch.randn((), generator=self.generator))
            aberrations = Aberrations(zernike_waves={12: spherical})
        if self._number() < SECTIONED:
            waist_um = setup.depth_of_field_um * math.exp(self._number(0.7, 2.3))
            return LightSheetImaging(aberrations=aberrations, waist_um=waist_um)
        return WidefieldImaging(aberrations=aberrations)

    def _entry(self, renderer: Renderer, pixel: float, ratio: float) -> _Entry:
        setup = renderer.setup
        depth_um = setup.depth_of_field_um
        name = self.objects[self._whole(len(self.objects))]
        thickness = 0.0 if self._number() < 0.1 else math.exp(self._number(0.0, math.log(16.0)))
        specimen = make_specimen(
            name, self.field_px, pixel_um=setup.pixel_um, thickness_um=thickness * depth_um,
            layer_step_um=STEP * depth_um if thickness > STEP else None, generator=self.generator,
        )  # fmt: skip
        low, high = float(specimen.heights_um[0]), float(specimen.heights_um[-1])
        count = math.ceil((high - low) / (STEP * depth_um) + 2 * BEYOND / STEP) + 1
        phase = self._number() * STEP  # so that layers lie anywhere between planes
        z_um = low + depth_um * (STEP * torch.arange(count) - BEYOND + phase)
        light = renderer.images(specimen, z_um)
        evidence = focus_evidence(
            specimen, z_um, depth_of_field_um=depth_um, wraps=True,
            resolution_um=setup.lateral_resolution_um,
        )  # fmt: skip
        masks = [evidence >= least for least in FAINTEST]
        mask = torch.stack(masks).sum(0, dtype=torch.uint8)
        dark, bright = light_range(light)
        busy = mask.any(2).any(1).nonzero()[:, 0].tolist()
        return _Entry(light.half(), mask, dark, max(bright, 1e-6), pixel, ratio, busy)

    def _number(self, low: float = 0.0, high: float = 1.0) -> float:
        return low + (high - low) * float(torch.rand((), generator=self.generator))

    def _whole(self, below: int) -> int:
        return int(torch.randint(below, (), generator=self.generator))
