"""Laws of drift: it is carried on, with an interval that holds, and one error does not move it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parfocal.drive.drift import DriftPoint, DriftTracker


def points_of(times, z_um, *, error_um=0.15, position="") -> list[DriftPoint]:
    half = 1.645 * error_um
    return [
        DriftPoint(time_s=t, z_um=z, interval_um=(z - half, z + half), position=position)
        for t, z in zip(map(float, times), map(float, z_um), strict=True)
    ]


@settings(max_examples=15)
@given(st.floats(-6, 6), st.integers(6, 20), st.floats(30, 900))
def test_a_steady_drift_is_carried_on(rate, count, every_s):
    times = every_s * np.arange(count)
    tracker = DriftTracker(points_of(times, 40 + rate * times / 3600, error_um=0.05))
    later = float(count * every_s)
    answer = tracker.predict(later)
    truth = 40 + rate * later / 3600
    assert abs(answer.z_um - truth) < 0.005 + 0.5 * answer.error_um
    assert answer.interval_um[0] < truth < answer.interval_um[1]


def wandering(seed, count, every_s, *, outlier_share=0.0):
    generator = np.random.default_rng(seed)
    times = every_s * np.arange(count)
    steps = np.exp(generator.normal(0, 0.8)) * np.sqrt(every_s / 3600)
    walk = np.concatenate([[0], np.cumsum(generator.normal(0, steps, count - 1))])
    truth = 50 + generator.normal(0, 3) * times / 3600 + walk
    seen = truth + generator.normal(0, 0.15, count)
    wrong = generator.random(count) < outlier_share
    return times, truth, np.where(wrong, seen + 15 * generator.choice([-1, 1], count), seen)


@pytest.mark.parametrize("share", [0.0, 0.05])
def test_the_90_percent_interval_holds(share):
    held = []
    for seed in range(60):
        times, truth, seen = wandering(seed, 11, 300.0, outlier_share=share)
        low, high = DriftTracker(points_of(times[:-1], seen[:-1])).predict(times[-1]).interval_um
        held.append(low <= truth[-1] <= high)
    assert 0.82 <= np.mean(held) <= 0.97


@pytest.mark.parametrize("seed", range(5))
def test_one_wrong_estimate_does_not_move_the_prediction(seed):
    times, _, seen = wandering(seed, 16, 120.0)
    plain = DriftTracker(points_of(times, seen)).predict(2000.0)
    seen[8] += 20.0
    tracker = DriftTracker(points_of(times, seen))
    assert tracker.predict(2000.0).z_um == pytest.approx(plain.z_um, abs=0.15)
    assert tracker.outlier_probability.argmax() == 8


@pytest.mark.parametrize("seed", range(5))
def test_a_later_time_is_never_surer(seed):
    times, _, seen = wandering(seed, 10, 120.0)
    tracker = DriftTracker(points_of(times, seen))
    errors = [tracker.predict(t).error_um for t in (1080.0, 1200.0, 2000.0, 8000.0, 90_000.0)]
    assert errors == sorted(errors)


def test_a_jump_that_lasts_is_followed():
    times = 60.0 * np.arange(16)
    z_um = np.where(np.arange(16) < 10, 30.0, 42.0) + 0.05 * np.sin(np.arange(16))
    answer = DriftTracker(points_of(times, z_um)).predict(960.0)
    assert answer.interval_um[0] < 42.0 < answer.interval_um[1]
    assert answer.z_um == pytest.approx(42.0, abs=1.0)


def test_positions_drift_together_each_at_its_own_height():
    generator = np.random.default_rng(1)
    heights = {"A1": 10.0, "A2": 25.0, "A3": 31.0}
    points = []
    for number, time_s in enumerate(60.0 * np.arange(24)):
        name = list(heights)[number % 3]
        z_um = heights[name] + 4 * time_s / 3600 + generator.normal(0, 0.1)
        points += points_of([time_s], [z_um], error_um=0.1, position=name)
    carried = DriftTracker(points).carry_over(1800.0)
    assert sorted(carried) == ["A1", "A2", "A3"]
    for name, height in heights.items():
        assert carried[name].z_um == pytest.approx(height + 2.0, abs=0.4)
    alone = DriftTracker([p for p in points if p.position == "A1"]).predict(1800.0)
    assert carried["A1"].error_um < alone.error_um


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_the_estimates_is_of_no_account(seed):
    times, _, seen = wandering(seed, 12, 120.0, outlier_share=0.1)
    points = points_of(times, seen)
    turned = [points[k] for k in np.random.default_rng(seed).permutation(12)]
    one, two = (DriftTracker(some).predict(1500.0) for some in (points, turned))
    assert one == two
