"""A microscope that behaves like a real one."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from parfocal.core.errors import CameraError, InputError, StageError, UnknownNameError
from parfocal.core.setup import OpticalSetup
from parfocal.simulate.clocks import RealClock, SimulatedClock
from parfocal.simulate.exposing import Exposer
from parfocal.simulate.faults import FaultSettings
from parfocal.simulate.ledger import DoseLedger
from parfocal.simulate.optical_path import OpticalPath
from parfocal.simulate.scene import MakeImages, real_renderer
from parfocal.simulate.stages import Axis
from parfocal.simulate.terrain import Drift, Terrain
from parfocal.simulate.truth import Truth
from parfocal.simulate.world import WorldSettings
from parfocal.simulate.worlds import world_preset


class VirtualMicroscope:
    """A simulated microscope that offers every protocol of ``core.protocols``.

    Camera, z and xy stages, shutter, channels, LED array and light-sheet offset act on one
    specimen. Stages have backlash, limits and stalls; focus drifts; light bleaches; frames fail:
    whatever ``world`` says. A stage at z above focus sees a positive defocus.

    Parameters
    ----------
    world
        Settings, or the name of a preset (``WORLDS``).
    seed, time
        Replace those of the settings.
    make_images
        Maker of the renderer from optics and imaging; a ``Renderer`` if not given.
    device
        Where images are computed.

    Raises
    ------
    UnknownNameError
        If there is no such preset.

    Notes
    -----
    Bleaching is even over the depth and taken from the finished image, which is exact away from
    the edges of bleached fields. Fields are placed to whole camera pixels.

    Examples
    --------
    >>> scope = VirtualMicroscope("beads-20x", seed=1)
    >>> scope.move_to_um(scope.truth.focus_um() + 5.0)
    >>> scope.snap().shape, round(scope.truth.defocus_um(), 3)
    ((256, 256), 5.0)
    """

    def __init__(
        self,
        world: WorldSettings | str = "fluorescence-20x",
        *,
        seed: int | None = None,
        time: str | None = None,
        make_images: MakeImages | None = None,
        device: str = "cpu",
    ) -> None:
        settings = world_preset(world) if isinstance(world, str) else world
        changes = {"seed": seed, "time": time}
        settings = settings.changed(**{k: v for k, v in changes.items() if v is not None})
        self.world = settings
        self.setup: OpticalSetup = settings.setup
        self.ledger = DoseLedger()
        self._lock = threading.RLock()
        self._clock = RealClock() if settings.time == "real" else SimulatedClock()
        self._aborts = 0
        terrain = Terrain(settings.surface, settings.empty, seed=settings.seed)
        drift = Drift(settings.drift, seed=settings.seed)
        make = make_images or real_renderer(device)
        self._path = OpticalPath(
            settings, terrain, drift, ledger=self.ledger, make_images=make, device=device
        )
        self._z, self._x, self._y = _axes(settings)
        self._exposer = Exposer(settings, self._path, self.ledger)
        self.truth = Truth(self._path, (self._z, self._x, self._y), self.now_s)

    # Camera

    def snap(self) -> NDArray[Any]:
        """Take one image (y, x), in whole counts.

        Raises
        ------
        CameraError
            If the frame fails; its light is spent.
        """
        with self._lock:
            start_s = self.now_s()
            self._wait_until(start_s + self._exposer.exposure_ms / 1000)
            image = self._expose(start_s)
            self._wait_until(self.now_s() + self.world.detector.readout_ms / 1000)
        return image

    def exposure_ms(self) -> float:
        """Exposure of the next image, in ms."""
        return self._exposer.exposure_ms

    def set_exposure_ms(self, exposure_ms: float) -> None:
        """Set the exposure; CameraError outside the camera's range."""
        detector = self.world.detector
        if not detector.least_ms <= exposure_ms <= detector.most_ms:
            raise CameraError(
                f"The camera exposes for {detector.least_ms:g} .. {detector.most_ms:g} ms, "
                f"not for {exposure_ms:g} ms; the exposure stays {self._exposer.exposure_ms:g} ms."
            )
        self._exposer.exposure_ms = exposure_ms

    def gain(self) -> float:
        """Counts per electron of the next image; auto-gain changes it."""
        return self._exposer.gain

    # Stages

    def position_um(self) -> float:
        """What the focus stage reports, in um."""
        return self._z.reading_um(self.now_s())

    def move_to_um(self, z_um: float) -> None:
        """Move the focus, and return when settled.

        Raises
        ------
        StageError
            If the goal is outside the soft limits (nothing has moved), or the stage runs into a
            hard limit, stalls or is stopped (the text says where it stands).
        """
        with self._lock:
            self.begin_move_to_um(z_um)
            self._settle(self._z)

    def begin_move_to_um(self, z_um: float) -> None:
        """Set off and return at once; ``is_moving`` tells when it is over."""
        with self._lock:
            self._path.light.settle(self.now_s(), self._place())
            self._z.begin(float(z_um), now_s=self.now_s())

    def xy_um(self) -> tuple[float, float]:
        """What the xy stage reports, (x, y) in um."""
        now_s = self.now_s()
        return self._x.reading_um(now_s), self._y.reading_um(now_s)

    def move_xy_to_um(self, x_um: float, y_um: float) -> None:
        """Move the specimen so that the point (x, y) is in the middle; as ``move_to_um``."""
        with self._lock:
            self.begin_move_xy_to_um(x_um, y_um)
            self._settle(self._x, self._y)

    def begin_move_xy_to_um(self, x_um: float, y_um: float) -> None:
        """Set off and return at once."""
        with self._lock:
            self._y.refuse(float(y_um))  # before x sets off, which asks for itself
            now_s = self.now_s()
            self._path.light.settle(now_s, self._place())
            self._x.begin(float(x_um), now_s=now_s)
            self._y.begin(float(y_um), now_s=now_s)

    def is_moving(self, stage: str = "z") -> bool:
        """Whether a stage ("z", "xy") is on its way; raises StageError once if its move failed."""
        axes = (self._z,) if stage == "z" else (self._x, self._y)
        now_s = self.now_s()
        if any(now_s < axis.ready_s for axis in axes):
            return True
        for axis in axes:
            axis.finish(now_s)
        return False

    def sweep(
        self, z_from_um: float, z_to_um: float, count: int
    ) -> Iterator[tuple[float, NDArray[Any]]]:
        """Stream ``count`` images while the stage travels; images blur by what it travels.

        The stage goes to ``z_from_um``, sets off, and is as fast as the frame rate and its own
        speed allow.

        Raises
        ------
        StageError
            Before anything moves if either end is outside the soft limits; if the stage stalls.
        CameraError
            If a frame fails; the stage is stopped where it is.
        """
        if count < 2:
            raise InputError(f"A sweep needs at least 2 images, but count came as {count}.")
        self._z.refuse(float(z_from_um))
        self._z.refuse(float(z_to_um))
        return self._sweep(float(z_from_um), float(z_to_um), count)

    def abort(self) -> None:
        """Stop every stage where it is, from any thread; a move under way raises StageError."""
        self._aborts += 1
        now_s = self.now_s()
        for axis in (self._z, self._x, self._y):
            axis.stop(now_s)
        self._clock.interrupt()

    # Light

    def channels(self) -> tuple[str, ...]:
        """Names of the channels."""
        return tuple(channel.name for channel in self.world.channels)

    def channel(self) -> str:
        """Name of the channel in use."""
        return self._path.channel.name

    def set_channel(self, name: str) -> None:
        """Change the channel."""
        if name not in self.channels():
            raise UnknownNameError("channel", name, self.channels())
        with self._lock:
            self._path.channel = self.world.channel(name)

    def light_is_on(self) -> bool:
        """Whether the shutter is open between images."""
        return self._path.light.on

    def set_light(self, on: bool) -> None:
        """Open or close the shutter; while it is open the specimen bleaches."""
        with self._lock:
            self._path.light.settle(self.now_s(), self._place())
            self._path.light.on = bool(on)

    def auto_shutter(self) -> bool:
        """Whether each exposure opens the shutter by itself."""
        return self._path.light.auto_shutter

    def set_auto_shutter(self, on: bool) -> None:
        """Let exposures open the shutter, or leave it to ``set_light``."""
        self._path.light.auto_shutter = bool(on)

    def leds(self) -> tuple[tuple[float, float], ...]:
        """Directions (na_y, na_x) of the lamps that shine."""
        return self._path.leds

    def set_leds(self, na_yx: Sequence[tuple[float, float]]) -> None:
        """Shine from these directions; InputError where the microscope has no LED array."""
        with self._lock:
            self._path.set_leds(tuple((float(y), float(x)) for y, x in na_yx))

    def sheet_offset_um(self) -> float:
        """z of the sheet minus z of the focal plane, as commanded, in um."""
        return self._path.sheet_offset_um

    def set_sheet_offset_um(self, offset_um: float) -> None:
        """Move the sheet; InputError where the microscope has no light sheet."""
        with self._lock:
            self._path.set_sheet_offset_um(float(offset_um))

    # Time

    def now_s(self) -> float:
        """Seconds since the microscope was made."""
        return self._clock.now_s()

    def wait_s(self, seconds: float) -> None:
        """Let time pass; drift and an open shutter go on."""
        if not (seconds >= 0 and math.isfinite(seconds)):
            raise InputError(f"Wait for 0 seconds or more, not for {seconds:g}.")
        with self._lock:
            self._wait_until(self.now_s() + seconds)
            self._path.light.settle(self.now_s(), self._place())

    # Faults

    def faults(self) -> FaultSettings:
        """What goes wrong from now on."""
        return self._exposer.faults

    def set_faults(self, faults: FaultSettings) -> None:
        """Change what goes wrong; attempts are counted from the beginning all the same."""
        with self._lock:
            self._exposer.faults = faults
            self._z.stalls, self._z.hangs, self._z.hang_s = (
                faults.z_stalls, faults.z_hangs, faults.hang_s,
            )  # fmt: skip
            self._x.stalls = self._y.stalls = faults.xy_stalls

    def moves(self) -> int:
        """Moves of the focus so far: the next one has this number plus 1."""
        return self._z.moves

    # How it works

    def _place(self) -> tuple[int, int]:
        now_s = self.now_s()
        return self._path.scenery.place(self._x.carriage_um(now_s), self._y.carriage_um(now_s))

    def _wait_until(self, time_s: float) -> None:
        while (left_s := time_s - self.now_s()) > 0:
            self._clock.wait_s(left_s)

    def _settle(self, *axes: Axis) -> None:
        """Wait until axes are ready; an abort makes them ready at once."""
        while (left_s := max(axis.ready_s for axis in axes) - self.now_s()) > 1e-9:
            self._clock.wait_s(left_s)
        for axis in axes:
            axis.finish(self.now_s() + 1e-9)

    def _expose(self, start_s: float) -> NDArray[Any]:
        """The image of an exposure that is over."""
        return self._exposer.expose(
            start_s=start_s,
            carriage_um=self._z.carriage_um,
            z_um=self._z.reading_um(start_s + self._exposer.exposure_ms / 2000),
            z_commanded_um=self._z.commanded_um,
            xy_um=self.xy_um(),
            place=self._place(),
        )

    def _sweep(
        self, z_from_um: float, z_to_um: float, count: int
    ) -> Iterator[tuple[float, NDArray[Any]]]:
        self.move_to_um(z_from_um)
        aborts = self._aborts
        exposure_s = self._exposer.exposure_ms / 1000
        period_s = exposure_s + self.world.detector.readout_ms / 1000
        # The stage is at either end in the middle of the first and of the last exposure.
        travel_s = max(
            (count - 1) * period_s, abs(z_to_um - z_from_um) / self.world.z.speed_um_per_s
        )
        speed = max(abs(z_to_um - z_from_um) / travel_s, 1e-12)
        with self._lock:
            start_s = self.now_s()
            self._wait_until(start_s + 0.5 * exposure_s)
            self._z.begin(z_to_um, now_s=self.now_s(), speed_um_per_s=speed)
        try:
            for number in range(count):
                with self._lock:
                    begin_s = start_s + number * travel_s / (count - 1)
                    self._wait_until(begin_s + exposure_s)
                    middle_s = begin_s + 0.5 * exposure_s
                    if self._aborts != aborts:
                        raise StageError(
                            f"The sweep was stopped; the stage stands at {self.position_um():g} um."
                        )
                    self._z.finish(middle_s)
                    image = self._expose(begin_s)
                yield self._z.reading_um(middle_s), image
            self._settle(self._z)
        finally:
            self._z.stop(self.now_s())


def _axes(world: WorldSettings) -> tuple[Axis, Axis, Axis]:
    """The z, x and y axes, each with dice of its own."""
    faults = world.faults
    dice = [np.random.default_rng([world.seed, 10 + number]) for number in range(3)]
    z = Axis(
        world.z,
        name="focus",
        generator=dice[0],
        stalls=faults.z_stalls,
        hangs=faults.z_hangs,
        hang_s=faults.hang_s,
    )
    x = Axis(world.x, name="x", generator=dice[1], stalls=faults.xy_stalls)
    return z, x, Axis(world.y, name="y", generator=dice[2], stalls=faults.xy_stalls)
