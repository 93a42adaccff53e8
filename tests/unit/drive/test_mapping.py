"""A map of focus over a field: few places, an honest surface, and a way home."""

from __future__ import annotations

import numpy as np
import pytest

from parfocal.core.errors import InputError, LimitsError, StageError
from parfocal.drive import CoarseFineSearch, Limits
from parfocal.drive.mapping import FEWEST_IMAGES, MapSettings, grid_um, map_focus
from tests.fabricate.microscopes import FakeScope

LIMITS = Limits(z_min_um=-10.0, z_max_um=10.0)
GRID = grid_um(3, 2, 100.0, (0.0, 0.0))
SEARCH = CoarseFineSearch(coarse_step_um=1.5, fine_step_um=0.5)


class Tilted(FakeScope):
    """Focus rises by ``tilt`` um per um along x; ``empty`` places hold nothing."""

    def __init__(self, *, tilt=0.01, empty=(), xy_fails_at=None, **values):
        super().__init__(**{"z_um": 0.0, "focus_um": 0.0} | values)
        self.tilt, self.empty, self.full = tilt, empty, self.contrast
        self.xy, self.walk, self.xy_fails_at = (0.0, 0.0), [], xy_fails_at

    def xy_um(self):
        return self.xy

    def move_xy_to_um(self, x_um, y_um):
        self.walk.append((x_um, y_um))
        if len(self.walk) == self.xy_fails_at:
            raise StageError("the xy stage does not answer")
        self.xy = (x_um, y_um)

    def snap(self):
        self.focus_um = self.tilt * self.xy[0]
        self.contrast = 0.0 if self.xy in self.empty else self.full
        return super().snap()


def test_a_grid_is_a_snake_around_its_centre():
    places = grid_um(3, 2, 10.0, (100.0, 50.0))
    assert places[:3] == ((90.0, 45.0), (100.0, 45.0), (110.0, 45.0))
    assert places[3:] == ((110.0, 55.0), (100.0, 55.0), (90.0, 55.0))
    with pytest.raises(InputError, match="0 x 2"):
        grid_um(0, 2, 10.0, (0.0, 0.0))


def test_a_tilt_is_known_from_fewer_places_than_there_are():
    scope, seen, grid = Tilted(), [], grid_um(4, 3, 50.0, (0.0, 0.0))
    told = map_focus(
        scope, grid, limits=LIMITS, search=SEARCH, settings=MapSettings(tolerance_um=0.8),
        on_point=seen.append,
    )  # fmt: skip
    assert told.ended == "good"
    assert list(told.points) == seen
    assert len(seen) < len(grid)
    z_um = told.surface.predict([x for x, _ in grid], [y for _, y in grid]).z_um
    assert np.abs(z_um - [0.01 * x for x, _ in grid]).max() < 0.3
    assert all(LIMITS.allow(z) for z in scope.commands)
    # later runs look at less
    assert seen[-1].images < seen[0].images
    # home, and in focus there
    assert scope.xy == (0.0, 0.0)
    assert scope.z_um == pytest.approx(0.0, abs=0.3)


def test_empty_places_are_passed_over():
    scope = Tilted(empty=(GRID[4],))
    told = map_focus(
        scope, GRID, limits=LIMITS, search=SEARCH, settings=MapSettings(tolerance_um=0.01)
    )
    assert told.ended == "all"
    assert "found at 5" in told.reason
    assert {p.report.status for p in told.points if (p.x_um, p.y_um) in scope.empty} == {"blank"}


def test_nothing_anywhere_is_no_map():
    told = map_focus(Tilted(contrast=0.0), GRID[:2], limits=LIMITS, search=SEARCH)
    assert (told.surface, told.ended, len(told.points)) == (None, "all", 2)
    assert "found at 0" in told.reason


def test_a_budget_ends_the_map():
    most = 40
    scope = Tilted()
    told = map_focus(
        scope, GRID, limits=LIMITS, search=SEARCH,
        settings=MapSettings(tolerance_um=0.01, max_images=most),
    )  # fmt: skip
    assert told.ended == "spent"
    assert most - FEWEST_IMAGES < told.images + FEWEST_IMAGES
    assert scope.images <= most
    told = map_focus(
        Tilted(), GRID, limits=LIMITS, search=SEARCH, settings=MapSettings(most=3, fewest=3)
    )
    assert (told.ended, len(told.points)) == ("spent", 3)


def test_a_stage_that_fails_ends_the_map_where_it_is():
    scope = Tilted(xy_fails_at=3)
    told = map_focus(scope, GRID, limits=LIMITS, search=SEARCH)
    assert told.ended == "failed"
    assert "does not answer" in told.reason
    assert len(told.points) == 2
    assert len(scope.walk) == 3


def test_a_focus_that_fails_ends_the_map():
    told = map_focus(Tilted(faults={20: "raise"}), GRID, limits=LIMITS, search=SEARCH)
    assert told.ended == "failed"
    assert "serial port closed" in told.reason


def test_a_home_that_is_not_reached_is_said():
    told = map_focus(Tilted(xy_fails_at=3), GRID[:2], limits=LIMITS, search=SEARCH)
    assert told.ended == "all"
    assert "did not get back" in told.reason


def test_nothing_moves_without_need():
    scope = Tilted(z_um=30.0)
    with pytest.raises(LimitsError):
        map_focus(scope, GRID, limits=LIMITS)
    with pytest.raises(InputError, match="at least one"):
        map_focus(Tilted(), [], limits=LIMITS)
    assert (scope.walk, scope.commands) == ([], [])


def test_a_map_is_plain_values_for_json():
    import json

    told = map_focus(Tilted(), GRID[:4], limits=LIMITS, search=SEARCH)
    held = json.loads(json.dumps(told.to_dict()))
    assert len(held["places"]) == 4
    low, high = held["places"][0]["interval_um"]
    assert low < held["places"][0]["z_um"] < high
