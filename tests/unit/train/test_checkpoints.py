from __future__ import annotations

import torch

from parfocal.train.checkpoints import differences, read_checkpoint, write_checkpoint
from parfocal.train.pair_task import PairRecipe, PairTask


def _identity(**changes):
    recipe = PairRecipe(**changes)
    return {"task": PairTask(recipe).name, "seed": 0, "schedule": repr(recipe.schedule)}


def test_the_difference_of_two_recipes_is_told_once_and_in_a_line():
    told = differences(_identity(steps=50), _identity())
    assert told == f"steps 50 instead of {PairRecipe().steps}"
    assert "bins" not in told


def test_long_values_and_long_lists_are_cut_short():
    changes = {"batch": 8, "bins": 9, "reach": 4.0, "lonely": 0.5, "objects": ("beads",) * 30}
    told = differences(_identity(**changes), _identity())
    assert told.count("instead of") == 3
    assert told.endswith("and 2 more")
    assert len(differences(_identity(objects=("beads",) * 99), _identity())) < 200


def test_what_one_side_lacks_is_told_too():
    assert differences({"seed": 1}, {"seed": 1, "judge": "a"}) == "judge none instead of a"
    told = differences({"task": "line"}, {"task": '{"a": 1}'})
    assert told == "task line instead of none, a none instead of 1"


def test_values_come_back_as_they_were(tmp_path):
    place = tmp_path / "new" / "run.ckpt"
    values = {"identity": {"seed": 1}, "weights": {"a": torch.arange(3.0)}, "step": 7}
    write_checkpoint(place, values)
    kept = read_checkpoint(place, {"seed": 1}, torch.device("cpu"))
    assert torch.equal(kept["weights"]["a"], values["weights"]["a"])
    assert kept["step"] == 7
    assert [path.name for path in place.parent.iterdir()] == ["run.ckpt"]
