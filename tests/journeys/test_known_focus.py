"""Best focus of the real stacks against the focus that is known of them."""

from __future__ import annotations

import pytest

from parfocal.io import find_stacks
from parfocal.score import best_focus

PHASE_OBJECTS = {"bfseg_yeast"}


@pytest.fixture(scope="module")
def answers(shared_data):
    sources = find_stacks([shared_data / "stacks.toml"], z_in_planes=True, crop_common=True)
    return {source.name: (source.extra, best_focus(source.open())) for source in sources}


def test_every_stack_is_found_within_one_plane(answers):
    assert len(answers) == 8
    for name, (known, estimate) in answers.items():
        assert estimate.found, f"{name}: {estimate.reason}"
        assert abs(estimate.index - known["focus_index"]) <= 1, name


def test_intervals_reach_within_one_plane_of_the_known_focus(answers):
    for name, (known, estimate) in answers.items():
        low, high = estimate.interval_planes
        assert low - 1 <= known["focus_index"] <= high + 1, name


def test_only_the_yeast_is_a_phase_object(answers):
    for name, (_, estimate) in answers.items():
        assert (estimate.modality == "phase") == (name in PHASE_OBJECTS)
    assert answers["bfseg_yeast"][1].warnings


def test_a_stack_of_unknown_step_gives_no_micrometres(answers):
    assert answers["smear"][1].z_um is None
    assert answers["smear"][1].index == 9
