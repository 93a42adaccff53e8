"""Every measure against a slow reference that shares nothing with it, and against libraries."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import pywt
import scipy.fft
import scipy.ndimage
import scipy.signal
import skimage.filters
import skimage.measure
import torch
from numpy.typing import NDArray

from parfocal.core.setup import OpticalSetup
from parfocal.measures import (
    CATALOG,
    cosines,
    dcts,
    entropy,
    haar_dwt,
    laplacian,
    midband_power,
    modified_laplacian,
    score,
    steerable,
    tenengrad,
    vollath4,
    vollath5,
    wavelet_sum,
    wavelet_variance,
)
from parfocal.measures.cosines import low_cosines

Image = NDArray[np.float64]
SETUP = OpticalSetup(na=0.5, wavelength_nm=520, pixel_um=0.21)
BAND = (0.125 * 2 * 0.5 / 0.52 * 0.21, 0.25 * 2 * 0.5 / 0.52 * 0.21)  # cycles per px


def fabricate_image(size_y: int, size_x: int, seed: int = 0) -> Image:
    """Smooth texture, an edge, some noise and an offset: nothing symmetric."""
    rng = np.random.default_rng(seed)
    image = 60 * scipy.ndimage.gaussian_filter(rng.standard_normal((size_y, size_x)), 1.2)
    image[size_y // 3 :, size_x // 2 :] += 35.0
    return image + rng.normal(0, 2, image.shape) + 120.0


def _inner(image: Image, margin: int = 1):
    height, width = image.shape
    return [(y, x) for y in range(margin, height - margin) for x in range(margin, width - margin)]


def _sobel_at(image: Image, y: int, x: int) -> tuple[float, float]:
    weights = ((1, 2, 1), (0, 0, 0), (-1, -2, -1))
    across, down = 0.0, 0.0
    for i in range(3):
        for j in range(3):
            down += weights[i][j] * image[y + i - 1, x + j - 1]
            across += weights[j][i] * image[y + i - 1, x + j - 1]
    return across, down


def _laplacian_at(image: Image, y: int, x: int) -> float:
    around = image[y, x + 1] + image[y, x - 1] + image[y + 1, x] + image[y - 1, x]
    return float(around - 4 * image[y, x])


def _modified_at(image: Image, y: int, x: int) -> float:
    along_x = 2 * image[y, x] - image[y, x - 1] - image[y, x + 1]
    along_y = 2 * image[y, x] - image[y - 1, x] - image[y + 1, x]
    return float(abs(along_x) + abs(along_y))


def _diagonal_at(image: Image, y: int, x: int) -> float:
    falling = 2 * image[y, x] - image[y - 1, x - 1] - image[y + 1, x + 1]
    rising = 2 * image[y, x] - image[y - 1, x + 1] - image[y + 1, x - 1]
    return _modified_at(image, y, x) + float(abs(falling) + abs(rising)) / math.sqrt(2)


def brenner_slow(image: Image) -> float:
    height, width = image.shape
    total = 0.0
    for y in range(height):
        for x in range(width - 2):
            total += (image[y, x + 2] - image[y, x]) ** 2
    return total / (height * (width - 2))


def tenengrad_slow(image: Image) -> float:
    slopes = [_sobel_at(image, y, x) for y, x in _inner(image)]
    return float(np.mean([across**2 + down**2 for across, down in slopes]))


def tenengrad_variance_slow(image: Image) -> float:
    return float(np.var([math.hypot(*_sobel_at(image, y, x)) for y, x in _inner(image)]))


def smd_slow(image: Image) -> float:
    height, width = image.shape
    steps_x = [abs(image[y, x + 1] - image[y, x]) for y in range(height) for x in range(width - 1)]
    steps_y = [abs(image[y + 1, x] - image[y, x]) for y in range(height - 1) for x in range(width)]
    return float(np.mean(steps_x) + np.mean(steps_y))


def smd2_slow(image: Image) -> float:
    height, width = image.shape
    products = [
        abs(image[y, x + 1] - image[y, x]) * abs(image[y + 1, x] - image[y, x])
        for y in range(height - 1)
        for x in range(width - 1)
    ]
    return float(np.mean(products))


def steerable_slow(image: Image) -> float:
    """The largest of 720 orientations of the filter, pixel by pixel."""
    y, x = np.mgrid[-3:4, -3:4]
    bell = np.exp(-(x**2 + y**2) / 2)
    bell /= bell.sum()
    largest = []
    for row, column in _inner(image, 3):
        patch = image[row - 3 : row + 4, column - 3 : column + 4]
        responses = [
            np.sum(patch * bell * (x * math.cos(angle) + y * math.sin(angle)))
            for angle in np.linspace(0, 2 * np.pi, 720, endpoint=False)
        ]
        largest.append(max(responses))
    return float(np.mean(largest))


def vollath4_slow(image: Image) -> float:
    """Autocovariances at one and two pixels, by half the mean squared steps."""
    height, width = image.shape
    rise = []
    for lag in (1, 2):
        steps = [
            (image[y, x + lag] - image[y, x]) ** 2 / 2
            for y in range(height)
            for x in range(width - lag)
        ]
        rise.append(np.mean(steps))
    return float(rise[1] - rise[0])


def vollath5_slow(image: Image) -> float:
    height, width = image.shape
    steps = [(image[y, x + 1] - image[y, x]) ** 2 for y in range(height) for x in range(width - 1)]
    return float(np.var(image) - np.mean(steps) / 2)


def entropy_slow(image: Image) -> float:
    counts, _ = np.histogram(image, bins=256, range=(image.min(), image.max()))
    return -sum(n / image.size * math.log2(n / image.size) for n in counts if n)


def haar_dwt_slow(image: Image) -> float:
    details, averages = 0.0, 0.0
    for y in range(0, image.shape[0] - 1, 2):
        for x in range(0, image.shape[1] - 1, 2):
            (a, b), (c, d) = image[y : y + 2, x : x + 2]
            averages += (a + b + c + d) ** 2 / 4
            for detail in (a - b + c - d, a + b - c - d, a - b - c + d):
                details += detail**2 / 4
    return math.sqrt(details / averages)


def _details_slow(image: Image) -> list[Image]:
    """Inner coefficients of db6 by full convolution and every second sample."""
    low, high = (np.array(taps) for taps in pywt.Wavelet("db6").filter_bank[:2])
    bands = []
    for taps_y, taps_x in ((low, high), (high, low), (high, high)):
        kernel = np.outer(taps_y, taps_x)
        full = scipy.signal.convolve2d(image, kernel, mode="valid")
        bands.append(np.abs(full[::2, ::2]))
    return bands


def wavelet_sum_slow(image: Image) -> float:
    return float(sum(band.mean() for band in _details_slow(image)))


def wavelet_variance_slow(image: Image) -> float:
    return float(sum(band.var() for band in _details_slow(image)))


def dcts_slow(image: Image, cutoff: float = 0.5) -> float:
    height, width = image.shape
    terms = scipy.fft.dctn(image, norm="ortho")
    terms = np.abs(terms) / np.sqrt(np.sum(terms**2))
    total = 0.0
    for v in range(height):
        for u in range(width):
            if (u / width) ** 2 + (v / height) ** 2 < cutoff**2 and terms[v, u] > 0:
                total += terms[v, u] * math.log2(terms[v, u])
    return -2.0 * total / (cutoff**2 * height * width)


def log_power_tail_slow(image: Image) -> float:
    height, width = image.shape
    power = np.abs(np.fft.fft2(image)) ** 2 / image.size
    least = min(height, width)
    rings: dict[int, list[float]] = {}
    for v in range(height):
        for u in range(width):
            fy, fx = min(v, height - v) / height, min(u, width - u) / width
            ring = math.floor(math.hypot(fy, fx) * least + 0.5 + 1e-9)
            rings.setdefault(ring, []).append(math.log(power[v, u]))
    tail = [np.mean(logs) for ring, logs in rings.items() if least / 8 < ring <= least // 2]
    return float(np.mean(tail))


def midband_power_slow(image: Image) -> float:
    height, width = image.shape
    power = np.abs(np.fft.fft2(image)) ** 2 / image.size**2
    total = 0.0
    for v in range(height):
        for u in range(width):
            radius = math.hypot(min(v, height - v) / height, min(u, width - u) / width)
            total += power[v, u] if BAND[0] < radius < BAND[1] else 0.0
    return total


SLOW: dict[str, Callable[[Image], float]] = {
    "brenner": brenner_slow,
    "tenengrad": tenengrad_slow,
    "tenengrad_variance": tenengrad_variance_slow,
    "smd": smd_slow,
    "smd2": smd2_slow,
    "steerable": steerable_slow,
    "laplacian": lambda i: float(np.mean([abs(_laplacian_at(i, y, x)) for y, x in _inner(i)])),
    "energy_of_laplacian": lambda i: float(
        np.mean([_laplacian_at(i, y, x) ** 2 for y, x in _inner(i)])
    ),
    "modified_laplacian": lambda i: float(np.mean([_modified_at(i, y, x) for y, x in _inner(i)])),
    "diagonal_laplacian": lambda i: float(np.mean([_diagonal_at(i, y, x) for y, x in _inner(i)])),
    "variance_of_laplacian": lambda i: float(
        np.var([_laplacian_at(i, y, x) for y, x in _inner(i)])
    ),
    "variance": lambda i: float(np.var(i)),
    "std": lambda i: float(np.std(i)),
    "normalized_variance": lambda i: float(np.var(i) / np.mean(i)),
    "vollath4": vollath4_slow,
    "vollath5": vollath5_slow,
    "entropy": entropy_slow,
    "haar_dwt": haar_dwt_slow,
    "wavelet_sum": wavelet_sum_slow,
    "wavelet_variance": wavelet_variance_slow,
    "dcts": dcts_slow,
    "log_power_tail": log_power_tail_slow,
    "midband_power": midband_power_slow,
}


def test_every_measure_has_a_slow_reference():
    assert set(SLOW) == set(CATALOG)


@pytest.mark.parametrize("size", [(18, 24), (25, 19)], ids=["even", "odd"])
@pytest.mark.parametrize("name", CATALOG)
def test_measure_equals_its_slow_reference(name, size):
    image = fabricate_image(*size)
    tolerance = 1e-4 if name == "steerable" else 1e-9  # 720 orientations miss the largest a little
    assert float(score(image, name, setup=SETUP)) == pytest.approx(SLOW[name](image), rel=tolerance)


@pytest.mark.parametrize("name", CATALOG)
def test_float32_and_uint16_keep_five_digits_on_a_large_offset(name):
    counts = np.round(10_000 + 3 * np.random.default_rng(5).standard_normal((48, 64)))
    exact = float(score(counts.astype(np.float64), name, setup=SETUP))
    for dtype in (np.float32, np.uint16):
        assert float(score(counts.astype(dtype), name, setup=SETUP)) == pytest.approx(
            exact, rel=1e-5
        )


def test_tenengrad_agrees_with_scipy_and_skimage():
    image = fabricate_image(40, 50)
    inside = (slice(1, -1), slice(1, -1))
    slopes = [scipy.ndimage.sobel(image, axis=axis)[inside] for axis in (0, 1)]
    assert tenengrad(image) == pytest.approx(np.mean(slopes[0] ** 2 + slopes[1] ** 2))
    # scikit-image divides the weights by 4 and averages the two axes.
    assert tenengrad(image) == pytest.approx(
        32 * np.mean(skimage.filters.sobel(image)[inside] ** 2)
    )


def test_laplacian_agrees_with_scipy_and_skimage():
    image = fabricate_image(40, 50)
    inside = (slice(1, -1), slice(1, -1))
    for filtered in (scipy.ndimage.laplace(image), skimage.filters.laplace(image)):
        assert laplacian(image) == pytest.approx(np.mean(np.abs(filtered[inside])))


def test_modified_laplacian_with_step_and_threshold():
    image = fabricate_image(30, 33)
    kernel = np.array([-1.0, 0, 0, 2, 0, 0, -1])
    bends = sum(np.abs(scipy.ndimage.correlate1d(image, kernel, axis=axis)) for axis in (0, 1))
    bends = bends[3:-3, 3:-3]
    expected = np.where(bends >= 20, bends, 0).mean()
    assert modified_laplacian(image, step_px=3, threshold=20.0) == pytest.approx(expected)


@pytest.mark.parametrize("sigma_px", [0.8, 2.0])
def test_steerable_agrees_with_scipy_gaussian_derivatives(sigma_px):
    image = fabricate_image(60, 50)
    radius = math.ceil(3 * sigma_px)
    slopes = [
        scipy.ndimage.gaussian_filter(image, sigma_px, order=order, radius=radius)
        for order in ((0, 1), (1, 0))
    ]
    inside = (slice(radius, -radius), slice(radius, -radius))
    assert steerable(image, sigma_px=sigma_px) == pytest.approx(np.hypot(*slopes)[inside].mean())


def test_vollath_equals_the_published_sums_where_the_border_is_empty():
    image = np.zeros((20, 30))
    image[3:-3, 4:-4] = fabricate_image(14, 22)
    height, width = image.shape
    one = sum(image[y, x] * image[y, x + 1] for y in range(height) for x in range(width - 1))
    two = sum(image[y, x] * image[y, x + 2] for y in range(height) for x in range(width - 2))
    energy = np.sum(image**2)
    # The same sums, each divided by its own count of pairs.
    rises = [(energy - total) / (height * (width - lag)) for lag, total in ((1, one), (2, two))]
    assert vollath4(image) == pytest.approx(rises[1] - rises[0])
    autocovariance = energy / image.size - image.mean() ** 2 - rises[0]
    assert vollath5(image) == pytest.approx(autocovariance)


def test_vollath_tends_to_the_published_sums_in_large_images():
    image = fabricate_image(400, 400) - 120.0
    image -= image.mean()
    one, two = (image[:, :-lag] * image[:, lag:] for lag in (1, 2))
    assert vollath4(image) == pytest.approx(one.mean() - two.mean(), rel=0.01)
    assert vollath5(image) == pytest.approx(one.mean() - image.mean() ** 2, rel=0.01)


def test_entropy_agrees_with_skimage_on_grey_levels():
    image = np.random.default_rng(1).integers(0, 256, (32, 40)).astype(np.float64)
    image[0, 0], image[0, 1] = 0, 255
    assert entropy(image) == pytest.approx(skimage.measure.shannon_entropy(image))


def test_entropy_with_given_range_clips_into_the_end_bins():
    image = fabricate_image(30, 40)
    counts, _ = np.histogram(np.clip(image, 100, 150), bins=16, range=(100, 150))
    share = counts[counts > 0] / image.size
    expected = -np.sum(share * np.log2(share))
    assert entropy(image, bins=16, range_counts=(100.0, 150.0)) == pytest.approx(expected)


def test_haar_agrees_with_pywavelets():
    image = fabricate_image(32, 46)
    average, details = pywt.dwt2(image, "haar")
    expected = np.sqrt(sum(np.sum(band**2) for band in details) / np.sum(average**2))
    assert haar_dwt(image) == pytest.approx(expected)


def test_db6_agrees_with_pywavelets():
    image = fabricate_image(40, 52)
    _, details = pywt.dwt2(image, "db6", mode="symmetric")
    inner = [np.abs(band[5 : 5 + 15, 5 : 5 + 21]) for band in details]
    assert wavelet_sum(image) == pytest.approx(sum(band.mean() for band in inner))
    assert wavelet_variance(image) == pytest.approx(sum(band.var() for band in inner))


@pytest.mark.parametrize("size", [(32, 32), (64, 48), (301, 300), (600, 512)])
@pytest.mark.parametrize("cutoff", [0.13, 0.5, 100 / 128, 1.0])
def test_dcts_agrees_with_scipy_at_any_cutoff(size, cutoff):
    image = fabricate_image(*size)
    terms = scipy.fft.dctn(image, norm="ortho")
    share = np.abs(terms) / np.linalg.norm(terms)
    v, u = (np.arange(length) / length for length in size)
    inside = u**2 + v[:, None] ** 2 < cutoff**2
    expected = -2 / (cutoff**2 * image.size) * np.sum((share * np.log2(share))[inside])
    assert dcts(image, cutoff=cutoff) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("size", [(32, 40), (31, 33), (300, 260)])
@pytest.mark.parametrize("part", [0.1, 0.5, 0.9, 1.0])
def test_low_cosines_are_the_first_terms_of_scipy(size, part):
    image = fabricate_image(*size)
    kept_y, kept_x = (math.ceil(part * length) for length in size)
    expected = scipy.fft.dctn(image, norm="ortho")[:kept_y, :kept_x]
    got = low_cosines(torch.from_numpy(image), kept_y, kept_x)
    np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("kept", [(291, 131), (300, 130), (520, 259), (31, 33)])
def test_low_cosines_in_float32_are_the_first_terms_of_scipy(kept, fast, monkeypatch):
    monkeypatch.setattr(cosines, "ROWS_PX_CPU", 50_000)  # several strips
    if not fast:  # as on a processor without the widest registers
        monkeypatch.setattr(cosines, "_has_fast_products", lambda _: False)
    images = fabricate_image(2 * 600, 260).reshape(2, 600, 260)
    expected = scipy.fft.dctn(images, norm="ortho", axes=(-2, -1))[:, : kept[0], : kept[1]]
    offset = images.mean(axis=(-2, -1), keepdims=True)
    expected[:, 0, 0] -= offset[:, 0, 0] * math.sqrt(600 * 260)
    counts, offsets = (torch.from_numpy(np.float32(values)) for values in (images, offset))
    got = cosines.low_cosines(counts, *kept, offset=offsets)
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=2e-3)
    alone = cosines.low_cosines(counts[1], *kept, offset=offsets[1])
    np.testing.assert_allclose(alone, expected[1], rtol=1e-4, atol=2e-3)


def test_low_cosines_of_some_rows_at_a_time_are_the_first_terms_of_scipy(monkeypatch):
    monkeypatch.setattr(cosines, "ROWS_PX_CPU", 5000)  # strips of 9 and 8 rows, the last shorter
    image = fabricate_image(2 * 300, 260).reshape(2, 300, 260)
    expected = scipy.fft.dctn(image, norm="ortho", axes=(-2, -1))[:, :270, :130]
    got = low_cosines(torch.from_numpy(image), 270, 130)
    np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-9)


def test_dcts_prefilter_is_a_mirrored_gaussian_blur():
    image = fabricate_image(32, 40)
    smooth = scipy.ndimage.gaussian_filter(image, 1.5, mode="reflect", radius=6)
    assert dcts(image, prefilter_px=1.5) == pytest.approx(dcts_slow(smooth))


def test_midband_is_the_variance_of_what_a_band_pass_leaves():
    image = fabricate_image(48, 60)
    v, u = np.fft.fftfreq(48)[:, None], np.fft.fftfreq(60)
    radius = np.hypot(v, u)
    inside = (radius > BAND[0]) & (radius < BAND[1])
    passed = np.fft.ifft2(np.fft.fft2(image) * inside).real
    assert midband_power(image, setup=SETUP) == pytest.approx(passed.var())


@pytest.mark.parametrize("shape", [(3, 64, 80), (2, 63, 65)])
@pytest.mark.parametrize("na", [0.3, 0.9])
def test_midband_agrees_with_waveorder(shape, na):
    focus = pytest.importorskip("waveorder.focus")
    images = np.stack([fabricate_image(*shape[1:], seed=seed) for seed in range(shape[0])])
    tensor = torch.from_numpy(images).float()
    setup = OpticalSetup(na=na, wavelength_nm=532, pixel_um=0.26)
    for band in ((0.125, 0.25), (0.05, 0.9)):
        theirs = focus.compute_midband_power(tensor, na, 0.532, 0.26, band)
        ours = midband_power(tensor, setup=setup, band=band, exponent=1.0)
        torch.testing.assert_close(ours * images[0].size, theirs, rtol=1e-5, atol=0.0)
