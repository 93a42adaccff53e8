"""Read acquisition sequences of useq."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError
from useq import MDASequence

from parfocal.core.errors import ReadError
from parfocal.core.setup import plain_fault


def load_sequence(path: str | Path) -> MDASequence:
    """A sequence from a YAML or JSON file.

    Raises
    ------
    ReadError
        If the file is absent or no sequence.
    """
    try:
        return MDASequence.from_file(path)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        text = str(error)
        if isinstance(error, ValidationError):
            text = "; ".join(plain_fault(fault) for fault in error.errors())
        text = " ".join(text.split())
        raise ReadError(
            f"{path}: not a readable useq sequence ({type(error).__name__}: {text})."
        ) from error
