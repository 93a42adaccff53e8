"""One microscope for all devices of a Micro-Manager core: the first use builds it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from parfocal.core.errors import ParfocalError
from parfocal.simulate.microscope import VirtualMicroscope
from parfocal.simulate.world import WorldSettings
from parfocal.simulate.worlds import WORLDS, world_preset

PRESETS = tuple(row.name for row in WORLDS)


@contextmanager
def as_device_error() -> Iterator[None]:
    """Raise what a Micro-Manager device raises: RuntimeError."""
    try:
        yield
    except ParfocalError as error:
        raise RuntimeError(str(error)) from error


class Bench:
    """The one microscope that the devices of a core share, built when it is first used."""

    def __init__(self) -> None:
        self.settings: WorldSettings = world_preset(PRESETS[0])
        self.preset = PRESETS[0]
        self.settings_file = ""
        self.devices: set[int] = set()
        self._lock = threading.RLock()
        self._scope: VirtualMicroscope | None = None

    def scope(self) -> VirtualMicroscope:
        """The microscope; from now on its settings are fixed."""
        with self._lock:
            if self._scope is None:
                self._scope = VirtualMicroscope(self.settings)
            return self._scope

    def change(self, **values: object) -> None:
        """Change settings before first use; later it is refused."""
        with self._lock, as_device_error():
            if self._scope is not None:
                raise RuntimeError(
                    f"{', '.join(values)} can be set only before the microscope is used: set it "
                    "before Initialize in the configuration file, or load the devices anew."
                )
            self.settings = self.settings.changed(**values)

    def choose(self, preset: str) -> None:
        """Take another preset, keeping seed and time."""
        kept = {"seed": self.settings.seed, "time": self.settings.time}
        new = world_preset(preset)
        self.change(**{name: getattr(new, name) for name in type(new).model_fields} | kept)
        self.preset = preset

    def read(self, path: str) -> None:
        """Take the settings of a JSON file."""
        with as_device_error():
            try:
                values = json.loads(Path(path).read_text(encoding="utf-8"))
            except (OSError, ValueError) as error:
                raise RuntimeError(f"{path}: no readable settings of a world: {error}") from error
            self.change(**dict(WorldSettings.of(**values)))
        self.settings_file = path


_BENCHES: WeakKeyDictionary[Any, Bench] = WeakKeyDictionary()
_SHARED: dict[str, Bench] = {}
_LOCK = threading.Lock()


def bench_of(device: Any) -> Bench:
    """The bench of the core that has loaded a device."""
    owner = getattr(device.core.events.propertyChanged, "instance", None)
    with _LOCK:
        if owner is None:
            bench = _SHARED.setdefault("process", Bench())
        else:
            bench = _BENCHES.setdefault(owner, Bench())
        bench.devices.add(id(device))
    return bench


def leave(device: Any) -> None:
    """Take a device from its bench; the last one takes the bench along."""
    bench = bench_of(device)
    with _LOCK:
        bench.devices.discard(id(device))
        if not bench.devices:
            for table in (_BENCHES, _SHARED):
                for key in [key for key, value in table.items() if value is bench]:
                    del table[key]
