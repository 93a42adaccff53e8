"""Print what each focus search finds, and what it costs, on random scenes.

Run: ``python -m benchmarks.searches [--quick] [--jobs N]`` (200 scenes, or 40). The scenes are
those of ``search_scenes``: virtual microscopes with play, drift, bleaching and noise, starting up
to 20 depths of field from focus, inside limits of 25 on either side. One scene in ten is hard, and
is counted apart. Every search gets the same scene afresh, its optics, and ``tenengrad``.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
import torch

from benchmarks.search_scenes import Scene, make_scene
from parfocal import drive
from parfocal.core.results import Status
from parfocal.drive.brent import brent_steps, follow
from parfocal.predict import load

FIRST_SCENE, HARD_EVERY = 1000, 10
GOOD_DOF, WRONG_DOF = 0.5, 1.0
WIDE_UM = 1e5


@dataclass(frozen=True)
class PlainBrent:
    """As OughtaFocus does it: Brent's method, and the sharpest place is the answer, unjudged."""

    range_um: float = 10.0
    tolerance_um: float = 0.1

    def propose(self, eye: drive.Eye) -> drive.Proposal:
        """Follow Brent's points and answer with the sharpest."""
        low, high = eye.window_um(self.range_um)
        follow(eye, brent_steps(low, high, self.tolerance_um), "Brent's method")
        best = max(eye.shots, key=lambda shot: shot.score).z_commanded_um
        half = self.tolerance_um
        return drive.Proposal(
            status=Status.FOUND,
            reason="sharpest",
            z_um=best,
            interval_um=(best - half, best + half),
        )


# Name, search, and whether it is told the optics.
SEARCHES: dict[str, tuple[drive.Search, bool]] = {
    "OughtaFocus: Brent, 10 um, to 0.1 um": (PlainBrent(), True),
    "the same over the limits": (PlainBrent(range_um=WIDE_UM), True),
    "Brent, looking beside, over the limits": (drive.BrentSearch(range_um=WIDE_UM), True),
    "golden section over the limits": (drive.GoldenSearch(range_um=WIDE_UM), True),
    "hill climb": (drive.HillClimbSearch(), True),
    "sweep": (drive.SweepSearch(), True),
    "early stop": (drive.EarlyStopSearch(), True),
    "coarse, then fine": (drive.CoarseFineSearch(), True),
    "chain: Brent, coarse-fine, sweep": (drive.ChainSearch(), True),
    "auto: Bayesian, else coarse-fine": (drive.AutoSearch(), True),
    "Bayesian": (drive.BayesianSearch(), True),
    "Bayesian, optics unknown": (drive.BayesianSearch(), False),
}
NETWORK = {
    "network: two images, a move, a check": 0,
    "network, then landing by sharpness": 5,
}
"""Searches by the pair network, with the images that land by sharpness."""
BASELINES = ("OughtaFocus: Brent, 10 um, to 0.1 um", "the same over the limits")
RECOMMENDED = ("auto: Bayesian, else coarse-fine", "Bayesian")


@dataclass(frozen=True)
class Run:
    """One search on one scene; ``off_dof`` and ``held`` are None unless it found."""

    scene: int
    name: str
    hard: str
    search: str
    status: str
    reason: str
    off_dof: float | None
    held: bool | None
    width_dof: float | None
    images: int
    dose_ms: float
    seconds: float

    @property
    def good(self) -> bool:
        """Whether the stage was left in focus."""
        return self.off_dof is not None and abs(self.off_dof) <= GOOD_DOF

    @property
    def wrong(self) -> bool:
        """Whether it claimed focus where there is none."""
        return self.off_dof is not None and abs(self.off_dof) > WRONG_DOF


@cache
def by_network(search: str) -> drive.Search:
    """The search that a pair network does; it is loaded once."""
    return drive.PredictorSearch(
        predictor=load("pair-fluorescence"), images=2, land_images=NETWORK[search]
    )


def focus(scene: Scene, search: str) -> Run:
    """Run one search on one scene, and compare with the truth where the stage was left.

    The interval holds if it contains the stage reading at which the carriage, as it stands now,
    would be in focus: play between reading and carriage counts against it.
    """
    scope = scene.scope()
    how, told = SEARCHES[search] if search in SEARCHES else (by_network(search), True)
    setup = scene.world.setup
    report = drive.autofocus(scope, search=how, limits=scene.limits, setup=setup if told else None)
    off_dof = held = width_dof = None
    if report.found:
        off_um = scene.defocus_um(scope)
        low, high = report.interval_um
        off_dof = off_um / setup.depth_of_field_um
        held = low <= report.reached_um - off_um <= high
        width_dof = (high - low) / setup.depth_of_field_um
    return Run(
        scene.number, scene.name, scene.hard, search, str(report.status), report.reason,
        off_dof, held, width_dof, report.images, report.dose, report.seconds,
    )  # fmt: skip


def focus_all(number: int, searches: Iterable[str]) -> list[Run]:
    """Every search on one scene."""
    torch.set_num_threads(1)
    scene = make_scene(number, hard=number % HARD_EVERY == HARD_EVERY - 1)
    return [focus(scene, search) for search in searches]


def print_table(runs: list[Run]) -> None:
    """Print one line a search."""
    print("| search | in focus | wrong | images (mean) | (90 % below) | dose (ms) | time (s) |"
          " interval holds | interval (DoF) |")  # fmt: skip
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for search in (*SEARCHES, *NETWORK):
        rows = [run for run in runs if run.search == search]
        if not rows:
            continue
        found = [run for run in rows if run.held is not None]
        images = np.array([run.images for run in rows])
        held = f"{np.mean([run.held for run in found]):.0%}" if found else ""
        width = f"{np.median([run.width_dof for run in found]):.2f}" if found else ""
        print(
            f"| {search} | {np.mean([run.good for run in rows]):.1%} "
            f"| {np.mean([run.wrong for run in rows]):.1%} "
            f"| {images.mean():.1f} | {np.quantile(images, 0.9):.0f} "
            f"| {np.mean([run.dose_ms for run in rows]):.0f} "
            f"| {np.mean([run.seconds for run in rows]):.1f} | {held} | {width} |"
        )


def print_runs(runs: list[Run]) -> None:
    """Print both tables, and the recommended search against the baseline."""
    easy, hard = ([run for run in runs if bool(run.hard) is is_hard] for is_hard in (False, True))
    for title, some in (("scenes", easy), ("hard scenes (sparse, thick or dim)", hard)):
        print(f"\n{len({run.scene for run in some})} {title}:\n")
        print_table(some)
    for ours, name in itertools.product(RECOMMENDED, BASELINES):
        chosen, other = ([run for run in easy if run.search == each] for each in (ours, name))
        if not chosen or not other:
            continue
        ratio = np.mean([run.images for run in chosen]) / np.mean([run.images for run in other])
        print(
            f"\n{ours!r} takes {ratio:.2f} of the images of {name!r}, and is in focus in "
            f"{np.mean([run.good for run in chosen]):.1%} against "
            f"{np.mean([run.good for run in other]):.1%} of the scenes."
        )


def main() -> int:
    """Run all searches on all scenes and print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.searches", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="40 scenes")
    parser.add_argument("--scenes", type=int, default=200, help="how many (default 200)")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument(
        "--only",
        action="append",
        choices=[*SEARCHES, *NETWORK],
        help="these searches alone; repeatable",
    )
    parser.add_argument("--failures", action="store_true", help="list what was not in focus")
    options = parser.parse_args()
    numbers = range(FIRST_SCENE, FIRST_SCENE + (40 if options.quick else options.scenes))
    began_s = time.monotonic()
    with ProcessPoolExecutor(max_workers=options.jobs) as pool:
        work = partial(focus_all, searches=tuple(options.only or (*SEARCHES, *NETWORK)))
        runs = [run for some in pool.map(work, numbers) for run in some]
    print_runs(runs)
    print(f"\n{time.monotonic() - began_s:.0f} s in {options.jobs} processes.")
    if options.failures:
        for run in runs:
            if not run.good:
                print(run)
    return 0


if __name__ == "__main__":
    sys.exit(main())
