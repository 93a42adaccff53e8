"""Window means in one pass over memory: numba kernels for the common local measures.

Only ``parfocal.measures.maps`` imports this module, when it first needs it, because numba costs
about a second to import.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from parfocal.measures import fast_passes
from parfocal.measures.fast_entropy import window_entropy
from parfocal.measures.fast_lanes import LANES
from parfocal.measures.fast_threads import bands_of, run_shared, thread_count
from parfocal.measures.windows import Spans

PLANS = 16
"""Plans that are kept, for maps that follow one another."""

SPARE = 2 * LANES
"""Columns beyond the image that vectors may fill."""

DTYPES = ("uint8", "uint16", "float32", "float64")
"""Images that the kernels take as they are; one is compiled for each dtype when first used."""


@dataclass(frozen=True)
class Pass:
    """A compiled pass and the reach (dy, dx) of each sum beyond its own pixel.

    ``split`` says which sums of integer images are whole numbers in two halves, or in one; where
    it is empty, they go through float32 sums of a few rows. The features are the sums times
    ``weights``, added up where there are any.
    """

    function: Callable[..., None]
    reach_px: tuple[tuple[int, int], ...]
    pitch_px: int = 1
    split: tuple[bool, ...] = ()
    scale: float = 1.0
    weights: tuple[float, ...] = ()


_SQUARES = Pass(fast_passes.value_and_square, ((0, 0), (0, 0)), split=(False, True))
_AROUND = ((2, 2),)

PASSES = {
    "brenner": Pass(fast_passes.brenner, ((0, 2),)),
    "tenengrad": Pass(fast_passes.sobel_energy, _AROUND),
    "tenengrad_variance": Pass(fast_passes.sobel_magnitude, _AROUND * 2),
    "laplacian": Pass(fast_passes.bend_modulus, _AROUND, split=(False,)),
    "energy_of_laplacian": Pass(fast_passes.bend_energy, _AROUND),
    "modified_laplacian": Pass(fast_passes.axes_moduli, _AROUND, split=(False,)),
    "diagonal_laplacian": Pass(
        fast_passes.axes_and_diagonals,
        _AROUND * 2,
        split=(False, False),
        weights=(1.0, 1.0 / math.sqrt(2.0)),
    ),
    "variance_of_laplacian": Pass(fast_passes.bend_and_square, _AROUND * 2),
    "smd": Pass(fast_passes.absolute_steps, ((0, 1), (1, 0)), split=(False, False)),
    "smd2": Pass(fast_passes.product_of_steps, ((1, 1),)),
    "vollath4": Pass(fast_passes.squared_steps, ((0, 1), (0, 2)), split=(True, True)),
    "vollath5": Pass(
        fast_passes.values_and_step, ((0, 0), (0, 0), (0, 1)), split=(False, True, True)
    ),
    "variance": _SQUARES,
    "std": _SQUARES,
    "normalized_variance": _SQUARES,
    "haar_dwt": Pass(fast_passes.haar_energies, ((0, 0), (0, 0)), pitch_px=2, scale=0.25),
}
"""Measures with a compiled pass; features in the order of the row's LocalMeasure."""

MEASURES = frozenset({*PASSES, "entropy"})
"""All measures that ``window_means`` knows."""


@dataclass(frozen=True)
class Plan:
    """Where the features of every window lie, which does not depend on the pixels."""

    lattice: tuple[NDArray[Any], ...]
    most_open: int
    """Most windows of one feature that are under way at once."""
    is_empty: NDArray[np.bool_]
    """Whether a window is too small for a feature: (k, 1, j, i)."""


@lru_cache(maxsize=PLANS)
def _planned(name: str, shape: tuple[int, int], *edges: bytes) -> Plan:
    one = PASSES[name]
    starts_y, stops_y, starts_x, stops_x = (np.frombuffer(edge, np.int64) for edge in edges)
    reach_y, reach_x = zip(*one.reach_px, strict=True)
    down = _own_features(Spans(starts_y, stops_y), shape[0], reach_y, one.pitch_px)
    across = _own_features(Spans(starts_x, stops_x), shape[1], reach_x, one.pitch_px)
    borders = [np.unique(edges) for edges in across.transpose(1, 0, 2)]
    cuts = np.zeros((len(borders), max(map(len, borders))), np.int64)
    for own, border in zip(cuts, borders, strict=True):
        own[: len(border)] = border
    left, right = (
        np.stack([np.searchsorted(*pair) for pair in zip(borders, side, strict=True)])
        for side in across
    )
    order = np.arange(down.shape[-1])
    pairs = zip(*down, strict=True)
    most_open = max(int((order - np.searchsorted(b, a)).max()) for a, b in pairs) + 1
    with np.errstate(divide="ignore"):
        per_row = one.scale / (down[1] - down[0])
        per_column = 1.0 / (across[1] - across[0])
    widths = np.array([len(border) - 1 for border in borders])
    lattice = (*down, cuts, widths, left, right, per_row, per_column)
    is_empty = np.isinf(per_row)[:, None, :, None] | np.isinf(per_column)[:, None, None, :]
    return Plan(tuple(np.ascontiguousarray(part) for part in lattice), most_open, is_empty)


def _own_features(
    spans: Spans, size_px: int, reach_px: tuple[int, ...], pitch_px: int
) -> NDArray[np.int64]:
    """Starts and stops of the features that are made from each window's own pixels: (2, k, n)."""
    size = size_px // pitch_px
    own = [spans.in_features(size_px, size - reach, pitch_px) for reach in reach_px]
    return np.array([[span.starts for span in own], [span.stops for span in own]])


def window_means(
    planes: NDArray[Any], name: str, rows: Spans, columns: Spans
) -> NDArray[np.float64] | None:
    """Means of every feature of a measure over every window of a lattice; entropy as it is.

    Parameters
    ----------
    planes
        (n, y, x) of a dtype in ``DTYPES``.
    name
        One of ``MEASURES``.
    rows, columns
        The windows; starts divisible by the measure's pitch.

    Returns
    -------
    (k, n, rows, columns); NaN for a window too small to hold a feature. None if a pixel is not
    finite, which would spoil the running sums.
    """
    if name == "entropy":
        bits = window_entropy(planes, rows, columns)
        return None if bits is None else bits[None]
    one = PASSES[name]
    edges = (edge.tobytes() for edge in (rows.starts, rows.stops, columns.starts, columns.stops))
    plan = _planned(name, planes.shape[1:], *edges)
    # A stack that is not contiguous is copied in parts.
    step = len(planes) if planes.flags.c_contiguous else 4 * thread_count()
    parts = (planes[first : first + step] for first in range(0, len(planes), step))
    found = [_means(np.ascontiguousarray(part), one, plan, rows) for part in parts]
    means = found[0] if len(found) == 1 else np.concatenate(found, axis=1)
    if planes.dtype.kind == "f" and not (np.isfinite(means) | plan.is_empty).all():
        return None
    if one.weights:
        means = np.einsum("k,nkji->nji", one.weights, means.swapaxes(0, 1))[None]
    return means


def _means(planes: NDArray[Any], one: Pass, plan: Plan, rows: Spans) -> NDArray[np.float64]:
    starts, right = plan.lattice[0], plan.lattice[5]
    means = np.empty((len(starts), len(planes), starts.shape[1], right.shape[1]))
    bands = bands_of(rows, len(planes))
    jobs = [(n, band.start, band.stop) for n in range(len(planes)) for band in bands]
    shared = np.zeros(1, np.int64), np.array(jobs, np.int64)

    def work(_: int) -> None:
        one.function(planes, shared, plan.lattice, _new_state(one, planes, plan), means)

    run_shared(work, list(range(min(len(jobs), thread_count()))))
    return means


def _new_state(one: Pass, planes: NDArray[Any], plan: Plan) -> tuple[NDArray[Any], ...]:
    """Accumulators and scratch of one thread; ``fast_cells`` says what is what."""
    whole = planes.dtype.kind == "u"
    exact = whole and bool(one.split)
    dtype = np.dtype(np.uint32 if exact else np.float32 if whole else np.float64)
    wide = np.uint64 if exact else np.float64
    (features, cuts), width = plan.lattice[2].shape, planes.shape[-1] // one.pitch_px + SPARE
    # Rows of accumulators that lay 4096 bytes apart would get into each other's way.
    padded = width + (640 - width * dtype.itemsize) % 4096 // dtype.itemsize
    part = np.empty((2 * features, padded), dtype)
    return (
        part,
        part.view(np.int32) if exact else part,
        np.empty((features, cuts), wide),
        np.empty((features, plan.most_open, cuts), wide),
        np.array(one.split if exact else [False] * features),
        np.empty((2, features), np.int64),
        np.empty(features, np.int64),
        np.empty(cuts, wide),
    )
