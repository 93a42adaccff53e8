"""First weights from a network that was trained for something near."""

from __future__ import annotations

from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from parfocal.core.errors import InputError
from parfocal.models.package import load_model


def start_from(network: nn.Module, model: str | Path) -> list[str]:
    """Copy a trained network's weights into one that may differ at its ends.

    Weights of the same shape are taken over. A convolution of more images gets kernels of 0 for
    what is new, one of fewer gets their sum: at first it sees what the other saw of a still
    scene. Everything else, such as a last layer of other classes, keeps its first weights.

    Parameters
    ----------
    network
        Its weights are changed in place.
    model
        Name or folder of a model; of an ensemble the first member.

    Returns
    -------
    Names of the weights that could not be taken over.

    Raises
    ------
    InputError
        If hardly anything fits: it is another architecture.
    """
    source = load_model(model)[0][0].state_dict()
    own = network.state_dict()
    left = []
    with torch.no_grad():
        for name, value in own.items():
            other = source.get(name)
            if other is not None and other.ndim == value.ndim == 4:
                other = _with_images(other, value.shape[1])
            if other is None or other.shape != value.shape:
                left.append(name)
            else:
                value.copy_(other)
    if len(left) > len(own) // 2:
        raise InputError(
            f"{model} is no start for {type(network).__name__}: {len(left)} of {len(own)} weights "
            "do not fit; give a model of the same architecture."
        )
    return left


def _with_images(kernels: Float[Tensor, "o i y x"], images: int) -> Float[Tensor, "o k y x"]:
    """Kernels for another number of images.

    Examples
    --------
    >>> _with_images(torch.ones(1, 2, 1, 1), 1).flatten().tolist()
    [2.0]
    >>> _with_images(torch.ones(1, 2, 1, 1), 3).flatten().tolist()
    [1.0, 1.0, 0.0]
    """
    missing = images - kernels.shape[1]
    if missing >= 0:
        return nn.functional.pad(kernels, (0, 0, 0, 0, 0, missing))
    return kernels.sum(1, keepdim=True) if images == 1 else kernels
