"""Files of ``parfocal refocus``: named and checked before the work."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from parfocal.cli.exits import CallError
from parfocal.cli.outputs import check_apart, check_output
from parfocal.cli.refocus_request import RefocusRequest
from parfocal.io.finding import StackSource
from parfocal.io.unfinished import beside

TRUST = "trust"
MARK = ".refocused."
"""In the names of what is written into a folder."""


def name_outputs(request: RefocusRequest, sources: Sequence[StackSource]) -> list[Path]:
    """Where each image goes: the named file, or one of its own name in the named folder."""
    out = request.out
    if request.is_one_file:
        if len(sources) > 1:
            raise CallError(f"{out}: there are {len(sources)} inputs; name a folder.")
        return [out]
    names = [re.sub(r"[^\w.+-]+", "_", source.name).strip("._") or "field" for source in sources]
    twice = {name for name in names if names.count(name) > 1}
    names = [f"{n}_{i}" if n in twice else n for i, n in enumerate(names)]
    return [out / f"{name}{MARK}{request.ending}" for name in names]


def raw_inputs(
    sources: Sequence[StackSource], inputs: Sequence[str]
) -> tuple[list[StackSource], int]:
    """Leave out what an earlier run wrote into a folder, unless it is named itself; how many."""
    named = {Path(text).resolve() for text in inputs}

    def is_raw(source: StackSource) -> bool:
        if not source.paths or any(path.resolve() in named for path in source.paths):
            return True
        return not all(MARK in path.name for path in source.paths)

    kept = [source for source in sources if is_raw(source)]
    return kept, len(sources) - len(kept)


def check_outputs(
    request: RefocusRequest, places: Sequence[Path], sources: Sequence[StackSource]
) -> None:
    """Raise CallError unless every output may be written; make the folder."""
    raw = [path for source in sources for path in source.paths]
    singles = {"--output": request.output, "--report": request.report}
    listed = [(option, path) for option, path in singles.items() if path is not None]
    images = [path for place in places for path in (place, beside(place, TRUST))]
    if isinstance(request.surface, Path):
        raw.append(request.surface)
    check_apart([path for _, path in listed] + images, raw)
    for option, path in listed:
        check_output(path, overwrite=request.overwrite, option=option)
    _check_folder(request.out if not request.is_one_file else request.out.parent, request, raw)
    for path in images:
        if path.exists() and not request.overwrite:
            raise CallError(f"{path} exists; add --overwrite or choose another name.")
        if path.is_dir() and not _is_zarr_name(path):
            raise CallError(f"{path} is a folder; name a file.")
    if not request.is_one_file:
        request.out.mkdir(exist_ok=True)


def _check_folder(folder: Path, request: RefocusRequest, raw: Sequence[Path]) -> None:
    """A folder that is there or can be made, and lies in no input store."""
    if folder.exists() and not folder.is_dir():
        raise CallError(f"{folder} is a file; name a folder, or a file that ends in .ome.tif.")
    if request.is_one_file and not folder.is_dir():
        raise CallError(f"{request.out}: there is no folder {folder}; make it first.")
    if not request.is_one_file and not folder.resolve().parent.is_dir():
        raise CallError(f"{folder}: there is no folder {folder.parent}; make it first.")
    inside = [
        path for path in raw if path.is_dir() and folder.resolve().is_relative_to(path.resolve())
    ]
    if inside:
        raise CallError(f"{request.out} lies in the input {inside[0]}; raw data stays as it is.")


def _is_zarr_name(path: Path) -> bool:
    return path.name.casefold().endswith(".zarr")
