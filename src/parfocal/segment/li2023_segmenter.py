"""The U-Net of Li 2023 at work: each plane alone, by overlapping tiles."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import nn

from parfocal.core.device import pick_device
from parfocal.core.setup import OpticalSetup
from parfocal.core.stack import FocalStack
from parfocal.models.card import ModelCard
from parfocal.nets.li2023 import (
    PUBLISHED_THRESHOLD,
    TILE_PX,
    Li2023Network,
    plane_probabilities,
    scaled,
)


class Li2023Segmenter:
    """A trained ``Li2023Network`` with its card [Li2023]_.

    Parameters
    ----------
    networks
        One network.
    card
        Its card; ``calibration`` holds the threshold and the side of a tile.
    device
        "cpu", "cuda" or "auto".
    """

    def __init__(
        self, networks: Sequence[nn.Module], card: ModelCard, *, device: str = "cpu"
    ) -> None:
        (network,) = networks
        if not isinstance(network, Li2023Network):
            raise TypeError(f"A Li2023Segmenter runs a Li2023Network, not a {type(network)}.")
        self.card = card
        self.network = network.to(pick_device(device)).eval()

    @property
    def threshold(self) -> float:
        """Probability from which a pixel counts as in focus."""
        return float(self.card.calibration.get("threshold", PUBLISHED_THRESHOLD))

    def chances(
        self,
        stack: FocalStack,
        *,
        setup: OpticalSetup | None = None,
        is_dark: bool = False,
        tile_px: int = TILE_PX,
        orientations: int = 1,
    ) -> Iterator[Float[np.ndarray, "y x"]]:
        """Chance of each pixel of each plane to be in focus, one plane after another.

        Planes are scaled by the least and largest count of the whole stack, which is read once for
        it. ``setup`` is not used, and tiles are those that the network was trained on whatever
        ``tile_px`` says: instance norm makes any other give other answers.

        Parameters
        ----------
        stack
            All planes; each is read when it is needed.
        setup, tile_px
            Not used.
        is_dark
            Whether structure is darker than what is around it: counts are then turned over.
        orientations
            1, or 8 for the mean over all turns and mirrors.
        """
        sign = -1.0 if is_dark else 1.0
        tile = int(self.card.calibration.get("tile_px", TILE_PX))
        low, high = self._range(stack)
        low, high = (-high, -low) if is_dark else (low, high)
        for number in range(stack.shape[0]):
            counts = torch.nan_to_num(sign * stack.read(number).float(), nan=low)
            plane = scaled(counts.clamp(low, high), low, high)
            total = torch.zeros_like(plane)
            for mirror in (False, True)[: 1 if orientations == 1 else 2]:
                for turns in range(1 if orientations == 1 else 4):
                    seen = torch.rot90(plane.flip(1) if mirror else plane, turns)
                    found = plane_probabilities(self.network, seen[None], tile_px=tile)[0]
                    found = torch.rot90(found, -turns)
                    total += found.flip(1) if mirror else found
            yield (total / orientations).numpy()

    def _range(self, stack: FocalStack) -> tuple[float, float]:
        """The least and the largest finite count, a plane at a time."""
        ends = []
        for number in range(stack.shape[0]):
            counts = stack.read(number).float()
            known = counts[torch.isfinite(counts)]
            if known.numel():
                ends.append((float(known.min()), float(known.max())))
        lows, highs = zip(*ends, strict=True) if ends else ((0.0,), (1.0,))
        return min(lows), max(highs)
