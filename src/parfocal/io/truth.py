"""Write a stack together with what is true of it: arrays and facts that a simulation knows."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from parfocal.core.errors import InputError
from parfocal.core.stack import FocalStack
from parfocal.io.writing import write_stack

GROUP = "truth"


def truth_paths(path: Path) -> list[Path]:
    """Files that ``write_with_truth`` makes for a name: the stack, and companions of a TIFF.

    Examples
    --------
    >>> [place.name for place in truth_paths(Path("a.ome.tif"))]
    ['a.ome.tif', 'a.truth.json', 'a.truth.npz']
    """
    if path.name.casefold().endswith(".zarr"):
        return [path]
    stem = path.name[: path.name.casefold().rindex(".tif")] if ".tif" in path.name else path.name
    stem = stem.removesuffix(".ome")
    return [path, *(path.with_name(f"{stem}.truth.{kind}") for kind in ("json", "npz"))]


def write_with_truth(
    stack: FocalStack,
    path: str | Path,
    *,
    arrays: Mapping[str, NDArray[Any]],
    facts: Mapping[str, Any],
    overwrite: bool = False,
) -> list[Path]:
    """Write a stack and its truth: all files whole, or none.

    In an OME-Zarr the arrays lie in the group ``truth`` and the facts in its attributes. Beside
    a TIFF lie NAME.truth.npz and NAME.truth.json, which are no images and so never scored.

    Returns
    -------
    What was written, the stack first.

    Raises
    ------
    InputError
        If one of the files exists without ``overwrite``, or the name's ending is none.
    """
    target = Path(path).expanduser()
    places = truth_paths(target)
    there = [place for place in places if place.exists()]
    if there and not overwrite:
        raise InputError(f"{there[0]}: exists; allow it to be replaced with --overwrite.")
    target.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=target.parent))
    try:
        made = write_stack(stack, folder / target.name)
        if len(places) == 1:
            group = zarr.open_group(str(made), mode="r+").create_group(GROUP)
            for name, array in arrays.items():
                group.create_array(name, data=np.ascontiguousarray(array))
            group.attrs.update(dict(facts))
        else:
            named: dict[str, Any] = dict(arrays)
            np.savez_compressed(folder / places[2].name, **named)
            text = json.dumps(facts, indent=1, allow_nan=False) + "\n"
            (folder / places[1].name).write_text(text, encoding="utf-8")
        for place in reversed(places):  # the stack last: where it is, its truth is
            if place.is_dir():
                place.rename(folder / f"old-{place.name}")
            (folder / place.name).replace(place)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return places


def read_truth(path: str | Path) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Read the arrays and facts that ``write_with_truth`` wrote with a stack.

    Raises
    ------
    InputError
        If none were written with it.
    """
    target = Path(path).expanduser()
    places = truth_paths(target)
    if len(places) == 1 and (target / GROUP).is_dir():
        group = zarr.open_group(str(target), path=GROUP, mode="r")
        arrays = {name: np.asarray(array[...]) for name, array in group.arrays()}
        return arrays, dict(group.attrs)
    if len(places) == 3 and all(place.is_file() for place in places[1:]):
        with np.load(places[2]) as saved:
            arrays = {name: saved[name] for name in saved.files}
        return arrays, json.loads(places[1].read_text(encoding="utf-8"))
    raise InputError(f"{target}: no truth was written with it; it is no simulated stack.")
