"""Searches and simulated microscopes by name, for the command line."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from rich.console import Console
from rich.text import Text

from parfocal.cli.exits import DONE, CallError
from parfocal.cli.tables import show_table
from parfocal.core.errors import ParfocalError
from parfocal.core.setup import plain_fault
from parfocal.drive.chain import AnySearch, parse_search
from parfocal.drive.search import Search

NEEDS_CODE = ("predictor",)
"""Searches that need an object, which no command line can give."""


def search_kinds() -> dict[str, type[BaseModel]]:
    """The searches that a command line can name."""
    kinds = {each.model_fields["kind"].default: each for each in get_args(get_args(AnySearch)[0])}
    return {kind: each for kind, each in kinds.items() if kind not in NEEDS_CODE}


def make_search(name: str, options: Mapping[str, Any]) -> Search:
    """The search of a name with its settings; a CallError where there is none such."""
    kinds = search_kinds()
    if name not in kinds:
        raise CallError(f"--search {name!r}: choose one of {', '.join(kinds)} (--search list).")
    known = sorted(set(kinds[name].model_fields) - {"kind"})
    for option in options:
        if option not in known:
            raise CallError(f"--option {option}: {name} has {', '.join(known)}.")
    try:
        search: Search = parse_search({**options, "kind": name})
    except ValidationError as error:
        faults = "; ".join(
            plain_fault({**fault, "loc": fault["loc"][1:] or fault["loc"]})
            for fault in error.errors()
        )
        raise CallError(f"--search {name} cannot be so: {faults}.") from error
    except ParfocalError as error:
        raise CallError(str(error)) from error
    return search


def print_searches() -> int:
    """Every search, what it does, and its settings with their defaults."""
    rows = []
    for kind, each in search_kinds().items():
        settings = [
            f"{name}={'auto' if f.default is None else _short(f.default)}"
            for name, f in each.model_fields.items()
            if name != "kind"
        ]
        what = re.sub(r" \[\w+\]_", "", (each.__doc__ or "").strip().splitlines()[0])
        rows.append([Text(kind, style="bold"), Text(what), Text(", ".join(settings), style="dim")])
    columns = [("search", "left"), ("what it does", "fold"), ("--option NAME=VALUE", "fold")]
    show_table(columns, rows, Console())
    return DONE


def _short(value: Any) -> str:
    if isinstance(value, tuple):
        return "+".join(str(getattr(each, "kind", each)) for each in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def print_microscopes() -> int:
    """Every simulated microscope."""
    from parfocal.simulate.worlds import WORLDS

    rows = [[Text(row.name, style="bold"), Text(row.what)] for row in WORLDS]
    show_table([("microscope", "left"), ("what it is", "fold")], rows, Console())
    return DONE
