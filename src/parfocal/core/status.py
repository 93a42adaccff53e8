"""What an estimate is worth. Only ``found`` is an answer; the rest say why there is none."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import numpy as np


class Status(StrEnum):
    """What an estimate is worth (docs: words and signs)."""

    FOUND = "found"
    EDGE = "edge"
    FLAT = "flat"
    AMBIGUOUS = "ambiguous"
    BLANK = "blank"
    SATURATED = "saturated"
    UNCERTAIN = "uncertain"
    FAILED = "failed"


def plain(value: Any) -> Any:
    """Turn arrays and numbers into what JSON holds; not-a-number becomes null."""
    if isinstance(value, np.ndarray):
        return [plain(item) for item in value.tolist()]
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (np.integer, int)) and not isinstance(value, bool):
        return int(value)
    if isinstance(value, (np.floating, float)):
        return float(value) if np.isfinite(value) else None
    return str(value) if isinstance(value, StrEnum) else value
