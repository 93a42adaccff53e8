"""Masks and meshes as files, read again by other people's readers."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile
import zarr
from yaozarrs import v05

from parfocal.core.errors import InputError, ShapeError
from parfocal.core.masks import FocusMasks
from parfocal.core.status import Status
from parfocal.io import open_stack, read_masks, write_masks, write_mesh, write_stack

Z_UM = np.array([10.0, 10.5, 11.5])


def _masks(**changes):
    drawn = np.random.default_rng(0).random((3, 6, 9)) > 0.7
    values = {
        "status": Status.FOUND, "reason": "found", "masks": drawn, "method": "std, otsu",
        "z_um": Z_UM, "pixel_um": 0.25, "thresholds": np.array([1.0, np.nan, 2.0]),
    }  # fmt: skip
    return FocusMasks(**(values | changes))


@pytest.mark.parametrize("ending", ["ome.zarr", "ome.tif"])
def test_masks_are_read_again_with_their_z_and_pixel_size(ending, tmp_path):
    masks = _masks()
    again = read_masks(write_masks(masks, tmp_path / f"m.{ending}"))
    np.testing.assert_array_equal(again.masks, masks.masks)
    np.testing.assert_array_equal(again.z_um, Z_UM)
    assert (again.z_known, again.pixel_um, again.status) == (True, 0.25, "found")


def test_masks_in_zarr_are_labels_with_a_scale_and_say_how_they_were_made(tmp_path):
    path = write_masks(_masks(), tmp_path / "m.ome.zarr")
    attributes = dict(zarr.open_group(path, mode="r").attrs)
    image = v05.LabelImage.model_validate(attributes["ome"])
    assert image.multiscales[0].datasets[0].scale_transform.scale == [0.75, 0.25, 0.25]
    record = attributes["parfocal"]["record"]
    assert (record["method"], record["thresholds"]) == ("std, otsu", [1.0, None, 2.0])
    assert zarr.open_group(path, mode="r")["0"].dtype == np.uint8


def test_masks_in_tiff_are_those_of_imagej(tmp_path):
    path = write_masks(_masks(), tmp_path / "m.ome.tif")
    with tifffile.TiffFile(path) as file:
        assert len(file.pages) == 3
        assert set(np.unique(file.asarray())) == {0, 255}
        described = file.ome_metadata
    assert json.dumps("std, otsu") in described.replace("&quot;", '"')


def test_probabilities_keep_their_fractions_and_a_level_makes_masks_of_them(tmp_path):
    shares = np.linspace(0, 1, 3 * 6 * 9).reshape(3, 6, 9)
    masks = _masks(masks=shares >= 0.5, probabilities=shares)
    path = write_masks(masks, tmp_path / "p.ome.zarr", what="probabilities")
    again = read_masks(path)
    np.testing.assert_allclose(again.probabilities, shares, atol=1e-7)
    np.testing.assert_array_equal(again.masks, masks.masks)
    assert read_masks(path, level=0.9).masks.sum() < masks.masks.sum()


def test_masks_without_z_are_read_as_plane_numbers(tmp_path):
    masks = _masks(z_um=np.arange(3.0), z_known=False, pixel_um=None)
    stack = open_stack(write_masks(masks, tmp_path / "m.ome.tif"), z_in_planes=True)
    assert not stack.z_known


def test_declined_masks_are_read_as_no_answer(tmp_path):
    empty = _masks(status=Status.FLAT, masks=np.zeros((3, 6, 9), bool))
    assert read_masks(write_masks(empty, tmp_path / "m.ome.tif")).status == "blank"


def test_what_exists_stays_and_what_is_not_there_is_said(tmp_path):
    path = write_masks(_masks(), tmp_path / "m.ome.tif")
    with pytest.raises(InputError, match="--overwrite"):
        write_masks(_masks(), path)
    with pytest.raises(InputError, match="no probabilities"):
        write_masks(_masks(), tmp_path / "p.ome.tif", what="probabilities")
    wild = write_stack(np.full((2, 4, 4), 3.5, np.float32), tmp_path / "w.ome.tif", z_step_um=1.0)
    with pytest.raises(InputError, match=r"from 3\.5"):
        read_masks(wild)


VERTICES = np.array([[0.0, 0, 0], [2, 0, 0], [0, 2, 0], [0, 0, 12345.675]])
FACES = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])


def _read_ply(path):
    head, _, body = path.read_text().partition("end_header\n")
    counts = [int(line.split()[2]) for line in head.splitlines() if line.startswith("element")]
    lines = body.splitlines()
    assert len(lines) == sum(counts)
    vertices = np.array([line.split() for line in lines[: counts[0]]], dtype=float)
    faces = np.array([line.split() for line in lines[counts[0] :]], dtype=int)
    assert (faces[:, 0] == 3).all()
    return vertices, faces[:, 1:]


def _read_obj(path):
    lines = [line.split() for line in path.read_text().splitlines()]
    vertices = np.array([line[1:] for line in lines if line[0] == "v"], dtype=float)
    return vertices, np.array([line[1:] for line in lines if line[0] == "f"], dtype=int) - 1


@pytest.mark.parametrize(("ending", "read"), [("ply", _read_ply), ("obj", _read_obj)])
def test_meshes_are_read_again(ending, read, tmp_path):
    path = write_mesh(VERTICES, FACES, tmp_path / f"m.{ending}", description="two\nlines")
    vertices, faces = read(path)
    np.testing.assert_allclose(vertices, VERTICES, atol=1e-3)
    np.testing.assert_array_equal(faces, FACES)
    assert "micrometres" in path.read_text()
    with pytest.raises(InputError, match="--overwrite"):
        write_mesh(VERTICES, FACES, path)


def test_meshes_that_cannot_be_are_refused(tmp_path):
    with pytest.raises(ShapeError, match="name 0 to 3"):
        write_mesh(VERTICES[:3], FACES, tmp_path / "m.ply")
    with pytest.raises(InputError, match=r"\.ply or \.obj"):
        write_mesh(VERTICES, FACES, tmp_path / "m.stl")
    assert list(tmp_path.iterdir()) == []
