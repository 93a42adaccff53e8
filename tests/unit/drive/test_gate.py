"""The gate refuses before anything moves, walks in steps, and tells what went wrong."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from parfocal.core.errors import (
    BudgetError,
    CameraError,
    ForeignMoveError,
    LimitsError,
    StageError,
)
from parfocal.drive import Gate, Limits
from tests.fabricate.microscopes import FakeScope, StreamingScope


def _gate(scope, **values):
    return Gate(scope, Limits(**{"z_min_um": 0.0, "z_max_um": 50.0} | values))


def test_a_long_way_is_walked_in_permitted_steps():
    scope = FakeScope(z_um=1.0)
    with _gate(scope, max_step_um=4.0) as gate:
        assert gate.move_to_um(10.0) == 10.0
    assert scope.commands == [5.0, 9.0, 10.0]


def test_every_position_is_approached_from_the_chosen_side():
    scope = FakeScope(z_um=10.0)
    with _gate(scope, approach="up", backlash_um=2.0) as gate:
        gate.move_to_um(12.0)
        gate.move_to_um(15.0)
        gate.move_to_um(11.0)
    assert scope.commands == [12.0, 15.0, 9.0, 11.0]


def test_backlash_is_taken_up_inside_the_limits():
    scope = FakeScope(z_um=10.0)
    with _gate(scope, approach="down", backlash_um=5.0) as gate:
        gate.move_to_um(48.0)
    assert scope.commands == [50.0, 48.0]


@pytest.mark.parametrize("z_um", [-0.01, 50.01, float("nan"), float("inf")])
def test_a_position_outside_is_refused_not_clipped(z_um):
    scope = FakeScope(z_um=10.0)
    with _gate(scope) as gate, pytest.raises(LimitsError, match="outside the limits"):
        gate.move_to_um(z_um)
    assert scope.commands == []


def test_the_glass_narrows_the_range():
    limits = Limits(
        z_min_um=0, z_max_um=1000, surface_z_um=300, working_distance_um=200, keep_off_um=50
    )
    assert (limits.low_um, limits.high_um) == (0, 450)
    mirrored = Limits(
        z_min_um=0, z_max_um=1000, surface_z_um=300, working_distance_um=200, keep_off_um=50,
        toward_sample="down",
    )  # fmt: skip
    assert (mirrored.low_um, mirrored.high_um) == (150, 1000)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"z_min_um": 5, "z_max_um": 1}, "exchange them"),
        ({"z_min_um": 0, "z_max_um": float("nan")}, "z_max_um"),
        ({"z_min_um": 0, "z_max_um": 1, "backlash_um": 1, "approach": "any"}, "give approach"),
        ({"z_min_um": 0, "z_max_um": 1, "surface_z_um": 1}, "give both"),
        ({"z_min_um": 0, "z_max_um": 1, "keep_off_um": 1}, "give surface_z_um"),
        ({"z_min_um": 0, "z_max_um": 1, "max_step": 1}, "no known name"),
        ({"z_min_um": 0}, "z_max_um is missing"),
        (
            {"z_min_um": 5, "z_max_um": 9, "surface_z_um": 0, "working_distance_um": 1},
            "away from the glass",
        ),
    ],
)
def test_impossible_limits_say_why(values, text):
    with pytest.raises(LimitsError, match=text):
        Limits.of(**values)


@pytest.mark.parametrize(
    ("fault", "text"),
    [("raise", "OSError: serial port closed"), ("slow", "longer than 30 s"), ("stall", "stalled")],
)
def test_a_stage_that_fails_is_a_stage_error(fault, text):
    scope = FakeScope(faults={0: fault})
    with _gate(scope, settle_um=0.1) as gate, pytest.raises(StageError, match=text):
        gate.move_to_um(12.0)


def test_a_driver_that_hangs_does_not_take_the_program_with_it():
    released = threading.Event()

    class Hanging(FakeScope):
        def move_to_um(self, z_um):
            released.wait(20)

    scope = Hanging()
    with _gate(scope, timeout_s=0.05) as gate:
        with pytest.raises(StageError, match=r"hangs.*0\.05 s"):
            gate.move_to_um(12.0)
        with pytest.raises(StageError, match="has not returned from an earlier call"):
            gate.position_um()
        assert not gate.abort()
        assert scope.aborted == 1
        released.set()
        assert gate.abort()
        assert gate.position_um() == 10.0


def test_another_program_that_moves_the_stage_is_noticed_and_nothing_moves():
    scope = FakeScope()
    with _gate(scope) as gate:
        gate.move_to_um(12.0)
        scope.z_um = 20.0
        with pytest.raises(ForeignMoveError, match="was left at 12 um"):
            gate.move_to_um(13.0)
    assert scope.commands == [9.0, 12.0]


@pytest.mark.parametrize("position", [float("nan"), None, "10"])
def test_a_stage_that_tells_no_position_is_refused(position):
    scope = FakeScope()
    scope.position_um = lambda: position
    with pytest.raises(StageError, match="as its position"):
        _gate(scope)


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        ("raise", "ConnectionError: camera gone"),
        ("nan", "holds NaN"),
        ("shape", "before it were"),
        ("colour", "choose one channel"),
    ],
)
def test_a_camera_that_fails_is_a_camera_error_and_its_image_counts(fault, text):
    with _gate(FakeScope(snap_faults={1: fault})) as gate:
        gate.snap()
        with pytest.raises(CameraError, match=text):
            gate.snap()
        assert gate.images == 2


def test_an_exposure_of_zero_is_refused():
    with _gate(FakeScope(exposure=0.0)) as gate, pytest.raises(CameraError, match="is 0 ms"):
        gate.snap()


def test_the_budget_ends_before_the_image_that_would_exceed_it():
    with _gate(FakeScope(exposure=30.0), max_exposure_ms=100.0) as gate:
        assert gate.images_left == 3
        for _ in range(3):
            gate.snap()
        with pytest.raises(BudgetError, match="90 of 100 ms"):
            gate.snap()
        assert gate.exposure_sum_ms == 90.0
    with _gate(FakeScope(), max_images=1) as gate:
        gate.snap()
        with pytest.raises(BudgetError, match="1 of 1 images"):
            gate.snap()


def test_time_ends_images_and_moves_but_not_the_way_back():
    scope = FakeScope()
    with _gate(scope, max_seconds=1.0) as gate:
        scope.wait_s(2.0)
        for act in (gate.snap, lambda: gate.move_to_um(12.0)):
            with pytest.raises(BudgetError, match="max_seconds"):
                act()
        assert gate.move_to_um(12.0, late=True) == 12.0


def test_a_dose_limit_needs_a_camera_that_tells_its_exposure():
    class Plain:
        def position_um(self):
            return 1.0

        def move_to_um(self, z_um):
            """Stay."""

        def snap(self):
            return np.zeros((4, 4))

    with pytest.raises(LimitsError, match="does not tell its exposure"):
        _gate(Plain(), max_exposure_ms=10.0)


def test_a_sweep_counts_every_image_and_heeds_the_step():
    scope = StreamingScope(z_um=10.0)
    with _gate(scope, max_step_um=5.0, max_images=9) as gate:
        assert [z for z, _ in gate.sweep(10.0, 14.0, 5)] == [10, 11, 12, 13, 14]
        assert gate.images == 5
        with pytest.raises(LimitsError, match="longer than max_step_um"):
            next(gate.sweep(10.0, 16.0, 2))
        with pytest.raises(BudgetError, match="5 of 9 images"):
            next(gate.sweep(10.0, 14.0, 5))
    assert scope.z_um == 14.0


def test_by_default_every_position_is_approached_towards_the_sample():
    scope = FakeScope(z_um=10.0)
    with _gate(scope) as gate:
        for z_um in (15.0, 15.5, 12.0, 12.5, 1.0):
            gate.move_to_um(z_um)
    assert scope.commands == [15.0, 15.5, 9.0, 12.0, 12.5, 0.0, 1.0]
    scope = FakeScope(z_um=10.0)
    with _gate(scope, toward_sample="down") as gate:
        gate.move_to_um(9.0)
        gate.move_to_um(8.9)
    assert scope.commands == [12.0, 9.0, 8.9]


def test_any_approach_saves_the_overshoot():
    scope = FakeScope(z_um=10.0)
    with _gate(scope, approach="any") as gate:
        gate.move_to_um(12.0)
        gate.move_to_um(11.0)
    assert scope.commands == [12.0, 11.0]


def test_next_to_the_end_of_the_range_a_sweep_does_not_go_back_at_every_plane():
    scope = FakeScope(z_um=10.0)
    with _gate(scope) as gate:
        for z_um in (0.0, 0.5, 1.0, 1.5):
            gate.move_to_um(z_um)
    assert scope.commands == [0.0, 0.5, 1.0, 1.5]
