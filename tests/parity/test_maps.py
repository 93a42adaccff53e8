"""Focus maps against the same thing done slowly: every window cut out and scored by itself."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from scipy.ndimage import convolve, uniform_filter

from parfocal.core.errors import ShapeError
from parfocal.core.setup import OpticalSetup
from parfocal.measures import fast
from parfocal.measures.catalog import CATALOG
from parfocal.measures.maps import focus_map, grey_range, multi_stride_map

SETUP = OpticalSetup(na=0.75, wavelength_nm=536, pixel_um=0.325)
TOP = {"uint8": 250, "uint16": 65_000, "float32": 4000, "float64": 1}


def texture(shape, dtype, *, seed=0):
    """Noise that is smooth in some places and sharp in others, up to the top of its dtype."""
    noise = np.random.default_rng(seed).random(shape)
    soft = uniform_filter(noise, (*(1 for _ in shape[:-2]), 5, 5), mode="wrap")
    share = np.linspace(0.0, 1.0, shape[-1])
    return (TOP[dtype] * (share * noise + (1 - share) * soft)).astype(dtype)


def options(name):
    return {"setup": SETUP} if CATALOG[name].needs_setup else {}


def crop_by_crop(image, name, window_px, stride_px):
    """The definition: each window cut out, scored in float64."""
    image = np.asarray(image, dtype=np.float64)
    kernel = partial(CATALOG[name].function, **options(name))
    if name == "entropy":
        kernel = partial(kernel, range_counts=grey_range(torch.from_numpy(image)))
    rows, columns = (range(0, size - window_px + 1, stride_px) for size in image.shape)
    return np.array(
        [[kernel(image[y : y + window_px, x : x + window_px]) for x in columns] for y in rows]
    )


@pytest.mark.parametrize("dtype", ["uint16", "float64"])
@pytest.mark.parametrize("name", CATALOG)
def test_map_is_the_score_of_each_crop(name, dtype):
    image = texture((53, 64), dtype)
    expected = crop_by_crop(image, name, 20, 6)
    np.testing.assert_allclose(focus_map(image, name, 20, 6, **options(name)), expected, rtol=2e-5)


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("name", ["brenner", "variance", "haar_dwt", "entropy", "dcts"])
def test_map_of_bytes_and_floats_is_the_score_of_each_crop(name, dtype):
    image = texture((53, 64), dtype)
    expected = crop_by_crop(image, name, 20, 6)
    np.testing.assert_allclose(focus_map(image, name, 20, 6), expected, rtol=2e-5)


@pytest.mark.parametrize("name", CATALOG)
def test_map_on_tensors_without_compiled_code_is_the_score_of_each_crop(name):
    image = texture((53, 64), "float64")
    # A tensor that records gradients goes through torch alone, as on a GPU.
    tensor = torch.from_numpy(image).requires_grad_()
    found = focus_map(tensor, name, 20, 6, **options(name))
    np.testing.assert_allclose(found.detach(), crop_by_crop(image, name, 20, 6), rtol=1e-10)


@pytest.mark.parametrize("name", ["tenengrad", "smd", "haar_dwt", "wavelet_sum", "entropy"])
@pytest.mark.parametrize(
    ("window_px", "stride_px"), [(13, 1), (16, 16), (12, 40), (15, 7), (31, 5)]
)
def test_map_of_odd_windows_and_strides(name, window_px, stride_px):
    image = texture((31, 46), "uint16")
    found = focus_map(image, name, window_px, stride_px)
    expected = crop_by_crop(image, name, window_px, stride_px)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=2e-5)


@pytest.mark.parametrize(("window_px", "stride_px"), [(48, 24), (45, 15), (50, 21)])
def test_entropy_of_large_cells_is_the_score_of_each_crop(window_px, stride_px):
    image = texture((97, 131), "uint16")  # cells above LEAST_CELL_PX, of even and odd height
    found = focus_map(image, "entropy", window_px, stride_px)
    expected = crop_by_crop(image, "entropy", window_px, stride_px)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("odd_px", [0, 1, 2, 40, 700])
def test_entropy_of_nearly_empty_windows_keeps_its_digits(odd_px):
    rng = np.random.default_rng(5)
    image = np.full((96, 96), 700, dtype=np.uint16)
    image.flat[rng.choice(image.size, odd_px, replace=False)] = rng.integers(0, 1000, odd_px)
    found = focus_map(image, "entropy", 48, 16)
    np.testing.assert_allclose(found, crop_by_crop(image, "entropy", 48, 16), rtol=1e-6, atol=1e-12)


def test_entropy_by_polynomial_is_that_by_table():
    image = np.random.default_rng(6).normal(128, 20, (90, 120)).clip(0, 255).astype(np.uint8)
    image[0, :2] = 0, 255  # a grey level for every value
    by_table = focus_map(image.astype(np.float64), "entropy", 40, 7)
    np.testing.assert_allclose(focus_map(image, "entropy", 40, 7), by_table, rtol=2e-7)


@pytest.mark.parametrize("shape", [(300, 250), (255, 257), (256, 256)])
def test_entropy_of_windows_around_the_largest_count_of_16_bits(shape):
    image = texture((330, 340), "uint16")
    image[:, 1:] = 7  # nearly all pixels in one bin
    found = focus_map(image, "entropy", shape, 30)
    torch_found = focus_map(torch.from_numpy(image * 1.0).requires_grad_(), "entropy", shape, 30)
    np.testing.assert_allclose(found, torch_found.detach(), rtol=1e-6, atol=1e-12)


def test_entropy_beside_a_gap_of_more_pixels_than_16_bits_count():
    image = np.zeros((750, 200), dtype=np.uint16)
    image[::7, ::3] = 9
    found = focus_map(image, "entropy", (600, 40), 150)
    torch_found = focus_map(
        torch.from_numpy(image * 1.0).requires_grad_(), "entropy", (600, 40), 150
    )
    np.testing.assert_allclose(found, torch_found.detach(), rtol=1e-6)


@pytest.mark.parametrize("name", sorted(fast.MEASURES))
def test_compiled_and_torch_maps_agree_on_full_range_noise(name):
    image = np.random.default_rng(3).integers(0, 65_536, (61, 70), dtype=np.uint16)
    by_torch = focus_map(torch.from_numpy(image.astype(np.float64)).requires_grad_(), name, 24, 8)
    np.testing.assert_allclose(focus_map(image, name, 24, 8), by_torch.detach(), rtol=1e-6)


@pytest.mark.parametrize("name", sorted(fast.MEASURES))
def test_compiled_and_torch_maps_agree_on_small_pixels_of_wide_images(name):
    image = np.random.default_rng(4).integers(0, 2**14, (45, 101), dtype=np.uint16)
    by_torch = focus_map(torch.from_numpy(image.astype(np.float64)).requires_grad_(), name, 21, 8)
    np.testing.assert_allclose(focus_map(image, name, 21, 8), by_torch.detach(), rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.uint16, np.float64])
def test_small_contrast_on_a_large_offset_keeps_its_digits(dtype):
    # Beside a bright field: a running sum of squares reaches 1e14 before it meets the faint part.
    image = np.full((96, 256), 60_000.0)
    image[:, :64] = 10.0
    image[::2, 192:] += 1.0
    found = focus_map(image.astype(dtype), "variance", 32, 32)
    np.testing.assert_allclose(found[:, 6:], 0.25, rtol=1e-4)
    np.testing.assert_allclose(found[:, 2:6], 0.0, atol=2e-4)


def test_variance_and_laplacian_maps_match_scipy_one_liners():
    image = texture((80, 90), "uint16").astype(np.float64)
    window = 33
    inside = (slice(16, 80 - 16), slice(16, 90 - 16))
    mean, square = uniform_filter(image, window), uniform_filter(image**2, window)
    found = focus_map(image, "variance", window, 1)
    np.testing.assert_allclose(found, (square - mean**2)[inside], rtol=1e-9)
    laplace = np.abs(convolve(image, np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]], float)))
    found = focus_map(image, "laplacian", window + 2, 1)
    inside = (slice(17, 80 - 17), slice(17, 90 - 17))
    np.testing.assert_allclose(found, uniform_filter(laplace, window)[inside], rtol=1e-9)


def slow_multi_stride(image, name, window_px, strides_px, overlap):
    """The published map, as it is told: loop over windows, add, take the largest."""
    image = np.asarray(image, dtype=np.float64)
    kernel = CATALOG[name].function
    if name == "entropy":
        kernel = partial(kernel, range_counts=(float(image.min()), float(image.max())))
    best = np.full(image.shape, -np.inf)
    for stride in strides_px:
        total, count = np.zeros(image.shape), np.zeros(image.shape)
        for y in range(0, image.shape[0], stride):
            for x in range(0, image.shape[1], stride):
                here = slice(y, y + window_px), slice(x, x + window_px)
                try:
                    total[here] += kernel(image[here])
                    count[here] += 1
                except ShapeError:
                    continue  # a corner too small to score
        if overlap == "mean":
            total /= np.maximum(count, 1)
        best = np.maximum(best, total)
    return best


@pytest.mark.parametrize("overlap", ["sum", "mean"])
@pytest.mark.parametrize("name", ["std", "brenner", "laplacian", "vollath4", "entropy", "dcts"])
def test_multi_stride_map_is_the_published_double_loop(name, overlap):
    image = texture((45, 58), "uint16")
    found = multi_stride_map(image, name, 16, (5, 8, 14), overlap=overlap)
    expected = slow_multi_stride(image, name, 16, (5, 8, 14), overlap)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


def test_multi_stride_map_of_haar_ratio_over_odd_strides():
    image = texture((37, 42), "float64")
    found = multi_stride_map(image, "haar_dwt", 12, (3, 8))
    np.testing.assert_allclose(found, slow_multi_stride(image, "haar_dwt", 12, (3, 8), "sum"))
