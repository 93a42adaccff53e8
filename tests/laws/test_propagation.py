"""Laws of free propagation: there and back, distances that add, energy that is kept."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from parfocal.optics.propagation import angular_spectrum, fresnel

SEEDS = st.integers(0, 2**32 - 1)
DISTANCES_UM = st.floats(-50.0, 50.0)
OPTICS = {"wavelength_nm": 532.0, "pixel_um": 0.3, "index": 1.33}
RULES = pytest.mark.parametrize("propagate", [angular_spectrum, fresnel])


def fabricate_field(seed: int, *, dtype: torch.dtype = torch.complex128) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, 24, 33, dtype=dtype, generator=generator)


def distance(value: float) -> Tensor:
    return torch.tensor([value], dtype=torch.float64)


@RULES
@given(seed=SEEDS, z_um=DISTANCES_UM)
def test_there_and_back_is_identity(propagate, seed, z_um):
    field = fabricate_field(seed)
    there = propagate(field, distance(z_um), **OPTICS)[:, 0]
    torch.testing.assert_close(propagate(there, distance(-z_um), **OPTICS)[:, 0], field)


@RULES
@given(seed=SEEDS, z_um=DISTANCES_UM)
def test_there_and_back_in_float32(propagate, seed, z_um):
    field = fabricate_field(seed, dtype=torch.complex64)
    there = propagate(field, distance(z_um), **OPTICS)[:, 0]
    back = propagate(there, distance(-z_um), **OPTICS)[:, 0]
    torch.testing.assert_close(back, field, atol=5e-6, rtol=0)


@RULES
@given(seed=SEEDS, first_um=DISTANCES_UM, second_um=DISTANCES_UM)
def test_distances_add(propagate, seed, first_um, second_um):
    field = fabricate_field(seed)
    halfway = propagate(field, distance(first_um), **OPTICS)[:, 0]
    twice = propagate(halfway, distance(second_um), **OPTICS)
    torch.testing.assert_close(twice, propagate(field, distance(first_um + second_um), **OPTICS))


@RULES
@given(seed=SEEDS, z_um=DISTANCES_UM)
def test_energy_is_kept(propagate, seed, z_um):
    field = fabricate_field(seed)
    there = propagate(field, distance(z_um), **OPTICS)
    energy = there.abs().square().sum((1, 2, 3))
    torch.testing.assert_close(energy, field.abs().square().sum((1, 2)))


@given(seed=SEEDS, z_um=DISTANCES_UM.filter(lambda z: abs(z) > 1))
def test_evanescent_waves_decay_either_way(seed, z_um):
    """Pixels of a tenth of a wavelength hold waves that do not travel."""
    field = fabricate_field(seed)
    optics = {"wavelength_nm": 500.0, "pixel_um": 0.05, "index": 1.0}
    there = angular_spectrum(field, distance(z_um), **optics)
    assert there.abs().square().sum() < field.abs().square().sum()
    back = angular_spectrum(there[:, 0], distance(-z_um), **optics)[:, 0]
    again = angular_spectrum(back, distance(0.0), **optics)[:, 0]
    torch.testing.assert_close(again, back)  # what is left travels, and nothing was blown up


@given(seed=SEEDS)
def test_several_distances_are_each_alone(seed):
    field = fabricate_field(seed)
    z_um = torch.tensor([-3.0, 0.0, 8.0], dtype=torch.float64)
    together = angular_spectrum(field, z_um, **OPTICS)
    alone = [angular_spectrum(field, z_um[k : k + 1], **OPTICS) for k in range(3)]
    torch.testing.assert_close(together, torch.cat(alone, dim=1))
    torch.testing.assert_close(together[:, 1], field)
