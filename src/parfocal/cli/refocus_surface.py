"""Surfaces to focus on: read from a file, or told by the tilt that two planes show."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from parfocal.cli.short_stacks import optics_of
from parfocal.core.errors import InputError, MetadataError
from parfocal.core.stack import FocalStack
from parfocal.io.opening import open_stack

HEIGHTS = "z_um"
"""Channel of a depth map by ``parfocal score --depth-map``: stage z, not heights above a plane."""


def read_surface(path: Path, *, z_um: float | None = None) -> NDArray[np.float32]:
    """Heights (y, x) in um above a plane at stage z ``z_um``.

    A depth map that ``parfocal score --depth-map`` wrote holds stage z; where it knows none, the
    nearest one that it knows stands.

    Raises
    ------
    InputError
        If it cannot be read, or the plane's own z is needed and not known.
    """
    try:
        stack = open_stack(path, channel=HEIGHTS, z_in_planes=True)
    except InputError:
        stack = open_stack(path, z_in_planes=True)
    if stack.shape[0] != 1:
        raise InputError(
            f"{path}: a surface is one map (y, x) of heights in um, but this has "
            f"{stack.shape[0]} planes."
        )
    heights_um = np.asarray(stack.read_counts(0), dtype=np.float32)
    if stack.channel != HEIGHTS:
        return heights_um
    if z_um is None:
        raise MetadataError(
            f"{path}: holds stage z, and that of the image is not known: give --z-step-um, or "
            "heights above the image's plane."
        )
    return filled(heights_um) - np.float32(z_um)


def filled(heights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Heights with the nearest known one where there is none; NaN where none is known.

    Examples
    --------
    >>> filled(np.array([[1.0, np.nan, np.nan, 4.0]], np.float32)).tolist()
    [[1.0, 1.0, 4.0, 4.0]]
    """
    unknown = np.isnan(heights)
    if not unknown.any() or unknown.all():
        return heights
    rows, columns = ndimage.distance_transform_edt(
        unknown, return_distances=False, return_indices=True
    )
    nearest: NDArray[np.float32] = heights[rows, columns]
    return nearest


@dataclass(frozen=True, kw_only=True)
class Tilted:
    """A plane of focus: its height in um above that of the image, as a function of y and x in px.

    Parameters
    ----------
    middle_um
        Height in the middle of the field.
    slopes_um_per_px
        Along (y, x).
    middle_px
        Middle of the field (y, x).

    Examples
    --------
    >>> Tilted(middle_um=1.0, slopes_um_per_px=(0.0, 0.5), middle_px=(4.0, 4.0))(0, 6)
    2.0
    """

    middle_um: float
    slopes_um_per_px: tuple[float, float]
    middle_px: tuple[float, float]

    def __call__(self, y: Any, x: Any) -> Any:
        (slope_y, slope_x), (middle_y, middle_x) = self.slopes_um_per_px, self.middle_px
        return self.middle_um + slope_y * (y - middle_y) + slope_x * (x - middle_x)

    def __str__(self) -> str:
        ends = [
            abs(slope) * 2 * middle
            for slope, middle in zip(self.slopes_um_per_px, self.middle_px, strict=True)
        ]
        return f"tilt by {sum(ends):.2g} um from corner to corner, told by two planes"


def tilt_of(
    stack: FocalStack, plane: int, *, saturation_counts: float | None = None
) -> Tilted | str:
    """The surface that the patches of a plane and its neighbour show, or why there is none.

    Raises
    ------
    InputError
        If there is one plane only, or z or the optics are not known.
    """
    # Here, so that other calls need no room of predictors.
    from parfocal.predict.loading import load

    setup = optics_of(stack)
    if stack.shape[0] < 2 or not stack.z_known:
        raise InputError(
            "--surface tilt is told by two planes at known z: give a short stack, with --plane and "
            "--z-step-um."
        )
    lower, upper = _pair(stack, plane)
    estimate = load().predict(
        np.stack([stack.read_counts(number) for number in (lower, upper)]),
        spacing_um=float(stack.z_um[upper] - stack.z_um[lower]),
        setup=setup,
        saturation_counts=saturation_counts,
    )
    if estimate.defocus_um is None:
        return estimate.reason
    if estimate.tilt_um_per_mm is None:
        return "the patches of the field do not agree on one"
    defocus_um = estimate.defocus_um + float(stack.z_um[plane] - stack.z_um[lower])
    slope_y, slope_x = (-slope * setup.pixel_um / 1000 for slope in estimate.tilt_um_per_mm)
    _, size_y, size_x = stack.shape
    return Tilted(
        middle_um=-defocus_um,
        slopes_um_per_px=(slope_y, slope_x),
        middle_px=((size_y - 1) / 2, (size_x - 1) / 2),
    )


def _pair(stack: FocalStack, plane: int) -> tuple[int, int]:
    """A plane and its neighbour above (below for the last), the lower one first."""
    order = np.argsort(stack.z_um).tolist()
    at = order.index(plane)
    low = at if at + 1 < len(order) else at - 1
    return order[low], order[low + 1]
