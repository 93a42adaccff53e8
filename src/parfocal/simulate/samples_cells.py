"""Cells: epithelium with its membranes, mitochondria, and whole cells in either contrast."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from parfocal.simulate.deposit import (
    deposit_balls,
    deposit_ellipsoids,
    deposit_points,
    ellipsoid_volume_um3,
)
from parfocal.simulate.field import Draws, Field
from parfocal.simulate.mosaic import grow_mosaic
from parfocal.simulate.samples_filaments import wander, within
from parfocal.simulate.samples_nuclei import bumps
from parfocal.simulate.specimen import PHASE_REFERENCE_NM, Specimen
from parfocal.simulate.textures import smooth_noise

_POINTS_AT_MOST = 3_000_000


def epithelium(
    field: Field,
    draws: Draws,
    *,
    cell_um: float = 14.0,
    membrane_um: float = 0.25,
    cytosol: float = 0.03,
) -> Specimen:
    """An epithelial sheet whose membranes glow: a mosaic of cells with thin, uneven walls.

    The walls stand upright through the sheet; its upper face, a little domed over each cell, is
    a fainter membrane.
    """
    warp = torch.cat([smooth_noise(field, draws, size_um=4.0, flat=True) for _ in range(2)])
    mosaic = grow_mosaic(field, draws, cell_um=cell_um, jitter=0.42, warp_um=0.6 * warp)
    width = math.hypot(membrane_um, 0.5 * field.pixel_um)
    wall = torch.exp(-((mosaic.wall_um / width) ** 2)) * (membrane_um / width)
    grain = smooth_noise(field, draws, size_um=0.7)
    level = draws.spread(len(mosaic.seeds_um), middle=1.0, sigma=0.3)[mosaic.cell]
    inside = wall * torch.exp(0.35 * grain) * level.sqrt() + cytosol * level * (1.0 + 0.3 * grain)
    heights = field.heights_um
    if field.layers > 1:
        dome = 0.12 * field.thickness_um * (1.0 - (mosaic.centre_um / (0.6 * cell_um)) ** 2)
        top = heights[-1] - 0.12 * field.thickness_um + dome.clamp(min=0.0)
        above = (heights[:, None, None] - top) / field.step_um
        inside = inside * (0.5 - above).clamp(0.0, 1.0)
        inside = inside + 0.12 * level * (1.0 - above.abs()).clamp(min=0.0)
    return _fluorescent(field, inside.clamp(min=0.0), "epithelium")


@dataclass(frozen=True, eq=False, kw_only=True)
class Culture:
    """Where the cells of a culture lie: nucleus and body of each, half axes (z, y, x) in um."""

    centre_um: Tensor
    angle_rad: Tensor
    nucleus_um: Tensor
    body_um: Tensor
    floor_um: float


def grow_culture(field: Field, draws: Draws, *, per_mm2: float) -> Culture:
    """Cells of 25 to 45 um with a nucleus of about 15 um, flat on the floor of the field."""
    count = field.count(per_mm2)
    size = draws.spread(count, 1, middle=1.0, sigma=0.15)
    slim = draws.uniform(count, low=0.45, high=0.95)
    tall = torch.full_like(slim, 3.0)
    body = size * torch.stack((tall, 19.0 * slim, 19.0 / slim.sqrt()), 1)
    nucleus = size * torch.stack((0.8 * tall, 5.2 + 1.5 * slim, 7.5 + 0.0 * slim), 1)
    floor = min(0.0, 3.0 - 0.5 * field.thickness_um)
    centre = draws.places(field, count, apart=True)
    centre = torch.cat((torch.full_like(centre[:, :1], floor), centre), 1)
    return Culture(
        centre_um=centre,
        angle_rad=draws.angle(count),
        nucleus_um=nucleus,
        body_um=body,
        floor_um=floor,
    )


def _placed(culture: Culture, relative: Tensor) -> Tensor:
    """From the cell's own axes (cell, n, 3), in units of its body, to places in the field."""
    local = relative * culture.body_um[:, None]
    cos, sin = torch.cos(culture.angle_rad)[:, None], torch.sin(culture.angle_rad)[:, None]
    z, y, x = local.unbind(-1)
    return culture.centre_um[:, None] + torch.stack((z, y * cos + x * sin, x * cos - y * sin), -1)


def _around_nucleus(culture: Culture, draws: Draws, each: int, outer: float = 0.9) -> Tensor:
    """Places in the flat of the cell, outside of its nucleus, in units of the body."""
    count = len(culture.centre_um)
    theta, share = draws.angle(count, each), draws.uniform(count, each)
    inner = (culture.nucleus_um / culture.body_um)[:, None, 1:] * 1.12
    across, along = torch.sin(theta) / inner[..., 0], torch.cos(theta) / inner[..., 1]
    edge = torch.rsqrt(across**2 + along**2)
    radius = edge + (outer - edge).clamp(min=0.05) * share**1.3
    height = 0.7 * draws.uniform(count, each, low=-1.0) * (1.0 - radius**2).clamp(min=0.05).sqrt()
    return torch.stack((height, radius * torch.sin(theta), radius * torch.cos(theta)), -1)


def _inside(culture: Culture, places: Tensor) -> Tensor:
    """Whether places (cell, n, 3) lie over the body of their cell, with a margin."""
    y, x = (places - culture.centre_um[:, None])[..., 1:].unbind(-1)
    cos, sin = torch.cos(culture.angle_rad)[:, None], torch.sin(culture.angle_rad)[:, None]
    across, along = y * cos - x * sin, y * sin + x * cos
    half = culture.body_um[:, None]
    return (across / half[..., 1]) ** 2 + (along / half[..., 2]) ** 2 < 0.75


def _mitochondria(field: Field, draws: Draws, culture: Culture, per_cell: int) -> Tensor:
    """Threads of 1 to 8 um that run mostly away from the nucleus, each of unit light per um."""
    step_um = max(0.5 * field.pixel_um, 0.06)
    steps = max(2, round(8.0 / step_um))
    cells = len(culture.centre_um)
    each = max(4, min(per_cell, _POINTS_AT_MOST // (2 * steps * cells)))
    relative = _around_nucleus(culture, draws, each)
    start = _placed(culture, relative).view(-1, 3)
    out = start - culture.centre_um.repeat_interleave(each, 0)
    heading = torch.atan2(out[:, 1], out[:, 2]) + draws.normal(cells * each, sd=0.8)
    paths = wander(draws, start, heading, steps, step_um, 2.5, rise_sd=0.1)
    length = draws.uniform(cells * each, 1, low=1.0, high=8.0)
    there = torch.arange(steps, device=paths.device) * step_um < length
    there &= _inside(culture, paths.view(cells, -1, 3)).view(there.shape)
    points = paths[there]
    jitter = draws.normal(*points.shape, sd=0.12)  # a thread is about 0.4 um wide
    places = torch.cat((within(field, points[:, :1]), points[:, 1:]), 1) + jitter
    volume = field.blank()
    light = torch.full_like(places[:, 0], step_um * per_cell / each)
    deposit_points(volume, field, places, light)
    return volume


def mitochondria(
    field: Field, draws: Draws, *, cells_per_mm2: float = 800.0, per_cell: int = 130
) -> Specimen:
    """Mitochondria of cultured cells: winding threads around dark nuclei, some round ones."""
    culture = grow_culture(field, draws, per_mm2=cells_per_mm2)
    volume = _mitochondria(field, draws, culture, per_cell)
    spots = _placed(culture, _around_nucleus(culture, draws, 12)).view(-1, 3)
    radius = draws.spread(len(spots), middle=0.35, sigma=0.2)
    deposit_balls(volume, field, spots, radius, 5.0 * radius**2)
    volume += (
        0.02
        * _bodies(field, draws, culture)
        * torch.exp(0.3 * smooth_noise(field, draws, size_um=1.5, flat=True))
    )
    return _fluorescent(field, volume, "mitochondria")


def cells(
    field: Field, draws: Draws, *, cells_per_mm2: float = 800.0, organelles: int = 60
) -> Specimen:
    """Whole cells in one colour: granular cytoplasm, brighter nucleus, threads and vesicles."""
    culture = grow_culture(field, draws, per_mm2=cells_per_mm2)
    level = draws.spread(len(culture.centre_um), middle=1.0, sigma=0.3)
    volume = _bodies(field, draws, culture, level) * 0.5
    volume += 1.1 * _bodies(field, draws, culture, level, nucleus=True)
    fine, coarse = (
        smooth_noise(field, draws, size_um=0.8),
        smooth_noise(field, draws, size_um=3.0, flat=True),
    )
    volume *= torch.exp(0.3 * fine + 0.25 * coarse)
    volume += 2.5 * _mitochondria(field, draws, culture, organelles)
    spots = _placed(culture, _around_nucleus(culture, draws, 16)).view(-1, 3)
    radius = draws.spread(len(spots), middle=0.4, sigma=0.3)
    deposit_balls(volume, field, spots, radius, 40.0 * radius**3)
    return _fluorescent(field, volume, "cells")


def phase_cells(
    field: Field,
    draws: Draws,
    *,
    cells_per_mm2: float = 700.0,
    index_step: float = 0.03,
) -> Specimen:
    """Unstained living cells: domes of cytoplasm, nucleus, nucleoli and granules, all phase.

    ``index_step`` is the refractive index of cytoplasm above the medium; the nucleus adds
    six tenths of it, granules twice as much.
    """
    culture = grow_culture(field, draws, per_mm2=cells_per_mm2)
    volume = _bodies(field, draws, culture)
    volume *= torch.exp(0.12 * smooth_noise(field, draws, size_um=1.2, flat=True))
    volume += 0.6 * _bodies(field, draws, culture, nucleus=True)
    spots = _placed(culture, _around_nucleus(culture, draws, 60, outer=0.75)).view(-1, 3)
    radius = draws.spread(len(spots), middle=0.35, sigma=0.35)
    deposit_balls(volume, field, spots, radius, 2.0 * 4.19 * radius**3)
    middle = (culture.nucleus_um / culture.body_um)[:, None]
    middle = 0.4 * middle * draws.normal(len(culture.centre_um), 2, 3)
    nucleoli = _placed(culture, middle).view(-1, 3)
    size = draws.spread(len(nucleoli), middle=1.1, sigma=0.2)
    deposit_balls(volume, field, nucleoli, size, 1.6 * 4.19 * size**3)
    per_um = 2.0 * math.pi * index_step / (PHASE_REFERENCE_NM * 1e-3)
    return Specimen(
        pixel_um=field.pixel_um,
        heights_um=field.heights_um,
        phase_rad=volume * per_um,
        absorption=0.01 * volume,
        family="cells",
        name="phase_cells",
    )


def _bodies(
    field: Field,
    draws: Draws,
    culture: Culture,
    level: Tensor | None = None,
    *,
    nucleus: bool = False,
) -> Tensor:
    """Length of cytoplasm or nucleus in each voxel, in um, times the level of each cell."""
    radii = culture.nucleus_um if nucleus else culture.body_um
    modes, sd = (3, 0.04) if nucleus else (5, 0.16)
    lobes = bumps(draws, len(radii), modes, sd=sd)
    light = ellipsoid_volume_um3(radii) * (1.0 if level is None else level)
    volume = field.blank()
    deposit_ellipsoids(
        volume, field, culture.centre_um, radii, light, angle_rad=culture.angle_rad, lobes=lobes
    )
    return volume


def _fluorescent(field: Field, volume: Tensor, name: str) -> Specimen:
    return Specimen(
        pixel_um=field.pixel_um,
        heights_um=field.heights_um,
        emission=volume / volume.sum(0).max(),
        family="epithelium" if name == "epithelium" else "cells",
        name=name,
    )
