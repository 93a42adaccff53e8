"""Deconvolution against scikit-image, and against matrices that hold every weight."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage import restoration

from parfocal.refocus import landweber, richardson_lucy, wiener


def circulant(psf: np.ndarray, sizes: tuple[int, ...]) -> np.ndarray:
    """Matrix of circular convolution; the middle of the psf is at size // 2."""
    matrix = np.zeros((int(np.prod(sizes)),) * 2)
    for place in np.ndindex(*sizes):
        column = np.ravel_multi_index(place, sizes)
        for tap in np.ndindex(*psf.shape):
            corner = [at - n // 2 for at, n in zip(place, psf.shape, strict=True)]
            to = [(a + b) % n for a, b, n in zip(corner, tap, sizes, strict=True)]
            matrix[np.ravel_multi_index(to, sizes), column] += psf[tap]
    return matrix


def drawn(*sizes: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(*sizes, dtype=torch.float64, generator=generator) + 0.05


CASES = [((7, 8), (3, 4)), ((6, 9), (5, 3)), ((5, 6), (9, 8)), ((3, 5, 4), (2, 3, 5))]


@pytest.mark.parametrize(("sizes", "taps"), CASES)
def test_richardson_lucy_is_the_one_of_matrices(sizes, taps):
    image, psf = 50 * drawn(*sizes), drawn(*taps, seed=1)
    ours = richardson_lucy(image, psf, 12, background=3.0, edges="periodic")
    matrix = circulant((psf / psf.sum()).numpy(), sizes)
    data = image.numpy().ravel()
    sharp = np.maximum(data - 3.0, 0.1 * max((data - 3.0).mean(), 0.0))
    for _ in range(12):
        sharp = sharp * (matrix.T @ (data / (matrix @ sharp + 3.0)))
    np.testing.assert_allclose(ours.numpy().ravel(), sharp, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize(("sizes", "taps"), CASES)
def test_landweber_is_the_one_of_matrices(sizes, taps):
    image, psf = 50 * drawn(*sizes), drawn(*taps, seed=1)
    ours = landweber(image, psf, 12, 1.3, background=3.0, edges="periodic")
    matrix = circulant((psf / psf.sum()).numpy(), sizes)
    light = image.numpy().ravel() - 3.0
    sharp = np.maximum(light, 0.1 * max(light.mean(), 0.0))
    for _ in range(12):
        sharp = np.maximum(sharp + 1.3 * matrix.T @ (light - matrix @ sharp), 0.0)
    np.testing.assert_allclose(ours.numpy().ravel(), sharp, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("saturation_counts", [None, 40.0])
def test_weighted_steps_are_those_of_matrices(saturation_counts):
    image, psf = 50 * drawn(6, 7), drawn(3, 3, seed=1)
    options = {"edges": "extend", "saturation_counts": saturation_counts}
    lucy = richardson_lucy(image, psf, 9, **options)
    least_squares = landweber(image, psf, 9, 0.7, **options)
    field = (8, 10)  # one pixel of reach to either side, to a size that is quick
    matrix = circulant((psf / psf.sum()).numpy(), field)
    # Seen pixels alone matter, whatever the field holds elsewhere.
    start = np.asarray(richardson_start(image, psf))
    weights = np.zeros(field)
    weights[:6, :7] = 1.0 if saturation_counts is None else (image < saturation_counts).numpy()
    data = np.zeros(field)
    data[:6, :7] = image.numpy()
    w, d = weights.ravel(), data.ravel()
    sharp = start.ravel().copy()
    for _ in range(9):
        ratio = w * d / (matrix @ sharp)
        sharp = sharp * (matrix.T @ ratio + 1e-3) / (matrix.T @ w + 1e-3)
    np.testing.assert_allclose(lucy.numpy(), sharp.reshape(field)[:6, :7], rtol=1e-7)
    sharp = start.ravel().copy()
    for _ in range(9):
        sharp = np.maximum(sharp - 0.7 * matrix.T @ (w * (matrix @ sharp - d)), 0.0)
    np.testing.assert_allclose(least_squares.numpy(), sharp.reshape(field)[:6, :7], rtol=1e-7)


def richardson_start(image: torch.Tensor, psf: torch.Tensor) -> torch.Tensor:
    """The field that the steps begin with."""
    from parfocal.refocus.checks import lay_out
    from parfocal.refocus.iterations import _first_guess

    exposure = lay_out(
        image, psf, background=0.0, edges="extend", saturation_counts=None, device="cpu"
    )
    assert exposure.frame.padded == (8, 10)
    return _first_guess(exposure, None)


@pytest.mark.parametrize("size_psf", [7, 9])
def test_richardson_lucy_is_that_of_scikit_image_away_from_edges(size_psf):
    image = torch.full((64, 64), 1.0)
    image[24:40, 24:40] += 20 * drawn(16, 16).float()
    steps = torch.arange(size_psf) - size_psf // 2
    bell = torch.exp(-(steps[:, None] ** 2 + (steps - 0.5) ** 2) / 6.0)
    bell = bell / bell.sum()
    theirs = restoration.richardson_lucy(image.numpy(), bell.numpy(), num_iter=8, clip=False)
    # From the same start: theirs is a constant.
    ours = richardson_lucy(image, bell, 8, start=torch.full_like(image, 0.5))
    np.testing.assert_allclose(ours[20:44, 20:44], theirs[20:44, 20:44], rtol=2e-3)


def test_wiener_is_the_regularised_inverse():
    image, psf = 50 * drawn(7, 8), drawn(3, 4, seed=1)
    ours = wiener(image, psf, 0.03, edges="periodic")
    matrix = circulant((psf / psf.sum()).numpy(), (7, 8))
    light = image.numpy().ravel()
    mean = light.mean()
    inverse = np.linalg.inv(matrix.T @ matrix + 0.03 * np.eye(56))
    expected = inverse @ matrix.T @ (light - mean) + mean
    np.testing.assert_allclose(ours.numpy().ravel(), expected, rtol=1e-9)


def test_wiener_is_that_of_scikit_image():
    image, psf = drawn(32, 32), drawn(5, 5, seed=1)
    image = image - image.mean()
    whole = np.zeros((32, 32))
    whole[0, 0] = 1.0  # their regulariser: every frequency alike
    theirs = restoration.wiener(
        image.numpy(), (psf / psf.sum()).numpy(), 0.02, reg=whole, clip=False
    )
    ours = wiener(image, psf, 0.02, edges="periodic")
    np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-6, atol=1e-8)
