"""Input that cannot be used is refused in one line that names the file and the way out."""

from __future__ import annotations

import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import zarr

import parfocal as pf
from parfocal.core.errors import (
    InputError,
    MetadataError,
    MissingExtraError,
    ParfocalError,
    ReadError,
    ShapeError,
)
from parfocal.io.faults import reading
from tests.fabricate import stacks

IMAGES = stacks.bead_stack((4, 12, 10))
UM = {"step_um": 0.5, "pixel_um": 0.1}


def _empty(folder: Path) -> Path:
    (folder / "a.tif").touch()
    return folder / "a.tif"


def _text(folder: Path) -> Path:
    (folder / "a.tif").write_text("not an image")
    return folder / "a.tif"


def _cut(folder: Path) -> Path:
    path = stacks.write_plain(folder / "a.tif", stacks.bead_stack((4, 64, 64)))
    whole = path.read_bytes()
    with tifffile.TiffFile(path) as tif:
        end = tif.pages[3].dataoffsets[0] + 100
    path.write_bytes(whole[:end])
    return path


def _cut_imagej(folder: Path) -> Path:
    path = stacks.write_imagej(folder / "a.tif", IMAGES, **UM)
    path.write_bytes(path.read_bytes().replace(b"slices=4", b"slices=9"))
    return path


def _ome(folder: Path, **more: Any) -> Path:
    return stacks.write_ome_tiff(folder / "a.ome.tif", IMAGES, **(UM | more))


def _edited(folder: Path, old: str, new: str) -> Path:
    """An OME-TIFF whose XML was changed by hand."""
    path = _ome(folder, Plane={"PositionZ": [0.0, 0.5, 1.0, 1.5], "PositionZUnit": ["µm"] * 4})
    with tifffile.TiffFile(path) as tif:
        text = tif.pages[0].description
    assert old in text
    stacks.write_plain(path, IMAGES)
    tifffile.tiffcomment(path, text.replace(old, new).encode())
    return path


def _unequal(folder: Path) -> Path:
    for i, size in enumerate((12, 14, 13)):
        stacks.write_planes(folder, np.zeros((1, size, 10), "uint8"), "png", name=f"z{i}")
    return folder


def _unrelated(folder: Path) -> Path:
    for name, size in (("cat", 5), ("dog", 6), ("notes2", 7)):
        stacks.write_planes(folder, np.zeros((1, size, 10), "uint8"), "png", name=name)
    return folder


def _array(folder: Path, shape: tuple[int, ...], dtype: str = "uint16") -> Path:
    zarr.create_array(folder / "a.zarr", shape=shape, dtype=dtype, chunks=shape)
    return folder / "a.zarr"


def _group(folder: Path) -> Path:
    zarr.open_group(folder / "a.zarr", mode="w")
    return folder / "a.zarr"


def _two_channels(folder: Path) -> Path:
    path = folder / "a.ome.tif"
    metadata = {"axes": "ZCYX", "Channel": {"Name": ["DAPI", "GFP"]}}
    data = IMAGES.reshape(2, 2, 12, 10)
    tifffile.imwrite(path, data, ome=True, metadata=metadata, photometric="minisblack")
    return path


def _times(folder: Path) -> Path:
    tifffile.imwrite(folder / "a.tif", IMAGES, imagej=True, metadata={"axes": "TYX"})
    return folder / "a.tif"


def _metamorph(folder: Path, *z_um: float) -> Path:
    stacks.write_metamorph(folder, IMAGES, list(z_um), pixel_um=0.3)
    return folder


def _plain(folder: Path, dtype: str = "uint16") -> Path:
    return stacks.write_plain(folder / "a.tif", IMAGES.astype(dtype))


def _mixed_types(folder: Path) -> Path:
    for i, dtype in enumerate(("uint8", "uint16", "uint8")):
        stacks.write_planes(folder, IMAGES[:1].astype(dtype), "tif", name=f"z{i}")
    return folder


def _two_stacks(folder: Path) -> Path:
    for name in ("A01_z{}", "A02_z{}"):
        stacks.write_planes(folder, IMAGES.astype("uint8"), "png", name=name)
    return folder


def _manifest(folder: Path, text: str) -> Path:
    (folder / "stacks.toml").write_text(text)
    return folder


STEP = {"z_step_um": 1.0}
Case = tuple[Callable[[Path], Path], dict[str, Any], type[ParfocalError], tuple[str, ...]]
CASES: dict[str, Case] = {
    "missing": (lambda f: f / "none.tif", {}, ReadError, ("no such file", "check the path")),
    "no match": (lambda f: f / "*.tif", {}, ReadError, ("matches no file",)),
    "empty file": (_empty, {}, ReadError, ("empty", "export")),
    "no image": (_text, {}, ReadError, ("not an image", "OME-Zarr")),
    "cut off": (_cut, STEP, ReadError, ("plane 3", "cut off")),
    "cut ImageJ": (_cut_imagej, {}, MetadataError, ("9 planes", "has 4")),
    "SizeZ": (
        lambda f: _edited(f, 'SizeZ="4"', 'SizeZ="7"'), {}, MetadataError, ("7 planes", "has 4")),
    "no step": (_plain, {}, MetadataError, ("--z-step-um", "--planes")),
    "steps differ": (
        lambda f: _edited(f, 'PhysicalSizeZ="0.5"', 'PhysicalSizeZ="0.9"'),
        {}, MetadataError, ("0.5 um", "0.9 um", "--z-step-um")),
    "z turns back": (
        lambda f: _metamorph(f, 1, 2, 1.5, 3), {}, MetadataError, ("not monotonic", "--z-step-um")),
    "z stands still": (
        lambda f: _metamorph(f, 2, 2, 2, 2), {}, MetadataError, ("same z", "--z-step-um")),
    "negative step": (
        lambda f: _ome(f, PhysicalSizeZ=-0.5), {}, MetadataError, ("-0.5", "--z-step-um")),
    "negative pixel": (
        lambda f: _ome(f, PhysicalSizeX=-0.1), {}, MetadataError, ("-0.1", "--pixel-um")),
    "absurd pixel": (
        lambda f: _ome(f, PhysicalSizeX=5e3, PhysicalSizeY=5e3),
        {}, MetadataError, ("5000 um", "--pixel-um")),
    "not square": (
        lambda f: _ome(f, PhysicalSizeX=0.13), {}, MetadataError, ("not square", "--pixel-um")),
    "unknown unit": (
        lambda f: _ome(f, PhysicalSizeZUnit="thou"), {}, MetadataError, ("'thou'", "--z-step-um")),
    "pixels disagree": (
        lambda f: [_metamorph(f, 1, 2, 3, 4),
                   stacks.write_metamorph(f, IMAGES[:1], [1.0], pixel_um=0.5)][0],
        {}, MetadataError, ("0.3 um", "0.5 um", "--pixel-um")),
    "unequal planes": (_unequal, STEP, ShapeError, ("12 x 10", "14 x 10", "--crop-common")),
    "types differ": (_mixed_types, STEP, ShapeError, ("uint16", "uint8")),
    "complex": (lambda f: _plain(f, "complex64"), STEP, ShapeError, ("complex64",)),
    "unrelated": (_unrelated, STEP, InputError, ("no focal stack", "3 single images of 3 sizes")),
    "empty folder": (lambda f: f, {}, ReadError, ("holds no images",)),
    "two channels": (_two_channels, STEP, InputError, ("0 (DAPI)", "1 (GFP)", "--channel")),
    "only times": (_times, STEP, InputError, ("4 times", "--time", "slices")),
    "no channel": (
        _two_channels, STEP | {"channel": "RFP"}, InputError, ("'RFP'", "DAPI", "GFP")),
    "no position": (_ome, {"position": 3}, InputError, ("position 3",)),
    "no level": (_ome, {"level": 2}, InputError, ("level 2", "0 to 0")),
    "two stacks": (_two_stacks, STEP, InputError, ("2 stacks", "A01", "A02", "find_stacks")),
    "bare zarr": (lambda f: _array(f, (3, 8, 8)), {}, MetadataError, ("--z-step-um",)),
    "4-D zarr": (lambda f: _array(f, (2, 3, 8, 8)), STEP, ShapeError, ("4 axes", "OME-Zarr")),
    "complex zarr": (lambda f: _array(f, (3, 8, 8), "complex64"), STEP, ShapeError, ("complex64",)),
    "empty group": (_group, STEP, ReadError, ("no multiscales", "--z-step-um")),
    "bad manifest": (lambda f: _manifest(f, "[a\n"), {}, ReadError, ("stacks.toml", "correct")),
    "no tables": (lambda f: _manifest(f, "x = 1"), {}, ReadError, ("no stacks", "planes")),
    "no planes": (
        lambda f: _manifest(f, "[a]\nplanes = 'x/*.tif'"), {}, ReadError, ("[a]", "matches no")),
    "same as none": (
        lambda f: _manifest(f, "[a]\nplanes = 'x'\nsame_as = 'b'"), {}, MetadataError, ("'b'",)),
    "impossible optics": (
        _ome, {"na": 1.4, "wavelength_nm": 500.0}, MetadataError, ("1.4", "--immersion-index")),
    "zero step": (_plain, {"z_step_um": 0.0}, InputError, ("z_step_um", "not be 0")),
    "negative size": (_plain, {"pixel_um": -1.0}, InputError, ("pixel_um",)),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_refusals_name_the_file_and_the_way_out(case, tmp_path):
    make, options, error, words = CASES[case]
    path = make(tmp_path)
    with pytest.raises(ParfocalError) as caught:
        pf.open_stack(path, **options)
    text = str(caught.value)
    assert type(caught.value) is error, text
    assert "\n" not in text
    for word in words:
        assert word in text
    if case not in ("zero step", "negative size"):
        assert tmp_path.name in text


def test_flags_settle_what_was_refused(tmp_path):
    assert pf.open_stack(_metamorph(tmp_path / "a", 1, 2, 1.5, 3), z_step_um=1.0).z_step_um == 1.0
    (tmp_path / "b").mkdir()
    assert pf.open_stack(_ome(tmp_path / "b", PhysicalSizeX=0.13), pixel_um=0.1).pixel_um == 0.1
    (tmp_path / "c").mkdir()
    assert pf.open_stack(_two_channels(tmp_path / "c"), channel="gfp", **STEP).channel == "GFP"
    (tmp_path / "d").mkdir()
    counted = pf.open_stack(_plain(tmp_path / "d"), z_in_planes=True)
    assert not counted.z_known
    np.testing.assert_array_equal(counted.z_um, [0, 1, 2, 3])


def test_common_field_is_cut_from_the_middle(tmp_path):
    rows = np.arange(14, dtype="uint8")[:, None] * np.ones(10, "uint8")
    stacks.write_planes(tmp_path, rows[None], "png", name="z0")
    stacks.write_planes(tmp_path, rows[None, :10], "png", name="z1")
    stack = pf.open_stack(tmp_path, z_step_um=1.0, crop_common=True)
    assert stack.shape == (2, 10, 10)
    np.testing.assert_array_equal(stack.read_counts(0)[:, 0], np.arange(2, 12))
    np.testing.assert_array_equal(stack.read_counts(1)[:, 0], np.arange(10))
    assert any("cut centrally" in note for note in stack.notes)


def test_broken_chunk_is_named_when_it_is_read(tmp_path):
    path = stacks.write_zarr_05(tmp_path / "a.ome.zarr", IMAGES, **UM)
    (path / "0" / "c" / "2" / "1" / "0").write_bytes(b"damaged")
    stack = pf.open_stack(path)
    np.testing.assert_array_equal(stack.read_counts(0), IMAGES[0])
    with pytest.raises(ReadError, match=r"chunk 0/c/2/1/0 cannot be read"):
        stack.read_counts(2)


def test_missing_chunk_reads_as_the_fill_value(tmp_path):
    path = stacks.write_zarr_05(tmp_path / "a.ome.zarr", IMAGES, **UM)
    (path / "0" / "c" / "2" / "0" / "0").unlink()
    plane = pf.open_stack(path).read_counts(2)
    assert (plane[:8, :8] == 0).all()
    np.testing.assert_array_equal(plane[8:], IMAGES[2, 8:])


def test_plane_that_breaks_after_opening_is_named_when_it_is_read(tmp_path):
    path = stacks.write_plain(tmp_path / "a.tif", IMAGES, compression="zlib")
    stack = pf.open_stack(path, z_step_um=1.0)
    with tifffile.TiffFile(path) as tif:
        start, count = tif.pages[2].dataoffsets[0], tif.pages[2].databytecounts[0]
    data = bytearray(path.read_bytes())
    data[start : start + count] = b"\xff" * count
    path.write_bytes(data)
    np.testing.assert_array_equal(stack.read_counts(1), IMAGES[1])
    with pytest.raises(ReadError, match="plane 2 cannot be read"):
        stack.read_counts(2)


def test_ndtiff_without_its_library_names_the_extra(tmp_path, monkeypatch):
    path = stacks.write_ndtiff(tmp_path, IMAGES, **UM)
    monkeypatch.setitem(sys.modules, "ndstorage.ndtiff_index", None)
    with pytest.raises(MissingExtraError, match=r"parfocal\[ndtiff\]"):
        pf.open_stack(path)


def test_entities_in_ome_xml_are_refused(tmp_path):
    path = _edited(tmp_path, "<OME", '<!DOCTYPE x [<!ENTITY a "b">]><OME')
    with pytest.raises(ReadError, match="entities"):
        pf.open_stack(path)


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (7, 1)])
def test_planes_one_pixel_wide_are_not_said_to_be_in_pieces(tmp_path, size):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((5, *size), np.uint8), photometric="minisblack")
    try:
        assert pf.open_stack(path, z_step_um=1.0).shape == (5, *size)
    except ReadError as error:
        assert "each wider than 1 px" in str(error)  # noqa: PT017 - either is right


def test_a_header_that_is_cut_off_is_said_to_be(tmp_path):
    said = r"a\.tif: cannot be read: the file is cut off; copy"
    with pytest.raises(ReadError, match=said), reading(str(tmp_path / "a.tif")):
        struct.unpack("<I", b"12")


def test_paths_that_may_not_be_looked_at_are_refused(monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "is_file", refuse)
    with pytest.raises(ReadError, match=r"a\.tif: cannot be read: Permission denied; check"):
        pf.open_stack("a.tif")


NO_PATHS = """
import parfocal as pf
for given in (None, [None], 3):
    try:
        pf.open_stack(given)
    except pf.ParfocalError as error:
        print(error)
"""


def test_what_is_no_path_is_refused():  # in a process without the checks of types in tests
    run = [sys.executable, "-c", NO_PATHS]
    lines = subprocess.run(run, capture_output=True, text=True, check=True).stdout.splitlines()
    assert [line.split(" is no path; give a file")[0] for line in lines] == ["None", "[None]", "3"]
