"""Laws of best focus: what must not move it, and an interval that holds."""

from __future__ import annotations

import numpy as np
import pytest

from parfocal.core.stack import FocalStack
from parfocal.score import best_focus
from tests.fabricate.scenes import fluorescent_scene, phase_scene


@pytest.fixture(scope="module")
def estimates():
    """Sixty random scenes over objectives, pixels, steps, light and kinds, with their answers."""
    scenes = [fluorescent_scene(seed) for seed in range(60)]
    return [(scene, best_focus(scene.stack)) for scene in scenes]


def test_the_90_percent_interval_holds(estimates):
    found = [(scene, answer) for scene, answer in estimates if answer.found]
    assert len(found) >= 0.93 * len(estimates)
    inside = [
        answer.interval_planes[0] <= scene.focus <= answer.interval_planes[1]
        for scene, answer in found
    ]
    assert 0.84 <= np.mean(inside) <= 0.99


def test_focus_is_located_within_a_tenth_of_a_depth_of_field(estimates):
    errors = [
        abs(answer.plane - scene.focus) * scene.step_dof
        for scene, answer in estimates
        if answer.found
    ]
    assert np.median(errors) < 0.1
    assert max(errors) < 1.0


def test_no_scene_is_taken_for_a_phase_object(estimates):
    assert {answer.modality for _, answer in estimates} == {"intensity"}


def test_phase_objects_are_found_in_focus_or_declined():
    errors = []
    for seed in range(100, 110):
        scene = phase_scene(seed, size=96)
        answer = best_focus(scene.stack)
        if answer.found:
            errors.append(abs(answer.plane - scene.focus))
    assert len(errors) > 8
    assert max(errors) < 1.0


@pytest.mark.parametrize("seed", range(4))
def test_gain_offset_mirror_and_turn_do_not_move_focus(seed):
    scene = fluorescent_scene(seed, planes=15, step_dof=0.5, photons=200)
    plain = best_focus(scene.stack)
    width = plain.interval_planes[1] - plain.interval_planes[0]
    counts = scene.counts.astype(np.float32)
    variants = {
        "gain": 3.0 * counts,
        "offset": counts + 500.0,
        "mirror": counts[:, :, ::-1],
        "turn": np.rot90(counts, axes=(1, 2)),
        "reverse": counts[::-1],
    }
    for name, images in variants.items():
        answer = best_focus(FocalStack.of(np.ascontiguousarray(images)))
        assert answer.found, name
        plane = len(counts) - 1 - answer.plane if name == "reverse" else answer.plane
        assert abs(plane - plain.plane) < 0.5 * width, name
