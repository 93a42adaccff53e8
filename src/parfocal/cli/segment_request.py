"""What one call of ``parfocal segment`` asks for, checked before anything is read."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from parfocal.cli.exits import CallError

METHODS = ("rule", "network")
FORMATS = {"ome-zarr": "ome.zarr", "ome-tiff": "ome.tif"}
MESHES = ("ply", "obj")
PARTS = ("masks", "probabilities", "sections", "height", "labels")


@dataclass(frozen=True, kw_only=True)
class SegmentRequest:
    """Options of ``parfocal segment``; ``opening`` goes to ``find_stacks`` as it is.

    ``threshold`` is a rule's name, or the probability from which a network's pixels are in focus.
    ``wanted`` lists what is written of ``PARTS``.
    """

    inputs: tuple[str, ...]
    opening: dict[str, Any] = field(default_factory=dict)
    method: str = "network"
    model: str = "in-focus-widefield"
    measures: tuple[str, ...] = ("std",)
    threshold: str | float | None = None
    per: str | None = None
    window_px: tuple[int, ...] = ()
    device: str = "cpu"
    out: Path | None = None
    wanted: tuple[str, ...] = ()
    mesh: str | None = None
    least_voxels: int | None = None
    ending: str = "ome.zarr"
    form: str = "table"
    output: Path | None = None
    report: Path | None = None
    overwrite: bool = False
    debug: bool = False


def parse_threshold(text: str | None) -> str | float | None:
    """Read a probability or a rule's name.

    Examples
    --------
    >>> parse_threshold("0.4"), parse_threshold("otsu"), parse_threshold(None)
    (0.4, 'otsu', None)
    """
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        return text
    if not 0 < value < 1:
        raise CallError(f"--threshold {text}: a probability lies between 0 and 1.")
    return value


def parse_windows(text: str | None) -> tuple[int, ...]:
    """Read ``64`` or ``64,128`` in pixels.

    Examples
    --------
    >>> parse_windows("64, 128"), parse_windows(None)
    ((64, 128), ())
    """
    if text is None:
        return ()
    if not re.fullmatch(r"\s*\d+\s*(,\s*\d+\s*)*", text) or "0" in text.replace(" ", "").split(","):
        raise CallError(f"--window-px {text!r} is no size; give pixels, such as 64 or 64,128.")
    return tuple(int(number) for number in text.split(","))


def check_wanted(
    out: Path | None, wanted: tuple[str, ...], mesh: str | None, *, method: str
) -> tuple[str, ...]:
    """What is written: what was asked for, or masks and heights where only a folder is named."""
    asked = [f"--{name}" for name in wanted] + (["--mesh"] if mesh else [])
    if asked and out is None:
        raise CallError(f"{asked[0]} needs --out FOLDER, where it is written.")
    if "probabilities" in wanted and method == "rule":
        raise CallError("--probabilities are told by a network; add --method network.")
    if out is not None and not asked:
        return ("masks", "height")
    return wanted


def choose_method(method: str | None, given: dict[str, object]) -> str:
    """The method: the rule where only its options were given, else the network.

    ``given`` holds the options that were given, by flag. Raises CallError for an option that the
    method does not know.
    """
    rule = ("--measure", "--per", "--window-px")
    if method is None:
        by_rule = any(given.get(flag) for flag in rule) or isinstance(given.get("--threshold"), str)
        method = "rule" if by_rule else "network"
    if method not in METHODS:
        raise CallError(f"--method {method!r}: choose one of: {', '.join(METHODS)}.")
    foreign = rule if method == "network" else ("--model",)
    for flag in foreign:
        if given.get(flag):
            other = METHODS[1 - METHODS.index(method)]
            raise CallError(f"{flag} belongs to --method {other}; this call has --method {method}.")
    threshold = given.get("--threshold")
    if threshold is not None and isinstance(threshold, float) != (method == "network"):
        kind = "a probability from 0 to 1" if method == "network" else "a name such as otsu"
        raise CallError(f"--threshold {threshold}: with --method {method} give {kind}.")
    return method
