"""Train what one call asks for, and show its card."""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.text import Text

from parfocal.cli.drive_request import parse_settings
from parfocal.cli.exits import DONE, CallError
from parfocal.cli.printable import printable
from parfocal.cli.progress import progress
from parfocal.cli.tables import show_table
from parfocal.core.device import pick_device
from parfocal.core.errors import InputError
from parfocal.models.card import ModelCard
from parfocal.models.catalog import ModelRow, user_folder
from parfocal.train.held_out import HeldOut
from parfocal.train.making import Step
from parfocal.train.ranks import joined_ranks
from parfocal.train.recipes import RECIPES, find_recipe, load_address, settle

QUICK_HELD_OUT = 50


@dataclass(frozen=True, kw_only=True)
class TrainRequest:
    """Options of ``parfocal train``."""

    name: str
    out: Path | None = None
    is_quick: bool = False
    steps: int | None = None
    members: int | None = None
    seed: int = 0
    options: tuple[str, ...] = ()
    held_out: int = 200
    device: str = "cpu"
    log: Path | None = None
    as_json: bool = False
    overwrite: bool = False


def print_recipes() -> int:
    """Print the recipes, what they train, and their settings with defaults."""
    columns = [("recipe", "left"), ("what it trains", "fold"), ("--option NAME=VALUE", "fold")]
    rows = []
    for row in RECIPES:
        fields = load_address(row.settings).model_fields
        shown = [
            f"{name}={_short(field.default)}"
            for name, field in fields.items()
            if name not in ("kind", "name")
        ]
        rows.append([Text(row.name, style="bold"), Text(row.what), Text(", ".join(shown))])
    show_table(columns, rows, Console())
    return DONE


def _short(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def run_train(request: TrainRequest) -> int:
    """Do what ``parfocal train`` was asked; return the exit status."""
    changes = parse_settings(request.options)
    changes |= {} if request.steps is None else {"steps": request.steps}
    changes |= {} if request.members is None else {"members": request.members}
    try:
        row = find_recipe(request.name)
        settings: Any = settle(row, changes, is_quick=request.is_quick)
        pick_device(request.device)
    except InputError as error:
        raise CallError(str(error)) from error
    folder = user_folder() / settings.name if request.out is None else request.out
    require_free(folder, overwrite=request.overwrite)
    make = load_address(row.maker)
    if request.log is not None and "log" not in inspect.signature(make).parameters:
        raise CallError(f"{row.name} keeps no log for TensorBoard yet; leave --log out.")
    noted = {} if request.log is None else {"log": request.log}
    fields = min(QUICK_HELD_OUT, request.held_out) if request.is_quick else request.held_out
    held_out = HeldOut(fields=fields)
    total = settings.members * settings.steps + held_out.total
    try:
        with (
            joined_ranks(request.device) as ranks,
            progress(total, "training", is_silent=not ranks.is_first) as begin,
        ):
            card = make(
                settings, folder, seed=request.seed, device=request.device, held_out=held_out,
                on_progress=reporter(begin), **noted,
            )  # fmt: skip
    except KeyboardInterrupt:
        say_stopped(folder)
        raise typer.Abort from None
    if not ranks.is_first:
        return DONE
    if request.as_json:
        typer.echo(card.model_dump_json(indent=2))
    else:
        _print_card(card, folder)
    return DONE


def require_free(folder: Path, *, overwrite: bool) -> None:
    """Raise CallError unless the folder may become the model's."""
    if folder.exists() and not folder.is_dir():
        raise CallError(f"--out {folder} is a file; give a folder.")
    if ModelRow(folder.name, "", "", folder).is_there and not overwrite:
        raise CallError(
            f"--out {folder} holds a finished model; add --overwrite or choose another folder."
        )


def say_stopped(folder: Path) -> None:
    """Say whether the same command goes on, or begins anew."""
    text = f"stopped; a checkpoint is in {folder}, and the same command goes on from there."
    if not any(folder.glob("*.ckpt")):
        text = "stopped before the first checkpoint; the same command begins anew."
    sys.stderr.write(f"parfocal: {printable(text)}\n")


def reporter(begin: Callable[[str], None]) -> Callable[[Step], None]:
    """Progress that also counts what earlier runs have done."""
    told = 0

    def tell(step: Step) -> None:
        nonlocal told
        for _ in range(step.done - told):
            begin(step.what)
        told = step.done

    return tell


def _print_card(card: ModelCard, folder: Path) -> None:
    """Print how good the model is, on specimens that it never saw."""
    columns = [("simulated fields, never trained on", "left"), ("answered", "right")]
    columns += [("median |error|", "right"), ("mean |error|", "right")]
    columns += [("wrong signs", "right"), ("inside 90 % interval", "right")]
    rows = []
    metrics = card.metrics
    groups = [key.removeprefix("answered_") for key in metrics if key.startswith("answered_")]
    if not groups:  # no predictor: its measures have names of their own
        typer.echo("\n".join(printable(line) for line in card.to_markdown().splitlines()))
        typer.echo(printable(f"wrote {folder}"))
        return
    for name in groups:
        cells = [
            name,
            _percent(metrics.get(f"answered_{name}")),
            _number(metrics.get(f"median_error_depths_{name}")),
            _number(metrics.get(f"mean_error_depths_{name}")),
            _percent(metrics.get(f"wrong_signs_{name}")),
            _percent(card.coverage.get(name)),
        ]
        rows.append([Text(cell) for cell in cells])
    show_table(columns, rows, Console())
    calibration = card.calibration
    text = "Errors in effective depths of field, n (wavelength / NA + pixel) / NA."
    if "least_certainty" in calibration:
        text += f" Answers from certainty {calibration['least_certainty']:g}"
        text += f", interval +-{calibration['widen']:.2f} SD." if "widen" in calibration else "."
    typer.echo(text)
    for limit in card.limits:
        typer.echo(f"- {limit}")
    text = f"wrote {folder}: {card.members} networks, {card.seconds:.0f} s, {card.machine}"
    typer.echo(printable(text))


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"
