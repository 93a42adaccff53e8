"""One image of a focus run, and what is read from it: sharpness, tiles, light, structure."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from scipy import ndimage

from parfocal.core.binning import bin_pixels
from parfocal.core.errors import InputError, ShapeError
from parfocal.core.setup import OpticalSetup
from parfocal.measures import find_measure, focus_map, score
from parfocal.measures.scoring import setup_options

Region = tuple[int, int, int, int]
Score = Callable[[NDArray[Any]], Any]

TILES = 6
LEAST_TILE_PX = 16
# Full wells of the usual camera depths; a pile of pixels at one of them is clipped.
FULL_WELLS = (255.0, 1023.0, 4095.0, 16383.0, 65535.0)
LEAST_PILE = 0.001
GLANCE_PX = 96
OUTLIER = 6.0


@dataclass(frozen=True, eq=False)
class Reading:
    """What one image tells.

    Parameters
    ----------
    score
        Sharpness in the measure's own unit; larger is sharper.
    tile_scores
        (tile y, tile x); one tile where the measure is a function of the caller's.
    clipped
        Share of pixels at the camera's limit.
    mean
        Mean counts.
    structure
        Correlation of neighbouring pixels, 0 for white noise, at the best of four binnings.
    glance
        (y, x) small band-passed view of the middle, to tell contrast that turns over.
    pixels
        Number of pixels that were read, which sets the least noise of the score.
    """

    score: float
    tile_scores: Float[np.ndarray, "ty tx"]
    clipped: float
    mean: float
    structure: float
    glance: Float[np.ndarray, "gy gx"]
    pixels: int


@dataclass(frozen=True, eq=False, kw_only=True)
class Shot:
    """One image of a run.

    Parameters
    ----------
    number
        Counted from 0.
    z_commanded_um, z_reached_um
        Where the stage was sent, and where it said that it stood.
    score, tile_scores, clipped, mean, structure, glance, pixels
        See ``Reading``.
    seconds
        Time since the run began, when the image was there.
    exposure_ms
        Exposure, or None where the camera does not tell.
    dose
        Light since the run began, in ms at full power; the summed exposure where the
        microscope keeps no account of it.
    why
        What the search wanted with it, in plain words.
    image
        (y, x) counts, where images are kept.
    """

    number: int
    z_commanded_um: float
    z_reached_um: float
    score: float
    tile_scores: Float[np.ndarray, "ty tx"]
    clipped: float
    mean: float
    structure: float
    glance: Float[np.ndarray, "gy gx"]
    pixels: int
    seconds: float
    exposure_ms: float | None
    dose: float
    why: str = ""
    image: NDArray[Any] | None = None


@dataclass(frozen=True)
class Sharpness:
    """How images of one run are read.

    Parameters
    ----------
    measure
        A name in ``parfocal.measures.CATALOG``, or a function of one image (y, x) that gives a
        number, larger where it is sharper. A function is not asked about tiles.
    setup
        The optics, for measures that need them.
    region
        Rows and columns (top, bottom, left, right) in px that are read; default all.
    saturation_counts
        Counts at which the camera clips; default from the type and from pixels piled up.

    Raises
    ------
    UnknownNameError
        If there is no such measure.
    MetadataError
        If the measure needs optics that are not given.

    Examples
    --------
    >>> Sharpness("brenner").read(np.arange(64.0).reshape(8, 8)).score
    4.0
    """

    measure: str | Score = "tenengrad"
    setup: OpticalSetup | None = None
    region: Region | None = None
    saturation_counts: float | None = None

    def __post_init__(self) -> None:
        if isinstance(self.measure, str):
            setup_options(find_measure(self.measure), self.setup)
        elif not callable(self.measure):
            raise InputError(
                f"measure must be a name or a function of one image, but came as {self.measure!r}."
            )

    @property
    def name(self) -> str:
        """The measure's name, for records."""
        if isinstance(self.measure, str):
            return self.measure
        return str(getattr(self.measure, "__name__", type(self.measure).__name__))

    def read(self, image: NDArray[Any]) -> Reading:
        """Score one image (y, x).

        Raises
        ------
        ShapeError
            If the region does not lie inside the image.
        """
        area = self.cut(image)
        value, tiles = self._scores(area)
        return Reading(
            score=value,
            tile_scores=tiles,
            clipped=clipped_share(area, self.saturation_counts),
            mean=float(area.mean(dtype=np.float64)),
            structure=neighbour_correlation(_middle(area, 4 * GLANCE_PX)),
            glance=glance(area),
            pixels=area.size,
        )

    def cut(self, image: NDArray[Any]) -> NDArray[Any]:
        """The region of an image; ShapeError if it does not lie inside."""
        if self.region is None:
            return image
        top, bottom, left, right = self.region
        if not (0 <= top < bottom <= image.shape[0] and 0 <= left < right <= image.shape[1]):
            raise ShapeError(
                f"Region rows {top}:{bottom}, columns {left}:{right} does not lie inside images of "
                f"{image.shape[0]} x {image.shape[1]} px; give (top, bottom, left, right)."
            )
        return image[top:bottom, left:right]

    def _scores(self, area: NDArray[Any]) -> tuple[float, Float[np.ndarray, "ty tx"]]:
        if not isinstance(self.measure, str):
            value = float(self.measure(area))
            return value, np.full((1, 1), value)
        value = float(score(area, self.measure, setup=self.setup))
        least = max(LEAST_TILE_PX, find_measure(self.measure).least_px)
        side = max(min(area.shape) // TILES, least)
        if side > min(area.shape) // 2:
            return value, np.full((1, 1), value)
        tiles = focus_map(area, self.measure, side, side, setup=self.setup)
        return value, np.asarray(tiles, dtype=np.float64)


def clipped_share(image: NDArray[Any], saturation_counts: float | None = None) -> float:
    """Share of pixels at the camera's limit.

    Without ``saturation_counts`` that is the largest pixel, if it has a usual full well's value
    and more than one in a thousand pixels share it.

    Examples
    --------
    >>> clipped_share(np.array([[255, 255], [3, 4]], dtype=np.uint8))
    0.5
    """
    highest = float(image.max())
    if saturation_counts is not None:
        return float((image >= saturation_counts).mean()) if highest >= saturation_counts else 0.0
    if highest not in FULL_WELLS or image.dtype.kind not in "ui":
        return 0.0
    share = float((image == image.max()).mean())
    return share if share > LEAST_PILE else 0.0


def neighbour_correlation(image: NDArray[Any]) -> float:
    """Largest correlation of neighbouring pixels at binnings 1, 2, 4 and 8.

    Shading wider than nine (binned) pixels and hot pixels do not count. Zero for white noise
    within 5 standard errors, and where every pixel is the same.

    Examples
    --------
    >>> neighbour_correlation(np.random.default_rng(0).normal(size=(64, 64)))
    0.0
    """
    best = 0.0
    for bin_px in (1, 2, 4, 8):
        view = bin_pixels(image, bin_px).astype(np.float64)
        if min(view.shape) < 8:
            break
        fine = view - ndimage.uniform_filter(view, 9)
        spread = 1.4826 * float(np.median(np.abs(fine)))
        if spread:
            fine = np.clip(fine, -OUTLIER * spread, OUTLIER * spread)
        power = float(np.square(fine).mean())
        if power <= 1e-12 * max(1.0, float(np.square(view).mean())):
            continue
        along_x = float((fine[:, 1:] * fine[:, :-1]).mean())
        along_y = float((fine[1:] * fine[:-1]).mean())
        shared = (along_x + along_y) / (2 * power)
        best = max(best, shared if shared > 5.0 / math.sqrt(fine.size) else 0.0)
    return best


def glance(image: NDArray[Any]) -> Float[np.ndarray, "gy gx"]:
    """A small view of the middle, without its mean and its shading, of unit power."""
    view = bin_pixels(_middle(image, 2 * GLANCE_PX), 2 if min(image.shape) >= 32 else 1)
    view = view.astype(np.float64)
    fine, coarse = (ndimage.gaussian_filter(view, sigma) for sigma in (1.0, 4.0))
    band: NDArray[np.float64] = fine - coarse
    power = float(np.sqrt(np.square(band).mean()))
    return band / power if power > 1e-12 * max(1.0, float(np.abs(view).max())) else band * 0.0


def _middle(image: NDArray[Any], side_px: int) -> NDArray[Any]:
    """The middle of an image, of at most this side."""
    top, left = (max(0, (size - side_px) // 2) for size in image.shape)
    return image[top : top + side_px, left : left + side_px]
