"""One image by an off-axis LED, and the stage goes to focus."""

from __future__ import annotations

import pytest

import parfocal as pf
from parfocal.simulate import VirtualMicroscope


@pytest.fixture(scope="module")
def led_phase():
    return pf.predict.load("led-phase")


@pytest.mark.parametrize("away_um", [-14.0, 9.0])
def test_one_image_brings_the_led_microscope_to_focus(led_phase, away_um):
    scope = VirtualMicroscope("led-20x", seed=2)
    focus_um = scope.truth.focus_um()
    scope.move_to_um(focus_um + away_um)
    report = pf.drive.autofocus(
        scope,
        search=pf.drive.PredictorSearch(predictor=led_phase, images=1),
        limits=pf.drive.Limits(z_min_um=focus_um - 30, z_max_um=focus_um + 30),
        setup=scope.setup,
    )
    assert report.status == "found", report.reason
    assert abs(scope.truth.defocus_um()) < 3.0  # half the cells' thickness
    assert len(report.shots) <= 4


def test_other_light_is_declined(led_phase):
    scope = VirtualMicroscope("brightfield-40x", seed=1)
    setup = scope.setup.model_copy(update={"na": 0.5})
    guess = led_phase.predict(scope.snap(), setup=setup)
    assert guess.defocus_um is None
