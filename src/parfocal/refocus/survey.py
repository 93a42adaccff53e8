"""What a large image is like as a whole: read once, so that every block is treated alike."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from parfocal.core.errors import InputError
from parfocal.core.status import Status
from parfocal.refocus.blocks import Block, Blocks
from parfocal.refocus.deconvolution import MOST_CLIPPED, darkest_counts
from parfocal.refocus.linear import noise_ratio

LEAST_RATIO, MOST_RATIO = 1e-5, 1.0


@dataclass(frozen=True, kw_only=True)
class Survey:
    """Numbers of a whole image.

    Parameters
    ----------
    low, high
        Darkest and brightest pixel.
    total
        Sum of all pixels.
    clipped
        Share of the pixels at or above the saturation.
    level
        Counts without light: the mean of the darkest 8 x 8 px.
    noise_to_signal
        Power of the noise over that of the structure, where there is any.
    busiest
        Numbers of the blocks, those with most structure first.
    """

    low: float
    high: float
    total: float
    clipped: float
    level: float
    noise_to_signal: float
    busiest: tuple[int, ...]

    def refusal(self) -> tuple[Status, str] | None:
        """Why the image holds nothing to refocus, if so."""
        if self.low == self.high:
            return Status.BLANK, "the image has one grey value only"
        if self.clipped > MOST_CLIPPED:
            return Status.SATURATED, (
                f"{100 * self.clipped:.0f} % of the pixels are saturated: expose less, and try "
                "again"
            )
        return None


def survey_image(
    image: Any,
    blocks: Blocks,
    *,
    saturation_counts: float | None = None,
    begin: Callable[[str], None] = lambda _name: None,
) -> Survey:
    """Read an image once, block by block.

    Raises
    ------
    InputError
        If a pixel is NaN or infinite.

    Examples
    --------
    >>> image = torch.arange(256.0).reshape(16, 16)
    >>> seen = survey_image(image, Blocks(shape=(16, 16), halo_px=0, block_px=8, fade_px=0))
    >>> seen.low, seen.high, seen.level
    (0.0, 255.0, 59.5)
    """
    ceiling = math.inf if saturation_counts is None else saturation_counts
    seen = [_seen(image, block, ceiling, begin) for block in blocks]
    varied = [one for one in seen if one.power > 0]
    signal = sum(one.signal for one in varied)
    noise = sum(one.power - one.signal for one in varied)
    return Survey(
        low=min(one.low for one in seen),
        high=max(one.high for one in seen),
        total=math.fsum(one.total for one in seen),
        clipped=sum(one.clipped for one in seen) / math.prod(blocks.shape),
        level=min(one.level for one in seen),
        noise_to_signal=min(MOST_RATIO, max(LEAST_RATIO, noise / signal if signal else 0.0)),
        busiest=tuple(sorted(range(len(seen)), key=lambda number: -seen[number].power)),
    )


@dataclass(frozen=True, kw_only=True)
class _Seen:
    """Numbers of one block; ``power`` and ``signal`` are sums of squares."""

    low: float
    high: float
    total: float
    clipped: int
    level: float
    power: float
    signal: float


def _seen(image: Any, block: Block, ceiling: float, begin: Callable[[str], None]) -> _Seen:
    begin(f"looking, part {block.number + 1}")
    counts: Float[Tensor, "y x"] = _own(block.read(image), block)
    low, high = (float(end) for end in counts.aminmax())
    total = float(counts.sum(dtype=torch.float64))
    if not math.isfinite(total):
        bad = int((~torch.isfinite(counts)).sum())
        raise InputError(
            f"The image holds {bad} or more pixels that are NaN or infinite; replace them first."
        )
    power = signal = 0.0
    if low < high:
        power = float(counts.var(correction=0)) * counts.numel()
        ratio = noise_ratio(counts) if min(counts.shape) >= 3 else 0.0
        signal = power / (1 + ratio)
    return _Seen(
        low=low, high=high, total=total, clipped=int((counts >= ceiling).sum()),
        level=darkest_counts(counts), power=power, signal=signal,
    )  # fmt: skip


def _own(region: Tensor, block: Block) -> Tensor:
    height, width = block.size
    return block.grown(region)[:height, :width]
