"""Blocks of an image: what they read, how they fade, and that a stopped run goes on unseen."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from parfocal.core.errors import InputError
from parfocal.refocus.blocks import Blocks, MemorySink, write_blocks


def _same(region, block):
    return torch.stack([region, torch.ones_like(region)])


@given(
    size_y=st.integers(1, 70), size_x=st.integers(1, 70), block=st.integers(9, 40),
    fade=st.integers(0, 8), halo=st.integers(0, 12),
)  # fmt: skip
def test_what_leaves_pixels_alone_returns_the_image(size_y, size_x, block, fade, halo):
    image = torch.arange(float(size_y * size_x)).reshape(size_y, size_x)
    sink = MemorySink((size_y, size_x))
    blocks = Blocks(shape=(size_y, size_x), halo_px=halo, block_px=block, fade_px=fade)
    write_blocks(image, blocks, _same, sink)
    np.testing.assert_allclose(sink.maps[0], image, rtol=1e-5, atol=1e-3)
    np.testing.assert_allclose(sink.maps[1], 1.0, atol=1e-5)


@given(size=st.integers(1, 100), block=st.integers(5, 40))
def test_every_pixel_belongs_to_one_block(size, block):
    counts = np.zeros((size, 7), int)
    for one in Blocks(shape=(size, 7), halo_px=3, block_px=block, fade_px=2):
        counts[one.rows, one.columns] += 1
    assert (counts == 1).all()


def test_a_block_that_differs_fades_into_the_next_without_a_step():
    def by_number(region, block):
        return torch.stack([torch.full_like(region, float(block.number)), region])

    sink = MemorySink((8, 64))
    blocks = Blocks(shape=(8, 64), halo_px=0, block_px=32, fade_px=16)
    write_blocks(torch.rand(8, 64), blocks, by_number, sink)
    line = sink.maps[0, 3]
    assert line[:32].max() == 0
    assert line[48:].min() == 1
    assert np.diff(line).max() < 1 / 16 + 1e-6


def test_four_blocks_meet_in_a_corner_and_their_shares_sum_to_one():
    def ones(region, block):
        return torch.ones(2, *region.shape)

    sink = MemorySink((40, 40))
    blocks = Blocks(shape=(40, 40), halo_px=2, block_px=16, fade_px=8)
    write_blocks(torch.rand(40, 40), blocks, ones, sink)
    np.testing.assert_allclose(sink.maps, 1.0, atol=1e-6)


def test_a_run_that_was_stopped_goes_on_to_the_same_image():
    image = torch.rand(50, 50, generator=torch.Generator().manual_seed(0))
    blocks = Blocks(shape=(50, 50), halo_px=4, block_px=16, fade_px=4)
    stop_at: list[int | None] = [None]

    def smooth(region, block):
        if stop_at[0] == block.number:
            stop_at[0] = None
            raise KeyboardInterrupt
        blurred = torch.nn.functional.avg_pool2d(region[None], 3, 1, 1)[0]
        return torch.stack([blurred + block.number, region])

    whole, stopped = MemorySink((50, 50)), MemorySink((50, 50))
    write_blocks(image, blocks, smooth, whole)
    stop_at[0] = 6
    with pytest.raises(KeyboardInterrupt):
        write_blocks(image, blocks, smooth, stopped)
    assert stopped.done == 6
    write_blocks(image, blocks, smooth, stopped)
    np.testing.assert_array_equal(stopped.maps, whole.maps)


def test_no_more_is_read_than_a_block_and_its_halo():
    class Watched:
        shape = (100, 100)

        def __getitem__(self, index):
            rows, columns = index
            assert rows.stop - rows.start <= 32 + 4 + 2 * 5
            assert columns.stop - columns.start <= 32 + 4 + 2 * 5
            return np.ones((rows.stop - rows.start, columns.stop - columns.start), np.uint16)

    sink = MemorySink((100, 100))
    blocks = Blocks(shape=(100, 100), halo_px=5, block_px=32, fade_px=4)
    write_blocks(Watched(), blocks, _same, sink)
    np.testing.assert_allclose(sink.maps[0], 1.0, atol=1e-6)


def test_regions_of_one_grey_value_are_not_sharpened():
    def never(region, block):
        raise AssertionError

    sink = MemorySink((30, 30))
    write_blocks(torch.full((30, 30), 7.0), Blocks(shape=(30, 30), halo_px=3), never, sink)
    assert (sink.maps[0] == 7).all()
    assert (sink.maps[1] == 1).all()


@pytest.mark.parametrize("sizes", [(8, 8), (8, 9), (8, -1)])
def test_a_fade_as_wide_as_a_block_is_refused(sizes):
    with pytest.raises(InputError, match="larger than its fade"):
        Blocks(shape=(9, 9), halo_px=0, block_px=sizes[0], fade_px=sizes[1])
