"""Transmitted light: what an empty field, contrast, cut-offs, batches and refusals are."""

from __future__ import annotations

import math
from inspect import unwrap

import pytest
import torch
from torch import Tensor

from parfocal.core.errors import InputError, ShapeError
from parfocal.core.setup import OpticalSetup
from parfocal.optics.exit_waves import ExitWaves, transmission_pixel_um
from parfocal.optics.illumination import annulus_source, disc_source, led_source
from parfocal.optics.transmission import (
    coherent_images,
    half_annulus_images,
    transmitted_images,
)

SETUP = OpticalSetup(na=0.5, wavelength_nm=500, pixel_um=0.25, immersion_index=1.0)
FLOOR = torch.zeros(1)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def bump(size: int = 64, *, radius_px: float = 4.0) -> Tensor:
    x = torch.arange(size) - size / 2
    return torch.exp(-(x[:, None] ** 2 + x**2) / (2 * radius_px**2))


@pytest.mark.parametrize("shape", [(32, 32), (30, 45)])
@pytest.mark.parametrize("pixel_um", [0.25, 0.1])
def test_empty_field_is_one(shape, pixel_um):
    setup = SETUP.model_copy(update={"pixel_um": pixel_um})
    empty = torch.ones(3, *shape, dtype=torch.complex64)
    z_um, heights_um = torch.linspace(-10, 30, 5), torch.tensor([-2.0, 0.0, 7.0])
    for source in (disc_source(0.0), disc_source(0.4), annulus_source(0.2, 0.5, points=9)):
        images = transmitted_images(empty, setup, z_um, heights_um=heights_um, source=source)
        torch.testing.assert_close(images, torch.ones(5, *shape), rtol=0, atol=1e-5)


def test_source_wider_than_the_objective_counts_what_enters():
    empty = torch.ones(1, 32, 32, dtype=torch.complex64)
    setup = SETUP.model_copy(update={"pixel_um": 0.2})
    source = led_source([(0.0, 0.1), (0.0, 0.7)])
    images = transmitted_images(empty, setup, FLOOR, heights_um=FLOOR, source=source)
    torch.testing.assert_close(images, torch.ones_like(images))


def test_led_beyond_the_aperture_gives_dark_field():
    setup = SETUP.model_copy(update={"pixel_um": 0.15})
    slices = torch.stack([torch.ones(64, 64) + 0j, torch.exp(0.5j * bump())])[:, None]
    images = coherent_images(slices, setup, FLOOR, heights_um=FLOOR, na_yx=(0.0, 0.6))
    assert images[0].max() < 1e-9
    assert images[1, 0, 32, 32] > 1e-3
    assert images[1, 0, 0].max() < 0.02 * images[1, 0, 32, 32]


def test_phase_object_reverses_its_contrast_through_focus():
    slices = torch.exp(0.2j * bump())[None]
    for source in (disc_source(0.0), disc_source(0.2), disc_source(0.3, points=128)):
        below, focus, above = transmitted_images(
            slices, SETUP, torch.tensor([-3.0, 0.0, 3.0]), heights_um=FLOOR, source=source
        )
        assert below[32, 32] > 1.005  # between cell and objective: a converging lens
        assert above[32, 32] < 0.995
        torch.testing.assert_close(
            below - 1, 1 - above, rtol=0, atol=0.2 * (below[32, 32] - 1).item()
        )
        assert (focus - 1).abs().max() < 0.1 * (below - 1).abs().max()


def test_amplitude_object_is_symmetric_through_focus():
    slices = torch.exp(-0.5 * bump())[None] + 0j
    z_um = torch.tensor([-4.0, -1.0, 0.0, 1.0, 4.0])
    images = transmitted_images(
        slices, SETUP, z_um, heights_um=FLOOR, source=disc_source(0.3, points=40)
    )
    torch.testing.assert_close(images, images.flip(0), rtol=0, atol=1e-5)
    assert images[2, 32, 32] < images[1, 32, 32] < images[0, 32, 32]


@pytest.mark.parametrize("sigma", [0.0, 0.5, 1.0])
def test_weak_detail_ends_at_na_times_one_plus_sigma(sigma):
    slices = torch.exp(-1e-3 * noise(64, 64).double())[None] + 0j
    source = disc_source(sigma * SETUP.na, points=200)
    image = transmitted_images(slices, SETUP, torch.zeros(1), heights_um=FLOOR, source=source)[0]
    f = torch.fft.fftfreq(64, SETUP.pixel_um)
    radius = torch.hypot(f[:, None], f) / (SETUP.na / SETUP.wavelength_um)
    power = torch.fft.fft2(image).abs().square()
    inside = power[(radius > 0) & (radius < 0.5 * (1 + sigma))].mean()
    near = power[(radius > 0.85 * (1 + sigma)) & (radius < 0.95 * (1 + sigma))].mean()
    beyond = power[radius > 1.001 * (1 + sigma)].mean()
    assert beyond < 1e-5 * inside
    assert near > 1e-4 * inside


def test_layers_without_content_change_nothing():
    content = torch.exp(0.7j * noise(32, 32) - 0.2)
    z_um = torch.tensor([-2.0, 1.0, 6.0])
    light = {"source": disc_source(0.4, points=10)}
    empty = torch.ones_like(content)
    alone = transmitted_images(content[None], SETUP, z_um, heights_um=torch.tensor([2.5]), **light)
    heights_um = torch.tensor([-1.0, 1.0, 2.5, 4.0])
    stack = torch.stack([empty, empty, content, empty])
    among = transmitted_images(stack, SETUP, z_um, heights_um=heights_um, **light)
    torch.testing.assert_close(among, alone, rtol=0, atol=2e-5)


def test_layers_close_together_are_one():
    parts = torch.exp(0.2j * noise(4, 32, 32))
    z_um = torch.tensor([-2.0, 3.0])
    light = {"source": disc_source(0.3, points=6)}
    thick = transmitted_images(parts, SETUP, z_um, heights_um=torch.arange(4) * 1e-4, **light)
    thin = transmitted_images(parts.prod(0)[None], SETUP, z_um, heights_um=FLOOR, **light)
    torch.testing.assert_close(thick, thin, rtol=0, atol=1e-3)


def test_each_layer_is_sharp_at_its_height():
    low, high = (torch.exp(-0.3 * noise(96, 96, seed=seed)) + 0j for seed in (1, 2))
    heights_um, z_um = torch.tensor([0.0, 12.0]), torch.linspace(-6, 18, 25)
    for only, height in ((0, 0.0), (1, 12.0)):
        stack = torch.stack([low, high])
        stack[1 - only] = 1.0
        images = transmitted_images(
            stack, SETUP, z_um, heights_um=heights_um, source=disc_source(0.4, points=20)
        )
        assert z_um[images.var((1, 2)).argmax()] == height


def test_light_of_pure_phase_is_kept_when_the_pupil_takes_it_all():
    smooth = torch.exp(1j * bump(radius_px=6.0))[None]
    images = transmitted_images(
        smooth, SETUP, torch.tensor([-5.0, 5.0]), heights_um=FLOOR, source=disc_source(0.1)
    )
    torch.testing.assert_close(images.mean((1, 2)), torch.ones(2), rtol=0, atol=2e-4)


def test_half_annulus_contrast_is_odd_in_phase_and_blind_to_absorption():
    light = {"heights_um": FLOOR, "na_in": 0.3, "na_out": 0.45}
    delay = 0.1 * bump(radius_px=1.5)
    right, wrong = (
        half_annulus_images(torch.exp(1j * sign * delay)[None], SETUP, FLOOR, **light)
        for sign in (1, -1)
    )
    torch.testing.assert_close(right, -wrong, rtol=0, atol=2e-3)
    assert right.abs().max() > 0.02
    dark = half_annulus_images(torch.exp(-delay)[None] + 0j, SETUP, FLOOR, **light)
    assert dark.abs().max() < 1e-5
    turned = half_annulus_images(
        torch.exp(1j * delay)[None], SETUP, FLOOR, angle_rad=math.pi / 2, **light
    )
    torch.testing.assert_close(turned.mT, right, rtol=0, atol=0.004)


def test_batch_equals_one_by_one_and_uneven_planes_even_ones():
    slices = torch.exp(0.5j * noise(2, 3, 1, 24, 40))
    z_um = torch.tensor([-3.0, -1.0, 1.0, 3.0, 5.0])
    light = {"heights_um": FLOOR, "source": disc_source(0.4, points=12)}
    together = transmitted_images(slices, SETUP, z_um, **light)
    assert together.shape == (2, 3, 5, 24, 40)
    alone = transmitted_images(slices[1, 2], SETUP, z_um, **light)
    torch.testing.assert_close(together[1, 2], alone)
    pick = torch.tensor([4, 0, 1])
    torch.testing.assert_close(
        transmitted_images(slices[1, 2], SETUP, z_um[pick], **light), alone[pick],
        rtol=0, atol=1e-5,
    )  # fmt: skip


def test_groups_of_waves_add_up(monkeypatch):
    stacks = [torch.exp(0.5j * noise(layers, 16, 16)) for layers in (1, 2)]
    light = {"source": disc_source(0.4, points=10)}
    z_um = torch.tensor([1.0, 2.0])

    def images() -> list[Tensor]:
        heights = [torch.arange(len(stack)) * 1.0 for stack in stacks]
        return [
            transmitted_images(stack, SETUP, z_um, heights_um=heights_um, **light)
            for stack, heights_um in zip(stacks, heights, strict=True)
        ]

    together = images()
    monkeypatch.setattr("parfocal.optics.exit_waves.MOST_POINTS_AT_ONCE", 3 * 16 * 16)
    for few, all_ in zip(images(), together, strict=True):
        torch.testing.assert_close(few, all_, rtol=0, atol=1e-5)


@pytest.mark.parametrize("layers", [1, 4])
def test_waves_that_are_kept_give_the_same_planes_as_new_ones(layers, monkeypatch):
    slices = torch.exp(0.4j * noise(layers, 24, 40))
    light = {"heights_um": torch.arange(layers) * 1.5, "source": disc_source(0.4, points=6)}
    z_um = torch.tensor([-3.0, 0.5, 7.0])
    whole = transmitted_images(slices, SETUP, z_um, **light)
    waves = ExitWaves(slices, SETUP, keep=True, **light)
    for z, expected in zip(z_um, whole, strict=True):
        image = waves.images(z[None])[0] / waves.light
        torch.testing.assert_close(image, expected, rtol=0, atol=1e-5)
    slices.fill_(1.0)  # what is kept was computed before
    torch.testing.assert_close(waves.images(z_um) / waves.light, whole, rtol=0, atol=1e-5)
    monkeypatch.setattr("parfocal.optics.exit_waves.MOST_POINTS_KEPT", 10)
    anew = ExitWaves(slices, SETUP, keep=True, **light)
    torch.testing.assert_close(anew.images(z_um) / anew.light, torch.ones(3, 24, 40), atol=1e-5,
                               rtol=0)  # fmt: skip


def test_gradients_are_right():
    delay = noise(2, 5, 6).double().requires_grad_()
    loss = noise(2, 5, 6, seed=1).double().requires_grad_()
    z_um = torch.tensor([-1.0, 0.3], dtype=torch.float64, requires_grad=True)
    heights_um = torch.tensor([0.0, 0.8], dtype=torch.float64, requires_grad=True)

    def images(delay: Tensor, loss: Tensor, z_um: Tensor, heights_um: Tensor) -> Tensor:
        slices = torch.exp(1j * delay - loss / 2)
        light = {"heights_um": heights_um, "source": disc_source(0.3, points=4)}
        return transmitted_images(slices, SETUP, z_um, **light)

    assert torch.autograd.gradcheck(images, (delay, loss, z_um, heights_um))


def test_float32_holds_its_stated_error():
    delay = noise(1, 64, 64).double() * 3
    light = {"heights_um": torch.tensor([0.0]), "source": disc_source(0.4, points=20)}
    z_um = torch.linspace(-100, 100, 41)
    exact = transmitted_images(torch.exp(1j * delay), SETUP, z_um, **light)
    single = transmitted_images(torch.exp(1j * delay).cfloat(), SETUP, z_um, **light)
    assert single.dtype == torch.float32
    assert (single - exact).abs().max() < 5e-5


def test_coarse_pixels_are_refused_with_the_one_that_would_do():
    slices = torch.ones(1, 16, 16, dtype=torch.complex64)
    coarse = SETUP.model_copy(update={"pixel_um": 0.3})
    with pytest.raises(InputError, match=r"Pixels of 0.3 um alias.*pixel_um = 0.25 or finer"):
        transmitted_images(slices, coarse, FLOOR, heights_um=FLOOR, source=disc_source(0.3))
    with pytest.raises(InputError, match=r"pixel_um = 0\.2272 or finer"):
        coherent_images(slices, SETUP, FLOOR, heights_um=FLOOR, na_yx=(0.0, 0.6))
    enough = coarse.model_copy(update={"pixel_um": transmission_pixel_um(coarse, source_na=0.6)})
    coherent_images(slices, enough, FLOOR, heights_um=FLOOR, na_yx=(0.0, 0.6))


def test_impossible_calls_are_refused():
    slices = torch.ones(2, 16, 16, dtype=torch.complex64)
    light = {"source": disc_source(0.3)}
    with pytest.raises(ShapeError, match="one layer for each of 1 heights"):
        unwrap(transmitted_images)(slices, SETUP, FLOOR, heights_um=FLOOR, **light)
    with pytest.raises(InputError, match="must rise"):
        transmitted_images(slices, SETUP, FLOOR, heights_um=torch.tensor([1.0, 0.0]), **light)
    with pytest.raises(InputError, match="z_um is empty"):
        transmitted_images(slices, SETUP, torch.zeros(0), heights_um=torch.arange(2) * 1.0, **light)
    with pytest.raises(InputError, match="cannot pass immersion index 1"):
        coherent_images(slices[:1], SETUP, FLOOR, heights_um=FLOOR, na_yx=(0.8, 0.8))
    with pytest.raises(InputError, match="lower na_in"):
        half_annulus_images(slices[:1], SETUP, FLOOR, heights_um=FLOOR, na_in=0.6, na_out=0.7)
