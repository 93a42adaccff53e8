"""Watch and hold: focus is kept, light is saved, budgets and limits hold, failures are told."""

from __future__ import annotations

import json
from functools import partial

import numpy as np
import pytest
from pydantic import ValidationError

from parfocal.core.errors import InputError, LimitsError
from parfocal.drive.drift import DriftPoint, DriftTracker
from parfocal.drive.hold import HoldSettings
from parfocal.drive.hold import hold as watch
from parfocal.drive.limits import Limits
from tests.fabricate.microscopes import FakeScope

LIMITS = Limits(z_min_um=0.0, z_max_um=40.0)
# A measure that costs nothing: what is tested is the watch.
hold = partial(watch, measure=lambda image: float(image.var()))


class DriftingScope(FakeScope):
    """Focus that drifts with the microscope's own clock."""

    rate_um_per_h = 4.0

    @property
    def focus_um(self):
        return 12.0 + self.rate_um_per_h * self.time_s / 3600

    @focus_um.setter
    def focus_um(self, _):
        pass


def test_a_drifting_field_is_kept_in_focus_with_ever_fewer_images():
    scope, seen = DriftingScope(), []
    report = hold(
        scope,
        limits=LIMITS,
        duration_s=3600.0,
        settings=HoldSettings(every_s=120, tolerance_um=0.6),
        on_check=lambda check: seen.append(scope.position_um() - scope.focus_um),
    )
    assert report.ended == "done"
    assert len(report.checks) == len(seen) == 31
    assert np.abs(seen).max() < 0.7
    actions = [check.action for check in report.checks]
    assert set(actions) == {"measured", "predicted"}
    assert actions[-15:].count("measured") < actions[:15].count("measured")
    assert report.images == scope.images
    assert report.exposure_ms == pytest.approx(10.0 * scope.images)
    assert report.tracker.rate_um_per_h[0] == pytest.approx(4.0, abs=1.0)


def test_without_moving_the_same_field_is_lost():
    scope = DriftingScope()
    scope.wait_s(7200)
    assert abs(scope.focus_um - 12.0) > 7


def test_the_budget_of_images_is_never_exceeded():
    scope = DriftingScope()
    settings = HoldSettings(every_s=900, tolerance_um=0.05, max_images=40)
    report = hold(scope, limits=LIMITS, duration_s=6000.0, settings=settings)
    assert scope.images <= 40
    assert report.ended == "done"
    assert report.checks[-1].action == "predicted"
    assert "40 images is spent" in report.checks[-1].reason
    stopping = settings.model_copy(update={"when_spent": "stop"})
    report = hold(DriftingScope(), limits=LIMITS, duration_s=6000.0, settings=stopping)
    assert report.ended == "stopped"
    assert "40 images is spent" in report.reason


def test_the_budget_of_light_is_never_exceeded():
    scope = DriftingScope()
    settings = HoldSettings(every_s=900, tolerance_um=0.05, max_exposure_ms=400.0)
    hold(scope, limits=LIMITS, duration_s=6000.0, settings=settings)
    assert 10.0 * scope.images <= 400.0


def test_no_command_leaves_the_limits_and_drift_out_of_them_is_told():
    scope = DriftingScope()
    limits = Limits(z_min_um=8.0, z_max_um=14.0)
    report = hold(
        scope,
        limits=limits,
        duration_s=4800.0,
        settings=HoldSettings(every_s=600, tolerance_um=0.6),
    )
    assert min(scope.commands) >= 8.0
    assert max(scope.commands) <= 14.0
    assert report.ended == "stopped" or report.checks[-1].action == "missed"
    assert "limits" in report.reason + report.checks[-1].reason


@pytest.mark.parametrize(("after", "ended"), [("predict", "done"), ("stop", "stopped")])
def test_a_field_without_contrast_is_a_miss(after, ended):
    scope = DriftingScope(contrast=0.0)
    settings = HoldSettings(every_s=600, after_miss=after)
    report = hold(scope, limits=LIMITS, duration_s=1800.0, settings=settings)
    assert report.ended == ended
    assert {check.action for check in report.checks} == {"missed"}
    assert scope.position_um() == 10.0


def test_a_stage_that_fails_ends_the_watch():
    scope = DriftingScope(faults={3: "raise"})
    report = hold(scope, limits=LIMITS, duration_s=1800.0)
    assert report.ended == "stopped"
    assert report.checks[-1].action == "failed"
    assert "serial port closed" in report.reason


def test_a_start_outside_the_limits_is_refused_before_anything_moves():
    scope = DriftingScope(z_um=50.0)
    with pytest.raises(LimitsError):
        hold(scope, limits=LIMITS, duration_s=60.0)
    assert scope.commands == []


def test_what_is_known_already_saves_the_first_search():
    scope = DriftingScope()
    points = [
        DriftPoint(time_s=t, z_um=12 + 4 * t / 3600, interval_um=(11.9 + t / 900, 12.1 + t / 900))
        for t in np.arange(-3600.0, 0.0, 200.0).tolist()
    ]
    report = hold(scope, limits=LIMITS, duration_s=10.0, tracker=DriftTracker(points))
    assert [check.action for check in report.checks] == ["predicted"]
    assert scope.images == 0
    assert scope.position_um() == pytest.approx(12.0, abs=0.3)


def test_an_interrupt_goes_through_with_the_stage_back_and_a_report():
    scope, reports = DriftingScope(snap_faults={5: "interrupt"}), []
    with pytest.raises(KeyboardInterrupt):
        hold(scope, limits=LIMITS, duration_s=60.0, on_report=reports.append)
    assert scope.position_um() == 10.0
    (report,) = reports
    assert report.ended == "interrupted"
    assert report.images == scope.images == 6
    assert report.checks[-1].action == "failed"


def test_a_stage_that_is_lost_between_two_checks_ends_the_watch_with_a_report():
    scope = DriftingScope()

    def lose(check):
        scope.position_um = lambda: float("nan")

    report = hold(scope, limits=LIMITS, duration_s=600.0, on_check=lose)
    assert report.ended == "stopped"
    assert "as its position" in report.reason


@pytest.mark.parametrize("duration_s", [-1.0, float("nan"), float("inf")])
def test_a_watch_without_an_end_is_refused(duration_s):
    with pytest.raises(InputError, match="duration_s"):
        hold(DriftingScope(), limits=LIMITS, duration_s=duration_s)


def test_a_report_is_plain_json(tmp_path):
    report = hold(DriftingScope(), limits=LIMITS, duration_s=10.0)
    report.save(tmp_path / "hold.json")
    held = json.loads((tmp_path / "hold.json").read_text())
    assert held["images"] == report.images
    assert held["checks"][0]["action"] == "measured"


def test_impossible_settings_are_refused():
    for wrong in ({"every_s": 0}, {"after_miss": "hope"}, {"max_images": 0}):
        with pytest.raises(ValidationError):
            HoldSettings(**wrong)
