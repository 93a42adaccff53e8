from __future__ import annotations

import numpy as np
import pytest

from parfocal.core.results import DefocusEstimate, Status
from parfocal.predict.calibration import Calibration
from parfocal.predict.pair_predictor import PairPredictor
from parfocal.train.stack_trials import (
    LEAST_SPECIMENS,
    StackTrials,
    chosen_pairs,
    classical_error,
    conformal_factor,
    recalibrated,
    sweep_planes,
    try_stacks,
)
from tests.fabricate.labelled import DEPTH_UM, STEP_UM, known_stack


def _trials(size, half, *, stacks=None, specimens=None):
    size = np.asarray(size, float)
    names = np.array([f"s{k}" for k in range(len(size))]) if stacks is None else np.array(stacks)
    return StackTrials(
        stacks=names,
        specimens=names if specimens is None else np.array(specimens),
        truth=np.full(len(size), 3.0),
        answer=3.0 + size,
        half=np.asarray(half, float),
    )


class Stub(PairPredictor):
    """Says that the first image is 1 um from focus; declines every other pair; blank at last."""

    def __init__(self):
        self.asked = []

    def predict(self, images, *, spacing_um, setup, saturation_counts):
        assert images.shape[0] == 2
        assert saturation_counts == 65535
        self.asked.append((images, spacing_um))
        if len(self.asked) == 3:
            return DefocusEstimate(status=Status.BLANK, reason="nothing")
        common = {"probabilities": np.array([0.5, 0.5]), "classes_um": np.array([0.0, 6.0])}
        if len(self.asked) % 2 == 0:
            return DefocusEstimate(status=Status.UNCERTAIN, reason="dim", **common)
        return DefocusEstimate(
            status=Status.FOUND, reason="", defocus_um=1.0, defocus_dof=0.5,
            interval_um=(-0.5, 2.5), **common,
        )  # fmt: skip


def test_pairs_are_asked_as_a_user_would_and_declined_ones_count_by_their_mean():
    known, stub = known_stack(0), Stub()
    trials = try_stacks(stub, [known], most_pairs=3)
    pairs = chosen_pairs(known, 3)
    assert [spacing for _, spacing in stub.asked] == [STEP_UM * (b - a) for a, b in pairs]
    np.testing.assert_array_equal(stub.asked[0][0][0], known.read((pairs[0][0],))[0].numpy())
    truth = [(STEP_UM * first - known.focus_um) / DEPTH_UM for first, _ in pairs]
    np.testing.assert_allclose(trials.truth, truth)
    np.testing.assert_allclose(trials.answer, np.array([1.0, 3.0, 0.0]) / DEPTH_UM)
    np.testing.assert_allclose(trials.half, [0.5, np.nan, np.nan])
    assert trials.is_answered.tolist() == [True, False, False]


def test_every_stack_weighs_the_same_and_declined_pairs_weigh_too():
    trials = _trials([1, 1, 1, 4], [2, np.nan, 2, 2], stacks=["a", "a", "a", "b"])
    assert trials.mean_error == pytest.approx(2.5)
    metrics = trials.metrics("x")
    assert metrics["answered_x"] == 0.75
    assert metrics["mean_error_depths_x"] == 2.0
    assert metrics["median_error_depths_x"] == 1.0
    assert trials.coverage() == pytest.approx(2 / 3, abs=1e-3)
    assert _trials([1.0], [np.nan]).coverage() is None


def test_wrong_signs_are_counted_where_the_sign_matters():
    trials = _trials([-4.0, 0.1], [1, 1])
    assert trials.metrics("x")["wrong_signs_x"] == 0.5


def test_the_interval_holds_at_least_nine_of_ten_pairs_of_further_specimens():
    dice = np.random.default_rng(1)
    inside = []
    for _ in range(300):
        scale = dice.uniform(0.5, 3.0, 13)  # every specimen has errors of its own size
        size = np.abs(dice.normal(size=(13, 8))) * scale[:, None]
        names = np.repeat(np.arange(12), 8)
        factor = conformal_factor(size[:12].ravel(), names)
        inside.append(float((size[12] <= factor).mean()))
    assert 0.9 <= np.mean(inside) <= 0.98


def test_a_specimen_with_many_pairs_outweighs_no_other():
    ratios = np.concatenate([np.full(1000, 9.0), np.arange(1.0, 21.0)])
    groups = np.concatenate([np.zeros(1000, int), np.arange(1, 21)])
    assert conformal_factor(ratios, groups) == 19.0  # 20 of 22


def test_enough_specimens_set_the_width_and_measure_it_leaving_each_out():
    count = 2 * LEAST_SPECIMENS
    size = np.linspace(0.1, 1.8, count)
    start = Calibration(widen=2.0, widen_by=((1.0, 4.0),))
    changed, coverage, said = recalibrated(_trials(size, np.ones(count)), start)
    factor = conformal_factor(size, np.arange(count))
    assert changed.widen == pytest.approx(2 * factor)
    assert changed.widen_by == ((pytest.approx(factor), pytest.approx(4 * factor)),)
    assert changed.least_certainty == start.least_certainty
    assert 0.8 <= coverage <= 1.0
    assert f"{count} held-out specimens" in said


def test_few_specimens_leave_the_interval_as_it_was_and_say_so():
    half = np.ones(20)
    half[8:] = np.nan
    changed, coverage, said = recalibrated(_trials(np.full(20, 9.0), half), Calibration())
    assert changed == Calibration()
    assert coverage is None
    assert "8 held-out specimens were answered, and 9 are the least" in said


def test_sweeps_are_as_coarse_as_asked_and_begin_at_every_plane():
    z_um = np.arange(0.0, 42.0, 0.5)  # 84 planes over +-7 depths of 3 um
    sweeps = sweep_planes(z_um, DEPTH_UM)
    assert {len(sweep) for sweep in sweeps} == {12}
    assert sorted(int(plane) for sweep in sweeps for plane in sweep) == list(range(84))
    assert {len(sweep) for sweep in sweep_planes(z_um, DEPTH_UM, images=4)} == {3}
    assert [len(sweep) for sweep in sweep_planes(np.arange(4.0) * 0.01, DEPTH_UM)] == [4]


def test_a_classical_search_finds_a_flat_texture_and_few_images_find_it_worse():
    stacks = [known_stack(seed) for seed in range(2)]
    many, few = (classical_error(stacks, images=images) for images in (13, 4))
    assert many.mean < 0.2
    assert many.images == pytest.approx(6.5, abs=1.0)
    assert few.images < 5
    assert few.mean > many.mean
