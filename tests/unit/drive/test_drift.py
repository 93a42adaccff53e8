"""The drift tracker: what it refuses, what it passes over, files, memory."""

from __future__ import annotations

import numpy as np
import pytest

from parfocal.core.errors import InputError, ReadError
from parfocal.core.results import FocusCurve, FocusEstimate, Status
from parfocal.drive.drift import DriftPoint, DriftSettings, DriftTracker


def tracker_of(count: int, **settings) -> DriftTracker:
    points = [DriftPoint(time_s=60.0 * k, z_um=5.0 + 0.02 * k) for k in range(count)]
    return DriftTracker(points, DriftSettings(**settings))


def estimate(status: Status, z_um: float | None) -> FocusEstimate:
    curve = FocusCurve(z_um=np.arange(3.0), scores=np.ones(3), measure="brenner")
    found = status == Status.FOUND
    return FocusEstimate(
        status=status, reason="", curve=curve, measure="brenner", z_um=z_um,
        plane=1.0 if found else None, index=1 if found else None,
        interval_um=None if z_um is None else (z_um - 0.1, z_um + 0.1),
    )  # fmt: skip


def test_nothing_known_is_said():
    with pytest.raises(InputError, match="add a point first"):
        DriftTracker().predict(0.0)
    assert DriftTracker().carry_over(0.0) == {}


@pytest.mark.parametrize("name", ["time_s", "z_um"])
def test_points_that_are_not_finite_are_refused(name):
    with pytest.raises(InputError, match="leave out stacks where focus was not found"):
        DriftPoint(**{"time_s": 0.0, "z_um": 0.0, name: float("inf")})


def test_odd_questions_are_refused():
    tracker = tracker_of(3)
    with pytest.raises(InputError, match="finite"):
        tracker.predict(float("nan"))
    with pytest.raises(InputError, match="between 0 and 1"):
        tracker.predict(0.0, probability=1.0)
    with pytest.raises(InputError, match="'B7' is not known, only of ''"):
        tracker.predict(0.0, position="B7")


def test_stacks_already_taken_are_used_and_failures_passed_over():
    tracker = DriftTracker()
    tracker = tracker.with_estimate(estimate(Status.FOUND, 7.0), time_s=0.0, position="A1")
    same = tracker.with_estimate(estimate(Status.FLAT, None), time_s=60.0, position="A1")
    same = same.with_estimate(estimate(Status.FOUND, None), time_s=90.0, position="A1")
    assert same is tracker
    assert tracker.points == (
        DriftPoint(time_s=0.0, z_um=7.0, interval_um=(6.9, 7.1), position="A1"),
    )


def test_one_point_holds_for_a_while():
    tracker = tracker_of(1)
    soon, late = tracker.predict(10.0), tracker.predict(36_000.0)
    assert soon.z_um == pytest.approx(5.0)
    assert soon.error_um < 0.8
    assert late.error_um > 5


def test_the_past_is_no_surer_than_the_walk_allows():
    tracker = tracker_of(6)
    assert tracker.predict(-3600.0).error_um > tracker.predict(0.0).error_um


def test_only_the_latest_points_are_kept():
    tracker = tracker_of(30, memory=12)
    assert len(tracker.points) == 12
    assert tracker.points[0].time_s == 60.0 * 18


def test_the_rate_has_an_interval():
    rate, (low, high) = tracker_of(30).rate_um_per_h
    assert low < rate < high
    assert rate == pytest.approx(1.2, abs=0.8)


def test_a_wider_question_has_a_wider_interval():
    tracker = tracker_of(6)
    low, high = tracker.predict(600.0, probability=0.99).interval_um
    inner = tracker.predict(600.0).interval_um
    assert low < inner[0] < inner[1] < high


def test_a_saved_tracker_answers_the_same(tmp_path):
    tracker = tracker_of(5, noise_um=0.2).with_points(
        DriftPoint(time_s=1.0, z_um=3.0, interval_um=(2.0, 4.0), position="B")
    )
    tracker.save(tmp_path / "drift.json")
    again = DriftTracker.load(tmp_path / "drift.json")
    assert again.points == tracker.points
    assert again.predict(900.0, position="B") == tracker.predict(900.0, position="B")


@pytest.mark.parametrize("text", ["", "{}", '{"points": [{}], "settings": {}}'])
def test_a_file_that_holds_no_drift_is_refused(tmp_path, text):
    (tmp_path / "drift.json").write_text(text)
    with pytest.raises(ReadError, match="holds no drift record"):
        DriftTracker.load(tmp_path / "drift.json")
