"""``parfocal simulate``: stacks with known truth, from a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from parfocal.cli.exits import CallError
from parfocal.cli.options import Debug, Overwrite

RECIPE = "Recipe"


def simulate(
    recipe: Annotated[
        str | None,
        typer.Argument(help="A preset's name, or a TOML or JSON file.", show_default=False),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Argument(
            help="Ends in .ome.zarr or .ome.tif; numbered where many.", show_default=False
        ),
    ] = None,
    *,
    seed: Annotated[
        int | None,
        typer.Option(
            help="Draws what is random; the recipe's own, or 0.", min=0, rich_help_panel=RECIPE
        ),
    ] = None,
    count: Annotated[
        int,
        typer.Option(help="How many stacks, of rising seeds.", min=1, rich_help_panel=RECIPE),
    ] = 1,
    size: Annotated[
        int | None,
        typer.Option(help="Side of the images in px.", min=16, max=8192, rich_help_panel=RECIPE),
    ] = None,
    planes: Annotated[
        int | None, typer.Option(help="Number of planes.", min=1, rich_help_panel=RECIPE)
    ] = None,
    specimen: Annotated[
        str | None,
        typer.Option(help="What lies under the microscope.", rich_help_panel=RECIPE),
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda or auto.", rich_help_panel=RECIPE)] = "cpu",
    list_presets: Annotated[
        bool, typer.Option("--list", help="Show presets and specimens.", rich_help_panel=RECIPE)
    ] = False,
    overwrite: Overwrite = False,
    debug: Debug = False,
) -> int:
    """Simulate focal stacks whose focus, heights and sharp pixels are known.

    The truth is written with each stack: in the group "truth" of an OME-Zarr, or beside a TIFF
    as .truth.npz and .truth.json.
    """
    if list_presets:
        from parfocal.cli.simulating import print_presets

        return print_presets()
    if not recipe or out is None:
        raise CallError("give a RECIPE and OUT, or --list. See: parfocal simulate --help")
    from parfocal.cli.simulating import SimulateRequest, run_simulate

    return run_simulate(
        SimulateRequest(
            recipe=recipe,
            out=out,
            seed=seed,
            count=count,
            size=size,
            planes=planes,
            specimen=specimen,
            device=device,
            overwrite=overwrite,
        )
    )
