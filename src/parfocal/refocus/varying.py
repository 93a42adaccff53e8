"""Fields whose blur varies: tiles that overlap, each with its own blur, blended without seams."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Tile:
    """Part of an image: ``rows`` and ``columns`` are written, with ``halo_px`` around them read."""

    rows: slice
    columns: slice
    halo_px: int

    def read(self, image: Float[Tensor, "y x"]) -> Float[Tensor, "v u"]:
        """Its pixels and those around them, as far as there are any."""
        return image[self._grown(self.rows), self._grown(self.columns)]

    def written(self, patch: Float[Tensor, "v u"]) -> Float[Tensor, "h w"]:
        """Its own pixels of what was read."""
        top, left = (min(self.halo_px, side.start) for side in (self.rows, self.columns))
        height, width = (side.stop - side.start for side in (self.rows, self.columns))
        return patch[top : top + height, left : left + width]

    def _grown(self, side: slice) -> slice:
        return slice(max(0, side.start - self.halo_px), side.stop + self.halo_px)


def tiles_of(
    sizes: tuple[int, int], *, tile_px: int, overlap_px: int, halo_px: int
) -> Iterator[Tile]:
    """Tiles that cover an image, from the top left.

    Examples
    --------
    >>> [tile.columns for tile in tiles_of((8, 20), tile_px=8, overlap_px=4, halo_px=0)]
    [slice(0, 10, None), slice(6, 18, None), slice(14, 20, None)]
    """
    for top in range(0, sizes[0], tile_px):
        for left in range(0, sizes[1], tile_px):
            rows, columns = (
                slice(max(0, start - overlap_px // 2), min(size, start + tile_px + overlap_px // 2))
                for start, size in zip((top, left), sizes, strict=True)
            )
            yield Tile(rows, columns, halo_px)


def by_tiles(
    image: Float[Tensor, "y x"],
    sharpen: Callable[[Float[Tensor, "v u"], Tile], Float[Tensor, "v u"]],
    *,
    tile_px: int,
    overlap_px: int,
    halo_px: int,
) -> Float[Tensor, "y x"]:
    """Sharpen an image tile by tile; where tiles overlap, one fades into the next.

    Parameters
    ----------
    image
        Counts.
    sharpen
        From a tile's pixels and those around it to the same, sharp.
    tile_px, overlap_px, halo_px
        Side of a tile without overlap, how much neighbours share, and what is read around.

    Notes
    -----
    Laws: what leaves its pixels alone returns the image.

    Examples
    --------
    >>> image = torch.arange(12.0).reshape(3, 4)
    >>> same = by_tiles(image, lambda patch, tile: patch, tile_px=2, overlap_px=2, halo_px=1)
    >>> bool(torch.allclose(same, image))
    True
    """
    sizes = (image.shape[0], image.shape[1])
    result, total = torch.zeros_like(image), torch.zeros_like(image)
    for tile in tiles_of(sizes, tile_px=tile_px, overlap_px=overlap_px, halo_px=halo_px):
        sharp = tile.written(sharpen(tile.read(image), tile))
        fades = [
            _fade(side, size, overlap_px, image)
            for side, size in zip((tile.rows, tile.columns), sizes, strict=True)
        ]
        weight = fades[0][:, None] * fades[1]
        result[tile.rows, tile.columns] += weight * sharp
        total[tile.rows, tile.columns] += weight
    return result.div_(total)


def _fade(side: slice, size: int, overlap_px: int, like: Tensor) -> Tensor:
    """1 inside, and down to nearly 0 at those ends where a neighbour takes over."""
    away = torch.arange(side.stop - side.start, device=like.device, dtype=like.dtype) + 0.5
    ramp = torch.ones_like(away)
    if overlap_px and side.start > 0:
        ramp = torch.minimum(ramp, away / overlap_px)
    if overlap_px and side.stop < size:
        ramp = torch.minimum(ramp, away.flip(0) / overlap_px)
    return ramp
