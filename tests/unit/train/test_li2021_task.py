from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from parfocal.core.errors import InputError
from parfocal.predict.checks import effective_depth_um
from parfocal.simulate.sheet_scenes import SceneSet
from parfocal.train.li2021_task import Li2021Recipe, Li2021Task
from parfocal.train.sheet_batches import PatchCutter
from parfocal.train.sheet_pair_task import SheetPairRecipe, SheetPairTask
from tests.fabricate.sheets import fabricate_scenes, fabricated_scene

SIZES = {"tissues": ("neurites",), "thick": 0, "flat": 1, "size_px": 128}
CPU = torch.device("cpu")


@pytest.fixture
def scenes(tmp_path):
    fabricate_scenes(SceneSet(split="train", **SIZES), tmp_path)
    return tmp_path


def test_the_recipe_holds_the_published_settings():
    recipe = Li2021Recipe()
    schedule = recipe.schedule
    assert recipe.classes_um.tolist() == list(range(-36, 37, 6))
    assert Li2021Recipe(classes=19).classes_um.diff().unique().tolist() == [4.0]
    assert (recipe.batch, schedule.betas, schedule.weight_decay) == (8, (0.5, 0.999), 0.0)
    assert (schedule.rate(0), schedule.rate(99_999)) == (5e-6, 5e-6)
    assert (schedule.average, schedule.clip) == (0.0, math.inf)
    assert recipe.scale == {"clip_counts": 1e4, "dark_counts": 0.0, "unit_counts": 1e4}


def test_a_short_training_lets_the_rate_rise_and_fall():
    schedule = Li2021Recipe(steps=100, rate=1e-3, rate_falls=True).schedule
    rates = [schedule.rate(step) for step in range(100)]
    assert rates[0] == pytest.approx(1e-3 / 5)
    assert max(rates) == pytest.approx(1e-3, rel=0.01)
    assert rates[-1] < 1e-6


def test_patches_show_the_defocus_of_their_label(scenes):
    task = Li2021Task(Li2021Recipe(images=2, unit_counts=1.0, clip_counts=1e6, batch=64, **SIZES),
                      folder=scenes)  # fmt: skip
    patches, labels = next(task.batches(1, CPU))
    assert patches.shape == (64, 2, 128, 128)
    assert labels.unique().numel() > 9
    sharp = patches.diff(dim=-1).square().mean((2, 3)) / patches.mean((2, 3))
    # 6 um above a plane below focus it is sharper, above focus it is less sharp.
    below, above = labels < 5, labels > 6
    assert bool((sharp[below, 1] > sharp[below, 0]).all())
    assert bool((sharp[above, 1] < sharp[above, 0]).all())


def test_the_same_seed_gives_the_same_batches(scenes):
    task = Li2021Task(Li2021Recipe(**SIZES), folder=scenes)
    one, two = (next(task.batches(3, CPU)) for _ in range(2))
    other = next(task.batches(4, CPU))
    assert torch.equal(one[0], two[0])
    assert not torch.equal(one[0], other[0])


def test_our_labels_are_those_of_the_pairs_middle_in_either_order(scenes):
    recipe = SheetPairRecipe(batch=64, lonely=0.0, jitter=0.0, spacings_um=(6.0,), **SIZES)
    task = SheetPairTask(recipe, folder=scenes)
    inputs, facts, labels = next(task.batches(1, CPU))
    depth_um = effective_depth_um(task.scenes[0].setup)
    torch.testing.assert_close(facts[:, 1], torch.full((64,), 6.0 / depth_um - 1.0))
    centres = torch.linspace(-recipe.reach, recipe.reach, recipe.bins)
    middle = labels[:, :-1] @ centres
    sharp = inputs.diff(dim=-1).square().mean((2, 3))
    far = middle.abs() > 1.5
    assert int(far.sum()) > 20
    assert bool(((sharp[:, 0] > sharp[:, 1]) == (middle > 0))[far].all())


def test_planes_lie_within_the_stack_and_truth_is_theirs():
    scene = fabricated_scene(size_px=128, planes=11)
    cutter = PatchCutter([scene], generator=np.random.default_rng(0), turns=True)
    offsets = torch.tensor([[-6.0, 0.0, 6.0]]).expand(2, -1)
    patches, truth = cutter.cut(torch.tensor([-100.0, 1.0]), offsets)
    assert patches.shape == (2, 3, 128, 128)
    torch.testing.assert_close(truth[0], torch.tensor([0.0, 6.0, 12.0]) - scene.focus_um)
    assert truth[1, 1] == pytest.approx(1.0, abs=1.0)


def test_scenes_smaller_than_a_patch_are_refused():
    scene = fabricated_scene(size_px=128, planes=3)
    with pytest.raises(InputError, match="256 px"):
        PatchCutter([scene], size_px=256, generator=np.random.default_rng(0))
