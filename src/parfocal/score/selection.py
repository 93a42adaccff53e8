"""Which plane is in focus at each place of a tile: by complex wavelets, or by local variance."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from parfocal.score.wavelets import (
    Details,
    Trees,
    analyse_dual_tree,
    band_energy,
    synthesise_dual_tree,
)

# Contrast below this share of the local grey value is rounding, not structure.
_ROUNDING = 1e-4
_LEAST_LOG = 1e-30


@dataclass(frozen=True, eq=False)
class PlaneChoice:
    """What one tile says: index and weight on a lattice of ``pitch_px``, and the fused image.

    ``weight`` runs from 0 (the planes differ as noise does) to 1.
    """

    index: Int[Tensor, "y2 x2"]
    weight: Float[Tensor, "y2 x2"]
    image: Float[Tensor, "y x"]
    pitch_px: int


def choose_by_wavelets(
    planes: Float[Tensor, "z y x"], *, levels: int, keep_bytes: int = 0
) -> PlaneChoice:
    """Fuse planes in the complex wavelet domain, and say where each place is sharpest.

    Two choices are made per level. The image takes, at each coefficient, the plane with the
    largest modulus, agreed by the median over the three bands and over 3 x 3 neighbours
    [Forster2004]_. The index takes the plane with the most log energy, summed over
    bands, neighbours and all coarser levels, so that a place whose fine structure drowns
    in noise follows the coarse structure around it.

    Parameters
    ----------
    planes
        Planes in counts, sizes multiples of ``2**levels``.
    levels
        Wavelet levels.
    keep_bytes
        Memory to spend on keeping coefficients; with less than they need they are computed twice.

    Notes
    -----
    Laws: a gain common to all planes changes neither choice; reversing the planes reverses
    the index.

    Examples
    --------
    >>> sharp = torch.rand(64, 64, generator=torch.Generator().manual_seed(0)) * 100
    >>> blurred = torch.full_like(sharp, 50.0)
    >>> choice = choose_by_wavelets(torch.stack((blurred, sharp)), levels=2)
    >>> int(choice.index.min()), choice.pitch_px
    (1, 2)
    """
    keep = planes.numel() * planes.element_size() * 5 <= keep_bytes
    evidence, moduli, kept = _scan_planes(planes, levels, keep=keep)
    indices, contrast = _follow_evidence(evidence)
    shape = planes.shape[-2:]
    details = tuple(planes.new_zeros(2, 2, 3, *index.shape) for index in moduli)
    low = planes.new_zeros(2, 2, shape[0] >> levels, shape[1] >> levels)
    for z, plane in enumerate(planes):
        own, own_low = kept[z] if keep else analyse_dual_tree(plane, levels=levels)
        for out, level, index in zip(details, own, moduli, strict=True):
            torch.where(index == z, level, out, out=out)
        torch.where(indices[-1] == z, own_low, low, out=low)
    return PlaneChoice(
        indices[0], _weigh(contrast, len(planes)), synthesise_dual_tree(details, low), 2
    )


def choose_by_variance(planes: Float[Tensor, "z y x"], *, window_px: int) -> PlaneChoice:
    """Take, at each pixel, the plane with the largest variance in a window around it.

    The plain baseline: fast, blind at the scale of its window, and noisy where nothing is in focus.

    Examples
    --------
    >>> planes = torch.zeros(2, 9, 9)
    >>> planes[1, 4, 4] = 1.0
    >>> int(choose_by_variance(planes, window_px=3).index[4, 4])
    1
    """
    best = torch.full_like(planes[0], -1.0)
    index = torch.zeros(planes.shape[-2:], dtype=torch.int64, device=planes.device)
    image = planes[0].clone()
    for z, plane in enumerate(planes):
        centred = plane - plane.mean()  # keeps the difference of squares exact on a bright offset
        variance = _window_mean(centred.square(), window_px)
        variance = variance - _window_mean(centred, window_px).square()
        wins = variance > best
        best = torch.where(wins, variance, best)
        index = torch.where(wins, z, index)
        image = torch.where(wins, plane, image)
    return PlaneChoice(index, torch.ones_like(best), image, 1)


def fill_uncertain(
    index: Int[Tensor, "y x"], weight: Float[Tensor, "y x"], *, default: int
) -> Int[Tensor, "y x"]:
    """Replace the indices of little weight by a smooth surface through the others.

    Push and pull: weighted means on ever coarser lattices, then back, each place taking from the
    coarser one what its own weight leaves open. ``default`` stands where nothing has weight.

    Examples
    --------
    >>> fill_uncertain(torch.tensor([[4, 9, 4]]), torch.tensor([[1.0, 0.0, 1.0]]), default=0)
    tensor([[4, 4, 4]])
    """
    level = torch.stack((index * weight, weight))[None].to(torch.float32)
    pyramid = [level]
    while max(level.shape[-2:]) > 1:
        level = functional.avg_pool2d(level, 2, ceil_mode=True, count_include_pad=False) * 4.0
        level = level / level[:, 1:].clamp(min=1.0)
        pyramid.append(level)
    value = torch.full_like(pyramid[-1][:, :1], float(default))
    for level in reversed(pyramid):
        if value.shape[-2:] != level.shape[-2:]:
            sizes = level.shape[-2], level.shape[-1]
            value = functional.interpolate(value, size=sizes, mode="bilinear", align_corners=False)
        value = level[:, :1] + (1.0 - level[:, 1:].clamp(max=1.0)) * value
    smooth = value[0, 0].round().to(index.dtype)
    return torch.where(weight >= 0.5, index, smooth)


def _scan_planes(
    planes: Tensor, levels: int, *, keep: bool
) -> tuple[list[Tensor], list[Tensor], list[tuple[tuple[Details, ...], Trees]]]:
    """Log energy of each level and plane, the plane of the largest modulus, kept coefficients."""
    evidence: list[Tensor] = []
    best: list[Tensor] = []
    first: list[Tensor] = []
    kept = []
    for z, plane in enumerate(planes):
        details, low = analyse_dual_tree(plane, levels=levels)
        if keep:
            kept.append((details, low))
        power = plane.square()[None, None]
        for level, own in enumerate(details):
            power = (
                functional.avg_pool2d(power, 2) * 4.0
            )  # energy of the block a coefficient stands for
            squares = band_energy(own)
            if z == 0:
                evidence.append(squares.new_empty(len(planes), *squares.shape[-2:]))
                best.append(squares.clone())
                first.append(torch.zeros_like(squares, dtype=torch.int64))
            floor = _ROUNDING**2 * power[0, 0] + _LEAST_LOG
            evidence[level][z] = torch.log(_window_mean(squares.sum(0), 3) + floor)
            wins = squares > best[level]
            torch.where(wins, squares, best[level], out=best[level])
            first[level].masked_fill_(wins, z)
    agreed = [_median_3x3(index.median(0).values) for index in first]
    return evidence, agreed, kept


def _follow_evidence(evidence: list[Tensor]) -> tuple[list[Tensor], Tensor]:
    """Sum log energies from coarse to fine; index of each level, contrast of the finest."""
    indices: list[Tensor] = []
    total: Tensor | None = None
    for level in reversed(evidence):
        own = level - level.mean(0)
        if total is not None:
            coarse = functional.interpolate(
                total[None], scale_factor=2, mode="bilinear", align_corners=False
            )
            own += coarse[0]
        total = own
        indices.insert(0, _median_3x3(total.argmax(0)))
    finest = evidence[0] if total is None else total
    return indices, finest.amax(0) - finest.mean(0)


def _weigh(contrast: Tensor, planes: int) -> Tensor:
    """From 0 where noise alone would show this contrast to 1 where it would not.

    The 95th percentile of the contrast of pure noise, computed for 3 to 50 planes, is
    0.5 + 0.22 log(planes) within 0.05, whatever the strength of the noise.
    """
    noise = 0.5 + 0.22 * torch.log(torch.tensor(float(planes)))
    return ((contrast - noise) / noise).clamp(0.0, 1.0)


def _window_mean(image: Tensor, window_px: int) -> Tensor:
    before, after = (window_px - 1) // 2, window_px // 2
    padded = functional.pad(image[None, None], (before, after, before, after), mode="replicate")
    return functional.avg_pool2d(padded, window_px, stride=1)[0, 0]


def _median_3x3(index: Tensor) -> Tensor:
    size_y, size_x = index.shape
    padded = functional.pad(index[None, None].to(torch.float32), (1, 1, 1, 1), mode="replicate")[
        0, 0
    ]
    shifts = [padded[y : y + size_y, x : x + size_x] for y in range(3) for x in range(3)]
    return torch.stack(shifts).median(0).values.to(torch.int64)
