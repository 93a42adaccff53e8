"""Which measure tells focus along z most sharply: the nine of Li 2023, or any others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from parfocal.core.device import pick_device
from parfocal.core.errors import InputError, ShapeError
from parfocal.core.setup import OpticalSetup
from parfocal.segment.pixel_maps import plan_maps, score_windows
from parfocal.segment.weak_labels import as_focal_stack

TILES_ACROSS = 8
TILE_RANGE_PX = (16, 128)
BEST_TILES = 0.25
"""Share of the tiles, those whose sharpness changes most, that make up the region."""


class Li2023Measures(NamedTuple):
    """Names in ``parfocal.measures.CATALOG`` of the nine measures of [Li2023]_.

    Errata, where its text and its public code differ from the sources and from each other:
    ``brenner``: equation 1 steps by one pixel, the code by two along y, of windows scaled to
    [0, 1] each. ``tenengrad``: the code takes the root of the sum. ``laplacian``: equation 3, of
    two second differences; the code takes the variance of an 8-bit Laplacian. ``smd``: the code
    raises NameError and adds one term twice. ``vollath``: the code subtracts H * W * mean, of F5.
    ``std``: equation 6 is F5; the code takes the standard deviation. ``dwt``: not in the code.
    Here each is as in its source, so that a window's size drops out.
    """

    brenner: str = "brenner"
    tenengrad: str = "tenengrad"
    laplacian: str = "modified_laplacian"
    smd: str = "smd"
    vollath: str = "vollath4"
    std: str = "std"
    variance: str = "variance"
    entropy: str = "entropy"
    dwt: str = "haar_dwt"


LI2023_MEASURES = Li2023Measures()
"""The nine measures of [Li2023]_, by the names of the paper."""


@dataclass(frozen=True, eq=False, kw_only=True)
class AxialRank:
    """How sharply one measure falls with distance from focus.

    Parameters
    ----------
    measure
        Its name.
    fall
        1 minus the mean of ``curve`` away from focus: 1 falls at once, 0 does not fall.
    half_width_planes, half_width_um
        Distance from focus at which the curve has fallen to one half; infinite if it does not, or
        is below one half at focus already. In um only where z is known.
    monotonic
        Share of the steps away from focus, in all tiles, that fall.
    error_planes
        Mean distance between the measure's own sharpest plane and the one that all agree on.
    offsets
        Distances from focus, in planes.
    curve
        Score at these distances, each tile scaled to its own range from 0 to 1, mean of tiles.
    """

    measure: str
    fall: float
    half_width_planes: float
    half_width_um: float | None
    monotonic: float
    error_planes: float
    offsets: Float[np.ndarray, " k"]
    curve: Float[np.ndarray, " k"]


def axial_ranking(
    stack: Any,
    measures: Sequence[str] = LI2023_MEASURES,
    *,
    window_px: int | None = None,
    setup: OpticalSetup | None = None,
    device: str = "cpu",
) -> tuple[AxialRank, ...]:
    """Rank measures by how sharply the score of a region falls along z [Li2023]_.

    Parameters
    ----------
    stack
        A FocalStack, or an array (z, y, x), with focus inside.
    measures
        Names in ``parfocal.measures.CATALOG``.
    window_px
        Side of a tile; an eighth of the images, from 16 to 128 px, by default.
    setup
        The optics, for measures that need them; the stack's own by default.
    device
        "cpu", "cuda" or "auto".

    Returns
    -------
    One row a measure, the sharpest first.

    Raises
    ------
    ShapeError
        If the stack has fewer than three planes.
    InputError
        If there are no measures, or nothing changes along z.
    UnknownNameError
        If there is no such measure.

    Notes
    -----
    Thick specimens are in focus at another plane in each place: curves are taken in tiles, those
    that change most, and laid over each other at the plane at which the mean of all measures is
    largest. The paper compares whole slices, of one region [Li2023]_.

    Laws: gain-free, but for entropy of integers.

    Examples
    --------
    >>> from scipy.ndimage import gaussian_filter
    >>> grey = np.random.default_rng(0).random((64, 64)) * 1000
    >>> planes = np.stack([gaussian_filter(grey, 1 + abs(z - 4)) for z in range(9)])
    >>> [row.measure for row in axial_ranking(planes, ["std", "brenner"])]
    ['brenner', 'std']
    """
    field = as_focal_stack(stack)
    if field.shape[0] < 3:
        raise ShapeError(f"{field.source}: a ranking along z needs 3 planes, not {field.shape[0]}.")
    names = tuple(dict.fromkeys(measures))
    if not names:
        raise InputError("measures is empty: give names of the measure catalogue.")
    side = window_px or int(np.clip(min(field.shape[1:]) // TILES_ACROSS, *TILE_RANGE_PX))
    plan = plan_maps(field.shape[1:], [side], [side])
    optics, where = setup or field.setup, str(pick_device(device))
    curves = np.stack([
        score_windows(field, name, plan, setup=optics, device=where)[0].reshape(field.shape[0], -1)
        for name in names
    ]).astype(np.float64)  # fmt: skip
    curves = curves[:, :, np.isfinite(curves).all((0, 1))]
    spans = np.ptp(curves, axis=1)
    if not spans.size or not (spans > 0).all(0).any():
        raise InputError(f"{field.source}: no tile changes along z, so that nothing can be ranked.")
    tiles = _liveliest(curves, spans)
    scaled = (curves - curves.min(1, keepdims=True)) / np.where(spans > 0, spans, 1.0)[:, None]
    scaled = scaled[:, :, tiles]
    focus = scaled.mean(0).argmax(0)
    rows = (
        _rank(name, one, focus, field.z_step_um if field.z_known else None)
        for name, one in zip(names, scaled, strict=True)
    )
    return tuple(sorted(rows, key=lambda row: -row.fall))


def _liveliest(
    curves: Float[np.ndarray, "m z t"], spans: Float[np.ndarray, "m t"]
) -> NDArray[np.int64]:
    """Tiles whose scores change by the largest share, in the mean of all measures' orders."""
    share = spans / np.maximum(np.abs(curves).max(1), 1e-300)
    order = (share * (spans / spans.max(1, keepdims=True).clip(1e-300))).argsort(1).argsort(1)
    most = max(1, round(BEST_TILES * spans.shape[1]))
    tiles: NDArray[np.int64] = np.argsort(-order.sum(0), kind="stable")[:most]
    return tiles


def _rank(
    name: str, scaled: Float[np.ndarray, "z t"], focus: NDArray[np.int64], step_um: float | None
) -> AxialRank:
    planes = len(scaled)
    offset = np.arange(planes)[:, None] - focus
    offsets = np.unique(offset)
    sums = np.bincount((offset - offsets[0]).ravel(), weights=scaled.ravel())
    curve = sums / np.bincount((offset - offsets[0]).ravel())
    away = offset != 0
    outward = np.where(offset[1:] > 0, -1.0, 1.0) * np.diff(scaled, axis=0)
    half = _half_width(np.abs(offsets), curve)
    return AxialRank(
        measure=name,
        fall=1.0 - float(scaled[away].mean()),
        half_width_planes=half,
        half_width_um=None if step_um is None else half * step_um,
        monotonic=float((outward > 0).mean()),
        error_planes=float(np.abs(scaled.argmax(0) - focus).mean()),
        offsets=offsets.astype(np.float64),
        curve=curve,
    )


def _half_width(distance: NDArray[np.int64], curve: NDArray[np.float64]) -> float:
    """Where the mean of both sides first falls to one half, between planes."""
    sides = np.bincount(distance, weights=curve) / np.maximum(np.bincount(distance), 1)
    below = np.flatnonzero(sides <= 0.5)
    if not len(below) or below[0] == 0:  # or not at its own height where focus is
        return float("inf")
    k = int(below[0])
    return float(k - 1 + (sides[k - 1] - 0.5) / (sides[k - 1] - sides[k]))
