"""One axis of a stage: play, steps, limits, creep, stalls and time."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from parfocal.core.errors import StageError
from parfocal.simulate.faults import Fault
from parfocal.simulate.stages import Axis, StageSettings


def settled(axis, goal_um):
    """Move at time 0 of a new hour, and return where the axis ends."""
    start_s = axis.ready_s + 3600 if np.isfinite(axis.ready_s) else 0.0
    axis.begin(goal_um, now_s=start_s)
    axis.finish(axis.ready_s)
    return axis.carriage_um(axis.ready_s + 100)


def test_backlash_is_the_distance_between_arrivals_from_below_and_above():
    axis = Axis(StageSettings(backlash_um=1.5), name="z")
    settled(axis, -20.0)
    from_below = settled(axis, 5.0)
    settled(axis, 30.0)
    from_above = settled(axis, 5.0)
    assert from_below == pytest.approx(5.0)
    assert from_above - from_below == pytest.approx(1.5)
    assert axis.reading_um(1e9) == pytest.approx(5.0)


def test_a_move_smaller_than_the_play_leaves_the_carriage_where_it_is():
    axis = Axis(StageSettings(backlash_um=1.0), name="z")
    settled(axis, 10.0)
    assert settled(axis, 9.4) == pytest.approx(10.0)
    assert settled(axis, 9.0) == pytest.approx(10.0)
    assert settled(axis, 8.5) == pytest.approx(9.5)
    assert settled(axis, 9.0) == pytest.approx(9.5)


def test_an_encoder_on_the_carriage_sees_the_backlash():
    axis = Axis(StageSettings(backlash_um=1.0, reads="carriage"), name="z")
    settled(axis, 10.0)
    settled(axis, 5.0)
    assert axis.reading_um(1e9) == pytest.approx(6.0)


def test_travel_takes_its_time_and_is_straight():
    axis = Axis(StageSettings(speed_um_per_s=10.0, settle_s=0.5), name="z")
    axis.begin(20.0, now_s=3.0)
    assert axis.arrival_s == pytest.approx(5.0)
    assert axis.ready_s == pytest.approx(5.5)
    assert axis.reading_um(4.0) == pytest.approx(10.0)
    assert axis.reading_um(9.0) == 20.0


def test_creep_dies_away_with_its_time_constant():
    axis = Axis(StageSettings(creep_um=1.0, creep_s=0.2, speed_um_per_s=1e9), name="z")
    axis.begin(10.0, now_s=0.0)
    past = [axis.carriage_um(axis.arrival_s + after) - 10.0 for after in (0.0, 0.2, 2.0)]
    assert past == pytest.approx([1.0, np.exp(-1), np.exp(-10)], abs=1e-6)
    axis.begin(5.0, now_s=10.0)
    assert axis.carriage_um(axis.arrival_s) == pytest.approx(4.0)


def test_repeatability_is_the_spread_of_arrivals():
    axis = Axis(StageSettings(repeatability_um=0.2), name="z", generator=np.random.default_rng(5))
    places = [settled(axis, 1.0 + number % 2) - number % 2 for number in range(400)]
    assert np.mean(places) == pytest.approx(1.0, abs=0.03)
    assert np.std(places) == pytest.approx(0.2, rel=0.15)


def test_the_motor_stops_at_whole_steps():
    axis = Axis(StageSettings(step_um=0.1), name="z")
    assert settled(axis, 3.14) == pytest.approx(3.1)
    assert axis.commanded_um == 3.14


@pytest.mark.parametrize("goal", [10.001, -5.001, np.nan, np.inf])
def test_soft_limits_refuse_before_anything_moves(goal):
    axis = Axis(StageSettings(low_um=-5.0, high_um=10.0, start_um=2.0), name="z")
    with pytest.raises(StageError, match=r"(?i)nothing has moved"):
        axis.begin(goal, now_s=0.0)
    assert (axis.moves, axis.travel_um, axis.carriage_um(1e9)) == (0, 0.0, 2.0)
    assert settled(axis, 10.0) == 10.0


def test_a_hard_limit_stops_the_stage_there_and_says_so():
    axis = Axis(StageSettings(high_um=50.0, hard_high_um=40.0), name="focus")
    axis.begin(45.0, now_s=0.0)
    with pytest.raises(StageError, match=r"focus stage ran into its hard limit.* 40\.000 um"):
        axis.finish(axis.ready_s)
    axis.finish(axis.ready_s)  # told once
    assert axis.reading_um(1e9) == 40.0


def test_a_stall_ends_short_on_the_way_and_says_where():
    axis = Axis(StageSettings(), name="z", stalls=Fault(at=(2,)))
    assert settled(axis, 10.0) == 10.0
    axis.begin(20.0, now_s=1e6)
    with pytest.raises(StageError, match=r"stalled: it stands at 1\d\.\d+ um, not at 20 um"):
        axis.finish(axis.ready_s)
    assert 10.0 < axis.carriage_um(1e9) < 20.0
    assert settled(axis, 20.0) == 20.0


def test_stalls_come_with_their_probability_and_seed():
    def count(seed):
        axis = Axis(
            StageSettings(),
            name="z",
            stalls=Fault(probability=0.25),
            generator=np.random.default_rng(seed),
        )
        failed = []
        for number in range(200):
            axis.begin(float(number % 7), now_s=100.0 * number)
            try:
                axis.finish(axis.ready_s)
            except StageError:
                failed.append(number)
        return failed

    assert count(1) == count(1) != count(2)
    assert 30 <= len(count(1)) <= 70


def test_a_hang_arrives_late_but_arrives():
    axis = Axis(StageSettings(settle_s=0.0), name="z", hangs=Fault(at=(1,)), hang_s=30.0)
    axis.begin(1.0, now_s=0.0)
    assert axis.ready_s == pytest.approx(axis.arrival_s + 30.0)
    axis.finish(axis.ready_s)
    assert axis.reading_um(axis.ready_s) == 1.0


def test_stop_leaves_the_motor_where_it_was_on_its_way():
    axis = Axis(StageSettings(speed_um_per_s=1.0), name="z")
    axis.begin(10.0, now_s=0.0)
    assert axis.stop(4.0)
    with pytest.raises(StageError, match=r"was stopped: it stands at 4\.000 um, not at 10 um"):
        axis.finish(4.0)
    assert axis.carriage_um(100.0) == pytest.approx(4.0)
    assert axis.travel_um == pytest.approx(4.0)
    assert not axis.stop(200.0)


def test_travel_adds_up():
    axis = Axis(StageSettings(), name="z")
    for goal in (5.0, -5.0, 0.0):
        settled(axis, goal)
    assert (axis.moves, axis.travel_um) == (3, pytest.approx(20.0))


def test_settings_that_contradict_themselves_are_refused():
    with pytest.raises(ValidationError, match="soft limits"):
        StageSettings(low_um=0.0, high_um=10.0, start_um=20.0)
    with pytest.raises(ValidationError, match="hard limit"):
        StageSettings(start_um=20.0, hard_high_um=10.0)
    with pytest.raises(ValidationError, match="backlash"):
        StageSettings(backlash=1.0)
