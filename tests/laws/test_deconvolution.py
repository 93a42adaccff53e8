"""Laws of deconvolution."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from parfocal.refocus import landweber, richardson_lucy, wiener
from parfocal.refocus.checks import lay_out
from parfocal.refocus.iterations import _lucy_step

METHODS = {
    "lucy": partial(richardson_lucy, iterations=6),
    "ahead": partial(richardson_lucy, iterations=6, acceleration="biggs"),
    "varied": partial(richardson_lucy, iterations=6, total_variation=0.005),
    "landweber": partial(landweber, iterations=6),
    "wiener": partial(wiener, noise_to_signal=0.01),
}
# Total variation looks at the next pixel on one side, and smooths what was not blurred.
PLAIN = tuple(method for method in METHODS if method != "varied")
EDGES = ("mirror", "extend", "periodic")
SIDES = st.integers(5, 17)
SEEDS = st.integers(0, 10**6)


def field(size_y: int, size_x: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 100 * torch.rand(size_y, size_x, dtype=torch.float64, generator=generator) + 1.0


def lopsided(size: int, seed: int) -> torch.Tensor:
    return field(size, size, seed).square()


@pytest.mark.parametrize("method", PLAIN)
@given(size_y=SIDES, size_x=SIDES, seed=SEEDS, edges=st.sampled_from(EDGES))
def test_a_point_returns_the_image(method, size_y, size_x, seed, edges):
    image, point = field(size_y, size_x, seed), torch.zeros(3, 3, dtype=torch.float64)
    point[1, 1] = 7.0
    sharp = METHODS[method](image, point, edges=edges)
    close = 1e-9
    if method == "wiener":
        continued = lay_out(
            image, point, background=0.0, edges=edges, saturation_counts=None, device="cpu"
        ).data.mean()
        sharp, close = continued + 1.01 * (sharp - continued), 1e-9
    assert torch.allclose(sharp, image, rtol=close)


@pytest.mark.parametrize("method", PLAIN)
@given(size_y=SIDES, size_x=SIDES, seed=SEEDS, dims=st.sampled_from([(0,), (1,), (0, 1)]))
def test_flips_commute(method, size_y, size_x, seed, dims):
    image, psf = field(size_y, size_x, seed), lopsided(3, seed + 1)
    sharp = METHODS[method](image, psf, edges="periodic")
    turned = METHODS[method](image.flip(dims), psf.flip(dims), edges="periodic")
    assert torch.allclose(turned, sharp.flip(dims), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("method", METHODS)
@given(size_y=SIDES, size_x=SIDES, seed=SEEDS, edges=st.sampled_from(EDGES))
def test_axes_may_be_swapped(method, size_y, size_x, seed, edges):
    image, psf = field(size_y, size_x, seed), lopsided(5, seed + 1)
    sharp = METHODS[method](image, psf, edges=edges)
    assert torch.allclose(METHODS[method](image.mT, psf.mT, edges=edges), sharp.mT, rtol=1e-6)


@pytest.mark.parametrize("method", METHODS)
@given(seed=SEEDS, gain=st.sampled_from([1e-3, 0.5, 40.0]), edges=st.sampled_from(EDGES))
def test_gain_is_linear(method, seed, gain, edges):
    image, psf = field(9, 12, seed), lopsided(3, seed + 1)
    sharp = METHODS[method](image, psf, edges=edges)
    assert torch.allclose(METHODS[method](gain * image, psf, edges=edges), gain * sharp, rtol=1e-6)


@pytest.mark.parametrize("method", METHODS)
@given(seed=SEEDS, edges=st.sampled_from(EDGES))
def test_images_of_a_batch_do_not_meet(method, seed, edges):
    images = torch.stack([field(9, 12, seed), 30 * field(9, 12, seed + 1)])
    psf = lopsided(3, seed + 2)
    together = METHODS[method](images, psf, edges=edges)
    for image, sharp in zip(images, together, strict=True):
        assert torch.allclose(METHODS[method](image, psf, edges=edges), sharp, rtol=1e-5)


@given(size_y=SIDES, size_x=SIDES, seed=SEEDS)
def test_light_is_kept(size_y, size_x, seed):
    image, psf = field(size_y, size_x, seed), lopsided(4, seed + 1)
    for method in ("lucy", "wiener"):
        sharp = METHODS[method](image, psf, edges="periodic")
        assert float(sharp.sum()) == pytest.approx(float(image.sum()), rel=1e-9)


@pytest.mark.parametrize("method", ["lucy", "ahead", "varied"])
def test_light_of_an_object_on_a_dark_field_is_kept(method):
    image = torch.zeros(96, 96)
    image[40:56, 40:56] = field(16, 16, 3).float()
    sharp = METHODS[method](image, lopsided(5, 1))
    assert float(sharp.sum()) == pytest.approx(float(image.sum()), rel=1e-4)


@given(
    size_y=SIDES,
    size_x=SIDES,
    seed=SEEDS,
    edges=st.sampled_from(EDGES),
    background=st.sampled_from([0.0, 5.0]),
    saturation=st.sampled_from([None, 80.0]),
)
def test_the_likelihood_never_falls(size_y, size_x, seed, edges, background, saturation):
    exposure = lay_out(
        field(size_y, size_x, seed), lopsided(3, seed + 1), background=background, edges=edges,
        saturation_counts=saturation, device="cpu",
    )  # fmt: skip
    step, sharp = _lucy_step(exposure, 0.0), torch.full_like(exposure.data, 50.0)
    last = -math.inf
    for _ in range(10):
        model = exposure.blur.apply(sharp) + background
        terms = exposure.data * model.log() - model
        likelihood = float((terms if exposure.weights is None else terms * exposure.weights).sum())
        assert likelihood >= last - 1e-9 * abs(likelihood)
        last, sharp = likelihood, step(sharp)


@given(seed=SEEDS, step=st.sampled_from([0.1, 1.0, 1.9]))
def test_the_squared_error_never_rises(seed, step):
    image, psf = field(11, 12, seed), lopsided(3, seed + 1)
    exposure = lay_out(
        image, psf, background=0.0, edges="periodic", saturation_counts=None, device="cpu"
    )
    errors = []
    for count in (1, 2, 4, 8):
        sharp = landweber(image, psf, count, step, edges="periodic")
        errors.append(float((exposure.blur.apply(sharp) - image).square().sum()))
    assert errors == sorted(errors, reverse=True)
