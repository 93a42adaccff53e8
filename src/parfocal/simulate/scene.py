"""What stands before the objective: the part of the world in the field, and its bleaching."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import interpolate

from parfocal.core.setup import OpticalSetup
from parfocal.simulate.catalog import make_specimen
from parfocal.simulate.imaging import Renderer
from parfocal.simulate.modalities import Imaging
from parfocal.simulate.specimen import Specimen, bend
from parfocal.simulate.terrain import Terrain
from parfocal.simulate.world import SpecimenSettings, WorldSettings

FLAT_ENOUGH = 0.1  # depths of field that focus may vary over a field that counts as flat
BEND_STEP = 0.35  # depths of field between the layers of a bent field
MARGIN_PX = 32
CELLS = 16  # least cells along a field of the grid on which heights are computed
KEPT_FIELDS = 4


@runtime_checkable
class ImageMaker(Protocol):
    """What makes noise-free images of a specimen: a ``Renderer``, or a stand-in for tests."""

    def images(
        self, specimen: Specimen, z_um: Float[Tensor, " z"], /
    ) -> Float[Tensor, "z y x"]: ...


MakeImages = Callable[[OpticalSetup, Imaging], ImageMaker]


@dataclass(frozen=True, eq=False)
class Field:
    """The specimen in one field, with a margin, and where its reference comes to focus."""

    specimen: Specimen
    focus_um: float


class Scenery:
    """The world's specimens, cut, emptied and bent to one field at a time.

    Parameters
    ----------
    world
        Its settings.
    terrain
        Height and presence of specimen over the plane.
    device
        Where specimens live.
    """

    def __init__(self, world: WorldSettings, terrain: Terrain, *, device: str) -> None:
        self._world, self._terrain, self._device = world, terrain, device
        self._tiles: dict[str, Specimen] = {}
        self._fields: OrderedDict[tuple[str, int, int], Field] = OrderedDict()
        self._finer = world.finer

    def place(self, x_um: float, y_um: float) -> tuple[int, int]:
        """Camera pixel (row, column) of the world on which the field is centred."""
        pixel = self._world.setup.pixel_um
        return round(y_um / pixel), round(x_um / pixel)

    def field(self, settings: SpecimenSettings, place: tuple[int, int]) -> Field:
        """The specimen around a pixel of the world; the last few are kept."""
        key = (settings.model_dump_json(), *place)
        if key not in self._fields:
            self._fields[key] = self._cut(settings, *place)
            if len(self._fields) > KEPT_FIELDS:
                self._fields.popitem(last=False)
        self._fields.move_to_end(key)
        return self._fields[key]

    def height_um(self, place: tuple[int, int]) -> Float[Tensor, "y x"]:
        """Height of the specimen's reference at each camera pixel around a place."""
        return self._over(self._terrain.height_um, place=place, margin_px=0, finer=1)

    def _tile(self, settings: SpecimenSettings) -> Specimen:
        key = settings.model_dump_json()
        if key not in self._tiles:
            world = self._world
            self._tiles[key] = make_specimen(
                settings.name,
                settings.size_px * self._finer,
                pixel_um=world.setup.pixel_um / self._finer,
                thickness_um=settings.thickness_um,
                layer_step_um=settings.layer_step_um,
                generator=torch.Generator().manual_seed(world.seed),
                device=self._device,
                **settings.options,
            )
        return self._tiles[key]

    def _cut(self, settings: SpecimenSettings, row: int, column: int) -> Field:
        tile, detector = self._tile(settings), self._world.detector
        size_y, size_x = (
            (size + 2 * MARGIN_PX) * self._finer
            for size in (detector.size_y_px, detector.size_x_px)
        )
        first_y, first_x = row * self._finer - size_y // 2, column * self._finer - size_x // 2
        part = tile.window(first_y, first_x, size_y=size_y, size_x=size_x)
        around = partial(self._over, place=(row, column), margin_px=MARGIN_PX, finer=self._finer)
        if not self._terrain.is_full:
            part = emptied(part, around(self._terrain.presence).float().to(tile.device))
        height = around(self._terrain.height_um)
        middle = float(height[size_y // 2, size_x // 2])
        depth = self._world.setup.depth_of_field_um
        if float(height.max() - height.min()) > FLAT_ENOUGH * depth:
            part = bend(part, (height - middle).float(), step_um=BEND_STEP * depth)
        return Field(part, middle)

    def _over(
        self,
        function: Callable[[Tensor, Tensor], Tensor],
        *,
        place: tuple[int, int],
        margin_px: int,
        finer: int,
    ) -> Float[Tensor, "y x"]:
        """A smooth function of the plane at every pixel of a field, from a coarse grid."""
        detector, pixel = self._world.detector, self._world.setup.pixel_um
        sizes = [size + 2 * margin_px for size in (detector.size_y_px, detector.size_x_px)]
        scale = min(self._terrain.surface.bump_length_um, self._terrain.empty.length_um)
        cells = max(CELLS, math.ceil(8 * max(sizes) * pixel / scale))
        y_um, x_um = (
            pixel * torch.linspace(first, first + size - 1 / finer, cells + 1, dtype=torch.float64)
            for first, size in (
                (middle - size // 2, size) for middle, size in zip(place, sizes, strict=True)
            )
        )
        grid = function(*torch.meshgrid(x_um, y_um, indexing="xy"))
        wanted = [size * finer for size in sizes]
        return interpolate(grid[None, None], wanted, mode="bilinear", align_corners=True)[0, 0]


def emptied(specimen: Specimen, presence: Float[Tensor, "y x"]) -> Specimen:
    """A specimen of which only a share is there, pixel by pixel.

    Examples
    --------
    >>> even = Specimen(pixel_um=1.0, heights_um=torch.zeros(1), emission=torch.ones(1, 1, 2))
    >>> emptied(even, torch.tensor([[1.0, 0.0]])).emission
    tensor([[[1., 0.]]])
    """
    light, loss, phase = specimen.emission, specimen.absorption, specimen.phase_rad
    return replace(
        specimen,
        emission=None if light is None else light * presence,
        absorption=None if loss is None else loss * presence,
        phase_rad=None if phase is None else phase * presence,
    )


class Bleaching:
    """Light that each part of the world has had, field by field.

    Light falls evenly on the field of the camera and nowhere else.

    Examples
    --------
    >>> bleaching = Bleaching(size_y_px=4, size_x_px=4)
    >>> bleaching.expose((0, 0), 10.0); bleaching.expose((0, 2), 5.0)
    >>> bleaching.dose((0, 0))[0]
    tensor([10., 10., 15., 15.])
    """

    def __init__(self, *, size_y_px: int, size_x_px: int) -> None:
        self._size = (size_y_px, size_x_px)
        self._doses: dict[tuple[int, int], float] = {}

    def expose(self, place: tuple[int, int], dose: float) -> None:
        """Add light to the field around a place."""
        self._doses[place] = self._doses.get(place, 0.0) + dose

    def dose(self, place: tuple[int, int]) -> Float[Tensor, "y x"]:
        """Light that each pixel of the field around a place has had."""
        total = torch.zeros(self._size)
        for other, dose in self._doses.items():
            shifts = [there - here for there, here in zip(other, place, strict=True)]
            if all(abs(shift) < size for shift, size in zip(shifts, self._size, strict=True)):
                rows, columns = (
                    slice(max(shift, 0), size + min(shift, 0))
                    for shift, size in zip(shifts, self._size, strict=True)
                )
                total[rows, columns] += dose
        return total

    def remains(
        self, place: tuple[int, int], *, bleach_dose_ms: float, floor: float
    ) -> Float[Tensor, "y x"]:
        """Share of the brightness that is left: floor + (1 - floor) exp(-dose / bleach dose)."""
        return floor + (1 - floor) * torch.exp(-self.dose(place) / bleach_dose_ms)


def real_renderer(device: str) -> MakeImages:
    """Maker of the renderers that a world uses unless told otherwise."""
    return lambda setup, imaging: Renderer(setup, imaging, device=device)
