"""What one call of ``parfocal score`` asks for, checked before anything is read."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from parfocal.cli.exits import CallError

Region = tuple[int, int, int, int]
"""Top, bottom, left, right in px, as ``best_focus`` takes it."""


@dataclass(frozen=True, kw_only=True)
class ScoreRequest:
    """Options of ``parfocal score``; ``opening`` goes to ``open_stack`` as it is."""

    inputs: tuple[str, ...]
    opening: dict[str, Any] = field(default_factory=dict)
    measure: str = "auto"
    region: Region | None = None
    tile_px: int | None = None
    modality: Literal["auto", "intensity", "phase"] = "auto"
    tissue_only: bool = True
    device: str = "cpu"
    form: str = "table"
    output: Path | None = None
    report: Path | None = None
    depth_map: Path | None = None
    fuse: Path | None = None
    overwrite: bool = False
    debug: bool = False


def parse_region(text: str | None) -> Region | None:
    """Read ``Y0:Y1,X0:X1`` in pixels, each second bound not included.

    Examples
    --------
    >>> parse_region("0:512,128:640")
    (0, 512, 128, 640)
    """
    if text is None:
        return None
    match = re.fullmatch(r"\s*(\d+):(\d+)\s*,\s*(\d+):(\d+)\s*", text)
    if match is None:
        raise CallError(
            f"--region {text!r} is not a region; give Y0:Y1,X0:X1 in pixels, such as 0:512,128:640."
        )
    y0, y1, x0, x1 = (int(number) for number in match.groups())
    if y0 >= y1 or x0 >= x1:
        raise CallError(f"--region {text!r} is empty; each range must rise, as in 0:512,128:640.")
    return y0, y1, x0, x1


def choose_form(*, as_json: bool, as_csv: bool, output: Path | None) -> str:
    """Form of the results: table, json or csv; ``--output x.csv`` alone says csv."""
    if as_json and as_csv:
        raise CallError("--json and --csv exclude each other; choose one.")
    if as_json or as_csv:
        return "json" if as_json else "csv"
    if output is None:
        return "table"
    form = output.suffix.lower().lstrip(".")
    if form not in ("json", "csv"):
        raise CallError(
            f"--output {output}: say --json or --csv, or end the name in .json or .csv."
        )
    return form


def check_optics(na: float | None, immersion_index: float | None) -> None:
    """Raise CallError for a numerical aperture that the immersion cannot hold."""
    if na is None:
        return
    index = 1.0 if immersion_index is None else immersion_index
    if na >= index and (immersion_index is not None or na >= 1.7):
        raise CallError(
            f"--na {na:g} is impossible with immersion index {index:g}; "
            "give --immersion-index: 1.333 for water, 1.515 for oil."
        )
