"""Specimens from images and volumes, and windows of a pool."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from parfocal.core.errors import InputError, ShapeError
from parfocal.simulate.objects import draw_windows, specimen_from_image, specimen_from_volume


def picture(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(4))


def test_an_image_wraps_around_without_a_seam():
    emission = specimen_from_image(picture(12, 16), pixel_um=1.0).emission[0]
    assert emission.shape == (24, 32)
    assert torch.equal(emission[0], emission[-1])
    assert torch.equal(emission[:, 0], emission[:, -1])


def test_background_goes_and_the_brightest_pixel_is_one():
    emission = specimen_from_image(100.0 + picture(40, 40), pixel_um=1.0).emission
    assert emission.min() == 0.0
    assert emission.max() == 1.0


def test_transmission_becomes_its_logarithm():
    image = torch.full((20, 20), 200.0)
    image[5, 5] = 200.0 * math.exp(-1.5)
    specimen = specimen_from_image(image, pixel_um=1.0, meaning="transmission", mirror=False)
    assert specimen.emission is None
    assert specimen.absorption[0, 5, 5] == pytest.approx(1.5, rel=1e-5)
    assert specimen.absorption.sum() == pytest.approx(1.5, rel=1e-4)


def test_the_phases_of_all_layers_add_up_to_the_one_that_is_asked_for():
    specimen = specimen_from_volume(
        picture(4, 8, 8), pixel_um=1.0, layer_step_um=1.0, meaning="phase", phase_rad=2.5
    )
    assert specimen.phase_rad.sum(0).max() == pytest.approx(2.5)


def test_the_losses_of_all_layers_average_to_that_of_one():
    image = torch.full((20, 20), 200.0)
    image[5, 5] = 200.0 * math.exp(-1.5)
    stack = specimen_from_volume(
        image.expand(4, 20, 20), pixel_um=1.0, layer_step_um=1.0, meaning="transmission"
    )
    assert stack.absorption.sum(0)[5, 5] == pytest.approx(1.5, rel=1e-4)


def test_coarser_samples_average_over_their_area():
    image = picture(16, 16)
    fine = specimen_from_image(image, pixel_um=0.5, mirror=False).emission[0]
    coarse = specimen_from_image(image, pixel_um=0.5, sample_um=1.0, mirror=False)
    expected = image.view(8, 2, 8, 2).mean((1, 3))
    expected = (expected - torch.quantile(expected, 0.01)).clamp(min=0)
    torch.testing.assert_close(coarse.emission[0], expected / expected.max())
    assert coarse.pixel_um == 1.0
    assert fine.shape == (16, 16)


def test_arrays_of_any_kind_and_colour_are_taken():
    colour = (255 * np.random.default_rng(0).random((8, 9, 3))).astype(np.uint8)
    assert specimen_from_image(colour, pixel_um=1.0).shape == (1, 16, 18)


def test_windows_come_from_the_pool_and_repeat_by_seed():
    pool = [specimen_from_image(picture(8, 8) + k, pixel_um=1.0) for k in range(3)]
    cut = [
        draw_windows(pool, 5, size_px=6, generator=torch.Generator().manual_seed(seed))
        for seed in (0, 0, 1)
    ]
    first, again, other = (torch.stack([part.emission for part in parts]) for parts in cut)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    known = torch.cat([whole.emission.flatten() for whole in pool])
    assert torch.isin(first, known).all()


@pytest.mark.parametrize(
    ("image", "options", "text"),
    [
        (picture(4), {}, "must be"),
        (torch.ones(4, 4), {}, "one grey value"),
        (torch.tensor([[1.0, math.nan]]), {}, "finite"),
        (picture(4, 4), {"pixel_um": 0.0}, "pixel_um"),
        (picture(4, 4), {"sample_um": -1.0}, "sample_um"),
    ],
)
def test_images_that_cannot_be_specimens_are_refused(image, options, text):
    with pytest.raises(InputError, match=text):
        specimen_from_image(image, **({"pixel_um": 1.0} | options))


def test_flat_volumes_and_empty_pools_are_refused():
    with pytest.raises(ShapeError, match="z, y, x"):
        specimen_from_volume(picture(4, 4), pixel_um=1.0, layer_step_um=1.0)
    with pytest.raises(InputError, match="layer_step_um"):
        specimen_from_volume(picture(2, 4, 4), pixel_um=1.0, layer_step_um=0.0)
    with pytest.raises(InputError, match="empty"):
        draw_windows([], 1, size_px=4, generator=torch.Generator())


def test_the_shared_objects_make_specimens(shared_data):
    from skimage import io

    neuron = io.imread(shared_data / "objects/neubias_ccby4/xy_16bit__rat_hippocampal_neuron.tif")
    specimen = specimen_from_image(neuron, pixel_um=0.16)
    assert specimen.shape == (1, 1024, 1024)
    assert specimen.emission.max() == 1.0
