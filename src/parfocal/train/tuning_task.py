"""Fine-tuning a pair network as a task: batches of real patches among simulated ones."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from parfocal.data import LabelledStack, ShortStackPatches, useful_pairs
from parfocal.predict.checks import effective_depth_um
from parfocal.predict.pairs import resample, resampling
from parfocal.simulate.batches import FieldBatch
from parfocal.simulate.kept_images import exposed, turned
from parfocal.train.labelling import patch_side_px
from parfocal.train.loop import Batch, Schedule
from parfocal.train.pair_task import PairRecipe, PairTask
from parfocal.train.stack_trials import SWEEP_IMAGES

KEEP_BYTES = 2**29
"""Memory for planes that are read again and again."""


class TuningRecipe(BaseModel):
    """Everything that decides how a pair network is fine-tuned.

    Parameters
    ----------
    steps, epoch_steps, peak_rate, batch
        Of training; after each epoch the stacks that choose are asked.
    simulated
        Share of simulated pairs in a batch: without them the network forgets other optics.
    held_out
        Share of the specimens that nothing is learnt from: half of them choose the epoch, half
        judge.
    most_pairs
        Pairs of a held-out stack that are tried.
    classical_images
        Images over the network's range that DCTS may take, when the two are compared.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["tuning"] = "tuning"
    name: str = "pair-fluorescence"
    steps: Annotated[int, Field(ge=1)] = 600
    epoch_steps: Annotated[int, Field(ge=1)] = 100
    peak_rate: Annotated[float, Field(gt=0)] = 3e-4
    batch: Annotated[int, Field(ge=4)] = 64
    simulated: Annotated[float, Field(ge=0, le=0.95)] = 0.5
    held_out: Annotated[float, Field(gt=0, lt=1)] = 0.4
    most_pairs: Annotated[int, Field(ge=1)] = 16
    classical_images: Annotated[int, Field(ge=3)] = SWEEP_IMAGES

    @property
    def schedule(self) -> Schedule:
        """Its schedule."""
        return Schedule(
            steps=self.steps, epoch_steps=self.epoch_steps, peak_rate=self.peak_rate,
            warm_steps=max(1, self.steps // 10), average=0.99,
        )  # fmt: skip


class StackBatches:
    """An endless source of pairs from stacks: each stack as often, turned and mirrored at random.

    Parameters
    ----------
    stacks
        To learn from.
    batch
        Pairs in a batch.
    reach
        Largest defocus of a pair's middle, in effective depths of field.
    """

    def __init__(self, stacks: Sequence[LabelledStack], *, batch: int, reach: float) -> None:
        kept = [known.keeping(KEEP_BYTES // len(stacks)) for known in stacks]
        self.batch, self.stacks = batch, kept
        sides = [patch_side_px(known) for known in kept]
        self.side_px = min(side for _, side in sides)
        self.shares = [resampling(known.setup) for known in kept]
        self.patches = ShortStackPatches(
            kept,
            sides_px=[round(self.side_px / side * own) for own, side in sides],
            planes=[
                useful_pairs(
                    known.z_um, known.focus_um, depth_um=effective_depth_um(known.setup),
                    reach=reach,
                )
                for known in kept
            ],
        )  # fmt: skip

    def draw(self, dice: torch.Generator) -> FieldBatch:
        """Draw pairs, resampled as predictors do."""
        images, z_um, optics = [], [], []
        for _ in range(self.batch):
            stack = int(torch.randint(len(self.stacks), (), generator=dice))
            items = self.patches.items_of(stack)
            item = items.start + int(torch.randint(len(items), (), generator=dice))
            patch, share = self.patches[item], self.shares[stack]
            small = resample(patch.images, share)[..., : self.side_px, : self.side_px]
            images.append(turned(small, int(torch.randint(8, (), generator=dice))))
            z_um.append(patch.defocus_um)
            setup = self.stacks[stack].setup
            optics.append(
                (setup.na, setup.immersion_index, setup.wavelength_um, setup.pixel_um / share)
            )
        facts = torch.cat([torch.tensor(optics), torch.stack(z_um)], 1)
        return exposed(torch.stack(images), facts, torch.zeros(len(facts)))


class TuningTask:
    """Goes on training one member of an ensemble, on real patches among simulated ones.

    Parameters
    ----------
    recipe
        How.
    pair
        What the member was trained by.
    member
        The network to begin with; it is not changed.
    stacks
        To learn from.
    origin
        What names the member and the stacks, for checkpoints.
    """

    def __init__(
        self,
        recipe: TuningRecipe,
        pair: PairRecipe,
        member: nn.Module,
        stacks: Sequence[LabelledStack],
        *,
        origin: dict[str, Any],
    ) -> None:
        self.recipe, self._member, self._stacks = recipe, member, stacks
        simulated = round(recipe.simulated * recipe.batch)
        self.real = recipe.batch - simulated
        self.pairs = PairTask(pair.model_copy(update={"batch": max(2, simulated)}))
        self._is_mixed = simulated > 0
        self._origin = origin

    @property
    def name(self) -> str:
        """The recipe, the network to begin with and the stacks: no other checkpoint fits."""
        return json.dumps(self.recipe.model_dump(mode="json") | self._origin)

    def build(self, seed: int) -> nn.Module:
        """Copy the network to begin with; it was drawn from no seed of ours."""
        del seed
        return copy.deepcopy(self._member)

    def batches(self, seed: int, device: torch.device) -> Iterator[Batch]:
        """Inputs, facts and labels without end."""
        reach = self.pairs.recipe.reach
        source = StackBatches(self._stacks, batch=self.real, reach=reach)
        dice = torch.Generator().manual_seed(seed)
        simulated = self.pairs.batches(seed, device) if self._is_mixed else None
        lonely = torch.zeros(self.real, dtype=torch.bool)
        while True:
            fields = source.draw(dice)
            side = source.side_px
            others = None if simulated is None else next(simulated)
            if others is not None:
                side = min(side, others[0].shape[-1])
            real = self.pairs.batch_of(fields, lonely=lonely, size_px=side)
            real = tuple(part.to(device) for part in real)
            if others is None:
                yield real
                continue
            inputs = others[0][..., :side, :side]
            joint = torch.cat([real[0], inputs]).contiguous(memory_format=torch.channels_last)
            yield joint, torch.cat([real[1], others[1]]), torch.cat([real[2], others[2]])

    def loss(self, network: nn.Module, batch: Batch) -> Tensor:
        """As in training."""
        return self.pairs.loss(network, batch)


def digest(stacks: Sequence[LabelledStack], marks: Sequence[frozenset[bytes]]) -> str:
    """What tells these stacks and labels from others, in eight letters."""
    whole = hashlib.blake2b(digest_size=4)
    for known, own in zip(stacks, marks, strict=True):
        whole.update(f"{known.specimen} {known.focus_um!r} {known.setup!r}".encode())
        for mark in sorted(own):
            whole.update(mark)
    return whole.hexdigest()
