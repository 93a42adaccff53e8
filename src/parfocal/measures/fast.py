"""Window means in one pass over memory: numba kernels for the common local measures.

Only ``parfocal.measures.maps`` imports this module, when it first needs it, because numba costs
about a second to import.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from parfocal.measures import fast_passes
from parfocal.measures.fast_cells import close_windows
from parfocal.measures.fast_entropy import window_entropy
from parfocal.measures.fast_threads import run_shared, thread_count
from parfocal.measures.windows import Spans

DTYPES = ("uint8", "uint16", "float32", "float64")
"""Images that the kernels take as they are; one is compiled for each dtype when first used."""


@dataclass(frozen=True)
class Pass:
    """A compiled pass and the reach (dy, dx) of each feature beyond its own pixel.

    ``scale`` times a sum is the feature; ``whole`` says that features of integers are integers.
    """

    function: Callable[..., None]
    reach_px: tuple[tuple[int, int], ...]
    pitch_px: int = 1
    scale: float = 1.0
    whole: bool = True


_SQUARES = Pass(fast_passes.value_and_square, ((0, 0), (0, 0)))
_LAPLACE = ((2, 2),)

PASSES = {
    "brenner": Pass(fast_passes.brenner, ((0, 2),)),
    "tenengrad": Pass(fast_passes.sobel_energy, ((2, 2),)),
    "tenengrad_variance": Pass(fast_passes.sobel_magnitude, ((2, 2), (2, 2)), whole=False),
    "laplacian": Pass(fast_passes.bend_modulus, _LAPLACE),
    "energy_of_laplacian": Pass(fast_passes.bend_energy, _LAPLACE),
    "modified_laplacian": Pass(fast_passes.axes_moduli, _LAPLACE),
    "diagonal_laplacian": Pass(fast_passes.axes_and_diagonals, _LAPLACE, whole=False),
    "variance_of_laplacian": Pass(fast_passes.bend_and_square, _LAPLACE * 2),
    "smd": Pass(fast_passes.absolute_steps, ((0, 1), (1, 0))),
    "smd2": Pass(fast_passes.product_of_steps, ((1, 1),)),
    "vollath4": Pass(fast_passes.squared_steps, ((0, 1), (0, 2))),
    "vollath5": Pass(fast_passes.values_and_step, ((0, 0), (0, 0), (0, 1))),
    "variance": _SQUARES,
    "std": _SQUARES,
    "normalized_variance": _SQUARES,
    "haar_dwt": Pass(fast_passes.haar_energies, ((0, 0), (0, 0)), pitch_px=2, scale=0.25),
}
"""Measures with a compiled pass; features in the order of the row's LocalMeasure."""

MEASURES = frozenset({*PASSES, "entropy"})
"""All measures that ``window_means`` knows."""


@dataclass(frozen=True)
class Cuts:
    """Borders of cells along one axis, and where each feature's windows lie among them."""

    borders: NDArray[np.int64]
    starts: NDArray[np.int64]  # (k, n), indices into the borders
    stops: NDArray[np.int64]
    counts: NDArray[np.int64]  # features in each window

    @classmethod
    def of(cls, spans: Spans, size_px: int, reach_px: list[int], pitch_px: int) -> Cuts:
        """Cut an axis, in units of features, at every start and stop of every feature's windows."""
        size = size_px // pitch_px
        own = [spans.in_features(size_px, size - reach, pitch_px) for reach in reach_px]
        starts = np.stack([span.starts for span in own])
        stops = np.stack([span.stops for span in own])
        borders = np.unique(np.concatenate([starts, stops], axis=None))
        find = np.searchsorted
        return cls(borders, find(borders, starts), find(borders, stops), stops - starts)


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
    down = Cuts.of(rows, size_y, [dy for dy, _ in one.reach_px], one.pitch_px)
    across = Cuts.of(columns, size_x, [dx for _, dx in one.reach_px], one.pitch_px)
    means = np.empty((count, len(one.reach_px), len(rows), len(columns)))
    bands = max(1, thread_count() // max(1, count))
    if bands == 1:
        jobs = list(zip(planes, means, strict=True))
        run_shared(lambda job: _whole_plane(job[0], one, down, across, job[1]), jobs)
    else:
        for plane, windows in zip(planes, means, strict=True):
            _banded_plane(plane, one, down, across, windows, bands)
    if not np.isfinite(means).all():
        return None
    with np.errstate(divide="ignore", invalid="ignore"):
        means *= one.scale / (down.counts[:, :, None] * across.counts[:, None, :])
    return means.swapaxes(0, 1)


def _whole_plane(
    plane: NDArray[Any], one: Pass, down: Cuts, across: Cuts, windows: NDArray[np.float64]
) -> None:
    _banded_plane(plane, one, down, across, windows, 1)


def _banded_plane(
    plane: NDArray[Any],
    one: Pass,
    down: Cuts,
    across: Cuts,
    windows: NDArray[np.float64],
    bands: int,
) -> None:
    plane = np.ascontiguousarray(plane)
    dtype = np.int64 if one.whole and plane.dtype.kind == "u" else np.float64
    features, last = len(one.reach_px), len(down.borders) - 1
    sums = np.zeros((last + 1, features, len(across.starts[0])), dtype)

    place = (across.borders, across.starts, across.stops)

    def add_rows(band: tuple[int, int]) -> None:
        one.function(plane, down.borders, *band, place, sums)

    edges = np.searchsorted(down.borders, np.linspace(0, down.borders[-1], bands + 1))
    run_shared(add_rows, list(itertools.pairwise(int(edge) for edge in edges)))
    close_windows(sums, down.starts, down.stops, windows)
