from __future__ import annotations

import dataclasses
import itertools

import pytest
import torch

from parfocal.predict.pairs import bin_centres
from parfocal.simulate.batches import FieldBatches
from parfocal.train.pair_task import SIZES_PX, PairRecipe, PairTask

RECIPE = PairRecipe(
    bins=33, reach=4.0, widths=(4, 4, 4, 4, 4), hidden=8, objects=("beads",), batch=4
)


@pytest.fixture(scope="module")
def fields():
    source = FieldBatches(batch=4, size_px=64, seed=3, objects=("beads",), reach_depths=3.0)
    return source.draw()


def test_a_label_is_the_middle_of_the_pair_and_that_of_a_lonely_image_its_own(fields):
    lonely = torch.tensor([False, True, False, True])
    inputs, facts, labels = PairTask(RECIPE).batch_of(fields, lonely=lonely, size_px=64)
    assert labels[:, 33].tolist() == [0.0] * 4
    found = labels[:, :33] @ bin_centres(33, 4.0)
    middle = fields.z_um.mean(1) / fields.depth_um
    first = (fields.z_um[:, 0] / fields.depth_um).clamp(-4.0, 4.0)
    torch.testing.assert_close(found[[0, 2]], middle[[0, 2]], atol=1e-4, rtol=0)
    torch.testing.assert_close(found[[1, 3]], first[[1, 3]], atol=1e-4, rtol=0)
    assert torch.equal(inputs[1, 0], inputs[1, 1])
    assert not torch.equal(inputs[0, 0], inputs[0, 1])
    spacing = (fields.spacing_um / fields.depth_um)[0]
    assert float(facts[0, 1]) == pytest.approx(float(spacing) - 1, abs=1e-5)
    assert facts[:, 2].tolist() == [0.0, 1.0, 0.0, 1.0]


def test_brightness_of_the_whole_pair_is_not_told(fields):
    none = torch.zeros(4, dtype=torch.bool)
    brighter = dataclasses.replace(fields, images=9.0 * fields.images + 50.0)
    one, two = (
        PairTask(RECIPE).batch_of(each, lonely=none, size_px=32)[0] for each in (fields, brighter)
    )
    assert one.shape == (4, 2, 32, 32)
    torch.testing.assert_close(one, two, atol=1e-3, rtol=1e-3)


def test_the_same_seed_draws_the_same_batches_of_one_side_each():
    task, cpu = PairTask(RECIPE), torch.device("cpu")
    one, two, other = (list(itertools.islice(task.batches(seed, cpu), 3)) for seed in (1, 1, 2))
    for a, b in zip(one, two, strict=True):
        assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))
        assert a[0].shape[-1] in SIZES_PX
    assert not torch.equal(one[0][2], other[0][2])


def test_first_weights_come_from_the_seed_and_leave_the_process_as_it_was():
    task = PairTask(RECIPE)
    before = torch.get_rng_state()
    one, two, other = (task.build(seed).head[0].weight for seed in (1, 1, 2))
    assert torch.equal(one, two)
    assert not torch.equal(one, other)
    assert torch.equal(torch.get_rng_state(), before)


def test_more_members_are_no_other_task_and_another_batch_is():
    names = [
        PairTask(RECIPE.model_copy(update=change)).name
        for change in ({}, {"members": 9}, {"batch": 8})
    ]
    assert names[0] == names[1]
    assert names[0] != names[2]


def test_a_share_of_each_batch_is_transmitted_light_with_a_class_of_its_own():
    task = PairTask(RECIPE.model_copy(update={"batch": 10, "clear": 0.2}))
    _, _, labels = next(task.batches(0, torch.device("cpu")))
    assert labels[:, 33].tolist() == [0.0] * 8 + [1.0] * 2
    torch.testing.assert_close(labels.sum(1), torch.ones(10))
