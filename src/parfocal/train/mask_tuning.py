"""Fine-tune a network that segments on a handful of a user's own masks."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import torch
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional

from parfocal.core.device import pick_device
from parfocal.core.errors import InputError, ShapeError
from parfocal.core.stack import FocalStack
from parfocal.models.card import ModelCard
from parfocal.models.package import load_model
from parfocal.nets.focus_unet import FocusUnet
from parfocal.segment.plane_reader import PlaneReader
from parfocal.train.in_focus_making import THRESHOLDS
from parfocal.train.in_focus_task import missed_overlap
from parfocal.train.loop import Batch, Judge, Progress, Schedule, train_network
from parfocal.train.making import Step, code_revision, machine_name
from parfocal.train.tuning import NotBetterError, replace_model

LEAST_STACKS = 2


class MaskTuningRecipe(BaseModel):
    """Everything that decides how a network is fine-tuned on masks.

    Parameters
    ----------
    steps, epoch_steps, peak_rate, batch, size_px
        Of training; after each epoch the held-out stacks are asked.
    patience
        Epochs without a better score after which it ends.
    held_out
        Share of the stacks that nothing is learnt from; at least one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["mask-tuning"] = "mask-tuning"
    name: str = "in-focus"
    steps: Annotated[int, Field(ge=1)] = 400
    epoch_steps: Annotated[int, Field(ge=1)] = 40
    peak_rate: Annotated[float, Field(gt=0)] = 3e-4
    batch: Annotated[int, Field(ge=1)] = 8
    size_px: Annotated[int, Field(ge=32)] = 128
    patience: Annotated[int, Field(ge=1)] = 4
    held_out: Annotated[float, Field(gt=0, lt=1)] = 0.25

    @property
    def schedule(self) -> Schedule:
        """Its schedule."""
        return Schedule(
            steps=self.steps, epoch_steps=self.epoch_steps, peak_rate=self.peak_rate,
            warm_steps=max(1, self.steps // 10), average=0.98,
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class MaskedStack:
    """A stack and what a person says is in focus in it.

    Raises
    ------
    ShapeError
        If the masks have not the stack's planes and pixels.
    InputError
        If no pixel is in focus.
    """

    stack: FocalStack
    masks: FocalStack

    def __post_init__(self) -> None:
        if self.masks.shape != self.stack.shape:
            raise ShapeError(
                f"{self.stack.name}: the images are {self.stack.shape} and the masks "
                f"{self.masks.shape} (z, y, x); give a mask for each pixel of each plane."
            )

    def mask(self, number: int) -> Float[Tensor, "y x"]:
        """One plane: 1 in focus, 0 not."""
        return (self.masks.read(number) > 0).float()


@dataclass(frozen=True, eq=False)
class MaskTuned:
    """A fine-tuned model that was kept: IoU on held-out stacks before and after."""

    card: ModelCard
    before: float
    after: float
    stacks: int


class MaskTask:
    """Learns a user's masks, from the weights of a model."""

    def __init__(
        self,
        recipe: MaskTuningRecipe,
        start: FocusUnet,
        stacks: Sequence[MaskedStack],
        *,
        origin: str,
    ) -> None:
        self.recipe, self._start, self._stacks = recipe, start, stacks
        names = ",".join(item.stack.name for item in stacks)
        self.name = f"{recipe.model_dump_json()} from {origin} on {names}"

    def build(self, seed: int) -> nn.Module:
        """Copy the network to begin with."""
        return copy.deepcopy(self._start).train()

    def batches(self, seed: int, device: torch.device) -> Iterator[Batch]:
        """Places of the stacks, half of them where something is in focus, turned at random."""
        dice = torch.Generator().manual_seed(seed)
        read = [(item, _reader(item.stack, self._start)) for item in self._stacks]
        side = self.recipe.size_px
        while True:
            parts = [_place(*read[_whole(len(read), dice)], side, dice)
                     for _ in range(self.recipe.batch)]  # fmt: skip
            planes, facts, masks = (torch.stack(values) for values in zip(*parts, strict=True))
            wide = planes.to(device).contiguous(memory_format=torch.channels_last)
            yield wide, facts.to(device), masks.to(device)

    def loss(self, network: nn.Module, batch: Batch) -> Tensor:
        """Cross-entropy and missed overlap, as the model itself was trained."""
        for layer in network.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.eval()  # a few stacks would spoil its statistics
        planes, facts, masks = batch
        logits = network(planes, facts).float()
        entropy = functional.binary_cross_entropy_with_logits(logits, masks)
        return entropy + 0.5 * missed_overlap(logits.sigmoid(), masks)


def tune_masks(
    model: str | Path,
    stacks: Sequence[MaskedStack],
    folder: Path,
    *,
    recipe: MaskTuningRecipe | None = None,
    seed: int = 0,
    device: str = "cpu",
    on_progress: Callable[[Step], None] | None = None,
) -> MaskTuned:
    """Fine-tune a model on masks; keep it only if it is better on stacks it never saw.

    Every fourth stack, and at least one, is held out: it chooses the epoch and the threshold, and
    judges. A run that was killed goes on from the checkpoint in the folder.

    Parameters
    ----------
    model
        Name or folder of a model that segments.
    stacks
        With their masks; at least two.
    folder
        Where weights and card are written.
    recipe, seed, device
        How, and where.
    on_progress
        Called after each step.

    Raises
    ------
    InputError
        If there are too few stacks, nothing is in focus in them, or the model is of another kind.
    NotBetterError
        If the result is not better on the held-out stacks; nothing is written.
    """
    recipe = MaskTuningRecipe() if recipe is None else recipe
    where = pick_device(device)
    (network, *_), card = load_model(model, device=where)
    if not isinstance(network, FocusUnet):
        raise InputError(f"{card.name} cannot learn from masks; give in-focus-widefield.")
    if len(stacks) < LEAST_STACKS:
        raise InputError(
            f"{len(stacks)} stack with masks: give {LEAST_STACKS} or more, for one must judge."
        )
    every = max(2, round(1 / recipe.held_out))
    ordered = sorted(stacks, key=lambda item: item.stack.name)
    judging, learning = ordered[::every], [
        item for number, item in enumerate(ordered) if number % every
    ]  # fmt: skip
    old = float(card.calibration.get("threshold", 0.5))
    read = [(item, _reader(item.stack, network)) for item in judging]
    before = _mean_overlap(network, read, (old,), where)[0]
    task = MaskTask(recipe, network, learning, origin=card.sha256[:8])
    judge = Judge(
        "IoU on " + ",".join(item.stack.name for item in judging),
        lambda tried: -max(_mean_overlap(tried, read, THRESHOLDS, where)),
        patience=recipe.patience,
    )

    def follow(at: Progress) -> None:
        if on_progress is not None:
            on_progress(Step(f"loss {at.loss:.3f}", at.step, recipe.steps))

    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = folder / "member-0.ckpt"
    trained = train_network(
        task, recipe.schedule, seed=seed, device=device, checkpoint=checkpoint, on_step=follow,
        judge=judge,
    )  # fmt: skip
    tuned = trained.network.float()
    scores = _mean_overlap(tuned, read, THRESHOLDS, where)
    after, threshold = max(zip(scores, THRESHOLDS, strict=True))
    checkpoint.unlink(missing_ok=True)
    if not after > before:
        if not any(folder.iterdir()):
            folder.rmdir()
        raise NotBetterError(
            f"not kept: IoU {after:.3f} after and {before:.3f} before, on {len(judging)} held-out "
            f"stacks; {card.name} stays as it is. Give more masks, or check those that are there."
        )
    changed = card.model_copy(
        update={
            "name": folder.name,
            "recipe": {"base": card.name, "base_sha256": card.sha256, **recipe.model_dump()},
            "commit": code_revision(), "seed": seed, "seconds": round(trained.seconds, 1),
            "machine": machine_name(where),
            "data": f"Fine-tuned on masks of {len(learning)} stacks, judged on {len(judging)} "
            f"others, which also chose the epoch and the threshold. Before: {card.data}",
            "metrics": {"iou_before": round(before, 4), "iou_after": round(after, 4)},
            "calibration": {**card.calibration, "threshold": threshold},
        }
    )  # fmt: skip
    return MaskTuned(replace_model(folder, changed, [tuned]), before, after, len(judging))


def _reader(stack: FocalStack, network: FocusUnet) -> PlaneReader:
    return PlaneReader(
        stack, stack.setup, is_dark=stack.modality == "brightfield", each_side=network.each_side
    )


@torch.inference_mode()
def _mean_overlap(
    network: nn.Module,
    stacks: Sequence[tuple[MaskedStack, PlaneReader]],
    thresholds: Sequence[float],
    device: torch.device,
) -> list[float]:
    """Mean IoU over stacks, for each threshold."""
    totals = torch.zeros(len(thresholds), dtype=torch.float64)
    for item, reader in stacks:
        both, either = torch.zeros(2, len(thresholds), dtype=torch.float64)
        for number in range(item.stack.shape[0]):
            planes, facts = reader.read(number)
            rows, columns = (-size % 8 for size in planes.shape[1:])
            padded = functional.pad(planes[None], (0, columns, 0, rows), mode="replicate")
            chance = network(padded.to(device), facts.to(device))[0].float().sigmoid().cpu()
            chance = chance[: planes.shape[1], : planes.shape[2]]
            truth = reader.binned(item.mask(number)) > 0.5
            for place, least in enumerate(thresholds):
                both[place] += int(((chance >= least) & truth).sum())
                either[place] += int(((chance >= least) | truth).sum())
        totals += torch.where(either > 0, both / either.clamp(min=1), 1.0)
    return (totals / len(stacks)).tolist()


def _place(
    item: MaskedStack, reader: PlaneReader, side_px: int, dice: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """One window of one plane, where something is in focus if a few tries find such a one."""
    wants, tries = _whole(2, dice) == 1, 4
    for left in range(tries, 0, -1):
        number = _whole(item.stack.shape[0], dice)
        mask = item.mask(number)
        if mask.any() or not wants or left == 1:
            break
    planes, facts = reader.read(number)
    mask = reader.binned(mask)
    short = [max(0, side_px - size) for size in mask.shape]
    planes = functional.pad(planes[None], (0, short[1], 0, short[0]), mode="replicate")[0]
    mask = functional.pad(mask, (0, short[1], 0, short[0]))
    top, left_px = (_whole(size - side_px + 1, dice) for size in mask.shape)
    window = (slice(top, top + side_px), slice(left_px, left_px + side_px))
    turns, mirror = _whole(4, dice), _whole(2, dice) == 1
    planes, mask = (
        torch.rot90(part.flip(-1) if mirror else part, turns, dims=(-2, -1))
        for part in (planes[:, *window], mask[window])
    )
    return planes, facts[0], mask


def _whole(below: int, dice: torch.Generator) -> int:
    return int(torch.randint(below, (), generator=dice))
