from __future__ import annotations

import numpy as np
import pytest
import torch

from parfocal.core.errors import InputError
from parfocal.predict.pairs import resample
from parfocal.predict.tiles import Axis, Block, Pixels

CPU = torch.device("cpu")


def _smooth(size_y, size_x, seed=0):
    """Detail well below the band of half the pixels."""
    noise = torch.randn(1, 1, size_y, size_x, generator=torch.Generator().manual_seed(seed))
    for _ in range(3):
        noise = torch.nn.functional.avg_pool2d(noise, 5, 1, 2)
    return noise[0, 0]


@pytest.mark.parametrize("share", [0.37, 0.5, 0.83])
def test_smooth_images_are_resampled_as_by_the_cosine_spectrum(share):
    image = _smooth(300, 260)
    pixels = Pixels(image, share, CPU)
    small = pixels.resampled(0, pixels.block)
    whole = resample(image, share)
    rows, columns = pixels.rows, pixels.columns
    whole = whole[rows.offset_px :, columns.offset_px :][: small.shape[0], : small.shape[1]]
    assert float((small - whole).std()) < 0.01 * float(whole.std())


@pytest.mark.parametrize("share", [0.3, 0.61, 1.0])
def test_a_part_is_the_same_in_any_tiling(share):
    image = torch.rand(700, 600, generator=torch.Generator().manual_seed(1))
    pixels = Pixels(image, share, CPU)
    whole = pixels.resampled(0, pixels.block)
    for part in pixels.block.parts(2):
        rows, columns = (
            slice(32 * part.top, 32 * part.bottom),
            slice(32 * part.left, 32 * part.right),
        )
        torch.testing.assert_close(
            Pixels(image, share, CPU).resampled(0, part), whole[rows, columns], atol=1e-6, rtol=0
        )


def test_grey_stays_grey_up_to_the_edge():
    pixels = Pixels(torch.full((100, 130), 7.0), 0.43, CPU)
    small = pixels.resampled(0, pixels.block)
    torch.testing.assert_close(small, torch.full_like(small, 7.0))


def test_a_wave_stays_where_it_was():
    place = torch.arange(500.0)
    pixels = Pixels(torch.cos(place / 20).expand(500, 500), 0.5, CPU)
    axis = pixels.columns
    middles = torch.tensor([axis.place_px((k + 0.5) / 32) for k in range(32 * axis.cells)])
    small = pixels.resampled(0, pixels.block)
    torch.testing.assert_close(small[100], torch.cos(middles / 20), atol=2e-3, rtol=0)


def test_cells_own_all_pixels_between_the_first_and_the_last():
    axis = Axis(977, 0.41)
    edges = [axis.edge_px(cell) for cell in range(axis.cells + 1)]
    assert edges[0] >= 0
    assert edges[-1] <= 977
    steps = np.diff(edges)
    assert set(steps) <= {round(32 / 0.41), round(32 / 0.41) + 1, round(32 / 0.41) - 1}
    own = Pixels(torch.rand(977, 977), 0.41, CPU).read(0, Block(2, 4, 0, 1))[1]
    assert own.shape == (edges[4] - edges[2], edges[1] - edges[0])


def test_a_tiny_image_is_mirrored_as_often_as_it_takes():
    image = torch.rand(40, 40)
    pixels = Pixels(image, 0.85, CPU)
    assert bool(torch.isfinite(pixels.resampled(0, pixels.block)).all())
    assert pixels.resampled(0, pixels.block).shape == (32, 32)


def test_pixels_that_are_no_numbers_are_refused_when_they_are_read():
    images = torch.ones(2, 64, 64)
    images[1, 3, 3] = float("nan")
    with pytest.raises(InputError, match="Image 1 of 2 holds pixels"):
        Pixels(images, 1.0, CPU).read(1, Block(0, 2, 0, 2))
