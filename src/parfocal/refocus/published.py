"""Deep-R as published: one network from image to image, which knows no optics and no doubt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from parfocal.core.device import pick_device
from parfocal.core.results import Refocused, Status
from parfocal.core.setup import OpticalSetup
from parfocal.models.card import ModelCard
from parfocal.nets.luo2020 import Luo2020Generator
from parfocal.refocus.fitness import Extremes, asked_image
from parfocal.refocus.refocuser import Untrusted
from parfocal.refocus.tiling import tiles_of

UNKNOWN = 0.5
"""Trust of every pixel: the network says nothing about it."""


class PublishedRefocuser:
    """Runs a generator of [Luo2020]_ over an image of any size.

    Parameters
    ----------
    networks
        One generator.
    card
        Where it comes from.
    device
        Where to compute.
    """

    def __init__(
        self, networks: Sequence[Any], card: ModelCard, *, device: str | torch.device = "cpu"
    ) -> None:
        self.device = pick_device(str(device))
        generator = cast(nn.Module, networks[0]).to(self.device).eval()
        self.network = cast(Luo2020Generator, generator)
        self.card = card

    @property
    def name(self) -> str:
        """Name in the catalogue."""
        return self.card.name

    @torch.inference_mode()
    def refocus(
        self,
        image: Any,
        *,
        setup: OpticalSetup | None = None,
        saturation_counts: float | None = None,
        untrusted: Untrusted = "answer",
    ) -> Refocused:
        """Bring an image into focus; it is always believed, and ``untrusted`` changes nothing.

        Raises
        ------
        ShapeError, InputError
            If it is no image of finite numbers.
        MetadataError
            If the optics are missing: they are only recorded, but must be those of training.
        """
        image, setup = asked_image(image, setup)
        tiles = list(tiles_of((int(image.shape[0]), int(image.shape[1])), 1.0))
        extremes, total, power = Extremes(), 0.0, 0.0
        for tile in tiles:
            part = tile.part_inside(tile.read(image, device=self.device)).double()
            extremes.add(part, saturation_counts)
            total, power = total + float(part.sum()), power + float(part.square().sum())
        shape = tuple(int(side) for side in image.shape)
        card = {"name": self.name, "sha256": self.card.sha256, "commit": self.card.commit}
        refusal = extremes.refusal()
        if refusal is not None:
            return Refocused(
                status=refusal[0], reason=refusal[1], method=self.name, image=None,
                trust=np.zeros(shape, np.float32), card=card,
            )  # fmt: skip
        # Overlapping regions are counted twice: an image of one tile has its own mean.
        count = sum(np.prod([span.stop - span.start for span in tile.inside]) for tile in tiles)
        mean = total / count
        spread = max(1e-6, power / count - mean**2) ** 0.5
        sharp = np.zeros(shape, np.float32)
        for tile in tiles:
            region = (tile.read(image, device=self.device) - mean) / spread
            answer = self.network(region[None, None])[0, 0] * spread + mean
            mine = tile.part_inside(tile.weights().to(self.device))
            sharp[tile.inside] += (tile.part_inside(answer) * mine).cpu().numpy()
        return Refocused(
            status=Status.FOUND, reason="as published: always believed, without a distance",
            method=self.name, image=sharp, trust=np.full(shape, UNKNOWN, np.float32), card=card,
            provenance={"setup": setup.model_dump(mode="json")},
        )  # fmt: skip


def answer_of(network: nn.Module, images: Float[Tensor, "b y x"]) -> Float[Tensor, "b y x"]:
    """Answers to images of one size, whose sides are multiples of the network's, in counts."""
    mean, spread = images.mean((1, 2), keepdim=True), images.std((1, 2), keepdim=True)
    answers: Tensor = network(((images - mean) / spread.clamp(min=1e-6))[:, None])[:, 0]
    return answers * spread + mean
