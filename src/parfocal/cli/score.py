"""``parfocal score``: where each stack is in focus, and how sure that is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from parfocal.cli.exits import CallError

STACK, OPTICS, SCORING, OUTPUT = "How the stack was taken", "Optics", "Scoring", "Output"


def score(
    inputs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="INPUT",
            help="Files, folders, globs, or a stacks.toml.",
            show_default=False,
        ),
    ] = None,
    *,
    z_step_um: Annotated[
        float | None, typer.Option(help="Distance between planes in um.", rich_help_panel=STACK)
    ] = None,
    planes: Annotated[
        bool,
        typer.Option(
            "--planes",
            help="The z step is unknown: answer in plane numbers.",
            rich_help_panel=STACK,
        ),
    ] = False,
    pixel_um: Annotated[
        float | None,
        typer.Option(help="Pixel size in the object in um.", rich_help_panel=STACK),
    ] = None,
    channel: Annotated[
        str | None, typer.Option(help="Channel, by name or number.", rich_help_panel=STACK)
    ] = None,
    time: Annotated[
        int | None, typer.Option(help="Time point, from 0.", min=0, rich_help_panel=STACK)
    ] = None,
    position: Annotated[
        str | None, typer.Option(help="Position, by name or number.", rich_help_panel=STACK)
    ] = None,
    crop_common: Annotated[
        bool,
        typer.Option(
            "--crop-common",
            help="Planes of unequal size: use the field they share.",
            rich_help_panel=STACK,
        ),
    ] = False,
    na: Annotated[
        float | None, typer.Option(help="Numerical aperture.", rich_help_panel=OPTICS)
    ] = None,
    wavelength_nm: Annotated[
        float | None,
        typer.Option(help="Detected wavelength in nm.", rich_help_panel=OPTICS),
    ] = None,
    immersion_index: Annotated[
        float | None,
        typer.Option(help="1.0 air, 1.333 water, 1.515 oil.", rich_help_panel=OPTICS),
    ] = None,
    sample_index: Annotated[
        float | None,
        typer.Option(help="Refractive index around the specimen.", rich_help_panel=OPTICS),
    ] = None,
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
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object.", rich_help_panel=OUTPUT)
    ] = False,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="Print a CSV table.", rich_help_panel=OUTPUT)
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(help="Write the JSON or CSV to this file.", rich_help_panel=OUTPUT),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(help="Write one HTML page with figures.", rich_help_panel=OUTPUT),
    ] = None,
    depth_map: Annotated[
        Path | None,
        typer.Option(
            help="Write the depth map as OME-TIFF; a folder for many inputs.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    fuse: Annotated[
        Path | None,
        typer.Option(
            help="Write the extended depth of field as OME-TIFF; a folder for many inputs.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Replace outputs that exist.", rich_help_panel=OUTPUT),
    ] = False,
    list_measures: Annotated[
        bool,
        typer.Option("--list-measures", help="Show the focus measures.", rich_help_panel=SCORING),
    ] = False,
    debug: Annotated[
        bool,
        typer.Option("--debug", help="Show tracebacks of errors.", rich_help_panel=OUTPUT),
    ] = False,
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
