"""``parfocal train``: make a network by a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from parfocal.cli import options as opt
from parfocal.cli.exits import CallError

RECIPE, TUNING = "Recipe", "Fine-tuning on your stacks"


def train(
    name: Annotated[
        str | None,
        typer.Argument(help="A recipe; --list shows them.", show_default=False),
    ] = None,
    more: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PATH",
            help="More paths of --images, as a shell lists them.",
            show_default=False,
        ),
    ] = None,
    *,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the model. Default: its name in your own models' folder.",
            show_default=False,
            rich_help_panel=opt.OUTPUT,
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
    origin: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="MODEL",
            help="Fine-tune this model, by its name or folder, instead of training a new one.",
            show_default=False,
            rich_help_panel=TUNING,
        ),
    ] = None,
    images: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATH...",
            help="Focal stacks to learn from and to judge by: files, folders, globs.",
            show_default=False,
            rich_help_panel=TUNING,
        ),
    ] = None,
    masks: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATH",
            help="Masks of --images, in focus where not 0, each named as its stack and more "
            "(embryo1.tif: embryo1_mask.tif); of models that segment. Repeatable.",
            show_default=False,
            rich_help_panel=TUNING,
        ),
    ] = None,
    specimen: Annotated[
        str | None,
        typer.Option(
            metavar="REGEX",
            help="Finds the specimen's name in a path; stacks of one are never split. "
            "Default: each well, file or folder is one.",
            show_default=False,
            rich_help_panel=TUNING,
        ),
    ] = None,
    na: opt.Na = None,
    wavelength_nm: opt.Wavelength = None,
    pixel_um: opt.Pixel = None,
    z_step_um: opt.ZStep = None,
    immersion_index: opt.ImmersionIndex = None,
    channel: opt.Channel = None,
    time: opt.TimePoint = None,
    position: opt.Position = None,
    device: Annotated[str, typer.Option(help="cpu, cuda or auto.", rich_help_panel=RECIPE)] = "cpu",
    log: Annotated[
        Path | None,
        typer.Option(
            help="Folder for TensorBoard.", show_default=False, rich_help_panel=opt.OUTPUT
        ),
    ] = None,
    list_recipes: Annotated[
        bool,
        typer.Option("--list", help="Show the recipes and their settings.", rich_help_panel=RECIPE),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the card as JSON.", rich_help_panel=opt.OUTPUT)
    ] = False,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite", help="Replace a model that is finished.", rich_help_panel=opt.OUTPUT
        ),
    ] = False,
    debug: opt.Debug = False,
) -> int:
    """Train a network on simulated images, calibrate it, and measure it on unseen specimens.

    With --from and --images, fine-tune a model on focal stacks of your own. It is
    kept if on stacks it never saw it beats the model before and a classical search.
    With --masks too, fine-tune a model that segments.

    Stopped or killed, it goes on from its last checkpoint when it is called again.
    """
    if list_recipes:
        from parfocal.cli.training import print_recipes

        return print_recipes()
    if not name:
        raise CallError("give the NAME of a recipe, or --list. See: parfocal train --help")
    paths = (*(images or ()), *(more or ()))
    if origin is None and paths:
        raise CallError(
            f"{paths[0]!r}: images are for fine-tuning: add --from MODEL, such as --from {name}."
        )
    if masks and not paths:
        raise CallError("--masks belong to stacks: add --from MODEL and --images.")
    if origin is None:
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
                log=log,
                as_json=as_json,
                overwrite=overwrite,
            )
        )
    if not paths or "" in paths:
        raise CallError("--from needs --images: files, folders or globs of your focal stacks.")
    if quick or members is not None:
        raise CallError("--quick and --members are for new models; --from keeps its members.")
    from parfocal.cli.request import check_optics
    from parfocal.cli.tuning import TuneRequest, run_tuning

    check_optics(na, immersion_index)
    opening = {
        "na": na, "wavelength_nm": wavelength_nm, "pixel_um": pixel_um, "z_step_um": z_step_um,
        "immersion_index": immersion_index, "channel": channel, "time": time,
        "position": position,
    }  # fmt: skip
    if masks:
        from parfocal.cli.mask_tuning import run_mask_tuning as run_tuning
    return run_tuning(
        TuneRequest(
            name=name,
            origin=origin,
            images=paths,
            masks=tuple(masks or ()),
            opening=opening,
            specimen=specimen,
            out=out,
            steps=steps,
            seed=seed,
            options=tuple(option or ()),
            device=device,
            log=log,
            as_json=as_json,
            overwrite=overwrite,
        )
    )
