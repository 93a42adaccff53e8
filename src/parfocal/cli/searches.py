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

DEFAULT_MODEL = "pair-fluorescence"
NEEDS_MODEL = "predictor"
"""The search that asks a network, which is loaded by name."""
LAND_IMAGES = 4
"""Images that judge focus by sharpness where a network put it, unless the call says otherwise."""


def search_kinds() -> dict[str, type[BaseModel]]:
    """The searches that need no network."""
    kinds = _every_kind()
    del kinds[NEEDS_MODEL]
    return kinds


def _every_kind() -> dict[str, type[BaseModel]]:
    return {each.model_fields["kind"].default: each for each in get_args(get_args(AnySearch)[0])}


def make_search(
    name: str, options: Mapping[str, Any], *, model: str | None = None, device: str = "cpu"
) -> Search:
    """The search of a name with its settings; a CallError where there is none such.

    ``model`` is the network of the predictor search, by name or folder, and ``device`` where it
    computes.
    """
    kinds = _every_kind()
    if name not in kinds:
        raise CallError(f"--search {name!r}: choose one of {', '.join(kinds)} (--search list).")
    if model is not None and name != NEEDS_MODEL:
        raise CallError(f"--model {model} needs --search {NEEDS_MODEL}; {name} asks no network.")
    known = sorted(set(kinds[name].model_fields) - {"kind"})
    for option in options:
        if option not in known:
            raise CallError(f"--option {option}: {name} has {', '.join(known)}.")
    values = {**options, "kind": name}
    if name == NEEDS_MODEL:
        values = {"predictor": model or DEFAULT_MODEL, "land_images": LAND_IMAGES, **values}
    try:
        return revived_search(values, device=device)
    except ValidationError as error:
        faults = "; ".join(
            plain_fault({**fault, "loc": fault["loc"][1:] or fault["loc"]})
            for fault in error.errors()
        )
        raise CallError(f"--search {name} cannot be so: {faults}.") from error
    except ParfocalError as error:
        raise CallError(str(error)) from error


def revived_search(values: Mapping[str, Any], *, device: str = "cpu") -> Search:
    """A search from plain settings, as records hold them: networks are loaded by their names."""
    search: Search = parse_search(_with_networks(values, device))
    return search


def _with_networks(values: Mapping[str, Any], device: str) -> dict[str, Any]:
    """The settings with a network for each name of one, also in the parts of a chain."""
    settings = dict(values)
    if settings.get("kind") == NEEDS_MODEL:
        asked = settings.get("predictor", DEFAULT_MODEL)
        if isinstance(asked, str):
            from parfocal.predict.loading import find_predictor, load

            predictor = load(asked, device=device)
            settings["predictor"] = predictor
            settings.setdefault("images", find_predictor(predictor.card).images)
    parts = settings.get("searches")
    if isinstance(parts, (list, tuple)):
        settings["searches"] = [
            _with_networks(part, device) if isinstance(part, Mapping) else part for part in parts
        ]
    return settings


def print_searches() -> int:
    """Every search, what it does, and its settings with their defaults."""
    network = {"predictor": DEFAULT_MODEL, "images": "as the model", "land_images": LAND_IMAGES}
    rows = []
    for kind, each in _every_kind().items():
        other = network if kind == NEEDS_MODEL else {}
        settings = [
            f"{name}={_short(other.get(name, f.default))}"
            for name, f in each.model_fields.items()
            if name != "kind"
        ]
        what = re.sub(r" \[\w+\]_", "", (each.__doc__ or "").strip().splitlines()[0])
        rows.append([Text(kind, style="bold"), Text(what), Text(", ".join(settings), style="dim")])
    columns = [("search", "left"), ("what it does", "fold"), ("--option NAME=VALUE", "fold")]
    show_table(columns, rows, Console())
    return DONE


def _short(value: Any) -> str:
    if value is None:
        return "auto"
    if isinstance(value, tuple):
        return "+".join(str(getattr(each, "kind", each)) for each in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def print_microscopes() -> int:
    """Every simulated microscope."""
    from parfocal.simulate.worlds import WORLDS

    rows = [[Text(row.name, style="bold"), Text(row.what)] for row in WORLDS]
    show_table([("microscope", "left"), ("what it is", "fold")], rows, Console())
    return DONE
