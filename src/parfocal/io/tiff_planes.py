"""One page of a TIFF file that decodes only the strips or tiles a window needs."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from parfocal.core.errors import ReadError
from parfocal.io.blocks import luminance
from parfocal.io.faults import reading

UNCOMPRESSED = 1
MINISWHITE = 0
RGB, PALETTE, YCBCR = 2, 3, 6
MOST_RATIO = 50_000  # no codec packs real images tighter; more means a damaged header


@dataclass(frozen=True, eq=False)
class MappedPlane:
    """Uncompressed pixels that lie in one piece of a file: read through a memory map."""

    path: Path
    offset: int
    shape: tuple[int, int]
    stored: np.dtype[Any]
    samples: int = 1
    grain: tuple[int, int] = (1, 1)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the counts, in the byte order of this machine."""
        return self.stored.newbyteorder("=")

    def read(self, rows: slice, columns: slice) -> NDArray[Any]:
        """Counts of a window."""
        full = self.shape if self.samples == 1 else (*self.shape, self.samples)
        with reading(str(self.path), part="a plane"):
            pixels = np.memmap(self.path, self.stored, "r", self.offset, full)
            return np.asarray(pixels[rows, columns])  # a view: the caller copies it once


@dataclass(frozen=True, eq=False)
class SegmentPlane:
    """Pixels stored in strips or tiles: those that a window touches are read and decoded."""

    path: Path
    page: Any
    label: str
    decode: Callable[..., Any]

    @property
    def shape(self) -> tuple[int, int]:
        """Sizes (y, x)."""
        key = self.page.keyframe
        return int(key.imagelength), int(key.imagewidth)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the counts."""
        dtype: np.dtype[Any] = np.dtype(self.page.keyframe.dtype)
        return dtype

    @property
    def grain(self) -> tuple[int, int]:
        """Rows and columns of a strip or tile."""
        key = self.page.keyframe
        if key.is_tiled:
            return int(key.tilelength), int(key.tilewidth)
        return int(min(key.rowsperstrip, key.imagelength)), int(key.imagewidth)

    def read(self, rows: slice, columns: slice) -> NDArray[Any]:
        """Counts (y, x) of a window, or (y, x, sample)."""
        with reading(str(self.path), part=self.label):
            return self._read(rows, columns)

    def _read(self, rows: slice, columns: slice) -> NDArray[Any]:
        key = self.page.keyframe
        samples = int(key.samplesperpixel)
        window = np.full(
            (rows.stop - rows.start, columns.stop - columns.start, samples), key.nodata, self.dtype
        )
        offsets, counts = self.page.dataoffsets, self.page.databytecounts
        tables = getattr(self.page, "jpegtables", None)
        with self.path.open("rb") as file:
            for number in self._touched(rows, columns):
                data = None
                if counts[number]:
                    file.seek(offsets[number])
                    data = file.read(counts[number])
                    if len(data) < counts[number]:
                        raise ReadError(
                            f"{self.path}: {self.label} is cut off: the file ends within it; "
                            "copy or export the file again."
                        )
                extra = {"jpegtables": tables} if tables is not None else {}
                pixels, place, _ = self.decode(data, number, **extra)
                if pixels is not None:
                    _paste(window, pixels, place, rows, columns)
        return window[..., 0] if samples == 1 else window

    def _touched(self, rows: slice, columns: slice) -> list[int]:
        """Numbers of the strips or tiles that overlap a window, over all sample planes."""
        key = self.page.keyframe
        high, wide = self.grain
        down, across = math.ceil(key.imagelength / high), math.ceil(key.imagewidth / wide)
        separate = int(key.samplesperpixel) if int(key.planarconfig) == 2 else 1
        return [
            (sample * down + y) * across + x
            for sample in range(separate)
            for y in range(rows.start // high, math.ceil(rows.stop / high))
            for x in range(columns.start // wide, math.ceil(columns.stop / wide))
        ]


def _paste(
    window: NDArray[Any],
    pixels: NDArray[Any],
    place: tuple[int, ...],
    rows: slice,
    columns: slice,
) -> None:
    """Copy the part of a decoded segment (depth, y, x, sample) that lies in the window."""
    sample, _, top, left, _ = place
    tile = pixels.reshape(pixels.shape[-4:])[0]
    low_y, high_y = max(top, rows.start), min(top + tile.shape[0], rows.stop)
    low_x, high_x = max(left, columns.start), min(left + tile.shape[1], columns.stop)
    part = tile[low_y - top : high_y - top, low_x - left : high_x - left]
    into = window[
        low_y - rows.start : high_y - rows.start, low_x - columns.start : high_x - columns.start
    ]
    if tile.shape[-1] == window.shape[-1]:
        into[...] = part
    else:
        into[..., sample] = part[..., 0]


@dataclass(frozen=True, eq=False)
class PalettePlane:
    """Palette numbers expanded to the luminance of their colours."""

    numbers: SegmentPlane | MappedPlane
    colormap: NDArray[np.uint16]

    @property
    def shape(self) -> tuple[int, int]:
        """Sizes (y, x)."""
        return self.numbers.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the counts."""
        return np.dtype(np.float32)

    @property
    def grain(self) -> tuple[int, int]:
        """Rows and columns of a strip or tile."""
        return self.numbers.grain

    def read(self, rows: slice, columns: slice) -> NDArray[Any]:
        """Luminance (y, x) of a window, 0 to 255."""
        grey = luminance(np.moveaxis(self.colormap, 0, -1)) / np.float32(257)
        with reading(str(self.numbers.path), part="a palette plane"):
            return np.asarray(grey[self.numbers.read(rows, columns)])


@dataclass(frozen=True, eq=False)
class InvertedPlane:
    """Counts whose file says that white is zero."""

    stored: SegmentPlane | MappedPlane

    @property
    def shape(self) -> tuple[int, int]:
        """Sizes (y, x)."""
        return self.stored.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the counts."""
        return self.stored.dtype

    @property
    def grain(self) -> tuple[int, int]:
        """Rows and columns of a strip or tile."""
        return self.stored.grain

    def read(self, rows: slice, columns: slice) -> NDArray[Any]:
        """Counts (y, x) of a window, black as zero."""
        pixels = self.stored.read(rows, columns)
        most = 1 if self.dtype.kind == "b" else np.iinfo(self.dtype).max
        return np.asarray(most - pixels, dtype=self.dtype)


def page_plane(page: Any, *, offset: int | None = None) -> MappedPlane | SegmentPlane:
    """The plane of one page; ``offset`` where its pixels lie elsewhere than the page says.

    Raises
    ------
    ReadError
        If strips or tiles are missing or lie beyond the end of the file.
    """
    key = page.keyframe
    path = Path(page.parent.filehandle.path)
    label = f"plane {page.index if isinstance(page.index, int) else page.index[0]}"
    if int(key.imagedepth) != 1 or len(key.axes.replace("S", "")) != 2:
        raise ReadError(f"{path}: {label} is a volume; save one image per page.")
    _check_segments(page, path, label, size=path.stat().st_size, offset=offset)
    contiguous = int(key.compression) == UNCOMPRESSED and key.is_contiguous and key.is_memmappable
    if offset is not None or (contiguous and int(key.planarconfig) == 1):
        stored = np.dtype(page.parent.byteorder + key.dtype.char)
        start = int(page.dataoffsets[0]) if offset is None else offset
        size = (int(key.imagelength), int(key.imagewidth))
        return MappedPlane(path, start, size, stored, int(key.samplesperpixel))
    return SegmentPlane(path, page, label, _decoder(key))


def _decoder(key: Any) -> Callable[..., Any]:
    """The function that decodes strips or tiles; making it may look into the file once."""
    handle = key.parent.filehandle
    was_closed = handle.closed
    if was_closed:
        handle.open()
    try:
        decode: Callable[..., Any] = key.decode
    finally:
        if was_closed:
            handle.close()
    return decode


def _check_segments(page: Any, path: Path, label: str, *, size: int, offset: int | None) -> None:
    """Refuse a page whose pixels are not all in the file; only its header is looked at."""
    key = page.keyframe
    if key.dtype is None or not key.imagelength or not key.imagewidth:
        raise ReadError(f"{path}: {label} has no pixels that can be read; export it again.")
    plane_bytes = int(key.nbytes)
    if offset is not None:
        ends = [offset + plane_bytes]
    else:
        offsets, counts = page.dataoffsets, page.databytecounts
        tile_y, tile_x = (key.tilelength, key.tilewidth) if key.is_tiled else (key.rowsperstrip, 0)
        down = math.ceil(key.imagelength / max(1, tile_y))
        across = math.ceil(key.imagewidth / tile_x) if tile_x else 1
        needed = down * across * (key.samplesperpixel if int(key.planarconfig) == 2 else 1)
        if min(len(offsets), len(counts)) < needed:
            raise ReadError(
                f"{path}: {label} lists {min(len(offsets), len(counts))} of its {needed} strips or "
                "tiles: its header is damaged; export the file again."
            )
        ends = [start + count for start, count in zip(offsets, counts, strict=False) if count]
        stored = sum(counts)
        short = int(key.compression) == UNCOMPRESSED and 0 not in counts and stored < plane_bytes
        if (short and int(key.bitspersample) >= 8) or plane_bytes > stored * MOST_RATIO + 2**30:
            raise ReadError(
                f"{path}: {label} should hold {plane_bytes} bytes of pixels but stores {stored}: "
                "its header is damaged; export the file again."
            )
    if ends and max(ends) > size:
        raise ReadError(
            f"{path}: {label} is cut off: its pixels end at byte {max(ends)} but the file has "
            f"{size}; copy or export the file again."
        )
