"""``parfocal train``: make a network by a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from parfocal.cli.exits import CallError

RECIPE, OUTPUT = "Recipe", "Output"


def train(
    name: Annotated[
        str | None,
        typer.Argument(help="A recipe; --list shows them.", show_default=False),
    ] = None,
    *,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the model. Default: its name in your own models' folder.",
            show_default=False,
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    quick: Annotated[
        bool,
        typer.Option(
            "--quick", help="A smaller one, in minutes on two cores.", rich_help_panel=RECIPE
        ),
    ] = False,
    steps: Annotated[
        int | None,
        typer.Option(help="Batches that each member learns from.", min=1, rich_help_panel=RECIPE),
    ] = None,
    members: Annotated[
        int | None,
        typer.Option(help="Networks of the ensemble.", min=1, rich_help_panel=RECIPE),
    ] = None,
    seed: Annotated[
        int, typer.Option(help="Of the first member.", min=0, rich_help_panel=RECIPE)
    ] = 0,
    option: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="Another setting of the recipe; repeatable.",
            show_default=False,
            rich_help_panel=RECIPE,
        ),
    ] = None,
    held_out: Annotated[
        int,
        typer.Option(
            help="Simulated fields of each unseen specimen that calibrate, and that measure.",
            min=1,
            rich_help_panel=RECIPE,
        ),
    ] = 200,
    device: Annotated[str, typer.Option(help="cpu, cuda or auto.", rich_help_panel=RECIPE)] = "cpu",
    list_recipes: Annotated[
        bool,
        typer.Option("--list", help="Show the recipes and their settings.", rich_help_panel=RECIPE),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the card as JSON.", rich_help_panel=OUTPUT)
    ] = False,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite", help="Replace a model that is finished.", rich_help_panel=OUTPUT
        ),
    ] = False,
    debug: Annotated[
        bool,
        typer.Option("--debug", help="Show tracebacks of errors.", rich_help_panel=OUTPUT),
    ] = False,
) -> int:
    """Train a network on simulated images, calibrate it, and measure it on unseen specimens.

    Stopped or killed, it goes on from its last checkpoint when it is called again.
    """
    if list_recipes:
        from parfocal.cli.training import print_recipes

        return print_recipes()
    if not name:
        raise CallError("give the NAME of a recipe, or --list. See: parfocal train --help")
    from parfocal.cli.training import TrainRequest, run_train

    return run_train(
        TrainRequest(
            name=name,
            out=out,
            is_quick=quick,
            steps=steps,
            members=members,
            seed=seed,
            options=tuple(option or ()),
            held_out=held_out,
            device=device,
            as_json=as_json,
            overwrite=overwrite,
        )
    )
