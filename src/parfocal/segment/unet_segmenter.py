"""The small U-Net at work: plane by plane, tile by tile, each plane with its neighbours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from parfocal.core.device import pick_device
from parfocal.core.setup import OpticalSetup
from parfocal.core.stack import FocalStack
from parfocal.models.card import ModelCard
from parfocal.nets.fast import computes_bfloat16, fast_copy
from parfocal.nets.focus_unet import FocusUnet
from parfocal.segment.plane_reader import PlaneReader

TILE_PX = 1024


class UnetSegmenter:
    """A trained ``FocusUnet`` with its card.

    Parameters
    ----------
    networks
        One network.
    card
        Its card; ``calibration`` holds the threshold.
    device
        "cpu", "cuda" or "auto".
    """

    def __init__(
        self, networks: Sequence[nn.Module], card: ModelCard, *, device: str = "cpu"
    ) -> None:
        self.card, self.device = card, pick_device(device)
        (self.network,) = networks
        if not isinstance(self.network, FocusUnet):
            raise TypeError(f"A UnetSegmenter runs a FocusUnet, not a {type(self.network)}.")
        self.grain_px, self.reach_px = self.network.grain_px, self.network.reach_px
        self.each_side = self.network.each_side
        narrow = computes_bfloat16(self.device)
        dtype = torch.bfloat16 if narrow else torch.float32
        self._quick = fast_copy(self.network, dtype=dtype, at_once=None).to(self.device)

    @property
    def threshold(self) -> float:
        """Chance from which a pixel counts as in focus."""
        return float(self.card.calibration.get("threshold", 0.5))

    def chances(
        self,
        stack: FocalStack,
        *,
        setup: OpticalSetup | None,
        is_dark: bool = False,
        tile_px: int = TILE_PX,
        orientations: int = 1,
    ) -> Iterator[Float[np.ndarray, "y x"]]:
        """Chance of each pixel of each plane to be in focus, one plane after another.

        Parameters
        ----------
        stack
            All planes; each is read when it is needed.
        setup
            The optics, or None.
        is_dark
            Whether structure is darker than what is around it.
        tile_px
            Side of a tile without what it overlaps; ``reach_px`` on each side.
        orientations
            1, or 8 for the mean over all turns and mirrors of the planes.
        """
        reader = PlaneReader(stack, setup, is_dark=is_dark, each_side=self.each_side)
        for number in range(stack.shape[0]):
            planes, facts = reader.read(number)
            chance = self._whole(planes, facts.to(self.device), tile_px, orientations)
            yield reader.unbinned(chance)

    def _whole(
        self, planes: Float[Tensor, "c y x"], facts: Tensor, tile_px: int, orientations: int
    ) -> Float[Tensor, "y x"]:
        """Chances of one plane, tile by tile; turned back where it was turned."""
        if orientations == 1:
            return self._tiled(planes, facts, tile_px)
        total = torch.zeros(planes.shape[1:])
        for mirror in (False, True):
            for turns in range(4):
                seen = torch.rot90(planes.flip(2) if mirror else planes, turns, (1, 2))
                chance = torch.rot90(self._tiled(seen, facts, tile_px), -turns, (0, 1))
                total += chance.flip(1) if mirror else chance
        return total / 8

    @torch.inference_mode()
    def _tiled(
        self, planes: Float[Tensor, "c y x"], facts: Tensor, tile_px: int
    ) -> Float[Tensor, "y x"]:
        grain, size_y, size_x = self.grain_px, *planes.shape[1:]
        halo = -(-self.reach_px // grain) * grain
        tile = max(grain, tile_px // grain * grain)
        more = [-size % grain for size in (size_x, size_y)]
        padded = functional.pad(planes[None], (0, more[0], 0, more[1]), mode="replicate")
        result = torch.empty(size_y + more[1], size_x + more[0])
        for y in range(0, result.shape[0], tile):
            for x in range(0, result.shape[1], tile):
                top, left = max(0, y - halo), max(0, x - halo)
                seen = padded[..., top : y + tile + halo, left : x + tile + halo]
                logits = self._quick(
                    seen.to(self.device).contiguous(memory_format=torch.channels_last), facts
                )
                chance = logits[0].float().sigmoid().cpu()
                inner = chance[y - top :, x - left :][:tile, :tile]
                result[y : y + tile, x : x + tile] = inner
        return result[:size_y, :size_x]
