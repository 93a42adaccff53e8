"""The Shepp-Logan test of Li 2023: does a measure tell sharp structure from blurred?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage
from skimage.data import shepp_logan_phantom

from parfocal.core.errors import InputError
from parfocal.core.stack import FocalStack
from parfocal.segment.pixel_maps import plan_maps, score_windows
from parfocal.segment.ranking import LI2023_MEASURES
from parfocal.segment.thresholds import Histogram, split

COUNTS, BLACK_COUNTS = 1000.0, 100.0
"""Brightness of the phantom, and of what is black in it: ratios to the mean need some."""
EDGE_SHARE = 0.02
"""Least step between neighbouring pixels, of the phantom's range, that is structure."""


@dataclass(frozen=True, kw_only=True)
class PhantomRow:
    """One measure under one blur.

    Parameters
    ----------
    measure
        Its name.
    blur_px
        Side of the Gaussian's kernel.
    separated
        Share of the structured pixels whose score is larger where the phantom is sharp.
    ratio
        Median over structured pixels of the sharp score over the blurred one.
    iou
        Of the pixels above the threshold in a phantom of which one half is blurred, with the
        structured pixels of the sharp half; mean of both halves.
    """

    measure: str
    blur_px: int
    separated: float
    ratio: float
    iou: float


@dataclass(frozen=True, eq=False, kw_only=True)
class PhantomTest:
    """Rows, and what a figure shows: maps of the half-blurred phantom by (measure, blur)."""

    rows: tuple[PhantomRow, ...]
    images: dict[int, Float[np.ndarray, "y x"]]
    truth: Bool[np.ndarray, "y x"]
    maps: dict[tuple[str, int], Float[np.ndarray, "y x"]]
    masks: dict[tuple[str, int], Bool[np.ndarray, "y x"]]

    def best(self) -> str:
        """The measure with the highest mean IoU over the blurs."""
        names = dict.fromkeys(row.measure for row in self.rows)
        mean = {n: np.mean([row.iou for row in self.rows if row.measure == n]) for n in names}
        return max(mean, key=lambda name: float(mean[name]))


def shepp_logan_test(
    measures: Sequence[str] = LI2023_MEASURES,
    *,
    blurs_px: Sequence[int] = (6, 12),
    window_px: int = 16,
    stride_px: int = 4,
    threshold: str = "otsu",
) -> PhantomTest:
    """Score a Shepp-Logan phantom with and without blur [Li2023]_ [SheppLogan1974]_.

    Parameters
    ----------
    measures
        Names in ``parfocal.measures.CATALOG``.
    blurs_px
        Sides of the Gaussian kernels; the standard deviation is 0.3 ((side - 1) / 2 - 1) + 0.8.
    window_px, stride_px
        Of the focus maps.
    threshold
        A name in ``parfocal.segment.THRESHOLDS``, over both half-blurred phantoms together.

    Raises
    ------
    InputError
        If a kernel is smaller than 2 px.
    UnknownNameError
        If there is no such measure or threshold.

    Notes
    -----
    The paper shows pictures and no numbers. Structure is what lies within half a window of a step
    between pixels; flat parts look the same sharp and blurred, and no measure can tell.

    Examples
    --------
    >>> test = shepp_logan_test(["std"], blurs_px=[12])
    >>> test.rows[0].separated > 0.9
    True
    """
    if not len(blurs_px) or min(blurs_px) < 2:
        raise InputError(f"blurs_px holds kernels of at least 2 px, but came as {[*blurs_px]}.")
    sharp = BLACK_COUNTS + COUNTS * np.asarray(cast(Any, shepp_logan_phantom)(), dtype=np.float64)
    structure = _structure(sharp, window_px)
    left = np.zeros(sharp.shape, dtype=np.bool_)
    left[:, : sharp.shape[1] // 2] = True
    plan = plan_maps(sharp.shape, [window_px], [stride_px])
    rows, images, maps, masks = [], {}, {}, {}
    for blur in blurs_px:
        blurred = ndimage.gaussian_filter(sharp, 0.3 * ((blur - 1) / 2 - 1) + 0.8)
        halves = [np.where(side, sharp, blurred) for side in (left, ~left)]
        images[blur] = halves[0]
        stack = FocalStack.of(np.stack([sharp, blurred, *halves]))
        for name in dict.fromkeys(measures):
            scores = score_windows(stack, name, plan)[0]
            cells = [plan.cells([score]) for score in scores]
            whole, soft, *mixed = (plan.to_pixels(one) for one in cells)
            histogram = Histogram.of(cells[2:], plan.weights)
            level = np.inf if histogram is None else split(histogram, threshold)
            found = [one > level for one in mixed]
            truths = [structure & side for side in (left, ~left)]
            maps[name, blur], masks[name, blur] = mixed[0], found[0]
            rows.append(
                PhantomRow(
                    measure=name,
                    blur_px=blur,
                    separated=float((whole > soft)[structure].mean()),
                    ratio=float(np.median(whole[structure] / np.maximum(soft[structure], 1e-12))),
                    iou=float(np.mean([_iou(a, b) for a, b in zip(found, truths, strict=True)])),
                )
            )
    return PhantomTest(
        rows=tuple(rows), images=images, truth=structure & left, maps=maps, masks=masks
    )


def _structure(image: Float[np.ndarray, "y x"], window_px: int) -> Bool[np.ndarray, "y x"]:
    """Pixels within half a window of a step between neighbours."""
    step = ndimage.morphological_gradient(image, size=(3, 3)) > EDGE_SHARE * np.ptp(image)
    near: Bool[np.ndarray, "y x"] = ndimage.maximum_filter(step, window_px)
    return near


def _iou(one: Bool[np.ndarray, "y x"], other: Bool[np.ndarray, "y x"]) -> float:
    return float((one & other).sum() / max(int((one | other).sum()), 1))
