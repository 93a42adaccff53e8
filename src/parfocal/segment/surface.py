"""How high the structure in focus lies at each pixel, and how many planes it spans."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray

from parfocal.core.errors import ShapeError
from parfocal.core.masks import FocusMasks
from parfocal.core.status import plain
from parfocal.segment.sections import require_answer

BAND_PX = 2_000_000
"""Pixels whose sums are held at once."""
LEAST_WEIGHT = 1e-6
TIE = 1e-9
"""Runs whose weights differ by a smaller share are alike: rounding must not choose."""


@dataclass(frozen=True, eq=False, kw_only=True)
class FocusHeight:
    """Height and thickness of what is in focus, per pixel.

    Parameters
    ----------
    z_um
        Stage z that focuses the thickest structure of each pixel; NaN where no plane is in focus.
        Plane numbers where ``z_known`` is false.
    planes
        Number of planes in focus.
    coverage_um
        Their thickness, each plane standing for the half-way to its neighbours; None where the
        distance of planes is unknown.
    layers
        Number of runs of planes: 2 where structure lies over structure.
    is_cut
        True where the run that gives the height reaches the first or last plane, so that the
        structure may go on beyond the stack.
    """

    z_um: Float[np.ndarray, "y x"]
    planes: Int[np.ndarray, "y x"]
    coverage_um: Float[np.ndarray, "y x"] | None
    layers: Int[np.ndarray, "y x"]
    is_cut: Bool[np.ndarray, "y x"]
    z_known: bool = True
    pixel_um: float | None = None

    @property
    def share(self) -> float:
        """Share of the field that is in focus in some plane."""
        return float((self.planes > 0).mean())

    @property
    def range_um(self) -> tuple[float, float] | None:
        """Heights between which 90 % of the field in focus lies; None where there is none."""
        heights = self.z_um[self.planes > 0]
        if not heights.size:
            return None
        low, high = np.percentile(heights, [5.0, 95.0])
        return float(low), float(high)

    @property
    def cut_share(self) -> float:
        """Share of the heights that the ends of the stack cut off; 0 where there are none."""
        count = int((self.planes > 0).sum())
        return float(self.is_cut.sum() / count) if count else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, but for the pixels."""
        return {
            "z_known": self.z_known,
            "pixel_um": self.pixel_um,
            "share": self.share,
            "range_um": plain(self.range_um),
            "cut_share": self.cut_share,
            "mean_planes": float(self.planes.mean()),
        }


def plane_widths(z_um: Float[np.ndarray, " z"]) -> Float[np.ndarray, " z"]:
    """Thickness that each plane stands for: half-way to its neighbours, alike on both sides at the
    ends.

    Examples
    --------
    >>> plane_widths(np.array([0.0, 1.0, 3.0]))
    array([1. , 1.5, 2. ])
    >>> plane_widths(np.array([5.0]))
    array([1.])
    """
    if z_um.ndim != 1 or not z_um.size:
        raise ShapeError(f"z is one number a plane, but came with shape {z_um.shape}.")
    if len(z_um) == 1:
        return np.ones(1)
    steps = np.abs(np.diff(z_um))
    return np.concatenate([steps[:1], (steps[:-1] + steps[1:]) / 2, steps[-1:]])


def focus_height(masks: FocusMasks) -> FocusHeight:
    """Height, thickness and layers of what is in focus, per pixel.

    The height is the centre of the heaviest run of planes in focus, each plane weighted by its
    thickness and, where a network gave them, its probabilities. Of runs alike in weight the one
    at the lower z is taken. A mean over all runs would lie between them, where nothing is.

    Parameters
    ----------
    masks
        Of a stack; status found.

    Returns
    -------
    ``FocusHeight``; in plane numbers where the masks' z is unknown.

    Raises
    ------
    InputError
        If the masks were declined.

    Notes
    -----
    Laws: follows flips and rotations of the field; adding to z adds to the heights; where there
    is one layer, reversing the planes changes nothing.

    Examples
    --------
    >>> from parfocal.core.status import Status
    >>> column = np.array([1, 1, 1, 0, 0, 1], dtype=bool)[:, None, None]
    >>> masks = FocusMasks(status=Status.FOUND, reason="", masks=column, method="by hand",
    ...                    z_um=10.0 + 0.5 * np.arange(6))
    >>> height = focus_height(masks)
    >>> height.z_um.item(), height.coverage_um.item(), height.layers.item()
    (10.5, 2.0, 2)
    """
    require_answer(masks)
    _, size_y, size_x = masks.shape
    z_um = np.empty((size_y, size_x))
    planes, layers = (np.empty((size_y, size_x), dtype=np.int32) for _ in range(2))
    coverage, is_cut = np.empty((size_y, size_x)), np.empty((size_y, size_x), dtype=bool)
    band = max(1, BAND_PX // size_x)
    for top in range(0, size_y, band):
        rows = slice(top, top + band)
        runs = _runs(masks, rows)
        z_um[rows], planes[rows], layers[rows] = runs.centres(), runs.planes, runs.layers
        coverage[rows], is_cut[rows] = runs.thickness, runs.best_cut
    return FocusHeight(
        z_um=z_um,
        planes=planes,
        coverage_um=coverage if masks.z_known else None,
        layers=layers,
        is_cut=is_cut,
        z_known=masks.z_known,
        pixel_um=masks.pixel_um,
    )


@dataclass(eq=False)
class _Runs:
    """Sums over the planes seen so far: of the run at hand, and of the heaviest one."""

    origin_um: float
    shape: tuple[int, int]

    def __post_init__(self) -> None:
        sums = (np.zeros(self.shape) for _ in range(5))
        self.weight, self.moment, self.best_weight, self.best_moment, self.thickness = sums
        flags = (np.zeros(self.shape, dtype=bool) for _ in range(3))
        self.cut, self.best_cut, self.before = flags
        self.planes, self.layers = (np.zeros(self.shape, dtype=np.int32) for _ in range(2))

    def add(
        self, mask: NDArray[np.bool_], weight: Any, z_um: float, width: float, is_end: bool
    ) -> None:
        """The next plane in order of rising z; ``weight`` is per pixel or 1."""
        begins = mask & ~self.before
        heavy = np.where(mask, width * weight, 0.0)
        self.weight = np.where(begins, 0.0, self.weight) + heavy
        self.moment = np.where(begins, 0.0, self.moment) + heavy * (z_um - self.origin_um)
        self.cut = (self.cut & ~begins) | is_end
        better = mask & (self.weight > (1 + TIE) * self.best_weight)
        for best, now in (
            (self.best_weight, self.weight),
            (self.best_moment, self.moment),
            (self.best_cut, self.cut),
        ):
            np.copyto(best, now, where=better)
        self.layers += begins
        self.planes += mask
        self.thickness += width * mask
        self.before = mask

    def centres(self) -> Float[np.ndarray, "y x"]:
        """Centre of the heaviest run; NaN where there is none."""
        weight = np.where(self.planes > 0, self.best_weight, np.nan)
        return self.origin_um + self.best_moment / weight


def _runs(masks: FocusMasks, rows: slice) -> _Runs:
    """Go through the planes of a band of rows, upwards in z."""
    order, widths = np.argsort(masks.z_um), plane_widths(masks.z_um)
    picked = masks.masks[:, rows]
    runs = _Runs(float(masks.z_um[order[0]]), (picked.shape[1], picked.shape[2]))
    for plane in order:
        weight: Any = 1.0
        if masks.probabilities is not None:
            weight = np.maximum(masks.probabilities[plane, rows], LEAST_WEIGHT)
        is_end = plane in (0, len(order) - 1)
        runs.add(picked[plane], weight, float(masks.z_um[plane]), float(widths[plane]), is_end)
    return runs
