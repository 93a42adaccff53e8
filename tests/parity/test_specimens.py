"""Specimens against published numbers and slow references."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree

from parfocal.core.errors import InputError
from parfocal.simulate import Draws, Field, make_specimen, structure_height
from parfocal.simulate.mosaic import grow_mosaic
from parfocal.simulate.samples_blood import RED_CELL_UM, red_cell_thickness_um
from parfocal.simulate.samples_histology import stain_density


def dice(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_a_red_cell_has_the_published_volume_and_thickness():
    # Evans and Fung 1972: 94 fl, 2.57 um at the rim, 0.81 um in the middle
    radius = torch.linspace(0.0, 1.0, 20_001, dtype=torch.float64)
    thickness = red_cell_thickness_um(radius)
    ring = 2.0 * torch.pi * radius * (0.5 * RED_CELL_UM) ** 2
    assert float(torch.trapezoid(thickness * ring, radius)) == pytest.approx(94.0, abs=1.5)
    assert float(thickness.max()) == pytest.approx(2.57, abs=0.03)


@pytest.mark.parametrize("pixel_um", [0.2, 0.7, 2.0])
def test_one_red_cell_keeps_its_volume_at_any_sampling(pixel_um):
    size_px = round(40 / pixel_um)
    smear = make_specimen(
        "blood_smear", size_px, pixel_um=pixel_um, generator=dice(), red_per_mm2=0.0,
        white_per_mm2=0.0, index_step=0.0, stain=1.0,
    )  # fmt: skip
    one = smear.absorption.sum() * pixel_um**2
    platelet = smear.phase_rad.sum() * pixel_um**2 * 0.2 / 0.3  # the one platelet of this field
    assert 60.0 < float(one - platelet) < 140.0


def test_a_mosaic_finds_the_seeds_that_a_search_tree_finds():
    field = Field(size_y=90, size_x=70, pixel_um=0.5)
    mosaic = grow_mosaic(field, Draws(dice(1)), cell_um=7.0, jitter=0.3)
    y, x = torch.broadcast_tensors(*field.centres_um())
    tree = cKDTree(mosaic.seeds_um.double().numpy() % field.sides_um, boxsize=field.sides_um)
    apart, _ = tree.query(torch.stack((y, x), -1).double().numpy(), k=2)
    np.testing.assert_allclose(mosaic.centre_um.numpy(), apart[..., 0], atol=1e-4)
    np.testing.assert_allclose(
        mosaic.wall_um.numpy(), 0.5 * (apart[..., 1] - apart[..., 0]), atol=1e-4
    )


def test_stains_look_as_their_names_say():
    # Ruifrok and Johnston 2001: optical density in red, green, blue
    published = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11]])
    ours = np.array([stain_density(nm) for nm in (630.0, 535.0, 450.0)]).T
    ours = ours / np.linalg.norm(ours, axis=1, keepdims=True)
    assert (ours * published).sum(1).min() > 0.95
    with pytest.raises(InputError, match="wavelength_nm"):
        stain_density(0.0)


def test_the_colours_of_one_section_show_the_same_nuclei():
    red, green = (
        make_specimen(
            "histology", 96, pixel_um=0.5, generator=dice(3), wavelength_nm=nm
        ).absorption.sum(0)
        for nm in (630.0, 530.0)
    )
    dark = red > torch.quantile(red, 0.95)
    assert green[dark].mean() > 1.3 * green.mean()
    assert green.mean() > 1.3 * red.mean()  # pink: green is taken away


def test_a_worm_is_as_thick_as_it_may_be_and_hollow_of_light_outside():
    worm = make_specimen(
        "nematode", 256, pixel_um=0.5, thickness_um=30.0, layer_step_um=3.0, generator=dice(2)
    )
    height = structure_height(worm, floor=1e-3)
    share = float((~height.isnan()).float().mean())
    assert 0.25 < share < 0.65  # a body of 48 um in a field of 128 um
    layers = worm.emission.sum((1, 2))
    assert layers[5] > layers[0]
    assert layers[5] > layers[-1]


def test_nuclei_lie_on_the_floor_of_their_field():
    flat = make_specimen("nuclei", 256, pixel_um=0.5, thickness_um=20.0, generator=dice(1))
    height = structure_height(flat)
    assert float(height.nanmedian()) < -4.0
