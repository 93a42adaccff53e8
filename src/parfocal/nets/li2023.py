"""The U-Net of Li 2023: one image to its pixels in focus, and whole planes by tiles."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Real
from torch import Tensor, nn
from torch.nn import functional

from parfocal.core.errors import InputError, ShapeError

WIDTHS = (16, 32, 64, 128, 256, 512)
"""Channels of each level; the last is the bottleneck."""
NORMALISED_UP = 1
"""Levels on the way up with instance norm: the first alone."""
SHRINK = 2 ** (len(WIDTHS) - 1)
TILE_PX = 256
PUBLISHED_THRESHOLD = 0.2
"""The public code takes a pixel as in focus from this probability on."""


class Li2023Network(nn.Module):
    """A U-Net over one image, each stack scaled to 0 .. 1 [Li2023]_.

    Parameters
    ----------
    widths
        Channels of each level, the bottleneck last; shorter ones are for tests.

    Raises
    ------
    InputError
        If there are fewer than two levels.

    Notes
    -----
    As in the public code: at each level two 3 x 3 convolutions, each ReLU and then instance norm
    (epsilon 1e-3, scale and shift per channel); 2 x 2 maximum down; 2 x 2 transposed convolution
    up, beside the level's own channels; on the way up only the lowest level is normalised; a 1 x 1
    convolution and a sigmoid, which is left to the caller. First weights He-uniform. (The text
    describes seven layers, 256-128-64-32-64-128-256.)

    Examples
    --------
    >>> network = Li2023Network(widths=(4, 8)).eval()
    >>> network(torch.zeros(3, 1, 64, 32)).shape
    torch.Size([3, 64, 32])
    """

    def __init__(self, *, widths: tuple[int, ...] | list[int] = WIDTHS) -> None:
        super().__init__()
        if len(widths) < 2:
            raise InputError(f"A U-Net needs at least two widths, but came with {list(widths)}.")
        self.shrink = 2 ** (len(widths) - 1)
        pairs = list(zip((1, *widths), widths, strict=False))
        self.down = nn.ModuleList(_level(before, after, norm=True) for before, after in pairs)
        turns = list(zip(widths[::-1], widths[-2::-1], strict=False))
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(before, after, 2, stride=2) for before, after in turns
        )
        self.merge = nn.ModuleList(
            _level(2 * after, after, norm=number < NORMALISED_UP)
            for number, (_, after) in enumerate(turns)
        )
        self.head = nn.Conv2d(widths[0], 1, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d) and module is not self.head:
                nn.init.kaiming_uniform_(module.weight, nonlinearity="relu")
            if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)) and module.bias is not None:
                nn.init.zeros_(module.bias)

    def forward(self, images: Float[Tensor, "b 1 y x"]) -> Float[Tensor, "b y x"]:
        """Logits of being in focus, pixel by pixel."""
        if images.shape[1] != 1 or images.shape[2] % self.shrink or images.shape[3] % self.shrink:
            raise ShapeError(
                f"This network takes (b, 1, y, x) with sides that {self.shrink} divides, but a "
                f"batch came with shape {tuple(images.shape)}."
            )
        kept = []
        here = images
        for number, level in enumerate(self.down):
            here = level(functional.max_pool2d(here, 2) if number else here)
            kept.append(here)
        kept.pop()
        for rise, merge in zip(self.up, self.merge, strict=True):
            here = merge(torch.cat([rise(here), kept.pop()], 1))
        logits: Tensor = self.head(here)[:, 0]
        return logits


def _level(before: int, after: int, *, norm: bool) -> nn.Sequential:
    layers: list[nn.Module] = []
    for source in (before, after):
        layers += [nn.Conv2d(source, after, 3, padding=1), nn.ReLU(inplace=True)]
        if norm:
            layers.append(nn.InstanceNorm2d(after, eps=1e-3, affine=True))
    return nn.Sequential(*layers)


def scaled(counts: Float[Tensor, "*batch"], low: float, high: float) -> Float[Tensor, "*batch"]:
    """Counts as the network is given them: 0 .. 1 from the least to the largest of the stack.

    Examples
    --------
    >>> scaled(torch.tensor([100.0, 300.0]), 100.0, 500.0)
    tensor([0.0000, 0.5000])
    """
    return (counts - low) / max(high - low, 1e-12)


def scaled_stack(counts: Real[np.ndarray, "z y x"]) -> Float[Tensor, "z y x"]:
    """A stack as the network is given it: 0 .. 1 over all its planes.

    Examples
    --------
    >>> scaled_stack(np.array([[[100, 300]], [[200, 500]]])).flatten().tolist()
    [0.0, 0.5, 0.25, 1.0]
    """
    low, high = float(counts.min()), float(counts.max())
    return scaled(torch.from_numpy(counts.astype(np.float32)), low, high)


def plane_probabilities(
    network: Li2023Network,
    planes: Float[Tensor, "n y x"],
    *,
    tile_px: int = TILE_PX,
    overlap_px: int | None = None,
) -> Float[Tensor, "n y x"]:
    """Probability of being in focus at each pixel of whole planes, by overlapping tiles.

    Tiles are blended linearly over what they share; a plane smaller than a tile is one tile of
    its own, mirrored up to a side that the network takes.

    Parameters
    ----------
    network
        A trained network; its device is used.
    planes
        Counts that were ``scaled`` by the stack they belong to.
    tile_px
        Side of a tile, a multiple of 32; published is 256.
    overlap_px
        What neighbouring tiles share at least; a quarter of a tile if None.

    Returns
    -------
    Probabilities on the planes' own device.

    Raises
    ------
    InputError
        If the tile is no multiple of what the network takes, or the overlap no part of it.

    Notes
    -----
    Instance norm has the statistics of a tile, so a pixel's answer depends on what else lies in
    its tile: other tiles give other probabilities, also far from their borders. The paper's code
    has one tile: it resizes every plane to 256 x 256, which needs whole fields of one size.

    Laws: a plane that is one tile has the network's own answer; tiles cover planes of any size.

    Examples
    --------
    >>> network = Li2023Network(widths=(4, 8)).eval()
    >>> plane_probabilities(network, torch.zeros(2, 70, 50), tile_px=32, overlap_px=8).shape
    torch.Size([2, 70, 50])
    """
    overlap_px = tile_px // 4 if overlap_px is None else overlap_px
    if tile_px < 2 * network.shrink or tile_px % network.shrink or not 0 <= overlap_px < tile_px:
        raise InputError(
            f"tile_px {tile_px} and overlap_px {overlap_px} do not fit: give a multiple of "
            f"{network.shrink} from {2 * network.shrink} on, and an overlap below it."
        )
    where = next(network.parameters()).device
    size_y, size_x = planes.shape[-2:]
    rows = _starts(size_y, tile_px, overlap_px, network.shrink)
    columns = _starts(size_x, tile_px, overlap_px, network.shrink)
    window = _ramp(rows.tile, overlap_px)[:, None] * _ramp(columns.tile, overlap_px)
    found = []
    with torch.inference_mode():
        for plane in planes:
            whole = _mirrored(plane.to(where, torch.float32), rows.padded, columns.padded)
            total, weight = torch.zeros_like(whole), torch.zeros_like(whole)
            for y in rows.starts:
                for x in columns.starts:
                    part = (slice(y, y + rows.tile), slice(x, x + columns.tile))
                    total[part] += window.to(where) * network(whole[part][None, None])[0].sigmoid()
                    weight[part] += window.to(where)
            found.append((total / weight)[:size_y, :size_x].to(planes.device))
    return torch.stack(found).clone()


class _Tiles:
    """Where tiles start along one axis, their side, and the length they cover."""

    def __init__(self, starts: list[int], tile: int) -> None:
        self.starts, self.tile, self.padded = starts, tile, starts[-1] + tile


def _starts(size: int, tile: int, overlap: int, multiple: int) -> _Tiles:
    whole = max(2, -(-size // multiple)) * multiple
    if whole <= tile:
        return _Tiles([0], whole)
    count = -(-(whole - overlap) // (tile - overlap))
    last = whole - tile
    return _Tiles([round(last * number / (count - 1)) for number in range(count)], tile)


def _ramp(size: int, overlap: int) -> Float[Tensor, " size"]:
    """Weights that rise over the overlap from nearly 0 to 1, and fall again."""
    place = torch.arange(size) + 0.5
    return (torch.minimum(place, size - place) / max(overlap, 1)).clamp(max=1.0)


def _mirrored(plane: Float[Tensor, "y x"], size_y: int, size_x: int) -> Float[Tensor, "v u"]:
    """A plane mirrored at its far borders as often as it takes."""
    rows, columns = (
        _reflected(torch.arange(wanted, device=plane.device), size)
        for wanted, size in zip((size_y, size_x), plane.shape, strict=True)
    )
    return plane[rows[:, None], columns]


def _reflected(index: Tensor, size: int) -> Tensor:
    """Indices folded into 0 .. size - 1, the border pixel repeated once.

    Examples
    --------
    >>> _reflected(torch.arange(7), 3).tolist()
    [0, 1, 2, 2, 1, 0, 0]
    """
    folded = index % (2 * size)
    return torch.where(folded < size, folded, 2 * size - 1 - folded)
