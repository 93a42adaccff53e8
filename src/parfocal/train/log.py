"""What TensorBoard shows of a training."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from parfocal.core.errors import MissingExtraError
from parfocal.train.loop import Epoch, Progress, Schedule, Task, Trained, train_network
from parfocal.train.ranks import current_ranks


class TrainingLog:
    """Writes losses, rates and scores of one network for ``tensorboard --logdir``.

    Parameters
    ----------
    folder
        Where the events of this network go.

    Raises
    ------
    MissingExtraError
        If TensorBoard is not installed.
    """

    def __init__(self, folder: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 - optional
        except ImportError as error:
            raise MissingExtraError("A log for TensorBoard", "tensorboard") from error
        self._make: Any = SummaryWriter
        self._folder = folder
        self._writer: Any = None

    def step(self, at: Progress) -> None:
        """Note a step; what an earlier run noted from here on is dropped."""
        writer = self._open(at.step)
        writer.add_scalar("loss", at.loss, at.step)
        writer.add_scalar("rate", at.rate, at.step)

    def epoch(self, at: Epoch) -> None:
        """Note the end of an epoch."""
        writer = self._open(at.step)
        writer.add_scalar("epoch/loss", at.loss, at.step)
        if at.score is not None:
            writer.add_scalar("epoch/score", at.score, at.step)

    def close(self) -> None:
        """Write what is left."""
        if self._writer is not None:
            self._writer.close()

    def _open(self, step: int) -> Any:
        if self._writer is None:
            self._writer = self._make(str(self._folder), purge_step=step)
        return self._writer


def train_logged(
    task: Task,
    schedule: Schedule,
    *,
    log: Path | None,
    on_step: Callable[[Progress], None],
    **options: Any,
) -> Trained:
    """Train one network as ``train_network`` does, and note it in a folder if there is one.

    Of several processes the first writes.
    """
    if log is None or not current_ranks().is_first:
        return train_network(task, schedule, on_step=on_step, **options)
    notes = TrainingLog(log)

    def step(at: Progress) -> None:
        on_step(at)
        notes.step(at)

    try:
        return train_network(task, schedule, on_step=step, on_epoch=notes.epoch, **options)
    finally:
        notes.close()
