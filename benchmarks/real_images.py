"""Real images of the same kinds as the specimens: where they lie, and whose they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

DEFAULT = Path(__file__).resolve().parents[2] / "shared" / "data"


@dataclass(frozen=True, kw_only=True)
class RealImages:
    """Planes of one real thing.

    Parameters
    ----------
    what
        Words for the sheet's margin.
    read
        Planes (plane, y, x) from the folder of the data.
    labels
        What stands above each plane.
    centre, side_px
        The square that is cut out, in the file's pixels; None takes all.
    pixel_um
        Distance between the file's pixels, where the file says so.
    """

    what: str
    read: Callable[[Path], np.ndarray]
    labels: tuple[str, ...]
    centre: tuple[int, int] | None = None
    side_px: int | None = None
    pixel_um: float | None = None


def _one(path: str, channel: int | None = None) -> Callable[[Path], np.ndarray]:
    """One plane of a file; a channel of the first or of the last axis."""

    def read(folder: Path) -> np.ndarray:
        image = tifffile.imread(folder / path)
        if channel is not None:
            image = image[..., channel] if image.shape[-1] == 3 else image[channel]
        return image[None]

    return read


def _planes(path: str, which: tuple[int, ...]) -> Callable[[Path], np.ndarray]:
    def read(folder: Path) -> np.ndarray:
        return np.asarray(tifffile.imread(folder / path))[list(which)]

    return read


def _mitochondria(folder: Path) -> np.ndarray:
    files = sorted((folder / "dfnn_mitochondria/stack").glob("*.tif"))
    return np.stack([tifffile.imread(files[index]) for index in (2, 10, 18, 26, 33)])


def _smear(folder: Path) -> np.ndarray:
    names = (-8, -3, 0, 3, 8)
    planes = [np.asarray(Image.open(folder / f"smear_cc0/{name}.bmp")) for name in names]
    planes = [plane[..., 1] if plane.ndim == 3 else plane for plane in planes]
    side = min(min(plane.shape) for plane in planes)
    middles = [(plane.shape[0] // 2, plane.shape[1] // 2) for plane in planes]
    half = side // 2
    return np.stack(
        [plane[y - half : y + half, x - half : x + half]
         for plane, (y, x) in zip(planes, middles, strict=True)]
    )  # fmt: skip


NEUBIAS = "objects/neubias_ccby4/"
REAL: dict[str, RealImages] = {
    "beads": RealImages(
        what="real: measured bead",
        read=_planes("psf/pyotf_psf_wl520nm_z300nm_x130nm_na0.85_n1.0.tif", (2, 7, 12, 17, 22)),
        labels=("-3.0 um\n-4.2 DoF", "-1.5 um\n-2.1 DoF", "in focus", "+1.5 um\n+2.1 DoF",
                "+3.0 um\n+4.2 DoF"),
        centre=(126, 124), side_px=64, pixel_um=0.13,
    ),
    "nuclei": RealImages(
        what="real: Hoechst",
        read=_one("objects/cellprofiler_bsd3/1-162hrhoe2.tif"),
        labels=("widefield",), centre=(500, 500), side_px=640,
    ),
    "microtubules": RealImages(
        what="real: tubulin",
        read=_one(NEUBIAS + "xyc_16bit__cell_dna_mts_actin.tif", 1),
        labels=("one plane",), pixel_um=1 / 7.547649,
    ),
    "filaments": RealImages(
        what="real: microtubules",
        read=_one(NEUBIAS + "xy_16bit__microtubules.tif"),
        labels=("one plane",),
    ),
    "epithelium": RealImages(
        what="real: membranes",
        read=_one(NEUBIAS + "xyc_8bit__membranes_nuclei_big.tif", 0),
        labels=("one plane",), centre=(150, 160), side_px=256, pixel_um=1 / 1.930868,
    ),
    "mitochondria": RealImages(
        what="real: light sheet",
        read=_mitochondria,
        labels=("-0.8 um", "-0.4 um", "in focus", "+0.4 um", "+0.75 um"),
        centre=(590, 260), side_px=256,
    ),
    "cells": RealImages(
        what="real: HeLa",
        read=_one(NEUBIAS + "xyc_16bit__hela-cells.tif", 1),
        labels=("widefield",), centre=(240, 330), side_px=480, pixel_um=1 / 19.420064,
    ),
    "phase_cells": RealImages(
        what="real: yeast, brightf.",
        read=_planes("bfseg_yeast/test.tif", (5, 11, 17, 23, 29)),
        labels=("-3.6 um", "-1.8 um", "in focus", "+1.8 um", "+3.6 um"),
        pixel_um=0.107,
    ),
    "neurites": RealImages(
        what="real: neuron",
        read=_one(NEUBIAS + "xy_16bit__rat_hippocampal_neuron.tif"),
        labels=("one plane",), pixel_um=0.16,
    ),
    "blood_smear": RealImages(
        what="real: a smear, no blood",
        read=_smear,
        labels=("plane -8", "plane -3", "plane 0", "plane +3", "plane +8"),
    ),
    "histology": RealImages(
        what="real: H&E, green",
        read=_one("objects/openslide_he/OS-1-detail.ome.tif", 1),
        labels=("brightfield",), centre=(700, 500), side_px=366, pixel_um=0.2271,
    ),
}  # fmt: skip


def tiles(real: RealImages, folder: Path, *, size_px: int) -> tuple[np.ndarray, float | None]:
    """Square tiles of one real thing, resampled to ``size_px``, from 0 to 1, and their pixel."""
    planes = np.asarray(real.read(folder)).astype(np.float32)
    side = real.side_px or min(planes.shape[1:])
    row, column = real.centre or (planes.shape[1] // 2, planes.shape[2] // 2)
    row, column = max(row - side // 2, 0), max(column - side // 2, 0)
    planes = planes[:, row : row + side, column : column + side]
    low, high = np.percentile(planes, (0.5, 99.8))
    shape = (size_px, size_px)
    small = [Image.fromarray(plane).resize(shape, Image.Resampling.BOX) for plane in planes]
    grey = (np.stack([np.asarray(image) for image in small]) - low) / (high - low)
    scale = side / size_px
    return grey, None if real.pixel_um is None else real.pixel_um * scale
