"""``parfocal score``: where each stack is in focus, and how sure that is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from parfocal.cli import options as opt
from parfocal.cli.exits import CallError

SCORING = "Scoring"


def score(
    inputs: opt.Stacks = None,
    *,
    z_step_um: opt.ZStep = None,
    planes: opt.PlaneNumbers = False,
    pixel_um: opt.Pixel = None,
    channel: opt.Channel = None,
    time: opt.TimePoint = None,
    position: opt.Position = None,
    crop_common: opt.CropCommon = False,
    na: opt.Na = None,
    wavelength_nm: opt.Wavelength = None,
    immersion_index: opt.ImmersionIndex = None,
    sample_index: opt.SampleIndex = None,
    measure: Annotated[
        str, typer.Option(help="Focus measure; 'list' shows them all.", rich_help_panel=SCORING)
    ] = "auto",
    region: Annotated[
        str | None,
        typer.Option(
            metavar="Y0:Y1,X0:X1", help="Judge only these pixels.", rich_help_panel=SCORING
        ),
    ] = None,
    tile_px: Annotated[
        int | None,
        typer.Option(help="Side of the tiles that vote, in px.", min=8, rich_help_panel=SCORING),
    ] = None,
    modality: Annotated[
        Literal["auto", "intensity", "phase"],
        typer.Option(
            metavar="<kind>",
            help="auto, intensity (contrast is highest in focus) or phase (least).",
            rich_help_panel=SCORING,
        ),
    ] = "auto",
    tissue_only: Annotated[
        bool,
        typer.Option(
            "--tissue-only/--whole-field",
            help="Whether background tiles stay silent.",
            rich_help_panel=SCORING,
        ),
    ] = True,
    device: Annotated[
        str, typer.Option(help="cpu, cuda or auto.", rich_help_panel=SCORING)
    ] = "cpu",
    as_json: opt.Json = False,
    as_csv: opt.Csv = False,
    output: opt.OutputFile = None,
    report: Annotated[
        Path | None,
        typer.Option(help="Write one HTML page with figures.", rich_help_panel=opt.OUTPUT),
    ] = None,
    depth_map: Annotated[
        Path | None,
        typer.Option(
            help="Write the depth map as OME-TIFF; a folder for many inputs.",
            rich_help_panel=opt.OUTPUT,
        ),
    ] = None,
    fuse: Annotated[
        Path | None,
        typer.Option(
            help="Write the extended depth of field as OME-TIFF; a folder for many inputs.",
            rich_help_panel=opt.OUTPUT,
        ),
    ] = None,
    overwrite: opt.Overwrite = False,
    list_measures: Annotated[
        bool,
        typer.Option("--list-measures", help="Show the focus measures.", rich_help_panel=SCORING),
    ] = False,
    debug: opt.Debug = False,
) -> int:
    """Say where each stack is in focus, in um, and how sure that is.

    z and pixel size come from the files' metadata; where they are missing, an option gives them.
    """
    if list_measures or measure == "list":
        from parfocal.cli.catalogue import print_measures

        return print_measures()
    if not inputs:
        raise CallError("no input: give files, folders or globs. See: parfocal score --help")
    if "" in inputs:
        raise CallError("an INPUT is empty; give files, folders or globs (. is this folder).")
    from parfocal.cli.request import ScoreRequest, check_optics, choose_form, parse_region

    check_optics(na, immersion_index)
    opening = {
        "z_step_um": z_step_um,
        "pixel_um": pixel_um,
        "channel": channel,
        "time": time,
        "position": position,
        "crop_common": crop_common,
        "z_in_planes": planes,
        "na": na,
        "wavelength_nm": wavelength_nm,
        "immersion_index": immersion_index,
        "sample_index": sample_index,
    }
    request = ScoreRequest(
        inputs=tuple(inputs),
        opening=opening,
        measure=measure,
        region=parse_region(region),
        tile_px=tile_px,
        modality=modality,
        tissue_only=tissue_only,
        device=device,
        form=choose_form(as_json=as_json, as_csv=as_csv, output=output),
        output=output,
        report=report,
        depth_map=depth_map,
        fuse=fuse,
        overwrite=overwrite,
        debug=debug,
    )
    from parfocal.cli.scoring import run_score  # loads torch: only when the call is right

    return run_score(request)
