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
from parfocal.measures.fast_cells import MOST_ROWS
from parfocal.measures.fast_entropy import window_entropy
from parfocal.measures.fast_threads import bands_of, run_shared
from parfocal.measures.windows import Spans

DTYPES = ("uint8", "uint16", "float32", "float64")
"""Images that the kernels take as they are; one is compiled for each dtype when first used."""


@dataclass(frozen=True)
class Pass:
    """A compiled pass and the reach (dy, dx) of each feature beyond its own pixel.

    ``scale`` times a sum is the feature. ``narrow`` says that features of 16-bit images are whole
    numbers that fit the integer accumulators of ``fast_cells``.
    """

    function: Callable[..., None]
    reach_px: tuple[tuple[int, int], ...]
    pitch_px: int = 1
    scale: float = 1.0
    narrow: bool = False


_SQUARES = Pass(fast_passes.value_and_square, ((0, 0), (0, 0)), narrow=True)
_AROUND = ((2, 2),)

PASSES = {
    "brenner": Pass(fast_passes.brenner, ((0, 2),), narrow=True),
    "tenengrad": Pass(fast_passes.sobel_energy, _AROUND),
    "tenengrad_variance": Pass(fast_passes.sobel_magnitude, _AROUND * 2),
    "laplacian": Pass(fast_passes.bend_modulus, _AROUND, narrow=True),
    "energy_of_laplacian": Pass(fast_passes.bend_energy, _AROUND),
    "modified_laplacian": Pass(fast_passes.axes_moduli, _AROUND, narrow=True),
    "diagonal_laplacian": Pass(fast_passes.axes_and_diagonals, _AROUND),
    "variance_of_laplacian": Pass(fast_passes.bend_and_square, _AROUND * 2),
    "smd": Pass(fast_passes.absolute_steps, ((0, 1), (1, 0)), narrow=True),
    "smd2": Pass(fast_passes.product_of_steps, ((1, 1),), narrow=True),
    "vollath4": Pass(fast_passes.squared_steps, ((0, 1), (0, 2)), narrow=True),
    "vollath5": Pass(fast_passes.values_and_step, ((0, 0), (0, 0), (0, 1)), narrow=True),
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

    def part(self, first: int, last: int) -> Borders:
        """Windows ``first`` up to ``last``."""
        return Borders(self.starts[:, first:last].copy(), self.stops[:, first:last].copy())


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
    if planes.dtype.kind == "u" and rows.sizes.max() > MOST_ROWS:
        planes = planes.astype(np.float32)  # exact; integer sums could overflow
    count, size_y, size_x = planes.shape
    down = Borders.of(rows, size_y, [dy for dy, _ in one.reach_px], one.pitch_px)
    across = Borders.of(columns, size_x, [dx for _, dx in one.reach_px], one.pitch_px)
    sums = np.empty((count, len(one.reach_px), len(rows), len(columns)))

    def add(job: tuple[int, tuple[int, int]]) -> None:
        number, band = job
        _add_windows(planes[number], one, down.part(*band), across, sums[number, :, slice(*band)])

    run_shared(add, list(itertools.product(range(count), bands_of(rows, count))))
    if planes.dtype.kind == "f" and not np.isfinite(sums).all():
        return None
    with np.errstate(divide="ignore", invalid="ignore"):
        sums *= one.scale / (down.counts[:, :, None] * across.counts[:, None, :])
    return sums.swapaxes(0, 1)


def _add_windows(
    plane: NDArray[Any], one: Pass, down: Borders, across: Borders, windows: NDArray[np.float64]
) -> None:
    plane = np.ascontiguousarray(plane)
    width, features = plane.shape[1] // one.pitch_px, len(one.reach_px)
    narrow = one.narrow and plane.dtype.kind == "u"
    dtype, wide = (np.uint32, np.uint64) if narrow else (np.float64, np.float64)
    state = (
        np.zeros((2 * features, width), dtype),
        np.empty((features, down.most_open, 2, width), dtype),
        np.zeros((2, features), np.int64),
        np.empty(width + 1, wide),
    )
    one.function(plane, (down.starts, down.stops), (across.starts, across.stops), state, windows)
