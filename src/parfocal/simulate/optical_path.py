"""From lamp to sensor: what light reaches the camera in each channel, and what it costs."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from parfocal.core.errors import InputError
from parfocal.simulate.ledger import DoseLedger
from parfocal.simulate.modalities import LedImaging, LightSheetImaging
from parfocal.simulate.scene import MARGIN_PX, Bleaching, ImageMaker, MakeImages, Scenery
from parfocal.simulate.terrain import Drift, Terrain
from parfocal.simulate.world import ChannelSettings, LightSettings, WorldSettings

KEPT_RENDERERS = 6


class Lamp:
    """A light source with a shutter; what it sends is bleaching and dose.

    Parameters
    ----------
    settings
        Power, and whether the camera opens the shutter.
    bleaching, ledger
        Where light is noted.
    """

    def __init__(self, settings: LightSettings, bleaching: Bleaching, ledger: DoseLedger) -> None:
        self.settings = settings
        self.on = False
        self.auto_shutter = settings.auto_shutter
        self._bleaching, self._ledger = bleaching, ledger
        self._since_s = 0.0

    def settle(self, now_s: float, place: tuple[int, int]) -> None:
        """Charge the time since the last call to a field, if the shutter was open."""
        if self.on:
            self._spend((now_s - self._since_s) * 1000 * self.settings.power, place)
        self._since_s = now_s

    def flash(self, exposure_ms: float, place: tuple[int, int]) -> float:
        """Charge one exposure; its dose. An open shutter is charged by ``settle`` instead."""
        dose = exposure_ms * self.settings.power if self.shines else 0.0
        if not self.on:
            self._spend(dose, place)
        return dose

    @property
    def shines(self) -> bool:
        """Whether light falls on the specimen during an exposure."""
        return self.on or self.auto_shutter

    def _spend(self, dose: float, place: tuple[int, int]) -> None:
        if dose > 0:
            self._ledger.spend(dose)
            self._bleaching.expose(place, dose)


class OpticalPath:
    """Photons on the sensor for any channel, place and focus.

    Parameters
    ----------
    world
        Settings.
    terrain, drift
        Where focus lies.
    ledger
        Where light is noted.
    make_images
        Maker of renderers.
    device
        Where images are computed.
    """

    def __init__(
        self,
        world: WorldSettings,
        terrain: Terrain,
        drift: Drift,
        *,
        ledger: DoseLedger,
        make_images: MakeImages,
        device: str,
    ) -> None:
        self.world = world
        self.channel: ChannelSettings = world.channels[0]
        self._imaging = world.imaging
        self.scenery = Scenery(world, terrain, device=device)
        size_y, size_x = world.detector.size_y_px, world.detector.size_x_px
        self._bleaching = Bleaching(size_y_px=size_y, size_x_px=size_x)
        self.light = Lamp(world.light, self._bleaching, ledger)
        self._terrain, self._drift = terrain, drift
        self._make_images = make_images
        self._makers: OrderedDict[tuple[object, ...], ImageMaker] = OrderedDict()

    @property
    def leds(self) -> tuple[tuple[float, float], ...]:
        """Directions of the lamps that shine; none without an LED array."""
        return self._imaging.na_yx if isinstance(self._imaging, LedImaging) else ()

    @property
    def sheet_offset_um(self) -> float:
        """z of the light sheet minus z of the focal plane, as commanded; 0 without a sheet."""
        imaging = self._imaging
        return imaging.sheet_offset_um if isinstance(imaging, LightSheetImaging) else 0.0

    @property
    def true_offset_um(self) -> float:
        """Where the light sheet really is, above the focal plane."""
        return self.sheet_offset_um + self.world.light.sheet_error_um

    def set_leds(self, na_yx: tuple[tuple[float, float], ...]) -> None:
        """Shine from some directions; InputError without an array, a lamp, or within its reach."""
        if not isinstance(self._imaging, LedImaging):
            raise InputError(f"A {self._imaging.modality} microscope has no LED array.")
        reach = self.world.setup.immersion_index
        if not na_yx or not all(math.hypot(*lamp) < reach for lamp in na_yx):
            raise InputError(
                f"Give one LED or more, each with an NA below {reach:g}; it came as {na_yx}."
            )
        self._imaging = self._imaging.model_copy(update={"na_yx": na_yx})

    def set_sheet_offset_um(self, offset_um: float) -> None:
        """Move the sheet; InputError without one."""
        if not isinstance(self._imaging, LightSheetImaging):
            raise InputError(f"A {self._imaging.modality} microscope has no light sheet.")
        if not math.isfinite(offset_um):
            raise InputError(f"The sheet's offset must be finite, but came as {offset_um:g}.")
        self._imaging = self._imaging.model_copy(update={"sheet_offset_um": offset_um})

    def shift_um(self, time_s: float) -> float:
        """What drift and the channel add to the height of focus."""
        return self._drift.um(time_s) + self.channel.focus_offset_um

    def focus_um(self, x_um: float, y_um: float, time_s: float) -> float:
        """Carriage z that focuses the reference of the specimen at a point."""
        at = [torch.tensor([value], dtype=torch.float64) for value in (x_um, y_um)]
        return float(self._terrain.height_um(*at)) + self.shift_um(time_s)

    def photons(
        self,
        place: tuple[int, int],
        carriages_um: Sequence[float],
        *,
        time_s: float,
        exposure_ms: float,
    ) -> Float[Tensor, "y x"]:
        """Expected photons of one exposure while the carriage passes through some positions."""
        detector, channel = self.world.detector, self.channel
        if not self.light.shines:
            return torch.zeros(detector.size_y_px, detector.size_x_px)
        field = self.scenery.field(channel.specimen or self.world.specimen, place)
        focus_um = field.focus_um + self.shift_um(time_s)
        z_um = torch.tensor(carriages_um) - focus_um
        whole = self._maker().images(field.specimen, z_um).mean(0)
        image = whole[MARGIN_PX:-MARGIN_PX, MARGIN_PX:-MARGIN_PX].clamp_min(0.0)
        if channel.bleach_dose_ms is not None:
            image = image * self.remains(place).to(image.device)
        light_ms = exposure_ms * self.light.settings.power
        return light_ms * (channel.photons_per_ms * image + channel.background_per_ms)

    def remains(self, place: tuple[int, int]) -> Float[Tensor, "y x"]:
        """Share of the brightness that bleaching has left, in the channel in use."""
        dose_ms = self.channel.bleach_dose_ms
        if dose_ms is None:
            return torch.ones(self.world.detector.size_y_px, self.world.detector.size_x_px)
        return self._bleaching.remains(
            place, bleach_dose_ms=dose_ms, floor=self.channel.bleach_floor
        )

    def _maker(self) -> ImageMaker:
        """The renderer of the channel, lamps and sheet in use; the last few are kept."""
        key = (self.channel.wavelength_nm, self.leds, self.sheet_offset_um)
        if key not in self._makers:
            imaging = self._imaging
            if isinstance(imaging, LightSheetImaging):
                imaging = imaging.model_copy(update={"sheet_offset_um": self.true_offset_um})
            self._makers[key] = self._make_images(self.world.optics(self.channel), imaging)
            if len(self._makers) > KEPT_RENDERERS:
                self._makers.popitem(last=False)
        self._makers.move_to_end(key)
        return self._makers[key]
