"""A recorded stack behaves like a microscope, and the league counts what searches do on it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parfocal.core.errors import CameraError, InputError, StageError
from parfocal.core.setup import OpticalSetup
from parfocal.core.stack import FocalStack
from parfocal.drive import BrentSearch, CoarseFineSearch, Limits, SweepSearch, autofocus
from parfocal.drive.record import FocusReport
from parfocal.evaluate.fields import KnownFocus
from parfocal.evaluate.league import League, ReplayCase, replay, trial_of
from parfocal.evaluate.replay import (
    EXPOSURE_MS,
    MOVE_S,
    ReplayMicroscope,
    record_limits,
    replay_limits,
    stack_of_record,
)
from parfocal.evaluate.trial import blurred, blurred_stack, phase_stack
from tests.fabricate.microscopes import FakeScope

SETUP = OpticalSetup(na=0.5, wavelength_nm=550, pixel_um=0.5)


def numbered(planes: int = 6, step_um: float = 2.0, **values) -> FocalStack:
    """Plane k holds the count 10 k everywhere."""
    counts = np.broadcast_to(10 * np.arange(planes, dtype=np.uint16)[:, None, None], (planes, 4, 5))
    return FocalStack.of(counts.copy(), z_step_um=step_um, **values)


def textured(focus_um: float = 13.0, *, make=blurred_stack, planes: int = 27) -> FocalStack:
    dice = np.random.default_rng(3)
    noise = blurred(dice.random((96, 96)), 6.0)
    sharp = (noise - noise.min()) / np.ptp(noise)
    z_um = np.arange(planes) * 1.0
    counts = make(sharp, z_um, focus_um, generator=dice)
    return FocalStack.of(counts, z_um=z_um, setup=SETUP, name="textured")


@given(z_um=st.floats(0.0, 10.0), down=st.booleans())
def test_an_image_is_the_plane_at_the_position_that_is_reported(z_um, down):
    stack = numbered()
    if down:
        stack = replace(stack, images=stack.read_counts()[::-1], z_um=stack.z_um[::-1])
    scope = ReplayMicroscope(stack)
    scope.move_to_um(z_um)
    assert abs(scope.position_um() - z_um) <= 1.0
    assert (scope.snap() == 5 * scope.position_um()).all()


@given(z_um=st.floats(0.0, 10.0))
def test_between_planes_images_are_mixed_by_distance_where_asked(z_um):
    scope = ReplayMicroscope(numbered(), interpolate=True)
    scope.move_to_um(z_um)
    assert scope.position_um() == z_um
    image = scope.snap()
    assert image.dtype == np.uint16
    assert np.abs(image - 5 * z_um).max() <= 0.5


@pytest.mark.parametrize("z_um", [-0.1, 10.1, float("nan")])
def test_what_was_not_recorded_is_refused_and_nothing_moves(z_um):
    scope = ReplayMicroscope(numbered())
    with pytest.raises(StageError, match="0 to 10 um"):
        scope.move_to_um(z_um)
    assert (scope.position_um(), scope.now_s()) == (6.0, 0.0)
    with pytest.raises(InputError, match="start_um"):
        ReplayMicroscope(numbered(), start_um=z_um)


def test_time_and_light_are_counted_as_a_usual_microscope_takes_them():
    scope = ReplayMicroscope(numbered())
    scope.move_to_um(2.0)
    scope.snap()
    scope.snap()
    assert (scope.ledger.images, scope.ledger.dose) == (2, 2 * EXPOSURE_MS)
    assert scope.now_s() == pytest.approx(MOVE_S + 2 * EXPOSURE_MS / 1000)
    with pytest.raises(CameraError, match="anew"):
        scope.set_exposure_ms(5.0)


def test_a_plane_that_cannot_be_read_is_a_camera_that_failed():
    class Damaged:
        shape, dtype, ndim = (3, 4, 4), np.dtype(np.uint16), 3

        def __getitem__(self, key):
            raise OSError("truncated")

    stack = FocalStack(images=Damaged(), z_um=np.arange(3.0))
    report = autofocus(
        ReplayMicroscope(stack), limits=Limits(z_min_um=0, z_max_um=2, timeout_s=None)
    )
    assert report.status == "failed"
    assert "truncated" in report.reason


def test_unknown_z_is_walked_in_planes():
    scope = ReplayMicroscope(FocalStack.of(numbered().read_counts()))
    assert (scope.low_um, scope.high_um) == (0.0, 5.0)
    limits = replay_limits(scope, Limits(z_min_um=0, z_max_um=0, max_images=7, max_step_um=0.1))
    assert (limits.z_max_um, limits.max_images, limits.max_step_um) == (5.0, 7, None)


# A record


def recorded(tmp_path, **values) -> FocusReport:
    report = autofocus(
        FakeScope(), search=BrentSearch(), limits=Limits(z_min_um=0, z_max_um=25),
        keep_images=True, **values,
    )  # fmt: skip
    report.save(tmp_path / "record.json")
    return FocusReport.load(tmp_path / "record.json")


def test_a_record_is_replayed_to_the_same_answer(tmp_path):
    report = recorded(tmp_path)
    assert report.found
    scope = ReplayMicroscope.of_record(report)
    again = autofocus(scope, search=BrentSearch(), limits=record_limits(report))
    assert again.z_um == pytest.approx(report.z_um)
    assert [shot.score for shot in again.shots] == [shot.score for shot in report.shots]


def test_the_images_of_a_record_are_a_stack_in_order_of_z(tmp_path):
    report = recorded(tmp_path)
    stack = stack_of_record(report, name="run")
    assert stack.name == "run"
    assert (np.diff(stack.z_um) > 0).all()
    assert set(stack.z_um) == {shot.z_reached_um for shot in report.shots}


def test_the_first_look_at_a_place_counts_and_lies_where_the_stage_was(tmp_path):
    report = recorded(tmp_path)
    first, *others = report.shots
    away = replace(first, z_reached_um=first.z_commanded_um + 0.3)
    again = replace(first, number=99, image=np.zeros_like(first.image))
    report = replace(report, shots=(away, *others, again))
    scope = ReplayMicroscope.of_record(report)
    scope.move_to_um(first.z_commanded_um)
    assert (scope.snap() == first.image).all()
    assert scope.position_um() == pytest.approx(first.z_commanded_um + 0.3)
    assert first.z_commanded_um + 0.3 in stack_of_record(report).z_um


def test_a_record_without_images_says_how_to_keep_them():
    report = autofocus(FakeScope(), limits=Limits(z_min_um=0, z_max_um=25))
    with pytest.raises(InputError, match="--record"):
        stack_of_record(report)


# The league


def test_every_search_runs_on_every_stack_from_every_start():
    seen = []
    cases = [ReplayCase.of(textured(), KnownFocus(position=13.0, tolerance=1.0))]
    league = replay(
        {"sweep": SweepSearch(), "fine": CoarseFineSearch()}, cases, starts=(0.2, 0.9),
        on_trial=seen.append,
    )  # fmt: skip
    assert list(league.trials) == seen
    assert [t.search for t in seen] == ["sweep", "sweep", "fine", "fine"]
    assert [t.start for t in seen] == pytest.approx([5.2, 23.4] * 2)
    assert all(t.right and t.held and abs(t.error_planes) < 1.5 for t in seen)
    assert [row.search for row in league.standings] == ["fine", "sweep"]  # fewer images
    sweep = league.standings[1]
    assert (sweep.runs, sweep.right, sweep.wrong, sweep.declined, sweep.failed) == (2, 2, 0, 0, 0)
    assert sweep.median_exposure_ms == EXPOSURE_MS * sweep.median_images


def test_focus_that_nobody_knows_is_asked_of_all_planes():
    case = ReplayCase.of(textured())
    assert case.known_by == "best_focus of all planes"
    assert case.known.position == pytest.approx(13.0, abs=0.5)
    blank = FocalStack.of(np.full((7, 64, 64), 100, np.uint16), z_step_um=1.0)
    case = ReplayCase.of(blank)
    assert case.known is None
    (trial,) = replay({"sweep": SweepSearch()}, [case], starts=(0.5,)).trials
    assert (trial.status, trial.right, trial.error) == ("blank", None, None)


def test_a_phase_object_is_declined_by_a_sweep():
    case = ReplayCase.of(textured(make=phase_stack), KnownFocus(position=13.0, tolerance=1.0))
    (trial,) = replay({"sweep": SweepSearch()}, [case], starts=(0.5,)).trials
    assert trial.status != "found"
    assert trial.right is None


@pytest.mark.parametrize(
    ("position", "right"), [(13.0, True), (11.6, True), (11.4, False), (None, False)]
)
def test_an_answer_is_right_within_the_tolerance_and_half_a_plane(position, right):
    stack = textured()
    report = autofocus(FakeScope(focus_um=13.0), limits=Limits(z_min_um=0, z_max_um=26))
    report = replace(report, z_um=13.0, interval_um=(12.9, 13.1))
    case = ReplayCase(
        stack=stack, known=KnownFocus(position=position, tolerance=1.0), known_by="given"
    )
    trial = trial_of("any", case, report)
    assert trial.right is right
    assert trial.held is (None if position is None else position == 13.0)


def test_the_wrong_come_last_however_cheap():
    case = ReplayCase.of(textured(), KnownFocus(position=13.0, tolerance=1.0))
    (good,) = replay({"good": SweepSearch()}, [case], starts=(0.5,)).trials
    bad = replace(good, search="bad", right=False, images=4)
    lazy = replace(good, search="lazy", right=None, status="uncertain", z=None, error_planes=None)
    broken = replace(lazy, search="broken", status="failed")
    league = League(trials=(bad, replace(good, search="bad"), bad, lazy, good, broken))
    assert [row.search for row in league.standings] == ["good", "lazy", "broken", "bad"]
    counts = {row.search: (row.right, row.wrong, row.declined, row.failed)
              for row in league.standings}  # fmt: skip
    assert counts == {
        "good": (1, 0, 0, 0), "bad": (1, 2, 0, 0), "lazy": (0, 0, 1, 0), "broken": (0, 0, 0, 1),
    }  # fmt: skip
    assert league.standings[1].median_error_planes is None


@pytest.mark.parametrize("start", [-0.1, 1.2])
def test_a_start_is_a_share(start):
    with pytest.raises(InputError, match="share"):
        replay({"sweep": SweepSearch()}, [], starts=(start,))
