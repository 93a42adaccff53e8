"""Split a focus map in two by its histogram: the thresholds of scikit-image, on cells."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, cast

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from skimage import filters

from parfocal.core.errors import InputError, UnknownNameError

BINS, FINE = 256, 32
"""Bins of the histogram that is split, and how many finer ones make up each."""
SAMPLES = 2**16


@dataclass(frozen=True)
class Threshold:
    """One rule of scikit-image: its function, and whether it takes a histogram or values."""

    name: str
    function: Callable[..., Any]
    by_histogram: bool
    source: str


THRESHOLDS = MappingProxyType(
    {
        row.name: row
        for row in (
            Threshold("otsu", filters.threshold_otsu, True, "Otsu1979"),
            Threshold("isodata", filters.threshold_isodata, True, "Ridler1978"),
            Threshold("yen", filters.threshold_yen, True, "Yen1995"),
            Threshold("minimum", filters.threshold_minimum, True, "Prewitt1966"),
            Threshold("triangle", filters.threshold_triangle, False, "Zack1977"),
            Threshold("li", filters.threshold_li, False, "Li1993"),
            Threshold("mean", filters.threshold_mean, False, "Glasbey1993"),
        )
    }
)


def find_threshold(name: str) -> Threshold:
    """Look a threshold up by name; UnknownNameError lists the ones that exist.

    Examples
    --------
    >>> find_threshold("otsu").source
    'Otsu1979'
    """
    if name not in THRESHOLDS:
        raise UnknownNameError("threshold", name, THRESHOLDS)
    return THRESHOLDS[name]


@dataclass(frozen=True, eq=False)
class Histogram:
    """Pixels in bins of equal width between the least and the largest value of some maps."""

    edges: Float[np.ndarray, " bins1"]
    pixels: Float[np.ndarray, " bins"]

    @classmethod
    def of(cls, maps: Iterable[NDArray[Any]], weights: NDArray[np.int64]) -> Histogram | None:
        """Count the pixels of maps, each cell by its weight; None where nothing is finite.

        Parameters
        ----------
        maps
            Maps (y, x), which can be gone through more than once; NaN takes no part.
        weights
            Pixels in each cell.
        """
        low, high = np.inf, -np.inf
        for cells in maps:
            known = cells[np.isfinite(cells)]
            if known.size:
                low, high = min(low, float(known.min())), max(high, float(known.max()))
        if low > high:
            return None
        edges = np.linspace(low, high, BINS * FINE + 1) if high > low else np.array([low, low])
        pixels = np.zeros(len(edges) - 1)
        scale = (len(edges) - 1) / (high - low) if high > low else 0.0
        for cells in maps:
            known = np.isfinite(cells)
            bins = ((cells[known].astype(np.float64) - low) * scale).astype(np.int64)
            np.minimum(bins, len(pixels) - 1, out=bins)
            pixels += np.bincount(bins, weights=weights[known], minlength=len(pixels))
        return cls(edges, pixels)

    @property
    def flat(self) -> bool:
        """Whether every pixel has the same value."""
        return len(self.pixels) == 1

    @property
    def centres(self) -> Float[np.ndarray, " bins"]:
        """Middle of each bin."""
        middle: NDArray[np.float64] = (self.edges[:-1] + self.edges[1:]) / 2
        return middle

    def quantile(self, share: float) -> float:
        """The value below which a share of the pixels lies."""
        running = np.cumsum(self.pixels)
        index = int(np.searchsorted(running, share * running[-1]))
        return float(self.centres[min(index, len(self.pixels) - 1)])


def split(histogram: Histogram, name: str) -> float:
    """The value above which pixels are in focus.

    Parameters
    ----------
    histogram
        Of one map, or of all maps of a stack.
    name
        A row of ``THRESHOLDS``.

    Raises
    ------
    UnknownNameError
        If there is no such threshold.
    InputError
        If it finds no place to split, as ``"minimum"`` where there are not two peaks.

    Notes
    -----
    Otsu, isodata, yen and minimum split 256 bins; the others take 65536 values at even steps of
    the distribution.

    Examples
    --------
    >>> cells = np.array([[1.0, 1.1, 5.0]])
    >>> histogram = Histogram.of([cells], np.array([[10, 10, 5]]))
    >>> 1.1 < split(histogram, "otsu") < 5.0
    True
    """
    row = find_threshold(name)
    if histogram.flat:
        return float(histogram.edges[0])
    try:
        if row.by_histogram:
            coarse = histogram.pixels.reshape(-1, FINE).sum(1)
            centres = histogram.centres.reshape(-1, FINE).mean(1)
            value = row.function(hist=(coarse, centres))
        else:
            value = row.function(_sample(histogram))
    except RuntimeError as error:
        raise InputError(
            f"The threshold {name!r} finds no place to split this map ({error}); choose "
            "threshold='otsu'."
        ) from error
    return float(cast(float, value))


def _sample(histogram: Histogram) -> NDArray[np.float64]:
    """Values at even steps of the distribution, the ends included."""
    filled = histogram.pixels > 0
    running = np.cumsum(histogram.pixels[filled])
    wanted = (np.arange(SAMPLES) + 0.5) / SAMPLES * running[-1]
    centres = histogram.centres[filled]
    values: NDArray[np.float64] = centres[np.searchsorted(running, wanted)]
    values[0], values[-1] = centres[0], centres[-1]
    return values
