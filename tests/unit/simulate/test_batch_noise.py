"""Noise of training batches has the mean, spread and skewness of photons and a camera."""

from __future__ import annotations

import pytest
import torch

from parfocal.simulate.batch_noise import (
    GAIN,
    Exposures,
    correlated,
    draw_exposures,
    noisy_counts,
)


def _dice(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _camera(photons: float, **values: float) -> Exposures:
    given = {"background": 0.0, "read_noise": 1.0, "most": 1e6, "correlation": 0.0} | values
    drift = torch.ones(1, 2) * given.pop("drift", 1.0)
    return Exposures(
        photons=torch.tensor([photons]),
        drift=drift,
        **{name: torch.tensor([value]) for name, value in given.items()},
    )


@pytest.mark.parametrize("photons", [5.0, 40.0, 900.0])
def test_moments_are_those_of_shot_and_read_noise(photons):
    electrons = noisy_counts(torch.ones(1, 2, 512, 512), _camera(photons), _dice()) / GAIN
    assert float(electrons.mean()) == pytest.approx(photons, rel=3e-3)
    assert float(electrons.var()) == pytest.approx(photons + 1.0, rel=0.03)
    skew = ((electrons - electrons.mean()) / electrons.std()).pow(3).mean()
    assert float(skew) == pytest.approx(photons / (photons + 1.0) ** 1.5, abs=0.03)


def test_background_drift_and_saturation_are_where_they_are_stated():
    camera = _camera(100.0, background=50.0, most=120.0, read_noise=0.5)
    light = torch.ones(1, 2, 64, 64)
    light[:, :, 32:] = 0.1
    counts = noisy_counts(light, camera, _dice())
    assert float(counts.max()) == 240.0
    assert float((counts[:, :, :32] == 240.0).float().mean()) > 0.95
    assert float(counts[:, :, 32:].mean()) / GAIN == pytest.approx(60.0, rel=0.02)
    dim = noisy_counts(torch.ones(1, 2, 64, 64), _camera(100.0, drift=0.9), _dice())
    assert float(dim.mean()) / GAIN == pytest.approx(90.0, rel=0.01)


def test_correlated_noise_is_correlated_and_as_strong():
    light = torch.ones(1, 2, 256, 256)
    white, grainy = (
        noisy_counts(light.clone(), _camera(400.0, correlation=sigma), _dice())
        for sigma in (0.0, 0.8)
    )
    assert float(grainy.std()) == pytest.approx(float(white.std()), rel=0.02)
    for axis in (-1, -2):
        for counts, low, high in ((white, -0.02, 0.02), (grainy, 0.4, 0.8)):
            gone = counts - counts.mean()
            along = float((gone * gone.roll(1, axis)).mean() / gone.square().mean())
            assert low < along < high
    apart = grainy[0] - grainy[0].mean()
    assert abs(float((apart[0] * apart[1]).mean() / apart.square().mean())) < 0.02
    assert correlated(torch.randn(3, 8, 8, generator=_dice()), 0.5).shape == (3, 8, 8)


def test_fields_differ_in_all_that_is_drawn():
    camera = draw_exposures(4000, 2, _dice())
    assert 2.9 < float(camera.photons.min()) < 5.0
    assert 900.0 < float(camera.photons.max()) < 1000.0
    assert float((camera.background / camera.photons).max()) > 2.0
    assert float((camera.correlation > 0).float().mean()) == pytest.approx(0.15, abs=0.02)
    clips = camera.most < camera.photons + camera.background + 15.0
    assert float(clips.float().mean()) == pytest.approx(0.15, abs=0.02)
    assert float((camera.drift[:, 0] - camera.drift[:, 1]).abs().max()) <= 0.1
