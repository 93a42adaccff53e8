"""Untrained models on disk: what loads, answers and declines, and knows nothing."""

from __future__ import annotations

from pathlib import Path

import torch

from parfocal.models import ModelCard, save_model
from parfocal.nets.pair import PairNetwork

SHAPE = {"bins": 34, "widths": [4, 4, 4, 4, 4], "hidden": 8}
TINY_CARD = ModelCard(
    name="tiny", task="signed defocus of the first of two images",
    architecture="parfocal.nets.pair:PairNetwork", settings=SHAPE, recipe={"name": "none"},
    commit="none", seed=0, data="none: the weights are random", seconds=0.0, machine="none",
    metrics={"median_error_depths_all": 9.0, "answered_all": 1.0}, coverage={"all": 0.5},
    calibration={"least_certainty": 0.0, "reach": 8.0, "most_clear": 1.0},
    limits=("Knows nothing.",),
)  # fmt: skip


def write_tiny_model(folder: Path, *, is_sure: bool = True, **calibration: float) -> Path:
    """Write an untrained model, and give its folder, whose name becomes the model's.

    One that is sure says of every pair that focus lies half-way between its images; one that is
    not declines.
    """
    network = PairNetwork(**SHAPE)
    classes = torch.linspace(-8, 8, 33)
    with torch.no_grad():
        network.head[-1].weight.zero_()
        network.head[-1].bias.zero_()
        network.head[-1].bias[:33] = -2 * classes.square() if is_sure else 0.0
    settings = TINY_CARD.calibration | {"least_certainty": 0.2} | calibration
    card = TINY_CARD.model_copy(update={"name": folder.name, "calibration": settings})
    save_model(folder, card, [network])
    return folder
