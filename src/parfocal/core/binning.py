"""Average blocks of pixels, at once or as they are read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from parfocal.core.stack import FocalStack, LazyImages

RANGE_BIN_PX = 4
"""Side of the squares over which the range of light is taken."""


def bin_pixels(images: NDArray[Any], bin_px: int) -> NDArray[Any]:
    """Average blocks of ``bin_px`` x ``bin_px``; the remainder at right and bottom is dropped.

    Examples
    --------
    >>> bin_pixels(np.array([[1, 3, 9], [5, 7, 9]]), 2)
    array([[4.]], dtype=float32)
    """
    if bin_px == 1:
        return images
    size_y, size_x = (size // bin_px * bin_px for size in images.shape[-2:])
    trimmed = images[..., :size_y, :size_x].astype(np.float32, copy=False)
    columns = trimmed[..., 0::bin_px].copy()
    for step in range(1, bin_px):
        columns += trimmed[..., step::bin_px]
    rows: NDArray[np.float32] = columns[..., 0::bin_px, :].copy()
    for step in range(1, bin_px):
        rows += columns[..., step::bin_px, :]
    rows /= bin_px**2
    return rows


def binned(stack: FocalStack, bin_px: int) -> FocalStack:
    """The same stack with larger pixels, averaged when they are read.

    Pixel size and optics follow. A clipped pixel disappears in its average, so that the result
    knows no saturation.
    """
    if bin_px == 1:
        return stack
    pixel_um = None if stack.pixel_um is None else stack.pixel_um * bin_px
    setup = stack.setup
    if setup is not None:
        setup = setup.model_copy(update={"pixel_um": setup.pixel_um * bin_px})
    return replace(
        stack, images=_Binned(stack.images, bin_px), pixel_um=pixel_um, setup=setup,
        saturation_counts=None,
    )  # fmt: skip


def light_range(planes: Float[Tensor, "z y x"]) -> tuple[float, float]:
    """The least and the largest light of planes, over squares of ``RANGE_BIN_PX`` pixels.

    A square counts as no brighter than the brightest beside it: one hot pixel sets no scale.

    Examples
    --------
    >>> light = torch.zeros(1, 16, 16); light[0, 8:, 8:] = 1.0; light[0, 0, 0] = 1000.0
    >>> light_range(light)
    (0.0, 1.0)
    """
    coarse = functional.avg_pool2d(planes[:, None], RANGE_BIN_PX)
    if min(coarse.shape[-2:]) < 2:
        return float(planes.min()), float(planes.max())
    around = functional.pad(coarse, (1, 1, 1, 1), value=float("-inf"))
    sides = [
        around[..., 1 + y : 1 + y + coarse.shape[-2], 1 + x : 1 + x + coarse.shape[-1]]
        for y in (-1, 0, 1) for x in (-1, 0, 1) if (y, x) != (0, 0)
    ]  # fmt: skip
    brightest = torch.stack(sides).amax(0)
    return float(coarse.min()), float(torch.minimum(coarse, brightest).max())


@dataclass(frozen=True, eq=False)
class _Binned:
    """Lazy images (z, y, x) of averages; indexed by planes, rows and columns without steps."""

    images: LazyImages
    bin_px: int

    @property
    def shape(self) -> tuple[int, ...]:
        size_z, size_y, size_x = self.images.shape
        return size_z, size_y // self.bin_px, size_x // self.bin_px

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(np.float32)

    def __getitem__(self, index: Any, /) -> NDArray[Any]:
        given = index if isinstance(index, tuple) else (index,)
        planes, *sides = (*given, slice(None), slice(None))[:3]
        spans = [
            slice(*(end * self.bin_px for end in side.indices(size)[:2]))
            for side, size in zip(sides, self.shape[1:], strict=True)
        ]
        return bin_pixels(np.asarray(self.images[(planes, *spans)]), self.bin_px)
