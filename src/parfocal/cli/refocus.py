"""``parfocal refocus``: bring blurred images into focus after capture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from parfocal.cli import options as opt
from parfocal.cli.exits import CallError

HOW = "How it is refocused"


def refocus(
    inputs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="INPUT... OUT",
            help="Files, folders or globs; last, what to write: NAME.ome.tif, NAME.ome.zarr, or a "
            "folder for many.",
            show_default=False,
        ),
    ] = None,
    *,
    method: Annotated[
        str,
        typer.Option(
            metavar="<kind>",
            help="auto (a network where there is one and no distance is given), network, "
            "richardson-lucy, landweber or wiener.",
            rich_help_panel=HOW,
        ),
    ] = "auto",
    model: Annotated[
        str | None,
        typer.Option(
            help="A network's name, or its folder; deep-r-fluorescence, and for surfaces "
            "deep-z-fluorescence, if not given; deep-r-brightfield is for stains.",
            rich_help_panel=HOW,
        ),
    ] = None,
    defocus_um: Annotated[
        float | None,
        typer.Option(
            help="Distance from focus in um, for deconvolution; estimated if not given.",
            rich_help_panel=HOW,
        ),
    ] = None,
    interval_um: Annotated[
        str | None,
        typer.Option(
            metavar="LOW,HIGH",
            help="90 % interval of --defocus-um; too wide a one is declined.",
            rich_help_panel=HOW,
        ),
    ] = None,
    surface: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|tilt|UM",
            help="Height above the image's plane to focus on: a map, the tilt that a short stack "
            "shows, or one number.",
            rich_help_panel=HOW,
        ),
    ] = None,
    iterations: Annotated[
        int | None, typer.Option(help="Steps of deconvolution.", rich_help_panel=HOW)
    ] = None,
    background: Annotated[
        float | None,
        typer.Option(
            help="Counts without light, for deconvolution; the darkest 8 x 8 px if not given.",
            rich_help_panel=HOW,
        ),
    ] = None,
    spherical_waves: Annotated[
        float | None,
        typer.Option(
            help="Primary spherical aberration in waves RMS, of a sample index or a coverslip "
            "unlike what the objective is made for: deconvolution undoes it, and the network of "
            "surfaces tells above from below by it.",
            rich_help_panel=HOW,
        ),
    ] = None,
    keep_untrusted: Annotated[
        str,
        typer.Option(
            metavar="<kind>",
            help="What stands where trust is below 0.5: the answer, or the input.",
            rich_help_panel=HOW,
        ),
    ] = "answer",
    device: Annotated[str, typer.Option(help="cpu, cuda or auto.", rich_help_panel=HOW)] = "cpu",
    plane: Annotated[
        int | None,
        typer.Option(help="Plane of a stack, from 0.", min=0, rich_help_panel=opt.TAKEN),
    ] = None,
    channel: opt.Channel = None,
    time: opt.TimePoint = None,
    position: opt.Position = None,
    z_step_um: opt.ZStep = None,
    saturation: Annotated[
        float | None,
        typer.Option(
            help="Counts at which the camera clips; the type's largest if not given.",
            rich_help_panel=opt.TAKEN,
        ),
    ] = None,
    modality: Annotated[
        str | None,
        typer.Option(help="What the light is, where the file is wrong.", rich_help_panel=opt.TAKEN),
    ] = None,
    na: opt.Na = None,
    wavelength_nm: opt.Wavelength = None,
    pixel_um: opt.Pixel = None,
    immersion_index: opt.ImmersionIndex = None,
    sample_index: opt.SampleIndex = None,
    file_format: Annotated[
        str,
        typer.Option("--format", metavar="<kind>", help="In a folder: ome-tiff or ome-zarr.",
                     rich_help_panel=opt.OUTPUT),
    ] = "ome-tiff",
    as_json: opt.Json = False,
    as_csv: opt.Csv = False,
    output: opt.OutputFile = None,
    report: Annotated[
        Path | None,
        typer.Option(help="Write one HTML page with pictures.", rich_help_panel=opt.OUTPUT),
    ] = None,
    overwrite: opt.Overwrite = False,
    debug: opt.Debug = False,
) -> int:  # fmt: skip
    """Bring blurred images into focus, and say where to believe it.

    Writes each image with its map of trust beside it. Raw data stays as it is; what cannot be
    refocused is listed with its reason, and nothing is written. A large image that was stopped
    half-way goes on when the same command is given again.
    """
    if not inputs or "" in inputs:
        raise CallError("no input: give files, folders or globs, and OUT. See: parfocal refocus -h")
    if len(inputs) < 2:
        raise CallError(f"{inputs[0]}: and what to write? Add NAME.ome.tif, or a folder.")
    from parfocal.cli.refocus_request import (
        FORMATS,
        RefocusRequest,
        check_method,
        parse_interval,
        parse_surface,
    )
    from parfocal.cli.request import check_optics, choose_form

    check_optics(na, immersion_index)
    if file_format not in FORMATS:
        raise CallError(f"--format {file_format!r}: choose one of: {', '.join(FORMATS)}.")
    request = RefocusRequest(
        inputs=tuple(inputs[:-1]),
        out=Path(inputs[-1]).expanduser(),
        opening={
            "singly": True,
            "z_in_planes": True,
            "z_step_um": z_step_um,
            "channel": channel,
            "time": time,
            "position": position,
            "modality": modality,
            "na": na,
            "wavelength_nm": wavelength_nm,
            "pixel_um": pixel_um,
            "immersion_index": immersion_index,
            "sample_index": sample_index,
        },
        plane=plane,
        method=method,
        model=model,
        defocus_um=defocus_um,
        interval_um=parse_interval(interval_um),
        surface=parse_surface(surface),
        iterations=iterations,
        background=background,
        spherical_waves=spherical_waves,
        saturation_counts=saturation,
        untrusted=keep_untrusted,
        device=device,
        ending=FORMATS[file_format],
        form=choose_form(as_json=as_json, as_csv=as_csv, output=output),
        output=output,
        report=report,
        overwrite=overwrite,
        debug=debug,
    )
    check_method(request)
    from parfocal.cli.refocusing import run_refocus  # loads torch: only when the call is right

    return run_refocus(request)
