"""Point-spread functions against analytic optics, direct integrals and pyotf."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import j0, j1

from parfocal.core.setup import OpticalSetup
from parfocal.optics import Layers, focal_shift_um, pupil_psfs, widefield_psf

LOW = OpticalSetup(na=0.1, wavelength_nm=500, pixel_um=0.4)
OIL = OpticalSetup(
    na=1.3, wavelength_nm=520, pixel_um=0.06, immersion_index=1.515, sample_index=1.33
)


def double(*values):
    return torch.tensor(values, dtype=torch.float64)


def radius_um(setup, size_px):
    axis = (np.arange(size_px) - size_px // 2) * setup.pixel_um
    return np.hypot(axis[:, None], axis)


def test_low_aperture_in_focus_is_the_airy_pattern():
    psf = widefield_psf(LOW, double(0.0), size_px=128, model="scalar", pixel="point")[0].numpy()
    v = np.maximum(2 * np.pi * LOW.na * radius_um(LOW, 128) / LOW.wavelength_um, 1e-9)
    airy = np.pi * (LOW.na / LOW.wavelength_um * LOW.pixel_um) ** 2 * (2 * j1(v) / v) ** 2
    np.testing.assert_allclose(psf, airy, atol=1e-3 * airy.max())


def test_the_first_dark_ring_encircles_84_percent():
    fine = LOW.model_copy(update={"pixel_um": 0.05})
    psf = widefield_psf(fine, double(0.0), size_px=256, model="scalar")[0].numpy()
    inside = radius_um(fine, 256) <= 1.2197 / 2 * fine.wavelength_um / fine.na
    assert psf[inside].sum() == pytest.approx(0.838, abs=2e-3)


def test_the_axis_through_focus_is_a_squared_sinc():
    z = np.linspace(-120, 120, 13)
    psf = widefield_psf(
        LOW, torch.from_numpy(z), size_px=32, model="scalar", pixel="point", apodisation="none"
    )
    half_waves = z / (LOW.wavelength_um / LOW.na**2) / 2
    expected = np.sinc(half_waves) ** 2
    np.testing.assert_allclose(psf[:, 16, 16] / psf[6, 16, 16], expected, atol=4e-3)


@pytest.mark.filterwarnings("ignore")  # the oracle's own
@pytest.mark.parametrize(
    ("na", "index", "pixel_um"), [(0.5, 1.0, 0.1), (0.9, 1.0, 0.1), (1.3, 1.515, 0.08)]
)
def test_vectorial_planes_are_those_of_pyotf(na, index, pixel_um):
    """In three dimensions, to 1 % of the brightest pixel of each plane."""
    from pyotf.otf import HanserPSF

    z_um = np.array([-1.5, -0.6, 0.0, 0.6, 1.5])
    oracle = HanserPSF(
        0.52, na, index, pixel_um, 512, zrange=z_um, vec_corr="total", condition="sine"
    ).PSFi
    oracle = oracle / oracle.sum((1, 2), keepdims=True)
    setup = OpticalSetup(na=na, wavelength_nm=520, pixel_um=pixel_um, immersion_index=index)
    psf = widefield_psf(setup, torch.from_numpy(z_um), size_px=64, pixel="point").numpy()
    cut = oracle[:, 224:288, 224:288]
    assert (abs(psf - cut).max((1, 2)) / cut.max((1, 2))).max() < 0.01


def direct_axis_and_ring(setup, z_um, depth_um, radius_um):
    """Gibson and Lanni's integral, scalar and unapodised, by midpoints over the pupil's radius."""
    na, k = setup.na, 2 * np.pi / setup.wavelength_um
    n_i, n_s = setup.immersion_index, setup.sample_index
    rho = (np.arange(20000) + 0.5) / 20000
    path = depth_um * np.sqrt(n_s**2 - (na * rho) ** 2)
    path -= (depth_um + z_um) * np.sqrt(n_i**2 - (na * rho) ** 2)
    field = j0(k * na * rho * radius_um) * np.exp(1j * k * path) * rho
    return abs(field.sum() / 20000) ** 2


def test_depth_in_a_mismatched_sample_is_the_direct_integral():
    """NA 1.2 of oil into water, 8 um deep: shift, asymmetry and rings of each plane."""
    setup = OIL.model_copy(update={"na": 1.2})
    layers = Layers(depth_um=8.0, focus="nominal")
    z = np.linspace(-1.0, 4.0, 11)
    psf = _without_fresnel(setup, layers, z)
    for radius_px in (0, 4, 9):
        direct = [direct_axis_and_ring(setup, d, 8.0, radius_px * setup.pixel_um) for d in z]
        scale = np.pi * (setup.na / setup.wavelength_um * setup.pixel_um) ** 2 * 4
        np.testing.assert_allclose(
            psf[:, 32, 32 + radius_px], np.array(direct) * scale, atol=4e-3 * psf.max()
        )


def _without_fresnel(setup, layers, z):
    """The layered phase on an even pupil."""
    from dataclasses import replace

    from parfocal.optics.layers import layer_waves
    from parfocal.optics.psf import camera_matrix, make_pupil
    from parfocal.optics.pupil import pupil_grid
    from parfocal.optics.sampling import onto_pixels

    z = torch.from_numpy(z)
    pupil = make_pupil(setup, z * 3, window_um=4.0, model="scalar", layers=layers)
    y, x, share = pupil_grid(pupil.grid_px // 4 - 1, dtype=torch.float64)
    waves = layer_waves(y**2 + x**2, setup, layers)
    pupil = replace(pupil, amplitude=(share / share.sum().sqrt())[None], phase_waves=waves)
    matrix = camera_matrix(pupil, setup.pixel_um, 64, pixel="point")
    return onto_pixels(pupil.intensities(z), matrix).numpy()


def test_focus_moves_by_the_ratio_of_indices_at_low_aperture():
    """Paraxially the stage moves by depth * immersion / sample."""
    setup = OpticalSetup(
        na=0.15, wavelength_nm=520, pixel_um=0.6, immersion_index=1.515, sample_index=1.33
    )
    assert focal_shift_um(setup, Layers(depth_um=50.0)) == pytest.approx(
        50 * (1.515 / 1.33 - 1), rel=0.01
    )


def test_depth_in_water_under_oil_blurs_the_two_sides_of_focus_differently():
    layers = Layers(depth_um=10.0)
    psf = widefield_psf(OIL, [-1.0, -0.3, 0.0, 0.3, 1.0], size_px=64, layers=layers)
    below, best, above = psf[0, 32, 32], psf[2, 32, 32], psf[4, 32, 32]
    assert best > psf[1, 32, 32]
    assert best > psf[3, 32, 32]
    # The inner rays cross the axis before best focus, so light is left there on that side.
    assert below > 1.5 * above


@pytest.mark.parametrize("na", [0.1, 0.2])
def test_polarisation_does_not_matter_at_low_aperture(na):
    setup = OpticalSetup(na=na, wavelength_nm=500, pixel_um=0.5)
    z = [0.0, 2.0 * setup.depth_of_field_um]
    vectorial = widefield_psf(setup, z, size_px=48)
    scalar = widefield_psf(setup, z, size_px=48, model="scalar")
    assert (vectorial - scalar).abs().max() < 0.02 * scalar.max()


@pytest.mark.parametrize(
    ("na", "index", "pixel_um"), [(0.3, 1.0, 0.65), (0.8, 1.0, 0.325), (1.3, 1.515, 0.08)]
)
def test_the_batch_kernel_is_the_scalar_function(na, index, pixel_um):
    setup = OpticalSetup(na=na, wavelength_nm=530, pixel_um=pixel_um, immersion_index=index)
    z = [-3 * setup.depth_of_field_um, 0.0, 6 * setup.depth_of_field_um]
    slow = widefield_psf(setup, z, size_px=96, model="scalar", beyond="fold")
    fast = pupil_psfs(
        na=na,
        index=index,
        wavelength_um=0.53,
        pixel_um=torch.tensor([pixel_um]),
        z_um=torch.tensor([z]),
        size_px=96,
    )[0]
    assert ((slow - fast).abs().amax((1, 2)) / slow.amax((1, 2))).max() < 0.01


def test_pixels_integrate_what_finer_ones_hold():
    fine = OpticalSetup(na=0.8, wavelength_nm=530, pixel_um=0.1)
    coarse = fine.model_copy(update={"pixel_um": 0.5})
    z = double(0.0, 3.0)
    small = widefield_psf(fine, z, size_px=165)
    big = widefield_psf(coarse, z, size_px=33)
    summed = small.reshape(2, 33, 5, 33, 5).sum((2, 4))
    torch.testing.assert_close(summed, big, atol=1e-9, rtol=1e-6)
