from __future__ import annotations

import sys

import pytest

from parfocal.core.errors import MissingExtraError
from parfocal.train.log import TrainingLog
from parfocal.train.loop import Epoch, Progress


def test_a_missing_library_is_named_with_the_command_that_brings_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'parfocal\[tensorboard\]'"):
        TrainingLog(tmp_path)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_losses_rates_and_scores_are_read_back_and_a_resumed_run_replaces_its_own(tmp_path):
    pytest.importorskip("tensorboard", reason="the log needs parfocal[tensorboard]")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for first, loss in ((1, 9.0), (3, 5.0)):
        log = TrainingLog(tmp_path)
        for step in range(first, first + 4):
            log.step(Progress(step, 6, loss, 0.0, rate=0.1 * step))
        log.epoch(Epoch(first + 3, loss, score=0.5))
        log.close()
    events = EventAccumulator(str(tmp_path)).Reload()
    assert [(at.step, at.value) for at in events.Scalars("loss")] == [
        (1, 9.0), (2, 9.0), (3, 5.0), (4, 5.0), (5, 5.0), (6, 5.0),
    ]  # fmt: skip
    assert events.Scalars("rate")[0].value == pytest.approx(0.1)
    assert [(at.step, at.value) for at in events.Scalars("epoch/score")] == [(6, 0.5)]


def test_nothing_is_written_before_the_first_step(tmp_path):
    pytest.importorskip("tensorboard", reason="the log needs parfocal[tensorboard]")
    log = TrainingLog(tmp_path / "none")
    log.close()
    assert not (tmp_path / "none").exists()
