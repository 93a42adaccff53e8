"""Batches of thick specimens: repeatable, true, on their own scale."""

import pytest
import torch

from parfocal.core.errors import InputError
from parfocal.simulate.thick_fields import ThickFields

SMALL = {"batch": 12, "size_px": 48, "field_px": 48, "optics": 1}


def test_the_same_seed_draws_the_same_batches():
    first, second = (ThickFields(seed=3, objects=("nuclei",), **SMALL) for _ in range(2))
    for _ in range(2):
        one, other = first.draw(), second.draw()
        assert torch.equal(one.images, other.images)
        assert torch.equal(one.mask, other.mask)
        assert torch.equal(one.bright, other.bright)


def test_a_pixel_in_focus_holds_more_light_than_the_rest_of_its_plane():
    batch = ThickFields(seed=1, objects=("beads",), **SMALL).draw()
    plane, mask = batch.images[:, 1], batch.mask == 1
    lit = [k for k in range(len(plane)) if mask[k].any()]
    assert lit
    brighter = [bool(plane[k][mask[k]].mean() > plane[k][~mask[k]].mean()) for k in lit]
    assert sum(brighter) >= 0.9 * len(lit)


def test_masks_are_shares_of_annotators_and_the_range_holds_the_light():
    batch = ThickFields(seed=2, objects=("packed_nuclei", "filaments"), **SMALL).draw()
    thirds = 3 * batch.mask
    assert torch.equal(thirds, thirds.round())
    assert 0 < batch.mask.mean() < 0.9
    assert (batch.dark < batch.bright).all()
    assert (batch.apart >= 0.5).all()


def test_neighbours_stand_in_order_on_both_sides():
    batch = ThickFields(seed=2, objects=("beads",), each_side=2, **SMALL).draw()
    assert batch.images.shape[1] == 5
    far, near, also_near, also_far = batch.apart.T
    assert torch.equal(far, also_far)
    assert torch.equal(near, also_near)
    assert (far > near).all()
    assert 0 < (far == 2 * near).sum() < len(far)


@pytest.mark.parametrize("wrong", [{"batch": 0}, {"size_px": 8}, {"size_px": 96}, {"objects": ()}])
def test_what_cannot_be_drawn_is_refused(wrong):
    with pytest.raises(InputError, match="at least one field"):
        ThickFields(**({**SMALL, "seed": 0} | wrong))
