"""Noise-free images of fields that cost much to make: kept, to be turned and exposed again."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from parfocal.simulate.batches import FieldBatch

Made = tuple[Float[Tensor, "n y x"], Float[Tensor, " f"]]
"""Images of one field without noise, and its facts: the optics, then z of each image."""


class KeptImages:
    """The latest fields of a maker, of which one is made anew every other time.

    Parameters
    ----------
    make
        Makes the images of one field, and its facts.
    kept
        How many are kept.
    generator
        Picks and turns them.

    Examples
    --------
    >>> fields = KeptImages(lambda: (torch.ones(2, 4, 4), torch.zeros(3)), kept=2,
    ...                     generator=torch.Generator().manual_seed(0))
    >>> light, facts = fields.draw(5)
    >>> light.shape, facts.shape
    (torch.Size([5, 2, 4, 4]), torch.Size([5, 3]))
    """

    def __init__(self, make: Callable[[], Made], *, kept: int, generator: torch.Generator) -> None:
        self._make, self._kept, self._generator = make, kept, generator
        self._bank: list[Made] = []
        self._drawn = 0

    def draw(self, count: int) -> tuple[Float[Tensor, "b n y x"], Float[Tensor, "b f"]]:
        """Images in any of eight orientations, and their facts."""
        if len(self._bank) < self._kept:
            few = max(1, min(count, self._kept) - len(self._bank))
            self._bank += [self._make() for _ in range(few)]
        elif self._drawn % 2:
            self._bank[self._drawn // 2 % self._kept] = self._make()
        self._drawn += 1
        picked = torch.randint(len(self._bank), (count,), generator=self._generator).tolist()
        light = []
        for k in picked:
            kind = int(torch.randint(8, (), generator=self._generator))
            light.append(turned(self._bank[k][0], kind))
        return torch.stack(light), torch.stack([self._bank[k][1] for k in picked])


def turned(images: Float[Tensor, "*n y x"], kind: int) -> Float[Tensor, "*n v u"]:
    """One of eight orientations, 0 to 7.

    Examples
    --------
    >>> square = torch.tensor([[1, 2], [3, 4]]) + 0.0
    >>> len({tuple(turned(square, kind).flatten().tolist()) for kind in range(8)})
    8
    """
    images = images.flip(-1) if kind & 1 else images
    images = images.flip(-2) if kind & 2 else images
    return images.mT if kind & 4 else images


def exposed(
    images: Float[Tensor, "b n y x"], facts: Float[Tensor, "b f"], photons: Float[Tensor, " b"]
) -> FieldBatch:
    """Counts of fields of one layer, with their facts, as a batch; aberrations are not told."""
    na, index, wavelength_um, pixel_um, *z_um = facts.to(images.device).unbind(1)
    none = torch.zeros_like(na)
    return FieldBatch(
        images=images, z_um=torch.stack(z_um, 1), na=na, index=index,
        wavelength_um=wavelength_um, pixel_um=pixel_um, second_height_um=none,
        second_share=none, photons=photons.to(images.device), spherical_waves=none,
    )  # fmt: skip
