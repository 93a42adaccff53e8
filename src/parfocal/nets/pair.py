"""From two images a known distance apart to logits over their defocus."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

REDUCTION_PX = 32
"""Pixels of the input for one position of the feature maps, along y and along x."""
BANDS = 5
"""Octaves in which the energy of each image is told to the head."""
LEAST_ENERGY = 1e-4
"""Of the pair's variance; less is nothing."""


class PairNetwork(nn.Module):
    """Convolutions over a pair of images, then a head that is also told the optics.

    Parameters
    ----------
    bins
        Number of logits: classes of defocus, and one more for what is no fluorescence.
    widths
        Channels of the stem and of the four blocks; each halves the sampling.
    facts
        Numbers that describe the optics of a pair (pixel, spacing, ...), given to the head.
    hidden
        Units of the head's hidden layers.

    Notes
    -----
    Fully convolutional up to the head: ``maps`` runs once over an image of any size, and
    ``judge`` reads any window of it. Mean and maximum over the window reach the head, and beside
    them the logarithm of each image's energy in octaves of Haar details: what a focus measure
    would say.
    The design follows our own experiments; two images in, classes of defocus out, is that of
    [Li2021]_.

    Examples
    --------
    >>> network = PairNetwork(bins=33).eval()
    >>> network(torch.zeros(5, 2, 128, 128), torch.zeros(5, 4)).shape
    torch.Size([5, 33])
    """

    def __init__(
        self,
        *,
        bins: int,
        widths: Sequence[int] = (24, 32, 64, 96, 128),
        facts: int = 4,
        hidden: int = 128,
    ) -> None:
        super().__init__()
        stem, *blocks = widths
        layers: list[nn.Module] = [
            nn.Conv2d(2, stem, 5, stride=2, padding=2, bias=False),
            nn.BatchNorm2d(stem),
            nn.ReLU(inplace=True),
        ]
        for before, after in zip((stem, *blocks[:-1]), blocks, strict=True):
            for stride, channels in ((2, before), (1, after)):
                layers += [
                    nn.Conv2d(channels, after, 3, stride=stride, padding=1, bias=False),
                    nn.BatchNorm2d(after),
                    nn.ReLU(inplace=True),
                ]
        self.energies = BandEnergies()
        self.trunk = nn.Sequential(*layers)
        self.head = nn.Sequential(
            nn.Linear(2 * widths[-1] + 2 * BANDS + facts, hidden),
            nn.ReLU(inplace=True),
            nn.Linear(hidden, hidden),
            nn.ReLU(inplace=True),
            nn.Linear(hidden, bins),
        )

    def maps(self, images: Float[Tensor, "b 2 y x"]) -> Float[Tensor, "b c v u"]:
        """Feature maps of whole images, one position for ``REDUCTION_PX`` pixels.

        The sides must be multiples of that.
        """
        features: Tensor = self.trunk(images)
        return torch.cat([self.energies(images), features.float()], 1)

    def judge(
        self, features: Float[Tensor, "b c v u"], facts: Float[Tensor, "b f"]
    ) -> Float[Tensor, "b bins"]:
        """Logits for one window of the feature maps."""
        flat = features.flatten(2)
        mean = flat.mean(-1)
        levels = (mean[:, : 2 * BANDS] + LEAST_ENERGY).log()
        largest = flat[:, 2 * BANDS :].amax(-1)
        logits: Tensor = self.head(torch.cat([levels, mean[:, 2 * BANDS :], largest, facts], dim=1))
        return logits

    def forward(
        self, images: Float[Tensor, "b 2 y x"], facts: Float[Tensor, "b f"]
    ) -> Float[Tensor, "b bins"]:
        """Logits for whole patches."""
        return self.judge(self.maps(images), facts)


class BandEnergies(nn.Module):
    """``band_energies`` as a layer, in whose place a fast copy puts a faster one."""

    def forward(self, images: Float[Tensor, "b 2 y x"]) -> Float[Tensor, "b k v u"]:
        """Energies of each square."""
        return band_energies(images)

    def quick(self) -> nn.Module:
        """The same to rounding, for answers alone."""
        return _QuickEnergies()


class _QuickEnergies(nn.Module):
    def forward(self, images: Float[Tensor, "b 2 y x"]) -> Float[Tensor, "b k v u"]:
        return cell_moments(images)[1]


def band_energies(images: Float[Tensor, "b 2 y x"]) -> Float[Tensor, "b k v u"]:
    """Mean square of Haar details in ``BANDS`` octaves, over squares of ``REDUCTION_PX``.

    Examples
    --------
    >>> board = (torch.arange(32) % 2 * 2.0 - 1).expand(1, 2, 32, 32)
    >>> band_energies(board)[0, :, 0, 0]
    tensor([1., 1., 0., 0., 0., 0., 0., 0., 0., 0.])
    """
    smooth, energies = images.float(), []
    for octave in range(BANDS):
        coarse = functional.avg_pool2d(smooth, 2)
        detail = smooth - functional.interpolate(coarse, scale_factor=2.0, mode="nearest")
        energies.append(functional.avg_pool2d(detail.square(), REDUCTION_PX >> octave))
        smooth = coarse
    return torch.cat(energies, 1)


def cell_moments(
    images: Float[Tensor, "b n y x"],
) -> tuple[Float[Tensor, "b n v u"], Float[Tensor, "b k v u"]]:
    """Mean of each square of ``REDUCTION_PX``, and ``band_energies`` in a fifth of the time.

    A square's variance is the sum of its energies, whatever its mean: cells of any size of
    window can be put together from them. For answers alone: no shapes that an export could free.

    Examples
    --------
    >>> board = (torch.arange(32) % 2 * 2.0 + 7).expand(1, 2, 32, 32)
    >>> means, energies = cell_moments(board)
    >>> means[0, :, 0, 0], energies[0, :2, 0, 0]
    (tensor([8., 8.]), tensor([1., 1.]))
    """
    side = REDUCTION_PX
    batch, count, size_y, size_x = images.shape
    v, u = size_y // side, size_x // side
    cells = images.float().reshape(batch, count, v, side, u, side)
    means = _over_cells(cells.reshape(batch, count, v, side, -1), side)
    # Without it a bright square would drown its own detail in rounding.
    smooth = cells - means[:, :, :, None, :, None]
    powers = []
    for octave in range(BANDS):
        side = REDUCTION_PX >> octave
        smooth = smooth.reshape(batch, count, v, side, -1)
        powers.append(_over_cells(smooth.square(), side))
        rows = smooth[:, :, :, ::2] + smooth[:, :, :, 1::2]
        smooth = rows.reshape(-1, side) @ _means_of_two(side, images.device) / 2
    finer, coarser = torch.cat(powers, 1), torch.cat(powers[1:], 1)
    finer[:, : coarser.shape[1]] -= coarser
    return means, finer


def _over_cells(rows: Float[Tensor, "b n v side x"], side: int) -> Float[Tensor, "b n v u"]:
    """Mean over squares: rows first, which lie side by side in memory."""
    columns = rows.sum(3)
    return columns.reshape(*columns.shape[:-1], -1, side).sum(-1) / side**2


@cache
def _means_of_two(side: int, device: torch.device) -> Float[Tensor, "side half"]:
    """Matrix that takes the mean of neighbours: strides of two are slow, products are not."""
    return torch.eye(side // 2, device=device).repeat_interleave(2, 0) / 2
