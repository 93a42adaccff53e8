"""Stacks whose focus is known, and a small model to fine-tune on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from parfocal.core.setup import OpticalSetup
from parfocal.core.stack import FocalStack
from parfocal.data import LabelledStack
from parfocal.evaluate.trial import blurred, blurred_stack
from parfocal.io.writing import write_stack
from parfocal.models import ModelCard, save_model
from parfocal.nets.pair import PairNetwork
from parfocal.train.pair_task import PairRecipe

SETUP = OpticalSetup(na=0.5, wavelength_nm=500, pixel_um=0.5)
DEPTH_UM = 3.0  # 2 um, and 3 with the pixel
STEP_UM, PLANES = 2.0, 13
PAIR = PairRecipe(
    name="small", widths=(4, 4, 4, 4, 4), hidden=8, objects=("beads",), batch=4, clear=0.0
)


def counts(focus_um: float, *, seed: int = 0, size: tuple[int, int] = (96, 112)) -> NDArray:
    """Counts (z, y, x) of planes 2 um apart, from 0, that show a texture of its own."""
    dice = np.random.default_rng(seed)
    texture = blurred(dice.random(size), 6.0)
    texture = (texture - texture.min()) / np.ptp(texture)
    return blurred_stack(texture, np.arange(PLANES) * STEP_UM, focus_um, generator=dice)


def known_stack(
    seed: int,
    *,
    specimen: str | None = None,
    focus_um: float | None = None,
    size: tuple[int, int] = (96, 112),
) -> LabelledStack:
    """A stack in memory, in focus near its middle."""
    focus_um = 10.0 + 0.7 * (seed % 6) if focus_um is None else focus_um
    images = counts(focus_um, seed=seed, size=size)
    return LabelledStack(
        stack=FocalStack.of(images, z_step_um=STEP_UM, setup=SETUP, name=f"stack {seed}"),
        focus_um=focus_um,
        interval_um=(focus_um - 0.2, focus_um + 0.2),
        specimen=specimen or f"specimen {seed}",
    )


def write_known(folder: Path, count: int) -> Path:
    """Write stacks to a folder, one file each."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed in range(count):
        path = folder / f"field{seed}.ome.tif"
        write_stack(counts(10.0 + 0.7 * seed, seed=seed), path, z_step_um=STEP_UM, pixel_um=0.5)
    return folder


def write_small_model(folder: Path, *, members: int = 1) -> Path:
    """Write an untrained model that knows how it would have been trained."""
    shape = {"bins": PAIR.bins + 1, "widths": list(PAIR.widths), "hidden": PAIR.hidden}
    card = ModelCard(
        name=folder.name, task="signed defocus", architecture="parfocal.nets.pair:PairNetwork",
        settings=shape, members=members, recipe=PAIR.model_dump(mode="json"), commit="none",
        seed=0, data="nothing", seconds=0.0, machine="none", metrics={"median_error_all": 9.0},
        coverage={}, limits=("Knows nothing.",),
        calibration={"least_certainty": 0.0, "most_clear": 1.0},
    )  # fmt: skip
    torch.manual_seed(0)
    save_model(folder, card, [PairNetwork(**shape).eval() for _ in range(members)])
    return folder
