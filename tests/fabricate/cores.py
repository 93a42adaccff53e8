"""A Micro-Manager core of a few Python devices, with a focus curve of its own and faults to order.

Nothing here is parfocal's virtual microscope: drivers raise what drivers raise.
"""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
from pymmcore_plus.experimental.unicore import (
    SimpleCameraDevice,
    StageDevice,
    StateDevice,
    UniMMCore,
    XYStageDevice,
)

from tests.fabricate.microscopes import FakeScope

OFFSETS_UM = {"red": 0.0, "blue": 2.0}


class Rig(FakeScope):
    """A tilted specimen in two colours; ``empty`` fields hold nothing, ``drift`` is um per s."""

    def __init__(self, *, tilt=0.0, drift=0.0, empty=(), colour=False, **values):
        super().__init__(**{"size": 48, "z_um": 0.0, "focus_um": 0.0} | values)
        self.tilt, self.drift, self.empty, self.colour = tilt, drift, empty, colour
        self.xy, self.channel, self.busy_for, self.xy_fails = (0.0, 0.0), "red", 0, 0
        self.base_um, self.full = self.focus_um, self.contrast
        self.taken = []

    def truth_um(self):
        return (
            self.base_um + self.tilt * self.xy[0] + self.drift * self.time_s
            + OFFSETS_UM[self.channel]
        )  # fmt: skip

    def snap(self):
        self.focus_um = self.truth_um()
        self.contrast = 0.0 if self.xy in self.empty else self.full
        self.taken.append((self.xy, self.channel, self.z_um - self.focus_um))
        return super().snap()


class Eye(SimpleCameraDevice):
    def __init__(self, rig):
        super().__init__()
        self.rig = rig

    def get_exposure(self):
        return self.rig.exposure

    def set_exposure(self, exposure):
        if exposure > 1000:
            raise ValueError("exposure too long")
        self.rig.exposure = exposure

    def sensor_shape(self):
        side = len(self.rig.texture)
        return (side, side, 3) if self.rig.colour else (side, side)

    def dtype(self):
        return np.uint16

    def snap(self, buffer):
        image = np.clip(self.rig.snap(), 0, 65535).astype(np.uint16)
        buffer[:] = image[..., None] if self.rig.colour else image
        return {}


class Drive(StageDevice):
    def __init__(self, rig):
        super().__init__()
        self.rig = rig

    def set_position_um(self, val):
        self.rig.move_to_um(val)

    def get_position_um(self):
        return self.rig.position_um()

    def busy(self):
        self.rig.busy_for -= 1
        return self.rig.busy_for >= 0

    def home(self):
        self.set_position_um(0.0)

    def stop(self):
        self.rig.abort()

    def set_origin(self):
        raise NotImplementedError


class SteppedDrive(Drive):
    """Takes a list of positions; the camera does not trigger it here, each image steps it."""

    def get_sequence_max_length(self):
        return 20

    def send_sequence(self, sequence):
        self.places = list(sequence)

    def start_sequence(self):
        rig, places, plain = self.rig, iter(self.places), self.rig.snap

        def snap():
            rig.z_um = next(places, rig.z_um)
            return plain()

        rig.snap = snap

    def stop_sequence(self):
        self.rig.__dict__.pop("snap", None)


class Table(XYStageDevice):
    def __init__(self, rig):
        super().__init__()
        self.rig = rig

    def set_position_um(self, x, y):
        if self.rig.xy_fails:
            self.rig.xy_fails -= 1
            raise OSError("xy controller does not answer")
        self.rig.xy = (x, y)

    def get_position_um(self):
        return self.rig.xy

    def home(self):
        self.set_position_um(0.0, 0.0)

    def stop(self):
        pass

    set_origin_x = set_origin_y = stop


class Wheel(StateDevice):
    def __init__(self, rig):
        super().__init__(dict(enumerate(OFFSETS_UM)))
        self.rig = rig

    def get_state(self):
        return list(OFFSETS_UM).index(self.rig.channel)

    def set_state(self, position):
        self.rig.channel = list(OFFSETS_UM)[position]


def rig_core(folder, *, kind=UniMMCore, drive=Drive, without=(), **values):
    """A core and its rig; the clock is ``rig.now_s``."""
    rig = Rig(**values)
    core = kind(mm_path=str(folder))
    parts = {"Eye": Eye, "Drive": drive, "Table": Table, "Wheel": Wheel}
    for label, part in parts.items():
        if label not in without:
            core.loadPyDevice(label, part(rig))
    core.initializeAllDevices()
    choose = {
        "Eye": core.setCameraDevice, "Drive": core.setFocusDevice, "Table": core.setXYStageDevice
    }  # fmt: skip
    for label, choice in choose.items():
        if label not in without:
            choice(label)
    if "Wheel" not in without:
        for name in OFFSETS_UM:
            core.defineConfig("Channel", name, "Wheel", "Label", name)
        core.setChannelGroup("Channel")
    core.setAutoShutter(False)
    return SimpleNamespace(core=core, rig=rig)
