"""Untrained refocusing models on disk, which say what they are told to."""

from __future__ import annotations

from pathlib import Path

import torch

from parfocal.models import ModelCard, save_model
from parfocal.nets.refocus_unet import RefocusNetwork

SHAPE = {"views": 6, "bins": 18, "widths": [4, 4], "blocks": [1, 1]}
CLEAR = 17
"""The class of what is no fluorescence."""


def write_tiny_refocuser(
    folder: Path, *, half_depths: int = 6, gain: float = 1.0, **calibration: float
) -> Path:
    """Write a model that sees every image so many half depths of field from focus.

    It predicts errors of the input ``exp(gain)`` times its own, and answers the first view.
    """
    network = RefocusNetwork(**SHAPE)
    with torch.no_grad():
        network.distance[-1].weight.zero_()
        network.distance[-1].bias.zero_()
        network.distance[-1].bias[half_depths] = 20.0
        network.answer.weight.zero_()
        network.answer.bias.zero_()
        network.answer.bias[0] = 30.0  # of the mix: the first view alone
        network.answer.bias[-2:] = torch.tensor([-gain, 0.0])
    card = ModelCard(
        name=folder.name, task="refocus", architecture="parfocal.nets.refocus_unet:RefocusNetwork",
        settings=SHAPE, recipe={"name": "none"}, commit="none", seed=0, data="none", seconds=0.0,
        machine="none", metrics={}, coverage={}, calibration=calibration, limits=("All.",),
    )  # fmt: skip
    save_model(folder, card, [network])
    return folder
