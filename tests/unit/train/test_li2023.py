from __future__ import annotations

import numpy as np
import pytest
import torch

from parfocal.core.errors import InputError
from parfocal.models.package import load_model
from parfocal.nets.li2023 import Li2023Network
from parfocal.segment.overlap import intersection_over_union
from parfocal.simulate.thick_scenes import FIRST_SEED, ThickSet
from parfocal.train import li2023_making
from parfocal.train.li2023_making import make_li2023
from parfocal.train.li2023_task import LOSSES, Li2023Recipe, Li2023Task, mean_overlap
from tests.fabricate.thick import fabricate_thick

SMALL = {
    "families": ("neurites", "cells"), "each": 1, "size_px": 64, "patch_px": 64, "planes": 4,
    "widths": (4, 8), "batch": 4, "steps": 4, "epoch_steps": 2, "tuning": 2, "tuning_steps": 4,
    "tuning_epoch_steps": 2, "tuning_validation": 1, "rate": 1e-2, "window_px": 16,
    "strides_px": (4, 8),
}  # fmt: skip
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    place = tmp_path_factory.mktemp("thick")
    for split in FIRST_SEED:
        sizes = {name: SMALL[name] for name in ("families", "each", "size_px", "planes")}
        fabricate_thick(ThickSet(split=split, **sizes), place)
    return place


def test_the_recipe_holds_the_published_settings():
    recipe = Li2023Recipe()
    assert (recipe.batch, recipe.tuning_batch, recipe.tuning, recipe.patch_px) == (16, 1, 5, 256)
    assert recipe.each * len(recipe.families) == 55
    for phase in ("pre-training", "fine-tuning"):
        schedule = recipe.schedule(phase)
        assert (schedule.betas, schedule.weight_decay, schedule.average) == ((0.9, 0.999), 0, 0)
        assert schedule.rate(0) == schedule.rate(schedule.steps - 1) == 1e-4
    assert LOSSES["pre-training"] == {"dice": 1.0, "focal": 1.0, "cross_entropy": 0.005}
    assert LOSSES["fine-tuning"] == {"dice": 0.05, "focal": 1.0, "cross_entropy": 0.95}
    assert recipe.threshold == 0.2


def test_parts_share_no_specimen(scenes):
    recipe = Li2023Recipe(**SMALL)
    parts = ("train", "validation", "fine-tuning", "fine-tuning validation")
    names = [[scene.name for scene in recipe.scenes(part, scenes)] for part in parts]
    assert [len(part) for part in names] == [2, 2, 2, 1]
    assert len({name for part in names for name in part}) == 7


def test_batches_are_planes_of_the_stacks_with_their_masks(scenes):
    recipe = Li2023Recipe(**SMALL)
    task = Li2023Task(recipe, "fine-tuning", folder=scenes, first=Li2023Network(widths=(4, 8)))
    known = {
        tuple(np.sort(part.numpy().ravel()).tobytes() for part in pair)
        for planes, masks in task.examples
        for pair in zip(planes, masks, strict=True)
    }
    batches = task.batches(2, CPU)
    for _ in range(6):
        image, mask = next(batches)
        assert image.shape == (1, 1, 64, 64)
        key = tuple(np.sort(part.numpy().ravel()).tobytes() for part in (image, mask))
        assert key in known
    planes = task.examples[0][0]
    assert (float(planes.min()), float(planes.max())) == (0.0, 1.0)


def test_image_and_mask_are_turned_alike():
    recipe = Li2023Recipe(**SMALL)
    task = Li2023Task(recipe)
    image = torch.rand(1, 64, 64)
    task.__dict__["examples"] = [(image, image > 0.5)]
    batches = task.batches(1, CPU)
    seen = set()
    for _ in range(8):
        images, masks = next(batches)
        assert torch.equal(images[:, 0] > 0.5, masks)
        seen |= {part.numpy().tobytes() for part in images}
    assert len(seen) == 8


def test_fine_tuning_starts_from_the_network_it_is_given(scenes):
    first = Li2023Network(widths=(4, 8))
    task = Li2023Task(Li2023Recipe(**SMALL), "fine-tuning", folder=scenes, first=first)
    own = task.build(7).state_dict()
    assert all(torch.equal(value, own[name]) for name, value in first.state_dict().items())
    with pytest.raises(InputError, match="pre-trained"):
        Li2023Task(Li2023Recipe(**SMALL), "fine-tuning")
    with pytest.raises(InputError, match="patch_px"):
        Li2023Task(Li2023Recipe(**SMALL | {"patch_px": 128}))


def test_the_overlap_that_stops_training_is_the_mean_over_stacks(scenes):
    recipe = Li2023Recipe(**SMALL)
    task = Li2023Task(recipe, folder=scenes)
    network = task.build(1).eval()
    with torch.no_grad():
        by_hand = [
            intersection_over_union(network(planes[::4, None]).sigmoid() >= 0.4, masks[::4])
            for planes, masks in task.validation
        ]
    every = [(planes[::4], masks[::4]) for planes, masks in task.validation]
    assert mean_overlap(network, every, threshold=0.4) == pytest.approx(np.mean(by_hand))
    judge = Li2023Task(recipe.model_copy(update={"threshold": 0.4}), folder=scenes).judge()
    assert judge.patience == 50
    assert judge.score(network) == pytest.approx(1 - np.mean(by_hand))


def test_two_models_are_made_and_a_killed_run_makes_the_same(scenes, tmp_path, monkeypatch):
    recipe = Li2023Recipe(**SMALL)
    whole = make_li2023(recipe, tmp_path / "whole", scenes=scenes)
    assert set(whole.metrics) == {"kept_step", "iou_weak", "iou_true"}
    is_made = li2023_making.is_made
    assert is_made(tmp_path / "whole", recipe, seed=0)
    assert not is_made(tmp_path / "whole", recipe, seed=1)
    with monkeypatch.context() as later:  # masks as another rule would make them
        later.setattr(li2023_making, "TRUTH", "another truth")
        assert not is_made(tmp_path / "whole", recipe, seed=0)
    early = load_model(tmp_path / "whole" / "pre-trained")[1]
    assert early.sha256 != whole.sha256
    assert not list((tmp_path / "whole").glob("*.ckpt"))

    class KilledError(Exception):
        pass

    def kill(step):
        if step.done == 7:
            raise KilledError

    place = tmp_path / "killed"
    with pytest.raises(KilledError):
        make_li2023(recipe, place, scenes=scenes, on_progress=kill)
    steps = []
    again = make_li2023(recipe, place, scenes=scenes, on_progress=lambda s: steps.append(s.done))
    assert steps == [7, 8]
    assert again.sha256 == whole.sha256
    assert li2023_making.PRETRAINED in {path.name for path in place.iterdir()}
