"""Whether a stack holds anything to segment: more than noise, less than full wells, no phase.

A threshold always splits; white noise is split in two halves as readily as a specimen. So the
noise is measured first, from the pixels themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from parfocal.core.binning import bin_pixels
from parfocal.core.setup import OpticalSetup
from parfocal.core.stack import FocalStack
from parfocal.core.status import Status
from parfocal.measures.catalog import CATALOG
from parfocal.measures.contrast import PhaseFocus, find_phase_focus
from parfocal.measures.maps import focus_map
from parfocal.segment.pixel_maps import MapPlan, plan_maps, score_windows

TILE_PX = 32
MOST_CLIPPED = 0.25
BINS_PX = (1, 2, 4, 8)
"""Pixels are looked at as they are and averaged, so that wide structure counts too."""
LEAST_AGREEMENT, LEAST_SIGNIFICANCE = 0.05, 6.5
"""Least share of a tile's variance that neighbouring pixels have in common, and least number of
standard errors: among the tiles of a stack, noise reaches about 5."""
MOST_RELIEF = 45.0
"""Of noise alone, also where light falls towards the corners. Wide smooth structure passes here:
within a tile it looks like a slope of the light, but tiles differ."""
SURROGATE_PX = 256
MARGIN = 1.05
"""Scores must pass the highest score of as much noise by this factor."""
PATCHES, PATCH_PX = 2, 128
ROWS_AT_ONCE = 2**22


@dataclass(frozen=True, eq=False)
class Evidence:
    """What one pass over a stack says of its noise and structure.

    Parameters
    ----------
    clipped
        Share of pixels at the camera's limit.
    spoilt
        Numbers of the planes that hold pixels that are not finite.
    constant
        Whether all pixels of all planes are equal.
    structure
        Largest agreement of neighbouring pixels of any tile, in limits: above 1 is structure.
    noise_counts
        Standard deviation of the white noise, in counts.
    level_counts
        Median brightness.
    unevenness
        Range of the standard deviations of all tiles, in relative standard errors of white noise.
    relief
        The same of what neighbouring pixels have in common, so that hot pixels are none.
    """

    clipped: float
    spoilt: tuple[int, ...]
    constant: bool
    structure: float
    noise_counts: float
    level_counts: float
    unevenness: float
    relief: float


def look_for_structure(stack: FocalStack) -> Evidence:
    """Measure noise and structure of a stack in tiles, plane by plane.

    The autocovariance C(k) of a tile at steps of k pixels holds white noise at k = 0 only, and
    where structure is smooth it falls as k^2. So C(1) - C(2), which is free of slopes of the
    light, is structure; and C(0) - C(1) - (C(1) - C(2)) / 3 is the power of the noise.
    """
    saturation = stack.saturation_counts
    planes, size_y, size_x = stack.shape
    clipped, structure = 0, 0.0
    low, high = np.inf, -np.inf
    spoilt, noise, level, spreads, commons = [], [], [], [], []
    band = max(8 * TILE_PX, ROWS_AT_ONCE // size_x // (8 * TILE_PX) * 8 * TILE_PX)
    for z in range(planes):
        of_plane: list[NDArray[np.float64]] = []
        for rows in stack.row_bands(band):
            counts = stack.read_counts(z, rows)
            if counts.dtype.kind == "f" and not np.isfinite(counts).all():
                spoilt.append(z)
                known = np.isfinite(counts)
                middle = np.median(counts[known]) if known.any() else 0.0
                counts = np.where(known, counts, middle)
            low, high = min(low, float(counts.min())), max(high, float(counts.max()))
            if saturation is not None and high >= saturation:
                clipped += int((counts >= saturation).sum())
            level.append(float(np.median(counts[::8, ::8])))
            spread, common, white = _powers(counts)
            of_plane.append(white)
            spreads.append(spread)
            commons.append(common)
            if structure <= 1.0:
                structure = max(structure, _agreement(counts))
        noise.append(np.concatenate(of_plane))
    # Blurred planes show the noise of a tile that structure hides in others.
    power = np.quantile(np.stack(noise), 0.25, axis=0)
    return Evidence(
        clipped=clipped / (planes * size_y * size_x),
        spoilt=tuple(dict.fromkeys(spoilt)),
        constant=not low < high,
        structure=structure,
        noise_counts=float(np.sqrt(max(np.median(power), 0.0))),
        level_counts=float(np.median(level)),
        unevenness=_unevenness(np.concatenate(spreads)),
        relief=_unevenness(np.concatenate(commons) + np.median(power)),
    )


def _powers(
    counts: NDArray[np.generic],
) -> tuple[Float[np.ndarray, " tiles"], Float[np.ndarray, " tiles"], Float[np.ndarray, " tiles"]]:
    """Variance of each tile of a band, covariance of neighbours, and power of the white noise."""
    side = min(TILE_PX, *counts.shape)
    if side < 4:
        return np.ones(1), np.zeros(1), np.zeros(1)
    total, one, two = (
        np.asarray(focus_map(counts, name, side, side), dtype=np.float64).ravel()
        for name in ("variance", "vollath5", "vollath4")
    )
    return total, np.maximum(one, 0.0), np.maximum(total - one - two / 3.0, 0.0)


def _unevenness(spreads: Float[np.ndarray, " tiles"]) -> float:
    low, high = (float(np.quantile(spreads, share)) for share in (0.001, 0.999))
    return float("inf") if low <= 0 else 0.5 * TILE_PX * float(np.log(high / low))


def _agreement(counts: NDArray[np.generic]) -> float:
    """Largest agreement of neighbours in any tile, along x or y, as a multiple of the limit."""
    best = 0.0
    for bin_px in BINS_PX:
        image = bin_pixels(counts, bin_px)
        side = min(TILE_PX, *image.shape)
        if side < 8:
            break
        limit = max(LEAST_AGREEMENT, LEAST_SIGNIFICANCE * np.sqrt(2.0) / side)
        for turned in (image, np.ascontiguousarray(image.T)):
            shared = np.asarray(focus_map(turned, "vollath4", side, side), dtype=np.float64)
            power = np.asarray(focus_map(turned, "variance", side, side), dtype=np.float64)
            share = np.divide(shared, power, out=np.zeros_like(shared), where=power > 0)
            best = max(best, float(share.max()) / limit)
        if best > 1.0:
            break
    return best


def noise_ceiling(
    evidence: Evidence,
    measure: str,
    plan: MapPlan,
    *,
    setup: OpticalSetup | None,
    device: str = "cpu",
) -> float:
    """The highest value that a map of noise of the stack's own strength reaches.

    Minus infinity for entropy and the spectral measures that do not know the gain: noise scores
    high by them, whatever its strength.
    """
    row = CATALOG[measure]
    if not row.gain or evidence.noise_counts <= 0:
        return -np.inf
    side = min(SURROGATE_PX, max(plan.sizes))
    noise = np.random.default_rng(0).normal(
        evidence.level_counts, evidence.noise_counts, (1, side, side)
    )
    windows, strides = _sizes_of(plan)
    small = plan_maps((side, side), windows, strides, overlap=plan.overlap)
    surrogate = FocalStack.of(noise.astype(np.float32))
    scores = score_windows(surrogate, measure, small, setup=setup, device=device)
    return MARGIN * float(np.nanmax(small.cells([score[0] for score in scores])))


def _sizes_of(plan: MapPlan) -> tuple[list[int], list[int]]:
    """Window sizes and strides of a plan, as they were laid."""
    windows = [int(rows.sizes.max()) for rows, _ in plan.lattices]
    strides = [int(np.diff(rows.starts).max(initial=1)) for rows, _ in plan.lattices]
    return windows, [min(strides), *strides]


def contradiction(evidence: Evidence) -> tuple[Status, str] | None:
    """Say why there can be no mask, before any map is made; None if there may be one."""
    if evidence.clipped > MOST_CLIPPED:
        return (
            Status.SATURATED,
            f"{100 * evidence.clipped:.0f} % of the pixels are at the camera's limit: lower the "
            "exposure or gain and image again",
        )
    if evidence.constant:
        return Status.BLANK, "every pixel of every plane has the same value"
    if evidence.structure <= 1.0 and evidence.relief <= MOST_RELIEF:
        return Status.BLANK, "the field holds no structure beyond noise"
    return None


def find_phase(
    stack: FocalStack, best: Float[np.ndarray, "cy cx"], edges: Sequence[NDArray[np.int64]]
) -> PhaseFocus | None:
    """Look for contrast that turns over, in the patches where the map of maxima is highest.

    Parameters
    ----------
    stack
        All planes.
    best
        The largest score of each cell through z.
    edges
        First pixels of the cells along y and x, and the end.
    """
    if "fluorescence" in (stack.modality or "") or stack.shape[0] < 5:
        return None
    sides = [min(PATCH_PX, size) for size in stack.shape[1:]]
    remaining = np.nan_to_num(best, nan=-np.inf)
    patches = []
    for _ in range(PATCHES):
        cell = np.unravel_index(int(remaining.argmax()), remaining.shape)
        if not np.isfinite(remaining[cell]):
            break
        spans = []
        for at, edge, side, size in zip(cell, edges, sides, stack.shape[1:], strict=True):
            start = int(np.clip((edge[at] + edge[at + 1] - side) // 2, 0, size - side))
            spans.append(slice(start, start + side))
        counts = stack.read_counts(slice(None), *spans).astype(np.float32)
        if np.isfinite(counts).all():
            patches.append(counts)
        inside = [(edge[:-1] < span.stop) & (edge[1:] > span.start)
                  for edge, span in zip(edges, spans, strict=True)]  # fmt: skip
        remaining[np.ix_(*inside)] = -np.inf
    return find_phase_focus(patches)
