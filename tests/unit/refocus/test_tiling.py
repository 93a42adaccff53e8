from __future__ import annotations

import numpy as np
import pytest
import torch

from parfocal.refocus.tiling import Line, tiles_of

CPU = torch.device("cpu")


class Lazy:
    """An array that remembers the largest part that was read."""

    def __init__(self, pixels):
        self.pixels, self.shape, self.most = pixels, pixels.shape, 0

    def __getitem__(self, places):
        part = self.pixels[places]
        self.most = max(self.most, part.size)
        return part


@pytest.mark.parametrize("share", [1.0, 0.6])
@pytest.mark.parametrize("shape", [(40, 700), (300, 515)])
def test_tiles_put_together_are_the_image(shape, share):
    image = np.random.default_rng(0).random(shape).astype(np.float32)
    whole, say = np.zeros(shape), np.zeros(shape)
    for tile in tiles_of(shape, share, most_px=320):
        weights = tile.part_inside(tile.weights()).numpy()
        whole[tile.inside] += weights * tile.part_inside(tile.read(image, device=CPU)).numpy()
        say[tile.inside] += weights
    np.testing.assert_allclose(say, 1.0, atol=1e-6)
    np.testing.assert_allclose(whole, image, atol=1e-5)


def test_no_more_than_a_region_is_read():
    lazy = Lazy(np.zeros((2000, 1500), np.uint16))
    tiles = list(tiles_of(lazy.shape, 1.0, most_px=512))
    for tile in tiles:
        assert tile.read(lazy, device=CPU).shape == (
            tile.lines[0].region_px,
            tile.lines[1].region_px,
        )
    assert len(tiles) > 10
    assert lazy.most <= 512 * 512


def test_beyond_the_edge_lies_the_mirror():
    image = np.arange(300.0)[:, None] * np.ones((1, 300))
    tile = next(tiles_of(image.shape, 1.0))
    region, line = tile.read(image, device=CPU), tile.lines[0]
    first = -line.first(0)
    assert first > 0
    assert region[first, 0] == 0
    assert region[first - 1, 0] == region[first + 1, 0] == 1
    assert region[first + 300, 0] == 298


@pytest.mark.parametrize("size", [33, 256, 1000, 5000])
def test_regions_are_of_sides_that_the_network_takes(size):
    for share in (1.0, 0.31):
        line = Line.plan(size, share)
        assert line.work_px % 32 == 0
        assert line.count * line.core_px >= size
        assert line.region_px >= line.core_px
        assert line.work_px <= 1152 or line.count == 1


@pytest.mark.parametrize("shape", [(20, 33), (500, 1100)])
def test_every_cell_of_the_image_has_one_owner(shape):
    owned = 0
    for tile in tiles_of(shape, 1.0, most_px=480):
        rows, columns = tile.own_cells(32)
        owned += len(rows) * len(columns)
    assert owned == pytest.approx(np.prod([max(1, side / 32) for side in shape]), rel=0.2)
