"""Li 2023 as two tasks: weak labels of many stacks first, then true masks of a few."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import numpy as np
import platformdirs
import torch
from jaxtyping import Bool
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from parfocal.core.errors import InputError
from parfocal.nets.li2023 import (
    PUBLISHED_THRESHOLD,
    WIDTHS,
    Li2023Network,
    plane_probabilities,
    scaled_stack,
)
from parfocal.segment.overlap import intersection_over_union
from parfocal.segment.weak_labels import weak_labels
from parfocal.simulate.thick_scenes import (
    SEEN,
    TRUTH,
    Split,
    ThickScene,
    ThickSet,
    load_thick_scenes,
)
from parfocal.train.li2021_task import AdamSchedule
from parfocal.train.loop import Batch, Judge
from parfocal.train.losses import li2023_loss

Phase = Literal["pre-training", "fine-tuning"]
LOSSES: dict[str, dict[str, float]] = {
    "pre-training": {"dice": 1.0, "focal": 1.0, "cross_entropy": 0.005},
    "fine-tuning": {"dice": 0.05, "focal": 1.0, "cross_entropy": 0.95},
}
"""Weights of the parts of the loss, as published."""
JUDGED_EVERY = 4  # plane of a validation stack


@dataclass(frozen=True, kw_only=True)
class PlainAdam(AdamSchedule):
    """Adam as published: the usual betas, a constant rate unless it ``falls``."""

    betas: ClassVar[tuple[float, float]] = (0.9, 0.999)


class Li2023Recipe(BaseModel):
    """Everything that decides what the published U-Net learns, with the published values.

    Parameters
    ----------
    measure, window_px, strides_px, per
        Of the weak labels: see ``weak_labels``, mode "li2023".
    families, each
        What is imaged, and specimens of each family to pre-train on.
    validation, tuning, tuning_validation
        Stacks that stop pre-training (of each family), that fine-tune, and that stop fine-tuning
        (in all, one family after another).
    size_px, patch_px
        Side of the stacks and of what is cut from them.
    widths
        Channels of the U-Net's levels.
    batch, steps, epoch_steps, rate
        Of pre-training.
    tuning_batch, tuning_steps, tuning_epoch_steps, tuning_rate
        Of fine-tuning.
    rate_falls
        Whether rates rise over 5 % of the steps and fall to 0, for short trainings; published is
        constant.
    patience
        Epochs without a better validation after which either training stops.
    threshold
        Probability from which a pixel is in focus.

    Notes
    -----
    Published [Li2023]_: 55 stacks (0.8 of 69) in batches of 16 at 1e-3 (public code: 1e-4), 425
    epochs; then 5 stacks in batches of 1, 700 epochs; threshold 0.2 (code).

    Corrections: the public code splits planes at random, so that neighbouring planes of one stack
    train and test, here no specimen is in two parts; it sums the ``wt`` of its dice over two
    classes where there is one, left out here. Its planes are whole fields of about 1500 px resized
    to 256; here 256 px are cut at full sampling, and windows of 32 px are to these fields what
    128 px are to those. Patience is not told: 50 is ours.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["li2023"] = "li2023"
    name: str = "li2023"
    measure: str = "std"
    window_px: Annotated[int, Field(ge=4)] = 32
    strides_px: tuple[int, ...] = (8, 16, 32)
    per: Literal["peak", "stack", "plane"] = "stack"
    families: tuple[str, ...] = SEEN
    each: Annotated[int, Field(ge=1)] = 11
    validation: Annotated[int, Field(ge=1)] = 1
    tuning: Annotated[int, Field(ge=1)] = 5
    tuning_validation: Annotated[int, Field(ge=1)] = 3
    size_px: Annotated[int, Field(ge=64)] = 256
    planes: Annotated[int, Field(ge=3)] = 20
    patch_px: Annotated[int, Field(ge=64)] = 256
    widths: tuple[int, ...] = WIDTHS
    batch: Annotated[int, Field(ge=1)] = 16
    steps: Annotated[int, Field(ge=1)] = 30_000
    epoch_steps: Annotated[int, Field(ge=1)] = 69
    rate: Annotated[float, Field(gt=0)] = 1e-4
    tuning_batch: Annotated[int, Field(ge=1)] = 1
    tuning_steps: Annotated[int, Field(ge=1)] = 70_000
    tuning_epoch_steps: Annotated[int, Field(ge=1)] = 100
    tuning_rate: Annotated[float, Field(gt=0)] = 1e-4
    rate_falls: bool = False
    patience: Annotated[int, Field(ge=1)] = 50
    threshold: Annotated[float, Field(gt=0, lt=1)] = PUBLISHED_THRESHOLD
    members: Annotated[int, Field(ge=1, le=1)] = 1

    def schedule(self, phase: Phase) -> PlainAdam:
        """Steps and rates of either training."""
        tuning = phase == "fine-tuning"
        steps = self.tuning_steps if tuning else self.steps
        return PlainAdam(
            steps=steps,
            epoch_steps=self.tuning_epoch_steps if tuning else self.epoch_steps,
            peak_rate=self.tuning_rate if tuning else self.rate,
            warm_steps=steps // 20 if self.rate_falls else 0,
            falls=self.rate_falls,
        )

    def scenes(self, split: Split, folder: Path) -> list[ThickScene]:
        """The stacks of a part; simulated where they are not stored yet."""
        wanted = {
            "train": self.each * len(self.families),
            "validation": self.validation * len(self.families),
            "fine-tuning": self.tuning,
            "fine-tuning validation": self.tuning_validation,
        }[split]
        part = ThickSet(
            split=split, families=self.families[:wanted], size_px=self.size_px, planes=self.planes,
            each=math.ceil(wanted / len(self.families)),
        )  # fmt: skip
        scenes = load_thick_scenes(part, folder)
        mixed = [scene for number in range(part.each) for scene in scenes[number :: part.each]]
        return mixed[:wanted]  # one of every family before a second of any

    def weak(self, scene: ThickScene) -> Bool[np.ndarray, "z y x"]:
        """Weak labels of a stack; empty where the rule declines."""
        return weak_labels(
            scene.stack, measure=self.measure, window_px=self.window_px,
            strides_px=self.strides_px, per=self.per, mode="li2023",
        ).masks  # fmt: skip


def thick_folder() -> Path:
    """Where simulated stacks are kept: the platform's cache folder."""
    return Path(platformdirs.user_cache_dir("parfocal")) / "thick"


class Li2023Task:
    """Trains a ``Li2023Network`` on weak labels, or on true masks from there.

    Parameters
    ----------
    recipe
        What is trained.
    phase
        "pre-training" on weak labels, or "fine-tuning" on true masks.
    folder
        Where stacks are kept, and put if they are not there; a cache by default.
    first
        The network that fine-tuning starts from.

    Raises
    ------
    InputError
        If fine-tuning has nothing to start from, or patches are larger than the stacks.
    """

    def __init__(
        self,
        recipe: Li2023Recipe,
        phase: Phase = "pre-training",
        *,
        folder: Path | None = None,
        first: nn.Module | None = None,
    ) -> None:
        if phase == "fine-tuning" and first is None:
            raise InputError("Fine-tuning starts from a pre-trained network: give it as `first`.")
        if recipe.patch_px > recipe.size_px:
            raise InputError(
                f"Patches of {recipe.patch_px} px do not fit into stacks of {recipe.size_px} px: "
                "give a smaller patch_px."
            )
        self.recipe, self.phase, self.first = recipe, phase, first
        self.folder = thick_folder() if folder is None else folder

    @property
    def name(self) -> str:
        """The recipe and the phase, with all that decides the weights."""
        return f"{self.phase} {self.recipe.model_dump_json(exclude={'members'})} {TRUTH}"

    @cached_property
    def examples(self) -> list[tuple[Tensor, Tensor]]:
        """Planes and masks of each stack to learn from."""
        return self._examples("train" if self.phase == "pre-training" else "fine-tuning")

    @cached_property
    def validation(self) -> list[tuple[Tensor, Tensor]]:
        """Planes and masks of each stack that stops training."""
        pre = self.phase == "pre-training"
        return self._examples("validation" if pre else "fine-tuning validation")

    def _examples(self, split: Split) -> list[tuple[Tensor, Tensor]]:
        weak = self.phase == "pre-training"
        return [
            (
                scaled_stack(scene.counts),
                torch.from_numpy(self.recipe.weak(scene) if weak else scene.truth),
            )
            for scene in self.recipe.scenes(split, self.folder)
        ]

    def build(self, seed: int) -> nn.Module:
        """Build the network; the generator of the process is left as it was."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = Li2023Network(widths=self.recipe.widths)
        if self.first is not None:
            network.load_state_dict(self.first.state_dict())
        return network

    def batches(self, seed: int, device: torch.device) -> Iterator[Batch]:
        """Patches (b, 1, y, x) of random planes and masks (b, y, x), without end."""
        dice = np.random.default_rng(seed)
        tuning = self.phase == "fine-tuning"
        size = self.recipe.tuning_batch if tuning else self.recipe.batch
        while True:
            pairs = [self._patch(dice) for _ in range(size)]
            images, masks = (torch.stack(part) for part in zip(*pairs, strict=True))
            yield images[:, None].to(device), masks.to(device)

    def _patch(self, dice: np.random.Generator) -> tuple[Tensor, Tensor]:
        """A patch and its mask, flipped and turned by 90 degrees at random."""
        planes, masks = self.examples[int(dice.integers(len(self.examples)))]
        number, side = int(dice.integers(len(planes))), self.recipe.patch_px
        y, x = (int(dice.integers(size - side + 1)) for size in planes.shape[1:])
        both = torch.stack([planes[number], masks[number].float()])[:, y : y + side, x : x + side]
        both = torch.rot90(both, int(dice.integers(4)), dims=(-2, -1))
        both = both.flip(-1) if dice.random() < 0.5 else both
        return both[0], both[1] > 0.5

    def loss(self, network: nn.Module, batch: Batch) -> Tensor:
        """Dice, focal and cross-entropy, by the weights of the phase."""
        images, truth = batch
        return li2023_loss(network(images), truth, **LOSSES[self.phase])

    @property
    def judged(self) -> list[tuple[Tensor, Tensor]]:
        """Every fourth plane of each validation stack: enough, and a quarter of the time."""
        return [
            (planes[::JUDGED_EVERY], masks[::JUDGED_EVERY]) for planes, masks in self.validation
        ]

    def judge(self) -> Judge:
        """Stops training: one less the overlap on stacks that it does not learn from."""
        every, threshold = self.judged, self.recipe.threshold

        def score(network: nn.Module) -> float:
            return 1.0 - mean_overlap(network, every, threshold=threshold)

        return Judge("one less the overlap of every 4th plane", score, self.recipe.patience)


def mean_overlap(
    network: nn.Module, examples: Sequence[tuple[Tensor, Tensor]], *, threshold: float
) -> float:
    """Mean over stacks of the overlap of a network's masks with those that are given."""
    network.eval()
    found = [
        intersection_over_union(plane_probabilities(network, planes) >= threshold, masks)  # type: ignore[arg-type]
        for planes, masks in examples
    ]
    return float(np.mean(found))
