"""``parfocal drive --map``: focus over a grid of places."""

from __future__ import annotations

from parfocal.cli.drive_outputs import complain, print_json, say, write_page, write_records
from parfocal.cli.drive_request import DriveRequest
from parfocal.cli.exits import DONE, SOME_FAILED, CallError
from parfocal.cli.microscopes import Opened
from parfocal.core.protocols import XYStage
from parfocal.drive.mapping import (
    FocusMap,
    MappingMicroscope,
    MapPoint,
    MapSettings,
    grid_um,
    map_focus,
)
from parfocal.drive.positions import Position, in_focus, write_positions
from parfocal.drive.search import Search
from parfocal.evaluate.drive_chapters import map_chapter
from parfocal.evaluate.drive_page import FocusRun


def run_map(request: DriveRequest, opened: Opened, search: Search) -> int:
    """Map, saying one line a place, and export the positions."""
    scope = opened.scope
    if request.grid is None or not isinstance(scope, XYStage):
        raise CallError("this microscope has no xy stage, so there is nothing to map.")
    places = grid_um(*request.grid, request.pitch_um, scope.xy_um())
    runs: list[FocusRun] = []

    def show(point: MapPoint) -> None:
        truth_um = None
        if opened.truth is not None:
            truth_um = opened.truth.focus_um(point.x_um, point.y_um)
        name = f"place {len(runs) + 1}: x {point.x_um:.0f}, y {point.y_um:.0f} µm"
        runs.append(FocusRun(name=name, report=point.report, setup=opened.setup, truth_um=truth_um))
        if not request.as_json:
            say(point_line(point))

    try:
        told = map_focus(
            _mapping(opened),
            places,
            limits=opened.limits.model_copy(update={"max_images": None}),
            settings=MapSettings(
                tolerance_um=request.tolerance_um, max_images=opened.limits.max_images
            ),
            search=search,
            measure=request.measure,
            setup=opened.setup,
            keep_images=request.keeps_images,
            on_point=show,
        )
    except KeyboardInterrupt:
        x_um, y_um = scope.xy_um()
        complain(
            f"interrupted; the stages stand at x {x_um:.0f}, y {y_um:.0f}, "
            f"z {scope.position_um():.2f} um."
        )
        raise
    _tell(request, opened, told)
    _export(request, told)
    write_records(
        request, opened, [(f"place-{k + 1:03d}", run.report) for k, run in enumerate(runs)]
    )
    truths = None
    if opened.truth is not None:
        truths = [opened.truth.focus_um(x, y) for x, y in told.places]
    write_page(request, opened, runs, chapters=map_chapter(told, truths))
    return SOME_FAILED if told.ended == "failed" else DONE


def _mapping(opened: Opened) -> MappingMicroscope:
    if not isinstance(opened.scope, MappingMicroscope):
        raise CallError("this microscope has no xy stage, so there is nothing to map.")
    return opened.scope


def point_line(point: MapPoint) -> str:
    """One place in one line."""
    report = point.report
    where = "" if report.z_um is None else f"z {report.z_um:9.2f} um  "
    return (
        f"x {point.x_um:9.1f}  y {point.y_um:9.1f} um  {report.status!s:9s} {where}"
        f"{point.images:3d} images" + ("" if report.found else f"  {report.reason}")
    )


def _tell(request: DriveRequest, opened: Opened, told: FocusMap) -> None:
    if request.as_json:
        print_json("map", microscope=opened.name, map=told.to_dict())
        return
    say(f"{told.ended}: {told.reason}; {len(told.points)} places, {told.images} images")
    if told.surface is not None:
        tilt_x, tilt_y = told.surface.tilt_um_per_mm
        say(f"  tilt {tilt_x:+.2f} um/mm along x, {tilt_y:+.2f} along y")
    say(f"  stage: now at {opened.scope.position_um():.2f} um")


def _export(request: DriveRequest, told: FocusMap) -> None:
    """Write all places of the grid at the z that the surface gives."""
    if request.positions is None:
        return
    if told.surface is None:
        complain(f"--positions {request.positions} was not written: focus was found nowhere.")
        return
    pitch = request.pitch_um
    left, top = (min(place[axis] for place in told.places) for axis in (0, 1))
    held = [
        Position(
            x_um=x, y_um=y, name=f"P{k + 1:03d}",
            grid_row=round((y - top) / pitch), grid_column=round((x - left) / pitch),
        )
        for k, (x, y) in enumerate(told.places)
    ]  # fmt: skip
    write_positions(request.positions, in_focus(held, told.surface), overwrite=request.overwrite)
    if not request.as_json:
        say(f"positions: {request.positions}")
