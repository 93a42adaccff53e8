"""The networks of Deep-R, as far as they are described: a generator and its discriminator."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

SLOPE = 0.1
"""Of leaky ReLUs."""


class Luo2020Generator(nn.Module):
    """A U-Net with residual connections, from one blurred image to the image in focus [Luo2020]_.

    Parameters
    ----------
    widths
        Channels of each level.

    Notes
    -----
    The paper names the structure and no sizes. Each level has three convolutions whose sum with
    the level's input goes on, as in the group's earlier networks; levels are joined by
    concatenation, averaged by two on the way down, and enlarged bilinearly on the way up.

    Examples
    --------
    >>> Luo2020Generator(widths=(4, 8))(torch.zeros(1, 1, 16, 16)).shape
    torch.Size([1, 1, 16, 16])
    """

    def __init__(self, *, widths: Sequence[int] = (32, 64, 128, 256)) -> None:
        super().__init__()
        self.reduction_px = 1 << (len(widths) - 1)
        self.down = nn.ModuleList(_Level(a, b) for a, b in pairwise((1, *widths)))
        pairs = list(pairwise(reversed(widths)))
        self.up = nn.ModuleList(_Level(coarse + fine, fine) for coarse, fine in pairs)
        self.answer = nn.Conv2d(widths[0], 1, 3, padding=1)
        self.apply(_glorot)

    def forward(self, images: Float[Tensor, "b 1 y x"]) -> Float[Tensor, "b 1 y x"]:
        """Images of zero mean and unit variance; sides are multiples of ``reduction_px``."""
        found, kept = images, []
        for number, level in enumerate(self.down):
            found = level(functional.avg_pool2d(found, 2) if number else found)
            kept.append(found)
        for level, fine in zip(self.up, reversed(kept[:-1]), strict=True):
            wide = functional.interpolate(found, scale_factor=2.0, mode="bilinear")
            found = level(torch.cat([fine, wide], 1))
        answer: Tensor = self.answer(found)
        return answer


class _Level(nn.Module):
    """Three convolutions whose sum with the input goes on; channels are added or cut as needed."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.after = after
        self.layers = nn.Sequential(
            nn.Conv2d(before, after, 3, padding=1), nn.LeakyReLU(SLOPE),
            nn.Conv2d(after, after, 3, padding=1), nn.LeakyReLU(SLOPE),
            nn.Conv2d(after, after, 3, padding=1), nn.LeakyReLU(SLOPE),
        )  # fmt: skip

    def forward(self, found: Float[Tensor, "b c y x"]) -> Float[Tensor, "b d y x"]:
        missing = self.after - found.shape[1]
        same = functional.pad(found, (0, 0, 0, 0, 0, missing)) if missing > 0 else found
        more: Tensor = self.layers(found)
        return same[:, : self.after] + more


class Luo2020Discriminator(nn.Module):
    """Tells images that were taken in focus (1) from those that were made (0).

    Parameters
    ----------
    widths
        Channels of each pair of convolutions, of which the second halves the sampling.

    Examples
    --------
    >>> Luo2020Discriminator(widths=(4, 8))(torch.zeros(3, 1, 32, 32)).shape
    torch.Size([3])
    """

    def __init__(self, *, widths: Sequence[int] = (16, 32, 64, 128)) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in pairwise((1, *widths)):
            layers += [
                nn.Conv2d(before, before, 3, padding=1), nn.LeakyReLU(SLOPE),
                nn.Conv2d(before, after, 3, stride=2, padding=1), nn.LeakyReLU(SLOPE),
            ]  # fmt: skip
        self.layers = nn.Sequential(*layers)
        self.judge = nn.Sequential(
            nn.Linear(widths[-1], widths[-1]), nn.LeakyReLU(SLOPE), nn.Linear(widths[-1], 1)
        )
        self.apply(_glorot)

    def forward(self, images: Float[Tensor, "b 1 y x"]) -> Float[Tensor, " b"]:
        """How much each image looks as if it had been taken in focus."""
        verdict: Tensor = self.judge(self.layers(images).mean((2, 3)))
        return verdict[:, 0]


def _glorot(layer: nn.Module) -> None:
    """First weights as in the paper: a truncated normal distribution [Glorot2010]_."""
    if isinstance(layer, nn.Conv2d):
        fan_in, fan_out = (layer.weight.shape[k] * layer.weight[0, 0].numel() for k in (1, 0))
        deviation = (2.0 / (fan_in + fan_out)) ** 0.5
        nn.init.trunc_normal_(layer.weight, std=deviation, a=-2 * deviation, b=2 * deviation)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
