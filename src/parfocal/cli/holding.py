"""``parfocal drive --hold``: watch a field and hold its focus."""

from __future__ import annotations

from parfocal.cli.drive_outputs import complain, print_json, say, write_page
from parfocal.cli.drive_request import DriveRequest
from parfocal.cli.exits import DONE, SOME_FAILED
from parfocal.cli.microscopes import Opened
from parfocal.drive.hold import HoldCheck, HoldSettings, hold
from parfocal.drive.search import Search
from parfocal.evaluate.drive_chapters import hold_chapter


def run_hold(request: DriveRequest, opened: Opened, search: Search) -> int:
    """Hold, saying one line a check."""
    began_s: list[float] = []
    truths: list[float | None] = []

    def show(check: HoldCheck) -> None:
        began_s.append(check.time_s)
        truths.append(None if opened.truth is None else opened.truth.focus_um())
        if not request.as_json:
            say(check_line(check, began_s[0]))

    budget = {name: opened.limits.model_dump()[name] for name in ("max_images", "max_exposure_ms")}
    try:
        report = hold(
            opened.scope,
            limits=opened.limits.model_copy(update=dict.fromkeys(budget)),
            duration_s=request.hold_s or 0.0,
            settings=HoldSettings(
                every_s=request.every_s, tolerance_um=request.tolerance_um, **budget
            ),
            search=search,
            measure=request.measure,
            setup=opened.setup,
            on_check=show,
        )
    except KeyboardInterrupt:
        complain(f"interrupted; the stage stands at {opened.scope.position_um():.2f} um.")
        raise
    if request.as_json:
        print_json("hold", microscope=opened.name, report=report.to_dict())
    else:
        measured = sum(check.action == "measured" for check in report.checks)
        say(
            f"{report.ended}: {report.reason}; {len(report.checks)} checks, {measured} by images, "
            f"{report.images} images, {report.exposure_ms:g} ms of exposure"
        )
        say(f"  stage: now at {opened.scope.position_um():.2f} um")
    write_page(request, opened, [], chapters=hold_chapter(report, truths))
    return SOME_FAILED if any(check.action == "failed" for check in report.checks) else DONE


def check_line(check: HoldCheck, began_s: float) -> str:
    """One check in one line."""
    where = "" if check.z_um is None else f"z {check.z_um:9.2f} um"
    known = ""
    if check.interval_um is not None:
        known = f" +-{(check.interval_um[1] - check.interval_um[0]) / 2:.2f}"
    return (
        f"{check.time_s - began_s:8.0f} s  {check.action:9s} {where}{known}  "
        f"{check.images:3d} images  {check.reason}"
    )
