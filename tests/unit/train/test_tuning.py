from __future__ import annotations

import pytest
import torch

from parfocal.core.errors import InputError
from parfocal.data import plane_marks
from parfocal.models import load_model
from parfocal.predict.calibration import Calibration
from parfocal.train import tuning
from parfocal.train.labelling import LabelledStacks
from parfocal.train.stack_trials import ClassicalError
from parfocal.train.tuning import NotBetterError, replace_model, tune_model
from parfocal.train.tuning_card import Verdict
from parfocal.train.tuning_plan import plan_tuning
from parfocal.train.tuning_task import TuningRecipe
from tests.fabricate.labelled import known_stack, write_small_model

RECIPE = TuningRecipe(
    steps=6, epoch_steps=2, batch=4, simulated=0.0, peak_rate=0.02, most_pairs=2, held_out=0.5
)


class KilledError(Exception):
    """A run that ends in the middle."""


def _found(count, **changes):
    stacks = tuple(known_stack(seed, **changes) for seed in range(count))
    return LabelledStacks(stacks, tuple(plane_marks(known) for known in stacks), ())


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return write_small_model(tmp_path_factory.mktemp("models") / "base", members=2)


@pytest.fixture(scope="module")
def found():
    return _found(4)


@pytest.fixture
def easy(monkeypatch):
    """A classical search that is easily beaten, and a model before that is worse."""
    monkeypatch.setattr(tuning, "classical_error", lambda *_, **__: ClassicalError(99.0, 13.0))
    monkeypatch.setattr(Verdict, "is_better", property(lambda self: self.classical.mean > 9))


def _weights(folder):
    networks, _ = load_model(folder)
    return torch.cat([p.detach().flatten() for each in networks for p in each.parameters()])


def test_a_better_model_is_kept_with_a_card_that_records_all(base, found, tmp_path, easy):
    steps = []
    plan = plan_tuning(base, found, RECIPE, seed=1)
    tuned = tune_model(plan, tmp_path / "own", on_progress=steps.append)
    networks, card = load_model(tmp_path / "own")
    assert tuned.card == card
    assert len(networks) == 2
    assert card.name == "own"
    assert card.recipe["base"] == "base"
    assert card.recipe["tuning"]["steps"] == 6
    assert {name for part in card.recipe["focus_um"].values() for name in part} == {
        known.name for known in found.stacks
    }
    assert card.metrics["mean_error_depths_dcts"] == 99.0
    assert card.metrics["mean_error_depths_all_pairs_stacks"] == pytest.approx(
        tuned.verdict.after, abs=1e-3
    )
    assert "median_error_all" not in card.metrics  # of the model before
    assert any("9 are the least" in limit for limit in card.limits)
    assert card.calibration["widen"] == Calibration().widen
    assert "fine-tuned on 2 stacks of 2 specimens" in card.data
    assert not torch.equal(_weights(base), _weights(tmp_path / "own"))
    assert [path.name for path in tmp_path.iterdir()] == ["own"]
    assert sorted(path.name for path in (tmp_path / "own").iterdir()) == [
        "card.json", "weights.safetensors",
    ]  # fmt: skip
    assert steps[-1].done == steps[-1].total == plan.total
    assert [step.done for step in steps] == sorted(step.done for step in steps)


def test_a_fine_tuned_model_can_be_fine_tuned_again(base, found, tmp_path, easy):
    tune_model(plan_tuning(base, found, RECIPE), tmp_path / "one")
    again = plan_tuning(tmp_path / "one", found, RECIPE)
    assert again.pair == plan_tuning(base, found, RECIPE).pair


@pytest.mark.parametrize(
    ("before", "after", "classical", "kept"),
    [(0.5, 0.3, 0.4, True), (0.5, 0.5, 0.6, False), (0.2, 0.3, 0.4, False), (0.5, 0.3, 0.2, False)],
)
def test_only_better_than_before_and_than_the_classical_search_is_kept(
    before, after, classical, kept
):
    verdict = Verdict(before, after, ClassicalError(classical, 12.6), 3)
    assert verdict.is_better == kept
    assert str(verdict) == (
        f"mean |error| on 3 held-out stacks: {after:.2f} effective depths of field after, "
        f"{before:.2f} before, {classical:.2f} by DCTS with 13 images"
    )


def test_a_model_that_is_not_better_is_refused_with_numbers_and_nothing_is_lost(
    base, found, tmp_path
):
    own = write_small_model(tmp_path / "own")
    before = {path.name: path.read_bytes() for path in own.iterdir()}
    with pytest.raises(NotBetterError, match=r"not kept: mean \|error\| on 1 held-out.*DCTS") as at:
        tune_model(plan_tuning(base, found, RECIPE), own)
    assert "\n" not in str(at.value)
    assert {path.name: path.read_bytes() for path in own.iterdir()} == before
    with pytest.raises(NotBetterError):
        tune_model(plan_tuning(base, found, RECIPE), tmp_path / "new")
    assert [path.name for path in tmp_path.iterdir()] == ["own"]


def test_a_run_that_was_killed_ends_with_the_same_weights(base, found, tmp_path, easy):
    plan = plan_tuning(base, found, RECIPE)
    tune_model(plan, tmp_path / "whole")
    trials = len(plan.split.held_out)

    def kill(step):
        if step.done == trials + 6 + 3:  # in the second epoch of the second member
            raise KilledError

    with pytest.raises(KilledError):
        tune_model(plan, tmp_path / "killed", on_progress=kill)
    assert len(list((tmp_path / "killed").glob("*.ckpt"))) == 2
    told = []
    again = tune_model(plan, tmp_path / "killed", on_progress=told.append)
    assert next(step.done for step in told if "loss" in step.what) == trials + 6 + 3
    assert torch.equal(_weights(tmp_path / "whole"), _weights(tmp_path / "killed"))
    assert again.card.recipe["kept_steps"] == load_model(tmp_path / "whole")[1].recipe["kept_steps"]


def test_without_stacks_to_choose_by_the_last_weights_are_kept(base, tmp_path, easy):
    plan = plan_tuning(base, _found(2), RECIPE)
    assert (len(plan.split.learn), len(plan.split.choose), len(plan.split.judge)) == (1, 0, 1)
    card = tune_model(plan, tmp_path / "own").card
    assert card.recipe["kept_steps"] == [6, 6]
    assert "the last averaged weights" in card.data


def test_what_cannot_be_fine_tuned_is_refused_before_any_work(base, found, tmp_path):
    with pytest.raises(InputError, match="show 1 specimens: give at least two"):
        plan_tuning(base, _found(3, specimen="one"), RECIPE)
    networks, card = load_model(base)
    other = tmp_path / "other"
    replace_model(other, card.model_copy(update={"recipe": {"kind": "mystery"}}), networks)
    with pytest.raises(InputError, match="does not say how it was trained"):
        plan_tuning(other, found, RECIPE)


def test_a_model_is_replaced_whole(base, tmp_path, monkeypatch):
    own = write_small_model(tmp_path / "own")
    networks, card = load_model(base)

    def kill(*_):
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(tuning, "save_model", kill)
        with pytest.raises(KilledError):
            replace_model(own, card, networks)
    assert load_model(own)[1].members == 1
    replace_model(own, card, networks)
    assert load_model(own)[1].members == 2
    assert [path.name for path in tmp_path.iterdir()] == ["own"]
