from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import nn

from parfocal.core.errors import InputError, ReadError
from parfocal.train.loop import Judge, Schedule, pick_precision, train_network

SCHEDULE = Schedule(steps=40, epoch_steps=10, peak_rate=0.05, warm_steps=4, average=0.9)


class Line:
    """Learns y = 2 x - 1 from noisy points."""

    name = "line"

    def __init__(self, wrong=False):
        self.wrong = wrong

    def build(self, seed):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return nn.Sequential(nn.Linear(1, 8), nn.BatchNorm1d(8), nn.Linear(8, 1))

    def batches(self, seed, device):
        dice = torch.Generator().manual_seed(seed)
        while True:
            x = torch.randn(32, 1, generator=dice)
            yield x, 2 * x - 1 + 0.01 * torch.randn(32, 1, generator=dice)

    def loss(self, network, batch):
        x, y = batch
        return (network(x) - y).square().mean() / (0.0 if self.wrong else 1.0)


class KilledError(Exception):
    """A run that ends in the middle."""


def _weights(trained):
    return torch.cat([value.double().flatten() for value in trained.network.state_dict().values()])


def test_a_run_that_was_killed_ends_with_the_same_weights(tmp_path):
    whole = train_network(Line(), SCHEDULE, seed=3)
    place = tmp_path / "run.ckpt"

    def kill(progress):
        if progress.step == 27:
            raise KilledError

    with pytest.raises(KilledError):
        train_network(Line(), SCHEDULE, seed=3, checkpoint=place, on_step=kill)
    steps = []
    again = train_network(
        Line(), SCHEDULE, seed=3, checkpoint=place, on_step=lambda each: steps.append(each.step)
    )
    assert steps[0] == 21
    assert torch.equal(_weights(again), _weights(whole))
    assert again.losses == whole.losses
    assert not list(tmp_path.glob("*.part"))


def test_the_loss_falls_and_the_average_of_the_weights_is_kept():
    trained = train_network(Line(), SCHEDULE, precision=torch.float32)
    assert trained.losses[-1] < 0.3 * trained.losses[0]
    x = torch.tensor([[0.5]])
    assert abs(float(trained.network(x).detach())) < 0.5
    assert not trained.network.training


def test_another_seed_gives_other_weights():
    one, two = (train_network(Line(), SCHEDULE, seed=seed) for seed in (0, 1))
    assert not torch.equal(_weights(one), _weights(two))


def test_the_rate_warms_up_and_falls_to_nothing():
    rates = [SCHEDULE.rate(step) for step in range(41)]
    assert rates[0] == pytest.approx(0.05 / 4)
    assert max(rates) < 0.05
    assert rates[40] == pytest.approx(0.0)
    assert all(a > b for a, b in itertools.pairwise(rates[5:]))


def test_a_checkpoint_of_another_run_is_refused(tmp_path):
    place = tmp_path / "run.ckpt"
    train_network(Line(), SCHEDULE, seed=3, checkpoint=place)
    with pytest.raises(ReadError, match="another training, with seed 3 instead of 4: give"):
        train_network(Line(), SCHEDULE, seed=4, checkpoint=place)
    longer = Schedule(**{**vars(SCHEDULE), "steps": 50, "clip": 2.0})
    with pytest.raises(ReadError, match=r"with steps 40 instead of 50, clip 1.0 instead of 2.0:"):
        train_network(Line(), longer, seed=3, checkpoint=place)
    place.write_bytes(b"not a checkpoint")
    with pytest.raises(ReadError, match="no readable checkpoint"):
        train_network(Line(), SCHEDULE, seed=3, checkpoint=place)


def test_a_loss_that_is_no_number_ends_the_training():
    with pytest.raises(InputError, match="diverged at step 0"):
        train_network(Line(wrong=True), SCHEDULE)


def test_a_checkpoint_cut_short_or_of_another_kind_gets_one_line(tmp_path):
    place = tmp_path / "run.ckpt"
    train_network(Line(), SCHEDULE, seed=3, checkpoint=place)
    whole = place.read_bytes()
    flipped = bytes([*whole[:700], *(255 - byte for byte in whole[700:760]), *whole[760:]])
    damaged = [whole[:size] for size in range(0, len(whole), len(whole) // 40)]
    damaged += [flipped, b"PK\x03\x04", b"\x80\x02}q\x00.", b"\x80\x02(", b"\x00" * 64]
    torch.save([1, 2], tmp_path / "list")
    damaged.append((tmp_path / "list").read_bytes())
    for content in damaged:
        place.write_bytes(content)
        with pytest.raises(ReadError) as caught:
            train_network(Line(), SCHEDULE, seed=3, checkpoint=place)
        assert "\n" not in str(caught.value)


def test_a_checkpoint_without_a_judge_holds_what_it_always_held(tmp_path):
    place = tmp_path / "run.ckpt"
    train_network(Line(), SCHEDULE, seed=3, checkpoint=place)
    kept = torch.load(place, weights_only=True)
    assert kept["identity"] == {"task": "line", "seed": 3, "schedule": repr(SCHEDULE)}
    assert set(kept) == {
        "identity", "network", "averaged", "optimiser", "losses", "step", "seconds",
    }  # fmt: skip


def _slope(network):
    """Prediction at 1 less that at 0, which the task makes 2."""
    with torch.no_grad():
        return float(network(torch.tensor([[1.0], [0.0]])).flatten().diff())


def test_the_judge_chooses_the_epoch_and_the_last_is_kept_without_one():
    slopes = []

    def score(network):
        assert not network.training
        slopes.append(_slope(network))
        return (3.0, 1.0, 2.0, 5.0)[len(slopes) - 1]

    kept = train_network(Line(), SCHEDULE, seed=3, judge=Judge("table", score))
    assert kept.scores == (3.0, 1.0, 2.0, 5.0)
    assert kept.step == 20
    assert len(set(slopes)) == 4
    assert _slope(kept.network) == slopes[1]
    last = train_network(Line(), SCHEDULE, seed=3)
    assert last.step == 40
    assert not last.scores
    assert _slope(last.network) == slopes[3]


def test_scores_that_are_no_numbers_never_win():
    values = iter([math.nan, 2.0, math.nan, 1.0])
    kept = train_network(Line(), SCHEDULE, judge=Judge("odd", lambda _: next(values)))
    assert kept.step == 40
    values = iter([3.0, 2.0, 2.0, math.nan])
    assert train_network(Line(), SCHEDULE, judge=Judge("odd", lambda _: next(values))).step == 20


def test_training_stops_when_the_judges_patience_ends(tmp_path):
    def impatient(values):
        return Judge("table", lambda _: next(values), patience=2)

    whole = train_network(Line(), SCHEDULE, judge=impatient(iter([3.0, 1.0, 1.0, 2.0])))
    assert (len(whole.scores), whole.step) == (4, 20)
    place = tmp_path / "run.ckpt"
    short = train_network(
        Line(), SCHEDULE, judge=impatient(iter([1.0, 2.0, math.nan])), checkpoint=place
    )
    assert (len(short.scores), short.step) == (3, 10)
    again = train_network(Line(), SCHEDULE, judge=impatient(iter([])), checkpoint=place)
    assert torch.equal(_weights(again), _weights(short))
    with pytest.raises(ReadError):
        train_network(Line(), SCHEDULE, judge=Judge("table", lambda _: 0.0), checkpoint=place)


def test_a_judged_run_that_was_killed_keeps_the_same_weights(tmp_path):
    place = tmp_path / "run.ckpt"
    liking = {10: 3.0, 20: 1.0, 30: 2.0, 40: 5.0}

    def judged(steps):
        return Judge("table", lambda _: liking[next(steps)])

    whole = train_network(Line(), SCHEDULE, seed=3, judge=judged(iter([10, 20, 30, 40])))

    def kill(progress):
        if progress.step == 27:
            raise KilledError

    with pytest.raises(KilledError):
        train_network(
            Line(), SCHEDULE, seed=3, checkpoint=place, on_step=kill, judge=judged(iter([10, 20]))
        )
    again = train_network(Line(), SCHEDULE, seed=3, checkpoint=place, judge=judged(iter([30, 40])))
    assert whole.step == again.step == 20
    assert whole.scores == again.scores
    assert torch.equal(_weights(again), _weights(whole))


def test_epochs_and_rates_are_told():
    steps, epochs = [], []
    train_network(
        Line(), SCHEDULE, on_step=steps.append, on_epoch=epochs.append,
        judge=Judge("one", lambda _: 1.0),
    )  # fmt: skip
    assert [each.rate for each in steps] == [SCHEDULE.rate(step) for step in range(40)]
    assert [(each.step, each.score) for each in epochs] == [(k, 1.0) for k in (10, 20, 30, 40)]
    assert epochs[0].loss == pytest.approx(sum(each.loss for each in steps[:10]) / 10)


def test_bfloat16_is_taken_where_the_processor_has_it(monkeypatch):
    cpu = torch.device("cpu")
    for able, expected in (("AVX512", torch.bfloat16), ("AVX2", torch.float32)):
        monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda able=able: able)
        assert pick_precision(cpu) == expected
