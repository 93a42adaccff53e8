"""Images of any size in blocks: each read with what lies around it, and faded into the next."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from parfocal.core.errors import InputError
from parfocal.core.shapes import as_float_tensor

BLOCK_PX, FADE_PX = 1024, 32
BELOW, BESIDE, ACROSS = "below", "beside", "across"


@dataclass(frozen=True, kw_only=True)
class Block:
    """One part of an image.

    Parameters
    ----------
    number
        Blocks are numbered row by row.
    place
        Its row and column among the blocks.
    rows, columns
        Its own pixels.
    fade_px
        Pixels (y, x) of the blocks below and beside it into which it fades; 0 at the end.
    region
        Rows and columns that are read for it: its own, those it fades into, and the halo.
    """

    number: int
    place: tuple[int, int]
    rows: slice
    columns: slice
    fade_px: tuple[int, int]
    region: tuple[slice, slice]

    @property
    def size(self) -> tuple[int, int]:
        """Its own pixels (y, x)."""
        return self.rows.stop - self.rows.start, self.columns.stop - self.columns.start

    def read(self, image: Any, *, device: torch.device | str = "cpu") -> Float[Tensor, "y x"]:
        """Counts of its region, as floats; no more is read."""
        part = image[self.region]
        return as_float_tensor(
            part if isinstance(part, Tensor) else np.asarray(part), device=device
        ).float()

    def grown(self, region: Float[Tensor, "*maps y x"]) -> Float[Tensor, "*maps v u"]:
        """Of its region, its own pixels and those it fades into."""
        top, left = (
            own.start - read.start
            for own, read in zip((self.rows, self.columns), self.region, strict=True)
        )
        height, width = (own + fade for own, fade in zip(self.size, self.fade_px, strict=True))
        return region[..., top : top + height, left : left + width]


@dataclass(frozen=True, kw_only=True)
class Blocks:
    """How an image is cut.

    Parameters
    ----------
    shape
        Sizes (y, x) of the image.
    halo_px
        Pixels around a block that are read and not written: how far an answer depends on them.
    block_px
        Side of a block.
    fade_px
        Width in which a block fades into the next, within the next.

    Raises
    ------
    InputError
        If a block is not larger than the fade.

    Examples
    --------
    >>> blocks = Blocks(shape=(100, 250), halo_px=10, block_px=100, fade_px=20)
    >>> len(blocks), blocks[1].columns, blocks[1].region[1], blocks[2].fade_px
    (3, slice(100, 200, None), slice(90, 230, None), (0, 0))
    """

    shape: tuple[int, int]
    halo_px: int
    block_px: int = BLOCK_PX
    fade_px: int = FADE_PX

    def __post_init__(self) -> None:
        if not 0 <= self.fade_px < self.block_px or self.halo_px < 0:
            raise InputError(
                f"Blocks of {self.block_px} px with a fade of {self.fade_px} px and a halo of "
                f"{self.halo_px} px cannot be: give a block larger than its fade, and none below 0."
            )

    @property
    def counts(self) -> tuple[int, int]:
        """Rows and columns of blocks."""
        size_y, size_x = self.shape
        return -(-size_y // self.block_px), -(-size_x // self.block_px)

    def __len__(self) -> int:
        return self.counts[0] * self.counts[1]

    def __getitem__(self, number: int) -> Block:
        if not 0 <= number < len(self):
            raise IndexError(number)
        place = divmod(number, self.counts[1])
        own, fades, region = [], [], []
        for at, size in zip(place, self.shape, strict=True):
            start = at * self.block_px
            stop = min(size, start + self.block_px)
            fade = min(self.fade_px, size - stop)
            own.append(slice(start, stop))
            fades.append(fade)
            reach = stop + fade + self.halo_px
            region.append(slice(max(0, start - self.halo_px), min(size, reach)))
        return Block(
            number=number, place=place, rows=own[0], columns=own[1],
            fade_px=(fades[0], fades[1]), region=(region[0], region[1]),
        )  # fmt: skip

    def __iter__(self) -> Iterator[Block]:
        return (self[number] for number in range(len(self)))


Strips = Mapping[tuple[int, str], NDArray[np.float32]]
"""What goes before into a later block, by that block's number and where it came from."""


@runtime_checkable
class BlockSink(Protocol):
    """Where finished blocks go; it remembers how many there are, and what the next ones need."""

    @property
    def done(self) -> int:
        """How many blocks are finished."""
        ...

    def strips(self, number: int) -> list[NDArray[np.float32]]:
        """What earlier blocks left for this one, each (maps, y, x) from its top left corner."""
        ...

    def finish(self, block: Block, maps: NDArray[np.float32], strips: Strips) -> None:
        """Keep a block and what it leaves for later ones; then it is done."""
        ...


@dataclass(eq=False)
class MemorySink:
    """Finished blocks as arrays in memory, (maps, y, x)."""

    shape: tuple[int, int]
    maps: NDArray[np.float32] | None = None
    done: int = 0
    kept: dict[tuple[int, str], NDArray[np.float32]] = field(default_factory=dict)

    def strips(self, number: int) -> list[NDArray[np.float32]]:
        """What earlier blocks left for this one."""
        return [kept for (other, _), kept in self.kept.items() if other == number]

    def finish(self, block: Block, maps: NDArray[np.float32], strips: Strips) -> None:
        """Keep a block and what it leaves for later ones."""
        if self.maps is None:
            self.maps = np.zeros((len(maps), *self.shape), np.float32)
        self.maps[:, block.rows, block.columns] = maps
        self.kept = {key: kept for key, kept in self.kept.items() if key[0] > block.number}
        self.kept |= strips
        self.done = block.number + 1


Sharpen = Callable[[Float[Tensor, "y x"], Block], Float[Tensor, "2 y x"]]
"""From the pixels of a block's region to image and trust of the same size."""


def write_blocks(
    image: Any,
    blocks: Blocks,
    sharpen: Sharpen,
    sink: BlockSink,
    *,
    device: torch.device | str = "cpu",
    begin: Callable[[str], None] = lambda _name: None,
) -> None:
    """Sharpen an image block by block, from the first that the sink does not have.

    Parameters
    ----------
    image
        Counts (y, x), of any array kind; lazy ones are read block by block.
    blocks
        How it is cut.
    sharpen
        What is done to a region. A region of one grey value is left as it is, fully trusted.
    sink
        Where the maps go.
    begin
        Called with the name of each block as its work begins.

    Notes
    -----
    A block fades linearly into those below and beside it, which keep what it leaves for them: at
    no time is there more than a block and the strips of one row.

    Laws: what leaves its pixels alone returns the image.

    Examples
    --------
    >>> image = torch.arange(60.0).reshape(6, 10)
    >>> sink = MemorySink((6, 10))
    >>> blocks = Blocks(shape=(6, 10), halo_px=1, block_px=4, fade_px=2)
    >>> write_blocks(image, blocks, lambda region, block: torch.stack([region, region]), sink)
    >>> bool(np.allclose(sink.maps[0], image))
    True
    """
    for number in range(sink.done, len(blocks)):
        block = blocks[number]
        begin(f"block {number + 1} of {len(blocks)}")
        region = block.read(image, device=device)
        if bool(region.amin() == region.amax()):
            maps = torch.stack([region, torch.ones_like(region)])
        else:
            maps = sharpen(region, block)
        own, strips = faded(block.grown(maps).cpu().numpy(), block, blocks)
        for strip in sink.strips(number):
            _, height, width = strip.shape
            own[:, :height, :width] += strip
        sink.finish(block, own, strips)


def faded(
    maps: NDArray[np.float32], block: Block, blocks: Blocks
) -> tuple[NDArray[np.float32], dict[tuple[int, str], NDArray[np.float32]]]:
    """A block's share of its own pixels, and of those of the blocks into which it fades.

    Examples
    --------
    >>> blocks = Blocks(shape=(1, 8), halo_px=0, block_px=4, fade_px=2)
    >>> own, strips = faded(np.ones((1, 1, 6), np.float32), blocks[0], blocks)
    >>> own[0, 0].tolist(), strips[1, "beside"][0, 0].tolist()
    ([1.0, 1.0, 1.0, 1.0], [0.75, 0.25])
    """
    (height, width), (low, right) = block.size, block.fade_px
    y, x = (
        _share(own, fade, is_first=at == 0, most=blocks.fade_px)
        for own, fade, at in zip(block.size, block.fade_px, block.place, strict=True)
    )
    weighed = maps * (y[:, None] * x)
    below, beside = block.number + blocks.counts[1], block.number + 1
    strips = {}
    if low:
        strips[below, BELOW] = weighed[:, height:, :width].copy()
    if right:
        strips[beside, BESIDE] = weighed[:, :height, width:].copy()
    if low and right:
        strips[below + 1, ACROSS] = weighed[:, height:, width:].copy()
    return weighed[:, :height, :width].copy(), strips


def _share(own_px: int, fade_px: int, *, is_first: bool, most: int) -> NDArray[np.float32]:
    """Weights along one side: up at its start where a block comes before, down beyond its end."""
    ramp = ((np.arange(most) + 0.5) / max(most, 1)).astype(np.float32)
    weights = np.ones(own_px + fade_px, np.float32)
    if not is_first:
        rising = min(most, own_px)
        weights[:rising] = ramp[:rising]
    if fade_px:
        weights[own_px:] = 1.0 - ramp[:fade_px]
    return weights
