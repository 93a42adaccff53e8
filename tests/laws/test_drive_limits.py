"""No search, whatever the stage, the camera or the measure does, leaves its limits."""

from __future__ import annotations

import math
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parfocal import drive
from parfocal.core.errors import LimitsError
from tests.fabricate.effort import THOROUGH
from tests.fabricate.microscopes import StreamingScope

SEARCHES = (
    drive.SweepSearch(most_images=15),
    drive.CoarseFineSearch(most_images=20),
    drive.EarlyStopSearch(most_images=20),
    drive.ContinuousSweepSearch(most_images=15),
    drive.BrentSearch(tolerance_um=0.5),
    drive.GoldenSearch(tolerance_um=1.0),
    drive.HillClimbSearch(),
    drive.BayesianSearch(most_images=5),
    drive.ChainSearch(searches=(drive.BrentSearch(), drive.SweepSearch(most_images=15))),
    drive.AutoSearch(),
)
FAULTS = ("raise", "stall", "lie", "nan", "slow", "interrupt")
SNAP_FAULTS = ("raise", "nan", "shape", "colour", "interrupt")


def _measures():
    dice = np.random.default_rng(0)
    return {
        "nan": lambda image: math.nan,
        "infinite": lambda image: math.inf,
        "constant": lambda image: 1.0,
        "random": lambda image: dice.random(),
        "negative": lambda image: -float(image.std()),
        "contrast": lambda image: float(image.var()),
    }


@st.composite
def cases(draw):
    low = draw(st.floats(-50, 50))
    high = low + draw(st.floats(0.5, 30))
    approach = draw(st.sampled_from([None, "up", "down"]))
    limits = drive.Limits(
        z_min_um=low,
        z_max_um=high,
        max_step_um=draw(st.sampled_from([None, 0.7, 3.0])),
        approach=approach,
        backlash_um=draw(st.sampled_from([0.0, 0.5])) if approach else 0.0,
        settle_um=draw(st.sampled_from([None, 0.2])),
        max_images=draw(st.sampled_from([None, 1, 5, 12])),
        max_exposure_ms=draw(st.sampled_from([None, 55.0, 100.0])),
        max_seconds=draw(st.sampled_from([None, 0.5])),
        after_failure=draw(st.sampled_from(["start", "best"])),
        timeout_s=draw(st.sampled_from([None, 30.0])),
    )
    share = draw(st.floats(0, 1))
    scope = StreamingScope(
        z_um=low + share * (high - low),
        focus_um=draw(st.floats(low - 3, high + 3)),
        size=16,
        faults=draw(st.dictionaries(st.integers(0, 12), st.sampled_from(FAULTS), max_size=2)),
        snap_faults=draw(
            st.dictionaries(st.integers(0, 12), st.sampled_from(SNAP_FAULTS), max_size=1)
        ),
    )
    return scope, limits


def _focus(scope, limits, search, measure):
    """The report, however the run ended."""
    reports = []
    with suppress(KeyboardInterrupt):
        drive.autofocus(
            scope, search=search, limits=limits, measure=measure, on_report=reports.append
        )
    assert len(reports) == 1
    return reports[0]


@settings(max_examples=100 * THOROUGH)
@pytest.mark.parametrize("search", SEARCHES, ids=lambda search: search.kind)
@given(case=cases(), measure=st.sampled_from(sorted(_measures())))
def test_no_search_breaks_its_limits_or_budget_and_the_stage_ends_where_it_says(
    search, case, measure
):
    scope, limits = case
    start_um, exposure_ms = scope.z_um, scope.exposure
    report = _focus(scope, limits, search, _measures()[measure])
    assert all(limits.low_um - 1e-6 <= z <= limits.high_um + 1e-6 for z in scope.commands)
    if limits.max_step_um is not None:
        cap = limits.max_step_um * (1 + 1e-9) + 1e-9
        reported = zip(scope.before, scope.commands, strict=True)
        assert all(abs(after - before) <= cap for before, after in reported)
        sent = np.diff([start_um, *scope.commands])
        assert np.abs(sent).max(initial=0.0) <= cap
    if limits.max_images is not None:
        assert scope.images <= limits.max_images
    if limits.max_exposure_ms is not None:
        assert scope.images * exposure_ms <= limits.max_exposure_ms
    assert report.images >= scope.images
    _check_ending(report, scope, limits, start_um)


def _check_ending(report, scope, limits, start_um):
    assert (report.z_um is not None) == (report.status == "found") == (report.ended == "answer")
    if report.ended == "unknown":
        assert report.ending
        return
    stands = scope.position_um()
    assert report.reached_um == stands
    slack = limits.settle_um or 1e-9
    stalled = "stall" in scope.faults.values() and limits.settle_um is None
    place = {"start": start_um, "answer": report.z_um}.get(report.ended)
    if place is None:
        scored = [shot for shot in report.shots if math.isfinite(shot.score)]
        place = max(scored, key=lambda shot: shot.score).z_commanded_um
    lied = any(fault in scope.faults.values() for fault in ("lie", "nan"))
    near = 0.02 + slack if report.ended == "answer" else slack
    assert abs(report.commanded_um - place) <= near
    if not stalled and not lied:
        assert abs(stands - place) <= near


@settings(max_examples=40 * THOROUGH)
@given(start=st.floats(-100, 100), low=st.floats(-50, 50), span=st.floats(0.1, 20), data=st.data())
def test_a_start_outside_the_limits_is_refused_before_anything_moves(start, low, span, data):
    limits = drive.Limits(z_min_um=low, z_max_um=low + span)
    scope = StreamingScope(z_um=start, size=8)
    search = data.draw(st.sampled_from(SEARCHES))
    if limits.allow(start):
        return
    with pytest.raises(LimitsError, match="lies outside the limits"):
        drive.autofocus(scope, search=search, limits=limits)
    assert scope.commands == []
    assert scope.images == 0


class _Runaway:
    """A search that looks where it must not."""

    def propose(self, eye):
        eye.look(eye.start_um, "first")
        eye.look(eye.limits.high_um + 5.0, "outside")


def test_a_search_that_looks_outside_is_refused_and_the_stage_goes_back():
    scope = StreamingScope(z_um=10.0)
    reports = []
    limits = drive.Limits(z_min_um=0, z_max_um=20)
    with pytest.raises(LimitsError, match="z = 25 um lies outside"):
        drive.autofocus(scope, search=_Runaway(), limits=limits, on_report=reports.append)
    assert scope.z_um == 10.0
    assert max(scope.commands, default=10.0) <= 20
    assert reports[0].ended == "start"
    assert reports[0].status == "failed"
