"""The settings of a virtual microscope and its specimen: one frozen tree."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from parfocal.core.errors import InputError
from parfocal.core.setup import OpticalSetup, plain_fault
from parfocal.optics.noise import CameraModel
from parfocal.simulate.faults import FaultSettings
from parfocal.simulate.modalities import Imaging, LedImaging, WidefieldImaging, object_pixel_um
from parfocal.simulate.stages import StageSettings
from parfocal.simulate.terrain import DriftSettings, EmptySettings, SurfaceSettings

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Pixels = Annotated[int, Field(ge=16, le=8192)]


class SpecimenSettings(BaseModel):
    """What lies on the stage: a periodic specimen that is repeated over the plane.

    Parameters
    ----------
    name
        A row of ``SPECIMENS``.
    size_px
        Period, in camera pixels.
    thickness_um, layer_step_um
        As in ``make_specimen``; None takes the row's own.
    options
        Options of the row's maker.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = "beads"
    size_px: Pixels = 768
    thickness_um: NotNegative | None = None
    layer_step_um: Positive | None = None
    options: dict[str, Any] = {}


class ChannelSettings(BaseModel):
    """One light path.

    Parameters
    ----------
    name
        How it is called.
    wavelength_nm
        Of the detected light; None keeps that of the setup.
    photons_per_ms
        Photons a pixel at full power: of fluorescence of brightness 1, or of the empty field in
        transmission.
    background_per_ms
        Even background at full power, in photons a pixel.
    focus_offset_um
        How much higher this channel comes to focus than the specimen's height says.
    bleach_dose_ms
        Light that bleaches to 1/e, in ms at full power; None: it never bleaches.
    bleach_floor
        Share of the brightness that cannot be bleached.
    specimen
        What glows in this channel; None takes the world's specimen.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    wavelength_nm: Positive | None = None
    photons_per_ms: NotNegative = 20.0
    background_per_ms: NotNegative = 0.5
    focus_offset_um: float = 0.0
    bleach_dose_ms: Positive | None = None
    bleach_floor: Annotated[float, Field(ge=0, le=1)] = 0.0
    specimen: SpecimenSettings | None = None


class DetectorSettings(BaseModel):
    """The camera as a device.

    Parameters
    ----------
    camera
        How it counts.
    size_y_px, size_x_px
        Its field.
    exposure_ms, least_ms, most_ms
        Exposure at first, and the range that it allows.
    readout_ms
        Time between the end of an exposure and the image.
    auto_gain
        Change the gain after each image, so that the next one is bright but not saturated.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    camera: CameraModel = CameraModel()
    size_y_px: Pixels = 512
    size_x_px: Pixels = 512
    exposure_ms: Positive = 20.0
    least_ms: Positive = 0.01
    most_ms: Positive = 60_000.0
    readout_ms: NotNegative = 10.0
    auto_gain: bool = False


class LightSettings(BaseModel):
    """The lamp.

    Parameters
    ----------
    power
        Share of full power.
    auto_shutter
        Open the shutter for each exposure, and close it after. Without it, images are dark until
        ``set_light(True)``, and the specimen bleaches as long as the light is on.
    sheet_error_um
        How much farther along z a light sheet is than its offset says: what autofocus of a light
        sheet has to find.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    power: Annotated[float, Field(gt=0, le=1)] = 1.0
    auto_shutter: bool = True
    sheet_error_um: Annotated[float, Field(allow_inf_nan=False)] = 0.0


class WorldSettings(BaseModel):
    """Everything about a virtual microscope: optics, specimen, stages, camera, light, faults.

    Parameters
    ----------
    setup, imaging
        Optics, and how light is sent and gathered.
    channels
        Light paths; the first is in use at first.
    specimen, surface, empty, drift
        What lies on the stage, at which height, and how focus moves.
    detector, light, z, x, y
        The devices.
    faults
        What goes wrong.
    seed
        Of the specimen and all that is random: the same seed and calls give the same images.
    time
        "simulated" waits without waiting; "real" takes its time.

    Raises
    ------
    InputError
        From ``WorldSettings.of``; the constructor raises pydantic's ``ValidationError``.

    Examples
    --------
    >>> setup = OpticalSetup(na=0.75, wavelength_nm=536, pixel_um=0.325)
    >>> world = WorldSettings(setup=setup, z=StageSettings(backlash_um=1.0), seed=4)
    >>> world.channels[0].name, world.z.backlash_um
    ('light', 1.0)
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    setup: OpticalSetup
    imaging: Imaging = WidefieldImaging()
    channels: Annotated[tuple[ChannelSettings, ...], Field(min_length=1)] = (
        ChannelSettings(name="light"),
    )
    specimen: SpecimenSettings = SpecimenSettings()
    surface: SurfaceSettings = SurfaceSettings()
    empty: EmptySettings = EmptySettings()
    drift: DriftSettings = DriftSettings()
    detector: DetectorSettings = DetectorSettings()
    light: LightSettings = LightSettings()
    z: StageSettings = StageSettings(low_um=-100.0, high_um=100.0)
    x: StageSettings = StageSettings(low_um=-50_000.0, high_um=50_000.0, speed_um_per_s=5000.0)
    y: StageSettings = StageSettings(low_um=-50_000.0, high_um=50_000.0, speed_um_per_s=5000.0)
    faults: FaultSettings = FaultSettings()
    seed: Annotated[int, Field(ge=0)] = 0
    time: Literal["simulated", "real"] = "simulated"

    @model_validator(mode="after")
    def _names_differ(self) -> WorldSettings:
        names = [channel.name for channel in self.channels]
        if len(set(names)) < len(names):
            raise ValueError(f"channels share a name: {', '.join(names)}.")
        return self

    @classmethod
    def of(cls, **values: object) -> WorldSettings:
        """Build a world from named values; an impossible one raises a one-line InputError."""
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            text = "; ".join(plain_fault(fault) for fault in error.errors())
            raise InputError(f"This world cannot be: {text}.") from error

    def channel(self, name: str) -> ChannelSettings:
        """The channel of a name; KeyError if there is none."""
        return {channel.name: channel for channel in self.channels}[name]

    def optics(self, channel: ChannelSettings) -> OpticalSetup:
        """The setup at the wavelength of a channel."""
        if channel.wavelength_nm is None:
            return self.setup
        return self.setup.model_copy(update={"wavelength_nm": channel.wavelength_nm})

    @property
    def finer(self) -> int:
        """How many pixels of the specimen make one of the camera's, along each axis."""
        imaging = self.imaging
        if isinstance(imaging, LedImaging):  # whichever lamp inside the pupil will shine
            imaging = LedImaging(na_yx=(*imaging.na_yx, (0.0, self.setup.na)))
        least_um = min(object_pixel_um(self.optics(one), imaging) for one in self.channels)
        return round(self.setup.pixel_um / least_um)

    def changed(self, **values: object) -> WorldSettings:
        """The same world with some values replaced, checked again."""
        kept = {name: getattr(self, name) for name in type(self).model_fields}
        return self.of(**{**kept, **values})
