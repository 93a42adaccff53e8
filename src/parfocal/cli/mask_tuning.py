"""Fine-tune a model that segments on the stacks and masks that one call names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.text import Text

from parfocal.cli.drive_request import parse_settings
from parfocal.cli.exits import DONE, CallError
from parfocal.cli.progress import progress
from parfocal.cli.scoring import found_stacks
from parfocal.cli.tables import show_table
from parfocal.cli.training import reporter, require_free, say_stopped
from parfocal.cli.tuning import TUNED, TuneRequest
from parfocal.core.device import pick_device
from parfocal.core.errors import InputError
from parfocal.io.finding import StackSource
from parfocal.models.catalog import user_folder
from parfocal.train.mask_tuning import MaskedStack, MaskTuned, MaskTuningRecipe, tune_masks
from parfocal.train.recipes import find_recipe, settle_tuning


def run_mask_tuning(request: TuneRequest) -> int:
    """Do what ``parfocal train --from --images --masks`` was asked; return the exit status."""
    changes = parse_settings(request.options)
    changes |= {} if request.steps is None else {"steps": request.steps}
    try:
        recipe: Any = settle_tuning(find_recipe(request.name), changes)
        pick_device(request.device)
    except InputError as error:
        raise CallError(str(error)) from error
    if not isinstance(recipe, MaskTuningRecipe):
        raise CallError(f"--masks are for models that segment; {request.name} does not.")
    folder = request.out or user_folder() / (Path(request.origin).name + TUNED)
    require_free(folder, overwrite=request.overwrite)
    sources = found_stacks(request.images, **request.opening)
    # Masks have no optics, and planes as far apart as those of their stacks.
    masks = found_stacks(request.masks, z_step_um=1.0)
    pairs = [MaskedStack(source.open(), mask.open()) for source, mask in matched(sources, masks)]
    try:
        with progress(recipe.steps, "fine-tuning") as begin:
            tuned = tune_masks(
                request.origin, pairs, folder, recipe=recipe, seed=request.seed,
                device=request.device, on_progress=reporter(begin),
            )  # fmt: skip
    except KeyboardInterrupt:
        say_stopped(folder)
        raise typer.Abort from None
    _print_tuned(tuned, folder, as_json=request.as_json)
    return DONE


def matched(
    sources: list[StackSource], masks: list[StackSource]
) -> list[tuple[StackSource, StackSource]]:
    """Each stack with the mask whose name begins with its own; CallError where there is none."""
    pairs = []
    for source in sources:
        own = [mask for mask in masks if mask.name.startswith(_stem(source.name))]
        exact = min(own, key=lambda mask: len(mask.name), default=None)
        if exact is None:
            raise CallError(
                f"no mask for {source.name}: name it as its stack and more, such as "
                f"{_stem(source.name)}_mask.tif."
            )
        pairs.append((source, exact))
    return pairs


def _stem(name: str) -> str:
    """Name without its endings.

    Examples
    --------
    >>> _stem("embryo1.ome.tif")
    'embryo1'
    """
    return name.split(".", maxsplit=1)[0] or name


def _print_tuned(tuned: MaskTuned, folder: Path, *, as_json: bool) -> None:
    if as_json:
        typer.echo(tuned.card.model_dump_json(indent=2))
        return
    rows = [("before", tuned.before), ("fine-tuned", tuned.after)]
    cells = [[Text(name), Text(f"{value:.3f}")] for name, value in rows]
    show_table([("on held-out stacks", "left"), ("mean IoU", "right")], cells, Console())
    typer.echo(
        f"Over {tuned.stacks} stacks that nothing was learnt from; they chose the epoch and the "
        f"threshold. Wrote {folder}: parfocal segment --model {folder} ..."
    )
