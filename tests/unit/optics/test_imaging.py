"""Layers are imaged as the textbook's sum of convolutions, at any defocus."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import convolve

from parfocal.core.errors import ShapeError
from parfocal.core.setup import OpticalSetup
from parfocal.optics.imaging import Band, incoherent_images, plane_otfs, radial_otfs
from parfocal.optics.psf import widefield_psf
from parfocal.optics.transfer import TransferTable, window_px
from parfocal.optics.zernike import Aberrations

SETUP = OpticalSetup(na=0.8, wavelength_nm=520, pixel_um=0.12)


def _dice(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_images_are_the_sum_of_every_layer_convolved_with_its_own_point_image():
    layers = torch.rand(3, 24, 20, generator=_dice())
    psfs = torch.rand(4, 5, 7, generator=_dice(1))  # no symmetry at all
    which = torch.tensor([[0, 1, 2], [3, -1, 1]])
    band = Band.of((24, 20), pixel_um=0.5, cutoff_per_um=9.0)  # every frequency
    images = incoherent_images(layers, plane_otfs(psfs, band, pixel_um=0.5), which, band=band)
    for image, row in zip(images, which, strict=True):
        slow = np.zeros((24, 20))
        for layer, place in zip(layers.double().numpy(), row, strict=True):
            if place >= 0:
                slow += convolve(layer, psfs[place].double().numpy(), mode="wrap")
        np.testing.assert_allclose(image, slow, rtol=2e-5)


def test_light_is_kept_and_a_shift_commutes():
    band = Band.of((32, 48), pixel_um=0.12, cutoff_per_um=SETUP.cutoff_per_um)
    psfs = widefield_psf(SETUP, [0.0, 2.0], size_px=32, beyond="fold")
    otfs = plane_otfs(psfs, band, pixel_um=0.12)
    layers = torch.rand(2, 32, 48, generator=_dice())
    which = torch.tensor([[0, 1]])
    image = incoherent_images(layers, otfs, which, band=band)
    assert float(image.sum()) == pytest.approx(float(layers.sum()), rel=1e-4)
    moved = incoherent_images(layers.roll((3, -5), (1, 2)), otfs, which, band=band)
    torch.testing.assert_close(moved, image.roll((3, -5), (1, 2)), rtol=1e-4, atol=1e-5)


def test_the_radial_transfer_function_is_the_plane_one_of_a_round_spot():
    psf = widefield_psf(SETUP, torch.tensor([1.0]), size_px=128, pixel="point", beyond="fold")
    values, step = radial_otfs(psf, pixel_um=0.12, length=4096)
    band = Band.of((64, 64), pixel_um=0.12, cutoff_per_um=SETUP.cutoff_per_um)
    plane = plane_otfs(psf, band, pixel_um=0.12)[0]
    at = (band.radius / step).round().long()
    assert float((plane.real - values[0, at]).abs().max()) < 3e-3
    assert float(plane.imag.abs().max()) < 1e-4


@pytest.mark.parametrize("terms", [{}, {12: 0.12}, {7: 0.1, 5: 0.05}])
def test_a_table_gives_the_transfer_function_of_the_exact_defocus(terms):
    aberrations = Aberrations(zernike_waves=terms)

    def psf(z: list[float], size_px: int) -> torch.Tensor:
        fine = SETUP.model_copy(update={"pixel_um": table.pixel_um})
        return widefield_psf(
            fine, z, size_px=size_px, pixel="point", beyond="fold", aberrations=aberrations,
            model="scalar",
        )  # fmt: skip

    is_round = 7 not in terms
    table = TransferTable(SETUP, psf, is_round=is_round, is_even=not terms)
    band = Band.of((48, 40), pixel_um=0.12, cutoff_per_um=SETUP.cutoff_per_um)
    defocus = [-9.1, -0.333, 0.0, 0.456, 3.21, 9.1]
    found = table.otfs(defocus, band)
    for row, z in zip(found, defocus, strict=True):
        size_px = window_px(SETUP, z, pixel_um=table.pixel_um)
        exact = plane_otfs(psf([z], size_px), band, pixel_um=table.pixel_um)[0]
        assert float((row - exact).abs().max()) < 2e-3
    assert found.is_complex() != is_round


def test_sizes_that_do_not_fit_are_refused():
    band = Band.of((8, 8), pixel_um=1.0, cutoff_per_um=1.0)
    with pytest.raises(ShapeError, match=r"\(8, 9\) px"):
        band.spectra(torch.zeros(8, 9))
    otfs = torch.ones(1, len(band.index))
    with pytest.raises(ShapeError, match="2 layers but 3 columns"):
        incoherent_images(torch.zeros(2, 8, 8), otfs, torch.zeros(1, 3).long(), band=band)


def test_gradients_reach_layers_and_transfer_functions():
    band = Band.of((6, 6), pixel_um=1.0, cutoff_per_um=0.4)
    layers = torch.rand(2, 6, 6, dtype=torch.float64, generator=_dice(), requires_grad=True)
    otfs = torch.rand(
        2, len(band.index), dtype=torch.float64, generator=_dice(), requires_grad=True
    )
    which = torch.tensor([[0, 1], [1, 0]])
    assert torch.autograd.gradcheck(
        lambda a, b: incoherent_images(a, b, which, band=band), (layers, otfs)
    )
