"""A stack written by another program opens with the same z, pixel size and pixels."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

import parfocal as pf
from parfocal.io.writing import write_stack
from tests.fabricate import stacks

SIZES = st.tuples(st.integers(2, 5), st.integers(2, 19), st.integers(2, 23))
LENGTHS = st.floats(0.01, 20.0).map(lambda value: round(value, 3))


@pytest.mark.parametrize("form", stacks.WRITERS)
@settings(max_examples=8)
@given(data=st.data(), shape=SIZES, step_um=LENGTHS, pixel_um=LENGTHS, seed=st.integers(0, 9))
def test_stack_of_another_writer_opens_unchanged(form, data, shape, step_um, pixel_um, seed):
    write, name, dtypes = stacks.WRITERS[form]
    images = stacks.bead_stack(shape, data.draw(st.sampled_from(dtypes)), seed=seed)
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder) / name, images, step_um=step_um, pixel_um=pixel_um)
        stack = pf.open_stack(path)
        np.testing.assert_array_equal(stack.read_counts(), images)
        assert stack.dtype == images.dtype
    np.testing.assert_allclose(stack.z_um, np.arange(shape[0]) * step_um, rtol=1e-6)
    # ImageJ keeps pixels per unit as a fraction of 32-bit integers
    assert stack.pixel_um == pytest.approx(pixel_um, rel=1e-6)
    assert stack.z_known


@pytest.mark.parametrize("ending", ["tif", "png", "bmp"])
@settings(max_examples=6)
@given(shape=st.tuples(st.integers(2, 12), st.integers(1, 19), st.integers(1, 23)))
def test_one_file_per_plane_opens_in_numeric_order(ending, shape):
    images = stacks.bead_stack(shape, "uint8")
    with tempfile.TemporaryDirectory() as folder:
        stacks.write_planes(Path(folder), images, ending)
        stack = pf.open_stack(folder, z_step_um=0.25)
        np.testing.assert_array_equal(stack.read_counts(), images)
    np.testing.assert_allclose(stack.z_um, np.arange(shape[0]) * 0.25)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"compression": "zlib"},
        {"compression": "lzw", "predictor": True},
        {"compression": "zstd"},
        {"tile": (16, 16)},
        {"tile": (16, 32), "compression": "zlib"},
        {"rowsperstrip": 3},
        {"rowsperstrip": 3, "compression": "zlib"},
    ],
    ids=str,
)
def test_windows_of_any_storage_match_tifffile(tmp_path, options, dtype):
    if dtype == "float32" and "predictor" in options:
        options = options | {"predictor": 3}
    images = stacks.bead_stack((3, 41, 53), dtype)
    path = stacks.write_plain(tmp_path / "a.tif", images, **options)
    stack = pf.open_stack(path, z_step_um=1.0)
    np.testing.assert_array_equal(stack.read_counts(), tifffile.imread(path))
    window = stack.read_counts(1, slice(5, 37), slice(17, 50))
    np.testing.assert_array_equal(window, images[1, 5:37, 17:50])


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("bigtiff", [False, True])
def test_both_byte_orders_and_bigtiff_open(tmp_path, byteorder, bigtiff):
    images = stacks.bead_stack((3, 8, 9))
    with tifffile.TiffWriter(tmp_path / "a.tif", byteorder=byteorder, bigtiff=bigtiff) as writer:
        writer.write(images, metadata=None, photometric="minisblack")
    stack = pf.open_stack(tmp_path / "a.tif", z_step_um=1.0)
    np.testing.assert_array_equal(stack.read_counts(), images)
    assert stack.read_counts().dtype.isnative


@pytest.mark.parametrize("name", ["a.ome.tif", "a.ome.zarr"])
@settings(max_examples=8)
@given(
    shape=SIZES,
    dtype=st.sampled_from(["uint8", "uint16", "float32", "bool"]),
    steps=st.lists(LENGTHS, min_size=5, max_size=5),
    falling=st.booleans(),
)
def test_what_is_written_opens_the_same(name, shape, dtype, steps, falling):
    images = stacks.bead_stack(shape, "uint8").astype(dtype)
    z_um = np.cumsum(steps)[: shape[0]] * (-1 if falling else 1)
    setup = pf.OpticalSetup(na=0.75, wavelength_nm=536.0, pixel_um=0.325, immersion_index=1.0)
    with tempfile.TemporaryDirectory() as folder:
        path = write_stack(images, Path(folder) / name, z_um=z_um, setup=setup)
        stack = pf.open_stack(path)
        np.testing.assert_array_equal(stack.read_counts(), images)
        assert stack.dtype == images.dtype
        again = pf.open_stack(write_stack(stack, Path(folder) / f"b{name}"))
        np.testing.assert_array_equal(again.read_counts(), images)
    np.testing.assert_allclose(stack.z_um, z_um)
    np.testing.assert_allclose(again.z_um, z_um)
    assert again.setup == setup
