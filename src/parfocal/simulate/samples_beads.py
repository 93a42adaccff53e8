"""Beads: the simplest specimens, whose place, size and height are known exactly."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from parfocal.core.errors import InputError
from parfocal.simulate.deposit import deposit_balls
from parfocal.simulate.field import Draws, Field
from parfocal.simulate.specimen import PHASE_REFERENCE_NM, Specimen


def beads(
    field: Field,
    draws: Draws,
    *,
    diameter_um: float = 0.2,
    per_mm2: float = 8000.0,
    brightness_sigma: float = 0.15,
    clump_fraction: float = 0.1,
) -> Specimen:
    """Fluorescent beads at random places and heights; some touch, as they do on a slide.

    Parameters
    ----------
    diameter_um
        Diameter of each bead, in um; 5 % standard deviation.
    per_mm2
        Beads per square mm; at least one.
    brightness_sigma
        Log-normal spread of their brightness.
    clump_fraction
        Share of the beads that touch another one.
    """
    places, radius = _bead_places(field, draws, diameter_um, per_mm2, clump_fraction)
    light = draws.spread(len(radius), middle=1.0, sigma=brightness_sigma) * radius**3
    volume = field.blank()
    deposit_balls(volume, field, places, radius, light)
    return Specimen(
        pixel_um=field.pixel_um,
        heights_um=field.heights_um,
        emission=volume / volume.sum(0).max(),
        family="beads",
        name="beads",
    )


def glass_beads(
    field: Field,
    draws: Draws,
    *,
    diameter_um: float = 5.0,
    per_mm2: float = 1500.0,
    bead_index: float = 1.59,
    medium_index: float = 1.56,
    clump_fraction: float = 0.2,
) -> Specimen:
    """Clear beads in transmission: pure phase, 2 pi (bead - medium) / 550 nm per length.

    Polystyrene (1.59) in a mounting medium; in water (1.33) large beads are strong lenses.
    """
    places, radius = _bead_places(field, draws, diameter_um, per_mm2, clump_fraction)
    volume = field.blank()
    deposit_balls(volume, field, places, radius, (4.0 / 3.0 * math.pi) * radius**3)
    per_um = 2.0 * math.pi * (bead_index - medium_index) / (PHASE_REFERENCE_NM * 1e-3)
    return Specimen(
        pixel_um=field.pixel_um,
        heights_um=field.heights_um,
        phase_rad=volume * per_um,
        family="beads",
        name="glass_beads",
    )


def _bead_places(
    field: Field, draws: Draws, diameter_um: float, per_mm2: float, clump_fraction: float
) -> tuple[Tensor, Tensor]:
    if not diameter_um > 0:
        raise InputError(f"diameter_um must be positive, but came as {diameter_um:g}.")
    count = field.count(per_mm2)
    half = 0.5 * field.thickness_um
    height = draws.uniform(count, 1, low=-half, high=half)
    places = torch.cat((height, draws.places(field, count)), 1)
    clumped = int(clump_fraction * count)
    if clumped:
        theta = draws.angle(clumped)
        apart = torch.stack((torch.zeros_like(theta), torch.sin(theta), torch.cos(theta)), 1)
        host = draws.whole(max(1, count - clumped), clumped)
        places[count - clumped :] = places[host] + diameter_um * apart
    radius = 0.5 * diameter_um * (1.0 + 0.05 * draws.normal(count).clamp(-3.0, 3.0))
    return places, radius
