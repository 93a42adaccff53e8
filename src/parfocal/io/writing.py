"""Write a stack as OME-TIFF or OME-Zarr 0.5: whole files or none."""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import tifffile
from numpy.typing import ArrayLike, NDArray
from yaozarrs import DimSpec, v05
from yaozarrs.write.v05 import prepare_image

from parfocal.core.errors import InputError, MetadataError, ShapeError
from parfocal.core.setup import OpticalSetup
from parfocal.core.stack import FocalStack, LazyImages, check_z

_OME = "http://www.openmicroscopy.org/Schemas/OME/2016-06"
_PIXEL_TYPES = {
    "uint8": "uint8", "uint16": "uint16", "uint32": "uint32", "int8": "int8", "int16": "int16",
    "int32": "int32", "float32": "float", "float64": "double", "bool": "bit",
}  # fmt: skip
_TIFF_ENDINGS = (".ome.tif", ".ome.tiff", ".tif", ".tiff")
_CHUNK_PX = 1024
_WHOLE_PLANE_BYTES = 128 * 2**20  # larger planes are written tile by tile
_TILE_PX = 512


@dataclass(frozen=True, eq=False)
class Content:
    """What is to be written."""

    images: LazyImages
    z_um: NDArray[np.float64] | None
    pixel_um: float | None
    setup: OpticalSetup | None
    channel: str | None
    saturation_counts: float | None
    modality: str | None
    record: Mapping[str, Any] = field(default_factory=dict)
    is_labels: bool = False

    @property
    def step_um(self) -> float | None:
        """Median distance between planes."""
        if self.z_um is None or len(self.z_um) < 2:
            return None
        return float(np.median(np.abs(np.diff(self.z_um))))


def write_stack(
    images: FocalStack | LazyImages | ArrayLike,
    path: str | Path,
    *,
    z_um: ArrayLike | None = None,
    z_step_um: float | None = None,
    pixel_um: float | None = None,
    setup: OpticalSetup | None = None,
    channel: str | None = None,
    record: Mapping[str, Any] | None = None,
    is_labels: bool = False,
    overwrite: bool = False,
) -> Path:
    """Write a stack, or one image, plane by plane, as its name's ending says.

    Parameters
    ----------
    images
        A ``FocalStack``, or an array (z, y, x) or (y, x); floats stay floats.
    path
        Ends in ``.ome.tif`` (or ``.tif``) or ``.ome.zarr`` (or ``.zarr``).
    z_um, z_step_um
        Position of each plane, or their distance, in um; a stack brings its own.
    pixel_um, setup, channel
        Sampling, optics and name; a stack brings its own.
    record
        What JSON can hold, kept with the images: among "parfocal" in OME-Zarr, as the image's
        description in OME-TIFF.
    is_labels
        Whole numbers that name regions and are no counts; viewers of OME-Zarr colour them.
    overwrite
        Replace what is there already.

    Returns
    -------
    The path. It is complete or not there at all: a temporary name is renamed at the end.

    Raises
    ------
    InputError
        If the path exists without ``overwrite``, or its ending or the type is none that is written.
    """
    target = Path(path).expanduser()
    content = _content(images, z_um, z_step_um, pixel_um, setup, channel)
    content = replace(content, record=record or {}, is_labels=is_labels)
    write = _writer(target)
    if target.exists() and not overwrite:
        raise InputError(f"{target}: exists; allow it to be replaced with --overwrite.")
    if str(np.dtype(content.images.dtype)) not in _PIXEL_TYPES:
        raise InputError(
            f"{target}: {content.images.dtype} is no pixel type of OME; "
            f"convert to one of: {', '.join(_PIXEL_TYPES)}."
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    with whole_or_none(target) as partial:
        write(content, partial)
    return target


def _writer(target: Path) -> Callable[[Content, Path], None]:
    name = target.name.casefold()
    if name.endswith(_TIFF_ENDINGS):
        return _write_tiff
    if name.endswith(".zarr"):
        return _write_zarr
    raise InputError(f"{target}: give a name that ends in .ome.tif or .ome.zarr.")


def _content(
    images: Any,
    z_um: ArrayLike | None,
    z_step_um: float | None,
    pixel_um: float | None,
    setup: OpticalSetup | None,
    channel: str | None,
) -> Content:
    """Gather what is said in the call and what a stack knows of itself."""
    stack = images if isinstance(images, FocalStack) else None
    array = stack.images if stack is not None else images
    array = array if hasattr(array, "shape") and hasattr(array, "dtype") else np.asarray(array)
    array = array[None] if len(array.shape) == 2 else array
    if len(array.shape) != 3 or 0 in array.shape:
        raise ShapeError(f"Give images (z, y, x) or (y, x) to write, not shape {array.shape}.")
    count = array.shape[0]
    z = None if z_um is None else np.asarray(z_um, dtype=float).reshape(-1)
    if z is None and z_step_um is not None:
        z = np.arange(count) * z_step_um
    if stack is not None:
        z = stack.z_um if z is None and stack.z_known else z
        pixel_um, setup = pixel_um or stack.pixel_um, setup or stack.setup
        channel = channel or stack.channel
    if z is not None and len(z) != count:
        raise ShapeError(f"{count} planes but {len(z)} z positions; give one z a plane.")
    if z is not None:
        check_z(z, "z_um")
    pixel_um = pixel_um or (setup.pixel_um if setup else None)
    if pixel_um is not None and not (math.isfinite(pixel_um) and pixel_um > 0):
        raise MetadataError(f"pixel_um is {pixel_um:g}; give a size above 0 um, or none.")
    saturation = stack.saturation_counts if stack else None
    modality = stack.modality if stack else None
    return Content(array, z, pixel_um, setup, channel, saturation, modality)


@contextmanager
def whole_or_none(target: Path) -> Iterator[Path]:
    """A temporary path beside the target that takes its name when everything is written."""
    partial = target.with_name(f".{os.getpid()}.partial.{target.name}")
    try:
        yield partial
        if target.is_dir():
            old = target.with_name(f".{os.getpid()}.old.{target.name}")
            target.rename(old)
            partial.rename(target)
            shutil.rmtree(old)
        else:
            partial.replace(target)
    finally:
        if partial.is_dir():
            shutil.rmtree(partial)
        else:
            partial.unlink(missing_ok=True)


def _planes(content: Content) -> Iterator[NDArray[Any]]:
    for number in range(content.images.shape[0]):
        yield np.ascontiguousarray(np.asarray(content.images[number]))


def _write_tiff(content: Content, path: Path) -> None:
    dtype, shape = np.dtype(content.images.dtype), content.images.shape
    big = math.prod(shape) * dtype.itemsize > 2**32 - 2**25
    is_large = math.prod(shape[1:]) * dtype.itemsize > _WHOLE_PLANE_BYTES
    with tifffile.TiffWriter(path, bigtiff=big) as writer:
        for number in range(shape[0]):
            about: dict[str, Any] = {
                "description": _ome_xml(content) if number == 0 else None,
                "metadata": None,
                "photometric": "minisblack",
                "contiguous": False,
            }
            if is_large:
                tile, tiles = (_TILE_PX, _TILE_PX), _tiles(content, number)
                writer.write(tiles, shape=shape[1:], dtype=dtype, tile=tile, **about)
            else:
                plane = np.ascontiguousarray(np.asarray(content.images[number]))
                writer.write(plane, **about)


def _tiles(content: Content, number: int) -> Iterator[NDArray[Any]]:
    """A large plane tile by tile, read in bands of rows; beyond its edges zeros."""
    _, size_y, size_x = content.images.shape
    for top in range(0, size_y, _TILE_PX):
        rows = slice(top, min(size_y, top + _TILE_PX))
        band = np.asarray(content.images[number, rows, slice(0, size_x)])
        lacking = (_TILE_PX - band.shape[0], -size_x % _TILE_PX)
        band = np.pad(band, ((0, lacking[0]), (0, lacking[1])))
        for left in range(0, size_x, _TILE_PX):
            yield np.ascontiguousarray(band[:, left : left + _TILE_PX])


def _ome_xml(content: Content) -> str:
    """OME-XML 2016-06 of one image, with each plane's z and the objective where known."""
    size_z, size_y, size_x = content.images.shape
    root = ElementTree.Element("OME", {"xmlns": _OME, "Creator": "parfocal"})
    if content.setup is not None:
        instrument = ElementTree.SubElement(root, "Instrument", ID="Instrument:0")
        lens = {"ID": "Objective:0", "LensNA": repr(content.setup.na)}
        if content.setup.magnification:
            lens["NominalMagnification"] = repr(content.setup.magnification)
        ElementTree.SubElement(instrument, "Objective", lens)
    image = ElementTree.SubElement(root, "Image", ID="Image:0", Name="stack")
    if content.record:
        ElementTree.SubElement(image, "Description").text = json.dumps(content.record)
    if content.setup is not None:
        ElementTree.SubElement(image, "InstrumentRef", ID="Instrument:0")
        index = repr(content.setup.immersion_index)
        ElementTree.SubElement(image, "ObjectiveSettings", ID="Objective:0", RefractiveIndex=index)
    sizes = {"SizeX": size_x, "SizeY": size_y, "SizeZ": size_z, "SizeC": 1, "SizeT": 1}
    attributes = {"ID": "Pixels:0", "DimensionOrder": "XYZCT"}
    attributes["Type"] = _PIXEL_TYPES[str(np.dtype(content.images.dtype))]
    attributes |= {name: str(size) for name, size in sizes.items()}
    if content.saturation_counts and np.dtype(content.images.dtype).kind in "ui":
        attributes["SignificantBits"] = str(math.ceil(math.log2(content.saturation_counts + 1)))
    for name, length in (("X", content.pixel_um), ("Y", content.pixel_um), ("Z", content.step_um)):
        if length:
            attributes |= {f"PhysicalSize{name}": repr(length), f"PhysicalSize{name}Unit": "µm"}
    pixels = ElementTree.SubElement(image, "Pixels", attributes)
    channel = {"ID": "Channel:0:0", "SamplesPerPixel": "1"}
    if content.channel:
        channel["Name"] = content.channel
    if content.setup is not None:
        nm = {"EmissionWavelength": repr(content.setup.wavelength_nm)}
        channel |= nm | {"EmissionWavelengthUnit": "nm"}
    ElementTree.SubElement(pixels, "Channel", channel)
    ElementTree.SubElement(pixels, "TiffData")
    for number, z in enumerate([] if content.z_um is None else content.z_um.tolist()):
        place = {"TheZ": str(number), "TheC": "0", "TheT": "0"}
        ElementTree.SubElement(
            pixels, "Plane", place | {"PositionZ": repr(z), "PositionZUnit": "µm"}
        )
    text: str = ElementTree.tostring(root, encoding="us-ascii").decode("ascii")
    return text


def _write_zarr(content: Content, path: Path) -> None:
    array = new_zarr(content, path)
    for number, plane in enumerate(_planes(content)):
        array[number] = plane


def new_zarr(content: Content, path: Path, *, chunk_px: int = _CHUNK_PX) -> Any:
    """An OME-Zarr image with all its metadata, as a Zarr array (z, y, x) still to be filled."""
    shape = tuple(int(size) for size in content.images.shape)
    scales = (content.step_um or 1.0, content.pixel_um or 1.0, content.pixel_um or 1.0)
    known = (content.step_um, content.pixel_um, content.pixel_um)
    first = 0.0 if content.z_um is None else float(content.z_um[0])
    starts = (first or None, None, None)
    dims = [
        DimSpec(
            name=name,
            size=size,
            scale=scale,
            unit="micrometer" if there or start else None,
            type="space",
            translation=start,
        )
        for name, size, scale, there, start in zip("zyx", shape, scales, known, starts, strict=True)
    ]
    scales_of = [v05.Multiscale.from_dims(dims, name="stack")]
    image = v05.Image(multiscales=scales_of)
    if content.is_labels:
        image = v05.LabelImage.model_validate({"multiscales": scales_of, "image-label": {}})
    _, arrays = prepare_image(
        path,
        image,
        (shape, np.dtype(content.images.dtype)),
        extra_attributes={"parfocal": own_attributes(content)},
        chunks=(1, min(chunk_px, shape[1]), min(chunk_px, shape[2])),
        writer="zarr",
    )
    (array,) = arrays.values()
    return array


def own_attributes(content: Content) -> dict[str, Any]:
    """What OME-Zarr has no field for: exact z, optics, saturation."""
    values: dict[str, Any] = {"record": dict(content.record)} if content.record else {}
    if content.z_um is not None:
        values["z_um"] = content.z_um.tolist()
    if content.setup is not None:
        names = ("na", "wavelength_nm", "immersion_index", "sample_index")
        values |= {name: getattr(content.setup, name) for name in names}
    if content.modality:
        values["modality"] = content.modality
    if content.saturation_counts:
        values["saturation_counts"] = content.saturation_counts
    if content.channel:
        values["channel"] = content.channel
    return values
