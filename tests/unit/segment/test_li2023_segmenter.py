from __future__ import annotations

import numpy as np
import pytest
import torch

from parfocal.core.stack import FocalStack
from parfocal.models.card import ModelCard
from parfocal.models.package import save_model
from parfocal.nets.li2023 import Li2023Network, plane_probabilities, scaled_stack
from parfocal.segment.in_focus import in_focus, load
from parfocal.segment.li2023_segmenter import Li2023Segmenter
from tests.fabricate.thick import fabricated


@pytest.fixture(scope="module")
def segmenter():
    torch.manual_seed(5)
    card = ModelCard(
        name="tiny", task="", architecture="parfocal.nets.li2023:Li2023Network", settings={},
        recipe={}, commit="", seed=0, data="", seconds=0.0, machine="", metrics={}, coverage={},
        calibration={"threshold": 0.3, "tile_px": 32}, limits=(),
    )  # fmt: skip
    return Li2023Segmenter([Li2023Network(widths=(4, 8))], card)


@pytest.fixture(scope="module")
def counts():
    return np.random.default_rng(0).integers(100, 900, (3, 40, 40)).astype(np.uint16)


def chances(segmenter, counts, **options):
    return np.stack(list(segmenter.chances(FocalStack.of(counts), **options)))


def test_chances_are_those_of_the_planes_scaled_by_the_stack(segmenter, counts):
    by_hand = plane_probabilities(segmenter.network, scaled_stack(counts), tile_px=32)
    np.testing.assert_allclose(chances(segmenter, counts), by_hand, atol=1e-6)
    assert segmenter.threshold == 0.3


def test_gain_and_offset_change_nothing(segmenter, counts):
    brighter = counts.astype(np.float32) * 3 + 50
    np.testing.assert_allclose(chances(segmenter, brighter), chances(segmenter, counts), atol=1e-5)


def test_dark_structure_is_turned_over(segmenter, counts):
    np.testing.assert_allclose(
        chances(segmenter, (1000 - counts).astype(np.uint16), is_dark=True),
        chances(segmenter, counts), atol=1e-5,
    )  # fmt: skip


@pytest.mark.parametrize("turn", [lambda a: np.rot90(a, axes=(1, 2)), lambda a: a[..., ::-1]])
def test_the_mean_over_eight_orientations_follows_turns_and_mirrors(segmenter, counts, turn):
    whole = chances(segmenter, counts, orientations=8)
    turned = chances(segmenter, np.ascontiguousarray(turn(counts)), orientations=8)
    np.testing.assert_allclose(turned, turn(whole), atol=1e-5)


def test_pixels_that_are_not_finite_do_not_spread(segmenter, counts):
    spoilt = counts.astype(np.float32)
    spoilt[1, 5, 5] = np.nan
    found = chances(segmenter, spoilt)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found[[0, 2]], chances(segmenter, counts)[[0, 2]], atol=1e-6)


def test_the_verb_runs_it_and_declines_what_holds_nothing(segmenter):
    stack, _ = fabricated(1, planes=4, size_px=64)
    found = in_focus(stack, model=segmenter, threshold=0.01)
    np.testing.assert_allclose(found.probabilities, chances(segmenter, stack), atol=1e-6)
    noise = np.random.default_rng(1).poisson(500, (3, 64, 64)).astype(np.uint16)
    assert in_focus(noise, model=segmenter, threshold=0.01).status == "blank"


def test_a_folder_of_it_loads_for_the_verb(segmenter, tmp_path):
    card = segmenter.card.model_copy(update={"settings": {"widths": [4, 8]}})
    save_model(tmp_path, card, [segmenter.network])
    assert isinstance(load(tmp_path), Li2023Segmenter)
