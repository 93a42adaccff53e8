"""Several processes train one network, as torchrun starts them; here two, on CPUs."""

from __future__ import annotations

import sys

import pytest
import torch

from parfocal.core.errors import ReadError
from parfocal.models import load_model
from parfocal.train.loop import train_network
from tests.fabricate.ranks import SCHEDULE, Line, start_ranks
from tests.journeys.test_cli_train import CHILD, TINY


def _finish(children):
    """Wait for all; what the first wrote on stdout."""
    said = [child.communicate(timeout=300) for child in children]
    assert [child.returncode for child in children] == [0] * len(children), said
    return said


def test_two_processes_learn_what_one_learns_from_both_their_batches(tmp_path):
    _finish(start_ranks([sys.executable, "-m", "tests.fabricate.ranks", str(tmp_path)]))
    first, second = (torch.load(tmp_path / f"rank{rank}") for rank in (0, 1))
    one = train_network(Line(several=2), SCHEDULE, seed=3, precision=torch.float32)
    for name, value in one.network.state_dict().items():
        assert torch.equal(first["weights"][name], second["weights"][name])
        torch.testing.assert_close(first["weights"][name], value, atol=1e-5, rtol=1e-4)
    assert first["losses"] == second["losses"]
    assert first["losses"] == pytest.approx(one.losses, rel=1e-4)
    with pytest.raises(ReadError, match="with processes 2 instead of none"):
        train_network(Line(), SCHEDULE, seed=3, checkpoint=tmp_path / "run.ckpt")


def test_the_command_in_two_processes_writes_one_model_and_speaks_once(tmp_path):
    place = tmp_path / "own"
    said = _finish(start_ranks([sys.executable, "-c", CHILD, *TINY, "--out", str(place)]))
    assert load_model(place)[1].name == "pair-fluorescence"
    assert [path.name for path in sorted(place.iterdir())] == ["card.json", "weights.safetensors"]
    assert "wrote" in said[0][0]
    assert said[1][0] == ""
