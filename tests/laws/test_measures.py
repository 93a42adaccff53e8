"""The laws that each row of the catalogue claims, proven over the whole catalogue."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import scipy.ndimage
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from parfocal.core.setup import OpticalSetup
from parfocal.measures import CATALOG, log_power_tail, score

SETUP = OpticalSetup(na=0.75, wavelength_nm=536, pixel_um=0.325)
SEEDS = st.integers(0, 2**32 - 1)
few = settings(max_examples=8)  # of each law, for each row
EVEN_SIDES = st.integers(8, 20).map(lambda half: 2 * half)


def fabricate_images(seed: int, *, count: int = 1, size_y: int = 32, size_x: int = 32) -> Tensor:
    """Positive images of texture at several scales, without any symmetry."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((3, count, size_y, size_x))
    rough = [
        scipy.ndimage.gaussian_filter(n, (0, s, s)) * s
        for n, s in zip(noise, (0.6, 1.5, 4), strict=True)
    ]
    return torch.from_numpy(200.0 + 10.0 * np.sum(rough, axis=0))


def assert_same(one: Tensor, other: Tensor) -> None:
    torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("name", CATALOG)
@few
@given(seed=SEEDS, offset_counts=st.sampled_from([-64.0, 32.0, 256.0, 4096.0]))
def test_offset_changes_nothing_where_the_row_says_so(name, seed, offset_counts):
    image = fabricate_images(seed)
    plain = score(image, name, setup=SETUP)
    moved = score(image + offset_counts, name, setup=SETUP)
    if CATALOG[name].offset_free:
        torch.testing.assert_close(moved, plain, rtol=1e-7, atol=1e-7)
    else:
        assert not torch.allclose(moved, plain, rtol=1e-3)


@pytest.mark.parametrize("name", CATALOG)
@few
@given(seed=SEEDS, gain=st.sampled_from([0.125, 0.5, 2.0, 16.0]))  # exact in binary
def test_gain_acts_by_the_power_that_the_row_states(name, seed, gain):
    image = fabricate_images(seed)
    plain = score(image, name, setup=SETUP)
    brighter = score(gain * image, name, setup=SETUP)
    power = CATALOG[name].gain
    if power is not None:
        assert_same(brighter, gain**power * plain)


@given(seed=SEEDS, gain=st.floats(0.1, 20.0))
def test_gain_adds_twice_its_logarithm_to_the_log_power_tail(seed, gain):
    image = fabricate_images(seed)
    expected = log_power_tail(image) + 2.0 * np.log(gain)
    torch.testing.assert_close(log_power_tail(gain * image), expected)


@pytest.mark.parametrize("name", CATALOG)
@few
@given(seed=SEEDS, size_y=EVEN_SIDES, size_x=EVEN_SIDES)
def test_mirror_changes_nothing_where_the_row_says_so(name, seed, size_y, size_x):
    image = fabricate_images(seed, size_y=size_y, size_x=size_x)
    plain = score(image, name, setup=SETUP)
    mirrored = [score(image.flip(axis), name, setup=SETUP) for axis in (-1, -2)]
    if CATALOG[name].mirror_free:
        for other in mirrored:
            assert_same(other, plain)
    else:
        assert not all(torch.allclose(other, plain, rtol=1e-6) for other in mirrored)


@pytest.mark.parametrize("name", CATALOG)
@few
@given(seed=SEEDS, size_y=st.integers(16, 40), size_x=st.integers(16, 40))
def test_batch_of_three_equals_one_by_one(name, seed, size_y, size_x):
    images = fabricate_images(seed, count=3, size_y=size_y, size_x=size_x)
    together = score(images, name, setup=SETUP)
    one_by_one = torch.stack([score(image, name, setup=SETUP) for image in images])
    assert_same(together, one_by_one)
    nested = score(images[:, None, None], name, setup=SETUP)
    assert_same(nested[:, 0, 0], one_by_one)


@cache
def fabricate_scene(kind: str, seed: int, size: int = 64) -> np.ndarray:
    """A scene as a microscope might see it in focus, in counts."""
    rng = np.random.default_rng(seed)
    if kind == "beads":
        points = np.zeros((size, size))
        points[rng.integers(4, size - 4, 40), rng.integers(4, size - 4, 40)] = 3000.0
        return 100.0 + scipy.ndimage.gaussian_filter(points, 0.9)
    if kind == "filaments":
        image = np.zeros((size, size))
        for _ in range(12):
            start, angle = rng.uniform(0, size, 2), rng.uniform(0, np.pi)
            steps = np.arange(-size, size, 0.5)
            rows, columns = (start[:, None] + steps * [[np.sin(angle)], [np.cos(angle)]]).astype(
                int
            )
            inside = (rows >= 0) & (rows < size) & (columns >= 0) & (columns < size)
            image[rows[inside], columns[inside]] = 200.0
        return 100.0 + scipy.ndimage.gaussian_filter(image, 0.9)
    if kind == "nuclei":
        v, u = np.mgrid[:size, :size]
        image = np.full((size, size), 100.0)
        for y, x, radius in rng.uniform((0, 0, 5), (size, size, 11), (10, 3)):
            image += 300.0 / (1.0 + np.exp(2.0 * (np.hypot(v - y, u - x) - radius)))
        grain = scipy.ndimage.gaussian_filter(rng.standard_normal((size, size)), 1.0)
        return image * (1.0 + 0.3 * grain)
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.fftfreq(size))
    spectrum = np.fft.fft2(rng.standard_normal((size, size)))
    texture = np.fft.ifft2(spectrum / np.maximum(frequency, 1 / size)).real
    return 400.0 + 50.0 * texture / texture.std()


MONOTONIC = [name for name, row in CATALOG.items() if row.blur_monotonic]


@pytest.mark.parametrize("kind", ["beads", "filaments", "nuclei", "one-over-f"])
@pytest.mark.parametrize("name", MONOTONIC)
@few
@given(seed=st.integers(0, 10_000), first_px=st.floats(0.3, 2.0), factor=st.floats(1.1, 2.5))
def test_more_blur_never_scores_sharper(name, kind, seed, first_px, factor):
    scene = fabricate_scene(kind, seed % 8)
    blurs_px = [0.0, first_px, first_px * factor]
    # Wrapped round, as a field goes on beyond its edges.
    images = [scipy.ndimage.gaussian_filter(scene, blur, mode="wrap") for blur in blurs_px]
    scores = score(torch.from_numpy(np.stack(images)), name, setup=SETUP)
    assert torch.all(scores.diff() <= 1e-9 * scores[0].abs()), scores


COUNTEREXAMPLES = {
    # Period, in pixels, of a wave that the blur dims while the measure's score rises.
    "vollath4": 2.5,
    "vollath5": 2.5,
}


@pytest.mark.parametrize("name", COUNTEREXAMPLES)
def test_blur_of_a_fine_wave_scores_sharper_by_vollath(name):
    place = np.arange(64)
    wave = np.cos(2 * np.pi * place / COUNTEREXAMPLES[name]) * np.ones((64, 1))
    blurred = scipy.ndimage.gaussian_filter(wave, 0.8, mode="wrap")
    assert score(blurred, name) > score(wave, name)


def test_blur_raises_the_entropy_of_a_two_level_image():
    image = np.zeros((64, 64))
    image[16:48, 16:48] = 100.0
    assert score(scipy.ndimage.gaussian_filter(image, 2.0), "entropy") > score(image, "entropy")


def test_every_exception_to_the_blur_law_has_its_counterexample():
    assert set(CATALOG) - set(MONOTONIC) == {*COUNTEREXAMPLES, "entropy"}
