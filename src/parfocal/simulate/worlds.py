"""The table of virtual microscopes that come with the package."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from parfocal.core.errors import UnknownNameError
from parfocal.core.setup import OpticalSetup
from parfocal.simulate.modalities import BrightfieldImaging, LedImaging, LightSheetImaging
from parfocal.simulate.stages import StageSettings
from parfocal.simulate.terrain import DriftSettings, EmptySettings, SurfaceSettings
from parfocal.simulate.world import (
    ChannelSettings,
    DetectorSettings,
    LightSettings,
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
        channels=(ChannelSettings(name="light", photons_per_ms=500.0),),
        detector=DetectorSettings(size_y_px=256, size_x_px=256),
    )


def _light_sheet_10x() -> WorldSettings:
    return WorldSettings(
        setup=OpticalSetup(
            na=0.6,
            wavelength_nm=580,
            pixel_um=0.65,
            immersion_index=1.56,
            sample_index=1.56,
            magnification=10,
        ),
        imaging=LightSheetImaging(waist_um=14.0),
        light=LightSettings(sheet_error_um=6.0),
        specimen=SpecimenSettings(name="dense_tissue", size_px=512),
        channels=(ChannelSettings(name="580", photons_per_ms=20.0, background_per_ms=1.0),),
        detector=DetectorSettings(size_y_px=384, size_x_px=384),
        z=_motor(500.0),
    )


def _transmitted(power_per_ms: float) -> tuple[ChannelSettings, ...]:
    """One channel of transmitted light: the empty field gives these photons a ms."""
    return (ChannelSettings(name="light", photons_per_ms=power_per_ms, background_per_ms=0.0),)


def _led_20x() -> WorldSettings:
    return WorldSettings(
        setup=OpticalSetup(na=0.5, wavelength_nm=530, pixel_um=0.325, magnification=20),
        imaging=LedImaging(na_yx=((0.0, 0.3),)),
        specimen=SpecimenSettings(name="phase_cells", size_px=384),
        channels=_transmitted(400.0),
        surface=SurfaceSettings(tilt_x_um_per_mm=2.0, bump_um=1.5, bump_length_um=2500.0),
        detector=DetectorSettings(size_y_px=256, size_x_px=256),
        z=_motor(100.0),
    )


def _brightfield_40x() -> WorldSettings:
    return WorldSettings(
        setup=OpticalSetup(na=0.75, wavelength_nm=550, pixel_um=0.1625, magnification=40),
        imaging=BrightfieldImaging(condenser_na=0.4, waves=12),
        specimen=SpecimenSettings(name="histology", size_px=384, thickness_um=2.0),
        channels=_transmitted(500.0),
        surface=SurfaceSettings(tilt_y_um_per_mm=1.0, bump_um=0.8, bump_length_um=1000.0),
        empty=EmptySettings(fraction=0.15, length_um=400.0),
        detector=DetectorSettings(size_y_px=256, size_x_px=256),
        z=_motor(60.0),
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
    WorldRow(
        name="light-sheet-10x",
        what="cleared tissue at 10x / 0.6 in dibenzyl ether, lit by a sheet that is off by 6 um",
        make=_light_sheet_10x,
    ),
    WorldRow(
        name="led-20x",
        what="living cells as phase at 20x / 0.5, lit by the LEDs of an array",
        make=_led_20x,
    ),
    WorldRow(
        name="brightfield-40x",
        what="a stained section with gaps at 40x / 0.75, in brightfield",
        make=_brightfield_40x,
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
