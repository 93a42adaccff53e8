"""Deep scenes for training: light in one layer, in several, or in a bent sheet."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Complex, Float, Int
from torch import Tensor

from parfocal.simulate.object_pool import ObjectPool

OBJECTS = (
    "beads", "nuclei", "filaments", "microtubules", "mitochondria", "cells", "epithelium",
)  # fmt: skip
SPARSE = ("beads", "filaments", "microtubules")
LAYERS = 7
THIN, SEVERAL = 0.3, 0.4
"""Shares of fields with one thin layer, and with several; the others are bent sheets."""
TEXTURES = 6
SceneKind = Literal["thin", "several", "sheet"]
MIDDLES = {"thin": THIN / 2, "several": THIN + SEVERAL / 2, "sheet": 1.0}


@dataclass(frozen=True, eq=False, kw_only=True)
class DeepScene:
    """Layers of light of some fields.

    Parameters
    ----------
    spectra
        Of each layer (``rfft2``).
    heights
        Of each layer, in steps of the grid.
    relief
        Height of a bent sheet above its lowest layer, in steps.
    is_sheet, count
        Which fields are sheets, and how many layers hold light.
    """

    spectra: Complex[Tensor, "b layer y kx"]
    heights: Int[Tensor, "b layer"]
    relief: Float[Tensor, "b y x"]
    is_sheet: Tensor
    count: Int[Tensor, " b"]


class DeepScenes:
    """An endless source of deep scenes.

    Parameters
    ----------
    objects, sparse
        Rows of ``SPECIMENS`` for single layers and sheets, and for several layers; those of one
        field are of one kind, and some are balls or single points.
    batch, size_px
        Fields in a batch, pixels along a side. Fields wrap around.
    reach
        Largest height of a layer, in steps of the grid.
    seed, generator
        What makes the objects, and what draws scenes from them.
    kind
        Of every scene; None for all kinds by their shares.
    """

    def __init__(
        self,
        objects: tuple[str, ...],
        sparse: tuple[str, ...],
        *,
        batch: int,
        size_px: int,
        reach: int,
        seed: int,
        generator: torch.Generator,
        kind: SceneKind | None = None,
    ) -> None:
        self.batch, self.size_px, self.reach, self.kind = batch, size_px, reach, kind
        self.generator, self.device = generator, generator.device
        common: dict[str, Any] = {"size_px": size_px, "seed": seed, "device": self.device}
        blank = TEXTURES if kind is None else 0
        self._dense = ObjectPool(objects, textures=blank, balls=blank, **common)
        self._sparse = [ObjectPool((name,), **common) for name in sparse]
        if blank:
            self._sparse += [ObjectPool((), balls=blank, **common)]
            self._sparse += [ObjectPool((), points=2 * blank, **common)]

    def draw(self) -> DeepScene:
        """Thin layers, several layers, and sheets."""
        count, size = self.batch, self.size_px
        kind = self._kinds()
        is_several = (kind >= THIN) & (kind < THIN + SEVERAL)
        is_sheet = kind >= THIN + SEVERAL
        number = torch.where(is_several, self._whole(2, LAYERS, count), 1)
        number = torch.where(is_sheet, LAYERS, number)
        heights = self._whole(-self.reach, self.reach, count, LAYERS)
        steps = torch.arange(LAYERS, device=self.device)
        lowest = self._whole(-self.reach, self.reach - LAYERS + 1, count, 1)
        heights = torch.where(is_sheet[:, None], lowest + steps, heights)
        flat = self._dense.draw(count, self.generator)
        spectra = flat.new_zeros(count, LAYERS, *flat.shape[1:])
        spectra[:, 0] = flat
        relief = self.reliefs() * self._uniform(1.0, LAYERS - 1.0, count, 1, 1)
        for field in is_sheet.nonzero()[:, 0].tolist():
            light = torch.fft.irfft2(flat[field], s=(size, size))
            weights = (1 - (relief[field] - steps[:, None, None]).abs()).clamp(min=0.0)
            spectra[field] = torch.fft.rfft2(light * weights)
        for field in is_several.nonzero()[:, 0].tolist():
            some = int(number[field])
            light = self._uniform(0.2, 1.0, some, 1, 1)
            family = self._sparse[int(self._whole(0, len(self._sparse) - 1))]
            spectra[field, :some] = light * family.draw(some, self.generator)
        return DeepScene(
            spectra=spectra, heights=heights, relief=relief, is_sheet=is_sheet, count=number
        )

    def reliefs(self) -> Float[Tensor, "b y x"]:
        """Tilted planes, bowls and bumps from 0 to 1."""
        count, size = self.batch, self.size_px
        line = torch.linspace(-1.0, 1.0, size, device=self.device)
        angle = self._uniform(0.0, 2 * math.pi, count, 1, 1)
        plane = line[:, None] * angle.sin() + line * angle.cos()
        y, x = self._uniform(-0.7, 0.7, 2, count, 1, 1)
        bowl = (line[:, None] - y).square() + (line - x).square()
        bowl = bowl * self._normal(count, 1, 1).sign()
        sigma = torch.exp(self._uniform(math.log(2.0), math.log(24.0), count, 1, 1))
        ky = torch.fft.fftfreq(size, device=self.device)[:, None]
        kx = torch.fft.rfftfreq(size, device=self.device)
        pass_ = torch.exp(-2 * (math.pi * sigma).square() * (ky.square() + kx.square()))
        noise = torch.fft.rfft2(self._normal(count, size, size)) * pass_
        bumps = torch.fft.irfft2(noise, s=(size, size))
        kind = self._whole(0, 2, count, 1, 1)
        relief = torch.where(kind == 0, plane, torch.where(kind == 1, bowl, bumps))
        low, high = relief.amin((1, 2), keepdim=True), relief.amax((1, 2), keepdim=True)
        return (relief - low) / (high - low).clamp(min=1e-6)

    def _kinds(self) -> Float[Tensor, " b"]:
        if self.kind is None:
            return self._uniform(0.0, 1.0, self.batch)
        return torch.full((self.batch,), MIDDLES[self.kind], device=self.device)

    def _whole(self, low: int, high: int, *shape: int) -> Int[Tensor, "*shape"]:
        return torch.randint(low, high + 1, shape, generator=self.generator, device=self.device)

    def _uniform(self, low: float, high: float, *shape: int) -> Tensor:
        drawn = torch.rand(shape, generator=self.generator, device=self.device)
        return low + (high - low) * drawn

    def _normal(self, *shape: int) -> Tensor:
        return torch.randn(shape, generator=self.generator, device=self.device)


def between(
    planes: Float[Tensor, "b m y x"], place: Float[Tensor, "b y x"]
) -> Float[Tensor, "b y x"]:
    """Values on a surface through planes, linear between neighbours.

    Examples
    --------
    >>> planes = torch.tensor([1.0, 3.0])[None, :, None, None]
    >>> between(planes, torch.tensor([[[0.5]]]))
    tensor([[[2.]]])
    """
    result = torch.zeros_like(planes[:, 0])
    for number, plane in enumerate(planes.unbind(1)):
        result.addcmul_(plane, (1 - (place - number).abs()).clamp(min=0.0))
    return result
