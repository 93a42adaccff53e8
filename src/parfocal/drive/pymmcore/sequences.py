"""Read acquisition sequences of useq."""

from __future__ import annotations

from pathlib import Path

from useq import MDASequence

from parfocal.core.errors import ReadError


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
        text = " ".join(str(error).split())
        raise ReadError(
            f"{path}: not a readable useq sequence ({type(error).__name__}: {text})."
        ) from error
