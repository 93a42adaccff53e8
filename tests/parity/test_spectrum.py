"""Features of LED spectra against plain numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from parfocal.core.errors import ShapeError
from parfocal.core.setup import OpticalSetup
from parfocal.predict.spectrum import (
    cropped_spectrum,
    magnitude_features,
    phase_features,
    published_bins,
)
from parfocal.predict.spectrum_windows import (
    COLUMNS,
    FOLD,
    ROWS,
    log_powers,
    powers_of_windows,
    window_powers,
)

RNG = np.random.default_rng(3)


@pytest.mark.parametrize("shape", [(64, 96), (65, 64), (50, 51)])
def test_the_cropped_spectrum_is_numpys(shape):
    image = RNG.poisson(500, shape).astype(np.float32)
    got = cropped_spectrum(torch.from_numpy(image), across=9, along=12).numpy()
    whole = np.fft.fft2(image.astype(float) - image.mean(dtype=float))
    want = np.concatenate([whole[:9, -12:], whole[:9, :12]], axis=1)
    np.testing.assert_allclose(got, want, atol=1e-5 * np.abs(whole).max())


def _slow_features(image, cuts, across, along):
    """As the published code, patch by patch, in float64."""
    size_y, size_x = image.shape[0] // cuts[0], image.shape[1] // cuts[1]
    rows = []
    for j in range(cuts[0]):
        for i in range(cuts[1]):
            patch = image[j * size_y : (j + 1) * size_y, i * size_x : (i + 1) * size_x]
            spectrum = np.fft.fft2(patch.astype(float) - patch.mean(dtype=float))
            kept = np.concatenate([spectrum[:across, -along:], spectrum[:across, :along]], axis=1)
            rows.append(kept.ravel())
    return np.array(rows)


def test_published_features_are_those_of_a_slow_reference():
    image = RNG.poisson(500, (128, 200)).astype(np.uint16)
    cuts, across, along = (2, 2), 7, 25
    slow = _slow_features(image, cuts, across, along)
    tensor = torch.from_numpy(image.astype(np.float32))
    got = magnitude_features(tensor, cuts=cuts, across=across, along=along).numpy()
    want = np.abs(slow) / np.linalg.norm(slow, axis=1, keepdims=True)
    np.testing.assert_allclose(got, want, atol=2e-6)
    phase = phase_features(tensor, cuts=cuts, across=across, along=along).numpy()
    strong = np.abs(slow) > 0.1 * np.abs(slow).max()
    turned = np.angle(np.exp(1j * (phase - np.angle(slow))))
    assert np.abs(turned[strong]).max() < 1e-3


def test_published_sizes_are_the_published_number_of_features():
    setup = OpticalSetup(na=0.5, wavelength_nm=530, pixel_um=0.325)
    across, along = published_bins(1024 * setup.pixel_um * setup.na / setup.wavelength_um)
    assert across * 2 * along == 31_314


def test_window_powers_are_a_windowed_periodogram():
    window = RNG.normal(100, 10, (150, 150)).astype(np.float32)
    bell = np.outer(*[0.5 - 0.5 * np.cos(2 * np.pi * np.arange(150) / 150)] * 2)
    power = np.abs(np.fft.fft2((window - window.mean()) * bell)) ** 2 / (bell**2).sum()
    half = COLUMNS * FOLD // 2
    kept = np.concatenate([power[:ROWS, -half:], power[:ROWS, :half]], axis=1)
    kept[0, half] = 0.0
    want = kept.reshape(ROWS, COLUMNS, FOLD).mean(-1)
    got = window_powers(torch.from_numpy(window)[None])[0].numpy()
    np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-4 * want.max())


@pytest.mark.parametrize("side", [150, 151])
@pytest.mark.parametrize("mean", [60.0, 3000.0])
def test_windows_of_one_image_have_the_powers_of_each_alone(side, mean):
    relief = RNG.normal(size=(400, 470)).cumsum(1)
    image = RNG.poisson(mean * (1 + 0.02 * relief / relief.std())).astype(np.float32)
    rows, columns = [0, 149, 400 - side], [0, 77, 150, 470 - side]
    windows = np.stack([image[y : y + side, x : x + side] for y in rows for x in columns])
    want = window_powers(torch.from_numpy(windows)).view(3, 4, ROWS, COLUMNS)
    whole = torch.from_numpy(image)
    wide = powers_of_windows(whole, rows, columns, side, is_narrow=False)
    torch.testing.assert_close(wide, want, rtol=1e-3, atol=1e-6 * float(want.max()))
    narrow = powers_of_windows(whole, rows, columns, side, is_narrow=True)
    away = (log_powers(narrow.mean((0, 1))) - log_powers(want.mean((0, 1)))).abs()
    assert float(away.mean()) < 0.003
    assert float(away.max()) < 0.03


def test_windows_too_small_for_their_frequencies_are_refused():
    with pytest.raises(ShapeError, match="This spectrum"):
        powers_of_windows(torch.rand(400, 400), [0, 200], [0, 200], 100)
