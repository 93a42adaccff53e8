"""Exposures of the virtual camera: counts, gain, faults and their price."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from parfocal.core.errors import CameraError
from parfocal.optics.noise import expose
from parfocal.simulate.ledger import DoseLedger, LedgerEntry
from parfocal.simulate.optical_path import OpticalPath
from parfocal.simulate.world import WorldSettings

STILL = 0.1  # depths of field that a carriage may travel in an exposure that counts as still
BLUR_STEP = 0.25  # depths of field between the positions that make up a moving exposure
MOST_POSITIONS = 16
WANTED_PEAK = 0.7  # share of the range that auto-gain aims the brightest pixels at
GAIN_RANGE = (0.05, 20.0)


class Exposer:
    """Turns exposures into counts, and notes each in the ledger.

    Parameters
    ----------
    world
        Settings.
    path
        Where the light comes from.
    ledger
        Where exposures are noted.
    """

    def __init__(self, world: WorldSettings, path: OpticalPath, ledger: DoseLedger) -> None:
        self._world, self._path, self._ledger = world, path, ledger
        self._noise = torch.Generator().manual_seed(world.seed)
        self._dice = np.random.default_rng([world.seed, 20])
        self.faults = world.faults
        self.exposure_ms = world.detector.exposure_ms
        self.gain = world.detector.camera.counts_per_electron

    def expose(
        self,
        *,
        start_s: float,
        carriage_um: Callable[[float], float],
        z_um: float,
        z_commanded_um: float,
        xy_um: tuple[float, float],
        place: tuple[int, int],
    ) -> NDArray[Any]:
        """Take an exposure that began at ``start_s`` and is over.

        Raises
        ------
        CameraError
            If the frame fails; light and entry are spent all the same.
        """
        exposure_ms, number = self.exposure_ms, self._ledger.images + 1
        middle_s = start_s + exposure_ms / 2000
        fails = self.faults.frames.strikes(number, generator=self._dice)
        image = None
        if not fails:
            positions = self._positions(start_s, carriage_um)
            image = self._counts(place, positions, middle_s, exposure_ms)
        self._path.light.settle(start_s + exposure_ms / 1000, place)
        entry = LedgerEntry(
            number=number,
            time_s=middle_s,
            z_commanded_um=z_commanded_um,
            z_um=z_um,
            x_um=xy_um[0],
            y_um=xy_um[1],
            channel=self._path.channel.name,
            exposure_ms=exposure_ms,
            dose=self._path.light.flash(exposure_ms, place),
            image=image is not None,
        )
        self._ledger.add(entry)
        if image is None:
            raise CameraError(
                f"The camera gave no image: exposure {number} failed. The light is spent; "
                "take the image again."
            )
        return image

    def _positions(self, start_s: float, carriage_um: Callable[[float], float]) -> list[float]:
        """Where the carriage was during an exposure: once if it stood still."""
        exposure_s, depth = self.exposure_ms / 1000, self._world.setup.depth_of_field_um
        travel = abs(carriage_um(start_s + exposure_s) - carriage_um(start_s))
        count = 1
        if travel > STILL * depth:
            count = min(MOST_POSITIONS, math.ceil(travel / (BLUR_STEP * depth)) + 1)
        shares = (np.arange(count) + 0.5) / count
        return [carriage_um(start_s + float(share) * exposure_s) for share in shares]

    def _counts(
        self, place: tuple[int, int], positions: list[float], time_s: float, exposure_ms: float
    ) -> NDArray[Any]:
        camera = self._world.detector.camera
        camera = camera.model_copy(update={"counts_per_electron": self.gain})
        photons = self._path.photons(place, positions, time_s=time_s, exposure_ms=exposure_ms)
        counts = expose(photons.cpu(), camera, generator=self._noise).numpy()
        if self._world.detector.auto_gain:
            ceiling = camera.saturation_counts - camera.offset_counts
            peak = (float(np.percentile(counts[::4, ::4], 99.9)) - camera.offset_counts) / ceiling
            factor = min(max(WANTED_PEAK / max(peak, 1e-3), 0.5), 2.0)
            self.gain = min(max(self.gain * factor, GAIN_RANGE[0]), GAIN_RANGE[1])
        return counts.astype(np.uint8 if camera.bits <= 8 else np.uint16)
