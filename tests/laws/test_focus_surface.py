"""Laws of the focus surface: what it must find, and what must not move it."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parfocal.drive.surface import FocusSurface
from tests.fabricate.fields import bumpy_field, focus_points, grid_um, measured

PLACES = grid_um()


def chosen(seed: int, count: int) -> np.ndarray:
    return PLACES[np.random.default_rng(seed).choice(len(PLACES), count, replace=False)]


@settings(max_examples=15)
@given(st.floats(-8, 8), st.floats(-8, 8), st.integers(4, 12), st.integers(0, 99))
def test_a_plane_is_found_exactly(slope_x, slope_y, count, seed):
    places = chosen(seed, count)
    if np.linalg.matrix_rank(places - places.mean(0)) < 2:
        return
    plane = 70 + places @ [slope_x / 1000, slope_y / 1000]
    surface = FocusSurface(focus_points(places, plane, 0.05))
    answer = surface.predict(*PLACES.T)
    truth = 70 + PLACES @ [slope_x / 1000, slope_y / 1000]
    assert (np.abs(answer.z_um - truth) < 0.005 + 0.1 * answer.error_um).all()
    assert ((answer.low_um < truth) & (truth < answer.high_um)).all()


@pytest.mark.parametrize("seed", range(3))
def test_adding_a_tilt_adds_it_to_the_answer(seed):
    places = chosen(seed, 16)
    points, _ = measured(bumpy_field(seed), places, seed)
    plain = FocusSurface(points).predict(*PLACES.T)
    slope = np.array([4.0, -6.0]) / 1000
    error = [(p.interval_um[1] - p.interval_um[0]) / 3.29 for p in points]
    tilted = FocusSurface(
        focus_points(places, [p.z_um for p in points] + places @ slope, error)
    ).predict(*PLACES.T)
    assert np.abs(tilted.z_um - PLACES @ slope - plain.z_um).max() < 0.05
    np.testing.assert_allclose(tilted.error_um, plain.error_um, rtol=0.02)


@pytest.mark.parametrize("seed", range(4))
def test_one_wrong_point_does_not_move_the_rest(seed):
    places = chosen(seed, 24)
    points, _ = measured(bumpy_field(seed), places, seed)
    before = FocusSurface(points).predict(*PLACES.T)
    z_um = [p.z_um for p in points]
    z_um[seed] += 25.0
    surface = FocusSurface(
        focus_points(places, z_um, [(p.interval_um[1] - p.interval_um[0]) / 3.29 for p in points])
    )
    after = surface.predict(*PLACES.T)
    far = np.hypot(*(PLACES - places[seed]).T) > 2500
    assert np.abs(after.z_um - before.z_um)[far].max() < 0.4
    assert np.abs(after.z_um - before.z_um).max() < 2.5
    assert surface.outlier_probability.argmax() == seed
    assert surface.outlier_probability[seed] > 0.95


@pytest.mark.parametrize("count", [6, 12, 25])
def test_the_90_percent_interval_holds(count):
    inside = []
    for seed in range(24):
        height = bumpy_field(seed)
        points, _ = measured(height, chosen(seed, count), seed)
        answer = FocusSurface(points).predict(*PLACES.T)
        truth = height(*PLACES.T)
        inside.append(np.mean((answer.low_um <= truth) & (truth <= answer.high_um)))
    assert 0.85 <= np.mean(inside) <= 0.97


def test_outliers_are_named_and_the_interval_still_holds():
    inside, told, planted, accused = [], 0, 0, 0
    for seed in range(12):
        height = bumpy_field(seed)
        points, wrong = measured(height, chosen(seed, 25), seed, outlier_share=0.12)
        surface = FocusSurface(points)
        answer, truth = surface.predict(*PLACES.T), height(*PLACES.T)
        inside.append(np.mean((answer.low_um <= truth) & (truth <= answer.high_um)))
        bad = surface.outlier_probability > 0.5
        told, planted, accused = (
            told + (bad & wrong).sum(),
            planted + wrong.sum(),
            accused + (bad & ~wrong).sum(),
        )
    assert told >= 0.9 * planted
    assert accused <= 3
    assert 0.82 <= np.mean(inside) <= 0.98


@pytest.mark.parametrize("seed", range(3))
def test_more_points_never_widen_much(seed):
    height = bumpy_field(seed)
    points, _ = measured(height, chosen(seed, 40), seed)
    widths = []
    for count in (5, 10, 20, 40):
        answer = FocusSurface(points[:count]).predict(*PLACES.T)
        widths.append(np.mean(answer.high_um - answer.low_um))
    assert all(after < 1.15 * before for before, after in pairwise(widths))
    assert widths[-1] < 0.5 * widths[0]


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_the_points_is_of_no_account(seed):
    points, _ = measured(bumpy_field(seed), chosen(seed, 15), seed, outlier_share=0.1)
    turned = [points[k] for k in np.random.default_rng(seed).permutation(15)]
    one, two = (FocusSurface(some).predict(*PLACES.T) for some in (points, turned))
    np.testing.assert_allclose(one.z_um, two.z_um, atol=1e-9)
    np.testing.assert_allclose(one.high_um, two.high_um, atol=1e-7)


@pytest.mark.parametrize("probability", [0.5, 0.99])
def test_a_search_range_holds_focus_as_often_as_it_says(probability):
    held = []
    for seed in range(20):
        height = bumpy_field(seed)
        points, _ = measured(height, chosen(seed, 12), seed)
        surface = FocusSurface(points)
        for x, y in chosen(seed + 500, 8):
            low, high = surface.search_range_um(x, y, probability=probability)
            held.append(low <= height(x, y) <= high)
    assert abs(np.mean(held) - probability) < (0.12 if probability == 0.5 else 0.03)
