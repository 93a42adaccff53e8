"""Kernels of blind refocusing beside other libraries and slow references."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity

from parfocal.core.setup import OpticalSetup
from parfocal.optics import widefield_psf
from parfocal.optics.nominal import nominal_transfers
from parfocal.refocus.hypotheses import CORNER, DAMPING, LEAST_LIGHT, REGULAR, levels_of, views_of
from parfocal.refocus.tiling import mirrored, resized
from parfocal.train import refocus_losses


def test_nominal_transfers_are_those_of_the_scalar_model():
    setup = OpticalSetup(na=0.6, wavelength_nm=520, pixel_um=0.25)
    depth_um = setup.depth_of_field_um
    psf = widefield_psf(setup, torch.tensor([2 * depth_um]), size_px=64, model="scalar")[0]
    expected = torch.fft.rfft2(torch.fft.ifftshift(psf.float()))
    one = torch.ones(1)
    found = nominal_transfers(
        na=0.6 * one, index=one, wavelength_um=0.52 * one, pixel_um=0.25 * one,
        defocus_dof=(2.0,), size_px=64,
    )[0, 0]  # fmt: skip
    torch.testing.assert_close(found, expected.real, atol=2e-2, rtol=0)
    assert float(expected.imag.abs().max()) < 1e-3


def test_views_are_wiener_and_two_steps_of_richardson_lucy_by_the_book():
    dice = np.random.default_rng(0)
    image = dice.poisson(30 + 200 * (dice.random((32, 32)) > 0.95)).astype(np.float64)
    y, x = np.meshgrid(*[np.fft.fftfreq(32)] * 2, indexing="ij")
    transfer = np.exp(-60 * (x**2 + y**2))
    tensor = torch.from_numpy(image)[None].float()
    levels = levels_of(tensor)
    half = torch.from_numpy(transfer[:, :17])[None, None].float()
    found = views_of(tensor, levels, transfers=half, pixel=torch.tensor([0.4]))[0, 1].numpy()

    small = (image - image.mean()) / image.std(ddof=1)
    noise = float(levels.noise) ** 2
    ratio = REGULAR * noise / (1 - noise) * (1 + (x**2 + y**2) / (2 * CORNER * 0.4) ** 2)
    start = np.fft.ifft2(np.fft.fft2(small) * transfer / (transfer**2 + ratio)).real
    floor = float(levels.floor)
    guess = np.clip(start - floor, LEAST_LIGHT, None)

    def blur(field):
        return np.fft.ifft2(np.fft.fft2(field) * transfer).real

    for _ in range(2):
        seen = np.clip(small - floor, 0, None) + DAMPING
        guess = guess * blur(seen / (blur(guess) + DAMPING))
    np.testing.assert_allclose(found, guess + floor, atol=2e-3)


def test_similarity_at_one_scale_is_scikit_image_s():
    dice = np.random.default_rng(2)
    one = dice.random((64, 64)).astype(np.float32)
    other = np.clip(one + 0.2 * dice.random((64, 64)), 0, 1).astype(np.float32)
    light, structure = refocus_losses._similarities(
        torch.from_numpy(one)[None], torch.from_numpy(other)[None]
    )
    _, expected = structural_similarity(
        one, other, data_range=1.0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
        full=True,
    )  # fmt: skip
    np.testing.assert_allclose((light * structure)[0].numpy(), expected[5:-5, 5:-5], atol=1e-4)


@pytest.mark.parametrize("first", [-3, 0, 5])
def test_mirrored_places_are_numpy_s_reflection(first):
    line = np.arange(10)
    padded = np.pad(line, 8, mode="reflect")
    expected = padded[8 + first : 8 + first + 12] if first + 12 <= 18 else None
    np.testing.assert_array_equal(line[mirrored(first, 12, 10)], expected)


def test_resizing_is_exact_for_what_both_sizes_hold():
    def wave(size):
        place = (torch.arange(size, dtype=torch.float64) + 0.5) / size
        y, x = torch.cos(3 * torch.pi * place), 2 + torch.cos(5 * torch.pi * place)
        return y[:, None] * x

    torch.testing.assert_close(resized(wave(32), (48, 48)), wave(48), atol=1e-10, rtol=0)
    torch.testing.assert_close(resized(wave(48), (16, 16)), wave(16), atol=1e-10, rtol=0)
