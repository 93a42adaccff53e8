"""The two-image predictor as a task: batches on the fly, two-hot classes of defocus."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional

from parfocal.nets.pair import PairNetwork
from parfocal.predict.pairs import normalised, pair_facts, two_hot
from parfocal.simulate.batches import OBJECTS, FieldBatch, FieldBatches
from parfocal.simulate.clear_fields import ClearFields
from parfocal.simulate.solid_fields import SolidFields
from parfocal.train.loop import Batch, Schedule

SIZES_PX = (128, 128, 96, 64)
"""Sides of the patches that are drawn; a batch has one of them."""


class PairRecipe(BaseModel):
    """Everything that decides what a pair network learns.

    Parameters
    ----------
    bins, reach
        Classes, and the largest defocus they stand for, in effective depths of field.
    widths, hidden
        Of the network.
    objects
        Families of specimens that it sees.
    batch, steps, epoch_steps, peak_rate
        Of training; a checkpoint is written after each epoch.
    lonely
        Share of pairs that show one image twice.
    clear
        Share of pairs by transmitted light, which the network learns to tell from fluorescence.
    solid
        Share of pairs of bodies as thick as they are wide.
    jitter
        Standard deviation of what is added to and, as a factor, taken off each normalised pair:
        a network that stands it can run over a whole image at once.
    members
        Networks of the ensemble.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["pair"] = "pair"
    name: str = "pair-fluorescence"
    bins: Annotated[int, Field(ge=3)] = 33
    reach: Annotated[float, Field(gt=0)] = 8.0
    widths: tuple[int, ...] = (24, 32, 64, 96, 128)
    hidden: Annotated[int, Field(ge=1)] = 128
    objects: tuple[str, ...] = OBJECTS
    batch: Annotated[int, Field(ge=2)] = 64
    steps: Annotated[int, Field(ge=1)] = 13_000
    epoch_steps: Annotated[int, Field(ge=1)] = 500
    peak_rate: Annotated[float, Field(gt=0)] = 2e-3
    lonely: Annotated[float, Field(ge=0, le=1)] = 0.08
    clear: Annotated[float, Field(ge=0, le=0.5)] = 0.1
    solid: Annotated[float, Field(ge=0, le=0.5)] = 0.15
    jitter: Annotated[float, Field(ge=0, le=1)] = 0.1
    members: Annotated[int, Field(ge=1)] = 2

    @property
    def schedule(self) -> Schedule:
        """Its schedule."""
        return Schedule(steps=self.steps, epoch_steps=self.epoch_steps, peak_rate=self.peak_rate)


class PairTask:
    """Trains a ``PairNetwork`` on fields of ``FieldBatches``."""

    def __init__(self, recipe: PairRecipe) -> None:
        self.recipe = recipe

    @property
    def name(self) -> str:
        """The recipe with all that decides one member's weights: no other checkpoint fits."""
        return self.recipe.model_dump_json(exclude={"members"})

    def build(self, seed: int) -> nn.Module:
        """Build the network; the generator of the process is left as it was."""
        recipe = self.recipe
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return PairNetwork(bins=recipe.bins + 1, widths=recipe.widths, hidden=recipe.hidden)

    def batches(self, seed: int, device: torch.device) -> Iterator[Batch]:
        """Inputs, facts and labels without end."""
        recipe = self.recipe
        clear, solid = (round(share * recipe.batch) for share in (recipe.clear, recipe.solid))
        common: dict[str, Any] = {
            "reach_depths": recipe.reach, "seed": seed, "device": str(device)
        }  # fmt: skip
        others = ClearFields(**common) if clear else None
        bodies = SolidFields(objects=recipe.objects, **common) if solid else None
        source = FieldBatches(batch=recipe.batch - clear - solid, objects=recipe.objects, **common)
        dice = torch.Generator().manual_seed(seed)
        for fields in source:
            side = SIZES_PX[int(torch.randint(len(SIZES_PX), (), generator=dice))]
            drawn = [fields]
            if bodies is not None:
                drawn.append(bodies.draw(solid))
            if others is not None:
                drawn.append(others.draw(clear))
            lonely = torch.rand(recipe.batch, generator=dice).to(device) < recipe.lonely
            ends = [len(each.na) for each in drawn]
            made = [
                self.batch_of(each, lonely=own, size_px=side)
                for each, own in zip(drawn, torch.split(lonely, ends), strict=True)
            ]
            inputs, facts, labels = (torch.cat(parts) for parts in zip(*made, strict=True))
            if others is not None:
                labels[-clear:] = no_fluorescence(labels[-clear:], clear)
            wobble = recipe.jitter * torch.randn(2, recipe.batch, 1, 1, 1, generator=dice).to(
                device
            )
            yield (inputs * wobble[0].exp()).add_(wobble[1]), facts, labels

    def batch_of(self, fields: FieldBatch, *, lonely: Tensor, size_px: int) -> Batch:
        """Inputs (b, 2, y, x), facts (b, f) and labels (b, bins + 1) of fluorescence fields."""
        images = fields.images[..., :size_px, :size_px]
        second = torch.where(lonely[:, None, None], images[:, 0], images[:, 1])
        inputs = normalised(torch.stack([images[:, 0], second], 1))
        facts = pair_facts(
            pixel=fields.pixel_um * fields.na / fields.wavelength_um,
            spacing=torch.where(lonely, 0.0, fields.spacing_um / fields.depth_um),
            ratio=fields.na / fields.index,
        )
        middle = torch.where(lonely, fields.z_um[:, 0], fields.z_um[:, :2].mean(1))
        labels = two_hot(middle / fields.depth_um, bins=self.recipe.bins, reach=self.recipe.reach)
        labels = functional.pad(labels, (0, 1))
        return inputs.contiguous(memory_format=torch.channels_last), facts, labels

    def loss(self, network: nn.Module, batch: Batch) -> Tensor:
        """Cross-entropy against two-hot labels, the last for what is no fluorescence."""
        inputs, facts, labels = batch
        logits = network(inputs, facts).float()
        return functional.cross_entropy(logits, labels)


def no_fluorescence(labels: Tensor, count: int) -> Tensor:
    """Labels (count, classes) of pairs that are no fluorescence: all in the last class.

    Examples
    --------
    >>> no_fluorescence(torch.zeros(1, 3), 2)
    tensor([[0., 0., 1.],
            [0., 0., 1.]])
    """
    last = labels.new_zeros(count, labels.shape[1])
    last[:, -1] = 1.0
    return last
