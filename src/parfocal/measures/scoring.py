"""Score images by the name of a measure."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from parfocal.core.device import pick_device
from parfocal.core.errors import MetadataError
from parfocal.core.setup import OpticalSetup
from parfocal.core.shapes import as_float_tensor
from parfocal.measures.catalog import Measure, find_measure


def setup_options(row: Measure, setup: OpticalSetup | None) -> dict[str, Any]:
    """The optics as keyword arguments for the measures that need them, nothing for the others.

    Raises
    ------
    MetadataError
        If the measure needs the optics and ``setup`` is missing.
    """
    if not row.needs_setup:
        return {}
    if setup is None:
        raise MetadataError(
            f"Measure {row.name!r} needs the optics: give setup=OpticalSetup(...) "
            "(--na, --wavelength-nm, --pixel-um)."
        )
    return {"setup": setup}


def score(
    images: Any,
    measure: str = "brenner",
    *,
    setup: OpticalSetup | None = None,
    device: str = "cpu",
) -> Any:
    """Score the focus of images by the measure of that name; larger is sharper.

    Parameters
    ----------
    images
        (*batch, y, x), in counts: NumPy, torch, dask or xarray.
    measure
        A name in ``CATALOG``.
    setup
        The optics, for the measures that need them.
    device
        Where to compute; images that come as a tensor stay on theirs.

    Returns
    -------
    One score per image: a tensor for a tensor, else a NumPy array.

    Raises
    ------
    UnknownNameError
        If there is no such measure.
    MetadataError
        If the measure needs the optics and ``setup`` is missing.

    Examples
    --------
    >>> import numpy as np
    >>> float(score(np.arange(64.0).reshape(8, 8), "brenner"))
    4.0
    """
    row = find_measure(measure)
    options = setup_options(row, setup)
    if isinstance(images, Tensor):
        return row.function(images, **options)
    tensor = as_float_tensor(images, device=pick_device(device))
    return row.function(tensor, **options).cpu().numpy()
