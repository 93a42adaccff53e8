"""What lies beyond the image: how it is continued to a field that goes round in a circle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from parfocal.core.errors import UnknownNameError

EDGES = ("mirror", "extend", "periodic")
PRIMES = (2, 3, 5, 7, 11)
STRIDE_PX = 512
"""Multiples of this fall into the same lines of the cache; transforms take twice as long."""


def fast_size(least: int) -> int:
    """Smallest even size from ``least`` on that is quick to transform.

    Examples
    --------
    >>> fast_size(2), fast_size(97), fast_size(2048)
    (2, 98, 2058)
    """
    size = least + least % 2
    while not _is_fast(size):
        size += 2
    return size


def _is_fast(size: int) -> bool:
    if size > STRIDE_PX and size % STRIDE_PX == 0:
        return False
    for prime in PRIMES:
        while size % prime == 0:
            size //= prime
    return size == 1


@dataclass(frozen=True)
class Frame:
    """An image in a larger circular field; it begins at the origin, the rest comes after it.

    Parameters
    ----------
    sizes
        Pixels of the image along its last axes.
    padded
        Pixels of the field.
    edges
        "mirror": the image is mirrored at its edges, and the two reflections that meet on the
        far side are blended. "extend": the same to begin with, but nothing is known there.
        "periodic": the field is the image.
    """

    sizes: tuple[int, ...]
    padded: tuple[int, ...]
    edges: str

    @classmethod
    def around(cls, sizes: Sequence[int], reach_px: Sequence[int], edges: str) -> Frame:
        """Frame an image so that light that travels ``reach_px`` does not come round to it.

        Raises
        ------
        UnknownNameError
            If there are no such edges.
        """
        if edges not in EDGES:
            raise UnknownNameError("kind of edges", edges, EDGES)
        inside = tuple(sizes)
        if edges == "periodic":
            return cls(inside, inside, edges)
        padded = tuple(
            fast_size(size + 2 * reach) for size, reach in zip(inside, reach_px, strict=True)
        )
        return cls(inside, padded, edges)

    def grow(self, image: Float[Tensor, "*image"]) -> Float[Tensor, "*field"]:
        """Continue an image to the field."""
        for axis, (size, padded) in enumerate(zip(self.sizes, self.padded, strict=True)):
            if padded > size:
                image = _continued(image, axis - len(self.sizes), padded - size)
        return image

    def crop(self, field: Float[Tensor, "*field"]) -> Float[Tensor, "*image"]:
        """Cut the image out of the field."""
        for axis, size in enumerate(self.sizes, -len(self.sizes)):
            field = field.narrow(axis, 0, size)
        return field

    def seen(self, like: Float[Tensor, "*image"]) -> Float[Tensor, "*field"]:
        """1 where the image lies and 0 beyond it, as a field."""
        field = like.new_zeros(self.padded)
        self.crop(field).fill_(1.0)
        return field


def _continued(image: Tensor, axis: int, more: int) -> Tensor:
    """Append the mirror images of both ends, each fading into the other."""
    size = image.shape[axis]
    away = torch.arange(more, device=image.device)
    after, before = _folded(size + away, size), _folded(away - more, size)
    share = (away.to(image) + 0.5) / more
    share = (share * share * (3 - 2 * share)).reshape(-1, *(1,) * (-axis - 1))
    bridge = torch.lerp(
        image.index_select(axis, after), image.index_select(axis, before), share.to(image.dtype)
    )
    return torch.cat([image, bridge], dim=axis)


def _folded(places: Tensor, size: int) -> Tensor:
    """Places beyond an edge as those that a mirror there would show."""
    around = places.remainder(2 * size)
    return torch.where(around < size, around, 2 * size - 1 - around)
