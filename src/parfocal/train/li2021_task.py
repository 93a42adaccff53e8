"""Li 2021 as a task: classes of defocus from one to three images of a light sheet."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import numpy as np
import torch
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional

from parfocal.nets.li2021 import PATCH_PX, Li2021Network, scaled
from parfocal.simulate.sheet_scenes import SEEN, Scene, SceneSet, load_scenes
from parfocal.train.loop import Batch, Schedule
from parfocal.train.sheet_batches import PatchCutter, scenes_folder
from parfocal.train.starting import start_from

BRIGHTENED_SHARE, BRIGHTENED = 0.2, (0.98, 1.2)
"""So many patches have their counts multiplied, by so much: the public code's augmentation."""


@dataclass(frozen=True, kw_only=True)
class AdamSchedule(Schedule):
    """Adam as published: no decay of weights, no average, no bound on gradients.

    Parameters
    ----------
    falls
        Whether the rate rises and falls as in ``Schedule``; published is a constant one.
    """

    falls: bool = False
    betas: ClassVar[tuple[float, float]] = (0.5, 0.999)
    weight_decay: float = 0.0
    warm_steps: int = 0
    average: float = 0.0
    clip: float = math.inf

    def rate(self, step: int) -> float:
        """Learning rate of a step."""
        return super().rate(step) if self.falls else self.peak_rate


class Li2021Recipe(BaseModel):
    """Everything that decides what the published network learns, with the published values.

    Parameters
    ----------
    images, spacing_um
        Images of a patch, and their distance. The first of two is the one whose defocus is asked;
        of three it is the middle one, as published.
    classes, reach_um
        Classes of defocus, evenly from -reach to +reach.
    clip_counts, dark_counts, unit_counts
        Counts are clipped at the first; of that the second is taken off, and the rest divided by
        the third: 10,000, 0 and 10,000 as published. A change of the latter two is the same as
        other first weights, and a short training needs it: counts here are hundreds.
    batch, steps, epoch_steps, rate
        Of training.
    rate_falls
        Whether the rate rises over 5 % of the steps and falls to 0, for short trainings; the
        published one is constant.
    tissues, thick, flat, size_px
        What is imaged: see ``SceneSet``.
    start
        Name or folder of a model whose weights it starts from, where they fit; none is published.
    members
        Networks that are trained; one, as published.

    Notes
    -----
    Published [Li2021]_: Adam at 1e-5 (public code: 5e-6, betas 0.5 and 0.999), batches of 8, about
    35 hours of a V100 on 337 stacks of mouse brain and pig cochlea.

    Corrections: the public code draws vertical mirrors and discards them, here both mirrors count;
    its stacks are the authors', here they are simulated. Steps are not told: 100,000 is ours.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["li2021"] = "li2021"
    name: str = "li2021"
    images: Annotated[int, Field(ge=1, le=3)] = 2
    spacing_um: Annotated[float, Field(gt=0)] = 6.0
    classes: Annotated[int, Field(ge=2)] = 13
    reach_um: Annotated[float, Field(gt=0)] = 36.0
    clip_counts: Annotated[float, Field(gt=0)] = 10_000.0
    dark_counts: Annotated[float, Field(ge=0)] = 0.0
    unit_counts: Annotated[float, Field(gt=0)] = 10_000.0
    batch: Annotated[int, Field(ge=2)] = 8
    steps: Annotated[int, Field(ge=1)] = 100_000
    epoch_steps: Annotated[int, Field(ge=1)] = 1000
    rate: Annotated[float, Field(gt=0)] = 5e-6
    rate_falls: bool = False
    tissues: tuple[str, ...] = SEEN
    thick: Annotated[int, Field(ge=0)] = 16
    flat: Annotated[int, Field(ge=0)] = 8
    size_px: Annotated[int, Field(ge=PATCH_PX)] = 256
    start: str = ""
    members: Annotated[int, Field(ge=1, le=1)] = 1

    @property
    def classes_um(self) -> Float[Tensor, " c"]:
        """Defocus that each class stands for."""
        return torch.linspace(-self.reach_um, self.reach_um, self.classes)

    @property
    def offsets_um(self) -> Float[Tensor, " n"]:
        """Where the images lie, from the one whose defocus is asked.

        Examples
        --------
        >>> [Li2021Recipe(images=n).offsets_um.tolist() for n in (1, 2, 3)]
        [[0.0], [0.0, 6.0], [-6.0, 0.0, 6.0]]
        """
        first = -1 if self.images == 3 else 0
        return self.spacing_um * torch.arange(first, first + self.images, dtype=torch.float32)

    @property
    def scale(self) -> dict[str, float]:
        """Options of ``scaled``."""
        return {name: getattr(self, name) for name in ("clip_counts", "dark_counts", "unit_counts")}

    @property
    def schedule(self) -> AdamSchedule:
        """Its schedule."""
        return AdamSchedule(
            steps=self.steps,
            epoch_steps=self.epoch_steps,
            peak_rate=self.rate,
            warm_steps=self.steps // 20 if self.rate_falls else 0,
            falls=self.rate_falls,
        )

    def scenes(self, split: Literal["train", "validation"]) -> SceneSet:
        """What it is trained on, or as much of other specimens as validates it: a quarter."""
        share = 1 if split == "train" else 4
        return SceneSet(
            split=split, tissues=self.tissues, size_px=self.size_px,
            thick=math.ceil(self.thick / share), flat=math.ceil(self.flat / share),
        )  # fmt: skip


class Li2021Task:
    """Trains a ``Li2021Network`` on stored light-sheet scenes.

    Parameters
    ----------
    recipe
        What is trained.
    folder
        Where scenes are kept, and put if they are not there; a cache by default.
    """

    def __init__(self, recipe: Li2021Recipe, *, folder: Path | None = None) -> None:
        self.recipe = recipe
        self.folder = scenes_folder() if folder is None else folder

    @property
    def name(self) -> str:
        """The recipe, with all that decides the weights."""
        return self.recipe.model_dump_json(exclude={"members"})

    @cached_property
    def scenes(self) -> list[Scene]:
        """The scenes of training; simulated where they are not stored yet."""
        return load_scenes(self.recipe.scenes("train"), self.folder)

    def build(self, seed: int) -> nn.Module:
        """Build the network; the generator of the process is left as it was."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = Li2021Network(images=self.recipe.images, classes=self.recipe.classes)
        if self.recipe.start:
            start_from(network, self.recipe.start)
        return network

    def batches(self, seed: int, device: torch.device) -> Iterator[Batch]:
        """Scaled patches (b, n, y, x) and classes (b,) without end."""
        recipe, dice = self.recipe, np.random.default_rng(seed)
        cutter = PatchCutter(self.scenes, size_px=PATCH_PX, generator=dice)
        while True:
            labels = torch.from_numpy(dice.integers(recipe.classes, size=recipe.batch))
            offsets = recipe.offsets_um.expand(recipe.batch, -1)
            counts, _ = cutter.cut(recipe.classes_um[labels], offsets)
            gain = dice.uniform(*BRIGHTENED, size=recipe.batch)
            gain[dice.random(recipe.batch) >= BRIGHTENED_SHARE] = 1.0
            counts = counts * torch.from_numpy(gain).float()[:, None, None, None]
            yield scaled(counts, **recipe.scale).to(device), labels.to(device)

    def loss(self, network: nn.Module, batch: Batch) -> Tensor:
        """Cross-entropy."""
        patches, labels = batch
        return functional.cross_entropy(network(patches).float(), labels)
