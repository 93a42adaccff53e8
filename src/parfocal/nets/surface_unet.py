"""From sharpened copies of an image, one for each assumed height, to the light at each height."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple, cast

import torch
from jaxtyping import Complex, Float
from torch import Tensor, nn
from torch.nn import functional

from parfocal.nets.refocus_unet import STEP, Block

CUE_LEVEL = 2
"""Level at which the cues of height come in: its sampling is theirs, 8 px."""
GUESS_WIDTH = 64
SHARPNESS = 5.0
"""Of the choice among heights: logits are so many times what the last layer says."""
MOST_GAIN = 0.7
"""Largest change of the light of a place, as a logarithm: sharpened copies are too dim."""
MULTIPLE_PX = 16
"""Of the sides of what comes in."""
FAR_DOF = 8.0


class Told(NamedTuple):
    """What a network is told of a batch.

    Parameters
    ----------
    image
        Normalised images, whose sides are multiples of ``MULTIPLE_PX``.
    clear, alike
        Sharpened copies of them, and how well each place agrees with a point at each height.
    cues, facts
        How well each height fits around each place; optics and noise.
    """

    image: Float[Tensor, "b y x"]
    clear: Float[Tensor, "b k y x"]
    alike: Float[Tensor, "b k y x"]
    cues: Float[Tensor, "b c v u"]
    facts: Float[Tensor, "b f"]


class Emission(NamedTuple):
    """Where a network says that the light of a batch comes from.

    Parameters
    ----------
    light
        At each assumed height, above the floor; in the units of what came in.
    scores
        Logits of each height at each place, and of none last.
    notes
        What the network tells itself of each place, for the surfaces that are asked for.
    """

    light: Float[Tensor, "b k y x"]
    scores: Float[Tensor, "b heights v u"]
    notes: Float[Tensor, "b f v u"]


class SurfaceMaps(NamedTuple):
    """What is shown on one surface; images in the units of what came in.

    Parameters
    ----------
    shown
        The image on the surface.
    mixed
        The light as it is seen there, before the network's own correction.
    scales
        Logarithms of the mean absolute error of ``shown``, and of the image that came in.
    """

    shown: Float[Tensor, "b y x"]
    mixed: Float[Tensor, "b y x"]
    scales: Float[Tensor, "b 2 v u"]


class Asked(NamedTuple):
    """Surfaces, as planes between which each is interpolated.

    Parameters
    ----------
    surface_dof
        Heights above the image's plane, in depths of field.
    transfers
        From each assumed height to each plane (``rfft2``, real).
    says
        Of each plane at each pixel of each surface.
    is_section
        1 where the light from near the surface alone is wanted, else 0.
    """

    surface_dof: Float[Tensor, "b s y x"]
    transfers: Float[Tensor, "b m k y kx"]
    says: Float[Tensor, "b s m y x"]
    is_section: Float[Tensor, "b s"]


class SurfaceNetwork(nn.Module):
    """A residual U-Net that says from which height each place's light comes.

    Light is put at heights once for each image: a share of each sharpened copy, brightened and
    corrected. What is seen on a surface is that light, blurred as the optics do, and a small
    correction again.

    Parameters
    ----------
    heights
        Assumed heights; as many sharpened copies come in.
    widths
        Channels of each level; each halves the sampling.
    blocks
        Residual blocks of each level, on the way down; one on the way up.
    cues
        Numbers at each place that say how well each height fits; they come in at the third level,
        and make a first guess of the height.
    facts
        Numbers that describe optics and noise.
    notes, hidden
        Numbers that each place keeps for the correction, and channels of the latter.

    Notes
    -----
    The wanted surface comes in as one more channel of the correction, the digital propagation
    matrix of [Wu2019]_. Built as ``RefocusNetwork`` is: no normalisation layers, space folded
    into channels at the first layer, levels joined by sums.

    Examples
    --------
    >>> network = SurfaceNetwork(heights=3, widths=(8, 8, 8), blocks=(1, 1, 1), cues=6, facts=2)
    >>> copies = torch.ones(2, 3, 32, 32)
    >>> told = Told(copies[:, 0], copies, copies, torch.zeros(2, 6, 4, 4), torch.zeros(2, 2))
    >>> found = network.find(told)
    >>> found.light.shape, found.scores.shape
    (torch.Size([2, 3, 32, 32]), torch.Size([2, 4, 16, 16]))
    """

    def __init__(
        self,
        *,
        heights: int = 13,
        widths: Sequence[int] = (32, 64, 96, 128),
        blocks: Sequence[int] = (1, 1, 1, 2),
        cues: int = 117,
        facts: int = 4,
        notes: int = 16,
        hidden: int = 32,
    ) -> None:
        super().__init__()
        self.heights = heights
        self.fold = nn.PixelUnshuffle(STEP)
        self.stem = nn.Conv2d((2 * heights + 1) * STEP**2, widths[0], 3, padding=1)
        self.optics = nn.Linear(facts, widths[0])
        self.told = nn.Conv2d(cues, widths[CUE_LEVEL], 3, padding=1)
        self.guess = nn.Sequential(
            nn.Conv2d(cues, GUESS_WIDTH, 1), nn.ReLU(), nn.Conv2d(GUESS_WIDTH, heights + 1, 1)
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
        self.answer = nn.Conv2d(widths[0], heights + 2 + STEP**2 + notes, 3, padding=1)
        self.correction = nn.Sequential(
            nn.Conv2d(2 * STEP**2 + 2 + notes, hidden, 3, padding=1), nn.ReLU(),
            nn.Conv2d(hidden, hidden, 3, padding=1), nn.ReLU(),
            nn.Conv2d(hidden, STEP**2 + 2, 3, padding=1),
        )  # fmt: skip
        with torch.no_grad():
            self.answer.weight.mul_(0.1)
            cast(nn.Conv2d, self.correction[-1]).weight.mul_(0.1)

    def forward(
        self, told: Told, floor: Float[Tensor, " b"], asked: Asked
    ) -> tuple[Emission, list[SurfaceMaps]]:
        """Find the light of images, and show it on surfaces; ``floor`` is the level of the dark."""
        found, image = self.find(told), told.image
        with torch.autocast(image.device.type, enabled=False):
            planes = seen(torch.fft.rfft2(found.light), asked.transfers, image.shape[-2:])
            mixed = torch.einsum("bmyx,bsmyx->bsyx", planes, asked.says)
            mixed = mixed + floor[:, None, None, None]
        return found, [
            self.show(found, mixed[:, k], image, asked.surface_dof[:, k], asked.is_section[:, k])
            for k in range(mixed.shape[1])
        ]

    def find(self, told: Told) -> Emission:
        """Put the light of images at heights."""
        image, clear, alike, cues, facts = told
        copies = torch.cat([image[:, None].asinh(), clear.asinh(), alike], 1)
        folded = self.fold(copies.contiguous(memory_format=torch.channels_last))
        found: Tensor = self.stem(folded) + self.optics(facts)[:, :, None, None]
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
        return self._put(clear.float(), answer, guess)

    def _put(self, clear: Float[Tensor, "b k y x"], answer: Tensor, guess: Tensor) -> Emission:
        count = self.heights
        scores = SHARPNESS * answer[:, : count + 1] + guess
        gain = (MOST_GAIN * answer[:, count + 1 : count + 2].tanh()).exp()
        more, notes = answer[:, count + 2 :].tensor_split([STEP**2], 1)
        shares, gain = (
            functional.interpolate(
                each, scale_factor=float(STEP), mode="bilinear", align_corners=False
            )
            for each in (scores.softmax(1)[:, :count], gain)
        )
        sharp = torch.addcmul(functional.pixel_shuffle(more, STEP), clear, gain).clamp(min=0.0)
        return Emission(light=shares * sharp, scores=scores, notes=notes)

    def show(
        self,
        found: Emission,
        mixed: Float[Tensor, "b y x"],
        image: Float[Tensor, "b y x"],
        surface_dof: Float[Tensor, "b y x"],
        is_section: Float[Tensor, " b"],
    ) -> SurfaceMaps:
        """Correct what the optics show of the light on one surface, and say how wrong it may be."""
        height = functional.avg_pool2d(surface_dof[:, None], STEP) / FAR_DOF
        kind = is_section[:, None, None, None].expand_as(height)
        told = [self.fold(mixed[:, None]), self.fold(image[:, None]), height, kind, found.notes]
        answer = self.correction(torch.cat(told, 1)).float()
        change = functional.pixel_shuffle(answer[:, : STEP**2], STEP)
        return SurfaceMaps(shown=mixed + change[:, 0], mixed=mixed, scales=answer[:, STEP**2 :])


def seen(
    light: Complex[Tensor, "b k y kx"], transfers: Float[Tensor, "b m k y kx"], size: Sequence[int]
) -> Float[Tensor, "b m y x"]:
    """What is seen on planes of light at heights, both as spectra.

    Examples
    --------
    >>> light = torch.fft.rfft2(torch.ones(1, 2, 4, 4))
    >>> seen(light, torch.ones(1, 1, 2, 4, 3), (4, 4)).mean()
    tensor(2.)
    """
    planes = [(light * transfers[:, m]).sum(1) for m in range(transfers.shape[1])]
    shown: Tensor = torch.fft.irfft2(torch.stack(planes, 1), s=tuple(size))
    return shown
