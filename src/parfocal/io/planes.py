"""A stack with one file per plane: TIFF, PNG, BMP or JPEG."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile

from parfocal.core.errors import MetadataError, ReadError
from parfocal.io import tiff
from parfocal.io.blocks import Plane, lazy_stack, same_size
from parfocal.io.faults import reading
from parfocal.io.flat_images import JPEG, TIFF, flat_plane, image_format
from parfocal.io.metadata import FileFacts, Length
from parfocal.io.naming import group_name, natural_order
from parfocal.io.options import OpenOptions
from parfocal.io.tiff_pages import PageFacts, page_facts


@dataclass(frozen=True, eq=False)
class PlaneFile:
    """What the header of one plane's file says."""

    path: Path
    kind: str
    plane: Plane
    facts: PageFacts
    saturation_counts: float | None
    notes: tuple[str, ...] = ()


def open_planes(paths: Sequence[Path], options: OpenOptions) -> FileFacts:
    """Facts of a stack with one file per plane; only headers are read."""
    ordered = natural_order(paths)
    folder = ordered[0].parent
    source = str(folder) if len(ordered) > 1 else str(ordered[0])
    files = [_plane_file(path) for path in ordered]
    notes = [note for file in files for note in file.notes]
    if list(ordered) != list(paths):
        notes.append(f"planes are in the order of their names, {ordered[0].name} first")
    planes, more = same_size(
        [file.plane for file in files], crop_common=options.crop_common, source=source
    )
    z = [file.facts.z for file in files]
    first = files[0].facts
    return FileFacts(
        source=source,
        name=group_name(ordered),
        images=lazy_stack(planes, source=source),
        positions=None
        if not any(z)
        else np.array([math.nan if one is None else one.value for one in z]),
        positions_unit=next((one.unit for one in z if one is not None), "um"),
        step=first.step,
        pixel_y=_shared([file.facts.pixel_y for file in files], source),
        pixel_x=_shared([file.facts.pixel_x for file in files], source),
        na=first.na,
        immersion_index=first.immersion_index,
        wavelength_nm=first.wavelength_nm,
        channel=first.channel,
        saturation_counts=files[0].saturation_counts,
        modality=first.modality,
        notes=tuple(dict.fromkeys([*notes, *more])),
    )


def _shared(lengths: Sequence[Length | None], source: str) -> Length | None:
    """The pixel size that all planes share; refuses planes that disagree."""
    known = [length for length in lengths if length is not None and length.value]
    if not known:
        return None
    common = Counter(known).most_common(1)[0][0]
    for other in known:
        if other.unit != common.unit or not math.isclose(other.value, common.value, rel_tol=0.01):
            raise MetadataError(
                f"{source}: planes have different pixel sizes, {common.value:g} {common.unit} and "
                f"{other.value:g} {other.unit}; give pixel_um (--pixel-um)."
            )
    return common


def _plane_file(path: Path) -> PlaneFile:
    kind = image_format(path)
    if kind is None:
        raise ReadError(
            f"{path}: is not an image that can be read here; give TIFF, PNG, BMP or JPEG planes, "
            "an OME-Zarr or an NDTiff folder."
        )
    if kind == TIFF:
        return _tiff_plane(path)
    flat = flat_plane(path, kind)
    notes = [flat.note] if flat.note else []
    if kind == JPEG:
        notes.append("JPEG compression removes fine detail, on which focus measures rest")
    return PlaneFile(path, kind, flat, PageFacts(), flat.saturation_counts, tuple(notes))


def _tiff_plane(path: Path) -> PlaneFile:
    """The one full-size page of a TIFF file."""
    source = str(path)
    notes: list[str] = []
    with reading(source), tifffile.TiffFile(path) as tif:
        pages = [page for page in tif.pages if not tiff.is_reduced(page)]
        if len(pages) != 1:
            raise ReadError(
                f"{source}: holds {len(pages)} planes where one was expected; "
                "open such a file by itself, or name only files with one plane."
            )
        page = pages[0]
        facts = page_facts(page, source=source)
        plane = tiff.grey_page(page, notes)
        counts = tiff.page_saturation(page, facts.bits)
    return PlaneFile(path, TIFF, plane, facts, counts, tuple(notes))
