"""Fields that mislead focus measures: debris, flicker, fixed patterns, hot pixels, few planes."""

from __future__ import annotations

import numpy as np
import pytest

from parfocal.core.errors import ShapeError, UnknownNameError
from parfocal.core.stack import FocalStack
from parfocal.score import best_focus
from tests.fabricate.scenes import Scene, fluorescent_scene

SCENES = [
    fluorescent_scene(seed, planes=17, step_dof=0.5, photons=400, kind=kind)
    for seed, kind in ((21, "beads"), (22, "texture"), (23, "filaments"))
]


def answer(counts: np.ndarray):
    return best_focus(FocalStack.of(np.clip(counts, 0, 65535).astype(np.uint16)))


def far_plane(scene: Scene) -> int:
    """An inner plane far from focus."""
    return 2 if scene.focus > 8 else 14


def holds(estimate, scene: Scene) -> bool:
    low, high = estimate.interval_planes
    return low - 0.2 <= scene.focus <= high + 0.2


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.kind)
def test_bright_debris_in_one_plane_is_not_focus(scene):
    counts = scene.counts.astype(float)
    counts[far_plane(scene), 40:80, 40:80] *= 4
    estimate = answer(counts)
    assert not estimate.found or holds(estimate, scene)


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.kind)
def test_cosmic_rays_in_one_plane_are_not_focus(scene):
    counts = scene.counts.copy()
    places = np.random.default_rng(0).integers(0, 128, (2, 12))
    counts[far_plane(scene), places[0], places[1]] = 30000
    estimate = answer(counts)
    assert not estimate.found or holds(estimate, scene)


def test_one_odd_plane_that_wins_is_named():
    scene = SCENES[1]
    counts = scene.counts.astype(float)
    rows, columns = np.mgrid[:128, :128]
    counts[far_plane(scene)] += 500 * ((rows // 8 + columns // 8) % 2)
    estimate = answer(counts)
    assert estimate.status == "ambiguous"
    assert f"plane {far_plane(scene)} differs from both its neighbours" in estimate.reason


@pytest.mark.parametrize("amount", [0.1, 0.3])
@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.kind)
def test_flicker_of_the_lamp_does_not_move_focus(scene, amount):
    light = np.random.default_rng(4).uniform(1 - amount, 1 + amount, 17)[:, None, None]
    estimate = answer(100 + (scene.counts.astype(float) - 100) * light)
    assert estimate.found, estimate.reason
    assert holds(estimate, scene)


def test_a_fixed_pattern_under_a_hump_of_light_is_flat():
    rng = np.random.default_rng(2)
    pattern = np.ones((128, 128))
    rows, columns = np.mgrid[:128, :128]
    for y, x in rng.uniform(0, 128, (15, 2)):
        pattern -= 0.3 * (np.hypot(rows - y, columns - x) < 4)
    hump = 1 + 0.5 * np.exp(-(((np.arange(20) - 10) / 3) ** 2))
    counts = rng.poisson(1000 * pattern.clip(0.2) * hump[:, None, None])
    assert answer(counts).status in ("flat", "edge")


def test_a_confocal_layer_that_dims_is_still_found():
    scene = SCENES[0]
    z = np.arange(17) - scene.focus
    dim = 1 / (1 + (z / 2) ** 2)
    estimate = answer(100 + (scene.counts.astype(float) - 100) * dim[:, None, None])
    assert estimate.found, estimate.reason
    assert holds(estimate, scene)


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.kind)
def test_hot_pixels_do_not_hide_the_specimen(scene):
    counts = scene.counts.copy()
    places = np.random.default_rng(1).integers(0, 128, (2, 10))
    counts[:, places[0], places[1]] = 60000
    estimate = answer(counts)
    assert estimate.found, estimate.reason
    assert holds(estimate, scene)


@pytest.mark.parametrize("planes", [3, 4, 5, 7])
@pytest.mark.parametrize("seed", [31, 32])
def test_a_short_stack_through_focus_is_found(planes, seed):
    scene = fluorescent_scene(seed, planes=31, step_dof=1.0, photons=400)
    first = round(scene.focus) - planes // 2
    estimate = answer(scene.counts[first : first + planes])
    assert estimate.found, estimate.reason
    assert estimate.plane == pytest.approx(scene.focus - first, abs=0.6)


def test_a_black_plane_does_not_spoil_the_rest():
    scene = SCENES[1]
    counts = scene.counts.copy()
    counts[far_plane(scene)] = 0
    estimate = answer(counts)
    assert estimate.found
    low, high = estimate.interval_planes
    assert low <= scene.focus <= high
    assert high - low < 2


def test_images_around_zero_are_judged_alike():
    scene = SCENES[1]
    plain = best_focus(scene.stack)
    centred = scene.counts.astype(np.float32) - scene.counts.mean(dtype=np.float32)
    estimate = best_focus(FocalStack.of(centred))
    assert estimate.plane == pytest.approx(plain.plane, abs=0.2)


def test_wrong_options_are_named():
    stack = SCENES[0].stack
    with pytest.raises(UnknownNameError, match="phase"):
        best_focus(stack, modality="fluor")
    with pytest.raises(ShapeError, match="tile_px"):
        best_focus(stack, tile_px=0)
