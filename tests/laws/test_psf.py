"""What holds for every point-spread function, whatever the optics."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from parfocal.core.setup import OpticalSetup
from parfocal.optics import (
    Aberrations,
    confocal_psf,
    light_sheet_psf,
    pupil_psfs,
    spinning_disk_psf,
    widefield_psf,
    zernike_basis,
)

AIR = OpticalSetup(na=0.75, wavelength_nm=530, pixel_um=0.2)
WATER = OpticalSetup(na=1.1, wavelength_nm=530, pixel_um=0.1, immersion_index=1.333)


def optics():
    return st.builds(
        lambda sine, index, coarseness: OpticalSetup(
            na=sine * index,
            wavelength_nm=550,
            pixel_um=coarseness * 0.55 / (4 * sine * index),
            immersion_index=index,
        ),
        st.floats(0.1, 0.93),
        st.sampled_from([1.0, 1.333, 1.515]),
        st.floats(0.4, 4.0),
    )


@settings(max_examples=15)
@given(optics(), st.floats(-6, 6), st.sampled_from(["scalar", "vectorial"]))
def test_energy_is_kept_through_z_and_nothing_is_negative(setup, depths, model):
    z = [0.0, depths * setup.depth_of_field_um]
    folded = widefield_psf(setup, z, size_px=48, model=model, beyond="fold")
    torch.testing.assert_close(folded.sum((1, 2)), torch.ones(2), atol=1e-5, rtol=0)
    assert folded.min() > -1e-5 * folded.max()
    cut = widefield_psf(setup, z, size_px=48, model=model)
    assert (cut.sum((1, 2)) < 1.001).all()


def test_a_wide_window_holds_the_light_of_every_plane():
    psf = widefield_psf(AIR, [-6.0, -2.0, 0.0, 3.0], size_px=160)
    assert psf.sum((1, 2)).min() > 0.975


@settings(max_examples=10)
@given(optics(), st.floats(0.1, 6))
def test_planes_mirror_in_focus_without_aberrations(setup, depths):
    z = depths * setup.depth_of_field_um
    below, above = widefield_psf(setup, [-z, z], size_px=33)
    torch.testing.assert_close(below, above, atol=1e-5 * float(above.max()), rtol=0)


def test_planes_mirror_in_x_and_y():
    psf = widefield_psf(AIR, [1.5], size_px=33)[0]
    for mirrored in (psf.flip(0), psf.flip(1), psf.T):
        torch.testing.assert_close(psf, mirrored, atol=1e-6, rtol=0)


def test_spherical_aberration_breaks_the_mirror_and_its_sign_turns_it():
    plus = Aberrations(zernike_waves={12: 0.08})
    minus = Aberrations(zernike_waves={12: -0.08})
    below, above = widefield_psf(AIR, [-2.0, 2.0], size_px=33, aberrations=plus)
    turned = widefield_psf(AIR, [-2.0, 2.0], size_px=33, aberrations=minus)
    assert (below - above).abs().max() > 0.1 * above.max()
    torch.testing.assert_close(turned[1], below, atol=1e-5, rtol=0)


def test_zernike_defocus_acts_like_a_stage_too_deep_at_low_aperture():
    """Contract of signs: positive W is positive defocus. -rho^2 there, so j = 4 is its negative."""
    setup = OpticalSetup(na=0.2, wavelength_nm=500, pixel_um=0.6)
    spherical = {12: 0.1}
    z = 1.5 * setup.depth_of_field_um
    waves = -z * setup.na**2 / (2 * setup.wavelength_um) / (2 * 3**0.5)
    moved = widefield_psf(setup, [z], aberrations=Aberrations(zernike_waves=spherical), size_px=48)
    bent = Aberrations(zernike_waves=spherical | {4: waves})
    torch.testing.assert_close(
        widefield_psf(setup, [0.0], aberrations=bent, size_px=48), moved, atol=2e-3, rtol=0.02
    )


def test_zernike_polynomials_are_orthonormal_over_the_disc():
    axis = (torch.arange(600, dtype=torch.float64) + 0.5) / 300 - 1
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    inside = y**2 + x**2 < 1
    values = zernike_basis(range(28), y, x)[:, inside]
    products = values @ values.T / inside.sum()
    torch.testing.assert_close(products, torch.eye(28).double(), atol=0.02, rtol=0)


def batch(count=5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    na = 0.3 + 0.6 * torch.rand(count, generator=generator)
    return {
        "na": na,
        "index": torch.ones(count),
        "wavelength_um": torch.full((count,), 0.53),
        "pixel_um": 0.2 / na,
        "z_um": torch.randn(count, 2, generator=generator) / na[:, None] ** 2,
        "zernike_waves": 0.03 * torch.randn(count, 15, generator=generator),
    }


def test_each_optic_of_a_batch_is_as_it_is_alone():
    values = batch()
    together = pupil_psfs(**values, size_px=32)
    torch.testing.assert_close(together.sum((2, 3)), torch.ones(5, 2), atol=1e-5, rtol=0)
    for row in range(5):
        alone = pupil_psfs(
            **{name: value[row : row + 1] for name, value in values.items()}, size_px=32
        )
        torch.testing.assert_close(together[row], alone[0], atol=1e-7, rtol=1e-4)


def test_the_batch_kernel_is_differentiable_in_all_that_it_takes():
    values = {name: value[:2].double().requires_grad_() for name, value in batch().items()}
    values["zernike_waves"] = values["zernike_waves"][:, :6].detach().requires_grad_()
    names = list(values)

    def score(*tensors):
        psfs = pupil_psfs(**dict(zip(names, tensors, strict=True)), size_px=6)
        return psfs.square().sum((2, 3))

    assert torch.autograd.gradcheck(score, tuple(values.values()), eps=1e-6, atol=1e-5)


def test_planes_are_differentiable_in_z():
    z = torch.tensor([0.3, -0.8], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda z: widefield_psf(AIR, z, size_px=5), (z,))


@pytest.mark.parametrize("setup", [AIR, WATER])
def test_float32_stays_within_2e_5_of_float64(setup):
    z = torch.tensor([0.0, 5.0, -20.0], dtype=torch.float64) * setup.depth_of_field_um
    double = widefield_psf(setup, z, size_px=64)
    single = widefield_psf(setup, z.float(), size_px=64)
    assert ((single - double).abs().amax((1, 2)) / double.amax((1, 2))).max() < 2e-5


@pytest.mark.parametrize("kind", ["confocal", "spinning"])
def test_pinholes_section_and_sharpen(kind):
    z = [-2.0, -1.0, 0.0, 1.0, 2.0]
    if kind == "confocal":
        psf = confocal_psf(WATER, z, excitation_nm=488.0, size_px=33)
    else:
        psf = spinning_disk_psf(
            WATER, z, excitation_nm=488.0, pinhole_um=0.5, spacing_um=2.5, size_px=33
        )
    wide = widefield_psf(WATER, z, size_px=33)
    sums = psf.sum((1, 2))
    assert sums[2] == pytest.approx(1.0, abs=1e-4)
    assert (sums[[1, 3]] < 0.3).all()
    assert (sums[[0, 4]] < sums[[1, 3]]).all()
    assert psf.min() >= 0
    torch.testing.assert_close(psf[:2], psf[[4, 3]], atol=1e-5, rtol=1e-3)
    assert psf[2].max() > 1.3 * wide[2].max()


def test_a_closed_pinhole_is_the_product_of_both_foci():
    """As the hole closes, the function tends to excitation times emission [Wilson1990]_."""
    setup = OpticalSetup(na=0.5, wavelength_nm=520, pixel_um=0.1)
    tight = confocal_psf(setup, [0.0, 3.0], excitation_nm=520.0, pinhole_airy=0.02, model="scalar")
    wide = widefield_psf(setup, [0.0, 3.0], model="scalar", pixel="point", apodisation="none")
    product = wide.square()
    product = product / product[0].sum()
    assert (tight - product).abs().max() < 0.03 * product.max()


def test_an_open_pinhole_detects_like_widefield():
    shut = confocal_psf(WATER, [0.0, 1.5], excitation_nm=488.0, pinhole_airy=1.0, size_px=64)
    open_ = confocal_psf(WATER, [0.0, 1.5], excitation_nm=488.0, pinhole_airy=12.0, size_px=64)
    assert open_[1].sum() > 0.9
    assert shut[1].sum() < 0.15


def test_crosstalk_far_from_focus_is_the_share_of_the_disk_that_is_holes():
    """Against widefield, light far from focus passes as often as the array is open."""
    z = [0.0, 12.0, 14.0]
    kwargs = {"excitation_nm": 488.0, "pinhole_um": 0.5, "spacing_um": 2.5, "size_px": 49}
    disk = spinning_disk_psf(WATER, z, **kwargs).sum((1, 2))
    wide = widefield_psf(WATER, z, size_px=49).sum((1, 2))
    far = disk / wide
    tight = spinning_disk_psf(WATER, z, **(kwargs | {"spacing_um": 5.0})).sum((1, 2)) / wide
    # The share of holes falls by 4 with twice the spacing.
    assert far[1] / tight[1] == pytest.approx(4.0, rel=0.1)
    assert far[1] == pytest.approx(float(far[2]), rel=0.05)


def test_a_sheet_weighs_each_plane_by_its_profile():
    z = torch.tensor([-6.0, -2.0, 0.0, 2.25])
    setup = OpticalSetup(na=0.6, wavelength_nm=580, pixel_um=0.65)
    wide = widefield_psf(setup, z, size_px=64)
    lit = light_sheet_psf(setup, z, waist_um=8.5, sheet_offset_um=2.0, size_px=64)
    shares = (lit.sum((1, 2)) / wide.sum((1, 2))).tolist()
    assert shares[1] == pytest.approx(1.0)
    assert shares[3] == pytest.approx(0.5)  # half a waist above the middle of the sheet
    even = light_sheet_psf(setup, z, waist_um=1e6, size_px=64)
    torch.testing.assert_close(even, wide)
