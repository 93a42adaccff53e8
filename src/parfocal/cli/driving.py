"""Do what one call of ``parfocal drive`` asks for."""

from __future__ import annotations

from parfocal.cli.drive_outputs import (
    complain,
    print_json,
    say,
    stage_line,
    summary,
    write_page,
    write_records,
)
from parfocal.cli.drive_request import DriveRequest
from parfocal.cli.exits import DONE, SOME_FAILED, CallError
from parfocal.cli.live import watching
from parfocal.cli.microscopes import Opened, open_microscope
from parfocal.cli.searches import make_search, revived_search
from parfocal.core.errors import InputError
from parfocal.core.results import Status
from parfocal.drive.loop import autofocus
from parfocal.drive.record import FocusReport
from parfocal.drive.search import Search
from parfocal.drive.shots import Region, Sharpness
from parfocal.evaluate.drive_page import FocusRun


def run_drive(request: DriveRequest) -> int:
    """Open the microscope, do the task, print and write what came of it."""
    search = make_search(
        request.search, request.search_options, model=request.model, device=request.device
    )
    if request.dry_run:
        from parfocal.cli.rehearsal import rehearse

        return rehearse(request, search)
    opened = open_microscope(request)
    check_measure(request, opened)
    if request.task == "hold":
        from parfocal.cli.holding import run_hold

        return run_hold(request, opened, search)
    if request.task == "map":
        from parfocal.cli.mapping import run_map

        return run_map(request, opened, search)
    if request.task == "sequence":
        from parfocal.cli.sequence import run_sequence

        return run_sequence(request, opened, search)
    return _focus(request, opened, search)


def check_measure(request: DriveRequest, opened: Opened) -> None:
    """Raise CallError for a measure that is unknown, or needs optics that are not."""
    try:
        Sharpness(request.measure, opened.setup)
    except InputError as error:
        raise CallError(str(error)) from error


def _as_recorded(
    request: DriveRequest, opened: Opened, search: Search
) -> tuple[Search, str, Region | None]:
    """Search, measure and region of a replay: those of the record unless the call names others."""
    session, record = opened.session or {}, opened.record
    if record is None:
        return search, request.measure, request.region
    if request.search == "auto" and not request.search_options:
        try:
            search = revived_search(record.search, device=request.device)
        except InputError as error:
            raise CallError(f"the record's search cannot be repeated: {error}") from error
    region = request.region or session.get("region")
    recorded = session.get("measure", request.measure)
    measure = recorded if request.measure == "tenengrad" else request.measure
    return search, str(measure), region and tuple(region)


def _focus(request: DriveRequest, opened: Opened, search: Search) -> int:
    """Focus once."""
    kept: list[FocusReport] = []
    search, measure, region = _as_recorded(request, opened, search)
    try:
        with watching(silent=request.as_json) as show:
            report = autofocus(
                opened.scope,
                search=search,
                limits=opened.limits,
                measure=measure,
                setup=opened.setup,
                region=region,
                keep_images=request.keeps_images,
                on_shot=show,
                on_report=kept.append,
            )
    except KeyboardInterrupt:
        if kept:
            complain(f"interrupted; stage {stage_line(kept[-1])}")
        raise
    truth_um = None if opened.truth is None else opened.truth.focus_um()
    if request.as_json:
        print_json("focus", microscope=opened.name, true_focus_um=truth_um, report=report.to_dict())
    else:
        for line in summary(report, truth_um=truth_um):
            say(line)
    name = f"{report.search.get('kind', 'search')} search"
    run = FocusRun(name=name, report=report, setup=opened.setup, truth_um=truth_um)
    write_records(request, opened, [("", report)])
    write_page(request, opened, [run])
    return SOME_FAILED if report.status == Status.FAILED else DONE
