"""The focus surface: what it refuses, odd sets of points, channels, where to look next, files."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from parfocal.core.errors import InputError, ReadError
from parfocal.drive.surface import FocusPoint, FocusSurface, SurfaceSettings
from tests.fabricate.fields import bumpy_field, focus_points, grid_um, measured


def test_no_points_are_refused():
    with pytest.raises(InputError, match="at least one point"):
        FocusSurface([])


@pytest.mark.parametrize("name", ["x_um", "y_um", "z_um"])
def test_points_that_are_not_finite_are_refused(name):
    values = {"x_um": 0.0, "y_um": 0.0, "z_um": 1.0, name: float("nan")}
    with pytest.raises(InputError, match="leave out places where focus was not found"):
        FocusPoint(**values)


@pytest.mark.parametrize("interval", [(2.0, 3.0), (3.0, -3.0), (float("nan"), 2.0)])
def test_an_interval_that_does_not_hold_its_z_is_refused(interval):
    with pytest.raises(InputError, match="must hold z_um, which is 1"):
        FocusPoint(x_um=0.0, y_um=0.0, z_um=1.0, interval_um=interval)


def test_settings_refuse_unknown_names_and_impossible_values():
    for wrong in ({"tilt": 1}, {"relief_um": 0}, {"outlier_share": 0.7}):
        with pytest.raises(ValidationError):
            SurfaceSettings(**wrong)


def test_places_that_are_not_finite_are_refused():
    surface = FocusSurface([FocusPoint(x_um=0.0, y_um=0.0, z_um=1.0)])
    with pytest.raises(InputError, match="finite"):
        surface.predict(np.nan, 0.0)


def test_one_point_says_little_far_away_and_all_at_hand():
    surface = FocusSurface(focus_points(np.zeros((1, 2)), [10.0], 0.1))
    near, far = surface.predict(0, 0), surface.predict(10_000, 0)
    assert near.z_um == pytest.approx(10, abs=1e-6)
    assert near.high_um - near.low_um < 1
    assert far.high_um - far.low_um > 100


def test_points_on_a_line_leave_the_other_slope_open():
    places = np.stack([np.arange(6) * 1000.0, np.zeros(6)], axis=-1)
    surface = FocusSurface(focus_points(places, 50 + places[:, 0] / 1000, 0.1))
    along, across = surface.predict(7000, 0), surface.predict(2500, 5000)
    assert along.z_um == pytest.approx(57, abs=0.5)
    assert across.error_um > 10 * along.error_um


def test_two_answers_at_one_place_are_both_kept_in_the_interval():
    surface = FocusSurface(focus_points(np.zeros((2, 2)), [0.0, 20.0], 0.2))
    low, high = surface.search_range_um(0.0, 0.0, probability=0.9)
    assert low < 0.5
    assert high > 19.5


def test_a_third_answer_settles_two():
    surface = FocusSurface(focus_points(np.zeros((3, 2)), [0.0, 20.0, 0.1], 0.2))
    answer = surface.predict(0, 0)
    assert answer.z_um == pytest.approx(0.05, abs=0.3)
    assert surface.outlier_probability.round(1).tolist() == [0.0, 1.0, 0.0]


def test_a_point_without_interval_has_the_usual_error():
    plain = FocusSurface([FocusPoint(x_um=0.0, y_um=0.0, z_um=1.0)], SurfaceSettings(noise_um=2.0))
    assert 1.5 < plain.predict(0, 0).error_um < 8


def test_the_answer_has_the_shape_that_was_asked():
    surface = FocusSurface([FocusPoint(x_um=0.0, y_um=0.0, z_um=1.0)])
    assert surface.predict(np.zeros((3, 1)), np.zeros(4)).z_um.shape == (3, 4)


def channelled() -> FocusSurface:
    points, _ = measured(bumpy_field(3), grid_um()[::7], 3)
    told = []
    for number, point in enumerate(points):
        values = point.to_dict()
        red = number % 2
        shift = 1.5 * red
        low, high = point.interval_um
        values |= {"z_um": point.z_um + shift, "interval_um": (low + shift, high + shift)}
        told.append(FocusPoint(**{**values, "channel": "red" if red else "green"}))
    return FocusSurface(told)


def test_channels_share_the_surface_but_for_an_offset():
    surface = channelled()
    offset, error = surface.channel_offset_um("red", "green")
    assert abs(offset - 1.5) < 2 * error
    assert error < 0.8
    red = surface.predict(5000, 5000, channel="red").z_um
    assert red - surface.predict(5000, 5000, channel="green").z_um == pytest.approx(offset)


def test_an_unknown_channel_is_refused_with_the_known_ones():
    with pytest.raises(InputError, match="only of 'green', 'red'"):
        channelled().predict(0, 0, channel="blue")
    with pytest.raises(InputError, match="only of 'green', 'red'"):
        channelled().predict(0, 0)


def test_the_next_position_is_far_from_what_is_known_and_travel_counts():
    surface = FocusSurface(focus_points(np.array([[0.0, 0.0], [1000.0, 0.0]]), [1, 1], 0.1))
    candidates = [(500.0, 0.0), (0.0, 3000.0), (0.0, 3100.0)]
    assert surface.next_position(candidates) == 2
    near = surface.next_position(
        candidates, at_um=(0.0, 3000.0), targets=[(0.0, 3000.0)], focus_costs_um=10.0
    )
    assert near == 1
    with pytest.raises(InputError, match="at least one candidate"):
        surface.next_position([])


def test_chosen_points_make_it_good_enough_sooner_than_it_starts():
    places, height = grid_um(), bumpy_field(1)
    points, _ = measured(height, places, 1)
    surface = FocusSurface(points[:1])
    assert not surface.good_enough(1.5, at=places)
    for _ in range(24):
        if surface.good_enough(1.5, at=places):
            break
        surface = surface.with_points(points[surface.next_position(places)])
    assert surface.good_enough(1.5, at=places)
    assert len(surface.points) < 25
    assert np.abs(surface.predict(*places.T).z_um - height(*places.T)).max() < 2.5
    assert surface.good_enough(1.5)


def test_a_saved_surface_answers_the_same(tmp_path):
    surface = channelled()
    surface.save(tmp_path / "surface.json")
    again = FocusSurface.load(tmp_path / "surface.json")
    assert again.points == surface.points
    assert again.settings == surface.settings
    assert again.predict(1, 2, channel="red").z_um == surface.predict(1, 2, channel="red").z_um


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"points": [{"x_um": 1}], "settings": {}}'])
def test_a_file_that_holds_no_surface_is_refused(tmp_path, text):
    place = tmp_path / "surface.json"
    place.write_text(text)
    with pytest.raises(ReadError, match="holds no focus surface"):
        FocusSurface.load(place)


def test_what_is_in_doubt_is_measured_next_and_never_at_the_same_place():
    places = np.array([[0.0, 0.0], [0.0, 100.0], [6000.0, 0.0], [6000.0, 100.0]])
    surface = FocusSurface(focus_points(places, [10.0, 22.0, 10.0, 10.0], 0.1))
    candidates = [(0.0, 0.0), (0.0, 100.0), (100.0, 0.0), (5900.0, 0.0)]
    assert surface.next_position(candidates) == 2
