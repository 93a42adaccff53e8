"""find_stacks: every stack in files, folders, globs, plates and manifests, and nothing fails."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from parfocal.core.errors import InputError, ReadError
from parfocal.io import find_stacks
from tests.fabricate import stacks

IMAGES = stacks.bead_stack((3, 12, 10), "uint8")
UM = {"step_um": 0.5, "pixel_um": 0.1}


def test_folder_of_everything_yields_each_stack_once(tmp_path):
    stacks.write_ome_tiff(tmp_path / "one.ome.tif", IMAGES, **UM)
    (tmp_path / "sub").mkdir()
    stacks.write_imagej(tmp_path / "sub" / "two.tif", IMAGES, **UM)
    stacks.write_zarr_05(tmp_path / "three.ome.zarr", IMAGES, **UM)
    stacks.write_ndtiff(tmp_path / "mm", IMAGES, **UM)
    stacks.write_planes(tmp_path / "B03", IMAGES, "png")
    (tmp_path / "README.md").write_text("words")
    (tmp_path / "LICENSE").write_text("more words")
    found = find_stacks([tmp_path], z_step_um=0.5)
    assert sorted(source.name for source in found) == ["B03", "one", "stack_1", "three", "two"]
    for source in found:
        np.testing.assert_array_equal(source.open().read_counts(), IMAGES)
        assert source.open().name == source.name
    assert [source.well for source in found if source.name == "B03"] == ["B03"]


def test_plate_folder_gives_one_stack_per_well_field_and_channel(tmp_path):
    for well in ("A01", "B12"):
        for channel in (1, 2):
            stacks.write_planes(tmp_path, IMAGES, "tif", name=f"{well}_s1_w{channel}_z{{}}")
    found = find_stacks([tmp_path], z_step_um=0.5)
    assert [source.name for source in found] == [
        "A01_s1_w1", "A01_s1_w2", "B12_s1_w1", "B12_s1_w2",
    ]  # fmt: skip
    assert [source.well for source in found] == ["A01", "A01", "B12", "B12"]


@pytest.mark.parametrize("fields", [1, 2])
def test_ome_zarr_plate_gives_every_well_and_field(tmp_path, fields):
    path = stacks.write_plate(tmp_path / "p.zarr", IMAGES, ("B/3", "C/11"), fields=fields)
    found = find_stacks([path])
    assert [source.well for source in found] == ["B03"] * fields + ["C11"] * fields
    assert len({source.name for source in found}) == 2 * fields
    for source in found:
        np.testing.assert_array_equal(source.open().read_counts(), IMAGES)


def test_unreadable_member_is_reported_when_it_is_opened(tmp_path):
    stacks.write_ome_tiff(tmp_path / "good.ome.tif", IMAGES, **UM)
    (tmp_path / "bad.tif").touch()
    found = {source.name: source for source in find_stacks([tmp_path])}
    assert set(found) == {"good", "bad"}
    assert found["good"].open().shape == IMAGES.shape
    with pytest.raises(ReadError, match=r"bad\.tif: the file is empty"):
        found["bad"].open()


def test_broken_plane_among_good_ones_names_the_file(tmp_path):
    paths = stacks.write_planes(tmp_path, IMAGES, "tif")
    paths[1].write_bytes(b"II*\x00")
    (source,) = find_stacks([tmp_path], z_step_um=1.0)
    with pytest.raises(ReadError, match=r"z1\.tif"):
        source.open()


def test_absent_inputs_are_sources_that_say_so(tmp_path):
    found = find_stacks([tmp_path / "none.tif", str(tmp_path / "*.tif")])
    for source, text in zip(found, ("no such file", "matches no file"), strict=True):
        with pytest.raises(ReadError, match=text):
            source.open()


def test_planes_named_one_by_one_are_one_stack(tmp_path):
    paths = stacks.write_planes(tmp_path / "E07_s1", stacks.bead_stack((12, 5, 6), "uint8"), "png")
    (source,) = find_stacks(sorted(paths), z_step_um=1.0)
    assert (source.name, source.well) == ("E07_s1", "E07")
    assert [path.name for path in source.paths] == [f"z{i}.png" for i in range(12)]


def test_single_image_is_a_stack_only_where_it_was_asked_for(tmp_path):
    (path,) = stacks.write_planes(tmp_path, IMAGES[:1], "png", name="shot")
    (asked,) = find_stacks([path])
    assert asked.open().shape == (1, 12, 10)
    (found,) = find_stacks([tmp_path])
    with pytest.raises(InputError, match="no focal stack: 1 single images of 1 sizes"):
        found.open()


def test_globs_and_folders_can_be_mixed_and_names_differ(tmp_path):
    for place in ("a", "b"):
        (tmp_path / place).mkdir()
        stacks.write_ome_tiff(tmp_path / place / "x.ome.tif", IMAGES, **UM)
    found = find_stacks([str(tmp_path / "*" / "*.tif")])
    assert [source.name for source in found] == ["a/x", "b/x"]
    assert len({s.name for s in find_stacks([tmp_path / "a", str(tmp_path / "b" / "*")])}) == 2


def test_positions_of_one_file_are_sources_of_their_own(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.ome.tif", ome=True) as writer:
        for name in ("left", "right"):
            metadata = {"axes": "ZYX", "Name": name, "PhysicalSizeZ": 0.5}
            writer.write(IMAGES + (name == "right"), metadata=metadata, photometric="minisblack")
    left, right = find_stacks([tmp_path])
    assert (left.name, right.name) == ("a left", "a right")
    np.testing.assert_array_equal(right.open().read_counts(), left.open().read_counts() + 1)


def test_files_of_one_set_are_opened_once(tmp_path):
    names = ["a_0.ome.tif", "a_1.ome.tif"]
    data = (
        '<TiffData FirstZ="{0}" IFD="0" PlaneCount="1">'
        '<UUID FileName="{1}">urn:uuid:{0}</UUID></TiffData>'
    )
    tiff_data = "".join(data.format(i, name) for i, name in enumerate(names))
    for i, name in enumerate(names):
        xml = (
            f'<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="urn:uuid:{i}">'
            '<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint8" '
            'SizeX="10" SizeY="12" SizeZ="2" SizeC="1" SizeT="1" PhysicalSizeZ="0.5">'
            f'<Channel ID="Channel:0:0"/>{tiff_data}</Pixels></Image></OME>'
        )
        tifffile.imwrite(tmp_path / name, IMAGES[i], description=xml, metadata=None)
    (source,) = find_stacks([tmp_path])
    np.testing.assert_array_equal(source.open().read_counts(), IMAGES[:2])
    (tmp_path / names[1]).unlink()
    with pytest.raises(ReadError, match="plane 1 of 2 is missing"):
        find_stacks([tmp_path])[0].open()


MANIFEST = """
[bright]
planes = "b/*.png"
modality = "brightfield"
z_step_um = 2
pixel_um = 0.5
focus_index = 1
caution = "take care"

[same]
planes = "c/*.png"
same_as = "bright"
z_step_um = 3

[gone]
planes = "none/*.png"
"""


def test_manifest_gives_names_options_and_the_rest(tmp_path):
    for place in ("b", "c"):
        stacks.write_planes(tmp_path / place, IMAGES, "png")
    (tmp_path / "stacks.toml").write_text(MANIFEST)
    for given in (tmp_path, tmp_path / "stacks.toml"):
        bright, same, gone = find_stacks([given], z_step_um=9.0, pixel_um=7.0)
        stack = bright.open()
        assert (bright.name, stack.z_step_um, stack.pixel_um) == ("bright", 2.0, 0.5)
        assert stack.modality == "brightfield"
        assert dict(bright.extra) == {"focus_index": 1, "caution": "take care"}
        assert same.open().z_step_um == 3.0
        assert same.extra["focus_index"] == 1
        with pytest.raises(ReadError, match=r"\[gone\].*matches no file"):
            gone.open()


def test_exact_z_wins_over_a_manifests_nominal_step(tmp_path):
    z_um = [10.0, 14.9, 20.1]
    stacks.write_metamorph(tmp_path / "m", IMAGES, z_um, pixel_um=1.0)
    (tmp_path / "stacks.toml").write_text('[m]\nplanes = "m/*.tif"\nz_step_um = 5.0')
    (source,) = find_stacks([tmp_path])
    np.testing.assert_allclose(source.open().z_um, z_um)


def test_links_that_lead_back_up_end(tmp_path):
    stacks.write_planes(tmp_path / "a", IMAGES, "png")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    assert len(find_stacks([tmp_path])) == 1


def test_one_path_by_itself_is_an_input(tmp_path):
    path = stacks.write_ome_tiff(tmp_path / "x.ome.tif", IMAGES, **UM)
    for given in (path, str(path), [path], (p for p in [path])):
        (source,) = find_stacks(given)
        assert source.paths == (path,)


@pytest.mark.parametrize("way", ["is_dir", "is_file", "iterdir"])
def test_entries_that_may_not_be_looked_at_cost_nothing_else(tmp_path, monkeypatch, way):
    stacks.write_ome_tiff(tmp_path / "good.ome.tif", IMAGES, **UM)
    (tmp_path / "shut").mkdir()
    whole = getattr(Path, way)

    def refuse(path):
        if "shut" in path.parts:
            raise PermissionError(13, "Permission denied")
        return whole(path)

    monkeypatch.setattr(Path, way, refuse)
    for given in ([tmp_path], [tmp_path / "shut", tmp_path / "good.ome.tif"]):
        found = {source.name: source for source in find_stacks(given)}
        assert found["good"].open().shape == IMAGES.shape
        with pytest.raises(ReadError, match=r"shut.*: Permission denied; check its permissions\.$"):
            found["shut"].open()


def test_inputs_that_may_not_be_looked_at_say_so(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "exists", refuse)
    (source,) = find_stacks([tmp_path / "x.tif"])
    with pytest.raises(ReadError, match=r"x\.tif: cannot be looked at: Permission denied"):
        source.open()


def test_single_images_beside_stacks_are_listed(tmp_path):
    stacks.write_ome_tiff(tmp_path / "x.ome.tif", IMAGES, **UM)
    (overview,) = stacks.write_planes(tmp_path, IMAGES[:1], "tif", name="overview")
    (source,) = find_stacks(tmp_path)
    assert source.beside == (overview,)
    assert [s.beside for s in find_stacks([tmp_path, overview])] == [(), ()]


def test_a_stack_named_twice_is_found_once(tmp_path):
    (tmp_path / "a").mkdir()
    stacks.write_ome_tiff(tmp_path / "a" / "x.ome.tif", IMAGES, **UM)
    stacks.write_planes(tmp_path / "a" / "B03", IMAGES, "png")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    given = [tmp_path / "a", tmp_path / "a" / "x.ome.tif", tmp_path / "b"]
    assert [source.name for source in find_stacks(given)] == ["x", "B03"]


def test_positions_and_channels_of_one_file_are_not_one_stack(tmp_path):
    path = stacks.write_ome_tiff(tmp_path / "x.ome.tif", IMAGES, **UM)
    text = "[{0}]\nplanes = '{1}'\nchannel = {2}\n"
    entries = [text.format(name, path.name, number) for number, name in enumerate(("p", "q"))]
    (tmp_path / "stacks.toml").write_text("\n".join(entries))
    assert [source.name for source in find_stacks(tmp_path)] == ["p", "q"]
