"""Simulate the stacks of one call, one after the other, and write each with its truth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.text import Text

from parfocal.cli.exits import DONE, CallError
from parfocal.cli.printable import printable
from parfocal.cli.progress import progress
from parfocal.cli.tables import show_table
from parfocal.core.device import pick_device
from parfocal.core.errors import InputError
from parfocal.io.truth import truth_paths, write_with_truth
from parfocal.simulate.catalog import SPECIMENS
from parfocal.simulate.presets import PRESETS, load_recipe
from parfocal.simulate.stacks import simulate_stack

ENDINGS = (".ome.zarr", ".zarr", ".ome.tiff", ".ome.tif", ".tiff", ".tif")


@dataclass(frozen=True, kw_only=True)
class SimulateRequest:
    """Options of ``parfocal simulate``."""

    recipe: str
    out: Path
    seed: int | None = None
    count: int = 1
    size: int | None = None
    planes: int | None = None
    specimen: str | None = None
    device: str = "cpu"
    overwrite: bool = False


def print_presets() -> int:
    """Print the presets, then the specimens."""
    console = Console()
    presets = [[Text(preset.name), Text(preset.what)] for preset in PRESETS]
    show_table([("preset", "left"), ("what it is", "fold")], presets, console)
    console.file.write("\n")
    columns = [("specimen", "left"), ("family", "left"), ("contrast", "left"), ("what", "fold")]
    rows = [
        [Text(row.name), Text(row.family), Text(", ".join(row.contrasts)), Text(row.what)]
        for row in SPECIMENS
    ]
    show_table(columns, rows, console)
    return DONE


def _outputs(request: SimulateRequest) -> list[Path]:
    """A path for each stack: the name itself, or numbered before its ending."""
    name = request.out.name
    ending = next((end for end in ENDINGS if name.casefold().endswith(end)), None)
    if ending is None:
        raise CallError(f"OUT {request.out}: give a name that ends in .ome.zarr or .ome.tif.")
    if request.count == 1:
        return [request.out]
    stem = name[: -len(ending)]
    width = max(3, len(str(request.count - 1)))
    return [
        request.out.with_name(f"{stem}-{k:0{width}d}{name[-len(ending) :]}")
        for k in range(request.count)
    ]


def _named(begin: Callable[[str], None], name: str) -> Callable[[str], None]:
    """Progress whose lines begin with a name."""
    return lambda plane: begin(f"{name}, {plane}")


def run_simulate(request: SimulateRequest) -> int:
    """Do what ``parfocal simulate`` was asked; return the exit status."""
    outputs = _outputs(request)
    for place in (place for out in outputs for place in truth_paths(out)):
        if place.exists() and not request.overwrite:
            raise CallError(f"OUT {place} exists; add --overwrite or choose another name.")
    above: dict[str, Any] = {}
    above |= {} if request.size is None else {"size_px": request.size}
    above |= {} if request.planes is None else {"planes": request.planes}
    above |= {} if request.specimen is None else {"specimen": {"name": request.specimen}}
    try:
        pick_device(request.device)
        first = load_recipe(request.recipe, seed=request.seed, **above)
        recipes = [
            load_recipe(request.recipe, seed=first.seed + number, **above)
            for number in range(len(outputs))
        ]
    except InputError as error:
        raise CallError(str(error)) from error
    steps = sum(1 + recipe.planes for recipe in recipes)
    with progress(steps, "simulating") as begin:
        for recipe, out in zip(recipes, outputs, strict=True):
            begin(f"{out.name}, specimen")
            made = simulate_stack(
                recipe, device=request.device, begin_plane=_named(begin, out.name)
            )
            write_with_truth(
                made.stack,
                out,
                arrays=made.truth(),
                facts=made.facts(),
                overwrite=request.overwrite,
            )
            where = f"seed {recipe.seed}, focus at {made.focus_um:.2f} um"
            typer.echo(printable(f"wrote {out}: {where}"))
    return DONE
