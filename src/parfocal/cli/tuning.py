"""Fine-tune a model on the stacks that one call names, and show what came of it."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.text import Text

from parfocal.cli.drive_request import parse_settings
from parfocal.cli.exits import DONE, SOME_FAILED, CallError
from parfocal.cli.printable import printable
from parfocal.cli.progress import progress
from parfocal.cli.scoring import found_stacks
from parfocal.cli.tables import show_table
from parfocal.cli.training import reporter, require_free, say_stopped
from parfocal.core.device import pick_device
from parfocal.core.errors import InputError
from parfocal.models.catalog import user_folder
from parfocal.train.labelling import LabelledStacks, label_stacks
from parfocal.train.ranks import joined_ranks
from parfocal.train.recipes import find_recipe, settle_tuning
from parfocal.train.tuning import Tuned, tune_model
from parfocal.train.tuning_plan import plan_tuning

TUNED = "-tuned"
"""Ending of a fine-tuned model's name, so that it never hides the one before."""


@dataclass(frozen=True, kw_only=True)
class TuneRequest:
    """Options of ``parfocal train NAME --from MODEL --images ...``."""

    name: str
    origin: str
    images: tuple[str, ...]
    masks: tuple[str, ...] = ()
    opening: dict[str, Any] = field(default_factory=dict)
    specimen: str | None = None
    out: Path | None = None
    steps: int | None = None
    seed: int = 0
    options: tuple[str, ...] = ()
    device: str = "cpu"
    log: Path | None = None
    as_json: bool = False
    overwrite: bool = False


def run_tuning(request: TuneRequest) -> int:
    """Do what ``parfocal train --from`` was asked; return the exit status."""
    changes = parse_settings(request.options)
    changes |= {} if request.steps is None else {"steps": request.steps}
    try:
        recipe: Any = settle_tuning(find_recipe(request.name), changes)
        pick_device(request.device)
    except InputError as error:
        raise CallError(str(error)) from error
    name = Path(request.origin).name + TUNED
    folder = user_folder() / name if request.out is None else request.out
    require_free(folder, overwrite=request.overwrite)
    sources = found_stacks(request.images, **request.opening)
    with joined_ranks(request.device) as ranks:
        with progress(len(sources), "labelling", is_silent=not ranks.is_first) as begin:
            found = label_stacks(sources, specimen=request.specimen, on_stack=begin)
        if ranks.is_first:
            _say_left_out(found)
        plan = plan_tuning(request.origin, found, recipe, seed=request.seed)
        try:
            with progress(plan.total, "fine-tuning", is_silent=not ranks.is_first) as begin:
                tuned = tune_model(
                    plan, folder, device=request.device, log=request.log,
                    on_progress=reporter(begin),
                )  # fmt: skip
        except KeyboardInterrupt:
            say_stopped(folder)
            raise typer.Abort from None
    if ranks.is_first:
        _print_tuned(tuned, folder, as_json=request.as_json)
    return SOME_FAILED if any(left.is_fault for left in found.left_out) else DONE


def _say_left_out(found: LabelledStacks) -> None:
    """Name every stack that nothing is learnt from, with its reason."""
    for left in found.left_out:
        sys.stderr.write(printable(f"parfocal: {left.name}: left out: {left.reason}") + "\n")


def _print_tuned(tuned: Tuned, folder: Path, *, as_json: bool) -> None:
    if as_json:
        typer.echo(tuned.card.model_dump_json(indent=2))
        return
    verdict, card = tuned.verdict, tuned.card
    columns = [("on held-out stacks", "left"), ("images", "right"), ("mean |error|", "right")]
    rows = [
        ("before", "2", verdict.before),
        ("fine-tuned", "2", verdict.after),
        ("DCTS", f"{verdict.classical.images:.0f}", verdict.classical.mean),
    ]
    cells = [[Text(name), Text(images), Text(f"{mean:.2f}")] for name, images, mean in rows]
    show_table(columns, cells, Console())
    typer.echo(
        "Errors in effective depths of field, n (wavelength / NA + pixel) / NA, over all pairs of "
        f"{verdict.stacks} stacks that nothing was learnt from."
    )
    for limit in card.limits:
        typer.echo(printable(f"- {limit}"))
    text = f"wrote {folder}: {card.members} networks, {card.seconds:.0f} s, {card.machine}"
    typer.echo(printable(text))
