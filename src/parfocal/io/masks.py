"""Masks of what is in focus, as files: written with their scale, and read again."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np

from parfocal.core.errors import InputError
from parfocal.core.masks import FocusMasks
from parfocal.core.status import Status, plain
from parfocal.io.opening import open_stack
from parfocal.io.writing import write_stack

IMAGEJ_TRUE = 255


def write_masks(
    masks: FocusMasks,
    path: str | Path,
    *,
    what: Literal["masks", "probabilities"] = "masks",
    overwrite: bool = False,
) -> Path:
    """Write masks, or their probabilities, with z, pixel size and the way they were made.

    Parameters
    ----------
    masks
        Of a stack, or declined ones: then the file is empty and its record says why.
    path
        Ends in ``.ome.zarr``, where 1 is in focus, or ``.ome.tif``, where 255 is as in ImageJ.
    what
        "masks" (uint8) or "probabilities" (float32).
    overwrite
        Replace what is there already.

    Returns
    -------
    The path. It is complete or not there at all.

    Raises
    ------
    InputError
        If there are no probabilities, or the path exists or ends in something else.
    """
    record: dict[str, Any] = {"content": what, "status": str(masks.status), "reason": masks.reason}
    record |= {"method": masks.method, "thresholds": plain(masks.thresholds)}
    if what == "probabilities":
        if masks.probabilities is None:
            raise InputError(f"{path}: these masks by rule have no probabilities; write the masks.")
        values: np.ndarray = masks.probabilities
        values = values.astype(np.float32, copy=False)
    else:
        values = np.ascontiguousarray(masks.masks).view(np.uint8)
        if not str(path).casefold().endswith(".zarr"):
            values = values * np.uint8(IMAGEJ_TRUE)
    return write_stack(
        values,
        path,
        z_um=masks.z_um if masks.z_known else None,
        pixel_um=masks.pixel_um,
        record=record,
        is_labels=what == "masks",
        overwrite=overwrite,
    )


def read_masks(path: str | Path, *, level: float = 0.5, **options: Any) -> FocusMasks:
    """Read masks that were written or painted: true where a whole number is above 0.

    Parameters
    ----------
    path
        As for ``open_stack``, whose options are taken.
    level
        Numbers with a fraction are probabilities, and true from this on.

    Returns
    -------
    Masks; status ``blank`` where nothing is in focus.

    Raises
    ------
    InputError
        If it cannot be read, or holds a number that is no probability.
    """
    stack = open_stack(path, **options)
    values = stack.read_counts()
    probabilities = None
    if values.dtype.kind == "f":
        if not (np.isfinite(values).all() and 0 <= values.min() <= values.max() <= 1):
            raise InputError(
                f"{path}: fractions are read as probabilities from 0 to 1, but they run from "
                f"{values.min():g} to {values.max():g}; save masks as whole numbers."
            )
        probabilities = values
    masks = values > 0 if probabilities is None else values >= level
    is_any = bool(masks.any())
    return FocusMasks(
        status=Status.FOUND if is_any else Status.BLANK,
        reason="masks from a file" if is_any else "the file has no pixel in focus",
        masks=masks,
        method=f"read from {stack.name}",
        z_um=stack.z_um,
        z_known=stack.z_known,
        pixel_um=stack.pixel_um,
        probabilities=probabilities,
    )
