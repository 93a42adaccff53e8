"""Ways of imaging, as frozen settings: one class for each, told apart by ``modality``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from parfocal.core.setup import OpticalSetup
from parfocal.optics.exit_waves import transmission_pixel_um
from parfocal.optics.illumination import (
    Source,
    disc_source,
    half_annulus_source,
    led_source,
)
from parfocal.optics.layers import Layers
from parfocal.optics.psf import Model
from parfocal.optics.zernike import Aberrations

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Waves = Annotated[int, Field(ge=1, le=1024)]


class Optics(BaseModel):
    """What every way of imaging may have: aberrations of the objective."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    aberrations: Aberrations | None = None


class Fluorescence(Optics):
    """What all fluorescence has.

    Parameters
    ----------
    model
        Vectorial (a freely rotating dipole) or scalar light.
    layers
        Coverslip, immersion and depth; None: all as designed.
    """

    model: Model = "vectorial"
    layers: Layers | None = None


class WidefieldImaging(Fluorescence):
    """Widefield fluorescence: every layer glows into every image."""

    modality: Literal["widefield"] = "widefield"


class ConfocalImaging(Fluorescence):
    """Confocal fluorescence; see ``optics.confocal_psf``."""

    modality: Literal["confocal"] = "confocal"
    excitation_nm: Positive = 488.0
    pinhole_airy: Positive = 1.0


class SpinningDiskImaging(Fluorescence):
    """Spinning-disk fluorescence; lengths in the object. See ``optics.spinning_disk_psf``."""

    modality: Literal["spinning-disk"] = "spinning-disk"
    excitation_nm: Positive = 488.0
    pinhole_um: Positive = 0.8
    spacing_um: Positive = 4.0

    @model_validator(mode="after")
    def _disk_has_no_layers(self) -> SpinningDiskImaging:
        if self.layers is not None:
            raise ValueError("layers are not modelled for a spinning disk: give aberrations")
        if self.spacing_um < self.pinhole_um:
            raise ValueError("pinholes overlap: give spacing_um above pinhole_um")
        return self


class LightSheetImaging(Fluorescence):
    """Fluorescence lit by a sheet that moves with the plane in focus.

    Parameters
    ----------
    waist_um
        Full width at half maximum of the sheet along z.
    sheet_offset_um
        Height of the sheet above the plane in focus: the dz of [Li2021]_.
    """

    modality: Literal["light-sheet"] = "light-sheet"
    waist_um: Positive = 8.5
    sheet_offset_um: Annotated[float, Field(allow_inf_nan=False)] = 0.0


class BrightfieldImaging(Optics):
    """Partially coherent transmitted light from a condenser, by Abbe's sum.

    Parameters
    ----------
    condenser_na
        Numerical aperture of the condenser.
    waves
        Plane waves that stand for it. With 24, NA 0.4 and an objective of NA 0.75, an absorbing
        section differs from 512 waves by 0.3 % of its contrast in focus, 3 % six and 7 % twelve
        depths of field away. Phase alone fades when defocused, and few waves leave ghosts: 8 % in
        focus, a third of the little contrast left at six. Cost grows with their number.
    """

    modality: Literal["brightfield"] = "brightfield"
    condenser_na: NotNegative = 0.3
    waves: Waves = 24


class PhaseContrastImaging(Optics):
    """Differential phase contrast by two half-annuli: 1 + (A - B) / (A + B)."""

    modality: Literal["phase-contrast"] = "phase-contrast"
    na_in: NotNegative = 0.3
    na_out: Positive = 0.5
    angle_rad: float = 0.0
    waves: Waves = 12


class LedImaging(Optics):
    """Transmitted light from single LEDs of an array, each a plane wave of its own.

    Parameters
    ----------
    na_yx
        Direction of each LED as numerical apertures along y and x.
    """

    modality: Literal["led"] = "led"
    na_yx: tuple[tuple[float, float], ...] = ((0.0, 0.3),)

    @model_validator(mode="after")
    def _one_led_at_least(self) -> LedImaging:
        if not self.na_yx:
            raise ValueError("na_yx is empty: give the direction of at least one LED")
        return self


Glowing = WidefieldImaging | ConfocalImaging | SpinningDiskImaging | LightSheetImaging
Transmitting = BrightfieldImaging | PhaseContrastImaging | LedImaging
Imaging = Annotated[Glowing | Transmitting, Field(discriminator="modality")]
MODALITIES: tuple[type[Glowing | Transmitting], ...] = (
    WidefieldImaging, ConfocalImaging, SpinningDiskImaging, LightSheetImaging,
    BrightfieldImaging, PhaseContrastImaging, LedImaging,
)  # fmt: skip


def source_of(imaging: Transmitting) -> Source:
    """The light of a way of transmitted imaging; half A of a phase contrast.

    Examples
    --------
    >>> len(source_of(LedImaging(na_yx=((0.0, 0.3), (0.3, 0.0)))))
    2
    """
    if isinstance(imaging, BrightfieldImaging):
        return disc_source(imaging.condenser_na, points=imaging.waves)
    if isinstance(imaging, PhaseContrastImaging):
        return half_annulus_source(
            imaging.na_in, imaging.na_out, angle_rad=imaging.angle_rad, points=imaging.waves
        )
    return led_source(imaging.na_yx)


def object_pixel_um(setup: OpticalSetup, imaging: Glowing | Transmitting) -> float:
    """Pixel at which a specimen must be made: the camera's, or a whole fraction of it.

    Transmitted light needs lambda / (4 NA) or finer; fluorescence is integrated over camera pixels,
    and needs no more than half a resolution (a third where excitation adds to it).

    Examples
    --------
    >>> setup = OpticalSetup(na=0.5, wavelength_nm=550, pixel_um=0.65)
    >>> round(object_pixel_um(setup, BrightfieldImaging()), 4)
    0.2167
    """
    if isinstance(imaging, Glowing):
        scans = isinstance(imaging, ConfocalImaging | SpinningDiskImaging)
        most_um = max(setup.lateral_resolution_um / (3 if scans else 2), setup.pixel_um / 4)
    else:
        most_um = transmission_pixel_um(setup, source_na=source_of(imaging).largest_na)
    factor = 1
    while setup.pixel_um / factor > most_um * (1 + 1e-9):
        factor += 1
    return setup.pixel_um / factor
