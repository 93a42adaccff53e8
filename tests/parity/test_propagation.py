"""Propagation against Fresnel's integrals and the closed form on the axis."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import special

from parfocal.optics.propagation import angular_spectrum, fresnel

WAVELENGTH_NM = 500.0


@pytest.mark.parametrize("propagate", [fresnel, angular_spectrum])
def test_slit_is_fresnels_integrals(propagate):
    """Near field of a slit, from its geometric shadow to far outside it."""
    half_um, distance_um, pixel_um, size = 40.0, 1500.0, 0.25, 8192
    x_um = (np.arange(size) - size // 2) * pixel_um
    share = np.clip((half_um - np.abs(x_um)) / pixel_um + 0.5, 0, 1)  # of each sample
    field = torch.from_numpy(share).to(torch.complex128)[None]
    optics = {"wavelength_nm": WAVELENGTH_NM, "pixel_um": pixel_um}
    found = propagate(field, torch.tensor([distance_um]), **optics)[0, 0].abs().square().numpy()

    scale = math.sqrt(2.0 / (WAVELENGTH_NM / 1000 * distance_um))
    s_low, c_low = special.fresnel(-scale * (half_um + x_um))
    s_high, c_high = special.fresnel(scale * (half_um - x_um))
    expected = 0.5 * ((c_high - c_low) ** 2 + (s_high - s_low) ** 2)
    seen = np.abs(x_um) < 150
    assert expected.max() > 1.3
    np.testing.assert_allclose(found[seen], expected[seen], atol=0.02)


def test_axis_behind_a_round_hole_alternates():
    """|1 - exp(i pi a^2 / (lambda z))|^2: 4 for odd Fresnel numbers, 0 for even ones."""
    radius_um, pixel_um, size, fine = 20.0, 0.5, 512, 4
    sub_um = (np.arange(size * fine) - (size // 2) * fine - (fine - 1) / 2) * pixel_um / fine
    hole = sub_um[:, None] ** 2 + sub_um**2 <= radius_um**2
    share = hole.reshape(size, fine, size, fine).mean((1, 3))
    numbers = torch.arange(1, 6)
    distance_um = radius_um**2 / (WAVELENGTH_NM / 1000 * numbers.double())
    field = torch.from_numpy(share).to(torch.complex64)
    found = fresnel(field, distance_um, wavelength_nm=WAVELENGTH_NM, pixel_um=pixel_um)
    axis = found[:, size // 2, size // 2].abs().square()
    torch.testing.assert_close(axis, (numbers % 2 * 4).float(), atol=0.15, rtol=0)


def test_plane_wave_takes_on_its_exact_phase():
    """A wave of 4 cycles over 10 um at index 1.33; float32 within 2e-5 after 200 um."""
    x_um = torch.arange(32, dtype=torch.float64) * 10 / 32
    cycles = 4 / 10
    wave = torch.exp(2j * math.pi * cycles * x_um).expand(4, -1)
    kz = math.sqrt((1.33 / 0.5) ** 2 - cycles**2) - 1.33 / 0.5
    expected = wave * np.exp(2j * math.pi * 200 * kz)
    optics = {"wavelength_nm": 500.0, "pixel_um": 10 / 32, "index": 1.33}
    found = angular_spectrum(wave, torch.tensor([200.0]), **optics)[0]
    torch.testing.assert_close(found, expected)
    single = angular_spectrum(wave.cfloat(), torch.tensor([200.0]), **optics)[0]
    torch.testing.assert_close(single, expected.cfloat(), atol=2e-5, rtol=0)


def test_evanescent_wave_decays_by_its_exact_rate():
    """A wave of 0.4 um at 500 nm: its own phase stands still, less that of the axial wave."""
    x_um = torch.arange(8, dtype=torch.float64) * 0.05
    wave = torch.exp(2j * math.pi * x_um / 0.4).expand(4, -1)
    optics = {"wavelength_nm": WAVELENGTH_NM, "pixel_um": 0.05}
    found = angular_spectrum(wave, torch.tensor([0.3], dtype=torch.float64), **optics)[0]
    rate = math.sqrt(1 / 0.4**2 - 1 / 0.5**2)
    expected = wave * np.exp(-2 * math.pi * 0.3 * (rate + 1j / 0.5))
    torch.testing.assert_close(found, expected)


def test_tilt_is_a_factor_of_the_field():
    """With a tilt that fits the grid, splitting it off or leaving it in is the same."""
    x_um = torch.arange(64, dtype=torch.float64) * 0.2
    noise = torch.randn(64, 64, dtype=torch.complex128, generator=torch.Generator().manual_seed(1))
    na_y, na_x = 3 / 12.8 * 0.5, -5 / 12.8 * 0.5
    wave = torch.exp(2j * math.pi / 0.5 * (na_y * x_um[:, None] + na_x * x_um))
    optics = {"wavelength_nm": 500.0, "pixel_um": 0.2, "index": 1.0}
    smooth = torch.fft.ifft2(torch.fft.fft2(noise) * (torch.fft.fftfreq(64).abs() < 0.2))
    z_um = torch.tensor([7.0], dtype=torch.float64)
    apart = angular_spectrum(smooth, z_um, na_yx=(na_y, na_x), **optics)[0] * wave
    torch.testing.assert_close(apart, angular_spectrum(smooth * wave, z_um, **optics)[0])
