"""Laws of signed defocus: what must not move the answer, what mirrors it, what is no answer.

They hold for any weights, so untrained ones are asked; those that only training can teach, and all
others again, are asked of the shipped networks where the package has them.
"""

from __future__ import annotations

import math
from functools import partial

import dask.array
import numpy as np
import pytest
import torch
import xarray
from hypothesis import example, given, settings
from hypothesis import strategies as st

from parfocal.core.errors import InputError, MetadataError, ParfocalError, ShapeError
from parfocal.core.results import Status
from parfocal.core.setup import OpticalSetup
from parfocal.models import ModelCard, load_model
from parfocal.models.catalog import SHIPPED
from parfocal.nets.pair import PairNetwork
from parfocal.predict import pair_predictor
from parfocal.predict.dense import defocus_map
from parfocal.predict.pair_predictor import PairPredictor

SETUP = OpticalSetup(na=0.5, wavelength_nm=500, pixel_um=0.5)
DEPTH_UM = 3.0  # effective depth of field
SPACING_UM = 3.0
NARROW_DEPTHS = 0.15
"""Effective depths of field by which bfloat16 may move the mean of a distribution."""
seeds = st.integers(0, 10_000)
few = settings(max_examples=5)


def _untrained():
    torch.manual_seed(0)
    networks = [PairNetwork(bins=34, widths=(4, 4, 6, 6, 8), hidden=16).eval() for _ in range(2)]
    for network in networks:
        network.head[-1].weight.data.mul_(20.0)  # so that they say something
    card = ModelCard(
        name="untrained", task="", architecture="parfocal.nets.pair:PairNetwork", settings={},
        recipe={}, commit="", seed=0, data="", seconds=0.0, machine="", metrics={}, coverage={},
        calibration={"least_certainty": -1.0, "reach": 30.0, "most_clear": 2.0}, limits=(),
    )  # fmt: skip
    return PairPredictor(networks, card)


@pytest.fixture(scope="module", params=["untrained", "shipped"])
def predictor(request):
    return _untrained() if request.param == "untrained" else request.getfixturevalue("shipped")


@pytest.fixture(scope="module")
def shipped():
    folder = SHIPPED / "pair-fluorescence"
    if not (folder / "weights.safetensors").is_file():
        pytest.skip("the package has no weights of pair-fluorescence yet")
    return PairPredictor(*load_model(folder))


def _images(seed, count=2, size_y=144, size_x=128):
    """Points of light, blurred a little more in each image than in the last, and counted."""
    dice = np.random.default_rng(seed)
    light = (dice.random((size_y, size_x)) > 0.99) * dice.gamma(2.0, 1.0, (size_y, size_x))
    waves = np.fft.fftfreq(size_y)[:, None] ** 2 + np.fft.fftfreq(size_x) ** 2
    blur_px = dice.uniform(0.8, 3.0) + 0.6 * np.arange(count)
    passed = np.exp(-2 * (np.pi * blur_px[:, None, None]) ** 2 * waves)
    blurred = np.fft.ifft2(np.fft.fft2(light) * passed).real.clip(0)
    return dice.poisson(20 + 400 * blurred / blurred.max()).astype(np.uint16)


def _ask(predictor, images, spacing_um=SPACING_UM, setup=SETUP):
    """Mean of the field's distribution, in effective depths of field, and the whole answer."""
    guess = predictor.predict(images, spacing_um=spacing_um, setup=setup)
    assert (guess.defocus_um is None) == (guess.status != Status.FOUND)
    if guess.probabilities is None:
        return math.nan, guess
    return float(guess.probabilities @ guess.classes_um) / DEPTH_UM, guess


def _half_width_depths(guess):
    if guess.interval_um is None:
        return math.inf
    return (guess.interval_um[1] - guess.interval_um[0]) / 2 / DEPTH_UM


@few
@given(seed=seeds)
def test_images_swapped_mirror_the_answer(predictor, seed):
    images = _images(seed)
    mean, _ = _ask(predictor, images)
    other, _ = _ask(predictor, images[::-1])
    # Seen from the other side, the last image comes first, a spacing beyond.
    assert other == pytest.approx(-(mean + SPACING_UM / DEPTH_UM), abs=1e-3)


@few
@given(seed=seeds, gain=st.floats(0.01, 50.0), offset=st.floats(0.0, 2000.0))
@example(seed=0, gain=0.01, offset=2000.0)
def test_gain_and_offset_move_the_answer_by_less_than_its_interval(predictor, seed, gain, offset):
    images = _images(seed)
    mean, guess = _ask(predictor, images)
    other, _ = _ask(predictor, gain * images.astype(np.float64) + offset)
    assert abs(other - mean) < min(NARROW_DEPTHS, _half_width_depths(guess))


@few
@given(seed=seeds, together=st.integers(1, 5))
def test_the_batch_does_not_matter(predictor, seed, together):
    images = _images(seed, size_y=300)
    mean, _ = _ask(predictor, images)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pair_predictor, "AT_ONCE", together)
        other, _ = _ask(predictor, images)
    assert other == pytest.approx(mean, abs=NARROW_DEPTHS)


@pytest.mark.parametrize(
    "kind",
    [
        lambda images: images.astype(np.float64),
        lambda images: images.astype(np.int32),
        lambda images: torch.from_numpy(images.astype(np.float32)),
        lambda images: dask.array.from_array(images, chunks=(1, 64, 64)),
        lambda images: xarray.DataArray(images, dims=("z", "y", "x")),
        np.asfortranarray,
        list,
    ],
)
def test_the_kind_of_array_does_not_matter(predictor, kind):
    images = _images(1)
    mean, guess = _ask(predictor, images)
    other, same = _ask(predictor, kind(images))
    assert other == mean
    assert (same.status, same.defocus_um) == (guess.status, guess.defocus_um)


@few
@given(seed=seeds, axis=st.sampled_from([1, 2]))
def test_mirrored_images_give_the_same_answer(shipped, seed, axis):
    images = _images(seed, size_y=256, size_x=256)
    mean, guess = _ask(shipped, images)
    other, _ = _ask(shipped, np.flip(images, axis))
    assert abs(other - mean) < max(0.5, _half_width_depths(guess) if guess.found else 1.0)


@few
@given(seed=seeds)
def test_a_map_is_mirrored_with_its_images_and_knows_no_gain(predictor, seed):
    images = _images(seed, size_y=224)
    one = defocus_map(predictor, images, spacing_um=SPACING_UM, setup=SETUP)
    gained = defocus_map(predictor, 3.0 * images + 70.0, spacing_um=SPACING_UM, setup=SETUP)
    swapped = defocus_map(predictor, images[::-1], spacing_um=SPACING_UM, setup=SETUP)
    bound = NARROW_DEPTHS * DEPTH_UM
    both = np.isfinite(one.defocus_um) & np.isfinite(gained.defocus_um)
    np.testing.assert_allclose(gained.defocus_um[both], one.defocus_um[both], atol=bound)
    both = np.isfinite(one.defocus_um) & np.isfinite(swapped.defocus_um)
    mirrored = -(one.defocus_um + SPACING_UM)
    np.testing.assert_allclose(swapped.defocus_um[both], mirrored[both], atol=0.01)


bad_images = st.sampled_from(
    [
        (lambda images: np.full_like(images, 9), Status.BLANK),
        (lambda images: images * [[[1]], [[0]]], Status.BLANK),
        (lambda images: np.minimum(images, np.quantile(images, 0.7)), Status.SATURATED),
        (lambda images: images[:, :31], Status.UNCERTAIN),
        (lambda images: images[:, :, :3], Status.UNCERTAIN),
    ]
)


@few
@given(seed=seeds, bad=bad_images)
def test_what_cannot_be_judged_is_never_a_number(predictor, seed, bad):
    change, status = bad
    images = change(_images(seed))
    _, guess = _ask(predictor, images)
    assert guess.status == status
    assert guess.reason
    assert guess.interval_um is None


@few
@given(seed=seeds, spacing=st.one_of(st.floats(1e-3, 0.28), st.floats(3.1, 1e3)))
def test_spacings_that_training_did_not_know_are_declined(predictor, seed, spacing):
    _, guess = _ask(predictor, _images(seed), spacing_um=spacing * DEPTH_UM)
    assert guess.status == Status.UNCERTAIN
    assert "apart" in guess.reason


def _with(images, value):
    images = images.astype(np.float64)
    images[-1, 5, 5] = value
    return images


@pytest.mark.parametrize(
    ("change", "spacing_um", "error"),
    [
        (lambda images: _with(images, np.nan), SPACING_UM, InputError),
        (lambda images: _with(images, np.inf), SPACING_UM, InputError),
        (lambda images: [images[0], images[1, :-1]], SPACING_UM, ShapeError),
        (lambda images: images[None], SPACING_UM, ShapeError),
        (lambda images: images[:0], SPACING_UM, ShapeError),
        (lambda images: images.astype(complex), SPACING_UM, ShapeError),
        (lambda images: images, None, MetadataError),
        (lambda images: images, 0.0, InputError),
        (lambda images: images, -3.0, InputError),
        (lambda images: images, math.nan, InputError),
        (lambda images: images, math.inf, InputError),
    ],
)
def test_what_is_no_short_stack_is_an_error_of_one_line(change, spacing_um, error):
    predictor = _untrained()
    for ask in (predictor.predict, partial(defocus_map, predictor)):
        with pytest.raises(error) as raised:
            ask(change(_images(0)), spacing_um=spacing_um, setup=SETUP)
        assert isinstance(raised.value, ParfocalError)
        assert "\n" not in str(raised.value)


@few
@given(seed=seeds)
def test_one_image_needs_no_spacing_and_its_axis_does_not_matter(predictor, seed):
    image = _images(seed)[0]
    mean, guess = _ask(predictor, image, spacing_um=None)
    other, same = _ask(predictor, image[None], spacing_um=SPACING_UM)
    assert guess.status == same.status
    assert other == mean or (math.isnan(other) and math.isnan(mean))
