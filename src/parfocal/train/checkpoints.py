"""Checkpoints on disk: written whole, and read only by the training that wrote them."""

from __future__ import annotations

import json
import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from parfocal.core.errors import ReadError

DAMAGED = (OSError, EOFError, RuntimeError, ValueError, LookupError, pickle.UnpicklingError)
"""What torch raises for a file that is cut short, is none of its own, or cannot be read."""
MOST_NAMED = 3
SETTING = re.compile(r"(\w+)=([^=]+?)(?=, \w+=|\)$)")


def write_checkpoint(path: Path, values: Mapping[str, Any]) -> None:
    """Write beside, then replace: a kill leaves the old checkpoint or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    torch.save(dict(values), part)
    part.replace(path)


def read_checkpoint(
    path: Path, identity: Mapping[str, object], device: torch.device
) -> dict[str, Any]:
    """Read what a run with the same identity wrote.

    Raises
    ------
    ReadError
        If the file is damaged, or belongs to another run; the text names what differs.
    """
    unreadable = f"{path} is no readable checkpoint; delete it to start training anew."
    try:
        kept = torch.load(path, map_location=device, weights_only=True)
    except DAMAGED as error:
        raise ReadError(unreadable) from error
    if not isinstance(kept, dict) or not isinstance(kept.get("identity"), dict):
        raise ReadError(unreadable)
    if kept["identity"] != identity:
        raise ReadError(
            f"{path} belongs to another training, with {differences(kept['identity'], identity)}: "
            "give another folder, or delete it to start anew."
        )
    return kept


def differences(old: Mapping[str, object], new: Mapping[str, object]) -> str:
    """Which settings of two identities differ, in one line.

    Examples
    --------
    >>> differences({"task": '{"batch": 6, "bins": 33}'}, {"task": '{"batch": 4, "bins": 33}'})
    'batch 6 instead of 4'
    >>> differences({"schedule": "Schedule(steps=40, clip=1.0)"}, {"schedule": "Schedule()"})
    'steps 40 instead of none, clip 1.0 instead of none'
    """
    one, two = _settings(old), _settings(new)
    names = [name for name in {**one, **two} if one.get(name) != two.get(name)]
    told = [f"{name} {_short(one.get(name))} instead of {_short(two.get(name))}" for name in names]
    more = len(told) - MOST_NAMED
    return ", ".join([*told[:MOST_NAMED], *([f"and {more} more"] if more > 0 else [])])


def _settings(identity: Mapping[str, object]) -> dict[str, object]:
    """All settings that an identity names, those inside its texts too."""
    found: dict[str, object] = {}
    for name, value in identity.items():
        inner = _inside(value)
        found |= {name: value} if inner is None else inner
    return found


def _inside(value: object) -> dict[str, object] | None:
    """Settings in a JSON object or in the text of a dataclass; None where it is neither."""
    if not isinstance(value, str):
        return None
    if re.fullmatch(r"\w+\(.*\)", value, re.DOTALL):
        return dict(SETTING.findall(value))
    try:
        tree = json.loads(value)
    except ValueError:
        return None
    return tree if isinstance(tree, dict) else None


def _short(value: object) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
