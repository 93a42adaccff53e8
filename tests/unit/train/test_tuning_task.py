from __future__ import annotations

import itertools
import json

import pytest
import torch

from parfocal.predict.pairs import bin_centres
from parfocal.simulate.kept_images import turned
from parfocal.train.pair_task import PairTask
from parfocal.train.tuning_task import StackBatches, TuningRecipe, TuningTask, digest
from tests.fabricate.labelled import DEPTH_UM, PAIR, STEP_UM, known_stack

CPU = torch.device("cpu")
STACKS = [known_stack(0), known_stack(1)]


def _task(**changes):
    recipe = TuningRecipe(**({"batch": 8, "simulated": 0.5} | changes))
    member = PairTask(PAIR).build(0)
    return TuningTask(recipe, PAIR, member, STACKS, origin={"base": "b", "stacks": "s"})


def test_drawn_pairs_carry_the_defocus_of_their_planes_and_come_from_every_stack():
    fields = StackBatches(STACKS, batch=24, reach=7.0).draw(torch.Generator().manual_seed(0))
    assert fields.images.shape == (24, 2, 96, 96)
    apart = fields.spacing_um / STEP_UM
    torch.testing.assert_close(apart, apart.round(), atol=1e-4, rtol=0)
    shares = fields.z_um[:, 0] % STEP_UM  # 10 um and 10.7 um are no multiples of the step alike
    assert {round(float(share), 2) for share in shares} == {0.0, 1.3}
    assert bool((fields.depth_um - DEPTH_UM).abs().max() < 1e-4)


def test_a_batch_is_half_real_with_labels_at_the_middle_of_the_pair():
    inputs, facts, labels = next(_task().batches(3, CPU))
    assert len(inputs) == len(facts) == len(labels) == 8
    assert inputs.shape[-1] in (64, 96)
    spacing = (facts[:4, 1] + 1) * DEPTH_UM
    assert bool((spacing + 1e-3 >= 0.4 * DEPTH_UM).all())
    middle = labels[:4, :33] @ bin_centres(33, 8.0) * DEPTH_UM
    steps = (2 * (middle + 10.0) / STEP_UM) % 1  # of stack 0 whole, of stack 1 0.7 um less
    assert {round(float(step), 1) % 1 for step in steps} <= {0.0, 0.3}


def test_the_same_seed_draws_the_same_batches_and_another_other_ones():
    one, two, other = (list(itertools.islice(_task().batches(seed, CPU), 2)) for seed in (1, 1, 2))
    for a, b in zip(one, two, strict=True):
        assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))
    assert not torch.equal(one[0][2], other[0][2])


def test_real_pairs_alone_are_learnt_from_where_none_are_simulated():
    inputs, _, labels = next(_task(simulated=0.0).batches(0, CPU))
    assert inputs.shape == (8, 2, 96, 96)
    torch.testing.assert_close(labels.sum(1), torch.ones(8))


def test_training_begins_with_the_members_weights_and_leaves_them_as_they_are():
    task = _task()
    one, two = task.build(0), task.build(1)
    assert torch.equal(one.head[0].weight, two.head[0].weight)
    with torch.no_grad():
        one.head[0].weight.zero_()
    assert not torch.equal(task.build(0).head[0].weight, one.head[0].weight)


def test_the_name_tells_recipe_model_and_stacks():
    names = {_task(**change).name for change in ({}, {"steps": 9}, {"batch": 4})}
    assert len(names) == 3
    assert json.loads(_task().name)["stacks"] == "s"
    marks = [frozenset([b"1"]), frozenset([b"2"])]
    moved = [known_stack(0, focus_um=10.1), STACKS[1]]
    assert digest(STACKS, marks) == digest(STACKS, marks)
    assert digest(STACKS, marks) != digest(moved, marks)
    assert digest(STACKS, marks) != digest(STACKS, marks[::-1])


def test_small_fields_give_small_patches():
    batches = StackBatches([known_stack(0), known_stack(1, size=(70, 80))], batch=4, reach=7.0)
    assert batches.side_px == 64
    fields = batches.draw(torch.Generator().manual_seed(0))
    assert fields.images.shape == (4, 2, 64, 64)


@pytest.mark.parametrize("kind", range(8))
def test_eight_orientations_keep_the_pixels(kind):
    image = torch.arange(9.0).reshape(1, 3, 3)
    one = turned(image, kind)
    assert sorted(one.flatten().tolist()) == list(range(9))
    others = [turned(image, other) for other in range(8) if other != kind]
    assert not any(torch.equal(one, other) for other in others)
