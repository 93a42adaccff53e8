"""From tiles to one focus curve of the field: who votes, with what weight, and how sure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import NDArray

from parfocal.measures.peaks import (
    MEDIAN_CHI2,
    SECOND_DIFFERENCE_GAIN,
    Peak,
    find_peak,
    peak_planes,
    roughness,
)
from parfocal.score.tiles import Scale

# A tile votes when its curve's range exceeds its noise by this factor, the field as a whole by
# the second: among hundreds of tiles of white noise the widest range reaches 7.
TILE_SIGNIFICANCE = 8.5
LEAST_SIGNIFICANCE = 7.0
# So few tiles must stand out further: a measure with heavy tails throws up one in a field.
FEW_TILES, FEW_SIGNIFICANCE = 0.05, 13.0
# Curves of fewer planes do not show their own noise beside a peak.
LONG_CURVE, SHORT_CURVE = 16, 8
# A tile that rises by this share of its range in one plane only: debris or a cosmic ray, unless
# the whole field does the same.
LONE_RISE = 0.6
# Squared relative scatter of a mean gradient energy over white noise, times its pixels.
GRADIENT_SCATTER_PX = 3.5
RESAMPLES = 100


@dataclass(frozen=True, eq=False)
class FieldCurve:
    """The focus curve that the tiles of a field agree on.

    ``tiles`` (tile, z) run from 0 to 1 each and ``tile_noise`` is in the same unit; ``weights``
    say how much each counts; ``votes`` (tile y, tile x) marks who takes part. ``noise`` is one
    standard error of ``curve``, ``significance`` its range in such errors.
    """

    scale: Scale
    curve: Float[np.ndarray, " z"]
    noise: float
    significance: float
    tiles: Float[np.ndarray, "tiles z"]
    tile_noise: Float[np.ndarray, " tiles"]
    weights: Float[np.ndarray, " tiles"]
    votes: Bool[np.ndarray, "ty tx"]
    voted: bool
    peak: Peak

    @property
    def effective_tiles(self) -> float:
        """How many tiles of equal weight would average as well."""
        return float(self.weights.sum() ** 2 / np.square(self.weights).sum())

    def spread(self) -> Float[np.ndarray, " z"]:
        """One standard error of each score, from the disagreement of the tiles."""
        deviations = self.tiles - self.curve
        shares = self.weights / self.weights.sum()
        variance = (shares[:, None] ** 2 * deviations**2).sum(axis=0)
        total: NDArray[np.float64] = np.sqrt(variance + self.noise**2)
        return total


def combine_tiles(
    scores: Float[np.ndarray, "z ty tx"],
    scale: Scale,
    *,
    pixels: int,
    tissue_only: bool = True,
    excluded: Bool[np.ndarray, "ty tx"] | None = None,
) -> FieldCurve:
    """Average the tiles' curves, each weighted by its own range up to a cap.

    Tiles without signal (background) do not vote. The cap, the range of the tile at which half
    of all energy is reached, keeps one bright object from speaking for the whole field. Where no
    single tile stands out of its noise, the whole field is judged as one tile.

    Parameters
    ----------
    pixels
        Number of (binned) pixels in a tile, which sets its noise.
    tissue_only
        False lets every tile vote.
    excluded
        Tiles that must not vote.
    """
    grid = scores.shape[1:]
    curves = scores.reshape(len(scores), -1).T
    allowed = np.ones(len(curves), dtype=bool) if excluded is None else ~excluded.ravel()
    noise = _noise(curves, pixels)
    ranges = np.ptp(curves, axis=1)
    significant = ranges > TILE_SIGNIFICANCE * noise
    votes = allowed & (significant if tissue_only else ranges > 0)
    few = votes.sum() <= max(1.0, FEW_TILES * votes.size)
    if tissue_only and few and (ranges < FEW_SIGNIFICANCE * noise)[votes].all():
        votes = np.zeros_like(votes)
    if tissue_only:
        steady = votes & ~_lone_spikes(curves, ranges)
        votes = steady if steady.sum() >= max(2.0, 0.1 * votes.sum()) else votes
    voted = bool(votes.any())
    if voted:
        chosen, chosen_noise, tile_range = curves[votes], noise[votes], ranges[votes]
    else:
        pool = allowed if allowed.any() else np.ones_like(allowed)
        chosen = curves[pool].mean(axis=0, keepdims=True)
        chosen_noise = _noise(chosen, pixels * int(pool.sum()))
        tile_range = np.ptp(chosen, axis=1)
    tile_range = np.where(tile_range > 0, tile_range, 1.0)
    tiles = (chosen - chosen.min(axis=1, keepdims=True)) / tile_range[:, None]
    tile_noise = chosen_noise / tile_range
    weights = np.minimum(tile_range, _half_energy(tile_range))
    curve = weights @ tiles / weights.sum()
    error = float(np.sqrt(np.square(weights * tile_noise).sum()) / weights.sum())
    significance = float(np.ptp(curve) / max(error, 1e-12))
    return FieldCurve(
        scale, curve, error, significance, tiles, tile_noise, weights,
        votes.reshape(grid), voted, find_peak(curve),
    )  # fmt: skip


def _noise(curves: NDArray[np.float64], pixels: int) -> NDArray[np.float64]:
    """Noise of each curve: its roughness, and no less than so many pixels must scatter."""
    planes = curves.shape[1]
    level = curves.min(axis=1) if planes >= LONG_CURVE else curves.mean(axis=1)
    noise = np.sqrt(GRADIENT_SCATTER_PX / pixels) * np.maximum(level, 0.0)
    if planes >= LONG_CURVE:
        noise = np.maximum(noise, roughness(curves))
    elif planes >= SHORT_CURVE:
        noise = np.maximum(noise, _roughness_aside(curves))
    floored: NDArray[np.float64] = np.maximum(noise, 1e-9 * np.abs(curves).max(axis=1))
    return floored


def _roughness_aside(curves: NDArray[np.float64]) -> NDArray[np.float64]:
    """Roughness away from each curve's peak, which in a short curve is most of it."""
    squares = np.diff(curves, 2, axis=1) ** 2
    centres = np.arange(1, curves.shape[1] - 1)
    aside = np.abs(centres - curves.argmax(axis=1)[:, None]) > 2
    squares = np.where(aside, squares, np.nan)
    return np.asarray(
        np.sqrt(np.nanmedian(squares, axis=1) / (SECOND_DIFFERENCE_GAIN * MEDIAN_CHI2))
    )


def _lone_spikes(curves: NDArray[np.float64], ranges: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether a curve is high in one plane only, far above both neighbours."""
    rows, index = np.arange(len(curves)), curves.argmax(axis=1)
    padded = np.pad(curves, ((0, 0), (1, 1)), constant_values=-np.inf)
    beside = np.maximum(padded[rows, index], padded[rows, index + 2])
    lone: NDArray[np.bool_] = curves[rows, index] - beside > LONE_RISE * ranges
    return lone


def _half_energy(ranges: NDArray[np.float64]) -> float:
    """Range of the tile at which the brightest tiles together hold half of the field's range."""
    ordered = np.sort(ranges)[::-1]
    return float(ordered[np.searchsorted(np.cumsum(ordered), 0.5 * ordered.sum())])


def resampled_planes(field: FieldCurve) -> Float[np.ndarray, " resamples"]:
    """Best planes of the field if it had held other tiles like these, with other noise.

    Bayesian bootstrap [Rubin1981]_: every tile stays in, with random weight, so that a field
    with a single bright object is not judged without it.
    """
    generator = np.random.default_rng(0)
    shares = generator.exponential(size=(RESAMPLES, len(field.weights))) * field.weights
    shares /= shares.sum(axis=1, keepdims=True)
    curves = shares @ field.tiles
    noise = np.sqrt(np.square(shares) @ np.square(field.tile_noise))
    curves += generator.normal(size=curves.shape) * noise[:, None]
    return peak_planes(curves)


def standard_error(field: FieldCurve) -> float:
    """Standard error of the peak in planes; a floor keeps one noiseless tile from perfection."""
    planes = resampled_planes(field)
    return float(np.hypot(planes.std(), 0.02 * field.peak.width / np.sqrt(field.effective_tiles)))
