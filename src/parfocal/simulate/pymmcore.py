"""The virtual microscope as Python devices of pymmcore-plus (extra ``mm``).

A configuration file loads them by lines such as ``#py pyDevice,Camera,parfocal.simulate.pymmcore,
Camera``; ``config_path()`` is one. All devices of one core share one microscope, which is built
when it is first used and forgotten when the last device is unloaded. What goes wrong in it raises
RuntimeError, as a Micro-Manager device does.

Where pymmcore-plus runs inside a Qt application its signals do not tell one core from another: all
cores of the process then share one microscope.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from parfocal.core.errors import MissingExtraError
from parfocal.simulate.bench import PRESETS, as_device_error, bench_of, leave
from parfocal.simulate.faults import Fault, FaultSettings
from parfocal.simulate.microscope import VirtualMicroscope

try:
    from pymmcore_plus import FocusDirection
    from pymmcore_plus.experimental.unicore import (
        Device,
        GenericDevice,
        HubDevice,
        ShutterDevice,
        SimpleCameraDevice,
        StageDevice,
        StateDevice,
        XYStageDevice,
        pymm_property,
    )
except ImportError as error:
    raise MissingExtraError("The virtual microscope in pymmcore-plus", "mm") from error


def config_path() -> Path:
    """Path of the configuration file that comes with the package."""
    return Path(__file__).with_name("virtual_microscope.cfg")


if TYPE_CHECKING:
    _Mixin = Device
else:
    _Mixin = object


class _OnBench(_Mixin):
    """What every device here has: a way to the microscope, and a farewell."""

    @property
    def scope(self) -> VirtualMicroscope:
        """The microscope of this device's core."""
        return bench_of(self).scope()

    def initialize(self) -> None:
        """Join the bench."""
        bench_of(self)

    def shutdown(self) -> None:
        """Leave the bench."""
        leave(self)


class World(_OnBench, HubDevice):
    """The world itself: which microscope, and what goes wrong in it.

    Preset, Seed, Time and Settings are set before initialisation; the rest at any time.
    """

    def get_installed_peripherals(self) -> Sequence[tuple[str, str]]:
        """Names and descriptions of the devices."""
        classes = (Camera, FocusStage, XYStage, Shutter, Channel, Illumination)
        return [(device.__name__, (device.__doc__ or "").splitlines()[0]) for device in classes]

    @pymm_property(name="Preset", allowed_values=PRESETS, is_pre_init=True, property_type=str)
    def preset(self) -> str:
        """Name of the virtual microscope."""
        return bench_of(self).preset

    @preset.setter
    def _set_preset(self, name: str) -> None:
        bench_of(self).choose(str(name))

    @pymm_property(name="Seed", limits=(0, 2**31), is_pre_init=True, property_type=int)
    def seed(self) -> int:
        """Seed of the specimen and of all that is random."""
        return bench_of(self).settings.seed

    @seed.setter
    def _set_seed(self, seed: float) -> None:
        bench_of(self).change(seed=int(float(seed)))

    @pymm_property(
        name="Time", allowed_values=("simulated", "real"), is_pre_init=True, property_type=str
    )
    def time(self) -> str:
        """Whether moves and exposures take their time."""
        return bench_of(self).settings.time

    @time.setter
    def _set_time(self, time: str) -> None:
        bench_of(self).change(time=str(time))

    @pymm_property(name="Settings", is_pre_init=True, property_type=str)
    def settings_file(self) -> str:
        """JSON file of ``WorldSettings`` that was taken instead of a preset; empty if none was."""
        return bench_of(self).settings_file

    @settings_file.setter
    def _set_settings_file(self, path: str) -> None:
        bench_of(self).read(str(path))

    @pymm_property(name="Clock_s", property_type=float)
    def clock(self) -> float:
        """Seconds since the microscope was made; a later time that is set is waited for."""
        return self.scope.now_s()

    @clock.setter
    def _set_clock(self, time_s: float | int | str) -> None:
        self.scope.wait_s(max(0.0, float(time_s) - self.scope.now_s()))

    @pymm_property(name="FailNextFrames", limits=(0, 1_000_000), property_type=int)
    def fail_next_frames(self) -> int:
        """How many of the next exposures give no image."""
        taken = self.scope.ledger.images
        return sum(number > taken for number in self.scope.faults().frames.at)

    @fail_next_frames.setter
    def _set_fail_next_frames(self, count: float) -> None:
        self._change_fault("frames", at=_next(self.scope.ledger.images, count))

    @pymm_property(name="FrameFailProbability", limits=(0.0, 1.0), property_type=float)
    def frame_fail_probability(self) -> float:
        """Chance that an exposure gives no image."""
        return self.scope.faults().frames.probability

    @frame_fail_probability.setter
    def _set_frame_fail_probability(self, probability: float) -> None:
        self._change_fault("frames", probability=float(probability))

    @pymm_property(name="StallNextMoves", limits=(0, 1_000_000), property_type=int)
    def stall_next_moves(self) -> int:
        """How many of the next moves of the focus stall."""
        made = self.scope.moves()
        return sum(number > made for number in self.scope.faults().z_stalls.at)

    @stall_next_moves.setter
    def _set_stall_next_moves(self, count: float) -> None:
        self._change_fault("z_stalls", at=_next(self.scope.moves(), count))

    @pymm_property(name="StallProbability", limits=(0.0, 1.0), property_type=float)
    def stall_probability(self) -> float:
        """Chance that a move of the focus stalls."""
        return self.scope.faults().z_stalls.probability

    @stall_probability.setter
    def _set_stall_probability(self, probability: float) -> None:
        self._change_fault("z_stalls", probability=float(probability))

    @pymm_property(name="Images", property_type=int)
    def images(self) -> int:
        """Exposures so far."""
        return self.scope.ledger.images

    @pymm_property(name="Dose_ms", property_type=float)
    def dose(self) -> float:
        """Light on the specimen so far, in ms at full power."""
        return self.scope.ledger.dose

    @pymm_property(name="TrueDefocus_um", property_type=float)
    def true_defocus(self) -> float:
        """Stage minus focus in the middle of the field: for tests, no microscope knows it."""
        return self.scope.truth.defocus_um()

    def _change_fault(self, kind: str, **values: Any) -> None:
        faults = self.scope.faults()
        fault: Fault = getattr(faults, kind).model_copy(update=values)
        self.scope.set_faults(FaultSettings.model_validate({**dict(faults), kind: fault}))


def _next(done: int, count: float) -> tuple[int, ...]:
    return tuple(range(done + 1, done + 1 + int(float(count))))


class Camera(_OnBench, SimpleCameraDevice):
    """The camera; regions of interest are cut in software."""

    def get_exposure(self) -> float:
        """Exposure in ms."""
        return self.scope.exposure_ms()

    def set_exposure(self, exposure: float) -> None:
        """Set the exposure in ms."""
        with as_device_error():
            self.scope.set_exposure_ms(float(exposure))

    def get_gain(self) -> float:
        """Counts per electron."""
        return self.scope.gain()

    def sensor_shape(self) -> tuple[int, int]:
        """Height and width."""
        detector = bench_of(self).settings.detector
        return detector.size_y_px, detector.size_x_px

    def dtype(self) -> DTypeLike:
        """Type of the counts."""
        return np.uint8 if bench_of(self).settings.detector.camera.bits <= 8 else np.uint16

    def snap(self, buffer: NDArray[Any]) -> Mapping[str, Any]:
        """Fill a buffer with one image."""
        with as_device_error():
            buffer[:] = self.scope.snap()
        entry = self.scope.ledger.entries[-1]
        return {"z_um": f"{entry.z_um:.4f}", "time_s": f"{entry.time_s:.6f}"}


class FocusStage(_OnBench, StageDevice):
    """The focus stage; in real time a move returns at once and the stage is busy."""

    def __init__(self) -> None:
        super().__init__()
        self._origin_um = 0.0

    def set_position_um(self, val: float) -> None:
        """Move the focus."""
        with as_device_error():
            goal = float(val) + self._origin_um
            if self.scope.world.time == "real":
                self.scope.begin_move_to_um(goal)
            else:
                self.scope.move_to_um(goal)

    def get_position_um(self) -> float:
        """Where the stage says it is."""
        return self.scope.position_um() - self._origin_um

    def busy(self) -> bool:
        """Whether it moves; a move that failed raises here."""
        with as_device_error():
            return self.scope.is_moving("z")

    def home(self) -> None:
        """Move to where it started."""
        self.set_position_um(self.scope.world.z.start_um - self._origin_um)

    def stop(self) -> None:
        """Stop all motion."""
        self.scope.abort()

    def set_origin(self) -> None:
        """Call the present position 0."""
        self._origin_um = self.scope.position_um()

    def get_focus_direction(self) -> FocusDirection:
        """Rising z goes deeper into the specimen."""
        return FocusDirection.TowardSample


class XYStage(_OnBench, XYStageDevice):
    """The xy stage; in real time a move returns at once and the stage is busy."""

    def __init__(self) -> None:
        super().__init__()
        self._origin_um = (0.0, 0.0)

    def set_position_um(self, x: float, y: float) -> None:
        """Move the specimen."""
        with as_device_error():
            goal = float(x) + self._origin_um[0], float(y) + self._origin_um[1]
            if self.scope.world.time == "real":
                self.scope.begin_move_xy_to_um(*goal)
            else:
                self.scope.move_xy_to_um(*goal)

    def get_position_um(self) -> tuple[float, float]:
        """Where the stage says it is."""
        x, y = self.scope.xy_um()
        return x - self._origin_um[0], y - self._origin_um[1]

    def busy(self) -> bool:
        """Whether it moves; a move that failed raises here."""
        with as_device_error():
            return self.scope.is_moving("xy")

    def home(self) -> None:
        """Move to where it started."""
        x, y = self.scope.world.x.start_um, self.scope.world.y.start_um
        self.set_position_um(x - self._origin_um[0], y - self._origin_um[1])

    def stop(self) -> None:
        """Stop all motion."""
        self.scope.abort()

    def set_origin_x(self) -> None:
        """Call the present x 0."""
        self._origin_um = self.scope.xy_um()[0], self._origin_um[1]

    def set_origin_y(self) -> None:
        """Call the present y 0."""
        self._origin_um = self._origin_um[0], self.scope.xy_um()[1]


class Shutter(_OnBench, ShutterDevice):
    """The shutter of the lamp.

    A core does not open a Python shutter for a snap, so that this one opens by itself: AutoShutter
    is a property of its own. With it off, images are dark until the shutter is opened.
    """

    @pymm_property(name="AutoShutter", allowed_values=("0", "1"), property_type=str)
    def auto_shutter(self) -> str:
        """Whether each exposure opens the shutter."""
        return str(int(self.scope.auto_shutter()))

    @auto_shutter.setter
    def _set_auto_shutter(self, on: str) -> None:
        self.scope.set_auto_shutter(on == "1")

    def get_open(self) -> bool:
        """Whether it is open."""
        return self.scope.light_is_on()

    def set_open(self, open: bool) -> None:
        """Open or close it."""
        self.scope.set_light(bool(open))


class Channel(_OnBench, StateDevice):
    """The filter wheel; its labels are the channels of the preset."""

    _FIRST: ClassVar[dict[int, str]] = {0: "Channel-0"}

    def __init__(self) -> None:
        super().__init__(self._FIRST)

    def initialize(self) -> None:
        """Take the names of the channels as labels."""
        channels = bench_of(self).settings.channels
        self.set_property_allowed_values("State", tuple(range(len(channels))))
        for state, channel in enumerate(channels):
            self.assign_label_to_position(state, channel.name)
        self.set_property_allowed_values("Label", tuple(channel.name for channel in channels))

    def get_state(self) -> int:
        """Number of the channel in use."""
        return self.scope.channels().index(self.scope.channel())

    def set_state(self, position: int) -> None:
        """Change the channel."""
        with as_device_error():
            self.scope.set_channel(self.scope.channels()[int(position)])


class Illumination(_OnBench, GenericDevice):
    """LED array and light sheet, where the preset has them."""

    @pymm_property(name="LEDs", property_type=str)
    def leds(self) -> str:
        """Lamps that shine: "na_y na_x" for each, separated by semicolons."""
        return "; ".join(f"{na_y:g} {na_x:g}" for na_y, na_x in self.scope.leds())

    @leds.setter
    def _set_leds(self, text: str) -> None:
        lamps = [tuple(float(word) for word in lamp.split()) for lamp in str(text).split(";")]
        if not all(len(lamp) == 2 for lamp in lamps):
            raise ValueError(f'LEDs is "na_y na_x; na_y na_x; ...", but came as {text!r}.')
        with as_device_error():
            self.scope.set_leds([(lamp[0], lamp[1]) for lamp in lamps])

    @pymm_property(name="SheetOffset_um", property_type=float)
    def sheet_offset(self) -> float:
        """z of the light sheet minus z of the focal plane."""
        return self.scope.sheet_offset_um()

    @sheet_offset.setter
    def _set_sheet_offset(self, offset_um: float) -> None:
        with as_device_error():
            self.scope.set_sheet_offset_um(float(offset_um))
