"""Autofocus answers where there is focus, declines where there is none, and says where it ended."""

from __future__ import annotations

import json

import numpy as np
import pytest

from parfocal import drive
from parfocal.core.errors import ReadError, UnknownNameError
from parfocal.core.setup import OpticalSetup
from tests.fabricate.microscopes import FakeScope

LIMITS = drive.Limits(z_min_um=0, z_max_um=30)


def _focus(scope, **values):
    return drive.autofocus(scope, **{"limits": LIMITS} | values)


@pytest.mark.parametrize("focus_um", [4.0, 12.3, 26.0])
def test_the_default_search_finds_focus_anywhere_inside_the_limits(focus_um):
    scope = FakeScope(focus_um=focus_um, size=64)
    report = _focus(scope)
    assert report.found, report.reason
    assert abs(report.z_um - focus_um) < 0.1
    assert report.interval_um[0] <= focus_um <= report.interval_um[1]
    assert scope.z_um == report.reached_um == report.commanded_um
    assert report.ended == "answer"
    assert report.images == len(report.shots) == scope.images
    assert report.exposure_ms == pytest.approx(10.0 * scope.images)
    assert report.shots[-1].why in ("the answer", "verify the answer")


def _two_lobes(z_um):
    return sum(1 / (1 + ((z_um - peak) / 1.5) ** 2) for peak in (8.0, 16.0))


class PhaseScope(FakeScope):
    """Contrast that turns over at focus, as of a phase object."""

    def _image(self):
        away = (self.z_um - self.focus_um) / 3.0
        share = away * np.exp(-(away**2))
        return 2000 + self.contrast * share * self.texture + self.dice.normal(size=(64, 64))


DECLINED = {
    "blank": FakeScope(contrast=0.0, size=64),
    "flat": FakeScope(curve=lambda z_um: 1.0, size=64),
    "edge": FakeScope(focus_um=33.0, size=64),
    "ambiguous": FakeScope(curve=_two_lobes, size=64),
}


@pytest.mark.parametrize("status", DECLINED)
def test_what_has_no_answer_is_declined_and_the_stage_goes_back(status):
    scope = DECLINED[status]
    report = _focus(scope, search=drive.SweepSearch())
    assert report.status == status, report.reason
    assert (report.z_um, report.interval_um) == (None, None)
    assert report.ended == "start"
    assert scope.z_um == 10.0


def test_a_phase_object_is_ambiguous_though_no_lobe_is_seen_whole():
    report = _focus(PhaseScope(focus_um=15.0, size=64), search=drive.SweepSearch())
    assert report.status == "ambiguous", report.reason


def test_saturated_images_are_declined():
    scope = FakeScope(size=64)
    snap = scope.snap
    scope.snap = lambda: np.clip(20 * snap(), 0, 40000).astype(np.uint16).clip(max=4095)
    report = _focus(scope)
    assert report.status == "saturated", report.reason


def test_light_that_fades_does_not_move_the_answer():
    scope = FakeScope(light=lambda image: 0.985**image, size=64)
    report = _focus(scope, search=drive.SweepSearch(step_um=1.0))
    assert report.found, report.reason
    assert abs(report.z_um - 12.0) < 0.15


def test_sharpness_that_only_follows_the_light_is_flat():
    lamp = FakeScope(curve=lambda z_um: 1.0, size=64)
    lamp.light = lambda image: 1.0 + 0.8 * np.exp(-(((lamp.z_um - 14) / 4) ** 2))
    report = _focus(lamp, search=drive.SweepSearch())
    assert not report.found
    assert report.status == "flat", report.reason


def test_an_answer_that_its_image_does_not_confirm_is_not_given():
    scope = FakeScope(size=64)

    def moved(shot):
        if shot.why == "fine sweep" and len(scope.commands) > 18:
            scope.focus_um = 25.0

    report = _focus(scope, on_shot=moved, search=drive.CoarseFineSearch())
    assert report.status in ("uncertain", "ambiguous"), report.reason
    assert report.ended == "start"


def test_scores_without_order_are_no_peak():
    dice = np.random.default_rng(3)
    report = _focus(FakeScope(size=64), measure=lambda image: 1000 * dice.random())
    assert report.status in ("uncertain", "ambiguous", "edge"), report.reason


def test_after_failure_the_best_image_can_be_where_the_stage_is_left():
    limits = LIMITS.model_copy(update={"after_failure": "best", "max_images": 8})
    scope = FakeScope(snap_faults={6: "raise"}, size=64)
    report = _focus(scope, limits=limits, search=drive.SweepSearch(range_um=10))
    assert report.status == "failed"
    assert "camera gone" in report.reason
    assert report.ended == "best"
    assert scope.z_um == max(report.shots, key=lambda shot: shot.score).z_commanded_um


def test_an_interrupt_goes_on_after_the_stage_is_back():
    scope, reports = FakeScope(snap_faults={3: "interrupt"}), []
    with pytest.raises(KeyboardInterrupt):
        _focus(scope, on_report=reports.append)
    assert scope.z_um == 10.0
    assert scope.aborted == 1
    assert reports[0].ended == "start"


def test_what_a_callback_or_measure_raises_goes_on_after_the_stage_is_back():
    scope = FakeScope()

    def boom(image):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        _focus(scope, measure=boom)
    assert scope.z_um == 10.0


def test_a_stage_that_is_moved_by_others_is_left_alone():
    scope = FakeScope()

    def push(shot):
        scope.z_um = 25.0

    report = _focus(scope, on_shot=push)
    assert report.status == "failed"
    assert "another program" in report.reason
    assert report.ended == "unknown"
    assert scope.z_um == report.reached_um == 25.0


def test_a_spent_budget_is_said_and_nothing_is_answered():
    limits = LIMITS.model_copy(update={"max_images": 3})
    report = _focus(FakeScope(size=64), limits=limits)
    assert report.status == "uncertain"
    assert report.images <= 3


def test_an_unknown_measure_is_refused_before_anything_moves():
    scope = FakeScope()
    with pytest.raises(UnknownNameError, match="tenengrad"):
        _focus(scope, measure="sharpness")
    assert scope.images == 0


def test_a_report_comes_back_as_it_was_saved(tmp_path):
    report = _focus(FakeScope(size=64), keep_images=True, search=drive.SweepSearch(range_um=8))
    path = report.save(tmp_path / "run.json")
    again = drive.FocusReport.load(path)
    assert again.to_dict() == report.to_dict() == json.loads(path.read_text("utf-8"))
    assert np.array_equal(again.shots[3].image, report.shots[3].image)
    assert drive.parse_search(dict(again.search)) == drive.SweepSearch(range_um=8)


def test_a_file_that_is_no_report_says_so(tmp_path):
    path = tmp_path / "run.json"
    path.write_text("{}")
    with pytest.raises(ReadError, match=r"FocusReport\.save"):
        drive.FocusReport.load(path)
    with pytest.raises(ReadError, match="not a readable"):
        drive.FocusReport.load(tmp_path / "absent.json")


def test_a_chain_falls_back_and_carries_its_images_over():
    scope = FakeScope(focus_um=25.0, size=64)
    chain = drive.ChainSearch(searches=(drive.BrentSearch(range_um=6), drive.CoarseFineSearch()))
    report = _focus(scope, search=chain)
    assert report.found, report.reason
    assert abs(report.z_um - 25.0) < 0.1
    assert "coarse-fine" in report.reason
    assert "brent: edge" in report.reason
    places = [shot.z_commanded_um for shot in report.shots if "verify" not in shot.why]
    assert len(places) == len(set(places))


def test_one_image_of_the_budget_is_kept_to_verify_the_answer():
    limits = LIMITS.model_copy(update={"max_images": 12})
    report = _focus(FakeScope(size=64), limits=limits, search=drive.SweepSearch(range_um=10))
    assert report.found, report.reason
    assert report.images == 12


def test_contrast_that_turns_over_is_seen_from_two_images_of_one_rise():
    scope = PhaseScope(focus_um=15.0, size=64)
    places = (11.0, 12.9, 13.6, 14.5, 15.6, 16.4)
    limits = drive.Limits(z_min_um=0, z_max_um=30)
    with drive.Gate(scope, limits) as gate:
        eye = drive.Eye(gate, drive.Sharpness())
        for z_um in places:
            eye.look(z_um)
        proposal = drive.judge(eye.shots)
    assert proposal.status == "ambiguous"
    assert "dark and bright are exchanged" in proposal.reason


@pytest.mark.parametrize("left", [0.97, 0.94])
def test_an_interval_holds_what_fading_light_may_have_moved(left):
    scope = FakeScope(light=lambda image: left**image, size=64, width_um=3.0)
    report = _focus(scope, search=drive.SweepSearch(step_um=1.0))
    assert report.found, report.reason
    assert report.interval_um[0] <= 12.0 <= report.interval_um[1]


class WornScope(FakeScope):
    """A stage with play that its motor does not see."""

    carriage_um = 10.0

    def move_to_um(self, z_um):
        super().move_to_um(z_um)
        self.carriage_um = min(max(self.carriage_um, z_um), z_um + 1.5)

    def _image(self):
        motor_um, self.z_um = self.z_um, self.carriage_um
        image = super()._image()
        self.z_um = motor_um
        return image


@pytest.mark.parametrize("focus_um", [10.7, 14.2])
def test_play_of_the_stage_does_not_move_the_answer(focus_um):
    scope = WornScope(focus_um=focus_um, size=64)
    report = _focus(scope)
    assert report.found, report.reason
    assert abs(scope.carriage_um - focus_um) < 0.1
    assert report.interval_um[0] <= focus_um <= report.interval_um[1]
    loose = LIMITS.model_copy(update={"approach": "any"})
    report = _focus(WornScope(focus_um=focus_um, size=64), limits=loose)
    assert not report.found


@pytest.mark.parametrize(
    "search", [drive.BrentSearch(), drive.GoldenSearch(), drive.HillClimbSearch()]
)
@pytest.mark.parametrize("focus_um", [8.0, 11.0, 13.0])
def test_a_search_that_follows_one_lobe_of_a_phase_object_does_not_answer(search, focus_um):
    report = _focus(PhaseScope(focus_um=focus_um, size=64), search=search)
    assert not report.found


def test_without_optics_the_default_search_looks_everywhere():
    limits = drive.Limits(z_min_um=0, z_max_um=20)
    setup = OpticalSetup(na=0.5, wavelength_nm=500, pixel_um=0.5)
    blind, told = (
        drive.autofocus(FakeScope(), limits=limits, setup=each) for each in (None, setup)
    )
    assert blind.found
    assert "coarse" in blind.shots[0].why
    assert "where the search begins" in told.shots[0].why
