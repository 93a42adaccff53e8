"""Window means in one pass over memory: numba kernels for the common local measures.

Only ``parfocal.measures.maps`` imports this module, when it first needs it, because numba costs
about a second to import.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from parfocal.measures import fast_passes
from parfocal.measures.fast_entropy import window_entropy
from parfocal.measures.fast_threads import bands_of, chunks_of, run_shared
from parfocal.measures.windows import Spans

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
class Borders:
    """Where each feature's windows start and stop along one axis, in features: (k, n)."""

    starts: NDArray[np.int64]
    stops: NDArray[np.int64]

    @classmethod
    def of(cls, spans: Spans, size_px: int, reach_px: list[int], pitch_px: int) -> Borders:
        """Give each window the features that are made from its own pixels alone."""
        size = size_px // pitch_px
        own = [spans.in_features(size_px, size - reach, pitch_px) for reach in reach_px]
        return cls(np.stack([span.starts for span in own]), np.stack([span.stops for span in own]))

    @property
    def counts(self) -> NDArray[np.int64]:
        """Features in each window."""
        return self.stops - self.starts

    @property
    def most_open(self) -> int:
        """Most windows of one feature that are under way at once."""
        order = np.arange(self.starts.shape[1])
        pairs = zip(self.starts, self.stops, strict=True)
        return max(int((order - np.searchsorted(b, a)).max()) for a, b in pairs) + 1


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
    count, size_y, size_x = planes.shape
    down = Borders.of(rows, size_y, [dy for dy, _ in one.reach_px], one.pitch_px)
    across = Borders.of(columns, size_x, [dx for _, dx in one.reach_px], one.pitch_px)
    cuts = np.unique(np.concatenate([across.starts, across.stops], axis=None))
    place = cuts, np.searchsorted(cuts, across.starts), np.searchsorted(cuts, across.stops)
    sums = np.empty((count, len(one.reach_px), len(rows), len(columns)))
    states: list[tuple[NDArray[Any], ...]] = []

    def add(job: tuple[slice, slice]) -> None:
        some, band = job
        chunk = np.ascontiguousarray(planes[some])
        try:
            state = states.pop()
        except IndexError:
            state = _new_state(one, chunk, down.most_open, len(cuts))
        own = down.starts[:, band].copy(), down.stops[:, band].copy()
        windows = np.empty((len(chunk), *sums.shape[1:2], len(own[0][0]), len(columns)))
        one.function(chunk, own, place, state, windows)
        sums[some, :, band] = windows
        states.append(state)

    run_shared(add, list(itertools.product(chunks_of(count), bands_of(rows, count))))
    if planes.dtype.kind == "f" and not np.isfinite(sums).all():
        return None
    with np.errstate(divide="ignore", invalid="ignore"):
        sums *= one.scale / (down.counts[:, :, None] * across.counts[:, None, :])
    if one.weights:
        sums = np.einsum("k,nkji->nji", one.weights, sums)[:, None]
    return sums.swapaxes(0, 1)


def _new_state(
    one: Pass, planes: NDArray[Any], most_open: int, cuts: int
) -> tuple[NDArray[Any], ...]:
    """Accumulators and scratch of one thread; ``fast_cells.advance`` says what is what."""
    whole = planes.dtype.kind == "u"
    exact = whole and bool(one.split)
    dtype = np.dtype(np.uint32 if exact else np.float32 if whole else np.float64)
    wide = np.uint64 if exact else np.float64
    features, width = len(one.reach_px), planes.shape[-1] // one.pitch_px
    # Rows of accumulators that lay 4096 bytes apart would get into each other's way.
    padded = width + (640 - width * dtype.itemsize) % 4096 // dtype.itemsize
    part = np.empty((2 * features, padded), dtype)
    return (
        part,
        part.view(np.int32) if exact else part,
        np.empty((features, cuts - 1), wide),
        np.empty((features, most_open, cuts - 1), wide),
        np.array(one.split if exact else [False] * features),
        np.empty((2, features), np.int64),
        np.empty(cuts, wide),
    )
