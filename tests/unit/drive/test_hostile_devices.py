"""Whatever call of a device fails, the run ends in order, and says the truth about the stage."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from parfocal import drive
from parfocal.core.errors import LimitsError, StageError
from parfocal.core.results import Status
from parfocal.drive.watchdog import Outcome
from tests.fabricate.microscopes import FakeScope, StreamingScope

LIMITS = drive.Limits(z_min_um=0, z_max_um=20)
CALLS = ("position_um", "move_to_um", "snap", "exposure_ms", "now_s", "wait_s")


class OddError(Exception):
    """An exception that no driver documents."""


class Ledger:
    """An account of light, as a dose meter gives it."""

    images, exposure_ms, dose = 0, 0.0, 0.0


def failing(scope, at, kind, *, for_ever=False):
    """Every call of ``scope`` is counted; call ``at`` raises, and those after it if for ever."""
    scope.calls = 0

    def wrap(name):
        real = getattr(scope, name)

        def call(*values):
            scope.calls += 1
            if scope.calls - 1 == at or (for_ever and scope.calls > at):
                raise kind(name)
            return real(*values)

        setattr(scope, name, call)

    for name in CALLS:
        wrap(name)
    return scope


class Walk:
    """A cheap search: up, down, and an answer."""

    def propose(self, eye):
        shots = [eye.look(z_um) for z_um in (9.5, 14.0, 12.5, 11.0)]
        return drive.Proposal(
            status=Status.FOUND, reason="there", z_um=11.2, expected_score=shots[-1].score
        )


def _scope():
    return FakeScope(z_um=8.0, focus_um=11.0, size=32)


def _run(scope, limits=LIMITS, **values):
    """The report, and what was raised."""
    reports, caught = [], Outcome()
    values = {
        "search": Walk(),
        "measure": lambda image: image.var(),
    } | values
    with caught:
        drive.autofocus(scope, limits=limits, on_report=reports.append, **values)
    return (reports or [None])[0], caught.error


CALLS_OF_A_RUN = 205
KINDS = (RuntimeError, OSError, KeyError, OddError, KeyboardInterrupt, SystemExit)


def test_the_number_of_calls_is_right():
    scope = failing(_scope(), -1, OddError)
    report, raised = _run(scope, LIMITS.model_copy(update={"settle_s": 0.1}))
    assert raised is None
    assert report.found, report.reason
    assert CALLS_OF_A_RUN <= scope.calls < CALLS_OF_A_RUN + 10


@pytest.mark.parametrize("kind", KINDS)
def test_whichever_call_fails_once_the_stage_ends_where_the_report_says(kind):
    for at in range(KINDS.index(kind), CALLS_OF_A_RUN, 5):
        scope = failing(_scope(), at, kind)
        report, raised = _run(scope, LIMITS.model_copy(update={"settle_s": 0.1, "timeout_s": None}))
        if report is None:
            assert scope.commands == []
            assert isinstance(raised, (StageError, kind))
            continue
        stands = {"start": 8.0, "answer": report.z_um}[report.ended]
        assert abs(scope.z_um - stands) < 0.03, (at, report.ending)
        assert report.reached_um == pytest.approx(scope.z_um)
        assert report.found == (report.ended == "answer")
        if kind in (KeyboardInterrupt, SystemExit):
            assert isinstance(raised, kind) or report.found
        else:
            assert raised is None


@pytest.mark.parametrize("kind", [OddError, OSError])
def test_a_connection_that_is_lost_for_good_is_told_with_the_last_position_seen(kind):
    for at in range(0, CALLS_OF_A_RUN, 9):
        scope = failing(_scope(), at, kind, for_ever=True)
        report, _ = _run(scope, LIMITS.model_copy(update={"timeout_s": None}))
        if report is None:
            assert scope.commands == []
            continue
        if report.found:  # only the clock was asked afterwards
            assert abs(scope.z_um - report.z_um) < 0.03
            continue
        assert report.ended == "unknown" or (report.ended == "start" and not scope.commands)
        seen = [8.0] + [m.z_reached_um for m in report.moves if m.z_reached_um is not None]
        assert report.reached_um == pytest.approx(seen[-1])


def test_a_clock_and_a_meter_that_fail_do_not_end_the_run_nor_hide_the_report():
    scope = _scope()
    scope.ledger = Ledger()
    scope.now_s = lambda: {}["lost"]
    report, raised = _run(scope)
    assert raised is None
    assert report.found
    assert 0 <= report.seconds < 60
    type(scope.ledger).dose = property(lambda self: {}["lost"])
    report, raised = _run(scope)
    del Ledger.dose
    assert raised is None
    assert report.found


@pytest.mark.parametrize("told", [None, "10", {}])
def test_an_exposure_that_is_no_number_fails_and_does_not_raise(told):
    scope = _scope()
    scope.exposure_ms = lambda: told
    report, raised = _run(scope)
    assert raised is None
    assert report.status == ("found" if told == "10" else "failed")
    assert scope.z_um == (report.z_um if told == "10" else 8.0)


@pytest.mark.parametrize(
    "images",
    [
        lambda image: None,
        lambda image: image * np.nan,
        lambda image: image.astype(complex),
        lambda image: [[1.0], [1.0, 2.0]],
        lambda image: "image",
        lambda image: image[0],
        lambda image: np.zeros((0, 8)),
    ],
)
def test_what_is_no_image_fails_and_the_stage_goes_back(images):
    scope = _scope()
    real = scope.snap
    scope.snap = lambda: images(real()) if scope.images > 3 else real()
    report, raised = _run(scope)
    assert raised is None
    assert report.status == "failed"
    assert scope.z_um == 8.0


def test_a_pixel_type_that_changes_is_refused():
    scope = _scope()
    real = scope.snap
    scope.snap = lambda: (real() / 16).astype(np.uint8 if scope.images > 3 else np.uint16)
    report, _ = _run(scope)
    assert report.status == "failed"
    assert "uint8" in report.reason
    assert "pixel type fixed" in report.reason


class LazyStage(FakeScope):
    """Stops short of every goal after some moves, and says nothing."""

    share = 0.5

    def move_to_um(self, z_um):
        here = self.z_um
        super().move_to_um(z_um)
        if len(self.commands) > 4:
            self.z_um = here + self.share * (z_um - here)


def test_a_stage_that_silently_stops_short_is_noticed_without_any_setting():
    scope = LazyStage(z_um=8.0, focus_um=11.0, size=32)
    report, _ = _run(scope)
    assert report.status == "failed"
    assert "stalled" in report.reason
    near = abs(scope.z_um - 8.0) <= 1.0
    assert report.ended == ("start" if near else "unknown")
    assert report.reached_um == scope.z_um


def test_a_stage_that_does_not_get_back_is_not_said_to_be_back():
    limits = LIMITS.model_copy(update={"settle_um": None})
    scope = LazyStage(z_um=8.0, focus_um=11.0, size=32, snap_faults={2: "raise"})
    scope.share = 0.0
    report, _ = _run(scope, limits)
    assert abs(scope.z_um - 8.0) > 1.0
    assert report.reached_um == scope.z_um
    assert report.ended == "unknown"
    assert "stands at" in report.ending


def test_a_stage_whose_report_jitters_is_used_as_it_is():
    scope, dice = FakeScope(z_um=8.0, focus_um=11.0, size=64), np.random.default_rng(5)
    scope.position_um = lambda: scope.z_um + 0.03 * dice.normal()
    report, _ = _run(scope, search=drive.CoarseFineSearch(), measure="tenengrad")
    assert report.found, report.reason
    assert abs(scope.z_um - 11.0) < 0.1


def test_a_stage_that_stands_beside_its_commands_comes_to_stand_at_the_answer():
    scope = FakeScope(z_um=8.0, focus_um=11.0, size=64)
    move = scope.move_to_um
    scope.move_to_um = lambda z_um: move(z_um + 0.4)
    search = drive.CoarseFineSearch(range_um=14)
    report, _ = _run(scope, search=search, measure="tenengrad")
    assert report.found, report.reason
    assert abs(scope.z_um - 11.0) < 0.1
    assert abs(report.z_um - 11.0) < 0.1


def test_a_stage_that_is_moved_after_the_last_image_is_no_answer():
    scope = FakeScope(z_um=8.0, focus_um=11.0, size=64)

    def push(shot):
        if shot.why == "verify the answer":
            scope.z_um += 2.0

    report, _ = _run(scope, search=drive.CoarseFineSearch(), on_shot=push)
    assert report.status == "failed"
    assert report.ended == "unknown"
    assert report.reached_um == scope.z_um


def test_a_stage_that_is_moved_during_an_image_is_no_shot():
    scope = FakeScope(z_um=8.0, focus_um=11.0, size=32)
    real = scope.snap

    def push():
        scope.z_um += 2.0 if scope.images == 4 else 0.0
        return real()

    scope.snap = push
    report, _ = _run(scope)
    assert report.status == "failed"
    assert "another program" in report.reason


def test_best_is_the_start_where_nothing_stands_out():
    scope = FakeScope(z_um=8.0, contrast=0.0, size=64)
    limits = LIMITS.model_copy(update={"after_failure": "best"})
    search = drive.SweepSearch(most_images=8)
    report, _ = _run(scope, limits, search=search, measure="tenengrad")
    assert report.status == "blank"
    assert (report.ended, scope.z_um) == ("start", 8.0)


def test_a_hang_is_told_with_the_last_position_and_nothing_else_is_sent():
    released = threading.Event()
    scope = _scope()
    move = scope.move_to_um

    def hang(z_um):
        if len(scope.commands) == 3:
            released.wait(20)
            raise OddError
        move(z_um)

    scope.move_to_um = hang
    report, raised = _run(scope, LIMITS.model_copy(update={"timeout_s": 0.25}))
    commands = len(scope.commands)
    released.set()
    assert raised is None
    assert report.status == "failed"
    assert "hangs" in report.reason
    assert (report.ended, commands) == ("unknown", 3)
    assert "has not returned" in report.ending
    assert report.reached_um == report.moves[2].z_reached_um


def test_a_second_interrupt_on_the_way_back_reports_where_the_stage_was_seen():
    scope = FakeScope(z_um=8.0, faults={6: "interrupt"}, snap_faults={2: "interrupt"}, size=32)
    report, raised = _run(scope)
    assert isinstance(raised, KeyboardInterrupt)
    assert report.ended == "unknown"
    assert report.reached_um == scope.z_um == 5.0


def test_a_sweep_that_is_left_stops_the_stage():
    stopped = []

    class Sweeping(StreamingScope):
        def sweep(self, z_from_um, z_to_um, count):
            try:
                yield from super().sweep(z_from_um, z_to_um, count)
            finally:
                stopped.append(self.z_um)

    def leave(shot):
        if shot.number == 2:
            raise OddError

    scope = Sweeping(z_um=8.0, size=32)
    report, raised = _run(scope, search=drive.ContinuousSweepSearch(), on_shot=leave)
    assert isinstance(raised, OddError)
    assert stopped == [report.shots[2].z_reached_um]
    assert (report.ended, scope.z_um) == ("start", 8.0)


def test_no_thread_is_left_by_a_start_that_is_refused():
    before = threading.active_count()
    for _ in range(3):
        with pytest.raises(LimitsError):
            drive.autofocus(FakeScope(z_um=50.0), limits=LIMITS)
    assert threading.active_count() == before


class Proposing:
    """A search that looks once and answers anything."""

    def __init__(self, z_um):
        self.z_um = z_um

    def propose(self, eye):
        eye.look(eye.start_um)
        return drive.Proposal(status=Status.FOUND, reason="so", z_um=self.z_um)


@pytest.mark.parametrize("z_um", [20.3, -5.0, float("nan")])
def test_an_answer_outside_the_limits_is_an_edge_and_not_gone_to(z_um):
    scope = _scope()
    report, raised = _run(scope, search=Proposing(z_um))
    assert raised is None
    assert report.status == "edge"
    assert scope.z_um == 8.0
    assert report.z_um is None
