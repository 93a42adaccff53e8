"""The whole way of the network that segments, in miniature."""

from functools import partial

import numpy as np
import pytest
import torch

import parfocal as pf
from parfocal.core.errors import InputError
from parfocal.models import ModelCard
from parfocal.simulate.thick_fields import ThickFields
from parfocal.train import in_focus_making, in_focus_task
from parfocal.train.held_out import HeldOut
from parfocal.train.in_focus_making import make_in_focus, overlap
from parfocal.train.in_focus_task import InFocusRecipe, InFocusTask, batch_of, missed_overlap
from parfocal.train.recipes import find_recipe, settle

TINY = InFocusRecipe(
    name="tiny", widths=(4, 6), objects=("beads",), batch=2, size_px=32, steps=3, epoch_steps=3
)


@pytest.fixture(autouse=True)
def small_fields(monkeypatch):
    small = partial(ThickFields, field_px=48)
    monkeypatch.setattr(in_focus_task, "ThickFields", partial(small, optics=1, specimens=1))
    quick = {"size_px": 32, "field_px": 48, "optics": 1, "specimens": 1}
    monkeypatch.setattr(
        in_focus_making, "ThickFields", lambda **values: ThickFields(**(values | quick))
    )


def test_a_model_is_trained_measured_and_saved_whole(tmp_path):
    card = make_in_focus(TINY, tmp_path / "tiny", held_out=HeldOut(fields=1))
    read = ModelCard.read(tmp_path / "tiny" / "card.json")
    assert read == card
    assert {"iou_beads", "iou_nematode", "iou_known", "iou_unseen", "annotators_known"} <= set(
        card.metrics
    )
    assert 0 < card.calibration["threshold"] < 1
    assert not list((tmp_path / "tiny").glob("*.ckpt"))
    stack = np.random.default_rng(0).random((3, 32, 32)).cumsum(1)
    assert pf.segment.in_focus(stack, model=tmp_path / "tiny").method == "network: tiny"


def test_a_specimen_that_must_stay_unseen_is_refused(tmp_path):
    with pytest.raises(InputError, match="must stay unseen"):
        make_in_focus(TINY.model_copy(update={"objects": ("nematode",)}), tmp_path)


def test_the_same_seed_makes_the_same_batches():
    one, two = (next(InFocusTask(TINY).batches(5, torch.device("cpu"))) for _ in range(2))
    assert all(torch.equal(first, second) for first, second in zip(one, two, strict=True))


def test_a_plane_at_an_end_stands_in_for_what_is_missing():
    fields = ThickFields(
        batch=64, size_px=16, field_px=16, objects=("beads",), optics=1, specimens=1, each_side=2
    ).draw()
    planes, facts, _ = batch_of(fields, torch.Generator().manual_seed(0))
    for place, fact in ((0, 4), (1, 6), (3, 8), (4, 10)):
        lacks = facts[:, fact] == 0
        assert 0 < lacks.sum() < len(lacks)
        assert torch.equal(planes[lacks, place], planes[lacks, 2])
        assert not torch.equal(planes[~lacks, place], planes[~lacks, 2])
    assert (facts[facts[:, 6] == 0, 4] == 0).all()
    assert (facts[facts[:, 8] == 0, 10] == 0).all()


def test_overlap_and_its_lack_agree_with_counting():
    one = torch.tensor([True, True, True, False])
    other = torch.tensor([True, False, False, False])
    assert overlap(one, other) == pytest.approx(1 / 3)
    assert overlap(one & False, other & False) == 1.0
    dice = 1 - float(missed_overlap(one.float(), other.float()))
    assert dice == pytest.approx((2 * 1 + 1) / (3 + 1 + 1))


def test_the_recipe_names_its_model():
    assert settle(find_recipe("in-focus"), {}).name == "in-focus-widefield"
    assert settle(find_recipe("in-focus"), {}, is_quick=True).name == "in-focus-widefield-quick"
