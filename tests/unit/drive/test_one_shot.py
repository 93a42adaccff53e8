"""Searches that follow a predictor, with one that knows the truth."""

from __future__ import annotations

import numpy as np
import pytest

from parfocal.core.results import DefocusEstimate, Status
from parfocal.core.setup import OpticalSetup
from parfocal.drive import Limits, PredictorSearch, autofocus
from tests.fabricate.microscopes import FakeScope

SETUP = OpticalSetup(na=0.5, wavelength_nm=500, pixel_um=0.5)  # 2 um, 3 with the pixel
LIMITS = Limits(z_min_um=0, z_max_um=60)
CLASSES = np.linspace(-12.0, 12.0, 49)


class Oracle:
    """Knows how far the stage is, but beyond ``reach_um`` only on which side, and leans there."""

    name = "oracle"

    def __init__(self, scope, images, spacing_um, reach_um):
        self.scope, self.below_um, self.reach_um = scope, (images - 1) * spacing_um, reach_um
        self.asked = []

    def predict(self, images, *, spacing_um=None, setup=None):
        defocus_um = self.scope.z_um - self.below_um - self.scope.focus_um
        self.asked.append((len(images), spacing_um))
        shares = np.exp(-np.square(CLASSES - np.clip(defocus_um, -12, 12)))
        common = {"probabilities": shares / shares.sum(), "classes_um": CLASSES}
        if abs(defocus_um) > self.reach_um:
            return DefocusEstimate(status=Status.EDGE, reason="far away", **common)
        return DefocusEstimate(
            status=Status.FOUND, reason="known", defocus_um=defocus_um, defocus_dof=defocus_um / 2,
            interval_um=(defocus_um - 0.5, defocus_um + 0.5), **common,
        )  # fmt: skip


def _run(start_um, *, reach_um=10.0, **settings):
    scope = FakeScope(z_um=start_um, focus_um=30.0)
    oracle = Oracle(scope, 2, 3.75, reach_um)
    search = PredictorSearch(predictor=oracle, images=2, **settings)
    return autofocus(scope, search=search, limits=LIMITS, setup=SETUP), oracle


def test_images_are_one_and_a_quarter_effective_depths_apart():
    _, oracle = _run(34.0)
    assert oracle.asked[0] == (2, 3.75)
    assert PredictorSearch(predictor=oracle, spacing_um=2.0).spacing_um == 2.0


@pytest.mark.parametrize("start_um", [34.0, 24.0])
def test_the_second_look_confirms_the_first(start_um):
    report, oracle = _run(start_um)
    assert report.found
    assert report.z_um == pytest.approx(30.0, abs=0.3)
    assert len(oracle.asked) == 2


@pytest.mark.parametrize("start_um", [48.0, 10.0])
def test_a_prediction_that_leans_to_one_side_is_followed_and_never_the_answer(start_um):
    report, oracle = _run(start_um)
    assert report.found
    assert report.z_um == pytest.approx(30.0, abs=0.3)
    assert len(oracle.asked) >= 3


def test_one_that_always_leans_ends_without_an_answer():
    report, _ = _run(31.0, reach_um=-1.0)
    assert report.status == "uncertain"
    assert report.z_um is None
    assert "still sees focus" in report.reason


def test_landing_judges_by_sharpness():
    report, _ = _run(34.0, land_images=4)
    assert report.found
    assert report.z_um == pytest.approx(30.0, abs=0.3)
    assert [shot.why for shot in report.shots].count("land by sharpness") >= 3
