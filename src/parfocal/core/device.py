"""Which processor computes."""

from __future__ import annotations

import torch

from parfocal.core.errors import InputError


def pick_device(name: str = "auto") -> torch.device:
    """Turn "cpu", "cuda", "cuda:1" or "auto" into a torch device.

    Raises
    ------
    InputError
        If the name is unknown, or asks for a GPU that is not there.

    Examples
    --------
    >>> pick_device("cpu")
    device(type='cpu')
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise InputError(f"There is no device {name!r}; use cpu, cuda or auto.") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise InputError(
            f"Device {name!r} was asked for, but torch sees no GPU here; use --device cpu."
        )
    return device
