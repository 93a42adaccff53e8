"""Which images are compared, and where patches are cut from them."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from parfocal.nets.pair import REDUCTION_PX
from parfocal.predict.pairs import MOST_SPACING

BEST_SPACING = 1.25
"""Effective depths of field between the two images that tell most."""
MOST_PATCHES = 8
"""Patches along each side of a field; larger fields are sampled."""
LARGEST_SIDE = 128
"""Resampled pixels along a patch, at most."""


def pairs_of(count: int, step: float) -> list[tuple[int, int]]:
    """Which images to compare: those whose distance tells most.

    Examples
    --------
    >>> pairs_of(1, 0.0), pairs_of(3, 1.2), pairs_of(5, 0.4)
    ([(0, 0)], [(0, 1), (1, 2)], [(0, 3), (1, 4)])
    """
    if count == 1:
        return [(0, 0)]
    apart = max(1, min(count - 1, round(BEST_SPACING / step), int(MOST_SPACING / step)))
    return [(first, first + apart) for first in range(count - apart)]


@dataclass(frozen=True)
class Places:
    """Where patches are cut from a resampled image.

    Parameters
    ----------
    rows, columns
        First row and column of the patches.
    side
        Of a patch, in resampled pixels.
    share
        Resampled pixels for each pixel of the images as they came.
    """

    rows: tuple[int, ...]
    columns: tuple[int, ...]
    side: int
    share: float

    @classmethod
    def of(cls, shape: torch.Size, share: float) -> Places:
        """Patches that cover an image of a resampled shape."""
        side = min(LARGEST_SIDE, min(shape) // REDUCTION_PX * REDUCTION_PX)
        corners = [corners_of(size, side) for size in shape]
        return cls(corners[0], corners[1], side, share)

    def cut(self, pair: Float[Tensor, "2 y x"]) -> Float[Tensor, "p 2 v u"]:
        """The patches, row by row."""
        return torch.stack(
            [
                pair[:, y : y + self.side, x : x + self.side]
                for y, x in itertools.product(self.rows, self.columns)
            ]
        )

    @property
    def side_px(self) -> float:
        """Side of a patch in pixels of the images as they came."""
        return self.side / self.share

    @property
    def stride_px(self) -> tuple[float, float]:
        """Distance of neighbouring patches likewise; 0 where there is one."""
        return tuple(  # type: ignore[return-value]
            float(np.diff(corners).mean()) / self.share if len(corners) > 1 else 0.0
            for corners in (self.rows, self.columns)
        )


def corners_of(size: int, side: int) -> tuple[int, ...]:
    """Corners of patches that cover a side evenly.

    Examples
    --------
    >>> corners_of(300, 128), corners_of(128, 128)
    ((0, 86, 172), (0,))
    """
    count = min(MOST_PATCHES, -(-size // side))
    return tuple(int(place) for place in np.linspace(0, size - side, count))
