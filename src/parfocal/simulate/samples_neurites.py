"""Neurons: cell bodies, branching dendrites with spines, and thin axons with varicosities."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from parfocal.simulate.deposit import deposit_balls, deposit_ellipsoids, deposit_points
from parfocal.simulate.field import Draws, Field
from parfocal.simulate.samples_filaments import wander, within
from parfocal.simulate.samples_nuclei import bumps
from parfocal.simulate.specimen import Specimen

_BALLS_AT_MOST = 120_000


def neurites(
    field: Field,
    draws: Draws,
    *,
    somas_per_mm2: float = 120.0,
    axons_per_mm2: float = 1500.0,
    dendrite_um: float = 160.0,
    spines_per_um: float = 0.8,
) -> Specimen:
    """Neurons in culture or in a slice: dendrites taper and branch, spines sit on them.

    Parameters
    ----------
    somas_per_mm2
        Cell bodies per square mm; each sends out four to seven dendrites.
    axons_per_mm2
        Thin processes that cross the field, with a varicosity every few um.
    dendrite_um
        Mean length of a dendrite; it branches two to three times.
    spines_per_um
        Spines per um of dendrite.
    """
    volume = field.blank()
    count = field.count(somas_per_mm2)
    half = 0.3 * field.thickness_um
    height = draws.uniform(count, 1, low=-half, high=half)
    soma = torch.cat((height, draws.places(field, count, apart=True)), 1)
    radii = draws.spread(count, 1, middle=1.0, sigma=0.12) * torch.tensor(
        [4.5, 5.5, 8.0], device=draws.device
    )
    angle = draws.angle(count)
    lobes = bumps(draws, count, 4, sd=0.12)
    light = 0.35 * 4.19 * radii.prod(1)
    expected = min(1.0, somas_per_mm2 * field.area_um2 * 1e-6)
    if draws.number() > expected:  # a small field sees dendrites that pass, rarely a body
        light = torch.zeros_like(light)
        dendrite_um *= max(expected, 0.15)
    deposit_ellipsoids(volume, field, soma, radii, light, angle_rad=angle, lobes=lobes)
    _dendrites(volume, field, draws, soma, angle, dendrite_um, spines_per_um)
    _axons(volume, field, draws, field.count(axons_per_mm2))
    return Specimen(
        pixel_um=field.pixel_um,
        heights_um=field.heights_um,
        emission=volume / volume.sum(0).max(),
        family="neurites",
        name="neurites",
    )


def _dendrites(  # noqa: PLR0917
    volume: Tensor,
    field: Field,
    draws: Draws,
    soma: Tensor,
    angle: Tensor,
    length_um: float,
    spines_per_um: float,
) -> None:
    each = 6
    fan = torch.arange(each, device=draws.device) * (2.0 * math.pi / each)
    heading = (angle[:, None] + fan + draws.normal(len(soma), each, sd=0.35)).flatten()
    start = soma.repeat_interleave(each, 0)
    radius = draws.spread(len(start), middle=0.85, sigma=0.25)
    for order in range(3):
        reach = length_um * (1.0, 0.6, 0.4)[order]
        step_um = max(0.35, 0.5 * field.pixel_um, reach * len(start) / _BALLS_AT_MOST)
        steps = max(2, round(reach / step_um))
        paths = wander(draws, start, heading, steps, step_um, 60.0, rise_sd=0.12)
        paths[..., 0] = within(field, paths[..., 0])
        along = torch.linspace(0.0, 1.0, steps, device=draws.device)
        thick = (radius[:, None] * (1.0 - 0.65 * along)).clamp(min=0.22)
        length = draws.uniform(len(start), 1, low=0.5, high=1.0)
        there = along < length
        places, size = paths[there], thick[there]
        deposit_balls(volume, field, places, size, math.pi * size**2 * step_um)
        _spines(volume, field, draws, places, size, step_um * spines_per_um)
        children = min(2 * len(start), len(places))
        chosen = draws.whole(len(places), children)
        owner = there.nonzero()[chosen]
        turn = torch.where(draws.uniform(children) < 0.5, -1.0, 1.0)
        ahead = paths[owner[:, 0], (owner[:, 1] + 1).clamp(max=steps - 1)] - places[chosen]
        heading = torch.atan2(ahead[:, 1], ahead[:, 2]) + turn * draws.uniform(
            children, low=0.4, high=1.1
        )
        start, radius = places[chosen], 0.75 * size[chosen]


def _spines(
    volume: Tensor, field: Field, draws: Draws, places: Tensor, size: Tensor, per_ball: float
) -> None:
    has = draws.uniform(len(places)) < per_ball
    base, reach = places[has], size[has] + draws.spread(int(has.sum()), middle=0.8, sigma=0.4)
    theta, rise = draws.angle(len(base)), draws.normal(len(base), sd=0.4)
    away = torch.stack((rise, torch.sin(theta), torch.cos(theta)), 1)
    head = base + away * reach[:, None]
    radius = draws.spread(len(base), middle=0.27, sigma=0.3)
    deposit_balls(volume, field, head, radius, 1.4 * 4.19 * radius**3)
    neck = base + away * (reach * draws.uniform(len(base), low=0.5, high=0.9))[:, None]
    deposit_points(volume, field, neck, 0.02 * torch.ones_like(radius))


def _axons(volume: Tensor, field: Field, draws: Draws, count: int) -> None:
    length_um = 200.0
    step_um = max(0.5 * field.pixel_um, 0.1)
    steps = max(2, min(round(length_um / step_um), 2_000_000 // count))
    half = 0.5 * field.thickness_um
    height = draws.uniform(count, 1, low=-half, high=half)
    start = torch.cat((height, draws.places(field, count)), 1)
    paths = wander(draws, start, draws.angle(count), steps, step_um, 30.0, rise_sd=0.1)
    paths[..., 0] = within(field, paths[..., 0])
    places = paths.reshape(-1, 3)
    deposit_points(volume, field, places, torch.full_like(places[:, 0], 0.05 * step_um))
    bouton = draws.uniform(len(places)) < step_um / 6.0
    radius = draws.spread(int(bouton.sum()), middle=0.42, sigma=0.25)
    deposit_balls(volume, field, places[bouton], radius, 4.19 * radius**3)
