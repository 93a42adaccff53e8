"""The table of models and one model's card, for a reader and for a program."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.markdown import Markdown
from rich.text import Text

from parfocal import __version__
from parfocal.cli.exits import DONE, SOME_FAILED, CallError
from parfocal.cli.printable import printable
from parfocal.cli.tables import show_table
from parfocal.core.errors import InputError, ParfocalError
from parfocal.models.architectures import find_architecture
from parfocal.models.card import ModelCard
from parfocal.models.catalog import ModelRow, find_model, model_rows, user_folder
from parfocal.models.package import CARD
from parfocal.models.reference import coverage_range


@dataclass(frozen=True)
class _Listed:
    """A model with its card, or with what is wrong with it."""

    row: ModelRow
    card: ModelCard | None
    fault: str = ""

    @property
    def verb(self) -> str:
        """The command that it serves."""
        known = find_architecture(self.card.architecture) if self.card else None
        return self.row.verb or (known.verb if known else "")

    @property
    def summary(self) -> str:
        """What it does; whose it is, where it did not come with parfocal."""
        if self.row.is_shipped or self.card is None:
            return self.row.summary
        return f"{self.row.summary}: {self.card.task}"

    def values(self) -> dict[str, Any]:
        """For a program."""
        return {
            "name": self.row.name,
            "verb": self.verb,
            "summary": self.summary,
            "shipped": self.row.is_shipped,
            "folder": str(self.row.folder),
            "size_mb": self.row.size_mb,
            "coverage": self.card.coverage if self.card else {},
            "fault": self.fault,
        }


def print_models(*, as_json: bool) -> int:
    """Print every model; one whose files are damaged is named and makes the status 1."""
    listed = [_listed(row) for row in model_rows()]
    if as_json:
        whole = {"parfocal": __version__, "models": [each.values() for each in listed]}
        typer.echo(json.dumps(whole, indent=2))
    elif listed:
        columns = [("model", "left"), ("verb", "left"), ("MB", "right"), ("coverage", "left")]
        columns.append(("what it does", "fold"))
        show_table(columns, [_cells(each) for each in listed], Console())
    else:
        typer.echo(
            f"There is no model, neither in parfocal nor in {printable(str(user_folder()))}: "
            "parfocal train --list says what can be trained."
        )
    for each in listed:
        if each.fault:
            sys.stderr.write(f"parfocal: {printable(each.fault)}\n")
    return SOME_FAILED if any(each.fault for each in listed) else DONE


def print_card(name: str, *, as_json: bool) -> int:
    """Print a card: formatted on a terminal, as Markdown elsewhere."""
    card = ModelCard.read(model_folder(name) / CARD)
    if as_json:
        typer.echo(card.model_dump_json(indent=2))
        return DONE
    page = "\n".join(printable(line) for line in card.to_markdown().splitlines())
    console = Console()
    if console.is_terminal:
        console.print(Markdown(page))
    else:
        typer.echo(page)
    return DONE


def model_folder(name: str) -> Path:
    """Folder of a model that is called by name or by folder; CallError where there is none."""
    if Path(name).is_dir():
        return Path(name)
    try:
        return find_model(name).folder
    except InputError as error:
        raise CallError(str(error)) from error


def _listed(row: ModelRow) -> _Listed:
    try:
        card = ModelCard.read(row.folder / CARD)
    except ParfocalError as error:
        return _Listed(row, None, str(error))
    if not row.is_there:
        return _Listed(row, card, f"{row.folder} has a card but no weights.")
    return _Listed(row, card)


def _cells(each: _Listed) -> list[Text]:
    coverage = coverage_range(each.card) if each.card else "-"
    style = "yellow" if each.fault else ""
    return [
        Text(printable(each.row.name), style="bold"),
        Text(each.verb or "-"),
        Text(f"{each.row.size_mb:.1f}"),
        Text(coverage),
        Text("damaged" if each.fault else printable(each.summary), style=style),
    ]
