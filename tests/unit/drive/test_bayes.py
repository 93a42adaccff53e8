"""What images say about focus is believed, and no more than that."""

from __future__ import annotations

import time

import numpy as np
import pytest

from parfocal import drive
from parfocal.core.setup import OpticalSetup
from parfocal.drive.focus_belief import (
    BlurModel,
    Spectrum,
    believe,
    expected_doubt,
    spectrum,
)
from parfocal.simulate import VirtualMicroscope, world_preset
from tests.fabricate.microscopes import FakeScope

SETUP = OpticalSetup(na=0.75, wavelength_nm=536, pixel_um=0.325)
DEPTH_UM = SETUP.depth_of_field_um
PER_PX = spectrum(np.zeros((256, 256))).per_px
LIMITS = drive.Limits(z_min_um=-25 * DEPTH_UM, z_max_um=25 * DEPTH_UM, max_images=40)


def _spectra(z_um, focus_um, dice, *, hypothesis=4):
    """Spectra of images at some z, as the model has them."""
    model = BlurModel.of(SETUP, PER_PX, 40.0)
    level = 14.0 - 2.5 * np.log(PER_PX / PER_PX[0]) + dice.normal(0, 0.6, len(PER_PX))
    logs = level + model.log_power(z_um - focus_um)[hypothesis]
    logs = logs + dice.normal(0, 0.1, logs.shape)
    error = np.full(len(PER_PX), 40.0)
    return [Spectrum(PER_PX, np.exp(row) + dice.normal(0, error), error) for row in logs]


def _believe(z_um, spectra):
    model = BlurModel.of(SETUP, PER_PX, 40.0)
    return believe(z_um, spectra, model, low_um=-20.0, high_um=20.0, depth_um=DEPTH_UM)


def test_noise_shows_nothing_and_a_wave_shows_in_its_ring():
    dice = np.random.default_rng(3)
    noise = dice.normal(size=(256, 256))
    assert not spectrum(noise).seen.any()
    x = np.arange(256)
    seen = spectrum(noise + 2 * np.sin(2 * np.pi * 0.1 * x))
    ring = int(np.abs(np.log(seen.per_px / 0.1)).argmin())
    assert int(seen.power.argmax()) == ring
    assert seen.seen[ring]


def test_the_power_of_noise_is_taken_off():
    dice = np.random.default_rng(4)
    wave = 3 * np.sin(2 * np.pi * 0.1 * np.arange(256))
    clean = spectrum(np.broadcast_to(wave, (256, 256)))
    noisy = spectrum(wave + dice.normal(0, 2, size=(256, 256)))
    assert noisy.power.max() == pytest.approx(clean.power.max(), rel=0.05)


def test_fine_detail_falls_first_and_both_sides_alike():
    model = BlurModel.of(SETUP, PER_PX, 40.0)
    power = model.log_power(DEPTH_UM * np.array([-4.0, -0.5, 0.0, 0.5, 4.0]))
    assert np.allclose(power, power[:, ::-1])
    lost = power[:, 2] - power[:, 3]
    optical = lost[: len(model.scales_um)][model.thick_um == 0]
    finest = int(np.argmin(np.abs(model.share - 0.5)))
    assert (np.diff(optical[:, : finest + 1], axis=1) >= 0).all()
    assert (power[:, 3] >= power[:, 4] - 1e-9).all()


def test_one_row_of_hypotheses_gives_what_all_of_them_give():
    model = BlurModel.of(SETUP, PER_PX, 40.0)
    away = np.linspace(-5, 5, 7)
    picked = np.array([3, 16, 0])
    rows = model.log_power(np.broadcast_to(away, (3, 7)), picked)
    assert np.allclose(rows, model.log_power(away)[picked])


def test_one_image_leaves_both_sides_open_and_a_second_decides():
    dice = np.random.default_rng(5)
    first = _believe(np.zeros(1), _spectra(np.zeros(1), 6.0, dice))
    above = float(first.density[first.focus_um > 0].sum())
    assert 0.4 < above < 0.6
    z_um = np.array([0.0, 3.0])
    second = _believe(z_um, _spectra(z_um, 6.0, dice))
    assert float(second.density[second.focus_um > 0].sum()) > 0.99


def test_the_interval_holds_about_as_often_as_it_says():
    dice = np.random.default_rng(6)
    held, widths = [], []
    for _ in range(40):
        focus = float(dice.uniform(-8, 8))
        z_um = np.array([0.0, 4.0, focus - 1.2, focus + 1.8])
        belief = _believe(z_um, _spectra(z_um, focus, dice))
        low, high = belief.quantiles(0.05, 0.95)
        held.append(low <= focus <= high)
        widths.append(high - low)
    assert np.mean(held) >= 0.8
    assert np.median(widths) < 1.5 * DEPTH_UM


def test_looking_where_the_sides_differ_promises_more_than_where_they_do_not():
    belief = _believe(np.zeros(1), _spectra(np.zeros(1), 6.0, np.random.default_rng(7)))
    here, beside = expected_doubt(belief, np.array([0.0, 5.0]), generator=np.random.default_rng(0))
    assert beside < 0.5 * here


def _beads(offset_dof, **changes):
    """A scope with focus at 0 that stands some depths of field away."""
    scope = VirtualMicroscope(world_preset("beads-20x").changed(**changes))
    scope.move_to_um(scope.truth.focus_um() + offset_dof * DEPTH_UM)
    return scope


@pytest.mark.parametrize("offset_dof", [-18.0, 0.3, 11.0])
def test_few_images_find_focus_from_afar(offset_dof):
    scope = _beads(offset_dof)
    report = drive.autofocus(scope, search=drive.BayesianSearch(), limits=LIMITS, setup=scope.setup)
    assert report.found, report.reason
    assert abs(scope.truth.defocus_um()) < 0.4 * DEPTH_UM
    assert report.interval_um[0] <= scope.truth.focus_um() <= report.interval_um[1]
    assert report.images <= 9


def test_without_optics_it_takes_a_few_images_more():
    scope = _beads(9.0)
    report = drive.autofocus(scope, search=drive.BayesianSearch(), limits=LIMITS)
    assert report.found, report.reason
    assert abs(scope.truth.defocus_um()) < 0.4 * DEPTH_UM
    assert report.images <= 14


@pytest.mark.parametrize(
    ("scope", "statuses"),
    [
        (FakeScope(contrast=0.0, size=64), {"blank", "flat"}),
        (FakeScope(curve=lambda z_um: 1.0, size=64), {"flat", "uncertain"}),
        (FakeScope(focus_um=36.0, size=64), {"edge", "flat", "uncertain"}),
    ],
    ids=["blank", "flat", "beyond"],
)
def test_what_has_no_focus_is_declined(scope, statuses):
    limits = drive.Limits(z_min_um=0, z_max_um=30)
    report = drive.autofocus(scope, search=drive.BayesianSearch(), limits=limits)
    assert str(report.status) in statuses, report.reason
    assert report.images <= 30
    assert scope.z_um == 10.0


class _PhaseScope(FakeScope):
    """Contrast that turns over at focus."""

    def _image(self):
        away = (self.z_um - self.focus_um) / 3.0
        share = away * np.exp(-(away**2))
        noise = self.dice.normal(size=self.texture.shape)
        return 2000 + self.contrast * share * self.texture + noise


def test_a_phase_object_is_ambiguous_never_answered():
    scope = _PhaseScope(focus_um=13.3, size=64)
    limits = drive.Limits(z_min_um=0, z_max_um=30)
    report = drive.autofocus(scope, search=drive.BayesianSearch(), limits=limits)
    assert report.status == "ambiguous", report.reason
    assert scope.z_um == 10.0


def test_fading_light_and_a_range_are_heeded():
    scope = FakeScope(light=lambda image: 0.97**image, size=64)
    limits = drive.Limits(z_min_um=0, z_max_um=30)
    search = drive.BayesianSearch(range_um=12.0)
    report = drive.autofocus(scope, search=search, limits=limits)
    assert report.found, report.reason
    assert abs(report.z_um - 12.0) < 0.4
    assert all(4.0 <= shot.z_commanded_um <= 16.0 for shot in report.shots)


def test_a_choice_takes_milliseconds():
    z_um = np.array([0.0, 4.0, 5.0, 7.0, 6.0])
    spectra = _spectra(z_um, 6.0, np.random.default_rng(8))
    generator = np.random.default_rng(0)
    took = []
    for _ in range(5):
        began = time.process_time()
        belief = _believe(z_um, spectra)
        expected_doubt(belief, np.linspace(-20, 20, 33), generator=generator)
        took.append(time.process_time() - began)
    assert min(took) < 0.06
