"""What one call of ``parfocal predict`` asks for."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from parfocal.cli.exits import CallError
from parfocal.cli.request import Region


@dataclass(frozen=True, kw_only=True)
class PredictRequest:
    """Options of ``parfocal predict``; ``opening`` goes to ``find_stacks`` as it is.

    ``planes`` is empty for the whole of a short stack, and None for all planes of any.
    """

    inputs: tuple[str, ...]
    opening: dict[str, Any] = field(default_factory=dict)
    planes: tuple[int, ...] | None = ()
    every_pair: bool = False
    region: Region | None = None
    model: str = "pair-fluorescence"
    device: str = "cpu"
    saturation_counts: float | None = None
    form: str = "table"
    output: Path | None = None
    report: Path | None = None
    overwrite: bool = False
    debug: bool = False


def parse_planes(text: str | None) -> tuple[int, ...] | None:
    """Read ``3,5`` or ``all``.

    Examples
    --------
    >>> parse_planes("3, 5"), parse_planes("all"), parse_planes(None)
    ((3, 5), None, ())
    """
    if text is None:
        return ()
    if text.strip().lower() == "all":
        return None
    if not re.fullmatch(r"\s*\d+\s*(,\s*\d+\s*)*", text):
        raise CallError(
            f"--planes {text!r} are no planes; give numbers from 0, such as 3,5, or all."
        )
    planes = tuple(int(number) for number in text.split(","))
    if len(set(planes)) < len(planes):
        raise CallError(f"--planes {text}: a plane is named twice; name each once.")
    return planes
