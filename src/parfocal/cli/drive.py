"""``parfocal drive``: bring a microscope to focus, hold it there, or map a field."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from parfocal.cli import options as opt

SCOPE, TASK, SEARCH = "Microscope", "What to do (default: focus once)", "Search"
LIMITS = "Limits (outside them nothing moves)"


def drive(
    *,
    virtual: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Simulated microscope; 'list' shows them.", rich_help_panel=SCOPE
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Micro-Manager hardware configuration.", rich_help_panel=SCOPE
        ),
    ] = None,
    replay: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="A run that --record saved, once more.", rich_help_panel=SCOPE
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(help="Of the simulated microscope.", rich_help_panel=SCOPE)
    ] = 0,
    start_um: Annotated[
        float | None,
        typer.Option(
            help="Where a simulated stage stands at first; for --dry-run, the real one.",
            rich_help_panel=SCOPE,
        ),
    ] = None,
    hold: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS", help="Watch and hold focus for so long.", rich_help_panel=TASK
        ),
    ] = None,
    every_s: Annotated[
        float, typer.Option(help="--hold: time between checks.", rich_help_panel=TASK)
    ] = 60.0,
    map_grid: Annotated[
        str | None,
        typer.Option("--map", metavar="NXxNY", help="Map a grid, as 5x4.", rich_help_panel=TASK),
    ] = None,
    pitch_um: Annotated[
        float, typer.Option(help="--map: distance of its places.", rich_help_panel=TASK)
    ] = 500.0,
    tolerance_um: Annotated[
        float,
        typer.Option(
            help="--hold, --map: how well focus must be known (90 %).", rich_help_panel=TASK
        ),
    ] = 0.5,
    sequence: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Run a useq sequence, focused.", rich_help_panel=TASK),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Print every move and make none.", rich_help_panel=TASK),
    ] = False,
    search: Annotated[
        str, typer.Option(help="How to look; 'list' shows all.", rich_help_panel=SEARCH)
    ] = "auto",
    option: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="Setting of the search, such as range_um=20; repeatable.",
            show_default=False,
            rich_help_panel=SEARCH,
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="--search predictor: a network, by name or folder (else pair-fluorescence).",
            rich_help_panel=SEARCH,
        ),
    ] = None,
    device: Annotated[
        str, typer.Option(help="Of the network: cpu, cuda or auto.", rich_help_panel=SEARCH)
    ] = "cpu",
    measure: Annotated[
        str,
        typer.Option(help="Focus measure; parfocal score --list-measures.", rich_help_panel=SEARCH),
    ] = "tenengrad",
    region: Annotated[
        str | None,
        typer.Option(
            metavar="Y0:Y1,X0:X1", help="Focus on these pixels only.", rich_help_panel=SEARCH
        ),
    ] = None,
    z_min_um: Annotated[
        float | None,
        typer.Option(help="Lowest stage z; required with --config.", rich_help_panel=LIMITS),
    ] = None,
    z_max_um: Annotated[
        float | None,
        typer.Option(help="Highest stage z; required with --config.", rich_help_panel=LIMITS),
    ] = None,
    max_step_um: Annotated[
        float | None, typer.Option(help="Greatest single step.", rich_help_panel=LIMITS)
    ] = None,
    approach: Annotated[
        Literal["up", "down", "any"] | None,
        typer.Option(
            metavar="up|down|any",
            help="Direction of the last move to a z (else towards the sample).",
            rich_help_panel=LIMITS,
        ),
    ] = None,
    backlash_um: Annotated[
        float | None,
        typer.Option(help="Overshoot of moves against it (else 3).", rich_help_panel=LIMITS),
    ] = None,
    settle_um: Annotated[
        float | None,
        typer.Option(help="Greatest miss of a commanded z (else 1).", rich_help_panel=LIMITS),
    ] = None,
    settle_s: Annotated[
        float | None, typer.Option(help="Wait after each move.", rich_help_panel=LIMITS)
    ] = None,
    timeout_s: Annotated[
        float | None, typer.Option(help="Longest move (else 30).", rich_help_panel=LIMITS)
    ] = None,
    max_images: Annotated[
        int | None, typer.Option(help="Budget of images.", min=1, rich_help_panel=LIMITS)
    ] = None,
    max_exposure_ms: Annotated[
        float | None, typer.Option(help="Budget of summed exposure.", rich_help_panel=LIMITS)
    ] = None,
    max_seconds: Annotated[
        float | None, typer.Option(help="Budget of time.", rich_help_panel=LIMITS)
    ] = None,
    surface_z_um: Annotated[
        float | None, typer.Option(help="Stage z of the glass in focus.", rich_help_panel=LIMITS)
    ] = None,
    working_distance_um: Annotated[
        float | None,
        typer.Option(help="Free distance of the objective there.", rich_help_panel=LIMITS),
    ] = None,
    keep_off_um: Annotated[
        float | None, typer.Option(help="Never nearer to the glass.", rich_help_panel=LIMITS)
    ] = None,
    toward_sample: Annotated[
        Literal["up", "down"] | None,
        typer.Option(
            metavar="up|down", help="Stage z that closes the gap (else up).", rich_help_panel=LIMITS
        ),
    ] = None,
    after_failure: Annotated[
        Literal["start", "best"] | None,
        typer.Option(
            metavar="start|best",
            help="Where to go without an answer (else start).",
            rich_help_panel=LIMITS,
        ),
    ] = None,
    na: opt.Na = None,
    wavelength_nm: opt.Wavelength = None,
    pixel_um: opt.Pixel = None,
    immersion_index: Annotated[
        float | None,
        typer.Option(help="1.0 air (else), 1.333 water, 1.515 oil.", rich_help_panel=opt.OPTICS),
    ] = None,
    as_json: opt.Json = False,
    report: Annotated[
        Path | None,
        typer.Option(help="Write one HTML page with every image.", rich_help_panel=opt.OUTPUT),
    ] = None,
    record: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Save what was done, with the images.", rich_help_panel=opt.OUTPUT
        ),
    ] = None,
    frames: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="--sequence: where its images go, as .ome.zarr.",
            rich_help_panel=opt.OUTPUT,
        ),
    ] = None,
    positions: Annotated[
        Path | None,
        typer.Option(
            help="--map: write positions in focus, .pos (Micro-Manager), .json (useq), .csv "
            "(Squid).",
            rich_help_panel=opt.OUTPUT,
        ),
    ] = None,
    overwrite: opt.Overwrite = False,
    debug: opt.Debug = False,
) -> int:
    """Bring a microscope to focus, within limits, and say how sure that is.

    Without an answer, and after Ctrl-C or an error, the stage goes back
    (--after-failure); the last line says where it stands.
    """
    from parfocal.cli.drive_request import DriveRequest, check_request, parse_grid, parse_settings
    from parfocal.cli.request import check_optics, parse_region

    if virtual == "list" or search == "list":
        from parfocal.cli.searches import print_microscopes, print_searches

        return print_microscopes() if virtual == "list" else print_searches()
    check_optics(na, immersion_index)
    request = DriveRequest(
        virtual=virtual,
        config=config,
        replay=replay,
        seed=seed,
        start_um=start_um,
        hold_s=hold,
        every_s=every_s,
        grid=parse_grid(map_grid),
        pitch_um=pitch_um,
        tolerance_um=tolerance_um,
        sequence=sequence,
        dry_run=dry_run,
        search=search,
        search_options=parse_settings(option or []),
        model=model,
        device=device,
        measure=measure,
        region=parse_region(region),
        limits={
            "z_min_um": z_min_um,
            "z_max_um": z_max_um,
            "max_step_um": max_step_um,
            "approach": approach,
            "backlash_um": backlash_um,
            "settle_um": settle_um,
            "settle_s": settle_s,
            "timeout_s": timeout_s,
            "max_images": max_images,
            "max_exposure_ms": max_exposure_ms,
            "max_seconds": max_seconds,
            "surface_z_um": surface_z_um,
            "working_distance_um": working_distance_um,
            "keep_off_um": keep_off_um,
            "toward_sample": toward_sample,
            "after_failure": after_failure,
        },
        optics={
            "na": na,
            "wavelength_nm": wavelength_nm,
            "pixel_um": pixel_um,
            "immersion_index": immersion_index,
        },
        as_json=as_json,
        report=report,
        record=record,
        frames=frames,
        positions=positions,
        overwrite=overwrite,
        debug=debug,
    )
    check_request(request)
    from parfocal.cli.driving import run_drive  # loads torch: only when the call is right

    return run_drive(request)
