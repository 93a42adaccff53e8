"""What a file holds, from its first bytes and headers, without an error for what is broken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tifffile

from parfocal.core.errors import ParfocalError, ReadError
from parfocal.io.faults import reading
from parfocal.io.flat_images import TIFF, flat_plane, image_format
from parfocal.io.ome_xml import OmeImage, parse_ome
from parfocal.io.tiff_pages import imagej_values, positive

ENDINGS = {
    ".tif", ".tiff", ".png", ".bmp", ".dib", ".jpg", ".jpeg", ".stk", ".lsm", ".btf", ".tf8",
}  # fmt: skip


@dataclass(frozen=True)
class Content:
    """What one file holds, as far as its headers say.

    ``members`` names the files of an OME-TIFF set that belong together; ``fault`` says why the file
    cannot be read.
    """

    path: Path
    kind: str | None = None
    many: bool = False
    shape: tuple[int, int] | None = None
    positions: tuple[str, ...] = ()
    members: frozenset[str] = field(default_factory=frozenset)
    fault: ParfocalError | None = None

    @property
    def is_image(self) -> bool:
        """Whether it is an image, or is named like one."""
        return self.kind is not None or self.path.suffix.casefold() in ENDINGS


def sniff(path: Path) -> Content:
    """Look at the headers of a file; a fault is kept, not raised."""
    try:
        kind = image_format(path)
        if kind is None:
            raise ReadError(
                f"{path}: is not an image that can be read here; give TIFF, PNG, BMP or JPEG "
                "images, an OME-Zarr or an NDTiff folder."
            )
        if kind != TIFF:
            return Content(path, kind, shape=flat_plane(path, kind).shape)
        with reading(str(path)), tifffile.TiffFile(path) as tif:
            return _tiff(path, tif)
    except ParfocalError as error:
        return Content(path, fault=error)


def _tiff(path: Path, tif: Any) -> Content:
    if not len(tif.pages):
        raise ReadError(f"{path}: holds no images; copy or export the file again.")
    page = tif.pages.first
    text = str(page.description or "")
    images = parse_ome(text, source=str(path)) if tif.is_ome else []
    said = sum(image.planes for image in images)
    if text.startswith("ImageJ="):
        said = int(positive(imagej_values(text).get("images")) or 1)
    return Content(
        path,
        TIFF,
        many=bool(tif.pages.is_multipage) or said > 1,
        shape=(int(page.imagelength), int(page.imagewidth)),
        positions=_positions(images),
        members=frozenset().union(*(image.files for image in images)) - {path.name},
    )


def _positions(images: Sequence[OmeImage]) -> tuple[str, ...]:
    return tuple(image.name or str(i) for i, image in enumerate(images))
