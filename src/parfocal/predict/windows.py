"""Windows of a field: where they lie, what is in them, and how they are normalised."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from parfocal.core.errors import InputError
from parfocal.core.results import DefocusMap, Status
from parfocal.nets.pair import BANDS, REDUCTION_PX, cell_moments
from parfocal.predict.patches import LARGEST_SIDE
from parfocal.predict.tiles import Block, Pixels

LEAST_WINDOW, MOST_WINDOW = 2, LARGEST_SIDE // REDUCTION_PX
"""Cells along a window: networks know patches of 64 to 128 px."""
FLAT = 1e-6
"""Standard deviation, over 1 + mean, up to which a window holds one grey value."""
STRIP = 64
"""Resampled rows that are worked on together: what that leaves stays in a cache."""


@dataclass(frozen=True, eq=False)
class Lattice:
    """Where windows lie: ``window`` cells wide, ``stride`` cells apart."""

    pixels: Pixels
    window: int
    stride: int

    @classmethod
    def of(
        cls, pixels: Pixels, window_px: float | int | None, stride_px: float | int | None
    ) -> Lattice:
        """Windows of about the size and distance asked for, in pixels of the images.

        Raises
        ------
        InputError
            If the networks know no such windows.
        """
        cell_px = REDUCTION_PX / pixels.share
        window = MOST_WINDOW if window_px is None else round(window_px / cell_px)
        if not LEAST_WINDOW <= window <= MOST_WINDOW:
            raise InputError(
                f"Windows of {window_px:g} px cannot be judged; with these optics the networks "
                f"know {LEAST_WINDOW * cell_px:.0f} to {MOST_WINDOW * cell_px:.0f} px."
            )
        if stride_px is not None and not 0 < stride_px < float("inf"):
            raise InputError(
                f"stride_px is {stride_px!r}; give the positive distance of windows; the nearest "
                f"multiple of {cell_px:.0f} px is taken."
            )
        stride = 1 if stride_px is None else max(1, round(stride_px / cell_px))
        most = min(pixels.rows.cells, pixels.columns.cells)
        return cls(pixels, max(1, min(window, most)), stride)

    @property
    def shape(self) -> tuple[int, int]:
        """Number of windows along y and x."""
        v, u = (
            self.along(axis.cells, self.stride) for axis in (self.pixels.rows, self.pixels.columns)
        )
        return v, u

    def along(self, cells: int, stride: int) -> int:
        """Number of windows in so many cells."""
        return max(0, (cells - self.window) // stride + 1)

    def tiles(self, cells: int) -> Iterator[tuple[slice, slice]]:
        """Parts of the lattice, each over about so many cells along a side."""
        step = max(1, cells // self.stride)
        size_v, size_u = self.shape
        for v in range(0, size_v, step):
            for u in range(0, size_u, step):
                yield slice(v, min(v + step, size_v)), slice(u, min(u + step, size_u))

    def block(self, rows: slice, columns: slice) -> Block:
        """Cells of some of the windows."""
        return Block(
            rows.start * self.stride,
            (rows.stop - 1) * self.stride + self.window,
            columns.start * self.stride,
            (columns.stop - 1) * self.stride + self.window,
        )

    def corners(self, rows: slice, columns: slice) -> tuple[slice, slice]:
        """First cells of some of the windows."""
        v, u = (
            slice(each.start * self.stride, (each.stop - 1) * self.stride + 1, self.stride)
            for each in (rows, columns)
        )
        return v, u

    def map_of(
        self,
        status: Status,
        reason: str,
        defocus_um: Float[Tensor, "v u"] | None = None,
        certainty: Float[Tensor, "v u"] | None = None,
    ) -> DefocusMap:
        """The result that has its values at these windows; NaN where none are given."""
        rows, columns = self.pixels.rows, self.pixels.columns
        nothing = torch.full(self.shape, float("nan"))
        values = [nothing if each is None else each for each in (defocus_um, certainty)]
        side = REDUCTION_PX * self.stride
        return DefocusMap(
            status=status,
            reason=reason,
            defocus_um=values[0].double().cpu().numpy(),
            certainty=values[1].double().cpu().numpy(),
            window_px=self.window * REDUCTION_PX / self.pixels.share,
            stride_px=(side * rows.pitch, side * columns.pitch),
            offset_px=(rows.place_px(self.window / 2), columns.place_px(self.window / 2)),
        )


@dataclass(frozen=True, eq=False)
class Survey:
    """Moments of every cell of every image, and the share of its pixels that are clipped.

    Parameters
    ----------
    means
        Of resampled pixels.
    energies
        Mean squares of details, as ``cell_moments`` gives them; their sum is the variance.
    clipped
        Share of a cell's pixels, as they came, that are at the largest value.
    """

    means: Float[Tensor, "n v u"]
    energies: Float[Tensor, "n k v u"]
    clipped: Float[Tensor, "n v u"]

    @classmethod
    def of(cls, pixels: Pixels, cells: int, ceiling: float | None) -> Survey:
        """Read images once, in tiles of so many cells along a side."""
        rows, columns = pixels.rows, pixels.columns
        shape = pixels.count, rows.cells, columns.cells
        means = torch.zeros(shape, dtype=torch.float64)
        energies = torch.zeros(shape[0], BANDS, *shape[1:])
        clipped = torch.zeros(shape)
        top = float("-inf") if ceiling is None else ceiling
        for block in pixels.block.parts(cells):
            for number in range(pixels.count):
                small, own = pixels.read(number, block)
                place = (
                    number,
                    ...,
                    slice(block.top, block.bottom),
                    slice(block.left, block.right),
                )
                means[place], energies[place] = _moments(small)
                highest = float(own.max())
                if ceiling is None and highest > top:
                    top = highest
                    clipped.zero_()  # what was seen so far is darker
                if highest >= top:
                    clipped[place] = _share(own >= top, pixels, block)
        return cls(means, energies, clipped)

    @property
    def blank_images(self) -> list[int]:
        """Images that hold one grey value only."""
        mean = self.means.mean((1, 2))
        spread = self.energies.double().sum(1).mean((1, 2)) + self.means.var((1, 2), correction=0)
        return (spread.sqrt() <= FLAT * (1 + mean.abs())).nonzero()[:, 0].tolist()

    def pair(self, first: int, second: int, window: int) -> PairWindows:
        """What every window of two images holds, one cell apart."""
        means = self.means[[first, second]]
        middle = means.mean()
        away = (means - middle).mean(0)
        power = self.energies[[first, second]].double().sum(1) + (means - middle).square()
        mean = _boxes(away, window)
        spread = (_boxes(power.mean(0), window) - mean.square()).clamp(min=0).sqrt()
        levels = torch.stack([self.energies[first], self.energies[second]], 1).flatten(0, 1)
        clipped = torch.stack([_boxes(self.clipped[k].double(), window) for k in (first, second)])
        return PairWindows(
            mean=mean + middle,
            spread=spread,
            energies=torch.stack([_boxes(level.double(), window) for level in levels]),
            clipped=clipped.amax(0),
            window=window,
        )


@dataclass(frozen=True, eq=False)
class PairWindows:
    """Moments of the windows of a pair, one cell apart."""

    mean: Float[Tensor, "v u"]
    spread: Float[Tensor, "v u"]
    energies: Float[Tensor, "k v u"]
    clipped: Float[Tensor, "v u"]
    window: int

    @cached_property
    def is_blank(self) -> Bool[Tensor, "v u"]:
        """Which hold one grey value only."""
        return self.spread <= FLAT * (1 + self.mean.abs())

    @cached_property
    def levels(self) -> Float[Tensor, "k v u"]:
        """Energies of each window as of a patch that is normalised by itself."""
        return (self.energies / self.spread.clamp(min=1e-30).square()).float() * ~self.is_blank

    @cached_property
    def around(self) -> tuple[Float[Tensor, "y x"], Float[Tensor, "y x"]]:
        """Mean and standard deviation by which each cell is normalised.

        The mean, and the root mean square, of those of the windows that cover it: a dim place
        beside a bright one stays dim, and nothing is blown up where half a window is blank.
        """
        count = _covering(torch.ones_like(self.mean), self.window)
        mean = _covering(self.mean, self.window) / count
        spread = (_covering(self.spread.square(), self.window) / count).sqrt()
        return mean, spread.clamp(min=1e-12)

    def normalise(
        self,
        images: Sequence[Float[Tensor, "y x"]],
        block: Block,
        *,
        dtype: torch.dtype = torch.float32,
    ) -> Float[Tensor, "1 2 y x"]:
        """Pixels of some cells less the mean around each, over the standard deviation there.

        As a batch of one, channels last.
        """
        first = images[0]
        size_v, size_u = (size + self.window - 1 for size in self.mean.shape)
        columns = _between(block.left, block.right, size_u).T.to(first)
        rows = _between(block.top, block.bottom, size_v).to(first)
        mean, spread = (rows @ each.to(first) for each in self.around)
        pair = torch.empty(*first.shape, 2, dtype=dtype, device=first.device)
        for start in range(0, len(first), STRIP):
            strip = slice(start, start + STRIP)
            middle, share = mean[strip] @ columns, (spread[strip] @ columns).reciprocal_()
            for number, image in enumerate(images):
                pair[strip, :, number] = (image[strip] - middle).mul_(share)
        return pair.permute(2, 0, 1)[None]


def _moments(image: Float[Tensor, "y x"]) -> tuple[Tensor, Tensor]:
    """Mean (v, u) and energies (k, v, u) of the cells of an image."""
    strips = [cell_moments(strip[None, None]) for strip in torch.split(image, STRIP)]
    means, energies = (torch.cat(parts, 2) for parts in zip(*strips, strict=True))
    return means[0, 0].cpu().double(), energies[0].cpu()


def _share(mask: Bool[Tensor, "y x"], pixels: Pixels, block: Block) -> Tensor:
    """Share of each cell that a mask of pixels as they came covers."""
    counts = mask.cpu().numpy()
    sizes = []
    for number, (axis, first, last) in enumerate(
        ((pixels.rows, block.top, block.bottom), (pixels.columns, block.left, block.right))
    ):
        edges = np.array([axis.edge_px(cell) for cell in range(first, last + 1)])
        counts = np.add.reduceat(counts, edges[:-1] - edges[0], axis=number, dtype=np.float32)
        sizes.append(np.diff(edges))
    return torch.from_numpy(counts / (sizes[0][:, None] * sizes[1]))


def _boxes(cells: Float[Tensor, "y x"], window: int) -> Float[Tensor, "v u"]:
    """Mean over every window."""
    return functional.avg_pool2d(cells[None, None], window, stride=1)[0, 0]


def _covering(windows: Float[Tensor, "v u"], window: int) -> Float[Tensor, "y x"]:
    """Sum over the windows that cover each cell."""
    padded = functional.pad(windows, [window - 1] * 4)
    return _boxes(padded, window) * window**2


def _between(first: int, last: int, cells: int) -> Float[Tensor, "px cell"]:
    """Matrix that puts values at the pixels of some cells, on straight lines between all cells'."""
    places = (torch.arange(first * REDUCTION_PX, last * REDUCTION_PX) + 0.5) / REDUCTION_PX - 0.5
    places = places.clamp(0, cells - 1)
    lower = places.floor().clamp(max=max(0, cells - 2)).long()
    share = places - lower
    matrix = torch.zeros(len(places), cells)
    matrix.scatter_(1, lower[:, None], 1 - share[:, None])
    return matrix.scatter_add_(1, (lower + 1).clamp(max=cells - 1)[:, None], share[:, None])
