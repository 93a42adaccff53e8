"""Micro-Manager's NDTiff folders (optional library: ndstorage)."""

from __future__ import annotations

import json
import math
import struct
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from parfocal.core.errors import MissingExtraError, ReadError
from parfocal.io.blocks import GreyPlane, Plane, lazy_stack, same_size
from parfocal.io.faults import reading
from parfocal.io.metadata import FileFacts, Length, saturation_of
from parfocal.io.naming import natural_key
from parfocal.io.options import OpenOptions, choose
from parfocal.io.tiff_pages import number, positive
from parfocal.io.tiff_planes import MappedPlane

INDEX = "NDTiff.index"
_TYPES = {0: (np.uint8, 8), 1: (np.uint16, 16), 2: (np.uint8, 8), 3: (np.uint16, 10),
          4: (np.uint16, 12), 5: (np.uint16, 14), 6: (np.uint16, 11)}  # fmt: skip
_RGB = 2
_Z_NAMES = ("ZPositionUm", "ZPosition_um", "ZPosition_um_Intended")
_PIXEL_NAMES = ("PixelSizeUm", "PixelSize_um")


@dataclass(frozen=True)
class Image:
    """One image of a data set: where it stands, and its entry in the index."""

    place: Mapping[str, int | str]
    entry: Any

    def value(self, axis: str) -> str:
        """Where it stands along an axis, as text."""
        return str(self.place.get(axis, 0))

    @property
    def position(self) -> str:
        """Everything but z, channel and time, as text."""
        rest = {k: v for k, v in self.place.items() if k not in ("z", "channel", "time")}
        if set(rest) <= {"position"}:
            return self.value("position")
        return ", ".join(f"{name} {value}" for name, value in sorted(rest.items()))


def is_ndtiff(path: Path) -> bool:
    """Whether a folder is an NDTiff data set."""
    return (path / INDEX).is_file() or (path / "Full resolution" / INDEX).is_file()


def read_index(path: Path) -> tuple[Path, list[Image]]:
    """The folder of the full-resolution images and its index.

    Raises
    ------
    MissingExtraError
        If ndstorage is not installed.
    """
    try:
        from ndstorage.ndtiff_index import read_ndtiff_index  # noqa: PLC0415 - optional
    except ImportError as error:
        raise MissingExtraError(f"{path}: reading NDTiff", "ndtiff") from error
    folder = path if (path / INDEX).is_file() else path / "Full resolution"
    with reading(str(path), part=INDEX), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an index that was cut off is noticed below
        index = read_ndtiff_index((folder / INDEX).read_bytes(), verbose=False)
        images = [Image(dict(key), entry) for key, entry in index.items()]
    if not images:
        raise ReadError(f"{path}: its index lists no images; copy the data set again.")
    return folder, images


def positions(path: Path) -> list[str]:
    """Names of the positions of a data set."""
    return _values([image.position for image in read_index(path)[1]])


def _values(texts: list[str]) -> list[str]:
    return sorted(set(texts), key=natural_key)


def open_ndtiff(path: Path, options: OpenOptions) -> FileFacts:
    """Facts of one stack of an NDTiff data set; the index and the planes' records are read."""
    source = str(path)
    folder, images = read_index(path)
    places = _values([image.position for image in images])
    position = places[choose("position", options.position, places, source=source)]
    images = [image for image in images if image.position == position]
    with reading(source):
        summary = _summary(folder / images[0].entry.filename)
    times = _values([image.value("time") for image in images])
    time = times[choose("time", options.time, times, source=source)]
    channels = _values([image.value("channel") for image in images])
    labels = _labels(channels, summary)
    index = choose("channel", options.channel, labels, source=source)
    picked = [
        i for i in images if i.value("time") == time and i.value("channel") == channels[index]
    ]
    picked.sort(key=lambda image: natural_key(image.value("z")))
    with reading(source):
        records = [_record(folder, image) for image in picked]
        notes: list[str] = []
        planes = [_plane(folder, image, notes) for image in picked]
    planes, more = same_size(planes, crop_common=options.crop_common, source=source)
    step = positive(summary.get("z-step_um"))
    z = np.array([_first(record, _Z_NAMES) for record in records], dtype=float)
    if np.all(np.isnan(z)) and step is not None:
        z = np.array([(number(image.value("z")) or 0.0) * step for image in picked])
    pixel = positive(_first({**summary, **records[0]}, _PIXEL_NAMES))
    side = None if pixel is None else Length(pixel)
    kind, bits = _TYPES[picked[0].entry.pixel_type]
    said = positive(records[0].get("BitDepth"))
    return FileFacts(
        source=source,
        name=path.name,
        images=lazy_stack(planes, source=source),
        positions=None if np.all(np.isnan(z)) else z,
        step=None if step is None else Length(step),
        pixel_y=side,
        pixel_x=side,
        channel=labels[index] if len(labels) > 1 or not labels[0].isdecimal() else None,
        saturation_counts=saturation_of(kind, int(said) if said and bits == 16 else bits),
        notes=tuple(dict.fromkeys([*notes, *more])),
    )


def _labels(channels: list[str], summary: Mapping[str, Any]) -> list[str]:
    """Names of the channels: their own, or those of the summary where they are numbers."""
    names = [str(name) for name in summary.get("ChNames") or []]
    plain = all(channel.isdecimal() for channel in channels)
    return names if plain and len(names) == len(channels) else channels


def _first(values: Mapping[str, Any], names: tuple[str, ...]) -> float:
    """The first number found under one of these names, or NaN."""
    found = (number(values.get(name)) for name in names)
    return next((value for value in found if value is not None), math.nan)


def _summary(path: Path) -> dict[str, Any]:
    """The summary record in the header of one file: its length at byte 24, its text after it."""
    with path.open("rb") as file:
        head = file.read(28)
        length = struct.unpack_from("<I", head, 24)[0] if len(head) == 28 else 0
        text = file.read(min(length, path.stat().st_size))
    values = json.loads(text) if text.strip() else {}
    return values if isinstance(values, dict) else {}


def _record(folder: Path, image: Image) -> dict[str, Any]:
    """The record of one plane, from its place in the file."""
    entry = image.entry
    with (folder / entry.filename).open("rb") as file:
        file.seek(entry.metadata_offset)
        text = file.read(entry.metadata_length)
    values = json.loads(text) if text.strip() else {}
    return values if isinstance(values, dict) else {}


def _plane(folder: Path, image: Image, notes: list[str]) -> Plane:
    """One plane, mapped from its file; refused where the file ends before it does."""
    entry = image.entry
    path = folder / entry.filename
    if entry.pixel_type not in _TYPES:
        raise ReadError(f"{path}: pixel type {entry.pixel_type} is unknown; export as OME-TIFF.")
    kind, _ = _TYPES[entry.pixel_type]
    samples = 3 if entry.pixel_type == _RGB else 1
    size = (int(entry.image_height), int(entry.image_width))
    end = entry.pix_offset + math.prod(size) * samples * np.dtype(kind).itemsize
    if end > path.stat().st_size:
        raise ReadError(
            f"{path}: plane z={image.value('z')} is cut off: it ends at byte {end} but the file "
            f"has {path.stat().st_size}; copy the data set again."
        )
    plane = MappedPlane(path, int(entry.pix_offset), size, np.dtype(kind), samples)
    if samples == 1:
        return plane
    notes.append("colours became luminance (Rec. 709 weights on the stored values)")
    return GreyPlane(plane)
