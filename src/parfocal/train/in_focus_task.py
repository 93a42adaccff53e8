"""The network of in-focus pixels as a task: thick simulated specimens, true masks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional

from parfocal.nets.focus_unet import FocusUnet
from parfocal.segment.planes import plane_facts
from parfocal.simulate.thick_fields import THICK_OBJECTS, ThickBatch, ThickFields
from parfocal.train.loop import Batch, Schedule

BLIND, UNMEASURED = 0.15, 0.1
"""Shares of fields whose optics, and beyond these whose distances, are not told."""
ENDS = 0.12
"""Share of planes that lack a plane below, and likewise above; what is beyond lacks then, too."""


class InFocusRecipe(BaseModel):
    """Everything that decides what the network learns.

    Parameters
    ----------
    widths
        Channels of the levels of ``FocusUnet``.
    each_side
        Planes that it sees below the one that is judged, and as many above.
    objects
        Specimens that it sees.
    batch, size_px
        Fields of a batch, and their side.
    steps, epoch_steps, peak_rate
        Of training; a checkpoint is written after each epoch.
    dice
        Weight of the overlap beside the cross-entropy.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["in-focus"] = "in-focus"
    name: str = "in-focus-widefield"
    widths: tuple[int, ...] = (32, 64, 128, 192)
    each_side: Annotated[int, Field(ge=1, le=3)] = 2
    objects: tuple[str, ...] = THICK_OBJECTS
    batch: Annotated[int, Field(ge=1)] = 16
    size_px: Annotated[int, Field(ge=32, le=192)] = 128
    steps: Annotated[int, Field(ge=1)] = 14_000
    epoch_steps: Annotated[int, Field(ge=1)] = 2000
    peak_rate: Annotated[float, Field(gt=0)] = 1.5e-3
    dice: Annotated[float, Field(ge=0)] = 1.0
    members: Annotated[int, Field(ge=1, le=1)] = 1

    @property
    def schedule(self) -> Schedule:
        """Its schedule."""
        return Schedule(steps=self.steps, epoch_steps=self.epoch_steps, peak_rate=self.peak_rate)


class InFocusTask:
    """Trains a ``FocusUnet`` on planes of ``ThickFields``."""

    def __init__(self, recipe: InFocusRecipe) -> None:
        self.recipe = recipe

    @property
    def name(self) -> str:
        """The recipe: no other checkpoint fits."""
        return self.recipe.model_dump_json()

    def build(self, seed: int) -> nn.Module:
        """Build the network; the generator of the process is left as it was."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return FocusUnet(widths=self.recipe.widths, each_side=self.recipe.each_side)

    def batches(self, seed: int, device: torch.device) -> Iterator[Batch]:
        """Planes (b, c, y, x), facts (b, f) and masks (b, y, x)."""
        recipe = self.recipe
        source = ThickFields(
            batch=recipe.batch, size_px=recipe.size_px, seed=seed, objects=recipe.objects,
            each_side=recipe.each_side,
        )  # fmt: skip
        dice = torch.Generator().manual_seed(seed)
        for fields in source:
            planes, facts, masks = batch_of(fields, dice)
            yield planes.to(device), facts.to(device), masks.to(device)

    def loss(self, network: nn.Module, batch: Batch) -> Tensor:
        """Cross-entropy of the pixels and, beside it, one less the overlap of the batch."""
        planes, facts, masks = batch
        logits = network(planes, facts).float()
        entropy = functional.binary_cross_entropy_with_logits(logits, masks)
        return entropy + self.recipe.dice * missed_overlap(logits.sigmoid(), masks)


def missed_overlap(chance: Tensor, masks: Tensor) -> Tensor:
    """One less the Dice coefficient of chances and masks, over all pixels together.

    Examples
    --------
    >>> missed_overlap(torch.tensor([1.0, 0.0]), torch.tensor([1.0, 1.0]))
    tensor(0.2500)
    """
    both = (chance * masks).sum()
    return 1 - (2 * both + 1) / (chance.sum() + masks.sum() + 1)


def batch_of(fields: ThickBatch, dice: torch.Generator) -> Batch:
    """Planes on one scale, with ends and unknown optics among them, facts, and masks."""
    count, beside = fields.apart.shape
    lacks = (torch.rand(2, beside // 2, count, generator=dice) < ENDS).cumsum(1) > 0
    missing = torch.cat([lacks[0].flip(0), lacks[1]]).T
    optics = torch.rand(count, generator=dice) >= BLIND
    z = optics & (torch.rand(count, generator=dice) >= UNMEASURED)
    planes = (fields.images - fields.dark[:, None, None, None]) / (fields.bright - fields.dark)[
        :, None, None, None
    ]
    middle = beside // 2
    sides = [*range(middle), *range(middle + 1, beside + 1)]
    for side, which in zip(sides, missing.T, strict=True):
        planes[which, side] = planes[which, middle]
    facts = plane_facts(
        pixel=fields.pixel, ratio=fields.ratio, apart=fields.apart * ~missing,
        optics=optics.float(), z=z.float(),
    )  # fmt: skip
    return planes.contiguous(memory_format=torch.channels_last), facts, fields.mask
