"""A microscope in a few lines: an analytic focus curve, a clock of its own, and faults to order."""

from __future__ import annotations

import numpy as np


class FakeScope:
    """A texture whose contrast falls off around ``focus_um``.

    ``faults`` maps the number of a move (from 0) to what happens: "raise", "stall" (half the
    way), "lie" (reports 3 um too much from then on), "nan" (reports no number from then on),
    "slow" (takes 1000 s), "interrupt"; ``snap_faults`` maps the number of an image to "raise",
    "nan", "shape", "colour", "interrupt".
    """

    def __init__(
        self,
        *,
        z_um=10.0,
        focus_um=12.0,
        width_um=1.5,
        size=32,
        exposure=10.0,
        contrast=400.0,
        noise=1.0,
        faults=None,
        snap_faults=None,
        curve=None,
        light=None,
        seed=0,
    ):
        self.z_um, self.focus_um, self.width_um = z_um, focus_um, width_um
        self.faults, self.snap_faults = faults or {}, snap_faults or {}
        self.curve, self.light = curve, light
        self.exposure, self.contrast, self.noise = exposure, contrast, noise
        self.dice = np.random.default_rng(seed)
        texture = self.dice.normal(size=(size, size))
        self.texture = sum(np.roll(texture, step, axis) for step in (0, 1) for axis in (0, 1))
        self.commands, self.before, self.images, self.time_s = [], [], 0, 0.0
        self.aborted = 0
        self._lie_um = 0.0

    def now_s(self):
        return self.time_s

    def wait_s(self, seconds):
        self.time_s += seconds

    def exposure_ms(self):
        return self.exposure

    def set_exposure_ms(self, exposure_ms):
        self.exposure = exposure_ms

    def abort(self):
        self.aborted += 1

    def position_um(self):
        return self.z_um + self._lie_um

    def move_to_um(self, z_um):
        fault = self.faults.get(len(self.commands))
        self.before.append(self.position_um())
        self.commands.append(z_um)
        self.time_s += 1000.0 if fault == "slow" else 0.05
        if fault == "raise":
            raise OSError("serial port closed")
        if fault == "interrupt":
            raise KeyboardInterrupt
        if fault == "stall":
            self.z_um += (z_um - self.z_um) / 2
            return
        if fault == "lie":
            self._lie_um = 3.0
        if fault == "nan":
            self._lie_um = float("nan")
        self.z_um = z_um

    def snap(self):
        fault = self.snap_faults.get(self.images)
        self.images += 1
        self.time_s += self.exposure / 1000
        if fault == "raise":
            raise ConnectionError("camera gone")
        if fault == "interrupt":
            raise KeyboardInterrupt
        image = self._image()
        if fault == "nan":
            image = np.where(np.arange(len(image)) == 3, np.nan, image)
        if fault == "shape":
            return image[:-2]
        return np.stack([image] * 3, axis=-1) if fault == "colour" else image

    def _image(self):
        if self.curve is not None:
            share = self.curve(self.z_um)
        else:
            share = 1 / (1 + ((self.z_um - self.focus_um) / self.width_um) ** 2)
        noise = self.noise * self.dice.normal(size=self.texture.shape)
        light = 1.0 if self.light is None else self.light(self.images)
        return (2000 + self.contrast * share * self.texture) * light + noise


class StreamingScope(FakeScope):
    """The same, with a camera that streams while the stage moves."""

    def sweep(self, z_from_um, z_to_um, count):
        self.commands.append(z_to_um)
        self.before.append(self.position_um())
        for z_um in np.linspace(z_from_um, z_to_um, count):
            self.z_um = float(z_um)
            yield self.z_um, self.snap()
