"""From views of an image on a surface, one for each assumed height, to the image there."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from parfocal.nets.refocus_unet import STEP, Block

CUE_LEVEL = 2
"""Level at which the cues of height come in: its sampling is theirs, 8 px."""
GUESS_WIDTH = 64
SHARPNESS = 5.0
"""Of the choice among views: logits are so many times what the last layer says."""
MULTIPLE_PX = 16
"""Of the sides of what comes in."""
AROUND = 33
"""Side of the window in which places agree, in places of 2 px."""
NEAR_DOF, OWN_SHARE = 1.5, 0.4
FAR_DOF = 8.0


class SurfaceMaps(NamedTuple):
    """What the network says of a batch; images in the units of its views.

    Parameters
    ----------
    shown
        The image on the surface.
    mixed
        The mix of the views alone, before the network's own correction.
    scores
        Logits of the views at each place; their softmax is the mix.
    scales
        Logarithms of the mean absolute error of ``shown``, and of the first view.
    """

    shown: Float[Tensor, "b y x"]
    mixed: Float[Tensor, "b y x"]
    scores: Float[Tensor, "b views v u"]
    scales: Float[Tensor, "b 2 v u"]


class SurfaceNetwork(nn.Module):
    """A residual U-Net that finds at which height light lies, by which view of it is right.

    Parameters
    ----------
    views
        Images that come in: the one that was taken, the dark, and views by assumed heights.
    widths
        Channels of each level; each halves the sampling.
    blocks
        Residual blocks of each level, on the way down; one on the way up.
    cues
        Numbers at each place that say how well each height fits; they come in at the third level,
        and make a first guess of the choice among views.
    facts
        Numbers that describe optics, noise and task.

    Notes
    -----
    The wanted surface comes in as one more channel, the digital propagation matrix of [Wu2019]_.
    The answer is a mix of the views, by weights that the network gives to each place, and a
    correction. Built as ``RefocusNetwork`` is: no normalisation layers, space folded into
    channels at the first layer, levels joined by sums.

    Examples
    --------
    >>> network = SurfaceNetwork(views=3, widths=(8, 8, 8), blocks=(1, 1, 1), cues=6, facts=2)
    >>> maps = network(torch.zeros(2, 3, 32, 32), torch.zeros(2, 32, 32), torch.zeros(2, 6, 4, 4),
    ...                torch.zeros(2, 2))
    >>> maps.shown.shape, maps.scores.shape
    (torch.Size([2, 32, 32]), torch.Size([2, 3, 16, 16]))
    """

    def __init__(
        self,
        *,
        views: int = 13,
        widths: Sequence[int] = (32, 64, 96, 128),
        blocks: Sequence[int] = (1, 1, 1, 2),
        cues: int = 99,
        facts: int = 5,
    ) -> None:
        super().__init__()
        self.views = views
        self.fold = nn.PixelUnshuffle(STEP)
        self.stem = nn.Conv2d((views + 1) * STEP**2, widths[0], 3, padding=1)
        self.optics = nn.Linear(facts, widths[0])
        self.told = nn.Conv2d(cues, widths[CUE_LEVEL], 3, padding=1)
        self.guess = nn.Sequential(
            nn.Conv2d(cues, GUESS_WIDTH, 1), nn.ReLU(), nn.Conv2d(GUESS_WIDTH, views, 1)
        )
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
        self.answer = nn.Conv2d(widths[0], views + STEP**2 + 2, 3, padding=1)
        with torch.no_grad():
            self.answer.weight.mul_(0.1)

    def forward(
        self,
        views: Float[Tensor, "b k y x"],
        surface_dof: Float[Tensor, "b y x"],
        cues: Float[Tensor, "b c v u"],
        facts: Float[Tensor, "b f"],
    ) -> SurfaceMaps:
        """Look at views whose sides are multiples of ``MULTIPLE_PX``."""
        told = torch.cat([views, surface_dof[:, None].to(views) / FAR_DOF], 1)
        found: Tensor = self.stem(self.fold(told)) + self.optics(facts)[:, :, None, None]
        kept = []
        for number, down in enumerate(self.down):
            if number == CUE_LEVEL:
                found = found + self.told(cues)
            found = down(found)
            if number < len(self.coarser):
                kept.append(found)
                found = self.coarser[number](found)
        for number in reversed(range(len(self.finer))):
            wide = functional.interpolate(
                self.finer[number](found), scale_factor=2.0, mode="bilinear", align_corners=False
            )
            found = self.up[number](kept[number] + wide)
        answer = self.answer(found).float()
        guess = functional.interpolate(
            self.guess(cues).float(), size=answer.shape[2:], mode="bilinear", align_corners=False
        )
        return self._put_together(views.float(), answer, guess)

    def _put_together(
        self, views: Float[Tensor, "b k y x"], answer: Tensor, guess: Tensor
    ) -> SurfaceMaps:
        scores = SHARPNESS * answer[:, : self.views] + guess
        shares = functional.interpolate(
            scores.softmax(1), scale_factor=float(STEP), mode="bilinear", align_corners=False
        )
        mixed = (shares * views).sum(1)
        change = functional.pixel_shuffle(answer[:, self.views : self.views + STEP**2], STEP)
        return SurfaceMaps(
            shown=mixed + change[:, 0],
            mixed=mixed,
            scores=scores,
            scales=answer[:, self.views + STEP**2 :],
        )


def agreed(
    maps: SurfaceMaps,
    views: Float[Tensor, "b k y x"],
    surface_dof: Float[Tensor, "b y x"],
    weight: float,
) -> SurfaceMaps:
    """Let places around each other agree on the views: their mean opinion counts so much more.

    What one place knows of the height of its light is little, and its neighbours' light lies at
    about the same height. Near the image's own plane heights matter little, and the image itself
    comes in instead, by up to ``OWN_SHARE``.

    Parameters
    ----------
    maps
        What the network said.
    views, surface_dof
        What it was asked with.
    weight
        Of the mean logarithm of the shares in a window of ``AROUND`` places.

    Examples
    --------
    >>> maps = SurfaceMaps(torch.ones(1, 8, 8), torch.ones(1, 8, 8), torch.zeros(1, 2, 4, 4),
    ...                    torch.zeros(1, 2, 4, 4))
    >>> agreed(maps, torch.ones(1, 2, 8, 8), torch.ones(1, 8, 8), 1.0).shown.mean()
    tensor(1.)
    """
    away = (surface_dof.abs() / NEAR_DOF).clamp(max=1.0)[:, None]
    opinion = maps.scores.log_softmax(1)
    around = functional.avg_pool2d(opinion, AROUND, 1, AROUND // 2, count_include_pad=False)
    shares = functional.interpolate(
        (opinion + weight * functional.avg_pool2d(away, STEP) * around).softmax(1),
        scale_factor=float(STEP), mode="bilinear", align_corners=False,
    )  # fmt: skip
    mixed = (shares * views.float()).sum(1)
    shown = maps.shown - maps.mixed + mixed
    own = OWN_SHARE * (1 - away[:, 0])
    return maps._replace(shown=torch.lerp(shown, views[:, 0].float(), own), mixed=mixed)
