"""The training loop: plain, and resumable after a kill with the same result."""

from __future__ import annotations

import copy
import math
import pickle
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from parfocal.core.device import pick_device
from parfocal.core.errors import InputError, ReadError

Batch = tuple[Tensor, ...]
DAMAGED = (OSError, EOFError, RuntimeError, ValueError, LookupError, pickle.UnpicklingError)
"""What torch raises for a file that is cut short, is none of its own, or cannot be read."""


@runtime_checkable
class Task(Protocol):
    """What is trained: a network, where its batches come from, and what they cost it."""

    @property
    def name(self) -> str:
        """Name, for checkpoints and messages."""
        ...

    def build(self, seed: int) -> nn.Module:
        """Build the network with its first weights, drawn from the seed."""
        ...

    def batches(self, seed: int, device: torch.device) -> Iterator[Batch]:
        """Batches without end, the same for the same seed."""
        ...

    def loss(self, network: nn.Module, batch: Batch) -> Tensor:
        """Mean cost of one batch."""
        ...


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How long and how fast to learn.

    Parameters
    ----------
    steps
        Batches in all.
    epoch_steps
        Batches from one source; then a new one is drawn, and a checkpoint written.
    peak_rate, weight_decay
        Of AdamW; the rate rises over ``warm_steps`` and falls as a cosine to 0.
    average
        Share that the running average of the weights keeps at each step; it is what is kept.
    clip
        Largest norm of a gradient.
    """

    steps: int
    epoch_steps: int = 500
    peak_rate: float = 2e-3
    weight_decay: float = 1e-2
    warm_steps: int = 200
    average: float = 0.998
    clip: float = 1.0

    def rate(self, step: int) -> float:
        """Learning rate of a step."""
        warm = min(1.0, (step + 1) / max(1, self.warm_steps))
        return self.peak_rate * warm * 0.5 * (1 + math.cos(math.pi * step / self.steps))


@dataclass(frozen=True)
class Progress:
    """Where training stands after a step."""

    step: int
    steps: int
    loss: float
    seconds: float


@dataclass(frozen=True, eq=False)
class Trained:
    """The averaged network, the mean loss of each epoch, and the seconds it took in all."""

    network: nn.Module
    losses: tuple[float, ...]
    seconds: float


def train_network(
    task: Task,
    schedule: Schedule,
    *,
    seed: int = 0,
    device: str = "cpu",
    checkpoint: Path | None = None,
    on_step: Callable[[Progress], None] | None = None,
    precision: torch.dtype = torch.bfloat16,
) -> Trained:
    """Train one network; go on from ``checkpoint`` where that file exists.

    Every epoch draws a new source of batches from the seed and its own number, and checkpoints
    are written between epochs alone: so a run that was killed repeats the epoch in which it was,
    and ends with the same weights as one that was not.

    Raises
    ------
    ReadError
        If the checkpoint is damaged, or belongs to another task, seed or schedule.
    """
    where = pick_device(device)
    network = task.build(seed).to(where)
    state = _State.start(network, schedule)
    identity = {"task": task.name, "seed": seed, "schedule": repr(schedule)}
    if checkpoint is not None and checkpoint.exists():
        state.load(checkpoint, identity, where)
    began = time.monotonic() - state.seconds
    while state.step < schedule.steps:
        epoch = state.step // schedule.epoch_steps
        batches = task.batches(seed * 100_003 + epoch, where)
        torch.manual_seed(seed * 100_003 + epoch)  # for dropout
        last = min(schedule.steps, (epoch + 1) * schedule.epoch_steps)
        total = 0.0
        first = state.step
        while state.step < last:
            loss = _learn(task, state, next(batches), schedule, precision)
            total += loss
            state.step += 1
            if on_step is not None:
                seconds = time.monotonic() - began
                on_step(Progress(state.step, schedule.steps, loss, seconds))
        state.losses.append(total / (last - first))
        state.seconds = time.monotonic() - began
        if checkpoint is not None:
            state.save(checkpoint, identity)
    return Trained(state.averaged.eval(), tuple(state.losses), state.seconds)


def _learn(
    task: Task, state: _State, batch: Batch, schedule: Schedule, precision: torch.dtype
) -> float:
    """One step; the averaged weights follow."""
    for group in state.optimiser.param_groups:
        group["lr"] = schedule.rate(state.step)
    state.network.train()
    kind = batch[0].device.type
    with torch.autocast(kind, dtype=precision, enabled=precision != torch.float32):
        loss = task.loss(state.network, batch)
    value = loss.item()
    if not math.isfinite(value):
        raise InputError(
            f"Training {task.name} diverged at step {state.step}: the loss is {value}. "
            "Give a lower rate, or float32."
        )
    state.optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(state.network.parameters(), schedule.clip)
    state.optimiser.step()
    keep = min(schedule.average, (1 + state.step) / (10 + state.step))
    with torch.no_grad():
        for mean, now in zip(
            state.averaged.state_dict().values(),
            state.network.state_dict().values(),
            strict=True,
        ):
            if mean.is_floating_point():
                mean.lerp_(now, 1 - keep)
            else:
                mean.copy_(now)
    return value


@dataclass(eq=False)
class _State:
    """All that a run must remember to go on."""

    network: nn.Module
    averaged: nn.Module
    optimiser: torch.optim.Optimizer
    losses: list[float]
    step: int = 0
    seconds: float = 0.0

    @classmethod
    def start(cls, network: nn.Module, schedule: Schedule) -> _State:
        optimiser = torch.optim.AdamW(
            network.parameters(), lr=schedule.peak_rate, weight_decay=schedule.weight_decay
        )
        return cls(network, copy.deepcopy(network), optimiser, [])

    def save(self, path: Path, identity: dict[str, object]) -> None:
        """Write beside, then replace: a kill leaves the old checkpoint or the new one."""
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        torch.save(
            {
                "identity": identity,
                "network": self.network.state_dict(),
                "averaged": self.averaged.state_dict(),
                "optimiser": self.optimiser.state_dict(),
                "losses": self.losses,
                "step": self.step,
                "seconds": self.seconds,
            },
            part,
        )
        part.replace(path)

    def load(self, path: Path, identity: dict[str, object], device: torch.device) -> None:
        unreadable = f"{path} is no readable checkpoint; delete it to start training anew."
        try:
            kept = torch.load(path, map_location=device, weights_only=True)
        except DAMAGED as error:
            raise ReadError(unreadable) from error
        if not isinstance(kept, dict):
            raise ReadError(unreadable)
        if kept.get("identity") != identity:
            raise ReadError(
                f"{path} belongs to another training ({kept.get('identity')}); give another "
                "folder, or delete it to start anew."
            )
        self.network.load_state_dict(kept["network"])
        self.averaged.load_state_dict(kept["averaged"])
        self.optimiser.load_state_dict(kept["optimiser"])
        self.losses, self.step, self.seconds = kept["losses"], kept["step"], kept["seconds"]
