"""The page of focus runs: all that happened, and nothing that looks like an answer without one."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from parfocal.core.results import Status
from parfocal.core.setup import OpticalSetup
from parfocal.drive import Limits, autofocus
from parfocal.drive.drift import DriftTracker
from parfocal.drive.hold import HoldCheck, HoldReport
from parfocal.drive.mapping import grid_um, map_focus
from parfocal.evaluate.drive_chapters import hold_chapter, map_chapter
from parfocal.evaluate.drive_figure import run_curve_svg
from parfocal.evaluate.drive_page import FocusRun, drive_page, plain_settings
from parfocal.evaluate.sheet import ReportHeader
from tests.fabricate.microscopes import FakeScope
from tests.unit.drive.test_mapping import Tilted

HEADER = ReportHeader(
    title="Run <1>", date="2026-01-01", version="0", command="parfocal drive", settings={"a": "<b>"}
)
SETUP = OpticalSetup(na=0.5, wavelength_nm=550, pixel_um=0.5)
LIMITS = Limits(z_min_um=0, z_max_um=25)


@pytest.fixture(scope="module")
def found():
    return autofocus(FakeScope(), limits=LIMITS, keep_images=True)


@pytest.fixture(scope="module")
def declined():
    return autofocus(FakeScope(contrast=0.0), limits=LIMITS, keep_images=True)


def test_the_page_stands_alone_and_shows_every_image(found):
    page = drive_page(HEADER, [FocusRun(name="mine", report=found, setup=SETUP, truth_um=12.0)])
    assert page.startswith("<!doctype html>")
    assert not re.search(r"<script|<link|src=\"(?!data:)|url\((?!#)", page)
    assert page.count('<img alt="image ') == found.images
    for shot in found.shots:
        assert f"<b>{shot.number}: {shot.z_reached_um:z.2f} µm</b>" in page
    assert f'<p class="answer">{found.z_um:z.2f} µm' in page
    assert f"off by {found.z_um - 12.0:+z.2f} µm" in page
    assert "at the answer" in page
    assert "depth of field 2.2 µm" in page
    assert "Run &lt;1&gt;" in page
    assert "&lt;b&gt;" in page


def test_without_an_answer_nothing_looks_like_one(declined):
    page = drive_page(HEADER, [FocusRun(name="mine", report=declined)])
    assert "No answer: blank." in page
    assert "best focus" not in page.split("<footer>", maxsplit=1)[0]
    assert 'class="answer"' not in page
    assert "back at the start" in page


def test_many_runs_have_a_table_with_links(found, declined):
    runs = [FocusRun(name="one", report=found), FocusRun(name="two", report=declined)]
    page = drive_page(HEADER, runs)
    assert '<a href="#run-1">two</a>' in page
    assert 'id="run-1"' in page
    assert "<b>1</b>found" in page
    assert "<b>1</b>declined" in page
    assert "true focus" not in page


def test_a_run_that_failed_or_ended_anywhere_is_marked(found):
    lost = replace(
        found, status=Status.FAILED, z_um=None, interval_um=None, reached_um=None, ended="unknown",
        ending="the driver has not returned", reason="the stage hung",
    )  # fmt: skip
    page = drive_page(HEADER, [FocusRun(name="lost", report=lost)])
    assert "left at unknown, not where it should be: the driver has not returned" in page
    assert '<span class="badge failed">failed</span>' in page


def test_a_run_without_images_has_a_page():
    report = autofocus(FakeScope(snap_faults={0: "raise"}), limits=LIMITS)
    page = drive_page(HEADER, [FocusRun(name="none", report=report)])
    assert "No image with a score was taken." in page


def test_every_image_is_a_dot_at_its_height(found):
    svg = run_curve_svg(found)
    assert svg.count('<circle class="dot"') == found.images
    places = [float(x) for x in re.findall(r'<circle class="dot" cx="([\d.]+)"', svg)]
    heights = [float(y) for y in re.findall(r'cy="([\d.]+)" r="3"', svg)]
    scores = np.array([shot.score for shot in found.shots])
    assert np.corrcoef(places, [shot.z_reached_um for shot in found.shots])[0, 1] > 0.99999
    assert np.corrcoef(heights, scores)[0, 1] < -0.99999
    assert f"best focus {found.z_um:.2f} µm" in svg
    assert "<title>start: 10.00 µm</title>" in svg


def test_settings_are_told_on_one_line():
    values = {"kind": "chain", "searches": [{"kind": "brent", "range_um": 3.0}], "most": None}
    assert plain_settings(values) == "chain: searches (brent: range_um 3)"
    assert plain_settings({"kind": "sweep"}) == "sweep"
    assert plain_settings({"z_min_um": 0.5}) == "z_min_um 0.5"


def test_a_map_colours_every_place_and_rings_the_measured():
    scope = Tilted()
    places = grid_um(3, 2, 100.0, (0.0, 0.0))
    told = map_focus(scope, places, limits=Limits(z_min_um=-20, z_max_um=20))
    text = map_chapter(told, [0.01 * x for x, _ in places])
    assert text.count("<title>x ") == 6
    assert text.count('stroke="var(--best)"') == len(told.points)
    assert "in the interval at 100 % of the places" in text
    nowhere = map_focus(Tilted(contrast=0.0), places[:1], limits=Limits(z_min_um=-20, z_max_um=20))
    assert "No map" in map_chapter(nowhere)


def test_a_watch_lists_every_check():
    checks = (
        HoldCheck(time_s=5.0, action="measured", reason="the first", z_um=1.0,
                  interval_um=(0.8, 1.2), images=9),
        HoldCheck(time_s=65.0, action="predicted", reason="sure", z_um=1.5,
                  interval_um=(1.1, 1.9)),
        HoldCheck(time_s=125.0, action="missed", reason="<blank>"),
    )  # fmt: skip
    told = HoldReport(checks=checks, tracker=DriftTracker(), ended="done", reason="over")
    text = hold_chapter(told, [1.1, None, 1.9])
    assert "3 checks, 1 by images: 9 images" in text
    assert "&lt;blank&gt;" in text
    assert "<td>120</td>" in text
    assert text.count("<circle") == 2
    assert "Focus was never known" in hold_chapter(replace(told, checks=checks[2:]))
