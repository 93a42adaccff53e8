"""PNG, BMP and JPEG images as planes; the content decides, not the ending of the name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from parfocal.core.errors import ReadError
from parfocal.io.blocks import luminance
from parfocal.io.faults import reading

PNG, BMP, JPEG, TIFF = "PNG", "BMP", "JPEG", "TIFF"
_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", PNG),
    (b"BM", BMP),
    (b"\xff\xd8\xff", JPEG),
    (b"II*\x00", TIFF),
    (b"MM\x00*", TIFF),
    (b"II+\x00", TIFF),
    (b"MM\x00+", TIFF),
)
_GREY = {
    "1": "bool",
    "L": "uint8",
    "I;16": "uint16",
    "I;16B": "uint16",
    "I": "int32",
    "F": "float32",
}
_FROM_COLOUR = {"RGB", "RGBA", "P", "PA", "LA", "RGBX"}


def image_format(path: Path) -> str | None:
    """PNG, BMP, JPEG or TIFF by the first bytes of a file; None for anything else.

    Raises
    ------
    ReadError
        If the file is absent, empty or cannot be opened.
    """
    with reading(str(path), advice="check the path"):
        if not path.exists():
            raise ReadError(f"{path}: there is no such file; check the path.")
        with path.open("rb") as file:
            head = file.read(8)
    if not head:
        raise ReadError(f"{path}: the file is empty; copy or export it again.")
    return next((kind for magic, kind in _MAGIC if head.startswith(magic)), None)


@dataclass(frozen=True, eq=False)
class FlatPlane:
    """One PNG, BMP or JPEG file; colours and palettes are read as luminance."""

    path: Path
    kind: str
    shape: tuple[int, int]
    mode: str
    deep: bool  # colours of 16 bit, which Pillow would cut to 8

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the counts."""
        return np.dtype(_GREY.get(self.mode, "float32"))

    @property
    def grain(self) -> tuple[int, int]:
        """Such files are decoded as a whole."""
        return self.shape

    @property
    def note(self) -> str | None:
        """What happened to the counts on the way."""
        if self.mode in ("P", "PA"):
            return "palette colours became luminance (Rec. 709 weights on the stored values)"
        if self.mode in ("RGB", "RGBA", "RGBX"):
            return "colours became luminance (Rec. 709 weights on the stored values)"
        return None

    @property
    def saturation_counts(self) -> float | None:
        """Counts at which the file clips."""
        if self.mode in _FROM_COLOUR:
            return 65535.0 if self.deep else 255.0
        return {"bool": 1.0, "uint8": 255.0, "uint16": 65535.0, "int32": 65535.0}.get(
            str(self.dtype)
        )

    def read(self, rows: slice, columns: slice) -> NDArray[Any]:
        """Counts (y, x) of a window."""
        with reading(str(self.path), part="the image"):
            pixels = self._decode()
            if pixels.shape[:2] != self.shape:
                raise ReadError(f"{self.path}: changed since it was opened; open it again.")
            window = pixels[rows, columns]
            if window.ndim == 3:
                window = luminance(window) if window.shape[2] >= 3 else window[..., 0]
            return np.asarray(window, dtype=self.dtype)

    def _decode(self) -> NDArray[Any]:
        if self.deep:
            return np.asarray(imagecodecs.png_decode(self.path.read_bytes()))
        with Image.open(self.path, formats=(self.kind,)) as image:
            image.load()
            if self.mode in ("P", "PA"):
                return np.asarray(image.convert("RGBA"))
            return np.asarray(image)


def flat_plane(path: Path, kind: str) -> FlatPlane:
    """A plane from the header of a PNG, BMP or JPEG file; no pixels are read."""
    with reading(str(path), part="the image"):
        with Image.open(path, formats=(kind,)) as image:
            mode, (size_x, size_y) = image.mode, image.size
        if mode not in _GREY and mode not in _FROM_COLOUR:
            raise ReadError(f"{path}: has colours of kind {mode}; save it as grey or RGB.")
        with path.open("rb") as file:
            bits = file.read(25)[24]  # of a PNG
        deep = kind == PNG and bits == 16 and mode in _FROM_COLOUR
    return FlatPlane(path, kind, (size_y, size_x), mode, deep)
