"""A pair ensemble as one graph: counts and optics in, classes of defocus out."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from parfocal.models.card import ModelCard
from parfocal.models.export_ports import BATCH, Axis, Port
from parfocal.nets.pair import REDUCTION_PX
from parfocal.nets.pair_inputs import (
    CLEAR_PRIOR,
    bin_centres,
    is_blank,
    normalised,
    pair_facts,
    swapped,
)

REACH = 8.0
"""Of the classes, in effective depths of field, where the card does not say."""
SIDE = Axis("y", "space", least_px=REDUCTION_PX, step_px=REDUCTION_PX)


class PairGraph(nn.Module):
    """What ``PairPredictor`` computes for one patch, before it joins the patches of a field.

    The images are normalised inside, each network sees them in both orders, and the mean of all
    distributions comes out. Checks of the images and the verdict on the answer stay outside.

    Parameters
    ----------
    networks
        Members of a ``PairNetwork`` ensemble.
    card
        Of the model.
    """

    inputs = (
        Port(
            "images",
            "Two images of a patch in counts, in order of increasing stage z; or one image twice.",
            (
                BATCH,
                Axis("channel", "channel", channels=("first", "second")),
                SIDE,
                Axis("x", "space", least_px=REDUCTION_PX, step_px=REDUCTION_PX),
            ),
        ),
        Port(
            "optics",
            "NA, wavelength, pixel and distance of the images (um; 0 for one image twice), index.",
            (
                BATCH,
                Axis(
                    "channel",
                    "channel",
                    channels=("na", "wavelength_um", "pixel_um", "spacing_um", "immersion_index"),
                ),
            ),
        ),
    )

    def __init__(self, networks: Sequence[nn.Module], card: ModelCard) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)
        self.bins = int(card.settings["bins"]) - 1  # and one more for transmitted light
        centres = bin_centres(self.bins, float(card.calibration.get("classes_reach", REACH)))
        self.register_buffer("centres", centres)
        self.outputs = (
            Port(
                "probabilities",
                "Of each class of defocus of the pair's middle, in effective depths of field.",
                (
                    BATCH,
                    Axis("channel", "channel", channels=tuple(f"{c:+.2f}" for c in centres)),
                ),
            ),
            Port(
                "defocus_um",
                "Expected defocus of either image, in um along increasing stage z.",
                (BATCH, Axis("channel", "channel", channels=("first", "second"))),
            ),
            Port(
                "certainty",
                "1 less the entropy of the probabilities over that of a uniform distribution.",
                (BATCH, Axis("channel", "channel", channels=("certainty",))),
            ),
            Port(
                "transmitted",
                "Probability of transmitted light, for which no answer holds.",
                (BATCH, Axis("channel", "channel", channels=("transmitted",))),
            ),
        )

    def forward(
        self, images: Float[Tensor, "b 2 y x"], optics: Float[Tensor, "b 5"]
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Probabilities (b, bins), defocus (b, 2), certainty and transmitted (b, 1)."""
        na, wavelength_um, pixel_um, spacing_um, index = optics.unbind(1)
        depth_um = index * (wavelength_um / na**2 + pixel_um / na)
        facts = pair_facts(
            pixel=pixel_um * na / wavelength_um, spacing=spacing_um / depth_um, ratio=na / index
        )
        shares, clear = self._judged(images, facts)
        entropy = -torch.where(shares > 0, shares * shares.clamp(min=1e-30).log(), 0.0).sum(-1)
        middle = shares @ self.get_buffer("centres")
        return (
            shares,
            torch.stack(
                [middle * depth_um - spacing_um / 2, middle * depth_um + spacing_um / 2], 1
            ),
            (1 - entropy / math.log(self.bins))[:, None],
            clear,
        )

    def _judged(
        self, images: Float[Tensor, "b 2 y x"], facts: Float[Tensor, "b f"]
    ) -> tuple[Tensor, Tensor]:
        """Mean over networks and both orders; a blank patch tells nothing."""
        count = images.shape[0]  # not len(), which an export would take for a constant
        pairs = normalised(images)
        both, twice = torch.cat([pairs, swapped(pairs)]), torch.cat([facts, facts])
        members = [network(both, twice).softmax(-1) for network in self.networks]
        mean = torch.stack(members).mean(0)
        forth, back = mean[:count], mean[count:]
        defocus = (forth[:, : self.bins] + back[:, : self.bins].flip(-1)) / 2
        clear = (forth[:, self.bins :] + back[:, self.bins :]) / 2
        defocus = defocus / defocus.sum(-1, keepdim=True).clamp(min=1e-9)
        blank = is_blank(images)[:, None]
        return (
            torch.where(blank, 1.0 / self.bins, defocus),
            torch.where(blank, CLEAR_PRIOR, clear),
        )

    def example(self, *, generator: torch.Generator) -> tuple[Tensor, ...]:
        """Two patches of points, the second image of one the sharper, and a blank patch.

        The blank one is sure to make every output large enough for bioimage.io's test.
        """
        points = (torch.rand(2, 1, 160, 192, generator=generator) > 0.99).float()
        sharp, dull = (_blurred(points, side)[..., 32:-32, 32:-32] for side in (3, 7))
        shares = torch.stack([torch.cat([dull, sharp], 1)[0], torch.cat([sharp, dull], 1)[1]])
        images = torch.poisson(20 + 4000 * shares, generator=generator)
        optics = torch.tensor([[0.5, 0.5, 0.5, 3.0, 1.0], [0.8, 0.6, 0.325, 1.5, 1.33]])
        blank = torch.full_like(images[:1], 100.0)
        return torch.cat([images, blank]), torch.cat([optics, optics[:1]])


def _blurred(image: Float[Tensor, "b 1 y x"], side: int) -> Float[Tensor, "b 1 y x"]:
    """Nearly Gaussian, by three running means."""
    for _ in range(3):
        image = functional.avg_pool2d(image, side, stride=1, padding=side // 2)
    return image
