"""The power spectrum of one image: windowed tiles, averaged over those that hold structure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from scipy import fft

from parfocal.core.binning import bin_pixels
from parfocal.core.errors import InputError
from parfocal.score.blur_model import HANN_CELLS, Rings, rings

TILE_PX = 256
# Up to this many tiles overlap by half, so that no structure falls between two windows.
MOST_OVERLAPPING = 64
# Structure stands out of the noise if slow rings hold this many standard errors more power.
LEAST_SIGNIFICANCE = 5.0
# Below this cut-off, in cycles per pixel, pixels are averaged: else a tile holds too little of it.
LOWEST_CUTOFF = 0.225
# Where cameras of 8 to 16 bits clip, and where floating-point images scaled to 0 .. 1 do.
CAMERA_LIMITS = (1.0, 255.0, 1023.0, 4095.0, 16383.0, 65535.0)

ReadRows = Callable[[slice], NDArray[Any]]


@dataclass(frozen=True, eq=False)
class ImageSpectrum:
    """Mean power of the tiles with structure, in rings of frequency.

    ``tiles`` is how many independent tiles that is, ``voted`` and ``seen`` how many had structure
    and how many there were, ``clipped`` the share of pixels at the camera's limit in those that
    voted (in all, if none did), ``clipped_variance`` the share of the variance that these pixels
    make, ``flat`` whether all pixels were equal.
    """

    power: Float[np.ndarray, " ring"]
    rings: Rings
    tiles: float
    voted: int
    seen: int
    clipped: float
    clipped_variance: float
    flat: bool


def image_spectrum(
    read: ReadRows,
    sizes: tuple[int, int],
    cutoff_cycles_per_px: float,
    *,
    limit: float | None,
    name: str,
) -> ImageSpectrum:
    """Average the periodograms of an image's tiles [Welch1967]_, one row of tiles in memory.

    A tile counts by its structure, but no tile by more than the typical one: a single bright
    speck is not the field.

    Parameters
    ----------
    read
        Gives rows of the image, in counts, in their stored type.
    sizes
        Sizes (y, x) of the image in px.
    cutoff_cycles_per_px
        The optics' cut-off.
    limit
        Counts at which the camera clips, if known; the usual limits are watched anyway.
    name
        What errors call the image.

    Raises
    ------
    InputError
        If a pixel is NaN or infinite.
    """
    bin_px = _choose_bin(sizes, cutoff_cycles_per_px)
    side = min(TILE_PX, sizes[0] // bin_px, sizes[1] // bin_px)
    ring = rings((side, side), round(cutoff_cycles_per_px * bin_px, 4))
    # Hann's window, without the zero at its end.
    slope = np.hanning(side + 2)[1:-1]
    window = np.outer(slope, slope)
    step_px = side * bin_px
    starts = [_starts(size, step_px, sizes) for size in sizes]
    powers, highest, at_top, top_variance, lowest = [], [], [], [], np.inf
    for tile in _tiles(read, starts, step_px):
        top, low = float(tile.max()), float(tile.min())
        if not np.isfinite(top + low):
            raise InputError(
                f"{name} holds NaN or infinite pixels; "
                "replace them, or choose a region without them (--region)."
            )
        lowest = min(lowest, low)
        highest.append(top)
        values = tile.astype(np.float64)
        at_top.append(float((values == top).mean()))
        top_variance.append((top - values.mean()) ** 2 / max(values.var(), 1e-300))
        values = bin_pixels(values, bin_px).astype(np.float64)
        values -= (values * window).sum() / window.sum()
        spectrum = fft.rfft2(values * window)
        powers.append(ring.mean(np.square(spectrum.real) + np.square(spectrum.imag)))
    brightest = max(highest)
    flat = lowest == brightest
    clips = brightest == limit or (brightest in CAMERA_LIMITS and not flat)
    clipped = np.array(at_top) * (np.array(highest) == brightest) * clips
    clipped = np.stack([clipped, clipped * np.array(top_variance)])
    overlap = max(1.0, len(powers) * step_px**2 / (sizes[0] * sizes[1]))
    return _average(np.array(powers), ring, clipped, overlap, flat=flat)


def _average(
    powers: NDArray[np.float64],
    ring: Rings,
    clipped: NDArray[np.float64],
    overlap: float,
    *,
    flat: bool,
) -> ImageSpectrum:
    """Average over the tiles that hold structure; over all, if none does."""
    structure = _structure(powers, ring)
    votes = structure > 0
    if not votes.any():
        weight = np.ones(len(powers))
    else:
        cap = np.median(structure[votes])
        weight = votes / np.maximum(structure, cap)
    strength = weight * np.where(votes, structure, 1.0)
    tiles = max(1.0, strength.sum() ** 2 / np.square(strength).sum() / overlap)
    power = np.average(powers, axis=0, weights=weight)
    area, variance = np.average(clipped, axis=1, weights=strength)
    return ImageSpectrum(
        power=power, rings=ring, tiles=tiles, voted=int(votes.sum()), seen=len(powers),
        clipped=float(area), clipped_variance=float(variance), flat=flat,
    )  # fmt: skip


def _structure(powers: NDArray[np.float64], ring: Rings) -> NDArray[np.float64]:
    """Power of slow rings above that of fast ones in each tile; 0 where noise explains it."""
    middle, last = len(ring.count) // 2, len(ring.count) * 3 // 4
    slow = np.average(powers[:, :middle], axis=1, weights=ring.count[:middle])
    fast = np.average(powers[:, last:], axis=1, weights=ring.count[last:])
    cells = 1 / ring.count[:middle].sum() + 1 / ring.count[last:].sum()
    noise = fast * LEAST_SIGNIFICANCE * np.sqrt(HANN_CELLS * cells)
    return np.where(slow - fast > noise, slow - fast, 0.0)


def _choose_bin(sizes: tuple[int, int], cutoff_cycles_per_px: float) -> int:
    """Pixels to average along each axis where the camera oversamples by far."""
    wanted = int(2 * LOWEST_CUTOFF / cutoff_cycles_per_px)
    return max(1, min(wanted, min(sizes) // TILE_PX))


def _starts(size: int, tile_px: int, sizes: tuple[int, int]) -> list[int]:
    """First pixels of tiles along one axis: spread evenly, overlapping where tiles are few."""
    overlapping = (2 * sizes[0] // tile_px) * (2 * sizes[1] // tile_px) <= MOST_OVERLAPPING
    many = max(1, round(size / tile_px * (2 if overlapping else 1)) - overlapping)
    room = size - tile_px
    if many == 1 and room:
        many = 2 if room > tile_px // 4 else 1
    if many == 1:
        return [room // 2]
    return [int(start) for start in np.linspace(0, room, many)]


def _tiles(read: ReadRows, starts: list[list[int]], tile_px: int) -> Iterator[NDArray[Any]]:
    """Read one row of tiles at a time, and hand them on one by one."""
    for top in starts[0]:
        rows = read(slice(top, top + tile_px))
        for left in starts[1]:
            yield rows[:, left : left + tile_px]
