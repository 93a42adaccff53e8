"""The defocused OTF against a pupil on a grid, and the answer on measured and simulated images."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from scipy.signal import fftconvolve

from parfocal.core.results import Status
from parfocal.core.setup import OpticalSetup
from parfocal.core.stack import FocalStack
from parfocal.score.blur_model import DEFOCUS_DOF, FREQUENCIES, defocused_otf, rings
from parfocal.score.quality import focus_quality
from tests.fabricate.defocused import draw_scene, image

PSF_SETUP = OpticalSetup(na=0.85, wavelength_nm=520, pixel_um=0.13)
PSF_STEP_UM = 0.3


def gridded_otf(sin_alpha, defocus_dof, spherical_waves=0.0, radius_px=100):
    """Autocorrelation of a pupil drawn on a grid, along one axis, in steps of a pixel."""
    grid = np.arange(-radius_px - 2, radius_px + 3) / radius_px
    r2 = grid[:, None] ** 2 + grid**2
    # The edge is blurred over one pixel, as finer sampling would do.
    edge = np.clip((1 - np.sqrt(r2)) * radius_px + 0.5, 0, 1)
    axial = (np.sqrt(1 - sin_alpha**2 * np.minimum(r2, 1)) - 1) / sin_alpha**2
    waves = axial * defocus_dof + spherical_waves * (6 * r2**2 - 6 * r2 + 1)
    pupil = edge * np.exp(2j * np.pi * waves)
    correlation = fftconvolve(pupil, pupil[::-1, ::-1].conj())
    middle = correlation.shape[0] // 2
    line = correlation[middle, middle:] / correlation[middle, middle].real
    return line[: 2 * radius_px + 1 : 2]  # a hundredth of the cut-off apart


@pytest.mark.parametrize(("sin_alpha", "waves"), [(0.1, 0.0), (0.75, 0.0), (0.92, 0.08)])
def test_defocused_otf_is_the_autocorrelation_of_the_pupil(sin_alpha, waves):
    table = defocused_otf(sin_alpha, waves)
    for row in (0, 4, 12, 20, 30, 40):
        slow = gridded_otf(sin_alpha, DEFOCUS_DOF[row], waves)
        np.testing.assert_allclose(slow.imag, 0, atol=2e-3)
        np.testing.assert_allclose(table[row], slow.real, atol=8e-3, err_msg=str(row))


def test_otf_in_focus_is_the_analytic_one_of_a_circular_aperture():
    s = FREQUENCIES
    analytic = 2 / np.pi * (np.arccos(s) - s * np.sqrt(1 - s**2))
    np.testing.assert_allclose(defocused_otf(0.6)[0], analytic, atol=2e-4)


def test_paraxial_otf_is_hopkins_integral():
    """Hopkins 1955: 4 / pi times the integral of sqrt(1 - (x + s)^2) cos(8 pi W20 s x)."""
    table = defocused_otf(0.001)
    for row in (3, 11, 22):
        w20 = DEFOCUS_DOF[row] / 2
        for column in (5, 20, 50, 90):
            s = FREQUENCIES[column]
            x = np.linspace(0, 1 - s, 20001)
            f = np.sqrt(np.maximum(1 - (x + s) ** 2, 0)) * np.cos(8 * np.pi * w20 * s * x)
            assert table[row, column] == pytest.approx(4 / np.pi * np.trapezoid(f, x), abs=3e-4)


@pytest.mark.parametrize("cutoff", [0.3, 0.9])
def test_rings_hold_what_square_pixels_fold_back(cutoff):
    """Noise with the model's spectrum, drawn on finer pixels, added up by the camera's."""
    fine, size = 4, 64
    rng = np.random.default_rng(0)
    frequency = np.hypot(np.fft.fftfreq(fine * size)[:, None], np.fft.fftfreq(fine * size)) * fine
    frequency[0, 0] = 1e9
    s = frequency / cutoff
    transfer = np.clip(1 - FREQUENCIES, 0, 1)
    amplitude = np.interp(s, FREQUENCIES, transfer, right=0) / s
    ring = rings((size, size), cutoff)
    seen = np.zeros(len(ring.count))
    for _ in range(150):
        light = np.fft.ifft2(np.fft.fft2(rng.normal(size=s.shape)) * amplitude).real
        pixels = light.reshape(size, fine, size, fine).mean((1, 3))
        seen += ring.mean(np.abs(np.fft.rfft2(pixels)) ** 2)
    modelled = ring.gather @ transfer**2
    inside = ring.frequency < 0.9
    ratio = seen[inside] / modelled[inside]
    np.testing.assert_allclose(ratio, np.median(ratio), rtol=0.12)


def test_intervals_cover_and_far_images_are_never_called_near():
    answered = covered = 0
    for seed in range(5000, 5036):
        scene = draw_scene(seed, farthest_dof=20.0 if seed % 4 == 0 else 6.0)
        quality = focus_quality(image(scene), scene.setup)
        if quality.found:
            truth = abs(scene.defocus_dof)
            low, high = quality.interval_dof
            answered += 1
            covered += low - 1e-9 <= truth <= high + 1e-9
            assert abs(quality.defocus_dof - truth) < 1.5, scene
    assert answered >= 10
    assert covered >= 0.85 * answered


@pytest.fixture(scope="module")
def measured_psf(shared_data):
    """Answers for each plane of a measured bead, and its true distance from focus."""
    file = shared_data / "psf" / "pyotf_psf_wl520nm_z300nm_x130nm_na0.85_n1.0.tif"
    planes = tifffile.imread(file)
    stack = FocalStack.of(planes, z_step_um=PSF_STEP_UM, setup=PSF_SETUP, name="bead")
    # The brightest pixel of each plane marks focus, independently of any spectrum.
    brightest = planes.max(axis=(1, 2)).astype(float)
    top = int(brightest.argmax())
    bend = np.polyfit(np.arange(top - 2, top + 3), brightest[top - 2 : top + 3], 2)
    focus = -bend[1] / (2 * bend[0])
    truth = (np.arange(len(planes)) - focus) * PSF_STEP_UM / PSF_SETUP.depth_of_field_um
    return focus_quality(stack), np.abs(truth)


def test_measured_bead_is_placed_within_three_quarters_of_a_depth_of_field(measured_psf):
    answers, truth = measured_psf
    near = [(one, true) for one, true in zip(answers, truth, strict=True) if true <= 3]
    found = [(one.defocus_dof, true) for one, true in near if one.found]
    assert len(found) >= 0.6 * len(near)
    errors = [abs(estimate - true) for estimate, true in found]
    assert max(errors) < 0.75
    assert np.median(errors) < 0.3
    order = np.argsort([true for _, true in found])
    sorted_estimates = np.array([estimate for estimate, _ in found])[order]
    assert np.corrcoef(np.arange(len(found)), sorted_estimates)[0, 1] > 0.9
    # In focus is called so, and nothing beyond two depths of field is.
    assert answers[int(truth.argmin())].grade == "in focus"
    far = [one for one, true in zip(answers, truth, strict=True) if true > 2]
    assert all(one.grade != "in focus" for one in far)


def test_undersampled_beads_are_declined_with_the_pixel_size_that_would_do(shared_data):
    folder = shared_data / "faim_beads" / "E07_s1"
    planes = np.stack([tifffile.imread(file) for file in sorted(folder.glob("*.tif"))])
    setup = OpticalSetup(na=0.75, wavelength_nm=536, pixel_um=1.3668)
    for one in focus_quality(planes, setup):
        assert one.status == Status.UNCERTAIN
        assert "undersampled" in one.reason
        assert "0.36 um" in one.reason
        assert one.defocus_dof is None
