"""One pass over a stack: how sharp, bright and clipped each tile of each plane is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from parfocal.core.binning import bin_pixels
from parfocal.core.errors import InputError, ShapeError
from parfocal.core.setup import OpticalSetup
from parfocal.core.stack import FocalStack
from parfocal.measures import CATALOG, focus_map
from parfocal.measures.peaks import roughness, unit_height

# A band of rows this large is read at once; the largest part of the memory that scoring takes.
BAND_BYTES = 64 * 2**20
TARGET_TILES = 8
TILE_RANGE_PX = (16, 256)
# Relative jumps of the light from plane to plane that are evened out; shot noise is far below.
LEAST_FLICKER = 0.01
LEAST_TURNS = 0.45


@dataclass(frozen=True)
class Scale:
    """A measure on images whose pixels are averaged ``bin_px`` x ``bin_px``."""

    measure: str
    bin_px: int = 1

    @property
    def label(self) -> str:
        """How results name it."""
        return (
            self.measure
            if self.bin_px == 1
            else f"{self.measure} ({self.bin_px} x {self.bin_px} binned)"
        )


@dataclass(frozen=True, eq=False)
class TileScan:
    """What one pass found, on a grid of square tiles; every array is (z, tile y, tile x)."""

    scores: dict[Scale, Float[np.ndarray, "z ty tx"]]
    mean: Float[np.ndarray, "z ty tx"]
    lowest: Float[np.ndarray, "z ty tx"]
    highest: Float[np.ndarray, "z ty tx"]
    clipped: Float[np.ndarray, "z ty tx"]
    tile_px: int
    top_px: int
    left_px: int


@dataclass(frozen=True)
class Region:
    """Rows and columns of the field that take part, in pixels; the ends are not included."""

    top: int
    bottom: int
    left: int
    right: int

    @classmethod
    def of(cls, stack: FocalStack, corners: tuple[int, int, int, int] | None) -> Region:
        """Check (top, bottom, left, right) against a stack; None is the whole field.

        Raises
        ------
        ShapeError
            If the region is empty or reaches outside the field.
        """
        _, size_y, size_x = stack.shape
        top, bottom, left, right = corners or (0, size_y, 0, size_x)
        if not (0 <= top < bottom <= size_y and 0 <= left < right <= size_x):
            raise ShapeError(
                f"{stack.source}: region rows {top}:{bottom}, columns {left}:{right} does not lie "
                f"inside the field of {size_y} x {size_x} px; give --region Y0:Y1,X0:X1."
            )
        return cls(top, bottom, left, right)

    @property
    def sizes(self) -> tuple[int, int]:
        """Sizes (y, x)."""
        return self.bottom - self.top, self.right - self.left


def choose_tile_px(sizes: tuple[int, int]) -> int:
    """Side of a square tile: about an eighth of the field, chosen to leave little of it out."""
    shortest = min(sizes)
    low, high = TILE_RANGE_PX
    target = int(np.clip(shortest // TARGET_TILES, low, high))
    if shortest <= target:
        return shortest
    options = range(max(4, target * 3 // 4), min(shortest, target * 5 // 4) + 1)

    def covered(side: int) -> float:
        rows, columns = sizes[0] // side * side, sizes[1] // side * side
        multiple_of_four = 0.002 * (side % 4 == 0)
        return rows * columns / (sizes[0] * sizes[1]) + multiple_of_four

    return max(options, key=covered)


def bands(stack: FocalStack, region: Region, tile_px: int) -> Iterator[tuple[slice, slice, int]]:
    """Whole tile rows to read at once: (planes, rows, first tile row).

    Several small planes come together; a large plane comes in bands.
    """
    tile_rows = region.sizes[0] // tile_px
    row_bytes = tile_px * region.sizes[1] * stack.dtype.itemsize
    step = int(np.clip(BAND_BYTES // max(row_bytes, 1), 1, tile_rows))
    together = max(1, BAND_BYTES // (row_bytes * tile_rows))
    for plane in range(0, stack.shape[0], together):
        planes = slice(plane, min(stack.shape[0], plane + together))
        for first in range(0, tile_rows, step):
            last = min(tile_rows, first + step)
            top = region.top
            yield planes, slice(top + first * tile_px, top + last * tile_px), first


def scan_tiles(
    stack: FocalStack,
    scales: tuple[Scale, ...],
    *,
    region: Region,
    tile_px: int,
    setup: OpticalSetup | None = None,
    device: str = "cpu",
) -> TileScan:
    """Score every tile of every plane at each scale, in one pass over the stack.

    Raises
    ------
    InputError
        If an image holds NaN or infinity.
    ShapeError
        If the region is smaller than one tile.
    """
    tile_rows, tile_columns = (size // max(tile_px, 1) for size in region.sizes)
    if tile_px < 1 or not tile_rows or not tile_columns:
        raise ShapeError(
            f"{stack.source}: a region of {region.sizes[0]} x {region.sizes[1]} px holds no tile "
            f"of {tile_px} px; give a smaller tile_px (--tile-px) or a larger region."
        )
    grid = (stack.shape[0], tile_rows, tile_columns)
    scales = tuple(scale for scale in scales if _fits(scale, tile_px))
    if not scales:
        raise ShapeError(
            f"{stack.source}: tiles of {tile_px} px are too small for this measure; "
            "give a larger tile_px (--tile-px)."
        )
    scores = {scale: np.zeros(grid) for scale in scales}
    mean, lowest, highest, clipped = (np.zeros(grid) for _ in range(4))
    columns = slice(region.left, region.left + tile_columns * tile_px)
    for planes, rows, first in bands(stack, region, tile_px):
        counts = stack.read_counts(planes, rows, columns)
        blocks = counts.reshape(len(counts), -1, tile_px, tile_columns, tile_px)
        here = (planes, slice(first, first + blocks.shape[1]))
        mean[here] = blocks.mean(axis=(2, 4), dtype=np.float64)
        if not np.isfinite(mean[here]).all():
            bad = planes.start + int(np.isfinite(mean[here]).all(axis=(1, 2)).argmin())
            raise InputError(
                f"{stack.source}: plane {bad} holds NaN or infinite pixels; "
                "replace them, or choose a region without them (--region)."
            )
        lowest[here], highest[here] = blocks.min(axis=(2, 4)), blocks.max(axis=(2, 4))
        if stack.saturation_counts is not None and highest[here].max() >= stack.saturation_counts:
            clipped[here] = (blocks >= stack.saturation_counts).mean(axis=(2, 4))
        for scale in scales:
            window = tile_px // scale.bin_px
            band = bin_pixels(counts, scale.bin_px)
            if tile_px % scale.bin_px:
                band = _cut_to_windows(blocks, scale.bin_px)
            scores[scale][here] = focus_map(
                band, scale.measure, window, window, setup=setup, device=device
            )
    return TileScan(scores, mean, lowest, highest, clipped, tile_px, region.top, region.left)


def _cut_to_windows(blocks: NDArray[Any], bin_px: int) -> NDArray[Any]:
    """Bin each tile by itself where the binning does not divide the tile."""
    side = blocks.shape[2] // bin_px * bin_px
    tiles = np.moveaxis(blocks[:, :, :side, :, :side], 3, 2)
    binned = np.moveaxis(bin_pixels(tiles, bin_px), 2, 3)
    planes, tile_rows, window, tile_columns, _ = binned.shape
    return binned.reshape(planes, tile_rows * window, tile_columns * window)


def even_out_flicker(scan: TileScan) -> TileScan:
    """Divide out light that jumps from plane to plane, where it does.

    Gradient energy goes with the square of the light above the camera's offset; the offset taken
    is the one that leaves the smoothest focus curve. Slow change (bleaching, a pinhole) is left.
    """
    light = scan.mean.mean(axis=(1, 2))
    middle = float(np.median(light))
    if len(light) < 8 or light.min() <= 0.05 * middle or middle <= 0:
        return scan
    # A bright layer under a pinhole rises and falls once; flicker turns at most planes.
    turns = float((np.diff(np.sign(np.diff(light))) != 0).mean())
    if turns < LEAST_TURNS or float(roughness(light)) < LEAST_FLICKER * middle:
        return scan
    first = next(iter(scan.scores.values())).mean(axis=(1, 2))
    offsets = np.linspace(0.0, 0.95, 20) * light.min()
    factors = [np.square((light - offset) / (middle - offset)) for offset in offsets]
    rough = [float(np.square(np.diff(unit_height(first / factor), 2)).sum()) for factor in factors]
    factor = factors[int(np.argmin(rough))][:, None, None]
    return replace(scan, scores={scale: scores / factor for scale, scores in scan.scores.items()})


def _fits(scale: Scale, tile_px: int) -> bool:
    return tile_px // scale.bin_px >= max(CATALOG[scale.measure].least_px, 4)
