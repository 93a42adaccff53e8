"""How well contrast tells an unknown depth of field: ``python -m benchmarks.likely_depth``."""

from __future__ import annotations

import math
import sys

import numpy as np
import torch

from parfocal.core.setup import OpticalSetup
from parfocal.core.stack import FocalStack
from parfocal.segment.likely_depth import likely_depth_um
from parfocal.simulate.catalog import make_specimen
from parfocal.simulate.imaging import Renderer
from parfocal.simulate.modalities import LightSheetImaging, WidefieldImaging

OBJECTS = (
    "nuclei", "packed_nuclei", "filaments", "mitochondria", "cells", "neurites", "dense_tissue",
    "hair_cells",
)  # fmt: skip


def _number(dice: torch.Generator, low: float, high: float) -> float:
    return low + (high - low) * float(torch.rand((), generator=dice))


def _stack(name: str, dice: torch.Generator) -> tuple[FocalStack, float]:
    """One noisy stack, up to twelve depths of field thick, and its depth of field."""
    na = math.exp(_number(dice, math.log(0.15), math.log(0.9)))
    setup = OpticalSetup(
        na=na, wavelength_nm=530.0, pixel_um=_number(dice, 0.2, 0.8) * 0.53 / na,
        immersion_index=1.0, sample_index=1.0,
    )  # fmt: skip
    depth_um = setup.depth_of_field_um
    thick = 0.0 if _number(dice, 0, 1) < 0.2 else math.exp(_number(dice, 0, math.log(12)))
    sheet = LightSheetImaging(waist_um=depth_um * math.exp(_number(dice, 0.7, 2.0)))
    imaging = WidefieldImaging() if _number(dice, 0, 1) < 0.6 else sheet
    specimen = make_specimen(
        name, 192, pixel_um=setup.pixel_um, thickness_um=thick * depth_um,
        layer_step_um=0.5 * depth_um if thick > 0.5 else None, generator=dice,
    )  # fmt: skip
    step = math.exp(_number(dice, math.log(0.08), math.log(1.5)))
    low, high = float(specimen.heights_um[0]), float(specimen.heights_um[-1])
    count = min(60, int((high - low + 8 * depth_um) / (step * depth_um)))
    z_um = (low + high) / 2 + (torch.arange(count) - count / 2) * step * depth_um
    light = Renderer(setup, imaging).images(specimen, z_um)
    photons = math.exp(_number(dice, 3, 7))
    mean = light * (photons / light.max()) + photons * _number(dice, 0, 0.5)
    counts = torch.poisson(mean.clamp(min=0), generator=dice) + 100
    counts += 2 * torch.randn(mean.shape, generator=dice)
    return FocalStack.of(counts.clamp(min=0).numpy(), z_um=z_um.numpy()), depth_um


def main() -> None:
    """Print how the guess compares with the truth on simulated stacks."""
    dice = torch.Generator().manual_seed(0)
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    ratios = []
    for number in range(count):
        stack, depth_um = _stack(OBJECTS[number % len(OBJECTS)], dice)
        found_um = likely_depth_um(stack)
        if found_um is not None:
            ratios.append(found_um / depth_um)
    within = np.mean([0.5 <= ratio <= 2 for ratio in ratios])
    print(f"{count} stacks, {len(ratios)} with a guess; guess over truth:")
    for share in (0.05, 0.25, 0.5, 0.75, 0.95):
        print(f"  quantile {share:.2f}: {np.quantile(ratios, share):.2f}")
    print(f"within a factor of two: {100 * within:.0f} %")


if __name__ == "__main__":
    main()
