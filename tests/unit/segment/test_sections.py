"""What masks leave of a stack."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from parfocal.core.errors import InputError, MetadataError, ShapeError
from parfocal.core.stack import FocalStack
from parfocal.segment import masked_stack, optical_sections, sectioned_projection
from tests.fabricate.masks import declined, masks_of, tilted_stack


class _Counting:
    """Lazy images that note which planes are read."""

    def __init__(self, images):
        self.images, self.read = images, []
        self.shape, self.dtype, self.ndim = images.shape, images.dtype, 3

    def __getitem__(self, index):
        self.read.append(index[0] if isinstance(index, tuple) else index)
        return self.images[index]


def test_masked_counts_are_those_of_the_stack_and_the_rest_is_background():
    stack, masks = tilted_stack()
    cut = masked_stack(stack, masks, background=7)
    counts, kept = stack.read_counts(), cut.read_counts()
    assert kept.dtype == np.uint16
    np.testing.assert_array_equal(kept[masks.masks], counts[masks.masks])
    assert (kept[~masks.masks] == 7).all()
    np.testing.assert_array_equal(masked_stack(cut, masks, background=7).read_counts(), kept)
    np.testing.assert_array_equal(cut.z_um, stack.z_um)
    assert (cut.pixel_um, cut.name) == (0.5, "slope")


@pytest.mark.parametrize(
    "index",
    [2, -1, slice(1, 4), (slice(None), slice(3, 9), slice(5, 6)), (3, slice(2, 4)), slice(4, 4)],
)
def test_a_cut_stack_is_indexed_like_an_array(index):
    stack, masks = tilted_stack()
    whole = np.where(masks.masks, stack.read_counts(), 0)
    cut = masked_stack(stack, masks).images[index]
    np.testing.assert_array_equal(cut, whole[index])
    assert cut.dtype == np.uint16


def test_only_the_planes_that_are_asked_for_are_read():
    stack, masks = tilted_stack()
    lazy = _Counting(stack.read_counts())
    cut = masked_stack(replace(stack, images=lazy), masks, background="plane")
    assert lazy.read == []
    cut.read_counts(3, slice(0, 4), slice(0, 4))
    cut.read_counts(3)
    assert set(lazy.read) == {3}
    assert len(lazy.read) == 3  # its background once, and two windows


def test_the_background_of_a_plane_is_the_median_of_what_is_out_of_focus():
    stack, masks = tilted_stack()
    cut = masked_stack(stack, masks, background="plane").read_counts()
    counts = stack.read_counts()
    for plane, mask in enumerate(masks.masks):
        assert set(cut[plane][~mask]) == {round(np.median(counts[plane][~mask]))}


def test_a_plane_all_in_focus_has_its_own_median_as_background():
    counts = np.arange(16.0).reshape(1, 4, 4)
    cut = optical_sections(counts, masks_of(np.ones((1, 4, 4), bool))).read_counts()
    np.testing.assert_array_equal(cut, counts - 7.5)


def test_sections_are_free_of_offset_and_follow_the_gain():
    stack, masks = tilted_stack()
    counts = stack.read_counts().astype(np.float32)
    plain = optical_sections(counts, masks).read_counts()
    other = optical_sections(3 * counts + 50, masks).read_counts()
    np.testing.assert_allclose(other, 3 * plain, rtol=1e-5, atol=1e-2)
    assert (plain[~masks.masks] == 0).all()
    assert plain.dtype == np.float32


def test_soft_sections_are_weighted_by_probability():
    counts = np.full((1, 2, 2), 30.0)
    shares = np.array([[[0.2, 0.5], [0.9, 0.0]]])
    masks = masks_of(shares >= 0.5, probabilities=shares)
    cut = optical_sections(counts, masks, background=10.0, soft=True).read_counts()
    np.testing.assert_allclose(cut, 20 * shares, rtol=1e-6)
    with pytest.raises(InputError, match="no"):
        optical_sections(counts, masks_of(shares >= 0.5), soft=True)


def test_projections_look_at_planes_in_focus_alone():
    counts = np.array([[[5.0, 9.0, 1.0]], [[7.0, 2.0, 8.0]], [[99.0, 99.0, 99.0]]])
    drawn = np.array([[[1, 0, 0]], [[1, 1, 0]], [[0, 0, 0]]], dtype=bool)
    np.testing.assert_array_equal(sectioned_projection(counts, masks_of(drawn)), [[7, 2, np.nan]])
    mean = sectioned_projection(torch.from_numpy(counts), masks_of(drawn), how="mean")
    np.testing.assert_array_equal(mean, [[6, 2, np.nan]])
    with pytest.raises(InputError, match="maximum or mean"):
        sectioned_projection(counts, masks_of(drawn), how="median")


@pytest.mark.parametrize("use", [masked_stack, optical_sections, sectioned_projection])
def test_masks_of_another_stack_or_none_are_refused(use):
    stack, masks = tilted_stack()
    with pytest.raises(ShapeError, match="this very stack"):
        use(stack.read_counts()[:, 1:], masks)
    with pytest.raises(MetadataError, match="this very stack"):
        use(replace(stack, z_um=stack.z_um + 5), masks)
    with pytest.raises(InputError, match="blank: nothing to see there"):
        use(stack, declined(stack.shape))
    elsewhere = replace(masks, z_um=masks.z_um + 5, z_known=False)
    use(stack, elsewhere)  # plane numbers say nothing against um


@pytest.mark.parametrize("background", [-1, 70_000, 0.5])
def test_a_background_that_the_counts_cannot_hold_is_refused(background):
    stack, masks = tilted_stack()
    with pytest.raises(InputError, match="65535"):
        masked_stack(stack, masks, background=background)
    as_floats = FocalStack.of(stack.read_counts().astype(np.float32), z_step_um=2.0)
    kept = masked_stack(as_floats, masks, background=background).read_counts()
    assert (kept[~masks.masks] == background).all()
