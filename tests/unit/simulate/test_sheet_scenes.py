from __future__ import annotations

import numpy as np
import pytest

from parfocal.simulate.sheet_scenes import (
    SEEN,
    UNSEEN,
    SceneSet,
    load_scenes,
    scene_recipe,
    scene_recipes,
)

TINY = SceneSet(split="test", tissues=("neurites",), thick=0, flat=1, size_px=128, planes=3)


def test_no_specimen_of_one_split_or_tissue_is_in_another():
    splits = ("train", "validation", "test")
    seeds = [
        recipe.seed
        for split in splits
        for _, recipe in scene_recipes(SceneSet(split=split, tissues=(*SEEN, UNSEEN), thick=40))
    ]
    assert len(set(seeds)) == len(seeds) == 3 * 4 * 48


def test_the_unseen_tissue_is_in_no_default_training():
    assert UNSEEN not in SceneSet(split="train").tissues


def test_a_smaller_set_is_part_of_a_larger_one():
    small = dict(scene_recipes(SceneSet(split="test", thick=2, flat=1)))
    large = dict(scene_recipes(SceneSet(split="test", thick=5, flat=4)))
    assert small.items() <= large.items()


def test_scenes_draw_light_sheets_and_aberrations_over_the_stated_ranges():
    recipes = [scene_recipe("neurites", seed, is_flat=False, size_px=128) for seed in range(60)]
    photons = np.array([recipe.photons for recipe in recipes])
    assert 20 <= photons.min() < 40
    assert 200 < photons.max() <= 400
    sheets = {recipe.imaging.waist_um for recipe in recipes}
    assert np.mean(sorted(sheets)) == pytest.approx(14.0)
    waves = {recipe.imaging.aberrations.zernike_waves[12] for recipe in recipes}
    assert (min(waves), max(waves)) == (0.0, 0.2)
    assert all(recipe.held_sheet for recipe in recipes)


def test_scenes_are_simulated_once_and_anew_when_damaged(tmp_path):
    (made,) = load_scenes(TINY, tmp_path)
    (path,) = tmp_path.iterdir()
    before = path.stat().st_mtime_ns
    (again,) = load_scenes(TINY, tmp_path)
    assert path.stat().st_mtime_ns == before
    np.testing.assert_array_equal(again.counts, made.counts)
    assert (again.focus_um, again.is_flat) == (made.focus_um, True)
    path.write_bytes(b"half a file")
    (third,) = load_scenes(TINY, tmp_path)
    np.testing.assert_array_equal(third.counts, made.counts)


def test_a_stored_scene_of_another_recipe_is_not_taken(tmp_path):
    load_scenes(TINY, tmp_path)
    other = TINY.model_copy(update={"planes": 4})
    (made,) = load_scenes(other, tmp_path)
    assert len(made.counts) == 4
