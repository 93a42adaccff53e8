"""The training loop: plain, and resumable after a kill with the same result."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from parfocal.core.device import pick_device
from parfocal.core.errors import InputError
from parfocal.train.checkpoints import read_checkpoint, write_checkpoint
from parfocal.train.ranks import Ranks, current_ranks

Batch = tuple[Tensor, ...]


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

    betas: ClassVar[tuple[float, float]] = (0.9, 0.999)  # of AdamW; a subclass may have others
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
    rate: float = 0.0


@dataclass(frozen=True)
class Epoch:
    """What came of an epoch: its last step, its mean loss, and the judge's score."""

    step: int
    loss: float
    score: float | None = None


@dataclass(frozen=True)
class Judge:
    """Chooses among the checkpoints: the least score wins, the earlier of equal ones.

    Parameters
    ----------
    name
        What it judges by, all of it: part of a checkpoint's identity.
    score
        Score of a network, on data that it does not learn from.
    patience
        Epochs without a better score after which training stops early; None never stops it.

    Notes
    -----
    Simulated error does not rank real error: a judge is for real stacks. Without one the last
    averaged weights are kept.
    """

    name: str
    score: Callable[[nn.Module], float]
    patience: int | None = None

    def has_seen_enough(self, scores: Sequence[float]) -> bool:
        """Whether the last epochs, as many as its patience, all came after the best one.

        Examples
        --------
        >>> judge = Judge("none", lambda network: 0.0, patience=2)
        >>> judge.has_seen_enough([3.0, 1.0, 2.0]), judge.has_seen_enough([3.0, 1.0, 2.0, 1.0])
        (False, True)
        """
        if self.patience is None or not scores:
            return False
        real = [math.inf if math.isnan(score) else score for score in scores]
        return len(real) - 1 - real.index(min(real)) >= self.patience


@dataclass(frozen=True, eq=False)
class Trained:
    """The network that is kept, and how it came about.

    Parameters
    ----------
    network
        Averaged weights: of the epoch with the least score, or of the last without a judge.
    losses, scores
        Of each epoch; no scores without a judge.
    seconds
        In all runs together.
    step
        After which the weights were kept.
    """

    network: nn.Module
    losses: tuple[float, ...]
    seconds: float
    scores: tuple[float, ...] = ()
    step: int = 0


def train_network(
    task: Task,
    schedule: Schedule,
    *,
    seed: int = 0,
    device: str = "cpu",
    checkpoint: Path | None = None,
    on_step: Callable[[Progress], None] | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
    precision: torch.dtype | None = None,
    judge: Judge | None = None,
) -> Trained:
    """Train one network; go on from ``checkpoint`` where that file exists.

    Every epoch draws a new source of batches from the seed and its own number, and checkpoints
    are written between epochs alone: so a run that was killed repeats the epoch in which it was,
    and ends with the same weights as one that was not.

    Within ``joined_ranks`` each process draws batches of its own, gradients are means over all,
    the first process writes, and all return the same network.

    Parameters
    ----------
    task, schedule
        What is learnt, how long and how fast.
    seed
        Of the first weights and the batches.
    device
        "cpu", "cuda" or "auto".
    checkpoint
        File to go on from, written after each epoch.
    on_step, on_epoch
        Called after each.
    precision
        Of the products; by default bfloat16 where the processor has it, else float32.
    judge
        Chooses the epoch whose weights are kept.

    Raises
    ------
    ReadError
        If the checkpoint is damaged, or belongs to another task, seed or schedule.
    InputError
        If the loss is no number any more.
    """
    where, ranks = pick_device(device), current_ranks()
    precision = pick_precision(where) if precision is None else precision
    network = task.build(seed).to(where)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    state = _State.start(network, schedule)
    identity = _identity(task, schedule, seed=seed, ranks=ranks, judge=judge)
    if checkpoint is not None and checkpoint.exists():
        state.load(read_checkpoint(checkpoint, identity, where))
    learner = ranks.shared(network, where)
    began = time.monotonic() - state.seconds
    while state.step < schedule.steps and not (judge and judge.has_seen_enough(state.scores)):
        epoch = state.step // schedule.epoch_steps
        batches = task.batches(seed * 100_003 + epoch + ranks.seed, where)
        torch.manual_seed(seed * 100_003 + epoch + ranks.seed)  # for dropout
        last = min(schedule.steps, (epoch + 1) * schedule.epoch_steps)
        total = 0.0
        first = state.step
        while state.step < last:
            rate = schedule.rate(state.step)
            loss = _learn(task, state, learner, next(batches), schedule, precision)
            total += loss
            state.step += 1
            if on_step is not None:
                seconds = time.monotonic() - began
                on_step(Progress(state.step, schedule.steps, loss, seconds, rate))
        ranks.align(state.averaged)
        state.losses.append(ranks.mean(total / (last - first), where))
        score = None if judge is None else ranks.mean(state.judge(judge), where)
        if score is not None:
            state.keep_best(score)
        state.seconds = time.monotonic() - began
        if checkpoint is not None and ranks.is_first:
            write_checkpoint(checkpoint, {"identity": identity, **state.to_dict()})
        if on_epoch is not None:
            on_epoch(Epoch(state.step, state.losses[-1], score))
    return state.finished()


def pick_precision(device: torch.device) -> torch.dtype:
    """bfloat16 where the processor multiplies in it, else float32.

    Examples
    --------
    >>> pick_precision(torch.device("cpu")) in (torch.bfloat16, torch.float32)
    True
    """
    if device.type == "cuda":
        has = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        has = torch.backends.cpu.get_cpu_capability().startswith("AVX512")
    return torch.bfloat16 if has else torch.float32


def _identity(
    task: Task, schedule: Schedule, *, seed: int, ranks: Ranks, judge: Judge | None
) -> dict[str, object]:
    """All that decides the weights: no other run's checkpoint fits."""
    identity: dict[str, object] = {"task": task.name, "seed": seed, "schedule": repr(schedule)}
    if ranks.count > 1:
        identity["processes"] = ranks.count
    if judge is not None:
        identity["judge"] = judge.name
        if judge.patience is not None:
            identity["patience"] = judge.patience
    return identity


def _learn(
    task: Task,
    state: _State,
    learner: nn.Module,
    batch: Batch,
    schedule: Schedule,
    precision: torch.dtype,
) -> float:
    """One step; the averaged weights follow."""
    for group in state.optimiser.param_groups:
        group["lr"] = schedule.rate(state.step)
    learner.train()
    kind = batch[0].device.type
    with torch.autocast(kind, dtype=precision, enabled=precision != torch.float32):
        loss = task.loss(learner, batch)
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
    scores: list[float]
    step: int = 0
    seconds: float = 0.0
    best: dict[str, Tensor] | None = None
    best_step: int = 0

    @classmethod
    def start(cls, network: nn.Module, schedule: Schedule) -> _State:
        optimiser = torch.optim.AdamW(
            network.parameters(), lr=schedule.peak_rate, betas=schedule.betas,
            weight_decay=schedule.weight_decay,
        )  # fmt: skip
        return cls(network, copy.deepcopy(network), optimiser, [], [])

    def judge(self, judge: Judge) -> float:
        """Score of the averaged weights."""
        return judge.score(copy.deepcopy(self.averaged).eval())

    def keep_best(self, score: float) -> None:
        """Keep the averaged weights if none before had so low a score."""
        if not math.isnan(score) and all(not other <= score for other in self.scores):
            self.best = copy.deepcopy(self.averaged.state_dict())
            self.best_step = self.step
        self.scores.append(score)

    def finished(self) -> Trained:
        """What is kept."""
        if self.best is not None:
            self.averaged.load_state_dict(self.best)
        return Trained(
            self.averaged.eval(),
            tuple(self.losses),
            self.seconds,
            tuple(self.scores),
            self.step if self.best is None else self.best_step,
        )

    def to_dict(self) -> dict[str, Any]:
        """Values of a checkpoint; those of a judge only where there is one."""
        values: dict[str, Any] = {
            "network": self.network.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "losses": self.losses,
            "step": self.step,
            "seconds": self.seconds,
        }
        if self.scores:
            values |= {"scores": self.scores, "best": self.best, "best_step": self.best_step}
        return values

    def load(self, kept: dict[str, Any]) -> None:
        """Go on from the values of a checkpoint."""
        self.network.load_state_dict(kept["network"])
        self.averaged.load_state_dict(kept["averaged"])
        self.optimiser.load_state_dict(kept["optimiser"])
        self.losses, self.step, self.seconds = kept["losses"], kept["step"], kept["seconds"]
        self.scores, self.best = kept.get("scores", []), kept.get("best")
        self.best_step = kept.get("best_step", 0)
