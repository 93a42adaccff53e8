"""Seconds for each mm^2: refocusing after capture beside a search for focus at the microscope."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from parfocal.drive import BrentSearch, Limits, autofocus
from parfocal.simulate.microscope import VirtualMicroscope
from parfocal.simulate.world import ChannelSettings
from parfocal.simulate.worlds import world_preset

FIELD_PX, PIXEL_UM = 2048, 0.325
FIELD_MM2 = (FIELD_PX * PIXEL_UM / 1000) ** 2
"""Of a camera of 2048 x 2048 px behind a 20x objective."""
MEASURES = ("vollath4", "vollath5", "std", "normalized_variance")
PUBLISHED: dict[str, float] = {
    "vollath4": 42.91, "vollath5": 39.57, "std": 37.22, "normalized_variance": 36.50,
    "Deep-R, CPU": 20.04, "Deep-R, GPU": 2.98,
}  # fmt: skip
"""Seconds for each mm^2 of the paper's table 1."""
EXPOSURE_MS, PHOTONS_PER_MS = 100.0, 40.0
RANGE_UM, TOLERANCE_UM = 10.0, 0.1
FARTHEST_START_UM = 4.5


@dataclass(frozen=True, kw_only=True)
class TimeRow:
    """How long one way to a sharp field takes.

    Parameters
    ----------
    name
        A measure by which a search goes, or what refocuses.
    seconds
        For one field, mean over runs.
    spread_s
        Standard deviation over runs.
    runs
        How many.
    images
        That a search takes, in the mean; None after capture.
    error_um
        Median distance of a search's answer from the true focus; None after capture.
    found
        Share of the searches with an answer.
    published
        The paper's seconds for each mm^2, where it has any.
    processor_s, load
        Of the processor, all threads, for one field, and how many processes wanted it; None for
        what a virtual clock tells.
    """

    name: str
    seconds: float
    spread_s: float
    runs: int
    images: float | None = None
    error_um: float | None = None
    found: float | None = None
    published: float | None = None
    processor_s: float | None = None
    load: float | None = None

    @property
    def seconds_per_mm2(self) -> float:
        """For a field of 2048 x 2048 px of 0.325 um."""
        return self.seconds / FIELD_MM2


def time_searches(
    measures: Sequence[str] = MEASURES, *, runs: int = 16, seed: int = 0
) -> list[TimeRow]:
    """Focus on beads by Brent's method as in Luo 2020, on the virtual microscope's own clock.

    A range of 10 um, a tolerance of 0.1 um, exposures of 100 ms, starts drawn within 4.5 um. The
    clock counts exposures, read-out and moves, and no computing. A frame is smaller than the
    camera's whose area is counted: neither exposure nor moves depend on it.

    Parameters
    ----------
    measures
        Rows of ``parfocal.measures.CATALOG``.
    runs
        Searches by each measure.
    seed
        Draws the starts.
    """
    light = (ChannelSettings(name="light", photons_per_ms=PHOTONS_PER_MS),)
    world = world_preset("beads-20x").changed(channels=light)
    starts = np.random.default_rng(seed).uniform(-FARTHEST_START_UM, FARTHEST_START_UM, runs)
    rows = []
    for measure in measures:
        reports, errors = [], []
        for number, start in enumerate(starts.tolist()):
            scope = VirtualMicroscope(world, seed=seed + number % 4)
            scope.set_exposure_ms(EXPOSURE_MS)
            focus = scope.truth.focus_um()
            scope.move_to_um(focus + start)
            limits = Limits(z_min_um=focus - 20.0, z_max_um=focus + 20.0, approach="any")
            search = BrentSearch(range_um=RANGE_UM, tolerance_um=TOLERANCE_UM)
            report = autofocus(scope, search=search, limits=limits, measure=measure)
            reports.append(report)
            if report.z_um is not None:
                errors.append(abs(report.z_um - focus))
        seconds = [report.seconds for report in reports]
        rows.append(
            TimeRow(
                name=measure,
                seconds=statistics.fmean(seconds),
                spread_s=statistics.pstdev(seconds),
                runs=runs,
                images=statistics.fmean(report.images for report in reports),
                error_um=statistics.median(errors) if errors else None,
                found=len(errors) / runs,
                published=PUBLISHED.get(measure),
            )
        )
    return rows


def time_refocusing(
    name: str,
    refocus: Callable[[Any], object],
    tile: np.ndarray,
    *,
    runs: int = 3,
    size_px: int = FIELD_PX,
    published: float | None = None,
) -> TimeRow:
    """Time refocusing of a field of 2048 x 2048 px that repeats a smaller one.

    Parameters
    ----------
    name
        Of the row.
    refocus
        An image (y, x) to anything.
    tile
        What is repeated, counts (y, x).
    runs
        After one that is not counted.
    size_px
        Side of the field; times are for 2048 px, in proportion to the pixels.
    published
        The paper's seconds for each mm^2.
    """  # fmt: skip
    times = [-(-size_px // side) for side in tile.shape]
    image = np.tile(tile, times)[:size_px, :size_px]
    refocus(image[: tile.shape[0], : tile.shape[1]])
    share = (FIELD_PX / size_px) ** 2
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    seconds, processor = [], []
    for _ in range(runs):
        began, spent = time.perf_counter(), time.process_time()
        refocus(image)
        seconds.append((time.perf_counter() - began) * share)
        processor.append((time.process_time() - spent) * share)
    return TimeRow(
        name=name, seconds=statistics.median(seconds), spread_s=statistics.pstdev(seconds),
        runs=runs, published=published, processor_s=statistics.median(processor), load=load,
    )  # fmt: skip
