"""From a few planes to the chance that each pixel of the middle one is in focus."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from parfocal.nets.refocus_unet import Block

FACTS, FACTS_EACH = 4, 2
"""Numbers that tell of the optics, and of each neighbour of the middle plane."""
STEP = 2
"""Pixels that are folded into channels, along y and along x."""


class FocusUnet(nn.Module):
    """A residual U-Net that is told the sampling of the planes.

    Parameters
    ----------
    widths
        Channels of the levels; the first has half the sampling of the planes, and each that
        follows half of that before it.
    each_side
        Planes below the one that is judged, and as many above.
    hidden
        Units of the layer that turns the numbers that describe the planes into a gain and an
        offset for each channel.

    Notes
    -----
    No normalisation layers: what a pixel is told does not depend on what else is in its tile,
    but for the ``reach_px`` around it. Sides must be multiples of ``grain_px``. Space is folded
    into channels at the first layer [Shi2016]_, levels are joined by sums [Ronneberger2015]_,
    residual blocks as in [He2016]_, gains and offsets as in [Perez2018]_.

    Examples
    --------
    >>> network = FocusUnet(widths=(4, 8)).eval()
    >>> network(torch.zeros(1, 3, 16, 16), torch.zeros(1, network.facts)).shape
    torch.Size([1, 16, 16])
    """

    def __init__(
        self, *, widths: Sequence[int] = (32, 64, 96, 128), each_side: int = 1, hidden: int = 32
    ) -> None:
        super().__init__()
        self.widths, self.each_side = tuple(widths), each_side
        self.facts = FACTS + FACTS_EACH * 2 * each_side
        self.fold = nn.PixelUnshuffle(STEP)
        self.stem = nn.Conv2d((1 + 2 * each_side) * STEP**2, widths[0], 3, padding=1)
        self.told = nn.Sequential(
            nn.Linear(self.facts, hidden), nn.ReLU(inplace=True), nn.Linear(hidden, 2 * sum(widths))
        )
        self.down = nn.ModuleList(Block(width) for width in widths)
        pairs = list(pairwise(widths))
        self.coarser = nn.ModuleList(
            nn.Conv2d(fine, coarse, 3, stride=2, padding=1) for fine, coarse in pairs
        )
        self.finer = nn.ModuleList(nn.Conv2d(coarse, fine, 1) for fine, coarse in pairs)
        self.up = nn.ModuleList(Block(fine) for fine, _ in pairs)
        self.head = nn.Conv2d(widths[0], STEP**2, 3, padding=1)
        nn.init.constant_(self.head.bias, -2.0)  # type: ignore[arg-type]
        with torch.no_grad():
            self.head.weight.mul_(0.1)

    @property
    def grain_px(self) -> int:
        """Sides of the planes are multiples of it."""
        return int(STEP * 2 ** (len(self.widths) - 1))

    @property
    def reach_px(self) -> int:
        """Pixels around one that have a say in its answer."""
        last = len(self.widths) - 1
        reach = 2 + 2 * 2**last  # stem and head; the block of the coarsest level
        for level in range(last):
            # Two blocks, the convolution to the next level, and the way back between its pixels.
            reach += 4 * 2**level + 2**level + 2 * 2**level
        return int(STEP * (reach + 1))

    def forward(
        self, planes: Float[Tensor, "b c y x"], facts: Float[Tensor, "b f"]
    ) -> Float[Tensor, "b y x"]:
        """Logits of the middle plane's pixels."""
        told = self.told(facts).split([2 * width for width in self.widths], 1)
        found: Tensor = self.stem(self.fold(planes))
        kept = []
        for level, (down, tell) in enumerate(zip(self.down, told, strict=True)):
            gain, offset = tell[..., None, None].to(found.dtype).chunk(2, 1)
            found = down(torch.addcmul(offset, found, 1 + gain))
            if level < len(self.coarser):
                kept.append(found)
                found = self.coarser[level](found)
        for finer, up, across in zip(
            reversed(self.finer), reversed(self.up), reversed(kept), strict=True
        ):
            wide = functional.interpolate(
                finer(found), scale_factor=2.0, mode="bilinear", align_corners=False
            )
            found = up(across + wide)
        logits: Tensor = functional.pixel_shuffle(self.head(found), STEP)[:, 0]
        return logits
