"""The network that ships, on a specimen that it never saw."""

from __future__ import annotations

import numpy as np
import pytest

from parfocal.evaluate.image_quality import quality
from parfocal.evaluate.wu2019_scope import SETUP, SPHERICAL, flat_scene
from parfocal.refocus import to_surface, virtual_stack


@pytest.fixture(scope="module")
def neuron():
    """Neurites 3 um above the plane of the image, and what a scan shows there."""
    scene = flat_scene("neurites", size_px=160, seed=102, height_um=3.0)
    return scene.taken(seed=0), scene.scanned([3.0])[0]


def test_an_object_comes_into_focus_on_its_own_side(neuron):
    image, truth = neuron
    planes = np.asarray(virtual_stack(image, [3.0, -3.0], setup=SETUP, spherical_waves=SPHERICAL))
    taken, right, wrong = (quality(each, truth).psnr for each in (image, *planes))
    assert right > taken + 1.5
    assert right > wrong + 2.0


def test_a_weaker_claim_is_made_where_less_is_known(neuron):
    image, _ = neuron
    sure = to_surface(image, 3.0, setup=SETUP, spherical_waves=SPHERICAL)
    assert sure.found
    assert sure.verdict > 0.5
    assert sure.card["name"] == "deep-z-fluorescence"
    assert sure.flux == 1.0


def test_a_section_is_asked_by_name(neuron):
    image, _ = neuron
    section = to_surface(
        image, 3.0, setup=SETUP, spherical_waves=SPHERICAL, model="deep-z-confocal"
    )
    assert section.method == "deep-z-fluorescence (section)"
