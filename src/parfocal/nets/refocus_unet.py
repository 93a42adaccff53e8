"""From views of a blurred image to the image in focus, with its doubt and its distance."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from parfocal.nets.pair import BANDS, LEAST_ENERGY, REDUCTION_PX, cell_moments

STEP = 2
"""Pixels that are folded into channels, along y and along x."""


class RefocusMaps(NamedTuple):
    """What the network says of a batch; images in the units of its views.

    Parameters
    ----------
    sharp
        The image in focus.
    mixed
        The mix of the views alone, before the network's own correction.
    scales
        Logarithms of the mean absolute error of ``sharp``, and of the first view.
    logits
        Over classes of |defocus|, for each cell of ``REDUCTION_PX``.
    weights
        Logarithm of each cell's say in the field's |defocus|.
    """

    sharp: Float[Tensor, "b y x"]
    mixed: Float[Tensor, "b y x"]
    scales: Float[Tensor, "b 2 v u"]
    logits: Float[Tensor, "b bins q p"]
    weights: Float[Tensor, "b q p"]


class RefocusNetwork(nn.Module):
    """A residual U-Net that chooses among views of one image, and corrects what it chose.

    Parameters
    ----------
    views
        Images that come in: the blurred one first, then its deconvolutions by assumed distances.
    bins
        Classes: of |defocus|, and one more for what is no fluorescence.
    widths
        Channels of each level; each halves the sampling.
    blocks
        Residual blocks of each level, on the way down; one on the way up.
    facts
        Numbers that describe the optics and the noise of an image.

    Notes
    -----
    The answer is a mix of the views, by weights that the network gives to each place, and a
    correction: a network that does nothing hands out a mean of its views, and one that trusts
    the first view alone returns the input. No normalisation layers: what a pixel becomes does not
    depend on how much of the field is empty. Space is folded into channels at the first layer
    [Shi2016]_, levels are joined by sums [Ronneberger2015]_, residual blocks as in [He2016]_.

    Examples
    --------
    >>> network = RefocusNetwork(views=3, bins=5, widths=(8, 8), blocks=(1, 1))
    >>> maps = network(torch.zeros(2, 3, 32, 32), torch.zeros(2, 3))
    >>> maps.sharp.shape, maps.logits.shape
    (torch.Size([2, 32, 32]), torch.Size([2, 5, 1, 1]))
    """

    def __init__(
        self,
        *,
        views: int = 6,
        bins: int = 17,
        widths: Sequence[int] = (32, 64, 96, 128),
        blocks: Sequence[int] = (1, 1, 1, 2),
        facts: int = 3,
    ) -> None:
        super().__init__()
        self.views, self.bins = views, bins
        self.fold = nn.PixelUnshuffle(STEP)
        self.stem = nn.Conv2d(views * STEP**2, widths[0], 3, padding=1)
        self.optics = nn.Linear(facts, widths[0])
        self.down = nn.ModuleList(
            nn.Sequential(*(Block(width) for _ in range(count)))
            for width, count in zip(widths, blocks, strict=True)
        )
        pairs = list(pairwise(widths))
        self.coarser = nn.ModuleList(
            nn.Conv2d(fine, coarse, 3, stride=2, padding=1) for fine, coarse in pairs
        )
        self.finer = nn.ModuleList(nn.Conv2d(coarse, fine, 1) for fine, coarse in pairs)
        self.up = nn.ModuleList(Block(fine) for fine, _ in pairs)
        self.cell = REDUCTION_PX // (STEP << (len(widths) - 1))
        told = widths[-1] + BANDS * views + facts
        self.distance = nn.Sequential(
            nn.Conv2d(told, widths[-1], 1), nn.ReLU(), nn.Conv2d(widths[-1], bins + 1, 1)
        )
        self.answer = nn.Conv2d(widths[0], views + STEP**2 + 2, 3, padding=1)
        with torch.no_grad():
            self.answer.weight.mul_(0.1)

    def forward(self, views: Float[Tensor, "b k y x"], facts: Float[Tensor, "b f"]) -> RefocusMaps:
        """Look at views whose sides are multiples of ``REDUCTION_PX``."""
        found: Tensor = self.stem(self.fold(views)) + self.optics(facts)[:, :, None, None]
        kept = []
        for number, down in enumerate(self.down):
            found = down(found)
            if number < len(self.coarser):
                kept.append(found)
                found = self.coarser[number](found)
        distance = self._distance(found, views, facts)
        for number in reversed(range(len(self.finer))):
            wide = functional.interpolate(
                self.finer[number](found), scale_factor=2.0, mode="bilinear", align_corners=False
            )
            found = self.up[number](kept[number] + wide)
        answer = self.answer(found).float()
        return self._put_together(views.float(), answer, distance)

    def _distance(self, found: Tensor, views: Tensor, facts: Tensor) -> Float[Tensor, "b c q p"]:
        """Logits and say of each cell of ``REDUCTION_PX``.

        The head is told what the energy of each view is in octaves of detail: blur takes the
        finest, and a view of too far a distance has too much of them.
        """
        cells = functional.avg_pool2d(found, self.cell)
        # Differences of sums: next to nothing may come out below 0.
        energies = (cell_moments(views)[1].clamp(min=0.0) + LEAST_ENERGY).log() / 3.0
        optics = facts[:, :, None, None].expand(-1, -1, *cells.shape[2:])
        told = torch.cat([cells.float(), energies, optics.float()], 1)
        distance: Tensor = self.distance(told).float()
        return distance

    def _put_together(
        self, views: Float[Tensor, "b k y x"], answer: Tensor, distance: Tensor
    ) -> RefocusMaps:
        shares = answer[:, : self.views].softmax(1)
        shares = functional.interpolate(
            shares, scale_factor=float(STEP), mode="bilinear", align_corners=False
        )
        mixed = (shares * views).sum(1)
        change = functional.pixel_shuffle(answer[:, self.views : self.views + STEP**2], STEP)
        return RefocusMaps(
            sharp=mixed + change[:, 0],
            mixed=mixed,
            scales=answer[:, self.views + STEP**2 :],
            logits=distance[:, : self.bins],
            weights=distance[:, self.bins],
        )


class Block(nn.Module):
    """Two convolutions whose sum with the input goes on."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        with torch.no_grad():
            self.second.weight.mul_(0.3)

    def forward(self, found: Float[Tensor, "b c y x"]) -> Float[Tensor, "b c y x"]:
        """The input and what the convolutions add to it."""
        more: Tensor = self.second(functional.relu(self.first(functional.relu(found))))
        return found + more


def field_logits(
    logits: Float[Tensor, "b bins q p"], weights: Float[Tensor, "b q p"]
) -> Float[Tensor, "b bins"]:
    """Logits of a whole field: the mean of its cells', by their say.

    Examples
    --------
    >>> logits = torch.tensor([[[[1.0, 3.0]], [[0.0, 0.0]]]])
    >>> field_logits(logits, torch.zeros(1, 1, 2))
    tensor([[2., 0.]])
    """
    say = weights.flatten(1).softmax(1)
    return (logits.flatten(2) * say[:, None]).sum(-1)
