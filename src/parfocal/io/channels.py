"""Write maps and fused images as OME-TIFF that any viewer opens with its pixel size."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from parfocal.core.errors import ShapeError


def write_channels(
    path: Path,
    channels: Mapping[str, NDArray[Any]],
    *,
    pixel_um: float | None = None,
    name: str = "",
    description: str = "",
) -> None:
    """Write images of one size as the channels of one OME-TIFF, as 32-bit floats.

    Parameters
    ----------
    path
        File to write; it is replaced if it exists.
    channels
        Name and image (y, x) of each channel, in order.
    pixel_um
        Distance between pixel centres in um, where it is known.
    name, description
        Recorded in the file.

    Raises
    ------
    ShapeError
        If there is no image, or the images differ in size.
    """
    sizes = {label: np.shape(image) for label, image in channels.items()}
    if len(set(sizes.values())) != 1 or any(len(size) != 2 for size in sizes.values()):
        listed = ", ".join(f"{label} {size}" for label, size in sizes.items())
        raise ShapeError(f"One file holds images of one size (y, x), but these came: {listed}.")
    stacked = np.stack([np.asarray(image, dtype=np.float32) for image in channels.values()])
    metadata: dict[str, Any] = {
        "axes": "CYX",
        "Channel": {"Name": list(channels)},
        "Name": name,
        "Description": description,
    }
    resolution: dict[str, Any] = {}
    if pixel_um is not None:
        metadata |= {"PhysicalSizeX": pixel_um, "PhysicalSizeXUnit": "µm"}
        metadata |= {"PhysicalSizeY": pixel_um, "PhysicalSizeYUnit": "µm"}
        per_cm = 1e4 / pixel_um
        resolution = {"resolution": (per_cm, per_cm), "resolutionunit": "CENTIMETER"}
    tifffile.imwrite(
        path,
        stacked,
        ome=True,
        metadata=metadata,
        photometric="minisblack",
        compression="zlib",
        predictor=True,
        tile=(256, 256),
        bigtiff=stacked.nbytes > 2**31,
        **resolution,
    )
