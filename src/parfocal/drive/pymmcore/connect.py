"""A Micro-Manager core as a microscope: the public calls of pymmcore-plus, in the house's words."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from pymmcore_plus import CMMCorePlus, DeviceType, find_micromanager
from pymmcore_plus.experimental.unicore import UniMMCore

from parfocal.core.errors import (
    CameraError,
    DeviceError,
    InputError,
    ReadError,
    StageError,
    UnknownNameError,
)

# What drivers raise: C++ devices RuntimeError, Python devices whatever their library does.
DRIVER_FAULTS = (RuntimeError, OSError, ValueError, LookupError, TypeError, AttributeError)
LUMINANCE = (0.299, 0.587, 0.114)
POLL_S = 0.001
Core = TypeVar("Core", bound=UniMMCore)


def connect(
    core: CMMCorePlus | str | Path,
    *,
    focus: str | None = None,
    camera: str | None = None,
    mm_path: str | Path | None = None,
    channel_group: str | None = None,
    timeout_s: float = 30.0,
    now_s: Callable[[], float] | None = None,
) -> CoreMicroscope:
    """Take a Micro-Manager core as a ``Microscope``.

    Parameters
    ----------
    core
        A ``CMMCorePlus`` with its devices loaded, or the path of a configuration file.
    focus, camera
        Labels of the devices; default those that the core uses.
    mm_path
        Folder of the device adapters for a configuration file; default the installed
        Micro-Manager. Files that name Python devices alone need none.
    channel_group
        Group of presets that are the channels; default the core's.
    timeout_s
        Greatest duration of a move.
    now_s
        Clock of the microscope; default the computer's.

    Returns
    -------
    CoreMicroscope
        It streams (``sweep``) where stage and camera take sequences.

    Raises
    ------
    InputError
        If there is no focus stage or no camera; the text lists those that are loaded.
    ReadError
        If the configuration file cannot be read.
    DeviceError
        If a device in it cannot be loaded.

    Examples
    --------
    >>> from parfocal.simulate.pymmcore import config_path
    >>> scope = connect(config_path())
    >>> scope.move_to_um(3.0)
    >>> scope.position_um(), scope.channels()
    (3.0, ('DAPI', 'FITC'))
    >>> scope.core.unloadAllDevices()
    """
    if not isinstance(core, CMMCorePlus):
        core = load(core, mm_path=mm_path)
    stage = focus or core.getFocusDevice()
    _require(core, stage, DeviceType.Stage, "focus stage", "focus")
    label = camera or core.getCameraDevice()
    _require(core, label, DeviceType.Camera, "camera", "camera")
    if label != core.getCameraDevice():
        core.setCameraDevice(label)
    streams = core.isStageSequenceable(stage)
    kind = StreamingCoreMicroscope if streams else CoreMicroscope
    return kind(core, stage, channel_group=channel_group, timeout_s=timeout_s, now_s=now_s)


def load(
    config: str | Path, *, mm_path: str | Path | None = None, kind: type[Core] | None = None
) -> Core | UniMMCore:
    """A core (of a ``kind``) with the devices of a configuration file; errors as of ``connect``."""
    path = Path(config)
    if not path.is_file():
        raise ReadError(f"{path}: no such configuration file; give the path of a .cfg file.")
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    if mm_path is None and any(line.startswith("Device,") for line in lines):
        mm_path = find_micromanager()
        if mm_path is None:
            raise InputError(
                f"{path.name} names device adapters, but no Micro-Manager was found: run "
                "'mmcore install', or give connect(..., mm_path=FOLDER)."
            )
    # A folder without adapters: a core that is given none searches for one, and complains.
    core = (kind or UniMMCore)(mm_path=str(mm_path or Path(__file__).parent))
    try:
        core.loadSystemConfiguration(path)
    except DRIVER_FAULTS as error:
        text = " ".join(str(error).split())
        raise DeviceError(f"{path.name} could not be loaded: {text}") from error
    return core


def _require(core: CMMCorePlus, label: str, kind: DeviceType, what: str, option: str) -> None:
    """Raise InputError unless a device is there and of its kind."""
    if label and label in core.getLoadedDevices() and core.getDeviceType(label) == kind:
        return
    there = ", ".join(core.getLoadedDevicesOfType(kind)) or "none"
    came = f"{label!r} is no {what} of this core" if label else f"This core has no {what} set"
    raise InputError(f"{came}: give connect(..., {option}=LABEL). Loaded: {there}.")


def _require_numbers(label: str, *goal_um: float) -> None:
    """Raise StageError unless a goal is finite: not every driver refuses others."""
    if not all(math.isfinite(place_um) for place_um in goal_um):
        text = ", ".join(f"{place_um:g}" for place_um in goal_um)
        raise StageError(f"The stage {label!r} cannot go to {text} um; nothing was moved.")


@contextmanager
def driver(kind: type[DeviceError], what: str) -> Iterator[None]:
    """Turn what a driver raises into one kind of error, in one line."""
    try:
        yield
    except DRIVER_FAULTS as error:
        text = " ".join(str(error).split()) or type(error).__name__
        raise kind(f"{what}: {text}") from error


class CoreMicroscope:
    """A core's focus stage and camera, with what else it has; ``connect`` makes one.

    Every error of a device comes as StageError or CameraError. ``core`` is the core itself.

    Parameters
    ----------
    core
        The core.
    focus
        Label of the focus stage.
    channel_group, timeout_s, now_s
        As in ``connect``.
    """

    def __init__(
        self,
        core: CMMCorePlus,
        focus: str,
        *,
        channel_group: str | None = None,
        timeout_s: float = 30.0,
        now_s: Callable[[], float] | None = None,
    ) -> None:
        self.core, self.focus, self.timeout_s = core, focus, timeout_s
        self._group, self._now_s = channel_group, now_s or time.monotonic

    # Camera

    def snap(self) -> NDArray[Any]:
        """Take one image (y, x); colour becomes luminance."""
        core = self.core
        with driver(CameraError, f"The camera {core.getCameraDevice()!r} gave no image"):
            if core.isSequenceRunning():
                raise CameraError("The camera is in live mode: stop it before focusing.")
            core.snapImage()
            image = np.asarray(core.getImage())
        return grey(image)

    def exposure_ms(self) -> float:
        """Exposure of the next image, in ms."""
        with driver(CameraError, "The camera does not tell its exposure"):
            return float(self.core.getExposure())

    def set_exposure_ms(self, exposure_ms: float) -> None:
        """Set the exposure; CameraError if the camera refuses."""
        if not (exposure_ms > 0 and math.isfinite(exposure_ms)):
            raise CameraError(f"The exposure cannot be {exposure_ms:g} ms: give a positive one.")
        with driver(CameraError, f"The camera refuses an exposure of {exposure_ms:g} ms"):
            self.core.setExposure(float(exposure_ms))

    @property
    def pixel_um(self) -> float | None:
        """Size of a pixel on the specimen; None where the core does not know."""
        return float(self.core.getPixelSizeUm()) or None

    # Stages

    def position_um(self) -> float:
        """What the focus stage reports, in um."""
        with driver(StageError, f"The stage {self.focus!r} does not tell its position"):
            return float(self.core.getPosition(self.focus))

    def move_to_um(self, z_um: float) -> None:
        """Move the focus, and return when the stage is no longer busy."""
        _require_numbers(self.focus, z_um)
        with driver(StageError, f"The stage {self.focus!r} failed on its way to {z_um:g} um"):
            self.core.setPosition(self.focus, float(z_um))
            self._wait_for(self.focus)

    def xy_um(self) -> tuple[float, float]:
        """What the xy stage reports, (x, y) in um."""
        label = self._xy_stage()
        with driver(StageError, f"The stage {label!r} does not tell its position"):
            x_um, y_um = self.core.getXYPosition(label)
        return float(x_um), float(y_um)

    def move_xy_to_um(self, x_um: float, y_um: float) -> None:
        """Move the specimen, and return when the stage is no longer busy."""
        label = self._xy_stage()
        _require_numbers(label, x_um, y_um)
        with driver(StageError, f"The stage {label!r} failed on its way to ({x_um:g}, {y_um:g})"):
            self.core.setXYPosition(label, float(x_um), float(y_um))
            self._wait_for(label)

    def abort(self) -> None:
        """Stop the stages where they are."""
        for label in filter(None, (self.focus, self.core.getXYStageDevice())):
            with driver(StageError, f"The stage {label!r} does not stop"):
                self.core.stop(label)

    # Light

    def channels(self) -> tuple[str, ...]:
        """Presets of the channel group; none where the core has no such group."""
        group = self._channel_group()
        return tuple(self.core.getAvailableConfigs(group)) if group else ()

    def channel(self) -> str:
        """Preset in use; empty where the devices match none."""
        group = self._channel_group()
        with driver(DeviceError, "The channel is not known"):
            return str(self.core.getCurrentConfig(group)) if group else ""

    def set_channel(self, name: str, *, group: str | None = None) -> None:
        """Change the channel; DeviceError if a device in it fails."""
        group = group or self._channel_group()
        known = self.core.getAvailableConfigs(group) if group else ()
        if name not in known:
            raise UnknownNameError("channel", name, known)
        with driver(DeviceError, f"The channel {name!r} could not be set"):
            self.core.setConfig(group, name)
            self.core.waitForConfig(group, name)

    def light_is_on(self) -> bool:
        """Whether the shutter is open."""
        with driver(DeviceError, "The shutter does not tell its state"):
            return bool(self.core.getShutterOpen())

    def set_light(self, on: bool) -> None:
        """Open or close the shutter."""
        with driver(DeviceError, "The shutter does not move"):
            self.core.setShutterOpen(bool(on))

    # Time

    def now_s(self) -> float:
        """Seconds since some fixed moment."""
        return float(self._now_s())

    def wait_s(self, seconds: float) -> None:
        """Sleep."""
        time.sleep(max(0.0, seconds))

    # How it works

    def _channel_group(self) -> str:
        return self._group or self.core.getChannelGroup()

    def _xy_stage(self) -> str:
        label = self.core.getXYStageDevice()
        if not label:
            raise StageError("This core has no xy stage: set one with core.setXYStageDevice.")
        return label

    def _wait_for(self, label: str) -> None:
        """Poll, since a core waits as long as its one timeout for all devices says."""
        deadline_s = time.monotonic() + self.timeout_s
        while self.core.deviceBusy(label):
            if time.monotonic() > deadline_s:
                raise StageError(
                    f"The stage {label!r} is still busy after {self.timeout_s:g} s: it stalled, "
                    "or the connection is lost."
                )
            time.sleep(POLL_S)


class StreamingCoreMicroscope(CoreMicroscope):
    """A core whose stage takes a list of positions that the camera steps it through."""

    def sweep(
        self, z_from_um: float, z_to_um: float, count: int
    ) -> Iterator[tuple[float, NDArray[Any]]]:
        """Yield (z_um, image) ``count`` times; the camera triggers each step of the stage.

        Raises
        ------
        StageError
            If the stage cannot hold so many positions, or does not start.
        CameraError
            If an image is missing.
        """
        core = self.core
        most = core.getStageSequenceMaxLength(self.focus)
        if not 2 <= count <= most:
            raise StageError(f"The stage {self.focus!r} holds 2 to {most} positions, not {count}.")
        places = [float(z) for z in np.linspace(z_from_um, z_to_um, count)]
        self.move_to_um(places[0])
        try:
            with driver(StageError, f"The stage {self.focus!r} does not start its sequence"):
                core.loadStageSequence(self.focus, places)
                core.startStageSequence(self.focus)
            with driver(CameraError, "The camera does not start its sequence"):
                core.startSequenceAcquisition(count, 0.0, True)
            for number, z_um in enumerate(places):
                yield z_um, self._next_image(number)
        finally:
            with driver(StageError, f"The stage {self.focus!r} does not end its sequence"):
                core.stopSequenceAcquisition()
                core.stopStageSequence(self.focus)

    def _next_image(self, number: int) -> NDArray[Any]:
        core = self.core
        deadline_s = time.monotonic() + self.timeout_s + self.exposure_ms() / 1000
        with driver(CameraError, f"Image {number + 1} of the sweep is missing"):
            while not core.getRemainingImageCount():
                if time.monotonic() > deadline_s or not core.isSequenceRunning():
                    raise CameraError(f"Image {number + 1} of the sweep is missing.")
                time.sleep(POLL_S)
            return grey(np.asarray(core.popNextImage()))


def grey(image: NDArray[Any]) -> NDArray[Any]:
    """An image (y, x); colour (y, x, 3 or 4) becomes luminance in the same type.

    Raises
    ------
    CameraError
        If it is neither.

    Examples
    --------
    >>> grey(np.full((1, 2, 3), 200, dtype=np.uint8))
    array([[200, 200]], dtype=uint8)
    """
    if image.ndim == 2:
        return image
    if image.ndim == 3 and image.shape[2] in (3, 4):
        mixed = image[..., :3].astype(np.float64) @ np.array(LUMINANCE)
        return np.asarray(np.rint(mixed) if image.dtype.kind in "ui" else mixed, image.dtype)
    raise CameraError(
        f"The camera gave an image of shape {image.shape}: choose a mode of one channel (y, x) or "
        "of red, green and blue (y, x, 3)."
    )
