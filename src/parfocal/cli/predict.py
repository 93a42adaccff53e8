"""``parfocal predict``: how far from focus images are, and on which side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from parfocal.cli import options as opt
from parfocal.cli.exits import CallError

ASKING = "What is asked"


def predict(
    inputs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="INPUT",
            help="Files, folders, globs, or a stacks.toml: short stacks of 1 to 3 images.",
            show_default=False,
        ),
    ] = None,
    *,
    planes: Annotated[
        str | None,
        typer.Option(
            metavar="3,5",
            help="Predict from these planes of each stack, counted from 0; or all.",
            rich_help_panel=ASKING,
        ),
    ] = None,
    every_pair: Annotated[
        bool,
        typer.Option(
            "--every-pair",
            help="Try the model on whole stacks: every plane with one above it, beside the focus "
            "that the stack shows.",
            rich_help_panel=ASKING,
        ),
    ] = False,
    region: Annotated[
        str | None,
        typer.Option(
            metavar="Y0:Y1,X0:X1", help="Judge only these pixels.", rich_help_panel=ASKING
        ),
    ] = None,
    model: Annotated[
        str, typer.Option(help="A model's name, or its folder.", rich_help_panel=ASKING)
    ] = "pair-fluorescence",
    device: Annotated[str, typer.Option(help="cpu, cuda or auto.", rich_help_panel=ASKING)] = "cpu",
    single: Annotated[
        bool,
        typer.Option(
            "--single",
            help="Each file with one image is a field, and no plane of a stack.",
            rich_help_panel=opt.TAKEN,
        ),
    ] = False,
    spacing_um: Annotated[
        float | None,
        typer.Option(
            "--spacing-um",
            "--z-step-um",
            help="Distance between neighbouring planes; negative where z falls.",
            rich_help_panel=opt.TAKEN,
        ),
    ] = None,
    channel: opt.Channel = None,
    time: opt.TimePoint = None,
    position: opt.Position = None,
    saturation: Annotated[
        float | None,
        typer.Option(
            metavar="COUNTS",
            help="Where the camera clips; the largest pixel if not given.",
            rich_help_panel=opt.TAKEN,
        ),
    ] = None,
    na: opt.Na = None,
    wavelength_nm: opt.Wavelength = None,
    pixel_um: opt.Pixel = None,
    immersion_index: opt.ImmersionIndex = None,
    sample_index: opt.SampleIndex = None,
    as_json: opt.Json = False,
    as_csv: opt.Csv = False,
    output: opt.OutputFile = None,
    report: Annotated[
        Path | None,
        typer.Option(help="Write one HTML page with patch maps.", rich_help_panel=opt.OUTPUT),
    ] = None,
    overwrite: opt.Overwrite = False,
    debug: opt.Debug = False,
) -> int:
    """Say how far from focus each short stack is, on which side, and how sure that is.

    Defocus is that of the image at the lowest stage z: its z less that of best focus. The stage
    must move from there by the negative.
    """
    if not inputs:
        raise CallError("no input: give files, folders or globs. See: parfocal predict --help")
    if "" in inputs:
        raise CallError("an INPUT is empty; give files, folders or globs (. is this folder).")
    if every_pair and planes is not None:
        raise CallError("--planes and --every-pair exclude each other; choose one.")
    from parfocal.cli.predict_request import PredictRequest, parse_planes
    from parfocal.cli.request import check_optics, choose_form, parse_region

    check_optics(na, immersion_index)
    request = PredictRequest(
        inputs=tuple(inputs),
        opening={
            "z_step_um": spacing_um,
            "channel": channel,
            "time": time,
            "position": position,
            "singly": single,
            "na": na,
            "wavelength_nm": wavelength_nm,
            "pixel_um": pixel_um,
            "immersion_index": immersion_index,
            "sample_index": sample_index,
        },
        planes=parse_planes(planes),
        every_pair=every_pair,
        region=parse_region(region),
        model=model,
        device=device,
        saturation_counts=saturation,
        form=choose_form(as_json=as_json, as_csv=as_csv, output=output),
        output=output,
        report=report,
        overwrite=overwrite,
        debug=debug,
    )
    from parfocal.cli.predicting import run_predict  # loads torch: only when the call is right

    return run_predict(request)
