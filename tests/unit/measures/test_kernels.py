"""Behaviour of single kernels: options, refusals, and images that carry no information."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from parfocal.core.errors import InputError, MetadataError, ShapeError, UnknownNameError
from parfocal.core.setup import OpticalSetup
from parfocal.measures import (
    brenner,
    dcts,
    entropy,
    find_measure,
    log_power_tail,
    midband_power,
    modified_laplacian,
    normalized_variance,
    score,
    steerable,
    variance,
    vollath4,
    vollath5,
)
from parfocal.measures.cosines import low_cosines
from parfocal.measures.local import CHUNK_PX_CPU, weigh_and_decimate

SETUP = OpticalSetup(na=0.75, wavelength_nm=536, pixel_um=0.325)
IMAGE = 100.0 + torch.rand(32, 32, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: brenner(IMAGE, step_px=0), "step_px must be 1 or more, but came as 0"),
        (lambda: modified_laplacian(IMAGE, step_px=-1), "step_px must be 1 or more"),
        (lambda: steerable(IMAGE, sigma_px=0.0), "sigma_px must be positive"),
        (lambda: steerable(IMAGE, sigma_px=math.nan), "sigma_px must be positive"),
        (lambda: entropy(IMAGE, bins=1), "bins must be 2 or more"),
        (lambda: entropy(IMAGE, range_counts=(5.0, 5.0)), "range_counts must rise"),
        (lambda: dcts(IMAGE, cutoff=0.0), r"cutoff must lie in \(0, 1\]"),
        (lambda: dcts(IMAGE, cutoff=1.5), r"cutoff must lie in \(0, 1\]"),
        (lambda: dcts(IMAGE, prefilter_px=-1.0), "prefilter_px must be 0 or more"),
        (lambda: midband_power(IMAGE, setup=SETUP, band=(0.3, 0.2)), "band must rise"),
        (lambda: midband_power(IMAGE, setup=SETUP, band=(0.3, 1.2)), "band must rise"),
        (lambda: midband_power(IMAGE, setup=SETUP, exponent=0.0), "exponent must be positive"),
    ],
)
def test_impossible_options_are_refused_in_one_line(call, words):
    with pytest.raises(InputError, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_brenner_names_the_width_that_its_step_needs():
    with pytest.raises(ShapeError, match="at least 1 x 6 px"):
        brenner(IMAGE[:, :5], step_px=5)
    assert brenner(IMAGE[:1, :6], step_px=5) == (IMAGE[0, 5] - IMAGE[0, 0]).square()


def test_modified_laplacian_names_the_size_that_its_step_needs():
    with pytest.raises(ShapeError, match="at least 9 x 9 px"):
        modified_laplacian(IMAGE[:8, :8], step_px=4)


def test_mid_band_without_any_frequency_is_refused():
    fine = OpticalSetup(na=0.1, wavelength_nm=700, pixel_um=0.05)
    with pytest.raises(ShapeError, match="No frequency of a 32 x 32 px image"):
        midband_power(IMAGE, setup=fine)


def test_mid_band_beyond_the_pixels_counts_what_the_pixels_carry():
    coarse = OpticalSetup(na=0.75, wavelength_nm=536, pixel_um=1.3)  # cut-off 3.6 cycles per px
    whole = midband_power(IMAGE, setup=coarse, band=(0.0, 1.0))
    torch.testing.assert_close(whole, variance(IMAGE), rtol=1e-4, atol=0.0)


def test_mid_band_of_the_lowest_frequencies_alone():
    # Only row 0 and columns 0 and 1 are touched: the pruned transform's smallest case.
    place = torch.arange(64, dtype=torch.float64)
    wave = torch.cos(2 * torch.pi * place / 64).expand(16, 64)
    setup = OpticalSetup(na=0.5, wavelength_nm=500, pixel_um=0.25)  # cut-off 0.5
    assert midband_power(wave, setup=setup, band=(0.01, 0.1)) == pytest.approx(0.5)


def test_score_refuses_an_unknown_name_with_the_known_ones():
    with pytest.raises(UnknownNameError, match=r"no measure called 'brener'.*brenner, dcts"):
        score(IMAGE, "brener")
    with pytest.raises(UnknownNameError):
        find_measure("")


def test_score_names_the_flags_of_missing_optics():
    with pytest.raises(MetadataError, match="--na, --wavelength-nm, --pixel-um"):
        score(IMAGE, "midband_power")


def test_score_refuses_an_unknown_device():
    with pytest.raises(InputError, match="no device 'gpu'"):
        score(IMAGE.numpy(), "variance", device="gpu")


def test_score_keeps_the_kind_of_array():
    assert isinstance(score(IMAGE, "std"), torch.Tensor)
    assert isinstance(score(IMAGE.numpy(), "std"), np.ndarray)
    assert score(np.zeros((4, 8, 8), np.uint8), "std").tolist() == [0.0] * 4


def test_variance_of_a_large_offset_keeps_its_digits():
    noise = np.random.default_rng(0).standard_normal((256, 256))
    counts = np.float32(1e4 + 0.1 * noise)
    exact = counts.astype(np.float64).var()
    assert float(variance(counts)) == pytest.approx(exact, rel=1e-5)
    coarse = np.uint16(np.round(6e4 + 2 * noise))
    assert float(variance(coarse)) == pytest.approx(coarse.astype(np.float64).var(), rel=1e-5)


def test_normalized_variance_of_a_mean_that_is_not_positive():
    assert normalized_variance(torch.zeros(4, 4)) == 0.0
    assert torch.isnan(normalized_variance(IMAGE - 200.0))


def test_vollath_is_deaf_to_white_noise():
    noise = np.random.default_rng(1).normal(0, 10, (512, 512))
    assert abs(float(vollath4(noise))) < 0.01 * noise.var()
    assert abs(float(vollath5(noise))) < 0.01 * noise.var()


def test_entropy_counts_grey_levels():
    levels = np.repeat(np.arange(16.0), 16).reshape(16, 16)
    assert entropy(levels) == pytest.approx(4.0)
    assert entropy(levels, bins=4) == pytest.approx(2.0)
    assert entropy(levels, range_counts=(0.0, 160.0), bins=10) < 1.0


def test_entropy_of_an_infinite_pixel_is_nan():
    image = IMAGE.clone()
    image[3, 4] = math.inf
    assert torch.isnan(entropy(image))


def test_dcts_needs_no_batch_dimension_and_ignores_gain():
    torch.testing.assert_close(dcts(IMAGE), dcts(7.0 * IMAGE))
    assert dcts(torch.zeros(16, 16)) == 0.0


@pytest.mark.parametrize("size", [(8, 8), (9, 8), (300, 280)])
def test_low_cosines_of_one_cosine_is_one_term(size):
    size_y, size_x = size
    y = torch.arange(size_y, dtype=torch.float64)[:, None]
    x = torch.arange(size_x, dtype=torch.float64)
    wave = torch.cos(torch.pi * 2 * (y + 0.5) / size_y) * torch.cos(
        torch.pi * 3 * (x + 0.5) / size_x
    )
    for kept in ((4, 5), size):
        terms = low_cosines(wave, *kept)
        expected = torch.zeros_like(terms)
        expected[2, 3] = math.sqrt(size_y * size_x) / 2
        torch.testing.assert_close(terms, expected, rtol=1e-9, atol=1e-9)


def test_log_power_tail_of_white_noise_is_its_expectation():
    # The logarithm of an exponential variable of mean s^2 averages ln s^2 less Euler's constant.
    noise = np.random.default_rng(2).normal(0, 5, (512, 512))
    assert float(log_power_tail(noise)) == pytest.approx(math.log(25) - 0.5772, abs=0.02)


def test_more_images_than_a_chunk_holds_score_alike():
    side = 256
    count = CHUNK_PX_CPU // side**2 + 2
    images = torch.rand(count, side, side, generator=torch.Generator().manual_seed(4))
    for measure in (brenner, variance, dcts):
        scores = measure(images)
        torch.testing.assert_close(scores[-1], measure(images[-1]))
        torch.testing.assert_close(scores[0], measure(images[0]))


def test_an_empty_batch_scores_to_an_empty_batch():
    for measure in (brenner, variance, dcts, entropy, log_power_tail):
        assert measure(torch.zeros(0, 16, 16)).shape == (0,)


@pytest.mark.parametrize("axis", [-1, -2])
@pytest.mark.parametrize("pitch_px", [1, 2, 3])
def test_weights_slide_over_every_position_that_fits(axis, pitch_px):
    image = torch.arange(70.0).reshape(7, 10)
    got = weigh_and_decimate(image, (1.0, 0.0, -3.0), axis=axis, pitch_px=pitch_px)
    windows = image.unfold(axis, 3, pitch_px)
    torch.testing.assert_close(got, windows[..., 0] - 3.0 * windows[..., 2])


def test_mid_band_of_weak_texture_on_a_large_offset_keeps_its_digits():
    texture = np.random.default_rng(6).standard_normal((4, 48, 48))
    counts = np.float32(6e4 + texture)
    exact = midband_power(counts.astype(np.float64), setup=SETUP)
    np.testing.assert_allclose(midband_power(counts, setup=SETUP), exact, rtol=1e-5)
