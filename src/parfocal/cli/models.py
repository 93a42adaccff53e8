"""``parfocal models``: which trained networks there are, their cards, and files for elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from parfocal.cli.exits import CallError
from parfocal.cli.options import Debug, Json

FORMATS = {".onnx": "onnx", ".zip": "bioimageio"}
NAME_HELP = "A model of parfocal models list, or the folder of one."

models = typer.Typer(
    name="models", no_args_is_help=True, help="List trained networks, show and export them.",
    context_settings={"help_option_names": ["-h", "--help"]},
)  # fmt: skip


@models.callback()
def _models() -> None:
    """List trained networks, show and export them."""


@models.command("list")
def list_models(
    *,
    as_json: Json = False,
    debug: Debug = False,
) -> int:
    """Print the networks that ship with parfocal, and your own."""
    del debug  # read by main
    from parfocal.cli.models_table import print_models

    return print_models(as_json=as_json)


@models.command("show")
def show_model(
    name: Annotated[str, typer.Argument(help=NAME_HELP, metavar="NAME")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print the card as JSON.")] = False,
    debug: Debug = False,
) -> int:
    """Print a model's card: limits, accuracy, coverage, data and recipe."""
    del debug
    from parfocal.cli.models_table import print_card

    return print_card(name, as_json=as_json)


@models.command("export")
def export_model(
    name: Annotated[str, typer.Argument(help=NAME_HELP, metavar="NAME")],
    out: Annotated[
        Path, typer.Argument(help="File to write: .onnx, or .zip for bioimageio.", metavar="OUT")
    ],
    *,
    form: Annotated[
        str | None,
        typer.Option(
            "--format", help="onnx or bioimageio. Default: by the file's ending.",
            show_default=False,
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a file that exists.")
    ] = False,
    debug: Debug = False,
) -> int:  # fmt: skip
    """Write a model as one file for programs other than parfocal, and test it against torch."""
    del debug
    chosen = form or FORMATS.get(out.suffix.lower())
    if chosen is None or chosen not in FORMATS.values():
        came = f"--format {form!r}" if form else f"{out} without --format"
        raise CallError(f"{came} names no format; give --format onnx or --format bioimageio.")
    from parfocal.cli.models_export import run_export

    return run_export(name, out, form=chosen, overwrite=overwrite)
