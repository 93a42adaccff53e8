"""A user's masks are learnt, and a model that is no better is not kept."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from parfocal.core.errors import InputError, ShapeError
from parfocal.core.stack import FocalStack
from parfocal.models import ModelCard, save_model
from parfocal.nets.focus_unet import FocusUnet
from parfocal.train.mask_tuning import MaskedStack, MaskTuningRecipe, tune_masks
from parfocal.train.tuning import NotBetterError

QUICK = MaskTuningRecipe(
    steps=60, epoch_steps=30, peak_rate=1e-2, batch=4, size_px=32, patience=2, held_out=0.5
)


@pytest.fixture
def model(tmp_path):
    torch.manual_seed(0)
    card = ModelCard(
        name="start", task="", architecture="parfocal.nets.focus_unet:FocusUnet",
        settings={"widths": [4, 6]}, recipe={}, commit="", seed=0, data="", seconds=0.0,
        machine="", metrics={}, coverage={}, limits=(), calibration={"threshold": 0.5},
    )  # fmt: skip
    save_model(tmp_path / "start", card, [FocusUnet(widths=(4, 6))])
    return tmp_path / "start"


def masked(number, *, upside_down=False):
    blobs = gaussian_filter(np.random.default_rng(number).random((3, 32, 32)), (0, 2, 2))
    masks = blobs > np.quantile(blobs, 0.7)
    shown = (1000 * (blobs.max() - blobs if upside_down else blobs)).astype(np.float32)
    stack, truth = (FocalStack.of(values, name=f"{number}") for values in (shown, masks * 1.0))
    return MaskedStack(stack, truth)


def test_masks_are_learnt_and_the_card_says_how_well(model, tmp_path):
    tuned = tune_masks(model, [masked(k) for k in range(4)], tmp_path / "mine", recipe=QUICK)
    assert tuned.after > max(tuned.before, 0.5)
    assert tuned.stacks == 2
    card = ModelCard.read(tmp_path / "mine" / "card.json")
    assert card.metrics["iou_after"] == pytest.approx(tuned.after, abs=1e-4)
    assert card.recipe["base"] == "start"
    assert not list((tmp_path / "mine").glob("*.ckpt"))


def test_a_model_that_is_no_better_is_not_kept(model, tmp_path):
    once = tune_masks(model, [masked(k) for k in range(4)], tmp_path / "good", recipe=QUICK)
    assert once.after > 0.5
    with pytest.raises(NotBetterError, match="stays as it is"):
        tune_masks(
            tmp_path / "good", [masked(2), masked(3, upside_down=True)], tmp_path / "bad",
            recipe=QUICK.model_copy(update={"steps": 30, "peak_rate": 1e-1}),
        )  # fmt: skip
    assert not (tmp_path / "bad").exists()


def test_one_stack_cannot_judge_itself(model, tmp_path):
    with pytest.raises(InputError, match="one must judge"):
        tune_masks(model, [masked(0)], tmp_path / "mine", recipe=QUICK)


def test_masks_of_other_planes_are_refused():
    with pytest.raises(ShapeError, match="a mask for each pixel"):
        MaskedStack(masked(0).stack, FocalStack.of(np.zeros((2, 32, 32))))
