from __future__ import annotations

import pytest
import torch

from parfocal.core.errors import InputError, ReadError
from parfocal.models import load_model
from parfocal.train import making
from parfocal.train.held_out import HeldOut
from parfocal.train.making import code_revision, machine_name, make_model, require_unseen
from parfocal.train.pair_task import PairRecipe

TINY = PairRecipe(
    name="tiny", bins=9, widths=(4, 4, 4, 4, 4), hidden=8, objects=("beads",), batch=4, steps=4,
    epoch_steps=2, members=2,
)  # fmt: skip
FEW = HeldOut(objects=("nematode",), clear_objects=("blood_smear",), fields=3, size_px=64)


class KilledError(Exception):
    """A run that ends in the middle."""


def test_a_model_is_saved_with_a_card_that_says_where_it_comes_from(tmp_path):
    steps = []
    card = make_model(TINY, tmp_path, seed=5, held_out=FEW, on_progress=steps.append)
    networks, read = load_model(tmp_path)
    assert read == card
    one, other = (network.head[0].weight for network in networks)
    assert not torch.equal(one, other)
    assert card.seed == 5
    assert card.recipe["steps"] == 4
    assert card.metrics["fields"] == 3
    assert card.calibration["classes_reach"] == 8.0
    assert card.calibration["reach"] == 7.0
    assert any("not calibrated" in limit for limit in card.limits)
    assert [step.done for step in steps] == list(range(1, 2 * 4 + 12 + 1))
    assert {step.total for step in steps} == {20}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["card.json", "weights.safetensors"]


def test_a_run_that_was_killed_trains_no_finished_member_again_and_ends_the_same(tmp_path):
    make_model(TINY, tmp_path / "whole", held_out=FEW)

    def kill(step):
        if step.done == 7:
            raise KilledError

    with pytest.raises(KilledError):
        make_model(TINY, tmp_path / "killed", held_out=FEW, on_progress=kill)
    steps = []
    make_model(TINY, tmp_path / "killed", held_out=FEW, on_progress=steps.append)
    assert steps[0].done == 7  # of member 2, after its epoch of two
    assert not list((tmp_path / "killed").glob("*.ckpt"))
    whole, again = (load_model(tmp_path / name)[0] for name in ("whole", "killed"))
    for one, other in zip(whole, again, strict=True):
        for a, b in zip(one.parameters(), other.parameters(), strict=True):
            assert torch.equal(a, b)


def test_a_checkpoint_of_other_settings_is_refused_and_more_members_are_not_other_settings(
    tmp_path,
):
    def kill(step):
        if step.done == 5:
            raise KilledError

    with pytest.raises(KilledError):
        make_model(TINY, tmp_path, held_out=FEW, on_progress=kill)
    with pytest.raises(ReadError, match="belongs to another training"):
        make_model(TINY.model_copy(update={"batch": 6}), tmp_path, held_out=FEW)
    steps = []
    more = TINY.model_copy(update={"members": 1})
    make_model(more, tmp_path, held_out=FEW, on_progress=steps.append)
    assert steps[0].what.startswith("measuring")


def test_an_old_card_never_stands_beside_new_weights(tmp_path, monkeypatch):
    make_model(TINY, tmp_path, held_out=FEW)

    def kill(*_arguments):
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(making, "save_model", kill)
        with pytest.raises(KilledError):
            make_model(TINY, tmp_path, seed=1, held_out=FEW)
    assert not (tmp_path / "card.json").exists()
    steps = []
    make_model(TINY, tmp_path, seed=1, held_out=FEW, on_progress=steps.append)
    assert steps[0].what.startswith("measuring")
    assert load_model(tmp_path)[1].seed == 1


def test_specimens_of_a_trained_family_cannot_measure():
    with pytest.raises(InputError, match="packed_nuclei cannot measure"):
        require_unseen(PairRecipe(), HeldOut(objects=("packed_nuclei",)))
    require_unseen(PairRecipe(), HeldOut())


def test_a_revision_is_known_and_no_host_is_named():
    import platform

    assert "\n" not in code_revision()
    assert platform.node() not in machine_name(torch.device("cpu"))
