"""Random scenes for focus searches: virtual microscopes whose noise-free planes are tabulated.

Each scene is a whole ``VirtualMicroscope`` (play, repeatability and steps of the stage, drift,
bleaching, shot and read noise) whose renderer is asked only once, for 91 planes from -50 to +50
depths of field, a quarter apart within +-4 and then ever farther; between them images are
interpolated. A second search on the same scene then costs milliseconds an image.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from pydantic import TypeAdapter

from parfocal.core.setup import OpticalSetup
from parfocal.drive import Limits
from parfocal.optics.noise import CameraModel
from parfocal.simulate import BrightfieldImaging, Imaging, Renderer, WidefieldImaging
from parfocal.simulate.microscope import VirtualMicroscope
from parfocal.simulate.modalities import LightSheetImaging, SpinningDiskImaging
from parfocal.simulate.specimen import Specimen
from parfocal.simulate.stages import StageSettings
from parfocal.simulate.terrain import DriftSettings, SurfaceSettings
from parfocal.simulate.world import (
    ChannelSettings,
    DetectorSettings,
    LightSettings,
    SpecimenSettings,
    WorldSettings,
)

SIDE_PX, PERIOD_PX = 256, 320
REACH_DOF, FARTHEST_START_DOF = 25.0, 20.0
# Magnification, NA, index of the immersion, pixel in um.
OBJECTIVES = (
    (10, 0.3, 1.0, 0.65), (10, 0.45, 1.0, 0.65), (20, 0.5, 1.0, 0.325), (20, 0.75, 1.0, 0.325),
    (40, 0.6, 1.0, 0.1625), (40, 0.95, 1.0, 0.1625), (60, 1.2, 1.333, 0.1083),
    (63, 1.4, 1.515, 0.1032),
)  # fmt: skip
SOME_OBJECTIVES = {
    "light-sheet": OBJECTIVES[1:3], "spinning-disk": OBJECTIVES[6:], "brightfield": OBJECTIVES[2:5]
}  # fmt: skip
# What lies in a sensible field, and the greatest thickness in depths of field that it gets.
GLOWING = (
    "beads", "nuclei", "microtubules", "filaments", "epithelium", "mitochondria", "cells",
    "neurites",
)  # fmt: skip
IMAGING: TypeAdapter = TypeAdapter(Imaging)
MODALITIES = {"widefield": 0.76, "spinning-disk": 0.08, "light-sheet": 0.08, "brightfield": 0.08}
THICKEST_DOF = 1.5
# A blood smear in brightfield stands for what mostly shifts the phase.
HARD = ("sparse", "thick", "dim")


def _planes_dof() -> np.ndarray:
    """Planes of a table, in depths of field from the reference."""
    outer = 4.0 + 0.25 * (np.geomspace(1.0, 12.33, 30) - 1.0).cumsum() * (46.0 / 36.5)
    outer = 4.0 + 46.0 * (outer[1:] - 4.0) / (outer[-1] - 4.0)
    return np.concatenate([-outer[::-1], np.arange(-16, 17) * 0.25, outer])


PLANES_DOF = _planes_dof()


@cache
def _renderer(setup: OpticalSetup, imaging_json: str) -> Renderer:
    """One renderer for each of the few optics, whose transfer functions serve many scenes."""
    return Renderer(setup, IMAGING.validate_json(imaging_json))


class PlaneTable:
    """Stands in for a ``Renderer``: planes of one specimen, tabulated at the first call.

    ``sharpest_um`` is where the noise-free images have most gradient energy: within about 0.3
    depths of field of the structure's mean height, farther for thick or aberrated specimens.
    """

    def __init__(self, setup: OpticalSetup, imaging) -> None:
        self._setup, self._imaging = setup, imaging
        self._z_um = torch.tensor(PLANES_DOF * setup.depth_of_field_um)
        self._planes: torch.Tensor | None = None
        self.sharpest_um = 0.0

    def images(self, specimen: Specimen, z_um: torch.Tensor) -> torch.Tensor:
        """Images at each z, by linear interpolation."""
        if self._planes is None:
            renderer = _renderer(self._setup, self._imaging.model_dump_json())
            self._planes = renderer.images(specimen, self._z_um)
            self.sharpest_um = sharpest_um(self._z_um.numpy(), self._planes)
        wanted = z_um.double().clamp(self._z_um[0], self._z_um[-1])
        above = torch.searchsorted(self._z_um, wanted).clamp(1, len(self._z_um) - 1)
        low, high = self._z_um[above - 1], self._z_um[above]
        part = ((wanted - low) / (high - low)).float()[:, None, None]
        return torch.lerp(self._planes[above - 1], self._planes[above], part)

    def strength(self) -> float:
        """Rise of the brightest two in a hundred pixels over the median, where it is greatest."""
        if self._planes is None:
            return 1.0
        planes = self._planes.flatten(1)
        rise = planes.quantile(0.98, dim=1) - planes.median(dim=1).values
        return max(float(rise.max()), 1e-6)


def sharpest_um(z_um: np.ndarray, planes: torch.Tensor) -> float:
    """Vertex of a parabola through the three greatest gradient energies (differences of 2 px)."""
    along_x = (planes[:, :, 2:] - planes[:, :, :-2]).square().mean((1, 2))
    along_y = (planes[:, 2:] - planes[:, :-2]).square().mean((1, 2))
    energy = (along_x + along_y).double().numpy()
    top = min(max(int(energy.argmax()), 1), len(energy) - 2)
    near = slice(top - 1, top + 2)
    curvature, slope, _ = np.polyfit(z_um[near] - z_um[top], energy[near] / energy[top], 2)
    return float(z_um[top] - slope / (2 * curvature))


@dataclass(frozen=True, eq=False)
class Scene:
    """One microscope before one specimen; ``scope()`` makes it anew for each search."""

    number: int
    name: str
    hard: str
    world: WorldSettings
    table: PlaneTable
    offset_dof: float

    @property
    def limits(self) -> Limits:
        """As far as a careful user would let the stage go around its start."""
        reach = REACH_DOF * self.world.setup.depth_of_field_um
        return Limits(z_min_um=-reach, z_max_um=reach, max_images=150, timeout_s=None)

    def scope(self) -> VirtualMicroscope:
        """The microscope, at its start, with unbleached specimen and the same noise."""
        scope = VirtualMicroscope(self.world, make_images=lambda setup, imaging: self.table)
        return scope

    def defocus_um(self, scope: VirtualMicroscope) -> float:
        """True distance of the carriage from where the images are sharpest."""
        return scope.truth.defocus_um() - self.table.sharpest_um


def make_scene(number: int, *, hard: bool = False) -> Scene:
    """Draw one scene; the number is the seed."""
    dice = np.random.default_rng([number, 2026])
    kind = HARD[number % len(HARD)] if hard else ""
    modality = str(dice.choice(list(MODALITIES), p=list(MODALITIES.values())))
    objectives = SOME_OBJECTIVES.get(modality, OBJECTIVES)
    magnification, na, index, pixel_um = objectives[int(dice.integers(len(objectives)))]
    is_aberrated = modality == "widefield" and dice.random() < 0.4
    setup = OpticalSetup(
        na=na, wavelength_nm=600 if is_aberrated else 520, pixel_um=pixel_um,
        immersion_index=index, magnification=magnification,
    )  # fmt: skip
    depth_um = setup.depth_of_field_um
    offset_dof = float(dice.uniform(-FARTHEST_START_DOF, FARTHEST_START_DOF))
    specimen = _specimen(dice, depth_um, modality, kind)
    world = WorldSettings(
        setup=setup,
        imaging=_imaging(modality, depth_um, is_aberrated=is_aberrated),
        channels=(_channel(dice, modality, kind),),
        specimen=specimen,
        surface=_surface(dice, setup, offset_dof * depth_um),
        drift=DriftSettings(um_per_hour=float(dice.normal(0, 3))),
        detector=DetectorSettings(
            camera=CameraModel(read_noise_electrons=float(dice.uniform(1, 4))),
            size_y_px=SIDE_PX, size_x_px=SIDE_PX,
        ),
        light=LightSettings(),
        z=_stage(dice, depth_um),
        seed=number,
    )  # fmt: skip
    table = PlaneTable(setup, world.imaging)
    world = _expose(world, table)
    name = f"{specimen.name}, {modality}, {magnification}x/{na:g}"
    return Scene(number, name, kind, world, table, -offset_dof)


def _expose(world: WorldSettings, table: PlaneTable) -> WorldSettings:
    """Set the light so that the photons of the channel are those of the structure in focus."""
    VirtualMicroscope(world, make_images=lambda setup, imaging: table).snap()
    strength = table.strength()
    if isinstance(world.imaging, BrightfieldImaging):
        return world
    channel = world.channels[0]
    photons = channel.photons_per_ms / strength
    return world.changed(channels=(channel.model_copy(update={"photons_per_ms": photons}),))


def _imaging(modality, depth_um, *, is_aberrated):
    """Few enough ways of imaging that their transfer functions are shared."""
    if modality == "brightfield":
        return BrightfieldImaging(condenser_na=0.3, waves=16)
    if modality == "light-sheet":
        return LightSheetImaging(model="scalar", waist_um=10 * depth_um)
    if modality == "spinning-disk":
        return SpinningDiskImaging(model="scalar")
    waves = {"zernike_waves": {12: 0.06}} if is_aberrated else None
    return WidefieldImaging.model_validate({"model": "scalar", "aberrations": waves})


def _specimen(dice, depth_um, modality, kind):
    """One that lies within about a depth of field, or a hard one."""
    if kind == "sparse" and modality != "brightfield":
        return SpecimenSettings(
            name="beads", size_px=PERIOD_PX, thickness_um=0.0, options={"per_mm2": 200.0}
        )
    name = str(dice.choice(GLOWING))
    if modality == "brightfield":
        name = "blood_smear" if kind else "histology"
    thickness = float(dice.uniform(0, THICKEST_DOF)) * depth_um
    step = None
    if kind == "thick" and modality != "brightfield":
        thickness, step = float(dice.uniform(4, 10)) * depth_um, 0.5 * depth_um
    elif thickness < 0.3 * depth_um or modality == "brightfield":
        thickness = 0.0
    else:
        step = 0.3 * depth_um
    return SpecimenSettings(
        name=name, size_px=PERIOD_PX, thickness_um=thickness, layer_step_um=step
    )


def _channel(dice, modality, kind):
    """20 ms at 20 to 1000 photons of structure in focus; hard and dim: 4 to 10."""
    photons = float(np.exp(dice.uniform(math.log(20), math.log(1000))))
    if kind == "dim":
        photons = float(dice.uniform(4, 10))
    if modality == "brightfield":
        photons = 3000.0 if kind != "dim" else 300.0
        return ChannelSettings(name="light", photons_per_ms=photons / 20, background_per_ms=0.0)
    return ChannelSettings(
        name="light",
        photons_per_ms=photons / 20,
        background_per_ms=photons / 20 * float(dice.uniform(0.01, 0.5)),
        bleach_dose_ms=float(np.exp(dice.uniform(math.log(2000), math.log(50_000)))),
    )


def _surface(dice, setup, offset_um):
    """Focus away from the start, on a field that two in five times is tilted by up to a depth."""
    field_mm = SIDE_PX * setup.pixel_um / 1000
    tilt = float(dice.uniform(0, setup.depth_of_field_um)) / field_mm if dice.random() < 0.4 else 0
    return SurfaceSettings(offset_um=offset_um, tilt_x_um_per_mm=tilt)


def _stage(dice, depth_um):
    """A motor with play of up to 0.3 depths of field, or a piezo."""
    reach = 2 * REACH_DOF * depth_um
    motor = dice.random() < 0.6
    return StageSettings(
        low_um=-reach,
        high_um=reach,
        speed_um_per_s=500.0,
        backlash_um=float(dice.uniform(0, 0.3)) * depth_um if motor else 0.0,
        repeatability_um=(0.03 if motor else 0.005) * depth_um,
        step_um=0.025 * depth_um if motor else 0.0,
    )
