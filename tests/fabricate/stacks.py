"""Write small stacks with other people's writers, in every form that the readers must know."""

from __future__ import annotations

import contextlib
import io
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import zarr
from numpy.typing import NDArray
from PIL import Image
from yaozarrs import DimSpec, v04, v05
from yaozarrs.write.v05 import write_image

Images = NDArray[Any]


def bead_stack(shape: tuple[int, int, int], dtype: str = "uint16", *, seed: int = 0) -> Images:
    """Noise on a bright spot that is brightest in the middle plane."""
    rng = np.random.default_rng(seed)
    z, y, x = np.ogrid[: shape[0], : shape[1], : shape[2]]
    far = ((z - shape[0] // 2) * 3) ** 2 + (y - shape[1] / 2) ** 2 + (x - shape[2] / 2) ** 2
    images = 20 + 180 * np.exp(-far / 8) + rng.normal(0, 3, shape)
    return images.clip(0, 255).astype(dtype)


def write_ome_tiff(
    path: Path, images: Images, *, step_um: float, pixel_um: float, **more: Any
) -> Path:
    """OME-TIFF by tifffile; ``more`` goes into its metadata."""
    metadata = {
        "axes": "ZYX",
        "PhysicalSizeX": pixel_um, "PhysicalSizeXUnit": "µm",
        "PhysicalSizeY": pixel_um, "PhysicalSizeYUnit": "µm",
        "PhysicalSizeZ": step_um, "PhysicalSizeZUnit": "µm",
    } | more  # fmt: skip
    tifffile.imwrite(path, images, ome=True, metadata=metadata, photometric="minisblack")
    return path


def write_imagej(path: Path, images: Images, *, step_um: float, pixel_um: float) -> Path:
    """A hyperstack by ImageJ's conventions: spacing and unit in the description."""
    tifffile.imwrite(
        path,
        images,
        imagej=True,
        resolution=(1 / pixel_um, 1 / pixel_um),
        metadata={"axes": "ZYX", "spacing": step_um, "unit": "\\u00B5m"},
    )
    return path


def write_plain(path: Path, images: Images, **options: Any) -> Path:
    """A multi-page TIFF that says nothing of itself."""
    with tifffile.TiffWriter(path) as writer:
        for image in images:
            writer.write(image, metadata=None, contiguous=False, **options)
    return path


def write_planes(folder: Path, images: Images, ending: str, *, name: str = "z{}") -> list[Path]:
    """One file per plane, numbered without leading zeros."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{name.format(i)}.{ending}" for i in range(len(images))]
    for path, image in zip(paths, images, strict=True):
        if ending == "tif":
            tifffile.imwrite(path, image, metadata=None)
        else:
            Image.fromarray(image).save(path)
    return paths


def _dims(shape: tuple[int, ...], step_um: float, pixel_um: float) -> list[DimSpec]:
    scales = {"z": step_um, "y": pixel_um, "x": pixel_um}
    return [
        DimSpec(name=name, size=size, scale=scales[name], unit="micrometer", type="space")
        for name, size in zip("zyx", shape, strict=True)
    ]


def write_zarr_05(path: Path, images: Images, *, step_um: float, pixel_um: float) -> Path:
    """OME-Zarr 0.5 by yaozarrs."""
    dims = _dims(images.shape, step_um, pixel_um)
    image = v05.Image(multiscales=[v05.Multiscale.from_dims(dims)])
    write_image(path, image, images, writer="zarr", chunks=(1, 8, 8))
    return path


def write_zarr_04(path: Path, images: Images, *, step_um: float, pixel_um: float) -> Path:
    """OME-Zarr 0.4 by zarr in format 2, with five axes and metadata checked by yaozarrs."""
    names = "tczyx"
    scale = [1.0, 1.0, step_um, pixel_um, pixel_um]
    axes = [
        {"name": "t", "type": "time"},
        {"name": "c", "type": "channel"},
        *({"name": n, "type": "space", "unit": "micrometer"} for n in names[2:]),
    ]
    transform = [{"type": "scale", "scale": scale}]
    multiscale = {
        "version": "0.4",
        "axes": axes,
        "datasets": [{"path": "0", "coordinateTransformations": transform}],
    }
    v04.Image.model_validate({"multiscales": [multiscale]})
    group = zarr.open_group(path, mode="w", zarr_format=2)
    array = group.create_array(
        "0", shape=(1, 1, *images.shape), chunks=(1, 1, 2, 8, 8), dtype=images.dtype
    )
    array[0, 0] = images
    group.attrs["multiscales"] = [multiscale]
    return path


def write_ndtiff(folder: Path, images: Images, *, step_um: float, pixel_um: float) -> Path:
    """A Micro-Manager NDTiff data set by ndstorage, with z in each plane's record."""
    from ndstorage import NDTiffDataset

    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # the writer leaves a file open
        data = NDTiffDataset(str(folder), name="stack", writable=True)
        data.initialize({"z-step_um": step_um, "PixelSize_um": pixel_um})
        for i, image in enumerate(images):
            data.put_image({"z": i}, image, {"ZPositionUm": i * step_um, "PixelSizeUm": pixel_um})
        data.finish()
        data.close()
    return Path(data.path)


def write_ndtiff_channels(folder: Path, channels: dict[str, Images], z_um: list[float]) -> Path:
    """An NDTiff data set with named channels and uneven z."""
    from ndstorage import NDTiffDataset

    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # the writer leaves a file open
        data = NDTiffDataset(str(folder), name="stack", writable=True)
        data.initialize({})
        for name, images in channels.items():
            for i, (image, z) in enumerate(zip(images, z_um, strict=True)):
                data.put_image({"channel": name, "z": i}, image, {"ZPositionUm": z})
        data.finish()
        data.close()
    return Path(data.path)


Writer = Callable[..., Path]
WRITERS: dict[str, tuple[Writer, str, tuple[str, ...]]] = {
    "ome-tiff": (write_ome_tiff, "a.ome.tif", ("uint8", "uint16", "int16", "float32", "float64")),
    "imagej": (write_imagej, "a.tif", ("uint8", "uint16", "float32")),
    "ome-zarr-0.4": (write_zarr_04, "a.ome.zarr", ("uint8", "uint16", "int32", "float32")),
    "ome-zarr-0.5": (write_zarr_05, "a.ome.zarr", ("uint8", "uint16", "int32", "float32")),
    "ndtiff": (write_ndtiff, "a", ("uint8", "uint16")),
}


def write_plate(path: Path, images: Images, wells: tuple[str, ...], *, fields: int = 1) -> Path:
    """An OME-Zarr 0.4 plate with the same images in every well and field."""
    root = zarr.open_group(path, mode="w", zarr_format=2)
    root.attrs["plate"] = {
        "version": "0.4",
        "wells": [{"path": well, "rowIndex": 0, "columnIndex": 0} for well in wells],
    }
    for well in wells:
        listed = [{"path": str(i)} for i in range(fields)]
        root.create_group(well).attrs["well"] = {"version": "0.4", "images": listed}
        for i in range(fields):
            write_zarr_04(path / well / str(i), images, step_um=1.0, pixel_um=0.5)
    return path


def write_sparse_zarr(path: Path, shape: tuple[int, int, int], chunk_px: int = 1024) -> Path:
    """An OME-Zarr 0.5 of any size that stores almost nothing: missing chunks read as zero."""
    group = zarr.open_group(path, mode="w", zarr_format=3)
    chunks = (1, chunk_px, chunk_px)
    array = group.create_array("0", shape=shape, chunks=chunks, dtype="uint16", fill_value=0)
    array[shape[0] // 2, :chunk_px, :chunk_px] = 7
    dims = _dims(shape, 0.5, 0.1)
    image = v05.Image(multiscales=[v05.Multiscale.from_dims(dims)])
    group.attrs["ome"] = json.loads(image.model_dump_json(exclude_none=True))
    return path


METAMORPH = (
    '<MetaData>\n<PlaneInfo>\n<prop id="spatial-calibration-state" type="bool" value="on"/>\n'
    '<prop id="spatial-calibration-x" type="float" value="{pixel}"/>\n'
    '<prop id="spatial-calibration-y" type="float" value="{pixel}"/>\n'
    '<prop id="spatial-calibration-units" type="string" value="um"/>\n'
    '<prop id="z-position" type="float" value="{z}"/>\n'
    '<prop id="wavelength" type="float" value="536"/>\n'
    '<prop id="_MagNA_" type="float" value="0.75"/>\n'
    '<prop id="_MagRI_" type="float" value="1"/>\n</PlaneInfo>\n</MetaData>'
)


def write_metamorph(
    folder: Path, images: Images, z_um: list[float], *, pixel_um: float
) -> list[Path]:
    """One file per plane with MetaMorph's description."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for i, (image, z) in enumerate(zip(images, z_um, strict=True)):
        paths.append(folder / f"z{i + 1:02d}.tif")
        text = METAMORPH.format(z=z, pixel=pixel_um)
        tifffile.imwrite(paths[-1], image, description=text, metadata=None)
    return paths
