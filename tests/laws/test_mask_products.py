"""What is made of masks follows flips, turns, shifts of z and the order of the planes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parfocal.segment import focus_height, focus_mesh, label_volume, sectioned_projection
from tests.fabricate.masks import masks_of

TURNS = {
    "flip y": lambda a: a[..., ::-1, :],
    "flip x": lambda a: a[..., ::-1],
    "turn": lambda a: np.rot90(a, axes=(-2, -1)),
}


def _drawn(seed):
    rng = np.random.default_rng(seed)
    return rng.random((5, 7, 9)) > rng.uniform(0.2, 0.9)


@pytest.mark.parametrize("turn", TURNS.values(), ids=TURNS)
@settings(max_examples=8)
@given(seed=st.integers(0, 10_000))
def test_heights_and_projections_follow_flips_and_turns(turn, seed):
    drawn = _drawn(seed)
    counts = np.random.default_rng(seed).random(drawn.shape)
    here, there = focus_height(masks_of(drawn)), focus_height(masks_of(turn(drawn)))
    for name in ("z_um", "planes", "coverage_um", "layers", "is_cut"):
        np.testing.assert_allclose(getattr(there, name), turn(getattr(here, name)))
    plain = sectioned_projection(counts, masks_of(drawn))
    turned = sectioned_projection(turn(counts), masks_of(turn(drawn)))
    np.testing.assert_array_equal(turned, turn(plain))


@settings(max_examples=8)
@given(seed=st.integers(0, 10_000), shift_um=st.floats(-1e4, 1e4))
def test_what_is_added_to_z_is_added_to_heights(seed, shift_um):
    drawn = _drawn(seed)
    masks, moved = masks_of(drawn), masks_of(drawn, z_um=np.arange(5.0) + shift_um)
    here, there = focus_height(masks), focus_height(moved)
    np.testing.assert_allclose(there.z_um, here.z_um + shift_um, atol=1e-7)
    np.testing.assert_allclose(there.coverage_um, here.coverage_um, atol=1e-7)


@settings(max_examples=8)
@given(seed=st.integers(0, 10_000))
def test_planes_in_the_other_order_change_nothing(seed):
    drawn = _drawn(seed)
    masks = masks_of(drawn)
    other = masks_of(drawn[::-1], z_um=masks.z_um[::-1].copy())
    np.testing.assert_allclose(focus_height(other).z_um, focus_height(masks).z_um)
    here, there = focus_mesh(masks), focus_mesh(other)
    assert there.volume_um3 == pytest.approx(here.volume_um3)
    assert there.area_um2 == pytest.approx(here.area_um2)


@settings(max_examples=8)
@given(seed=st.integers(0, 10_000))
def test_a_mesh_is_closed_and_turned_outwards_whatever_it_wraps(seed):
    mesh = focus_mesh(masks_of(_drawn(seed)))
    edges = mesh.faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2)
    there, counts = np.unique(edges, axis=0, return_counts=True)
    back, returned = np.unique(edges[:, ::-1], axis=0, return_counts=True)
    np.testing.assert_array_equal(there, back)  # each edge is walked as often either way
    np.testing.assert_array_equal(counts, returned)
    assert mesh.volume_um3 >= 0


@settings(max_examples=8)
@given(seed=st.integers(0, 10_000))
def test_numbers_part_what_is_in_focus_without_rest(seed):
    drawn = _drawn(seed)
    volume = label_volume(masks_of(drawn), least_voxels=1)
    np.testing.assert_array_equal(volume.labels > 0, drawn)
    sizes = [part.voxels for part in volume.parts]
    assert sizes == sorted(sizes, reverse=True)
    assert sum(sizes) == drawn.sum()
