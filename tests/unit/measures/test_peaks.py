"""Peaks between planes, and how noisy a curve is."""

from __future__ import annotations

import numpy as np
import pytest

from parfocal.measures.peaks import find_peak, roughness, smooth, unit_height


@pytest.mark.parametrize("power", [1.0, 2.0, 3.0])
@pytest.mark.parametrize("width", [0.7, 1.5, 4.0])
@pytest.mark.parametrize("centre", [5.0, 5.3, 5.5, 6.8])
def test_a_lorentzian_power_is_located_between_planes(power, width, centre):
    z = np.arange(13.0)
    curve = 3.0 + 7.0 * (1 + ((z - centre) / width) ** 2) ** -power
    # The square is the law fitted, exact up to its baseline; the others stay close.
    tolerance = 0.02 if power == 2.0 else 0.1
    assert find_peak(curve).plane == pytest.approx(centre, abs=tolerance * max(width, 1.0))


def test_the_fit_beats_a_parabola_on_a_narrow_peak():
    z = np.arange(11.0)
    errors, parabola_errors = [], []
    for centre in np.linspace(4.5, 5.5, 21):
        curve = (1 + ((z - centre) / 0.8) ** 2) ** -2
        errors.append(abs(find_peak(curve).plane - centre))
        k = int(curve.argmax())
        left, middle, right = curve[k - 1 : k + 2]
        vertex = k + 0.5 * (left - right) / (left - 2 * middle + right)
        parabola_errors.append(abs(vertex - centre))
    assert np.mean(errors) < 0.3 * np.mean(parabola_errors)


def test_a_constant_curve_has_a_peak_of_no_height():
    peak = find_peak(np.ones(7))
    assert peak.width == 7 or peak.plane in range(7)
    assert (unit_height(np.ones(5)) == 0).all()


def test_mirrored_curves_have_mirrored_peaks():
    curve = np.random.default_rng(1).random(20).cumsum() ** 0.5 + np.hanning(20) * 5
    assert find_peak(curve[::-1]).plane == pytest.approx(19 - find_peak(curve).plane)


def test_scaling_and_shifting_scores_moves_no_peak():
    curve = np.exp(-0.5 * ((np.arange(15) - 6.4) / 2) ** 2)
    assert find_peak(1e6 * curve + 1e4).plane == pytest.approx(find_peak(curve).plane, abs=1e-6)


def test_lobes_come_with_their_prominence():
    curve = np.array([0.0, 4.0, 1.0, 2.0, 0.0])
    first, second = find_peak(curve).lobes
    assert first == (1, 1.0, 1.0)
    assert second == pytest.approx((3, 0.5, 0.25))


def test_roughness_is_the_noise_and_not_the_shape():
    rng = np.random.default_rng(0)
    z = np.arange(60.0)
    smooth_curve = 50 * np.exp(-0.5 * ((z - 30) / 12) ** 2)
    noisy = smooth_curve + rng.normal(0, 0.5, (400, 60))
    assert np.median(roughness(noisy)) == pytest.approx(0.5, rel=0.1)
    spike = np.zeros(11)
    spike[5] = 100.0
    assert roughness(spike) == 0.0
    assert roughness(np.arange(3.0)) == 0.0


def test_smoothing_keeps_a_constant_and_the_sum():
    assert np.allclose(smooth(np.full(9, 3.0), 1.5), 3.0)
    impulse = np.zeros(41)
    impulse[20] = 1.0
    assert smooth(impulse, 2.0).sum() == pytest.approx(1.0)
