"""``parfocal drive --dry-run``: every move that would be made, and none that is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from parfocal.cli.drive_outputs import print_json, say, summary
from parfocal.cli.drive_request import DriveRequest
from parfocal.cli.exits import DONE, CallError
from parfocal.cli.microscopes import Opened, make_limits, make_setup, open_microscope
from parfocal.core.setup import OpticalSetup
from parfocal.drive.hold import HoldSettings
from parfocal.drive.limits import Limits
from parfocal.drive.loop import autofocus
from parfocal.drive.mapping import grid_um
from parfocal.drive.record import FocusReport
from parfocal.drive.search import Search

# Where focus is put in turn, as shares of the range; beyond 1 it lies outside.
FOCUS_AT = (0.05, 0.35, 0.65, 0.95, 1.6)


class Phantom:
    """A stage without a stage: it obeys at once, and shows a pattern in focus at a given z."""

    def __init__(self, start_um: float, focus_um: float, width_um: float) -> None:
        self._z_um, self._focus_um, self._width_um = start_um, focus_um, width_um
        self._pattern = np.random.default_rng(0).normal(size=(64, 64)).cumsum(axis=1)
        self._now_s = 0.0

    def position_um(self) -> float:
        """Where it was sent."""
        return self._z_um

    def move_to_um(self, z_um: float) -> None:
        """Be there."""
        self._z_um = z_um

    def snap(self) -> NDArray[Any]:
        """The pattern, fainter with distance."""
        far = (self._z_um - self._focus_um) / self._width_um
        return np.asarray(1000.0 + 100.0 * self._pattern / (1.0 + far**2))

    def exposure_ms(self) -> float:
        """Unknown before the camera is asked; a usual one."""
        return 10.0

    def set_exposure_ms(self, exposure_ms: float) -> None:
        """Nothing to set."""

    def now_s(self) -> float:
        """No time passes."""
        return self._now_s

    def wait_s(self, seconds: float) -> None:
        """Let time pass."""
        self._now_s += seconds


def rehearse(request: DriveRequest, search: Search) -> int:
    """Print the moves: on a simulated microscope all, on a real one those that are certain."""
    if request.task == "focus" and request.virtual is not None:
        return _on_a_copy(request, search)
    start_um, limits, setup, here = _start(request)
    runs = rehearsals(start_um, limits, setup, search)
    certain, costs = common_moves(runs), sorted(len(run.shots) for run in runs)
    open_end = "certain" if all(len(run.moves) == len(certain) for run in runs) else "images"
    if request.as_json:
        print_json(
            "dry-run", nothing_moved=True, start_um=start_um, limits=limits.model_dump(),
            certain_moves_um=certain, images=[costs[0], costs[-1]], then=open_end,
            places_um=here,
        )  # fmt: skip
        return DONE
    say(f"dry run: nothing was moved. The stage stands at {start_um:g} um.")
    for line in _task_lines(request, here):
        say(line)
    _print_moves(certain, start_um)
    say(
        f"  then it depends on the images: {costs[0]} to {costs[-1]} images in rehearsals with "
        f"focus at {len(runs)} places; always between {limits.low_um:g} and {limits.high_um:g} um"
    )
    back = "the start" if limits.after_failure == "start" else "the sharpest image seen"
    say(f"  without an answer the stage goes back to {back}")
    return DONE


def _on_a_copy(request: DriveRequest, search: Search) -> int:
    """The whole run, on a simulated microscope that is thrown away."""
    opened: Opened = open_microscope(request)
    report = autofocus(
        opened.scope, search=search, limits=opened.limits, measure=request.measure,
        setup=opened.setup, region=request.region,
    )  # fmt: skip
    if request.as_json:
        print_json("dry-run", nothing_moved=True, report=report.to_dict())
        return DONE
    say("dry run on a copy of the simulated microscope: nothing was moved.")
    _print_moves([move.z_commanded_um for move in report.moves], report.start_um)
    say("it would end so:")
    for line in summary(report, truth_um=opened.truth.focus_um()):
        say(f"  {line}")
    return DONE


def _start(
    request: DriveRequest,
) -> tuple[float, Limits, OpticalSetup | None, list[tuple[float, float]]]:
    """Where the stage stands, the limits, the optics, and the places of a map."""
    if request.config is not None and request.start_um is not None:  # touch no device at all
        here = (
            [] if request.grid is None else list(grid_um(*request.grid, request.pitch_um, (0, 0)))
        )
        limits, setup = make_limits(request.limits), make_setup(request.optics, None)
        start_um = request.start_um
    else:
        opened = open_microscope(request)
        start_um, limits, setup, here = opened.scope.position_um(), opened.limits, opened.setup, []
        if request.grid is not None:
            centre = getattr(opened.scope, "xy_um", lambda: (0.0, 0.0))()
            here = list(grid_um(*request.grid, request.pitch_um, centre))
    if not limits.allow(start_um):
        raise CallError(
            f"the stage stands at {start_um:g} um, outside the limits, {limits.low_um:g} to "
            f"{limits.high_um:g} um: a run would refuse to begin."
        )
    return start_um, limits, setup, here


def rehearsals(
    start_um: float, limits: Limits, setup: OpticalSetup | None, search: Search
) -> list[FocusReport]:
    """Runs on phantoms with focus at several places."""
    low, high = limits.low_um, limits.high_um
    width = 2.0 * setup.depth_of_field_um if setup is not None else max((high - low) / 15, 1e-3)
    calm = limits.model_copy(update={"timeout_s": None})
    return [
        autofocus(
            Phantom(start_um, low + share * (high - low), width),
            search=search, limits=calm, setup=setup,
        )
        for share in FOCUS_AT
    ]  # fmt: skip


def common_moves(runs: Sequence[FocusReport]) -> list[float]:
    """Moves that all runs begin with: they do not depend on what the images show."""
    moves = [[move.z_commanded_um for move in run.moves] for run in runs]
    shared = []
    for step in zip(*moves, strict=False):
        if max(step) - min(step) > 1e-9:
            break
        shared.append(float(step[0]))
    return shared


def _print_moves(moves: Sequence[float], start_um: float) -> None:
    say(f"moves: {len(moves)}")
    before = start_um
    for number, z_um in enumerate(moves, start=1):
        say(f"  {number:4d}  to {z_um:9.2f} um  ({z_um - before:+.2f})")
        before = z_um


def _task_lines(request: DriveRequest, here: Sequence[tuple[float, float]]) -> list[str]:
    """What a watch or a map does around its focus runs."""
    if request.task == "hold" and request.hold_s is not None:
        settings = HoldSettings(every_s=request.every_s, tolerance_um=request.tolerance_um)
        checks = int(request.hold_s // settings.every_s) + 1
        return [
            f"{checks} checks, one every {settings.every_s:g} s; at each the stage follows the "
            f"prediction, or focuses where that is not known to +-{settings.tolerance_um:g} um.",
            "The first run would begin so:",
        ]
    if request.task == "map":
        rows = [f"  x {x:9.1f}  y {y:9.1f} um" for x, y in here]
        return [
            f"places of the map, focused at as many as it needs ({len(here)} at most):",
            *rows,
            "At each, a run would begin so (later ones look at less):",
        ]
    return []
