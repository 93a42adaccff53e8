"""Stained specimens by transmitted light, imaged wave by wave, for the Luo 2020 benchmark."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from parfocal.core.setup import OpticalSetup
from parfocal.evaluate.image_quality import best_gaussian
from parfocal.evaluate.luo2020 import (
    BLIND,
    EDGE_PX,
    INPUT,
    NETWORK,
    SMOOTHED,
    USERS,
    BlurredField,
    Method,
    Shown,
    as_given,
    cut,
    misjudged_dof,
    never_declined,
    nominal_psf,
)
from parfocal.optics.illumination import disc_source
from parfocal.optics.transmission import transmitted_images
from parfocal.refocus import richardson_lucy
from parfocal.refocus.refocuser import BlindRefocuser
from parfocal.simulate.object_pool import ObjectPool

DISTANCES_DOF = (0.0, 1.0, 2.0, 3.0, 5.0)
SETUP = OpticalSetup(na=0.5, wavelength_nm=550, pixel_um=0.27, immersion_index=1.0)
WHITE, READ_NOISE = 5000.0, 3.0
"""Electrons of the empty field, and of the reading."""
DEEPEST = 1.2
"""Natural logarithm by which the deepest stain weakens light: to 30 %."""
DELAY = 0.2
"""Phase in rad where the amplitude is weakened by a factor of e."""
CONDENSERS = (0.6, 0.9)
"""NA over that of the objective, in turn."""
WAVES = 60


def draw_stains(
    kinds: Sequence[str], *, fields: int, size_px: int, dof: float, seed: int
) -> Iterator[BlurredField]:
    """Simulate thin stained specimens at one |defocus|, of either sign in turn.

    Every wave of the condenser is taken through the specimen and the objective by itself, so that
    neither stains that are deep nor what they delay are taken to add up, as training takes them.

    Parameters
    ----------
    kinds
        Rows of ``SPECIMENS``: where they glow, they are stained here.
    fields
        Of each kind.
    size_px
        Side of the image.
    dof
        |defocus| in depths of field.
    seed
        Draws specimens and noise.
    """
    side = size_px + 2 * EDGE_PX
    for place, kind in enumerate(kinds):
        dice = torch.Generator().manual_seed(seed + 1000 * place)
        pool = ObjectPool(
            (kind,), textures=0, balls=0, pictures=(), size_px=side, seed=seed + place,
            device=torch.device("cpu"),
        )  # fmt: skip
        for number in range(fields):
            thing = torch.fft.irfft2(pool.draw(1, dice), s=(side, side))[0].clamp(min=0.0)
            depth = thing / torch.quantile(thing[thing > 0], 0.99).clamp(min=1e-6)
            depth = DEEPEST * depth.clamp(max=1.0)
            sign = 1.0 if number % 2 else -1.0
            z_um = sign * dof * SETUP.depth_of_field_um
            images = transmitted_images(
                torch.polar(torch.exp(-depth / 2), DELAY * depth / 2)[None], SETUP,
                torch.tensor([0.0, z_um]), heights_um=torch.zeros(1),
                source=disc_source(CONDENSERS[number % 2] * SETUP.na, points=WAVES),
            )  # fmt: skip
            truth, mean = WHITE * images
            noise = READ_NOISE * torch.randn(mean.shape, generator=dice)
            yield BlurredField(
                kind=kind, dof=dof, photons=WHITE,
                whole=(torch.poisson(mean.clamp(min=0.0), generator=dice) + noise).numpy(),
                psf=nominal_psf(SETUP, dof), truth=cut(truth.numpy()), background=WHITE,
                setup=SETUP,
            )  # fmt: skip


def stain_methods(refocuser: BlindRefocuser | None, *, steps: int) -> dict[str, Method]:
    """Ways to refocus stains, by name.

    Richardson-Lucy gets what the stains take away, the level of the empty field, and the
    point-spread function of fluorescence half a depth of field too near or too far.
    """

    def lucy(field: BlurredField) -> Shown:
        taken = np.maximum(field.background - field.whole, 0.0)
        psf = nominal_psf(field.setup, misjudged_dof(field))
        sharp = np.asarray(richardson_lucy(taken, psf, steps, edges="periodic"))
        return Shown(image=field.background - cut(sharp))

    found: dict[str, Method] = {
        INPUT: lambda field: Shown(image=field.image),
        SMOOTHED: lambda field: Shown(image=best_gaussian(field.image, field.truth)[0]),
        USERS: lucy,
    }
    if refocuser is not None:
        found[NETWORK] = lambda field: never_declined(refocuser, field.image, field.setup)
        found[BLIND] = lambda field: as_given(refocuser, field.image, field.setup)
    return found
