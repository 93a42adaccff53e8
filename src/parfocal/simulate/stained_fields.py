"""Blurred fields of stained specimens by transmitted light, beside what they should show."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from parfocal.optics.batches import Stain
from parfocal.simulate.batch_noise import GAIN, Exposures
from parfocal.simulate.blurred_fields import BlurredFields

LEAST_COHERENCE, MOST_DELAY = 0.5, 0.3
"""NA of the condenser over the objective's, at least; spread of the stains' phase over what they
absorb."""
WHITE, TAKEN = (500.0, 50_000.0), (0.1, 0.95)
"""Electrons of the empty field, and share that the deepest stain takes."""
VISIBLE = (1.0, 8.0)
"""Standard deviation of what is taken away over that of the white's shot noise, at least."""


class StainedFields(BlurredFields):
    """The same with stained specimens by transmitted light in place of fluorescence.

    Where they are deepest in focus they take 10 to 95 % away of 500 to 50,000 electrons, or of as
    many as it takes to see something, and they delay what they let through a little; the condenser
    has half to all of the objective's aperture.

    Examples
    --------
    >>> drawn = StainedFields(batch=2, size_px=32, seed=1, objects=("beads",)).draw()
    >>> bool((drawn.sharp.amin((1, 2)) < 0.9 * drawn.background).any())
    True
    """

    def _stain(self, count: int) -> Stain:
        """Condensers, and how much stains delay light."""
        return Stain(
            coherence=self._uniform(LEAST_COHERENCE, 1.0, count),
            delay=MOST_DELAY * self._normal(count),
        )

    def _lit(
        self, light: Float[Tensor, "b y x"], sharp: Float[Tensor, "b y x"], camera: Exposures
    ) -> tuple[Float[Tensor, "b y x"], Exposures, Float[Tensor, " b"], Float[Tensor, " b"]]:
        """What stains leave of an even field; ``light`` is what they take away.

        In focus the deepest place takes its share; out of focus no place takes as much. The noise
        is made from the brightest pixel, which is as bright as the empty field or brighter.
        """
        count = len(light)
        share = self._uniform(*TAKEN, count) / sharp.amax((1, 2)).clamp(min=1e-6)
        low, high = (math.log(end) for end in WHITE)
        white = torch.exp(self._uniform(low, high, count))
        contrast = (share * light.std((1, 2))).clamp(min=1e-3)
        white = torch.maximum(white, (self._uniform(*VISIBLE, count) / contrast).square())
        if self._fixed is not None:
            white = torch.full_like(white, self._fixed.photons)
        left = (1.0 - light * share[:, None, None]).clamp(min=0.0)
        exposed = replace(
            camera,
            photons=white * left.amax((1, 2)),
            background=torch.zeros_like(white),
            most=3.0 * white,  # an empty field that is clipped is exposed again
        )
        return left, exposed, -GAIN * white * share, GAIN * white


def fields_of(*, is_dark: bool) -> type[BlurredFields]:
    """Where fields come from, of stains or of fluorescence."""
    return StainedFields if is_dark else BlurredFields
