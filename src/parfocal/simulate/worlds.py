"""The table of virtual microscopes that come with the package."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from parfocal.core.errors import UnknownNameError
from parfocal.core.setup import OpticalSetup
from parfocal.simulate.stages import StageSettings
from parfocal.simulate.terrain import DriftSettings, SurfaceSettings
from parfocal.simulate.world import (
    ChannelSettings,
    DetectorSettings,
    SpecimenSettings,
    WorldSettings,
)


@dataclass(frozen=True, kw_only=True)
class WorldRow:
    """One virtual microscope: its name, what it is, and the maker of its settings."""

    name: str
    what: str
    make: Callable[[], WorldSettings]


def _motor(reach_um: float) -> StageSettings:
    """A stepper motor that moves the focus: a little play, and a stop beyond its soft limits."""
    return StageSettings(
        low_um=-reach_um,
        high_um=reach_um,
        hard_low_um=-1.2 * reach_um,
        hard_high_um=1.2 * reach_um,
        speed_um_per_s=500.0,
        backlash_um=0.2,
        repeatability_um=0.03,
        step_um=0.025,
    )


def _fluorescence_20x() -> WorldSettings:
    return WorldSettings(
        setup=OpticalSetup(na=0.75, wavelength_nm=536, pixel_um=0.325, magnification=20),
        specimen=SpecimenSettings(name="microtubules", thickness_um=1.0),
        channels=(
            ChannelSettings(
                name="FITC",
                specimen=SpecimenSettings(name="microtubules", thickness_um=1.0),
                bleach_dose_ms=20_000.0,
            ),
            ChannelSettings(
                name="DAPI",
                wavelength_nm=461,
                specimen=SpecimenSettings(name="nuclei", thickness_um=3.0),
                focus_offset_um=-0.6,
                bleach_dose_ms=60_000.0,
            ),
        ),
        surface=SurfaceSettings(
            tilt_x_um_per_mm=1.5, tilt_y_um_per_mm=-0.8, bump_um=1.0, bump_length_um=3000.0
        ),
        drift=DriftSettings(um_per_hour=1.0, walk_um_per_sqrt_hour=0.5),
        z=_motor(100.0),
    )


def _beads_20x() -> WorldSettings:
    return WorldSettings(
        setup=OpticalSetup(na=0.75, wavelength_nm=536, pixel_um=0.325, magnification=20),
        specimen=SpecimenSettings(name="beads", size_px=320, thickness_um=0.0),
        detector=DetectorSettings(size_y_px=256, size_x_px=256),
    )


WORLDS: tuple[WorldRow, ...] = (
    WorldRow(
        name="fluorescence-20x",
        what="cells in two colours at 20x / 0.75, tilted, drifting and bleaching",
        make=_fluorescence_20x,
    ),
    WorldRow(
        name="beads-20x",
        what="flat beads at 20x / 0.75 on a perfect stage, small and fast",
        make=_beads_20x,
    ),
)


def world_preset(name: str) -> WorldSettings:
    """Settings of a virtual microscope by its name; change them with ``changed``.

    Examples
    --------
    >>> world_preset("beads-20x").changed(seed=3).seed
    3
    """
    for row in WORLDS:
        if row.name == name:
            return row.make()
    raise UnknownNameError("virtual microscope", name, (row.name for row in WORLDS))
