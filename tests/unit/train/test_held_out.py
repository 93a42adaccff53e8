from __future__ import annotations

import numpy as np
import pytest
import torch

from parfocal.core.results import DefocusEstimate, Status
from parfocal.predict.calibration import Calibration
from parfocal.predict.checks import effective_depth_um
from parfocal.predict.pair_predictor import FieldFacts, PairPredictor
from parfocal.simulate.batches import FieldBatches
from parfocal.train import calibrating
from parfocal.train.calibrating import LEAST_FLOOR, calibrate, measure_answers
from parfocal.train.held_out import (
    MOST_SPHERICAL,
    FieldTrials,
    HeldOut,
    _nearest_layer,
    _sound,
    try_fields,
)


def _trials(count=2000, *, seed=0, spread=None, error=None, certainty=None, found=None):
    dice = np.random.default_rng(seed)
    spread = dice.uniform(0.2, 0.8, count) if spread is None else spread
    truth = dice.uniform(-7, 7, count)
    # The networks are twice as sure as they should be.
    error = 2 * spread * dice.normal(size=count) if error is None else error
    return FieldTrials(
        kinds=np.array(["neurites", "nematode"] * (count // 2)),
        photons=np.exp(dice.uniform(1.1, 6.9, count)),
        truth=truth,
        centre=truth + error,
        spread=spread,
        certainty=np.full(count, 0.5) if certainty is None else certainty,
        is_found=np.ones(count, bool) if found is None else found,
        signal=np.exp(dice.normal(size=count)),
        fill=dice.uniform(0, 1, count),
        clear=np.full(count, -0.9),
        is_fluorescence=np.ones(count, bool),
    )


def _inside(trials, calibration):
    return measure_answers(trials, calibration)[1]["all"]


def test_the_interval_holds_nine_of_ten_on_other_fields_however_wrong_the_networks_doubt(
    monkeypatch,
):
    spread = np.random.default_rng(5).uniform(0.05, 0.15, 2000)
    calibration, faults = calibrate(_trials(spread=spread), Calibration())
    assert not faults
    assert _inside(_trials(seed=1, spread=spread), calibration) == pytest.approx(0.9, abs=0.02)
    assert calibration.floor == LEAST_FLOOR
    monkeypatch.setattr(calibrating, "LEAST_FLOOR", 0.0)
    calibration, _ = calibrate(_trials(spread=spread), Calibration())
    assert _inside(_trials(seed=1, spread=spread), calibration) == pytest.approx(0.9, abs=0.02)
    assert calibration.widen == pytest.approx(2 * 1.645, rel=0.1)
    assert calibration.floor == 0.02


def test_a_spread_that_says_nothing_gets_the_largest_floor():
    dice = np.random.default_rng(2)
    trials = _trials(spread=np.exp(dice.normal(-4, 1, 2000)), error=0.4 * dice.normal(size=2000))
    assert calibrate(trials, Calibration())[0].floor == 0.5


def test_answers_begin_where_they_are_good():
    dice = np.random.default_rng(3)
    certainty = dice.uniform(0, 1, 2000)
    error = np.where(certainty < 0.4, 5.0, 0.2) * dice.normal(size=2000)
    calibration, faults = calibrate(_trials(error=error, certainty=certainty), Calibration())
    assert 0.3 <= calibration.least_certainty <= 0.4
    assert not faults


def test_wrong_signs_alone_move_the_threshold():
    certainty = np.linspace(0, 1, 2000)
    trials = _trials(error=np.zeros(2000), certainty=certainty)
    flipped = np.where((certainty < 0.5) & (np.abs(trials.truth) < 1.0), -1, 1)
    turned = FieldTrials(**(vars(trials) | {"centre": trials.truth * flipped}))
    assert calibrate(turned, Calibration())[0].least_certainty > 0.15


def test_a_rule_that_cannot_be_met_is_said_and_a_tenth_still_gets_answers():
    dice = np.random.default_rng(4)
    certainty = dice.uniform(0, 1, 2000)
    trials = _trials(error=6 * dice.normal(size=2000), certainty=certainty)
    calibration, faults = calibrate(trials, Calibration())
    assert "rule for answers was not met" in faults[0]
    assert calibration.least_certainty == pytest.approx(0.9, abs=0.06)
    assert trials.answered(calibration.least_certainty, 0.0).mean() >= 0.1


def test_too_few_answers_leave_the_interval_as_it_was_and_say_so():
    clear = np.zeros(20, bool)
    clear[:8] = True
    calibration, faults = calibrate(_trials(20, found=clear), Calibration())
    assert calibration.widen == Calibration().widen
    assert any("not calibrated: 8" in fault for fault in faults)


def test_lenses_with_two_sharpest_planes_set_no_interval():
    draw = FieldBatches(batch=16, size_px=32, objects=("neurites",), textures=0, reuse=1).draw
    batches = [draw() for _ in range(3)]
    waves = torch.cat([batch.spherical_waves for batch in batches]).abs()
    assert bool((waves > MOST_SPHERICAL).any())
    left = iter(batches)
    chosen = []
    with pytest.raises(RuntimeError):  # there are no more batches
        chosen.extend(float(b.spherical_waves[k]) for b, k in _sound(lambda: next(left)))
    assert len(chosen) == int((waves <= MOST_SPHERICAL).sum())
    assert max(map(abs, chosen)) <= MOST_SPHERICAL


def test_metrics_count_answers_by_kind_and_by_signal():
    clear = np.arange(2000) % 2 == 0  # neurites alone
    certainty = np.full(2000, 0.5)
    certainty[1] = np.nan
    trials = _trials(found=clear, certainty=certainty)
    metrics, coverage = measure_answers(trials, Calibration())
    assert metrics["answered_neurites"] == 1.0
    assert metrics["answered_nematode"] == 0.0
    assert metrics["answered_all"] == 0.5
    assert "nematode" not in coverage
    assert {"all", "neurites", "dim", "medium", "bright"} == set(coverage)
    size = np.abs(trials.error[clear])
    assert metrics["median_error_depths_all"] == pytest.approx(np.median(size), abs=1e-4)
    assert metrics["mean_error_depths_all"] == pytest.approx(size.mean(), abs=1e-4)
    truth, centre = trials.truth[clear], trials.centre[clear]
    wrong = (truth * centre < 0)[np.abs(truth) > 0.5].mean()
    assert metrics["wrong_signs_all"] == pytest.approx(wrong, abs=1e-4)


FEW = HeldOut(
    objects=("nematode", "hair_cells"), clear_objects=("blood_smear",), fields=3, size_px=64, seed=9
)


class Stub(PairPredictor):
    """Answers with two classes of one width of the optics' own unit, or declines every third."""

    def __init__(self):
        self.device = torch.device("cpu")
        self.calibration = Calibration(classes_reach=4.0)
        self.asked = []

    def predict_with_facts(self, images, *, spacing_um, setup):
        assert self.calibration.least_certainty < 0
        assert images.shape == (2, 64, 64)
        self.asked.append((spacing_um, setup))
        if len(self.asked) % 3 == 0:
            return DefocusEstimate(status=Status.SATURATED, reason="full"), FieldFacts()
        depth_um = effective_depth_um(setup)
        guess = DefocusEstimate(
            status=Status.FOUND, reason="", defocus_um=0.0, defocus_dof=0.0,
            interval_um=(0.0, 0.0), certainty=0.7, probabilities=np.array([0.5, 0.5]),
            classes_um=depth_um * np.array([1.0, 3.0]),
        )  # fmt: skip
        return guess, FieldFacts(signal=3.0, fill=0.5, clear=-0.5)


def test_fields_are_asked_as_a_user_would_and_the_truth_is_the_first_images():
    stub = Stub()
    trials = try_fields(stub, FEW, seed=2)
    assert trials.kinds.tolist() == ["nematode"] * 3 + ["hair_cells"] * 3 + ["blood_smear"] * 3
    assert trials.is_fluorescence.tolist() == [True] * 6 + [False] * 3
    source = FieldBatches(
        batch=8,
        size_px=64,
        seed=2009,
        objects=("nematode",),
        textures=0,
        reach_depths=4.0,
        reuse=1,
    )
    fields = source.draw()
    truth = (fields.z_um[:, 0] / fields.depth_um)[:3]
    np.testing.assert_allclose(trials.truth[:3], truth, rtol=1e-5)
    np.testing.assert_allclose(trials.photons[:3], fields.photons[:3], rtol=1e-5)
    assert stub.asked[0][0] == pytest.approx(float(fields.z_um[0, 1] - fields.z_um[0, 0]))
    assert stub.asked[0][1].na == pytest.approx(float(fields.na[0]))
    np.testing.assert_allclose(trials.centre[:2], 2.0, rtol=1e-5)
    np.testing.assert_allclose(trials.spread[:2], 1.0, rtol=1e-5)
    assert trials.is_found.tolist() == [True, True, False] * 3
    assert np.isnan(trials.certainty[2])
    assert np.isnan(trials.clear[2])
    assert trials.fill[0] == 0.5
    assert stub.calibration == Calibration(classes_reach=4.0)


def test_fields_that_measure_are_not_those_that_calibrate():
    first, second = (try_fields(Stub(), FEW, seed=seed).truth for seed in (0, 1))
    assert not set(first) & set(second)


def _with(trials, **changes):
    return FieldTrials(**(vars(trials) | changes))


def test_evidence_of_transmitted_light_is_parted_between_the_two():
    dice = np.random.default_rng(6)
    is_own = np.arange(2000) < 1400
    clear = np.where(is_own, dice.uniform(-1, 0.1, 2000), dice.uniform(0.5, 1, 2000))
    trials = _with(_trials(spread=np.full(2000, 0.1)), clear=clear, is_fluorescence=is_own)
    calibration, faults = calibrate(trials, Calibration())
    assert not faults
    assert 0.1 < calibration.most_clear < 0.5
    metrics, _ = measure_answers(
        _with(trials, kinds=np.where(is_own, "neurites", "blood_smear")), calibration
    )
    assert metrics["answered_blood_smear"] == 0.0
    assert metrics["answered_neurites"] == 1.0
    assert metrics["fields"] == 1400


def test_where_transmitted_light_cannot_be_told_most_fluorescence_is_kept_and_it_is_said():
    is_own = np.arange(2000) % 2 == 0
    clear = np.random.default_rng(7).uniform(-1, 1, 2000)
    calibration, faults = calibrate(
        _with(_trials(), clear=clear, is_fluorescence=is_own), Calibration()
    )
    assert calibration.most_clear > 0.9
    assert "passed for fluorescence" in faults[0]


def test_each_group_has_the_width_that_its_own_errors_need():
    trials = _trials(6000)
    bad = trials.fill > np.median(trials.fill)
    trials = _with(trials, centre=trials.truth + np.where(bad, 3.0, 1.0) * trials.error)
    calibration, _ = calibrate(trials, Calibration())
    for row in calibration.widen_by:
        assert row[1] == pytest.approx(3 * row[0], rel=0.25)
    assert len(calibration.widen_by) == 3
    half = [calibration.widen_of(calibration.group_of(s, f)) for s, f in ((0.1, 0.1), (0.1, 0.9))]
    assert half[1] > 2 * half[0]


def test_of_two_layers_the_one_nearer_to_the_answer_is_meant():
    source = FieldBatches(batch=8, size_px=64, seed=1, objects=("beads",), reach_depths=4.0)
    fields = source.draw()
    k = int(fields.second_share.argmax())
    depth_um = float(fields.depth_um[k])
    first = float(fields.defocus_um[k]) / depth_um
    second = first - float(fields.second_height_um[k]) / depth_um
    assert _nearest_layer(fields, k, second + 0.1) == pytest.approx(second, rel=1e-4)
    assert _nearest_layer(fields, k, first - 0.1) == pytest.approx(first, rel=1e-4)
    lone = int(fields.second_share.argmin())
    alone = float(fields.defocus_um[lone]) / float(fields.depth_um[lone])
    assert _nearest_layer(fields, lone, 99.0) == pytest.approx(alone, rel=1e-4)
