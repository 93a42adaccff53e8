"""The surface of focus as parfocal itself found it, so that a tilted field is levelled."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from parfocal.core.errors import InputError
from parfocal.core.results import DefocusEstimate, DepthMap


def surface_of(
    found: DefocusEstimate | DepthMap,
    shape: tuple[int, int],
    *,
    pixel_um: float,
    image_z_um: float = 0.0,
) -> Float[np.ndarray, "y x"]:
    """Height of best focus above the image's plane at each pixel: what ``to_surface`` wants.

    Parameters
    ----------
    found
        Of ``predict``: the defocus of the image's middle with its tilt (level without one). Of
        ``score``: a depth map, smoothed by a plane with bowl where it knows the height.
    shape
        Of the image (y, x).
    pixel_um
        Distance of pixel centres in the object.
    image_z_um
        Stage z of the image, for depth maps, whose heights are stage z.

    Raises
    ------
    InputError
        If the estimate is no answer, or the map knows fewer than six heights.

    Examples
    --------
    >>> from parfocal.core.status import Status
    >>> found = DefocusEstimate(
    ...     status=Status.FOUND, reason="", defocus_um=2.0, defocus_dof=2.0,
    ...     interval_um=(1.0, 3.0), tilt_um_per_mm=(0.0, 1000.0),
    ... )
    >>> surface_of(found, (1, 3), pixel_um=1.0).tolist()
    [[-1.0, -2.0, -3.0]]
    """
    if isinstance(found, DefocusEstimate):
        if found.defocus_um is None:
            raise InputError(f"There is no defocus to level by ({found.status}): {found.reason}")
        slope_y, slope_x = found.tilt_um_per_mm or (0.0, 0.0)
        y, x = (np.arange(size) - (size - 1) / 2 for size in shape)
        rise = (slope_y * y[:, None] + slope_x * x) * pixel_um / 1000
        return (-(found.defocus_um + rise)).astype(np.float32)
    return _smooth(found.z_um - image_z_um, found.confidence, shape)


def _smooth(
    heights: NDArray[Any], confidence: NDArray[Any], shape: tuple[int, int]
) -> NDArray[np.float32]:
    """A plane with bowl through what is known, by its confidence; what is far off counts less."""
    terms = _terms(heights.shape)
    known = np.isfinite(heights) & (confidence > 0)
    if int(known.sum()) < terms.shape[0]:
        raise InputError(
            f"The depth map knows {int(known.sum())} heights; {terms.shape[0]} or more are needed "
            "to level by it."
        )
    values, design = heights[known].astype(np.float64), terms[:, known].T
    weight: NDArray[Any] = confidence[known].astype(np.float64)
    answer: NDArray[Any] = np.zeros(terms.shape[0])
    for _ in range(3):
        answer = np.linalg.lstsq(design * weight[:, None], values * weight, rcond=None)[0]
        away = np.abs(values - design @ answer)
        scale = max(float(np.median(away)), 1e-6)
        weight = confidence[known] / (1 + (away / (2 * scale)) ** 2)
    surface: NDArray[np.float32] = np.tensordot(answer, _terms(shape), 1).astype(np.float32)
    return surface


def _terms(shape: tuple[int, ...]) -> NDArray[np.float64]:
    """1, y, x, y^2, y x, x^2 over a field from -1 to 1."""
    y, x = ((np.arange(size) + 0.5) / size * 2 - 1 for size in shape)
    y, x = (part.astype(np.float64) for part in np.broadcast_arrays(y[:, None], x))
    return np.stack([np.ones(shape), y, x, y * y, y * x, x * x])
