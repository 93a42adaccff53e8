"""The network of Li 2021: one to three images of a patch to logits over classes of defocus."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from parfocal.core.errors import InputError, ShapeError

PATCH_PX = 128
WIDTHS = (32, 64, 128, 256)
NORMALISED_FROM = 2
"""Blocks from here on have batch norm: the last two."""
HIDDEN = 1024
MOST_IMAGES = 3


class Li2021Network(nn.Module):
    """Four convolutions and two dense layers over a patch of 128 x 128 px [Li2021]_.

    Parameters
    ----------
    images
        Images of one patch, 1 to 3.
    classes
        Classes of defocus.

    Raises
    ------
    InputError
        If there are other numbers of images, or fewer than two classes.

    Notes
    -----
    As in the public code: 3 x 3 convolutions with mirrored edges, ReLU and 2 x 2 maximum, batch
    norm in the last two only, 16,384 -> 1024, dropout of one half, classes. 17.2 million
    parameters, of which 16.8 are one matrix. (The text cites another network.)

    Examples
    --------
    >>> network = Li2021Network().eval()
    >>> network(torch.zeros(5, 2, 128, 128)).shape
    torch.Size([5, 13])
    """

    def __init__(self, *, images: int = 2, classes: int = 13) -> None:
        super().__init__()
        if not 1 <= images <= MOST_IMAGES or classes < 2:
            raise InputError(
                f"A network of {images} images and {classes} classes cannot be; give 1 to "
                f"{MOST_IMAGES} images and at least 2 classes."
            )
        self.images = images
        layers: list[nn.Module] = []
        for block, (before, after) in enumerate(zip((images, *WIDTHS), WIDTHS, strict=False)):
            layers.append(nn.Conv2d(before, after, 3, padding=1, padding_mode="reflect"))
            if block >= NORMALISED_FROM:
                layers.append(nn.BatchNorm2d(after))
            layers += [nn.ReLU(inplace=True), nn.MaxPool2d(2)]
        self.trunk = nn.Sequential(*layers)
        side = PATCH_PX >> len(WIDTHS)
        self.head = nn.Sequential(
            nn.Linear(WIDTHS[-1] * side * side, HIDDEN),
            nn.ReLU(inplace=True),
            nn.Dropout(0.5),
            nn.Linear(HIDDEN, classes),
        )

    def forward(self, patches: Float[Tensor, "b n y x"]) -> Float[Tensor, "b classes"]:
        """Logits of patches whose counts were ``scaled``."""
        if patches.shape[1:] != (self.images, PATCH_PX, PATCH_PX):
            raise ShapeError(
                f"This network takes {self.images} images of {PATCH_PX} x {PATCH_PX} px, but a "
                f"batch came with shape {tuple(patches.shape)}."
            )
        # Contiguous in the order of axes, so that a channels-last batch is flattened alike.
        logits: Tensor = self.head(torch.flatten(self.trunk(patches).contiguous(), 1))
        return logits


def scaled(
    counts: Float[Tensor, "*batch"],
    *,
    clip_counts: float = 10_000.0,
    dark_counts: float = 0.0,
    unit_counts: float = 10_000.0,
) -> Float[Tensor, "*batch"]:
    """Counts as the network is given them: clipped, less the dark, in units; published is 0 .. 1.

    Examples
    --------
    >>> scaled(torch.tensor([500.0, 20_000.0]))
    tensor([0.0500, 1.0000])
    """
    return (counts.clamp(max=clip_counts) - dark_counts) / unit_counts
