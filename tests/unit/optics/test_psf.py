"""Refusals, layouts and the fit of point-spread functions."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from parfocal.core.errors import InputError, ShapeError
from parfocal.core.setup import OpticalSetup
from parfocal.optics import (
    Aberrations,
    Layers,
    confocal_psf,
    fit_aberrations,
    pupil_psfs,
    spinning_disk_psf,
    widefield_psf,
)
from parfocal.optics.layers import layer_waves
from parfocal.optics.zernike import osa_orders

AIR = OpticalSetup(na=0.8, wavelength_nm=520, pixel_um=0.13)


@pytest.mark.parametrize("size_px", [1, 31, 32])
def test_the_point_is_in_the_middle(size_px):
    psf = widefield_psf(AIR, [0.0, 0.5], size_px=size_px)
    assert psf.shape == (2, size_px, size_px)
    assert psf.flatten(1).argmax(1).tolist() == [(size_px + 1) * (size_px // 2)] * 2


def test_coarse_points_are_refused_with_the_pixel_that_would_do():
    coarse = AIR.model_copy(update={"pixel_um": 0.3})
    with pytest.raises(InputError, match=r"0\.3 um apart alias.* pixel of 0\.1625 um or less"):
        widefield_psf(coarse, [0.0], pixel="point")
    fits = coarse.model_copy(update={"pixel_um": 0.1625})
    assert widefield_psf(fits, [0.0], size_px=9, pixel="point").shape == (1, 9, 9)


def test_light_that_spreads_too_far_is_refused_with_the_limit():
    with pytest.raises(InputError, match=r"at most 665 um can be computed"):
        widefield_psf(AIR, [5000.0])
    with pytest.raises(InputError, match=r"optic 1 would spread over .* come closer to focus"):
        pupil_psfs(
            na=0.8,
            index=1.0,
            wavelength_um=0.5,
            pixel_um=torch.tensor([0.1, 0.1]),
            z_um=torch.tensor([[0.0], [900.0]]),
            size_px=8,
        )


def test_impossible_optics_of_a_batch_are_named():
    values = {"wavelength_um": 0.5, "pixel_um": torch.full((2,), 0.1), "size_px": 8}
    with pytest.raises(InputError, match=r"Optic 1 has NA 1\.2 in index 1"):
        pupil_psfs(na=torch.tensor([0.5, 1.2]), index=1.0, z_um=torch.zeros(2, 1), **values)


def test_other_refusals_say_what_came():
    with pytest.raises(InputError, match="not finite"):
        widefield_psf(AIR, [float("nan")])
    with pytest.raises(ShapeError, match="one axis"):
        widefield_psf(AIR, np.zeros((2, 2)))
    with pytest.raises(InputError, match="size_px must be 1 or more, but came as 0"):
        widefield_psf(AIR, [0.0], size_px=0)
    with pytest.raises(InputError, match="pinhole_airy must be positive"):
        confocal_psf(AIR, [0.0], excitation_nm=488.0, pinhole_airy=0.0)
    with pytest.raises(InputError, match=r"overlap 0\.5 um apart"):
        spinning_disk_psf(AIR, [0.0], excitation_nm=488.0, pinhole_um=1.0, spacing_um=0.5)
    with pytest.raises(InputError, match="OSA/ANSI index lies between"):
        osa_orders(-1)


def test_depths_of_float64_tensors_alone_compute_in_float64():
    assert widefield_psf(AIR, np.zeros(1), size_px=4).dtype == torch.float32
    assert widefield_psf(AIR, torch.zeros(1).double(), size_px=4).dtype == torch.float64
    assert widefield_psf(AIR, [], size_px=4).shape == (0, 4, 4)


def test_layers_as_designed_change_nothing_but_the_fresnel_losses():
    oil = OpticalSetup(
        na=1.2, wavelength_nm=520, pixel_um=0.08, immersion_index=1.515, sample_index=1.515
    )
    plain = widefield_psf(oil, [0.0, 0.7], size_px=32)
    layered = widefield_psf(oil, [0.0, 0.7], size_px=32, layers=Layers(depth_um=20.0))
    torch.testing.assert_close(plain, layered, atol=1e-5, rtol=1e-3)


def test_a_thick_coverslip_adds_spherical_aberration_of_its_sign():
    rho2 = torch.linspace(0, 1, 5, dtype=torch.float64)
    thick = layer_waves(rho2, AIR, Layers(coverslip_um=180.0))
    cos = [np.sqrt(n**2 - AIR.na**2 * rho2.numpy()) - n for n in (1.515,)]
    np.testing.assert_allclose(thick, -10.0 / AIR.wavelength_um * cos[0], atol=1e-9)


def test_fit_finds_the_aberrations_focus_and_place_that_were_put_in():
    true = {5: -0.04, 7: 0.03, 12: 0.06}
    z = np.arange(7) * 0.7
    moved = {1: 0.05, 2: -0.08}  # tilts: the image moves against them
    stack = widefield_psf(
        AIR,
        z - 2.2,
        size_px=24,
        aberrations=Aberrations(zernike_waves=true | moved),
        model="scalar",
    )
    fit = fit_aberrations(5000 * stack + 90, AIR, z, terms=[5, 7, 12], model="scalar", steps=25)
    for j, value in true.items():
        assert fit.aberrations.zernike_waves[j] == pytest.approx(value, abs=0.005)
    assert fit.focus_um == pytest.approx(2.2, abs=0.01)
    unit_um = 2 * AIR.wavelength_um / AIR.na
    assert fit.shift_um == pytest.approx((-0.05 * unit_um, 0.08 * unit_um), abs=0.004)
    assert fit.background == pytest.approx(90, abs=0.5)
    assert fit.brightness == pytest.approx(5000, rel=0.01)
    assert fit.unexplained < 1e-3


def test_fit_finds_the_size_of_a_bead_and_planes_that_were_held_out():
    """Rings of a true ball, not the Gaussian that the fit takes for it."""
    z = np.arange(9) * 0.6
    fine = widefield_psf(AIR, z - 2.4, size_px=33, model="scalar")
    y, x = np.mgrid[-16:17, -16:17] * 0.13
    places = (np.arange(9) - 4) / 9 * 0.13  # within each pixel
    square = [(y + a) ** 2 + (x + b) ** 2 for a in places for b in places]
    thickness = np.sqrt(np.clip(0.04 - np.array(square), 0, None)).mean(axis=0)
    ball = torch.from_numpy(np.fft.rfft2(np.fft.ifftshift(thickness / thickness.sum())))
    stack = 5000 * torch.fft.irfft2(torch.fft.rfft2(fine.double()) * ball, s=(33, 33)).float()
    odd = range(1, 9, 2)
    fit = fit_aberrations(
        stack + 90, AIR, z, terms=[12], free=["bead"], model="scalar", held_out=odd, steps=25
    )
    assert fit.bead_um == pytest.approx(0.4, abs=0.05)
    assert abs(fit.aberrations.zernike_waves[12]) < 0.01
    left = (fit.psf - stack - 90)[1::2].square().sum() / stack[1::2].square().sum()
    assert left < 2e-3


def test_fit_finds_a_stage_that_errs_and_a_pupil_that_is_underfilled():
    z = torch.arange(9) * 0.4
    wrong = torch.zeros(9)
    wrong[2], wrong[5] = 0.12, -0.1
    true = AIR.model_copy(update={"na": 0.76})
    stack = 5000 * widefield_psf(true, z + wrong - 1.6, size_px=24, model="scalar") + 90
    options = {"terms": [12], "model": "scalar", "steps": 30}
    fit = fit_aberrations(stack, AIR, z, free=["na", "stage"], **options)
    assert fit.na == pytest.approx(0.76, abs=0.01)
    torch.testing.assert_close(fit.stage_um - fit.stage_um.mean(), wrong, atol=0.02, rtol=0)
    held = fit_aberrations(stack, true, z, free=["stage"], held_out=[2, 5], **options)
    assert held.stage_um[[2, 5]].tolist() == pytest.approx([0.12, -0.1], abs=0.02)
    dark = fit_aberrations(stack, AIR, z + wrong, free=["underfill"], **options)
    assert dark.underfill > 0.05
    short = fit_aberrations(stack, true, 1.1 * (z + wrong), free=["step"], **options)
    assert short.z_scale == pytest.approx(1 / 1.1, abs=0.01)


def test_fit_refuses_what_is_no_bead():
    with pytest.raises(ShapeError, match="square planes"):
        fit_aberrations(torch.zeros(3, 4, 5), AIR, [0.0, 1.0, 2.0])
    with pytest.raises(InputError, match="all alike"):
        fit_aberrations(torch.zeros(3, 4, 4), AIR, [0.0, 1.0, 2.0])
    with pytest.raises(InputError, match="above 2"):
        fit_aberrations(torch.rand(3, 4, 4), AIR, [0.0, 1.0, 2.0], terms=[1, 5])
    with pytest.raises(InputError, match="all alike"):
        fit_aberrations(torch.rand(3, 4, 4), AIR, [0.0, 1.0, 2.0], held_out=[0, 1, 2])
