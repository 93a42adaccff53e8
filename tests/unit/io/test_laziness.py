"""Opening reads no pixels, and reading a block reads only its chunks."""

from __future__ import annotations

import resource
import time
from pathlib import Path

import numpy as np
import pytest
import zarr.storage

import parfocal as pf
from parfocal.io.tiff_planes import SegmentPlane
from tests.fabricate import stacks

SHAPE = (100, 10_240, 10_240)  # 21 GB of uint16


@pytest.fixture
def huge(tmp_path) -> Path:
    return stacks.write_sparse_zarr(tmp_path / "huge.ome.zarr", SHAPE)


def test_stack_of_20_gb_opens_in_a_second_and_100_mb(huge):
    pf.open_stack(huge)  # imports
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    stack = pf.open_stack(huge)
    assert time.perf_counter() - start < 1.0
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * 1024
    assert stack.shape == SHAPE
    assert np.prod(SHAPE) * stack.dtype.itemsize > 20e9


def test_reading_a_block_reads_only_its_chunks(huge, monkeypatch):
    stack = pf.open_stack(huge)
    asked = []
    get = zarr.storage.LocalStore.get

    async def counted(self, key, *args, **kwargs):
        asked.append(key)
        return await get(self, key, *args, **kwargs)

    monkeypatch.setattr(zarr.storage.LocalStore, "get", counted)
    block = stack.read_counts(slice(50, 51), slice(0, 1000), slice(0, 1500))
    assert (block[0, :, :1024] == 7).all()
    assert (block[0, :, 1024:] == 0).all()
    chunks = {key for key in asked if key.startswith("0/c/")}
    assert chunks <= {f"0/c/50/{y}/{x}" for y in (0, 1) for x in (0, 1)}
    assert "0/c/50/0/0" in chunks


def test_chunks_of_the_array_are_at_most_one_plane(huge, tmp_path):
    planes, rows, columns = pf.open_stack(huge).images.chunks
    assert set(planes) == {1}
    assert max(rows) * max(columns) * 2 <= 16 * 2**20
    assert not [size for size in (*rows[:-1], *columns[:-1]) if size % 1024]
    small = stacks.write_plain(tmp_path / "a.tif", stacks.bead_stack((3, 20, 30)))
    assert pf.open_stack(small, z_step_um=1.0).images.chunks == ((1, 1, 1), (20,), (30,))


def test_opening_plane_files_decodes_none(tmp_path, monkeypatch):
    images = stacks.bead_stack((5, 9, 9), "uint8")
    stacks.write_planes(tmp_path / "png", images, "png")
    stacks.write_planes(tmp_path / "tif", images, "tif")
    compressed = stacks.write_plain(tmp_path / "a.tif", images, compression="zlib")

    def refuse(*_args, **_kwargs):
        raise AssertionError("pixels were read")

    with monkeypatch.context() as patch:
        patch.setattr("parfocal.io.flat_images.FlatPlane._decode", refuse)
        patch.setattr("parfocal.io.tiff_planes.SegmentPlane._read", refuse)
        patch.setattr("numpy.memmap", refuse)
        opened = [
            pf.open_stack(path, z_step_um=1.0)
            for path in (tmp_path / "png", tmp_path / "tif", compressed)
        ]
    for stack in opened:
        np.testing.assert_array_equal(stack.read_counts(), images)


def test_tiled_window_decodes_only_its_tiles(tmp_path, monkeypatch):
    images = stacks.bead_stack((2, 1024, 1024), "uint8")
    path = stacks.write_plain(tmp_path / "a.tif", images, tile=(64, 64), compression="zlib")
    monkeypatch.setattr("parfocal.io.blocks.WHOLE_PLANE_BYTES", 2**18)
    monkeypatch.setattr("parfocal.io.blocks.BLOCK_BYTES", 2**14)
    stack = pf.open_stack(path, z_step_um=1.0)
    assert {*stack.images.chunks[1], *stack.images.chunks[2]} == {128}
    seen: list[int] = []
    whole = SegmentPlane._touched
    monkeypatch.setattr(SegmentPlane, "_touched", lambda *a: seen.extend(t := whole(*a)) or t)
    window = stack.read_counts(1, slice(600, 700), slice(300, 340))
    np.testing.assert_array_equal(window, images[1, 600:700, 300:340])
    assert sorted(seen) == [9 * 16 + 4, 9 * 16 + 5, 10 * 16 + 4, 10 * 16 + 5]
