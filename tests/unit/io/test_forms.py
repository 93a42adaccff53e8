"""What the formats say is understood: channels, colours, palettes, optics, z, saturation."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image

import parfocal as pf
from parfocal.io.blocks import luminance
from parfocal.io.writing import write_stack
from tests.fabricate import stacks

IMAGES = stacks.bead_stack((4, 12, 10))
UM = {"step_um": 0.5, "pixel_um": 0.1}
WEIGHTS = np.array([0.2126, 0.7152, 0.0722])


def test_channel_time_and_position_pick_the_right_planes(tmp_path):
    data = np.arange(2 * 3 * 2, dtype="uint16").reshape(2, 3, 2, 1, 1) * np.ones((4, 5), "uint16")
    metadata = {"axes": "TZCYX", "Channel": {"Name": ["DAPI", "GFP"]}, "PhysicalSizeZ": 1.0}
    tifffile.imwrite(tmp_path / "a.ome.tif", data, ome=True, metadata=metadata, photometric=1)
    for time in (0, 1):
        for number, name in enumerate(("DAPI", "GFP")):
            for channel in (number, str(number), name):
                stack = pf.open_stack(tmp_path / "a.ome.tif", channel=channel, time=time)
                np.testing.assert_array_equal(stack.read_counts(), data[time, :, number])
                assert stack.channel == name


def test_imagej_hyperstack_with_channels_and_times(tmp_path):
    data = np.arange(2 * 3 * 2, dtype="uint16").reshape(2, 3, 2, 1, 1) * np.ones((4, 5), "uint16")
    metadata = {"axes": "TZCYX", "spacing": 0.3, "unit": "micron"}
    tifffile.imwrite(tmp_path / "a.tif", data, imagej=True, metadata=metadata)
    stack = pf.open_stack(tmp_path / "a.tif", channel=1, time=1)
    np.testing.assert_array_equal(stack.read_counts(), data[1, :, 1])
    assert stack.z_step_um == pytest.approx(0.3)


def test_one_header_for_all_planes_is_followed(tmp_path):
    data = stacks.bead_stack((5, 6, 7))
    tifffile.imwrite(tmp_path / "a.tif", data, imagej=True, metadata={"axes": "ZYX"})
    whole = (tmp_path / "a.tif").read_bytes()
    with tifffile.TiffFile(tmp_path / "a.tif") as tif:
        first, second = tif.pages[0], tif.pages[1]
        link = whole.index(second.offset.to_bytes(4, "little"), first.offset)
    (tmp_path / "a.tif").write_bytes(whole[:link] + bytes(4) + whole[link + 4 :])
    stack = pf.open_stack(tmp_path / "a.tif", z_step_um=1.0)
    np.testing.assert_array_equal(stack.read_counts(), data)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_colour_tiff_becomes_luminance(tmp_path, dtype, planar):
    rgb = np.random.default_rng(0).integers(0, 255, (2, 9, 11, 3)).astype(dtype)
    data = rgb if planar == "contig" else np.moveaxis(rgb, -1, 1)
    tifffile.imwrite(
        tmp_path / "a.tif", data, photometric="rgb", planarconfig=planar, metadata=None,
        compression="zlib",
    )  # fmt: skip
    stack = pf.open_stack(tmp_path / "a.tif", z_step_um=1.0)
    np.testing.assert_allclose(stack.read_counts(), rgb @ WEIGHTS, rtol=1e-6)
    assert stack.saturation_counts == np.iinfo(dtype).max
    assert any("Rec. 709" in note for note in stack.notes)


def test_white_keeps_its_counts_exactly():
    white = np.full((1, 1, 3), 65535, dtype="uint16")
    assert luminance(white).item() == 65535.0


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "L", "LA", "I;16", "1"])
def test_every_kind_of_png_opens(tmp_path, mode):
    rgb = np.random.default_rng(1).integers(0, 255, (6, 7, 3)).astype("uint8")
    image = Image.fromarray(rgb).quantize(16) if mode == "P" else None
    if mode == "I;16":
        image = Image.fromarray(np.arange(42, dtype="uint16").reshape(6, 7) * 1500)
    image = image or Image.fromarray(rgb).convert(mode)
    image.save(tmp_path / "a.png")
    counts = pf.open_stack(tmp_path / "a.png").read_counts(0)
    if mode in ("RGB", "RGBA", "P"):
        expected = np.asarray(image.convert("RGB")) @ WEIGHTS
    else:
        expected = np.asarray(image)[..., 0] if mode == "LA" else np.asarray(image)
    np.testing.assert_allclose(counts, expected, rtol=1e-6)


def test_colours_of_16_bit_keep_their_depth(tmp_path):
    import imagecodecs

    rgb = np.random.default_rng(2).integers(0, 65535, (6, 7, 3)).astype("uint16")
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(rgb))
    stack = pf.open_stack(tmp_path / "a.png")
    np.testing.assert_allclose(stack.read_counts(0), rgb @ WEIGHTS, rtol=1e-6)
    assert stack.saturation_counts == 65535


def test_content_decides_not_the_ending(tmp_path):
    Image.fromarray(IMAGES[0].astype("uint8")).save(tmp_path / "a.png")
    (tmp_path / "a.png").rename(tmp_path / "a.bmp")
    assert pf.open_stack(tmp_path / "a.bmp").shape == (1, 12, 10)


def test_jpeg_opens_with_a_note(tmp_path):
    stacks.write_planes(tmp_path, IMAGES.astype("uint8"), "jpg")
    stack = pf.open_stack(tmp_path, z_step_um=1.0)
    assert any("JPEG" in note for note in stack.notes)


def test_palette_tiff_becomes_luminance(tmp_path):
    colours = np.random.default_rng(3).integers(0, 65535, (3, 256)).astype("uint16")
    data = IMAGES.astype("uint8")
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for plane in data:
            writer.write(plane, photometric="palette", colormap=colours, metadata=None)
    stack = pf.open_stack(tmp_path / "a.tif", z_step_um=1.0)
    expected = np.moveaxis(colours[:, data], 0, -1) @ WEIGHTS / 257
    np.testing.assert_allclose(stack.read_counts(), expected, rtol=1e-5)
    assert stack.saturation_counts == 255


def test_white_is_zero_is_turned_round(tmp_path):
    stacks.write_plain(tmp_path / "a.tif", IMAGES, photometric="miniswhite")
    stack = pf.open_stack(tmp_path / "a.tif", z_step_um=1.0)
    np.testing.assert_array_equal(stack.read_counts(), 65535 - IMAGES)


def test_pyramid_levels_scale_the_pixel(tmp_path):
    data = stacks.bead_stack((3, 64, 48))
    with tifffile.TiffWriter(tmp_path / "a.ome.tif", ome=True) as writer:
        metadata = {"axes": "ZYX", "PhysicalSizeX": 0.2, "PhysicalSizeY": 0.2, "PhysicalSizeZ": 1.0}
        writer.write(data, subifds=1, metadata=metadata, tile=(16, 16), photometric="minisblack")
        writer.write(data[:, ::2, ::2], subfiletype=1, tile=(16, 16), photometric="minisblack")
    full, half = (pf.open_stack(tmp_path / "a.ome.tif", level=level) for level in (0, 1))
    np.testing.assert_array_equal(full.read_counts(), data)
    np.testing.assert_array_equal(half.read_counts(), data[:, ::2, ::2])
    assert (full.pixel_um, half.pixel_um) == (0.2, 0.4)


OPTICS = (
    '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Instrument ID="Instrument:0">'
    '<Objective ID="Objective:0" LensNA="1.2" Immersion="Water"/></Instrument>'
    '<Image ID="Image:0"><ObjectiveSettings ID="Objective:0"/>'
    '<Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint16" SizeX="10" SizeY="12" SizeZ="4" '
    'SizeC="1" SizeT="1" SignificantBits="12" PhysicalSizeX="100" PhysicalSizeXUnit="nm" '
    'PhysicalSizeY="100" PhysicalSizeYUnit="nm" PhysicalSizeZ="0.5">'
    '<Channel ID="Channel:0:0" Name="GFP" EmissionWavelength="0.52" '
    'EmissionWavelengthUnit="&#181;m" AcquisitionMode="SpinningDiskConfocal" '
    'ContrastMethod="Fluorescence"/><TiffData/>'
    '<Plane TheZ="0" TheC="0" TheT="0" PositionZ="7.1"/></Pixels></Image></OME>'
)


def test_optics_bits_and_modality_come_from_ome_xml(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.ome.tif") as writer:
        for i, plane in enumerate(IMAGES):
            description = OPTICS if i == 0 else None
            writer.write(plane, description=description, metadata=None, contiguous=False)
    stack = pf.open_stack(tmp_path / "a.ome.tif")
    assert stack.setup == pf.OpticalSetup(
        na=1.2, wavelength_nm=520.0, pixel_um=0.1, immersion_index=1.333
    )
    assert stack.modality == "spinning-disk confocal fluorescence"
    assert (stack.saturation_counts, stack.channel) == (4095.0, "GFP")
    np.testing.assert_allclose(stack.z_um, [0, 0.5, 1.0, 1.5])
    assert any("1 of 4 planes" in note for note in stack.notes)
    oil = pf.open_stack(tmp_path / "a.ome.tif", na=1.4, immersion_index=1.515)
    assert oil.setup is not None
    assert (oil.setup.na, oil.setup.wavelength_nm) == (1.4, 520.0)


def test_metamorph_planes_bring_exact_z_and_optics(tmp_path):
    z_um = [9318.24, 9323.18, 9328.16, 9333.2]
    stacks.write_metamorph(tmp_path, IMAGES, z_um, pixel_um=1.3668)
    stack = pf.open_stack(tmp_path)
    np.testing.assert_allclose(stack.z_um, z_um)
    assert stack.setup == pf.OpticalSetup(na=0.75, wavelength_nm=536.0, pixel_um=1.3668)


def test_explicit_values_win_with_a_note(tmp_path):
    path = stacks.write_ome_tiff(tmp_path / "a.ome.tif", IMAGES, **UM)
    stack = pf.open_stack(path, z_step_um=-2.0, pixel_um=0.3)
    np.testing.assert_allclose(stack.z_um, [0, -2, -4, -6])
    assert stack.pixel_um == 0.3
    text = "; ".join(stack.notes)
    assert "the file says 0.5" in text
    assert "the file says 0.1" in text
    assert pf.open_stack(path, z_step_um=0.5, pixel_um=0.1).notes == ()


def test_zero_pixel_size_is_missing(tmp_path):
    path = stacks.write_ome_tiff(
        tmp_path / "a.ome.tif", IMAGES, **UM, PhysicalSizeX=None, PhysicalSizeY=None
    )
    with tifffile.TiffFile(path) as tif:
        xml = tif.pages[0].description
    xml = xml.replace(' SizeX="10"', ' SizeX="10" PhysicalSizeX="0" PhysicalSizeY="0"')
    stacks.write_plain(path, IMAGES)
    tifffile.tiffcomment(path, xml.encode())
    assert pf.open_stack(path).pixel_um is None


def test_resolution_for_paper_is_no_pixel_size(tmp_path):
    for dpi, expected in ((72.0, None), (300.0, None), (254_000.0, 0.1)):
        path = tmp_path / "a.tif"
        stacks.write_plain(path, IMAGES, resolution=(dpi, dpi), resolutionunit="inch")
        assert pf.open_stack(path, z_step_um=1.0).pixel_um == (expected and pytest.approx(expected))


def test_zarr_levels_channels_and_units(tmp_path):
    group = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=2)
    data = np.stack([IMAGES, IMAGES + 1])
    for name, step in (("0", 1), ("1", 2)):
        part = data[..., ::step, ::step]
        array = group.create_array(name, shape=part.shape, chunks=(1, 2, 4, 4), dtype="uint16")
        array[:] = part
    axes = [{"name": "c", "type": "channel"}]
    axes += [{"name": n, "type": "space", "unit": "nanometer"} for n in "zyx"]
    scales = [[1, 300, 100, 100], [1, 300, 200, 200]]
    group.attrs["multiscales"] = [{
        "version": "0.4", "axes": axes,
        "datasets": [{"path": str(i), "coordinateTransformations": [{"type": "scale", "scale": s}]}
                     for i, s in enumerate(scales)],
    }]  # fmt: skip
    group.attrs["omero"] = {"channels": [{"label": "DAPI"}, {"label": "GFP"}]}
    stack = pf.open_stack(tmp_path / "a.zarr", channel="GFP")
    np.testing.assert_array_equal(stack.read_counts(), IMAGES + 1)
    assert (stack.z_step_um, stack.pixel_um) == (pytest.approx(0.3), pytest.approx(0.1))
    half = pf.open_stack(tmp_path / "a.zarr", channel=0, level=1)
    np.testing.assert_array_equal(half.read_counts(), IMAGES[:, ::2, ::2])
    assert half.pixel_um == pytest.approx(0.2)


def test_ndtiff_channels_and_exact_z(tmp_path):
    z_um = [1.0, 1.5, 2.1, 2.5]
    path = stacks.write_ndtiff_channels(tmp_path, {"DAPI": IMAGES, "GFP": IMAGES + 1}, z_um)
    stack = pf.open_stack(path, channel="GFP")
    np.testing.assert_array_equal(stack.read_counts(), IMAGES + 1)
    np.testing.assert_allclose(stack.z_um, z_um)


def test_dask_slices_of_any_kind_match_numpy(tmp_path):
    path = stacks.write_plain(tmp_path / "a.tif", IMAGES, compression="zlib")
    images = pf.open_stack(path, z_step_um=1.0).images
    for pick in (
        np.s_[1], np.s_[::-1], np.s_[::2, 3:9:2, ::-1], np.s_[[0, 2], 1:5], np.s_[-1, :, -3:],
        np.s_[1:1], np.s_[:, 4, 5],
    ):  # fmt: skip
        np.testing.assert_array_equal(np.asarray(images[pick]), IMAGES[pick])


def _write_zarr_at(path, *, version, unit, own, levels=()):
    """A 3-plane store whose dataset is scaled and moved, then its multiscale."""
    steps = [{"type": "scale", "scale": [300, 100, 100]}, *own]
    axes = [{"name": n, "type": "space", "unit": unit} for n in "zyx"]
    multiscale = {
        "version": version, "axes": axes, "coordinateTransformations": list(levels),
        "datasets": [{"path": "0", "coordinateTransformations": steps}],
    }  # fmt: skip
    group = zarr.open_group(path, mode="w", zarr_format=2 if version == "0.4" else 3)
    group.create_array("0", shape=(3, 12, 10), chunks=(1, 12, 10), dtype="uint16")[:] = IMAGES[:3]
    whole = {"multiscales": [multiscale]}
    group.attrs.update(whole if version == "0.4" else {"ome": {"version": "0.5", **whole}})
    return path


def _move(z):
    return {"type": "translation", "translation": [z, 50, 50]}  # half a pixel in y and x


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_zarr_z_begins_at_its_translation(tmp_path, version):
    def z_um(unit="nanometer", own=(), levels=(), **options):
        path = tmp_path / "a.zarr"
        _write_zarr_at(path, version=version, unit=unit, own=own, levels=levels)
        stack = pf.open_stack(path, **options)
        np.testing.assert_array_equal(stack.read_counts(), IMAGES[:3])
        return pytest.approx(stack.z_um.tolist())

    assert z_um() == [0.0, 0.3, 0.6]
    assert z_um(own=[_move(-1200)]) == [-1.2, -0.9, -0.6]
    assert z_um("micrometer", [_move(7)], pixel_um=0.1) == [7.0, 307.0, 607.0]
    whole = [{"type": "scale", "scale": [2, 1, 1]}, _move(100)]
    assert z_um(own=[_move(1000)], levels=whole) == [2.1, 2.7, 3.3]
    assert z_um(own=[_move(1000)], z_step_um=0.5) == [0.0, 0.5, 1.0]


@pytest.mark.parametrize("z_um", [[12.0, 12.5, 13.0], [-4.0, -2.0, 0.0], [3.5], [0.0, 0.25, 0.5]])
def test_written_zarr_says_where_z_begins_in_standard_metadata(tmp_path, z_um):
    path = write_stack(IMAGES[: len(z_um)], tmp_path / "a.ome.zarr", z_um=z_um, pixel_um=0.1)
    assert pf.open_stack(path).z_um.tolist() == z_um
    document = path / "zarr.json"
    values = json.loads(document.read_text())
    del values["attributes"]["parfocal"]
    document.write_text(json.dumps(values))
    stack = pf.open_stack(path)
    assert (stack.z_um.tolist(), stack.pixel_um) == (z_um, 0.1)
