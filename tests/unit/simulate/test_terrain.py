"""Where focus lies: tilt, bumps, empty places and drift."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from parfocal.simulate.terrain import (
    Drift,
    DriftSettings,
    EmptySettings,
    SurfaceSettings,
    Terrain,
    Undulation,
)


def grid(half_um, count=60):
    line = torch.linspace(-half_um, half_um, count, dtype=torch.float64)
    return torch.meshgrid(line, line, indexing="xy")


def test_tilt_is_in_um_per_mm_along_x_and_y():
    surface = SurfaceSettings(offset_um=3.0, tilt_x_um_per_mm=2.0, tilt_y_um_per_mm=-1.0)
    terrain = Terrain(surface, EmptySettings(), seed=0)
    x, y = torch.tensor([0.0, 1000.0, 0.0]), torch.tensor([0.0, 0.0, 1000.0])
    assert terrain.height_um(x, y).tolist() == [3.0, 5.0, 2.0]


def test_bumps_have_their_size_and_length():
    length = 100.0
    bumps = [Undulation(length, generator=np.random.default_rng(seed)) for seed in range(300)]
    x = torch.tensor([0.0, length, 4 * length])
    values = torch.stack([bump.at(x, torch.zeros(3)) for bump in bumps])
    assert values[:, 0].std().item() == pytest.approx(1.0, abs=0.1)
    covariance = (values[:, :1] * values).mean(0)
    assert covariance[1].item() == pytest.approx(np.exp(-0.5), abs=0.15)
    assert covariance[2].item() == pytest.approx(0.0, abs=0.15)


def test_the_same_seed_makes_the_same_terrain():
    surface = SurfaceSettings(bump_um=2.0)
    heights = [
        Terrain(surface, EmptySettings(), seed=seed).height_um(*grid(5000.0)) for seed in (1, 1, 2)
    ]
    assert torch.equal(heights[0], heights[1])
    assert not torch.allclose(heights[0], heights[2], atol=0.5)


@pytest.mark.parametrize("fraction", [0.2, 0.6])
def test_the_empty_share_is_about_as_asked(fraction):
    shares = [
        (
            Terrain(SurfaceSettings(), EmptySettings(fraction=fraction, length_um=100.0), seed=seed)
            .presence(*grid(3000.0))
            .mean()
            .item()
        )
        for seed in range(6)
    ]
    assert np.mean(shares) == pytest.approx(1 - fraction, abs=0.08)


def test_beyond_its_extent_there_is_nothing():
    terrain = Terrain(SurfaceSettings(), EmptySettings(extent_um=500.0), seed=0)
    there = terrain.presence(torch.tensor([0.0, 499.0, 501.0]), torch.zeros(3))
    assert there.tolist() == [1.0, 1.0, 0.0]
    assert not terrain.is_full


def test_drift_is_steady_and_steps():
    drift = Drift(DriftSettings(um_per_hour=2.0, steps=((60.0, 5.0), (120.0, -1.0))), seed=0)
    assert [drift.um(t) for t in (0.0, 59.9, 60.0, 1800.0)] == pytest.approx(
        [0.0, 2.0 * 59.9 / 3600, 5.0 + 1 / 30, 5.0], abs=1e-9
    )


def test_a_random_walk_does_not_depend_on_when_it_is_asked():
    settings = DriftSettings(walk_um_per_sqrt_hour=3.0)
    early, late = Drift(settings, seed=4), Drift(settings, seed=4)
    late_first = late.um(500.25)
    assert [early.um(t) for t in (1.0, 100.0, 500.25)][-1] == late_first
    assert late.um(1.0) == early.um(1.0)


def test_a_random_walk_spreads_as_the_root_of_time():
    settings = DriftSettings(walk_um_per_sqrt_hour=3.0)
    ends = [Drift(settings, seed=seed).um(3600.0) for seed in range(150)]
    assert np.std(ends) == pytest.approx(3.0, rel=0.2)
