"""``parfocal segment``: which pixels of each stack are in focus, and what they make up."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from parfocal.cli import options as opt
from parfocal.cli.exits import CallError

ASKING, MAKING = "What is in focus", "What is written to the folder"


def segment(
    inputs: opt.Stacks = None,
    *,
    method: Annotated[
        str | None,
        typer.Option(
            metavar="<kind>",
            help="network, or rule (a focus measure and a threshold). Default: network, or rule "
            "where options of a rule are given.",
            show_default=False,
            rich_help_panel=ASKING,
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="A network's name, or its folder; in-focus-widefield if not given.",
            rich_help_panel=ASKING,
        ),
    ] = None,
    measure: Annotated[
        str | None,
        typer.Option(
            metavar="NAME[,NAME]",
            help="Focus measure of the rule, or several, fused; std if not given, 'list' shows "
            "them all.",
            rich_help_panel=ASKING,
        ),
    ] = None,
    threshold: Annotated[
        str | None,
        typer.Option(
            help="A rule's: otsu, li, triangle, ...; a network's: a probability.",
            rich_help_panel=ASKING,
        ),
    ] = None,
    per: Annotated[
        str | None,
        typer.Option(
            metavar="<kind>",
            help="What a rule splits: peak, stack or plane.",
            rich_help_panel=ASKING,
        ),
    ] = None,
    window_px: Annotated[
        str | None,
        typer.Option(
            metavar="PX[,PX]", help="Sides of the rule's windows.", rich_help_panel=ASKING
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda or auto.", rich_help_panel=ASKING)] = "cpu",
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
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Write here, one name a field; masks and heights if nothing else is asked.",
            rich_help_panel=MAKING,
        ),
    ] = None,
    masks: Annotated[
        bool, typer.Option("--masks", help="Masks of each plane.", rich_help_panel=MAKING)
    ] = False,
    probabilities: Annotated[
        bool,
        typer.Option(
            "--probabilities", help="What a network's masks are made of.", rich_help_panel=MAKING
        ),
    ] = False,
    sections: Annotated[
        bool,
        typer.Option(
            "--sections",
            help="Each plane's light above background where it is in focus, and the projection "
            "of them.",
            rich_help_panel=MAKING,
        ),
    ] = False,
    height: Annotated[
        bool,
        typer.Option(
            "--height", help="Height, coverage and layers of each pixel.", rich_help_panel=MAKING
        ),
    ] = False,
    labels: Annotated[
        bool,
        typer.Option("--labels", help="Numbered connected structures.", rich_help_panel=MAKING),
    ] = False,
    least_voxels: Annotated[
        int | None,
        typer.Option(help="Smallest structure that is numbered.", min=1, rich_help_panel=MAKING),
    ] = None,
    mesh: Annotated[
        str | None,
        typer.Option(metavar="<kind>", help="A surface: ply or obj.", rich_help_panel=MAKING),
    ] = None,
    file_format: Annotated[
        str,
        typer.Option("--format", metavar="<kind>", help="ome-zarr or ome-tiff.",
                     rich_help_panel=MAKING),
    ] = "ome-zarr",
    as_json: opt.Json = False,
    as_csv: opt.Csv = False,
    output: opt.OutputFile = None,
    report: Annotated[
        Path | None,
        typer.Option(help="Write one HTML page with overlays.", rich_help_panel=opt.OUTPUT),
    ] = None,
    overwrite: opt.Overwrite = False,
    debug: opt.Debug = False,
) -> int:  # fmt: skip
    """Say which pixels of each plane are in focus, and at which height they lie.

    Of that it cuts optical sections, numbers the structures and wraps them in a surface. The rule
    needs no optics; a network reads them from the file, or is told.
    """
    if measure == "list":
        from parfocal.cli.catalogue import print_measures

        return print_measures()
    if not inputs:
        raise CallError("no input: give files, folders or globs. See: parfocal segment --help")
    if "" in inputs:
        raise CallError("an INPUT is empty; give files, folders or globs (. is this folder).")
    from parfocal.cli.request import check_optics, choose_form
    from parfocal.cli.segment_request import (
        FORMATS,
        MESHES,
        PARTS,
        SegmentRequest,
        check_wanted,
        choose_method,
        parse_threshold,
        parse_windows,
    )

    check_optics(na, immersion_index)
    cut = parse_threshold(threshold)
    given = {"--model": model, "--measure": measure, "--per": per, "--window-px": window_px}
    chosen = choose_method(method, given | {"--threshold": cut})
    for flag, value, known in (("--format", file_format, FORMATS), ("--mesh", mesh, MESHES)):
        if value is not None and value not in known:
            raise CallError(f"{flag} {value!r}: choose one of: {', '.join(known)}.")
    flags = (masks, probabilities, sections, height, labels)
    asked = tuple(name for name, flag in zip(PARTS, flags, strict=True) if flag)
    wanted = check_wanted(out, asked, mesh, method=chosen)
    if least_voxels is not None and not labels:
        raise CallError("--least-voxels belongs to --labels.")
    request = SegmentRequest(
        inputs=tuple(inputs),
        opening={
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
        },
        method=chosen,
        model=model or "in-focus-widefield",
        measures=tuple(name.strip() for name in (measure or "std").split(",")),
        threshold=cut,
        per=per,
        window_px=parse_windows(window_px),
        device=device,
        out=out,
        wanted=wanted,
        mesh=mesh,
        least_voxels=least_voxels,
        ending=FORMATS[file_format],
        form=choose_form(as_json=as_json, as_csv=as_csv, output=output),
        output=output,
        report=report,
        overwrite=overwrite,
        debug=debug,
    )
    from parfocal.cli.segmenting import run_segment  # loads torch: only when the call is right

    return run_segment(request)
