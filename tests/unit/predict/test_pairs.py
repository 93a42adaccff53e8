from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.fft
import torch

from parfocal.core.setup import OpticalSetup
from parfocal.predict.pairs import (
    bin_centres,
    normalised,
    resample,
    resampling,
    swapped,
    two_hot,
)


def test_resampling_crops_the_cosine_spectrum_as_scipy_would():
    image = torch.from_numpy(np.random.default_rng(0).normal(size=(40, 30)))
    spectrum = scipy.fft.dctn(image.numpy(), norm="ortho")[:20, :15]
    expected = scipy.fft.idctn(spectrum, norm="ortho") / 2.0
    np.testing.assert_allclose(resample(image, 0.5).numpy(), expected, atol=1e-12)


def test_resampling_keeps_a_slow_wave_and_drops_a_fast_one():
    place = (torch.arange(64) + 0.5) / 64
    slow, fast = torch.cos(math.pi * 4 * place), torch.cos(math.pi * 50 * place)
    small = resample((slow + fast).expand(64, 64), 0.5)
    expected = torch.cos(math.pi * 4 * (torch.arange(32) + 0.5) / 32)
    torch.testing.assert_close(small, expected.expand(32, 32), atol=1e-5, rtol=0)


@pytest.mark.parametrize(("pixel_um", "share"), [(0.1, 0.2), (0.21, 1.0), (0.6, 1.0)])
def test_only_fine_pixels_are_resampled(pixel_um, share):
    setup = OpticalSetup(na=1.0, wavelength_nm=500, pixel_um=pixel_um, immersion_index=1.33)
    assert resampling(setup) == pytest.approx(2 * share if share < 1 else 1.0)


def test_gain_and_offset_vanish_and_what_differs_between_the_images_stays():
    pairs = torch.rand(3, 2, 16, 16) + torch.tensor([1.0, 1.2])[None, :, None, None]
    one = normalised(pairs)
    torch.testing.assert_close(normalised(7.0 * pairs + 100.0), one, atol=1e-4, rtol=1e-4)
    assert bool((one[:, 1].mean((1, 2)) > one[:, 0].mean((1, 2))).all())
    assert torch.equal(normalised(torch.full((1, 2, 8, 8), 5.0)), torch.zeros(1, 2, 8, 8))


def test_labels_have_the_defocus_as_their_mean():
    defocus = torch.linspace(-4, 4, 37)
    labels = two_hot(defocus, bins=33, reach=4.0)
    torch.testing.assert_close(labels @ bin_centres(33, 4.0), defocus, atol=1e-5, rtol=0)
    torch.testing.assert_close(labels.sum(1), torch.ones(37))
    beyond = two_hot(torch.tensor([9.0, -9.0]), bins=5, reach=4.0)
    assert beyond.argmax(1).tolist() == [4, 0]


def test_swapping_twice_is_nothing():
    pairs = torch.rand(2, 2, 4, 4)
    assert torch.equal(swapped(swapped(pairs)), pairs)
    assert torch.equal(swapped(pairs)[:, 0], pairs[:, 1])
