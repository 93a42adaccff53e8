"""Recipes and the truth of what they make."""

from __future__ import annotations

import numpy as np
import pytest

from parfocal.core.errors import InputError, UnknownNameError
from parfocal.simulate.modalities import object_pixel_um
from parfocal.simulate.presets import PRESETS, load_recipe
from parfocal.simulate.recipes import StackRecipe, merged
from parfocal.simulate.stacks import simulate_stack

FLAT = {"name": "beads", "thickness_um": 0.0, "options": {"per_mm2": 40000.0}}


def test_every_preset_is_a_recipe_and_the_papers_optics_are_kept():
    for preset in PRESETS:
        assert load_recipe(preset.name, seed=3).name == preset.name
    li = load_recipe("li2021")
    assert (li.setup.na, li.setup.immersion_index, li.planes, li.z_step_um) == (0.6, 1.56, 51, 2.0)
    assert load_recipe("li2023").setup.pixel_um == 0.79


def planes_of_waves(recipe: StackRecipe) -> int:
    """Samples of all waves in all planes; 1 where a thin specimen glows."""
    halves = 2 if recipe.imaging.modality == "phase-contrast" else 1
    waves = getattr(recipe.imaging, "waves", 0) * halves
    return max(1, waves * recipe.planes)


def test_the_wide_range_is_wide_and_its_draws_are_possible():
    drawn = [load_recipe("wide", seed=seed) for seed in range(200)]
    na = [recipe.setup.na for recipe in drawn]
    assert (min(na), max(na)) == (0.1, 1.45)
    assert len({recipe.imaging.modality for recipe in drawn}) == 7
    pixels = [recipe.setup.pixel_um for recipe in drawn]
    assert min(pixels) >= 0.05
    assert max(pixels) <= 3.0
    for recipe in drawn:
        side, factor = recipe.shape_px[0], recipe.setup.pixel_um
        factor = round(factor / object_pixel_um(recipe.setup, recipe.imaging))
        assert 128 <= side <= 512
        if side > 128:
            assert (side * factor) ** 2 * planes_of_waves(recipe) <= 2.5e8
    assert len({recipe.shape_px for recipe in drawn}) > 4


def test_a_tilted_specimen_has_its_focus_where_the_truth_says():
    recipe = load_recipe(
        "luo2020", size_px=96, planes=17, z_step_um=1.0, focus_um=8.0, specimen=FLAT,
        photons=4000.0, background_photons=0.0, surface={"tilt_x_um_per_mm": 300.0},
    )  # fmt: skip
    made = simulate_stack(recipe, seed=2)
    left, right = np.nanmean(made.height_um[:, :10]), np.nanmean(made.height_um[:, -10:])
    assert right - left == pytest.approx(0.3 * 86 * 0.325, rel=0.2)
    spread = made.counts.astype(float)
    sides = [spread[:, :, part].var((1, 2)).argmax() for part in (slice(0, 24), slice(72, 96))]
    assert sides[0] == pytest.approx(np.nanmean(made.height_um[:, :24]), abs=1.1)
    assert sides[1] == pytest.approx(np.nanmean(made.height_um[:, 72:]), abs=1.1)
    assert made.focus_um == pytest.approx(8.0, abs=0.8)


def test_a_held_sheet_lights_the_same_slice_at_every_plane():
    recipe = load_recipe("li2021", size_px=64, planes=5, z_step_um=20.0, focus_um=40.0)
    light = simulate_stack(recipe, seed=1).counts.mean((1, 2))
    assert light.std() < 0.02 * light.mean()
    moving = recipe.model_copy(update={"held_sheet": False})
    swept = simulate_stack(moving, seed=1).counts.mean((1, 2))
    assert swept[0] < 0.9 * swept[2]


@pytest.mark.parametrize("offset_um", [-8.0, 8.0])
def test_a_held_sheet_lies_where_its_offset_says(offset_um):
    sheet = {"modality": "light-sheet", "waist_um": 6.0, "sheet_offset_um": offset_um}
    recipe = load_recipe("li2021", size_px=64, planes=1, focus_um=20.0, imaging=sheet)
    made = simulate_stack(recipe, seed=1)
    assert made.focus_um - 20.0 == pytest.approx(offset_um, abs=1.5)


def test_progress_names_each_plane():
    said: list[str] = []
    recipe = load_recipe("luo2020", size_px=32, planes=6, specimen=FLAT)
    simulate_stack(recipe, begin_plane=said.append)
    assert said == [f"plane {number} of 6" for number in range(1, 7)]


def test_wrong_recipes_are_refused_in_one_line_that_names_the_place():
    with pytest.raises(InputError, match=r"setup: na is -1"):
        load_recipe("luo2020", setup={"na": -1})
    with pytest.raises(InputError, match="colour is no known name"):
        load_recipe("luo2020", colour="red")
    with pytest.raises(UnknownNameError, match="li2021"):
        load_recipe("luo2019")
    with pytest.raises(InputError, match="held_sheet needs"):
        load_recipe("luo2020", held_sheet=True)


def test_another_modality_replaces_the_branch():
    tree = merged(
        {"imaging": {"modality": "led", "na_yx": []}}, {"imaging": {"modality": "confocal"}}
    )
    assert tree == {"imaging": {"modality": "confocal"}}
    assert isinstance(load_recipe("li2021", held_sheet=False, imaging={"modality": "widefield"}),
                      StackRecipe)  # fmt: skip
