"""From three planes to the chance that each pixel of the middle one is in focus."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

FACTS = 8
"""Numbers that describe the three planes to the network; see ``segment.planes``."""


class FocusUnet(nn.Module):
    """A small U-Net, told the sampling of the planes.

    Parameters
    ----------
    widths
        Channels of each level; each but the first halves the sampling.
    facts, hidden
        Numbers that describe the planes, and units of the layer that turns them into a gain and
        an offset for each channel.

    Notes
    -----
    Batch normalisation, fixed once trained: what a pixel is told does not depend on what else is
    in its tile, but for the ``reach_px`` around it. Sides must be multiples of ``grain_px``.

    Examples
    --------
    >>> network = FocusUnet(widths=(4, 8)).eval()
    >>> network(torch.zeros(1, 3, 16, 16), torch.zeros(1, FACTS)).shape
    torch.Size([1, 16, 16])
    """

    def __init__(
        self, *, widths: Sequence[int] = (16, 32, 64, 96), facts: int = FACTS, hidden: int = 32
    ) -> None:
        super().__init__()
        self.widths = tuple(widths)
        self.down = nn.ModuleList(
            _Pair(before, after) for before, after in zip((3, *widths[:-1]), widths, strict=True)
        )
        upward = list(zip(widths[:0:-1], widths[-2::-1], strict=True))
        self.lift = nn.ModuleList(nn.Conv2d(below, above, 1) for below, above in upward)
        self.up = nn.ModuleList(_Pair(above, above) for _, above in upward)
        self.told = nn.Sequential(
            nn.Linear(facts, hidden), nn.ReLU(inplace=True), nn.Linear(hidden, 2 * sum(widths))
        )
        self.head = nn.Conv2d(widths[0], 1, 1)
        nn.init.constant_(self.head.bias, -2.0)  # type: ignore[arg-type]

    @property
    def grain_px(self) -> int:
        """Sides of the planes are multiples of it."""
        return int(2 ** (len(self.widths) - 1))

    @property
    def reach_px(self) -> int:
        """Pixels around one that have a say in its answer."""
        levels = len(self.widths) - 1
        convolutions = 4 * sum(2**level for level in range(levels)) + 2 * 2**levels
        return int(convolutions + 2 * (2**levels - 1))

    def forward(
        self, planes: Float[Tensor, "b 3 y x"], facts: Float[Tensor, "b f"]
    ) -> Float[Tensor, "b y x"]:
        """Logits of the middle plane's pixels."""
        told = self.told(facts).split([2 * width for width in self.widths], 1)
        kept, values = [], planes
        for level, (block, tell) in enumerate(zip(self.down, told, strict=True)):
            if level:
                values = functional.avg_pool2d(values, 2)
            gain, offset = tell[..., None, None].chunk(2, 1)
            values = torch.addcmul(
                offset.to(values.dtype), block(values), 1 + gain.to(values.dtype)
            )
            kept.append(values)
        for lift, block, across in zip(self.lift, self.up, kept[-2::-1], strict=True):
            wide = functional.interpolate(lift(values), scale_factor=2.0, mode="nearest")
            values = block(across + wide)
        logits: Tensor = self.head(values)[:, 0]
        return logits


class _Pair(nn.Sequential):
    """Two convolutions, each with batch normalisation and rectification."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__(
            nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after),
            nn.ReLU(inplace=True),
            nn.Conv2d(after, after, 3, padding=1, bias=False), nn.BatchNorm2d(after),
            nn.ReLU(inplace=True),
        )  # fmt: skip
