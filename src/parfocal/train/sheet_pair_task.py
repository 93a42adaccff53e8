"""Our pair network for one light-sheet microscope: the scenes that Li's network learns from."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field
from torch import nn
from torch.nn import functional

from parfocal.nets.pair_inputs import normalised, pair_facts
from parfocal.predict.checks import effective_depth_um
from parfocal.predict.pairs import two_hot
from parfocal.simulate.sheet_scenes import SEEN, Scene, SceneSet, load_scenes
from parfocal.train.loop import Batch
from parfocal.train.pair_task import PairRecipe, PairTask
from parfocal.train.sheet_batches import PatchCutter, scenes_folder
from parfocal.train.starting import start_from

PATCH_PX = 128


class SheetPairRecipe(PairRecipe):
    """Our network and loss on stored scenes of one light-sheet microscope.

    Parameters
    ----------
    spacings_um
        Distances of the two images, drawn with equal chances.
    tissues, thick, flat, size_px
        What is imaged: see ``SceneSet``.
    start
        Name or folder of a pair model whose weights it starts from, where they fit.

    Notes
    -----
    ``objects`` and ``clear`` of ``PairRecipe`` are not used: nothing but these scenes is shown.
    """

    name: str = "pair-light-sheet"
    bins: Annotated[int, Field(ge=3)] = 41
    reach: Annotated[float, Field(gt=0)] = 10.0
    steps: Annotated[int, Field(ge=1)] = 4000
    epoch_steps: Annotated[int, Field(ge=1)] = 500
    members: Annotated[int, Field(ge=1)] = 1
    spacings_um: tuple[float, ...] = (2.0, 4.0, 6.0, 8.0, 10.0)
    tissues: tuple[str, ...] = SEEN
    thick: Annotated[int, Field(ge=0)] = 16
    flat: Annotated[int, Field(ge=0)] = 8
    size_px: Annotated[int, Field(ge=PATCH_PX)] = 256
    start: str = ""

    def scenes(self, split: Literal["train", "validation"]) -> SceneSet:
        """What it is trained on, or as much of other specimens as calibrates it: a quarter."""
        share = 1 if split == "train" else 4
        return SceneSet(
            split=split, tissues=self.tissues, size_px=self.size_px,
            thick=math.ceil(self.thick / share), flat=math.ceil(self.flat / share),
        )  # fmt: skip


class SheetPairTask(PairTask):
    """Trains a ``PairNetwork`` on stored light-sheet scenes.

    Parameters
    ----------
    recipe
        What is trained.
    folder
        Where scenes are kept, and put if they are not there; a cache by default.
    """

    def __init__(self, recipe: SheetPairRecipe, *, folder: Path | None = None) -> None:
        super().__init__(recipe)
        self.sheet = recipe
        self.folder = scenes_folder() if folder is None else folder

    @cached_property
    def scenes(self) -> list[Scene]:
        """The scenes of training; simulated where they are not stored yet."""
        return load_scenes(self.sheet.scenes("train"), self.folder)

    def build(self, seed: int) -> nn.Module:
        """Build the network; the generator of the process is left as it was."""
        network = super().build(seed)
        if self.sheet.start:
            start_from(network, self.sheet.start)
        return network

    def batches(self, seed: int, device: torch.device) -> Iterator[Batch]:
        """Inputs, facts and labels without end; half of the pairs in reverse order.

        Reversed, a scene is seen from its other side: the network cannot lean on the one sign of
        the spherical aberration, and the predictor, which asks both ways, is right to do so.
        """
        recipe, dice = self.sheet, np.random.default_rng(seed)
        cutter = PatchCutter(self.scenes, size_px=PATCH_PX, generator=dice, turns=True)
        setup = self.scenes[0].setup
        depth_um, count = effective_depth_um(setup), recipe.batch
        reach_um = recipe.reach * depth_um
        while True:
            spacing_um = dice.choice(recipe.spacings_um, size=count)
            spacing_um[dice.random(count) < recipe.lonely] = 0.0
            middle_um = dice.uniform(-reach_um, reach_um, count)
            offsets = np.stack([np.zeros(count), spacing_um], 1)
            counts, z_um = cutter.cut(
                torch.from_numpy(middle_um - spacing_um / 2), torch.from_numpy(offsets)
            )
            turned = torch.from_numpy(dice.random(count) < 0.5)
            counts[turned] = counts[turned].flip(1)
            middle = z_um.mean(1) * torch.where(turned, -1.0, 1.0)
            facts = pair_facts(
                pixel=torch.full((count,), setup.pixel_um * setup.na / setup.wavelength_um),
                spacing=torch.from_numpy(spacing_um).float() / depth_um,
                ratio=torch.full((count,), setup.na / setup.immersion_index),
            )
            labels = two_hot(middle / depth_um, bins=recipe.bins, reach=recipe.reach)
            wobble = torch.from_numpy(dice.standard_normal((2, count, 1, 1, 1))).float()
            wobble *= recipe.jitter
            inputs = normalised(counts) * wobble[0].exp() + wobble[1]
            yield (
                inputs.contiguous(memory_format=torch.channels_last).to(device),
                facts.to(device),
                functional.pad(labels, (0, 1)).to(device),
            )
