"""Open one stack from its path or paths with the reader that fits its content."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from parfocal.core.errors import ReadError
from parfocal.core.stack import FocalStack
from parfocal.io.flat_images import TIFF, image_format
from parfocal.io.metadata import FileFacts, settle
from parfocal.io.ndtiff import is_ndtiff, open_ndtiff
from parfocal.io.ome_zarr import is_zarr, open_zarr
from parfocal.io.options import OpenOptions
from parfocal.io.planes import open_planes
from parfocal.io.tiff import open_tiff


def is_store(path: Path) -> bool:
    """Whether a folder is itself a stack: an OME-Zarr or an NDTiff data set."""
    return path.is_dir() and (is_ndtiff(path) or is_zarr(path))


def open_one(paths: Sequence[Path], options: OpenOptions) -> FocalStack:
    """Open one stack: a file, a store, or one file per plane.

    Raises
    ------
    ReadError
        If nothing is there, or it cannot be read.
    MetadataError
        If z is missing or contradicts itself.
    """
    return settle(_facts(paths, options), options)


def _facts(paths: Sequence[Path], options: OpenOptions) -> FileFacts:
    if not paths:
        raise ReadError("No files were given; name a file, a folder, or the planes of one stack.")
    if len(paths) > 1:
        return open_planes(paths, options)
    path = paths[0]
    if path.is_dir():
        if is_ndtiff(path):
            return open_ndtiff(path, options)
        return open_zarr(path, options)
    if image_format(path) == TIFF:
        return open_tiff(path, options)
    return open_planes([path], options)
