"""Files that a command writes: checked before the work, whole or not there after it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from parfocal.cli.exits import CallError


def check_output(path: Path, *, overwrite: bool, option: str) -> None:
    """Raise CallError unless ``path`` may be written: its folder is there and it is not."""
    if path.is_dir():
        raise CallError(f"{option} {path} is a folder; name a file.")
    if not path.parent.is_dir():
        raise CallError(f"{option} {path}: there is no folder {path.parent}; make it first.")
    if path.exists() and not overwrite:
        raise CallError(f"{option} {path} exists; add --overwrite or choose another name.")


def check_apart(outputs: Iterable[Path], raw: Iterable[Path]) -> None:
    """Raise CallError if an output is an input or lies inside one: raw data stays as it is."""
    folders_and_files = {path.resolve() for path in raw}
    seen: set[Path] = set()
    for output in outputs:
        place = output.resolve()
        if place in folders_and_files:
            raise CallError(f"{output} is an input; raw data is never overwritten.")
        if place in seen:
            raise CallError(f"{output} is named for two outputs; give each its own file.")
        seen.add(place)


def write_whole(path: Path, write: Callable[[Path], None]) -> None:
    """Let ``write`` fill a temporary file beside ``path`` and rename it when it is complete.

    However the writing ends, an unfinished file is removed.
    """
    handle, name = tempfile.mkstemp(prefix=".unfinished-", suffix=path.name[-40:], dir=path.parent)
    os.close(handle)
    unfinished = Path(name)
    try:
        write(unfinished)
        mask = os.umask(0)
        os.umask(mask)
        unfinished.chmod(0o666 & ~mask)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    write_whole(path, lambda place: _fill(place, text))


def _fill(place: Path, text: str) -> None:
    place.write_text(text, encoding="utf-8", newline="")
