"""Whether an image can be refocused blindly at all, and what it is normalised by."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from parfocal.core.errors import InputError, MetadataError, ShapeError
from parfocal.core.results import Status
from parfocal.core.setup import OpticalSetup
from parfocal.core.stack import FocalStack
from parfocal.refocus.hypotheses import MOST_RANKED, Levels, levels_of
from parfocal.refocus.tiling import Tile, resized

FINEST_PIXEL, BEST_PIXEL = 0.2, 0.25
"""In wavelength / NA: finer pixels than the first are resampled to the second."""
COARSEST_PIXEL, MOST_PIXEL = 0.6, 0.8
"""The coarsest that training knew, and the coarsest that is answered."""
WIDEST_RATIO = 0.96
LEAST_SIDE_PX = 32
MOST_CLIPPED = 0.05
CELL_PX = 128
SAMPLED = 9
"""Tiles from which a large image's levels are taken."""


def asked_image(image: Any, setup: OpticalSetup | None) -> tuple[Any, OpticalSetup]:
    """One image (y, x) and its optics; what is none raises its error, before pixels are read."""
    if isinstance(image, FocalStack):
        planes = int(image.images.shape[0])
        if planes != 1:
            raise ShapeError(f"A stack of {planes} planes came; give one plane, stack.images[k].")
        setup = image.setup if setup is None else setup
        image = image.images[0]
    if setup is None:
        raise MetadataError(
            "Refocusing needs the optics: give setup= (--na, --wavelength-nm, --pixel-um)."
        )
    shape = getattr(image, "shape", None)
    if shape is None:
        raise ShapeError("An image must be an array (y, x) of counts; convert it first.")
    if len(shape) == 3 and shape[-1] in (3, 4):
        raise ShapeError(
            f"An image of shape {tuple(shape)} looks like colour; give one channel (y, x)."
        )
    if len(shape) != 2 or not min(shape):
        raise ShapeError(f"An image to refocus must be (y, x), but has shape {tuple(shape)}.")
    return image, setup


def working_share(setup: OpticalSetup) -> float:
    """Working pixels for each pixel: 1, or less where pixels are very fine.

    Examples
    --------
    >>> working_share(OpticalSetup(na=0.5, wavelength_nm=500, pixel_um=0.125))
    0.5
    """
    pixel = setup.pixel_um * setup.na / setup.wavelength_um
    return 1.0 if pixel >= FINEST_PIXEL else pixel / BEST_PIXEL


def refuse_optics(shape: Sequence[int], setup: OpticalSetup) -> tuple[Status, str] | None:
    """Decline optics and sizes that training did not cover."""
    pixel = setup.pixel_um * setup.na / setup.wavelength_um
    ratio = setup.na / setup.immersion_index
    side = min(shape) * working_share(setup)
    if pixel > MOST_PIXEL:
        return Status.UNCERTAIN, (
            f"pixels of {setup.pixel_um:g} um are {pixel:.2g} wavelength / NA: too coarse for "
            f"detail to be brought back; {COARSEST_PIXEL:g} or finer is needed, so bin less"
        )
    if ratio > WIDEST_RATIO:
        return Status.UNCERTAIN, (
            f"NA {setup.na:g} is {ratio:.2f} of the immersion index; training knew up to 0.95"
        )
    if side < LEAST_SIDE_PX:
        return Status.UNCERTAIN, (
            f"the image is {side:.0f} px wide where a pixel is {BEST_PIXEL:g} wavelength / NA or "
            f"more; at least {LEAST_SIDE_PX} are needed"
        )
    return None


def warn_of_optics(setup: OpticalSetup) -> tuple[str, ...]:
    """What to look at although an image is answered."""
    pixel = setup.pixel_um * setup.na / setup.wavelength_um
    if pixel > COARSEST_PIXEL:
        return (
            f"pixels are {pixel:.2g} wavelength / NA, coarser than the {COARSEST_PIXEL:g} that "
            "training knew",
        )
    return ()


@dataclass(eq=False)
class Extremes:
    """Lowest and highest pixel, and how many are at the top."""

    low: float = math.inf
    high: float = -math.inf
    clipped: int = 0
    pixels: int = 0

    def add(self, part: Float[Tensor, "y x"], ceiling: float | None) -> None:
        """Look at pixels of the image that were not looked at before."""
        low, high = (float(end) for end in part.aminmax())
        if not (math.isfinite(low) and math.isfinite(high)):
            raise InputError("The image holds pixels that are NaN or infinite; replace them first.")
        top = max(high, self.high) if ceiling is None else ceiling
        if top > self.high and ceiling is None:
            self.clipped = 0
        self.clipped += int((part >= top).sum())
        self.low, self.high = min(low, self.low), max(high, self.high)
        self.pixels += part.numel()

    def refusal(self) -> tuple[Status, str] | None:
        """Why the image holds nothing to refocus, if so."""
        if self.low == self.high:
            return Status.BLANK, "the image has one grey value only: there is nothing to refocus"
        share = self.clipped / self.pixels
        if share > MOST_CLIPPED:
            return Status.SATURATED, (
                f"{100 * share:.0f} % of the pixels are at the largest value: expose less, and "
                "try again"
            )
        return None


def field_levels(
    image: Any, tiles: Sequence[Tile], *, device: torch.device, is_dark: bool = False
) -> Levels:
    """What a whole image is normalised by, from a few of its tiles.

    The spread is that of patches as large as those of training, where most of the light is: an
    empty surround does not count. Dark structure, ``is_dark``, is seen with its sign changed.
    """
    step = max(1, math.ceil(len(tiles) / SAMPLED))
    sign = -1.0 if is_dark else 1.0
    parts = [sign * _working_part(tile, image, device) for tile in tiles[::step]]
    every = torch.cat([part.flatten() for part in parts])
    own = [levels_of(part[None]) for part in parts]
    variances = torch.cat([_variances(part) for part in parts])
    power = variances.square().sum() / variances.sum().clamp(min=1e-12)
    mean, spread = every.mean(), power.sqrt().clamp(min=1e-6)
    noise = torch.cat([one.noise * one.spread for one in own]).median()
    floor = torch.cat([one.mean + one.floor * one.spread for one in own]).amin()
    levels = Levels(
        mean=mean[None],
        spread=spread[None],
        noise=(noise / spread).clamp(min=3e-3, max=1.0)[None],
        floor=((floor - mean) / spread)[None],
        evenness=evenness(parts),
    )
    return levels.turned() if is_dark else levels


def evenness(parts: Sequence[Float[Tensor, "_ _"]]) -> float:
    """How far the brightest pixels lie above the median, over the darkest below it.

    One in two thousand is brighter or darker, of images smoothed over 3 x 3 px, but no fewer than
    16. Transmitted light is about even (1) or darker than its surroundings; light on a dark ground
    is far from it.

    Examples
    --------
    >>> spot = torch.zeros(64, 64)
    >>> spot[20:30, 20:30] = 5.0
    >>> evenness([spot + torch.linspace(0, 1, 64)]) > 3, round(evenness([torch.rand(64, 64)]))
    (True, 1)
    """
    values = []
    for part in parts:
        smooth = functional.avg_pool2d(part[None, None], 3, 1).flatten()
        values.append(smooth[:: max(1, smooth.numel() // MOST_RANKED)])
    ranked = torch.cat(values).sort().values
    few = min(max(round(0.0005 * len(ranked)), 16), len(ranked) // 4)
    low, middle, high = (float(ranked[k]) for k in (few, len(ranked) // 2, -1 - few))
    return (high - middle) / max(middle - low, 1e-9 * max(1.0, abs(middle)))


def _working_part(tile: Tile, image: Any, device: torch.device) -> Float[Tensor, "y x"]:
    rows, columns = tile.inside
    part = tile.part_inside(tile.read(image, device=device))
    share = [line.work_px / line.region_px for line in tile.lines]
    spans = (rows.stop - rows.start, columns.stop - columns.start)
    size = [max(1, round(span * each)) for span, each in zip(spans, share, strict=True)]
    return resized(part, (size[0], size[1]))


def _variances(part: Float[Tensor, "y x"]) -> Float[Tensor, " n"]:
    """Variance of overlapping patches."""
    window = [min(CELL_PX, side) for side in part.shape]
    stride = [max(1, side // 2) for side in window]
    centred = (part - part.mean())[None, None]
    mean = functional.avg_pool2d(centred, window, stride)
    power = functional.avg_pool2d(centred.square(), window, stride)
    return (power - mean.square()).clamp(min=0.0).flatten()
