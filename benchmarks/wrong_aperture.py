"""Ask about simulated 13 um balls on coarse pixels, with the right NA and with a larger one.

Run: ``python -m benchmarks.wrong_aperture [MODEL]``. The balls are as those of the recorded
spinning-disk stacks: 1.37 um pixels, planes 5 um apart. Printed: how far answers move for each um
of the stage, and the median error, for lenses of NA 0.75 and 0.6 that are both told as 0.75.
"""

from __future__ import annotations

import sys

import numpy as np
import torch

from parfocal.core.setup import OpticalSetup
from parfocal.optics.batches import pupil_psfs
from parfocal.predict import load
from parfocal.predict.aperture import stage_scale
from parfocal.simulate.solid_fields import in_slices

TOLD = OpticalSetup(na=0.75, wavelength_nm=536, pixel_um=1.3668)
SIDE_PX, BALLS, SLICES, DIAMETER_UM = 256, 40, 15, 13.0
FIRST_UM, STEP_UM, PLANES = -21.0, 5.0, 9
PHOTONS, BACKGROUND = 3000.0, 200.0
SECTIONS_UM = {"widefield": 1e9, "pinhole, half the light at 10 um": 10.0}


def balls(dice: torch.Generator) -> torch.Tensor:
    """Slices (k, y, x) of balls on one plane."""
    radius = DIAMETER_UM / 2 / TOLD.pixel_um
    line = torch.arange(SIDE_PX) + 0.0
    edges = torch.linspace(-radius, radius, SLICES + 1)
    slices = torch.zeros(SLICES, SIDE_PX, SIDE_PX)
    for _ in range(BALLS):
        down, along = (
            (line - float(place) * SIDE_PX) % SIDE_PX - SIDE_PX / 2
            for place in torch.rand(2, generator=dice)
        )
        slices += in_slices(down[:, None].square() + along.square(), edges, radius)
    return slices


def stack(na: float, half_width_um: float, dice: torch.Generator) -> torch.Tensor:
    """Noisy planes (z, y, x) of the balls through a lens."""
    slices = torch.fft.rfft2(balls(dice))
    heights = (torch.arange(SLICES) - (SLICES - 1) / 2) * DIAMETER_UM / SLICES
    planes = []
    for number in range(PLANES):
        away = FIRST_UM + STEP_UM * number - heights
        psfs = pupil_psfs(
            na=na, index=1.0, wavelength_um=TOLD.wavelength_um,
            pixel_um=torch.tensor([TOLD.pixel_um]), z_um=away[None], size_px=SIDE_PX,
        )[0]  # fmt: skip
        psfs = psfs / (1 + (away / half_width_um).square())[:, None, None]
        light = torch.fft.irfft2((torch.fft.rfft2(psfs) * slices).sum(0), s=(SIDE_PX, SIDE_PX))
        planes.append(light.clamp(min=0.0))
    light = torch.stack(planes)
    return torch.poisson(light / light.max() * PHOTONS + BACKGROUND, generator=dice)


def main() -> None:
    """Print the table."""
    predictor = load(sys.argv[1] if len(sys.argv) > 1 else "pair-fluorescence")
    depth_um = TOLD.effective_depth_of_field_um
    print(
        "| lens | light | um for each um | median abs. error (D) | answered |\n| --- "
        + "| --- " * 4
        + "|"
    )
    for na in (0.75, 0.6):
        for name, half_width_um in SECTIONS_UM.items():
            images = stack(na, half_width_um, torch.Generator().manual_seed(0)).numpy()
            z_um, answers = [], []
            for plane in range(PLANES - 1):
                guess = predictor.predict(images[plane : plane + 2], spacing_um=STEP_UM, setup=TOLD)
                if guess.defocus_um is not None:
                    z_um.append(FIRST_UM + STEP_UM * plane)
                    answers.append(guess.defocus_um)
            scale = stage_scale(z_um, answers, depth_um=depth_um)
            error = np.median(np.abs(np.subtract(answers, z_um))) / depth_um
            moved = "-" if scale is None else f"{scale:.2f}"
            answered = f"{len(answers)} of {PLANES - 1}"
            print(f"| NA {na:g} | {name} | {moved} | {error:.2f} | {answered} |")


if __name__ == "__main__":
    main()
