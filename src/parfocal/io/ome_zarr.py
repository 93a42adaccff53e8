"""OME-Zarr 0.4 and 0.5 (and plain 3-D Zarr arrays): images, plates and collections."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from parfocal.core.errors import InputError, ReadError, ShapeError
from parfocal.core.stack import LazyImages
from parfocal.io.blocks import as_dask, block_px
from parfocal.io.faults import FILE_FAULTS, reading, why
from parfocal.io.metadata import FileFacts, Length, saturation_of
from parfocal.io.ome_xml import OmeImage, parse_ome
from parfocal.io.options import OpenOptions, choose

_MARKS = ("zarr.json", ".zgroup", ".zarray", ".zattrs")
_ADVICE = "check that the whole folder was copied"


@dataclass(frozen=True)
class Field:
    """One image group in a store: its path inside, its name for tables, its well."""

    path: str
    name: str
    well: str | None = None


def is_zarr(path: Path) -> bool:
    """Whether a folder is a Zarr group or array."""
    return path.is_dir() and any((path / mark).is_file() for mark in _MARKS)


def _attributes(group: Any) -> dict[str, Any]:
    """OME attributes, of version 0.5 (under "ome") or earlier."""
    values = dict(group.attrs)
    inner = values.get("ome")
    return {**values, **inner} if isinstance(inner, dict) else values


def _open(path: Path) -> Any:
    with reading(str(path), advice=_ADVICE):
        return zarr.open(str(path), mode="r", use_consolidated=False)


def fields(path: Path) -> list[Field]:
    """The images in a store: wells and fields of a plate, images of a collection, or the one.

    Raises
    ------
    ReadError
        If the store cannot be read, or holds no image.
    """
    group = _open(path)
    if not isinstance(group, zarr.Group):
        return [Field("", "")]
    with reading(str(path), advice=_ADVICE):
        values = _attributes(group)
        if "multiscales" in values:
            return [Field("", "")]
        if "plate" in values:
            return _plate_fields(group, values["plate"])
        if "well" in values:
            return [Field(i["path"], i["path"]) for i in values["well"]["images"]]
        found = _collection_fields(path, group, values)
    if not found:
        raise ReadError(
            f"{path}: is a Zarr group without OME metadata (no multiscales, plate or well); "
            "open one of its 3-D arrays by its own path and give z_step_um (--z-step-um)."
        )
    return found


def _plate_fields(group: Any, plate: Mapping[str, Any]) -> list[Field]:
    """Every field of every well."""
    found = []
    for well in plate["wells"]:
        row, _, column = str(well["path"]).partition("/")
        label = f"{row}{int(column):02d}" if column.isdecimal() else f"{row}{column}"
        images = _attributes(group[well["path"]])["well"]["images"]
        for image in images:
            name = label if len(images) == 1 else f"{label}/{image['path']}"
            found.append(Field(f"{well['path']}/{image['path']}", name, label))
    return found


def _collection_fields(path: Path, group: Any, values: Mapping[str, Any]) -> list[Field]:
    """Images of a bioformats2raw collection: listed, or numbered from 0."""
    if "bioformats2raw.layout" not in values:
        return []
    listed = None
    if "OME" in group:
        listed = _attributes(group["OME"]).get("series")
    if listed is None:
        listed = itertools.takewhile(lambda name: is_zarr(path / name), map(str, itertools.count()))
    return [Field(str(name), str(name)) for name in listed]


@dataclass(frozen=True, eq=False)
class ZarrImages:
    """A view (z, y, x) of an array with more axes; a chunk that cannot be read is named."""

    array: Any
    lead: tuple[int, ...]  # fixed indices of the axes before z, y, x
    has_z: bool
    source: str

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes (z, y, x)."""
        rest = tuple(self.array.shape[len(self.lead) :])
        return rest if self.has_z else (1, *rest)

    @property
    def dtype(self) -> Any:
        """Type of the counts."""
        return np.dtype(self.array.dtype).newbyteorder("=")

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return 3

    def chunks(self) -> tuple[int, int, int]:
        """Blocks to read: stored chunks, several where they are small."""
        stored = tuple(self.array.chunks[len(self.lead) :])
        deep, *grain = stored if self.has_z else (1, *stored)
        size_z, size_y, size_x = self.shape
        itemsize = self.dtype.itemsize * max(1, min(deep, size_z))
        block = block_px((size_y, size_x), (grain[0], grain[1]), itemsize, size_z)
        return (max(1, min(deep, size_z)), *block)

    def __getitem__(self, index: Any, /) -> NDArray[Any]:
        """Read a block."""
        planes, rows, columns = index
        window = (planes, rows, columns) if self.has_z else (rows, columns)
        try:
            block = np.asarray(self.array[(*self.lead, *window)])
        except FILE_FAULTS as error:
            named = self._broken_chunk(window)
            raise ReadError(
                f"{self.source}: {named} cannot be read: {why(error)}; copy the store again."
            ) from error
        block = block.astype(self.dtype, copy=False)
        if self.has_z:
            return block
        return np.asarray(block[None] if isinstance(planes, slice) else block)

    def _broken_chunk(self, window: Sequence[Any]) -> str:
        """Name of the first stored chunk of a window that fails by itself."""
        stored = self.array.shards or self.array.chunks
        spans = []
        for pick, size, chunk in zip((*self.lead, *window), self.array.shape, stored, strict=True):
            steps = range(*pick.indices(size)) if isinstance(pick, slice) else [int(pick)]
            spans.append(sorted({step // chunk for step in steps}))
        for place in itertools.product(*spans):
            corner = tuple(number * chunk for number, chunk in zip(place, stored, strict=True))
            try:
                np.asarray(self.array[corner])
            except FILE_FAULTS:
                key = self.array.metadata.encode_chunk_key(place)
                return f"chunk {self.array.path}/{key}".replace("chunk /", "chunk ")
        return "a chunk"


def open_zarr(path: Path, options: OpenOptions) -> FileFacts:
    """Facts of one image of a store; only metadata is read."""
    source = str(path)
    found = fields(path)
    names = [field.name or "0" for field in found]
    field = found[choose("position", options.position, names, source=source)]
    node = _open(path / field.path) if field.path else _open(path)
    name = path.stem.removesuffix(".ome") + (f" {field.name}" if field.name else "")
    if not isinstance(node, zarr.Group):
        return _plain_array(node, name, source)
    with reading(source, advice=_ADVICE):
        facts = _image_facts(node, name, options, source)
        described = _described(path, field)
    return _with_description(facts[0], described, facts[1]) if described else facts[0]


def _plain_array(array: Any, name: str, source: str) -> FileFacts:
    """A Zarr array without OME metadata: its axes are z, y, x."""
    if array.ndim not in (2, 3):
        raise ShapeError(
            f"{source}: is a Zarr array of {array.ndim} axes {array.shape} without OME metadata; "
            "only (z, y, x) and (y, x) explain themselves: add OME-Zarr metadata."
        )
    images = ZarrImages(array, (), array.ndim == 3, source)
    return FileFacts(
        source=source,
        name=name,
        images=_lazy(images),
        saturation_counts=saturation_of(images.dtype),
    )


def _lazy(images: ZarrImages) -> LazyImages:
    if 0 in images.shape or images.dtype.kind not in "buif":
        raise ShapeError(
            f"{images.source}: images of shape {images.shape} and type {images.dtype} are empty or "
            "no real numbers; export them again."
        )
    return as_dask(images, images.chunks())


def _axes(multiscale: Mapping[str, Any]) -> list[dict[str, str]]:
    """Axes as name and unit; earlier versions give names only, or none for t, c, z, y, x."""
    axes = multiscale.get("axes") or list("tczyx")
    return [{"name": a} if isinstance(a, str) else dict(a) for a in axes]


def _image_facts(
    group: Any, name: str, options: OpenOptions, source: str
) -> tuple[FileFacts, tuple[int, int]]:
    """Facts of one image group, and the (channel, time) that were chosen."""
    values = _attributes(group)
    if not values.get("multiscales"):
        raise ReadError(f"{source}: {group.path or 'its root'} is no OME-Zarr image; {_ADVICE}.")
    multiscale = values["multiscales"][0]
    datasets = multiscale["datasets"]
    if options.level >= len(datasets):
        raise InputError(
            f"{source}: has no resolution level {options.level}; "
            f"choose a level from 0 to {len(datasets) - 1}."
        )
    dataset = datasets[options.level]
    array = group[dataset["path"]]
    axes = _axes(multiscale)
    letters = "".join(axis["name"].casefold()[:1] for axis in axes)
    if not letters.endswith("yx") or letters.strip("tc") not in ("zyx", "yx"):
        raise ShapeError(f"{source}: its axes are {letters!r}; only t, c, z, y, x are understood.")
    if array.ndim != len(letters):
        raise ShapeError(f"{source}: {len(letters)} axes are named but the array has {array.ndim}.")
    sizes = dict(zip(letters, array.shape, strict=True))
    labels = _channel_labels(values, sizes.get("c", 1))
    channel = choose("channel", options.channel, labels, source=source)
    times = [str(i) for i in range(sizes.get("t", 1))]
    time = choose("time", options.time, times, source=source)
    lead = tuple({"c": channel, "t": time}[letter] for letter in letters.rstrip("zyx"))
    images = ZarrImages(array, lead, "z" in letters, source)
    lengths, first, notes = _lengths(multiscale, dataset, axes)
    own = values.get("parfocal") or {}
    z = np.asarray(own["z_um"], dtype=float) if "z_um" in own else None
    facts = FileFacts(
        source=source,
        name=name,
        images=_lazy(images),
        positions=z if z is not None and len(z) == images.shape[0] else None,
        step=lengths.get("z"),
        first=first,
        pixel_y=lengths.get("y"),
        pixel_x=lengths.get("x"),
        channel=labels[channel] if len(labels) > 1 or not labels[0].isdecimal() else None,
        saturation_counts=saturation_of(images.dtype),
        notes=tuple(notes),
    )
    optics = ("na", "wavelength_nm", "immersion_index", "sample_index", "modality")
    known = {key: own[key] for key in (*optics, "saturation_counts") if key in own}
    return replace(facts, **known), (channel, time)


def _channel_labels(values: Mapping[str, Any], count: int) -> list[str]:
    channels = (values.get("omero") or {}).get("channels") or []
    labels = [str(channel.get("label") or i) for i, channel in enumerate(channels)]
    return labels if len(labels) == count else [str(i) for i in range(count)]


def _lengths(
    multiscale: Mapping[str, Any], dataset: Mapping[str, Any], axes: Sequence[Mapping[str, str]]
) -> tuple[dict[str, Length], Length | None, list[str]]:
    """Distance between samples along z, y and x with its unit, z of plane 0, and notes."""
    factors, origin = np.ones(len(axes)), np.zeros(len(axes))
    given = False
    for level in (dataset, multiscale):
        for step in level.get("coordinateTransformations") or []:
            if step.get("type") == "scale":
                scale = np.asarray(step["scale"], dtype=float)
                factors, origin = factors * scale, origin * scale
                given = True
            elif step.get("type") == "translation":  # in the unit that the axis has by now
                origin = origin + np.asarray(step["translation"], dtype=float)
    if not given:
        return {}, None, []
    spatial = {
        a["name"].casefold()[:1]: (f, a.get("unit")) for a, f in zip(axes, factors, strict=True)
    }
    spatial = {name: spatial[name] for name in "zyx" if name in spatial}
    corner = {a["name"].casefold()[:1]: float(o) for a, o in zip(axes, origin, strict=True)}
    if all(unit is None for _, unit in spatial.values()):
        if all(math.isclose(factor, 1.0) for factor, _ in spatial.values()):
            return {}, None, []  # a placeholder, not a measured scale
        return (
            {name: Length(float(factor)) for name, (factor, _) in spatial.items()},
            Length(corner.get("z", 0.0)),
            ["the axes have no unit and are taken as um"],
        )
    lengths = {n: Length(float(f), unit or "") for n, (f, unit) in spatial.items()}
    first = Length(corner["z"], lengths["z"].unit) if "z" in lengths else None
    return lengths, first, []


def _described(path: Path, field: Field) -> OmeImage | None:
    """What the OME-XML of a bioformats2raw collection says of one image."""
    document = path / "OME" / "METADATA.ome.xml"
    if not field.path.isdecimal() or not document.is_file():
        return None
    images = parse_ome(document.read_text(encoding="utf-8"), source=str(document))
    return images[int(field.path)] if int(field.path) < len(images) else None


def _with_description(facts: FileFacts, image: OmeImage, picked: tuple[int, int]) -> FileFacts:
    """Add optics, bits and exact z from OME-XML."""
    channel, time = picked
    z = image.positions(channel, time)
    of_channel = image.channel(channel)
    return replace(
        facts,
        positions=z if z is not None and len(z) == facts.images.shape[0] else facts.positions,
        positions_unit=image.z_unit,
        na=image.na,
        immersion_index=image.immersion_index,
        wavelength_nm=of_channel.emission_nm,
        modality=of_channel.modality,
        saturation_counts=saturation_of(facts.images.dtype, image.bits),
    )
