"""Cameras: noise laws, saturation, hot pixels, and the stand-in for Poisson's draw."""

from __future__ import annotations

from inspect import unwrap

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from scipy import stats

from parfocal.core.errors import InputError
from parfocal.optics.noise import (
    ENOUGH_ELECTRONS,
    CameraModel,
    camera_counts,
    expose,
    hot_pixel_electrons,
)

METHODS = ("auto", "poisson", "gaussian")


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def flat(value: float, size: int = 512) -> torch.Tensor:
    return torch.full((size, size), value)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("photons", [20.0, 400.0])
def test_mean_and_variance_follow_the_law(method, photons):
    camera = CameraModel(
        electrons_per_photon=0.6,
        counts_per_electron=1.7,
        offset_counts=200,
        read_noise_electrons=2.2,
        dark_electrons=3.0,
    )
    counts = expose(flat(photons), camera, generator=seeded(), method=method).double()
    electrons = 0.6 * photons + 3.0
    variance = 1.7**2 * (electrons + 2.2**2) + 1 / 12
    pixels = counts.numel()
    assert abs(counts.mean() - (200 + 1.7 * electrons)) < 4 * (variance / pixels) ** 0.5
    assert abs(counts.var() / variance - 1) < 4 * (2 / pixels) ** 0.5


@pytest.mark.parametrize("method", METHODS)
def test_photon_transfer_slope_is_the_gain(method):
    camera = CameraModel(counts_per_electron=3.0)
    levels = torch.linspace(100, 5000, 12)
    counts = expose(levels[:, None, None].expand(-1, 128, 128), camera, generator=seeded(),
                    method=method).double()  # fmt: skip
    slope, intercept = np.polyfit(counts.mean((1, 2)), counts.var((1, 2)), 1)
    assert slope == pytest.approx(3.0, rel=0.02)
    assert intercept < 9 * 300  # read noise and offset, within the scatter of the fit


@pytest.mark.parametrize("electrons", [ENOUGH_ELECTRONS, 20.0, 150.0])
def test_stand_in_has_poissons_distribution(electrons):
    """Kolmogorov's distance to the exact distribution, on a quarter million pixels."""
    options = {"gain": 1.0, "offset": 0.0, "read_noise": 0.0, "ceiling": 65535.0}
    allowed = 1.63 / 512  # passes 99 of 100 samples of the true distribution
    for method in METHODS:
        drawn = camera_counts(flat(electrons), **options, generator=seeded(2), method=method)
        count = np.bincount(drawn.flatten().int().numpy())
        found = np.cumsum(count) / count.sum()
        assert np.abs(found - stats.poisson.cdf(np.arange(count.size), electrons)).max() < allowed


def test_stand_in_has_poissons_mean_variance_and_skewness():
    options = {"gain": 1.0, "offset": 0.0, "read_noise": 0.0, "ceiling": 65535.0}
    drawn = camera_counts(flat(10.0, 1600), **options, generator=seeded(9), method="gaussian")
    off = drawn.double() - 10.0
    assert abs(off.mean()) < 4 * (10 / off.numel()) ** 0.5
    assert off.square().mean().item() == pytest.approx(10.0, rel=4e-3)
    assert off.pow(3).mean().item() == pytest.approx(10.0, rel=0.05)


def test_stand_in_without_skew_would_be_seen():
    plain = np.round(stats.norm.ppf((np.arange(2**18) + 0.5) / 2**18) * 20**0.5 + 20).clip(0)
    found = np.cumsum(np.bincount(plain.astype(int))) / plain.size
    distance = np.abs(found - stats.poisson.cdf(np.arange(found.size), 20)).max()
    assert distance > 3 * 1.63 / 512


def test_auto_draws_dim_pixels_exactly():
    light = torch.where(torch.rand(64, 64, generator=seeded(3)) < 0.5, 2.0, 500.0)
    options = {"gain": 1.0, "offset": 0.0, "read_noise": 0.0, "ceiling": 65535.0}
    auto = camera_counts(light, **options, generator=seeded(4), method="auto")
    dim = auto[light == 2.0]
    assert (dim == 0).double().mean().item() == pytest.approx(np.exp(-2), abs=0.03)
    assert auto[light == 500.0].mean().item() == pytest.approx(500, abs=3)


def test_bright_light_saturates_at_the_lesser_of_well_and_converter():
    bright = flat(1e6, 32)
    by_bits = CameraModel(bits=12)
    assert (expose(bright, by_bits, generator=seeded()) == 4095).all()
    by_well = CameraModel(full_well_electrons=1000, read_noise_electrons=1.0)
    counts = expose(bright, by_well, generator=seeded())
    assert by_well.saturation_counts == 2100
    assert counts.mean().item() == pytest.approx(2100, abs=1)
    assert counts.std().item() == pytest.approx(2.0, rel=0.1)  # read noise is above the well


def test_darkness_never_counts_below_zero():
    camera = CameraModel(offset_counts=0, read_noise_electrons=20)
    counts = expose(flat(0.0, 64), camera, generator=seeded())
    assert counts.min() == 0
    assert (expose(flat(-1e-3, 64), camera, generator=seeded()) == counts).all()


def test_counts_are_whole():
    camera = CameraModel(counts_per_electron=0.37, offset_counts=12.5)
    counts = expose(flat(50.0, 64), camera, generator=seeded())
    assert counts.dtype == torch.float32
    assert (counts == counts.round()).all()


@pytest.mark.parametrize("method", METHODS)
def test_same_seed_same_noise(method):
    one, two, other = (
        expose(flat(15.0, 32), CameraModel(), generator=seeded(seed), method=method)
        for seed in (5, 5, 6)
    )
    assert (one == two).all()
    assert (one != other).any()


def test_hot_pixels_stay_where_they_are():
    camera = CameraModel(hot_pixel_fraction=0.02, hot_pixel_electrons=5000, hot_pixel_seed=7)
    hot = hot_pixel_electrons(camera, 100, 80)
    assert (hot > 0).sum() == 160
    assert hot[hot > 0].mean().item() == pytest.approx(5000, rel=0.3)
    frames = [expose(torch.zeros(100, 80), camera, generator=seeded(s)) - 100 for s in (1, 2)]
    for frame in frames:
        torch.testing.assert_close(frame, 2 * hot, atol=6 * 2 * (hot.max().item() ** 0.5), rtol=0)
        assert ((frame > 200) <= (hot > 50)).all()
    elsewhere = hot_pixel_electrons(camera.model_copy(update={"hot_pixel_seed": 8}), 100, 80)
    assert ((elsewhere > 0) != (hot > 0)).any()


def test_each_image_of_a_batch_has_its_camera():
    b = (3, 1, 1)
    counts = camera_counts(
        torch.full((3, 128, 128), 100.0),
        gain=torch.tensor([1.0, 2.0, 4.0], dtype=torch.float64).reshape(b),
        offset=torch.tensor([0.0, 50.0, 100.0]).reshape(b),
        read_noise=torch.tensor([0.0, 5.0, 10.0]).reshape(b),
        ceiling=torch.tensor([65535.0, 255.0, 400.0], dtype=torch.float64).reshape(b),
        full_well=torch.tensor([90.0, 1e9, 1e9]).reshape(b),
        generator=seeded(),
    )
    assert counts.dtype == torch.float32
    assert counts.amax((1, 2)).tolist() == [90.0, 255.0, 400.0]
    assert counts[1].median() == pytest.approx(250, abs=2)


def test_unknown_method_lists_the_known():
    with pytest.raises(InputError, match="use auto, poisson or gaussian"):
        unwrap(camera_counts)(  # beneath beartype, as a user calls it
            flat(1.0, 4), gain=1.0, offset=0.0, read_noise=0.0, ceiling=1.0,
            generator=seeded(), method="normal",
        )  # fmt: skip


def test_offset_beyond_the_converter_is_refused():
    with pytest.raises(ValidationError, match=r"8 bits end at 255.*lower offset_counts"):
        CameraModel(bits=8, offset_counts=300)
