from __future__ import annotations

import pytest

from parfocal.core.errors import InputError
from parfocal.models.card import ModelCard
from parfocal.refocus.surface import load_surface_refocuser
from parfocal.train.held_out import HeldOut
from parfocal.train.surface_making import make_surface_refocuser
from parfocal.train.surface_task import SurfaceRecipe

TINY = SurfaceRecipe(
    name="tiny", widths=(8, 8, 8), blocks=(1, 1, 1), batch=1, patch_px=48, steps=1,
    epoch_steps=1, reach_dof=4.5, objects=("beads",), sparse=("beads",),
)  # fmt: skip
FEW = HeldOut(objects=("neurites",), fields=2, size_px=64)


def test_a_model_is_made_with_its_card(tmp_path):
    told = []
    card = make_surface_refocuser(TINY, tmp_path, held_out=FEW, on_progress=told.append)
    assert card == ModelCard.read(tmp_path / "card.json")
    assert {"psnr_answer_even", "psnr_flipped_uneven", "worse_than_input"} <= set(card.metrics)
    assert not list(tmp_path.glob("*.ckpt"))
    refocuser = load_surface_refocuser(tmp_path)
    assert refocuser.calibration.surface_dof == 4.5
    assert told[-1].done <= told[-1].total


def test_measuring_on_what_was_learnt_is_refused(tmp_path):
    with pytest.raises(InputError, match="beads"):
        make_surface_refocuser(TINY, tmp_path, held_out=HeldOut(objects=("beads",)))
