"""Deconvolution: what it takes, what it refuses, and when it declines to answer."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from parfocal.core.errors import InputError, MetadataError, ShapeError, UnknownNameError
from parfocal.core.setup import OpticalSetup
from parfocal.core.stack import FocalStack
from parfocal.refocus import deconvolve, defocus_psf, landweber, richardson_lucy, wiener
from parfocal.refocus.edges import Frame
from parfocal.refocus.psfs import Blur

SETUP = OpticalSetup(na=0.75, wavelength_nm=536, pixel_um=0.2)
DEPTH_UM = SETUP.depth_of_field_um


def scene(size: int = 96, *, defocus_um: float, photons: float = 500.0) -> tuple[torch.Tensor, ...]:
    """Balls and lines: the exposure out of focus, and what is expected in focus."""
    light = torch.zeros(size, size)
    y, x = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    for cy, cx, r in ((30, 30, 5), (60, 40, 8), (45, 70, 3), (75, 75, 6)):
        light += ((y - cy) ** 2 + (x - cx) ** 2 < r**2).float()
    light[20, 20 : size - 16] += 2.0
    light[15 : size - 11, size - 11] += 2.0
    blurred = Blur.of(defocus_psf(SETUP, defocus_um), light.shape).apply(light)
    focused = Blur.of(defocus_psf(SETUP, 0.0), light.shape).apply(light)
    gain = photons / float(focused.max())
    noise = torch.Generator().manual_seed(0)
    return torch.poisson(gain * blurred.clamp(min=0) + 20, generator=noise), gain * focused + 20


def error(image: object, truth: torch.Tensor) -> float:
    return float((torch.as_tensor(np.asarray(image)) - truth)[10:-10, 10:-10].square().mean())


@pytest.mark.parametrize("method", ["richardson-lucy", "landweber", "wiener"])
def test_the_right_distance_brings_the_image_nearer_to_the_truth(method):
    image, truth = scene(defocus_um=2.5)
    result = deconvolve(image, setup=SETUP, defocus_um=2.5, interval_um=(2.2, 2.8), method=method)
    assert result.found
    assert error(result, truth) < (0.75 if method == "wiener" else 0.45) * error(image, truth)
    assert result.flux == pytest.approx(1.0, abs=0.03)
    assert not result.warnings
    assert bool((result.trust == 1).all())


def test_the_sign_of_the_distance_makes_no_difference():
    image, _ = scene(48, defocus_um=2.5)
    ours, other = (deconvolve(image, setup=SETUP, defocus_um=z) for z in (2.5, -2.5))
    np.testing.assert_array_equal(np.asarray(ours), np.asarray(other))


def test_an_image_in_focus_is_passed_through():
    image, _ = scene(48, defocus_um=0.0)
    for interval in (None, (0.2, 0.8)):
        result = deconvolve(image, setup=SETUP, defocus_um=0.5, interval_um=interval)
        assert result.method == "passed through"
        np.testing.assert_array_equal(np.asarray(result), image.numpy())


@pytest.mark.parametrize(("low", "high"), [(1.0, 2.2), (1.9, 4.0)])
def test_a_distance_that_is_not_known_well_is_declined(low, high):
    image, _ = scene(48, defocus_um=2.0)
    result = deconvolve(image, setup=SETUP, defocus_um=2.0, interval_um=(low, high))
    assert result.status == "uncertain"
    assert "depths of field" in result.reason
    assert not result.trust.any()


def test_blank_and_saturated_images_are_declined():
    flat = np.full((32, 32), 7.0)
    assert deconvolve(flat, setup=SETUP, defocus_um=2.0).status == "blank"
    image, _ = scene(48, defocus_um=2.0)
    result = deconvolve(image, setup=SETUP, defocus_um=2.0, saturation_counts=40.0)
    assert result.status == "saturated"


def test_a_distance_without_an_interval_is_believed_aloud():
    image, _ = scene(48, defocus_um=2.0)
    assert "believed" in deconvolve(image, setup=SETUP, defocus_um=2.0).warnings[0]


def test_trust_is_low_around_saturated_pixels():
    image, _ = scene(defocus_um=2.0)
    image[38:46, 38:46] = 4000.0
    result = deconvolve(image, setup=SETUP, defocus_um=2.0, saturation_counts=4000.0)
    assert result.trust[41, 41] < 0.9
    assert result.trust[80, 10] > 0.99
    # The clipped square does not become the brightest object of all.
    assert float(np.asarray(result).max()) < 4000.0


def test_each_part_of_a_field_has_its_own_distance():
    image, truth = scene(defocus_um=2.5)
    uniform = deconvolve(image, setup=SETUP, defocus_um=2.5)
    mapped = deconvolve(image, setup=SETUP, defocus_um=np.full(image.shape, 2.5))
    called = deconvolve(image, setup=SETUP, defocus_um=lambda y, x: 2.5 + 0 * y)
    np.testing.assert_array_equal(np.asarray(mapped), np.asarray(called))
    assert error(mapped, torch.as_tensor(np.asarray(uniform))) < 0.02 * error(image, truth)


def test_tiles_agree_with_the_whole(monkeypatch):
    monkeypatch.setattr("parfocal.refocus.deconvolution.TILE_PX", 48)
    image, truth = scene(defocus_um=2.0)
    tiled = np.asarray(deconvolve(image, setup=SETUP, defocus_um=2.0, iterations=10))
    monkeypatch.undo()
    whole = np.asarray(deconvolve(image, setup=SETUP, defocus_um=2.0, iterations=10))
    assert not np.array_equal(tiled, whole)
    assert error(tiled, torch.as_tensor(whole)) < 1e-3 * error(image, truth)


@pytest.mark.parametrize(
    ("arguments", "kind", "text"),
    [
        ({"setup": None}, MetadataError, "--na"),
        ({"method": "magic"}, UnknownNameError, "richardson-lucy"),
        ({"defocus_um": float("nan")}, InputError, "NaN"),
        ({"defocus_um": np.ones(3)}, ShapeError, "one for each pixel"),
        ({"interval_um": (3.0, 4.0)}, InputError, "does not hold"),
        ({"iterations": 0}, InputError, "1 or more"),
        ({"defocus_um": 900.0}, InputError, "nearer to focus"),
        ({"image": np.zeros((2, 8, 8))}, ShapeError, "one plane"),
    ],
)
def test_bad_calls_are_refused(arguments, kind, text):
    image, _ = scene(48, defocus_um=2.0)
    call = {"image": image, "setup": SETUP, "defocus_um": 2.0, **arguments}
    with pytest.raises(kind, match=text):
        deconvolve(**call)


@pytest.mark.parametrize("size", [(5, 6), (1, 9), (2, 2)])
@pytest.mark.parametrize("edges", ["mirror", "extend", "periodic"])
def test_the_point_spread_function_may_be_larger_than_the_image(size, edges):
    image = torch.rand(size, generator=torch.Generator().manual_seed(1)) + 1
    for psf in (torch.ones(31, 30), torch.ones(3, 8)):
        sharp = richardson_lucy(image, psf, 3, edges=edges)
        assert sharp.shape == image.shape
        assert bool(torch.isfinite(sharp).all())


def test_images_leave_as_the_kind_that_came():
    counts = np.random.default_rng(0).poisson(20, (12, 13)).astype(np.uint16)
    psf = np.ones((3, 3))
    for run in (richardson_lucy, landweber):
        assert run(counts, psf, 2).dtype == np.float32
        assert run(counts.astype(np.float64), psf, 2).dtype == np.float64
        assert isinstance(run(torch.from_numpy(counts.astype(np.float32)), psf, 2), torch.Tensor)
    stack = FocalStack.of(np.stack([counts, counts + 3]))
    assert wiener(stack, psf, 0.1).shape == (2, 12, 13)
    assert richardson_lucy(stack, np.ones((3, 3, 3)), 2).shape == (2, 12, 13)


@pytest.mark.parametrize(
    ("arguments", "kind", "text"),
    [
        ({"image": np.full((4, 4), np.nan)}, InputError, "16 pixels that are NaN"),
        ({"image": np.ones(4)}, ShapeError, "needs its axes"),
        ({"psf": np.ones(4)}, ShapeError, "(y, x) or"),
        ({"psf": np.zeros((3, 3))}, InputError, "needs light"),
        ({"psf": -np.eye(3)}, InputError, "nothing below 0"),
        ({"psf": np.full((3, 3), np.inf)}, InputError, "infinite"),
        ({"iterations": 0}, InputError, "1 or more"),
        ({"edges": "square"}, UnknownNameError, "mirror"),
        ({"acceleration": "warp"}, UnknownNameError, "biggs"),
        ({"total_variation": 1.0}, InputError, "total_variation"),
        ({"background": np.ones((3, 3))}, ShapeError, "background"),
        ({"background": float("nan")}, InputError, "background"),
        ({"start": np.ones((3, 3))}, ShapeError, "start"),
        ({"saturation_counts": 0.5}, InputError, "Every pixel"),
        ({"device": "abacus"}, InputError, "no device"),
    ],
)
def test_bad_inputs_are_refused(arguments, kind, text):
    call = {"image": np.ones((4, 4)), "psf": np.ones((3, 3)), "iterations": 1, **arguments}
    with pytest.raises(kind) as caught:
        richardson_lucy(**call)
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("step", [0.0, 2.0, -1.0])
def test_steps_that_would_diverge_are_refused(step):
    with pytest.raises(InputError, match="step"):
        landweber(np.ones((4, 4)), np.ones((3, 3)), 1, step)


def test_steps_ahead_need_fewer_iterations():
    """A fixed number, so that a slower acceleration is seen: 30 steps for 100."""
    image, _ = scene(defocus_um=2.0)
    psf = defocus_psf(SETUP, 2.0)
    blur = lambda sharp: Blur.of(psf, image.shape).apply(sharp) + 20  # noqa: E731

    def deviance(sharp: torch.Tensor) -> float:
        model = blur(sharp).clamp(min=1e-3)
        return float((model - image * model.log()).double().sum())

    options = {"background": 20.0, "edges": "periodic"}
    plain = deviance(richardson_lucy(image, psf, 100, **options))
    ahead = deviance(richardson_lucy(image, psf, 30, acceleration="biggs", **options))
    assert ahead <= plain
    assert deviance(richardson_lucy(image, psf, 30, **options)) > plain


def test_a_constant_background_is_taken_out():
    image, _ = scene(64, defocus_um=2.0)
    psf = defocus_psf(SETUP, 2.0)
    level = torch.full_like(image, 20.0)
    options = {"edges": "periodic"}
    one = richardson_lucy(image, psf, 10, background=20.0, **options)
    mapped = richardson_lucy(image, psf, 10, background=level, **options)
    assert torch.allclose(mapped, one, rtol=1e-4)
    # Noise below the background cannot be light, so that a little too much is found.
    assert float(one.sum()) == pytest.approx(float((image - 20).sum()), rel=0.04)


def test_saturated_pixels_do_not_say_what_they_hold():
    image, _ = scene(64, defocus_um=1.5)
    psf = defocus_psf(SETUP, 1.5)
    clipped, worse = image.clamp(max=200), image.clone()
    worse[image > 200] = 5e4
    runs = [
        richardson_lucy(one, psf, 10, saturation_counts=200.0, start=torch.full_like(image, 50.0))
        for one in (clipped, worse)
    ]
    assert torch.equal(*runs)


def test_what_lies_beyond_the_edges_is_found_as_far_as_it_shines_in():
    light = torch.zeros(80, 80)
    light[8, 40], light[40, 40] = 4000.0, 4000.0
    psf = defocus_psf(SETUP, 3.0)
    image = (Blur.of(psf, light.shape).apply(light).clamp(min=0) + 5)[10:]
    away = {
        edges: richardson_lucy(image, psf, 60, background=5.0, edges=edges, acceleration="biggs")
        for edges in ("mirror", "extend")
    }
    stray = {edges: float(sharp[:12].sum()) for edges, sharp in away.items()}
    assert stray["extend"] < 0.7 * stray["mirror"]


def test_total_variation_keeps_noise_down():
    image, _ = scene(64, defocus_um=2.0, photons=50.0)
    psf = defocus_psf(SETUP, 2.0)
    rough, smooth = (
        richardson_lucy(image, psf, 60, background=20.0, total_variation=weight)
        for weight in (0.0, 0.01)
    )
    assert float(smooth.diff(dim=1).abs().sum()) < 0.8 * float(rough.diff(dim=1).abs().sum())


def test_reflections_meet_without_a_step():
    frame = Frame.around((20,), (6,), "mirror")
    ramp = torch.arange(20.0)
    field = frame.grow(ramp)
    assert frame.padded == (32,)
    assert torch.equal(frame.crop(field), ramp)
    assert torch.allclose(field[20:22], torch.tensor([19.0, 18.0]), atol=0.4)
    assert float(field.diff().abs().max()) < 4.0
    assert abs(float(field[-1] - field[0])) < 1.0
