"""Hair cells of the inner ear: one inner and three outer rows along a gentle curve."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from parfocal.simulate.deposit import deposit_balls, deposit_ellipsoids, ellipsoid_volume_um3
from parfocal.simulate.field import Draws, Field
from parfocal.simulate.specimen import Specimen
from parfocal.simulate.textures import smooth_noise

_ROWS_UM = (0.0, 17.0, 25.5, 34.0)  # inner row, then three outer ones
_STRIP_UM = 75.0


def hair_cells(
    field: Field, draws: Draws, *, spacing_um: float = 8.5, missing_fraction: float = 0.04
) -> Specimen:
    """Rows of hair cells in a cochlea: bright upright bodies, dark nuclei, V-shaped bundles.

    Parameters
    ----------
    spacing_um
        Distance between neighbours of a row, in um.
    missing_fraction
        Share of the cells that are lost, as after noise.
    """
    place, row, lean = _rows(field, draws, spacing_um, missing_fraction)
    volume = field.blank()
    count, inner = len(place), row == 0
    tall = max(0.5 * field.thickness_um, 1.0)
    width = torch.where(inner, 4.2, 3.4) * draws.spread(count, middle=1.0, sigma=0.07)
    radii = torch.stack((torch.full_like(width, 0.8 * tall), width, width), 1)
    radii[:, 1] *= torch.where(inner, 1.3, 1.0)
    centre = torch.cat((draws.normal(count, 1, sd=0.04 * tall) - 0.1 * tall, place), 1)
    level = draws.spread(count, middle=1.0, sigma=0.25)
    solid = ellipsoid_volume_um3(radii)
    deposit_ellipsoids(volume, field, centre, radii, solid * level, angle_rad=lean)
    core = 0.82 * radii
    hollow = field.blank()
    deposit_ellipsoids(hollow, field, centre, core, 0.75 * solid * 0.82**3 * level, angle_rad=lean)
    nucleus = torch.stack((0.5 * radii[:, 1], 0.62 * radii[:, 1], 0.62 * radii[:, 1]), 1)
    below = centre - torch.tensor([0.3 * tall, 0.0, 0.0], device=place.device)
    deposit_ellipsoids(hollow, field, below, nucleus, 0.25 * ellipsoid_volume_um3(nucleus) * level)
    volume = (volume - hollow).clamp(min=0.0)
    volume *= torch.exp(0.25 * smooth_noise(field, draws, size_um=1.0))
    _bundles(volume, field, draws, centre, radii, inner)
    return Specimen(
        pixel_um=field.pixel_um,
        heights_um=field.heights_um,
        emission=volume / volume.sum(0).max(),
        family="hair_cells",
        name="hair_cells",
    )


def _rows(
    field: Field, draws: Draws, spacing_um: float, missing_fraction: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Places (y, x), row number and slope of the curve; rows wrap around along x."""
    side_y, side_x = field.sides_um
    strips = max(1, round(side_y / _STRIP_UM))
    along = max(1, round(side_x / spacing_um))
    strip, row, step = torch.meshgrid(
        *(torch.arange(n, device=draws.device) for n in (strips, len(_ROWS_UM), along)),
        indexing="ij",
    )
    strip, row, step = (grid.flatten() for grid in (strip, row, step))
    x = (step + 0.5 * (row % 2) + draws.normal(len(step), sd=0.06)) * (side_x / along)
    swing = min(0.06 * side_x, 20.0)
    turn = 2.0 * math.pi * x / side_x + draws.number(high=2.0 * math.pi)
    offset = torch.tensor(_ROWS_UM, device=draws.device)[row]
    first = draws.number(high=side_y)
    y = first + strip * (side_y / strips) + offset + swing * torch.sin(turn)
    y = y + draws.normal(len(step), sd=0.35)
    lean = -torch.atan(swing * torch.cos(turn) * 2.0 * math.pi / side_x)
    kept = draws.uniform(len(step)) >= missing_fraction
    kept[0] = True
    return torch.stack((y, x), 1)[kept], row[kept], lean[kept]


def _bundles(
    volume: Tensor, field: Field, draws: Draws, centre: Tensor, radii: Tensor, inner: Tensor
) -> None:
    """Stereocilia on top of each cell: a V on the outer cells, nearly a line on the inner."""
    arm = torch.linspace(-1.0, 1.0, 25, device=centre.device)
    width = torch.where(inner, 3.6, 3.0)[:, None]
    depth = torch.where(inner, 0.5, 2.2)[:, None]
    x = centre[:, 2:] + width * arm
    y = centre[:, 1:2] + depth * arm.abs() - 0.5 * depth
    z = (centre[:, :1] + radii[:, :1]).expand_as(x)
    places = torch.stack((z, y, x), -1).reshape(-1, 3)
    places = places + draws.normal(*places.shape, sd=0.08)
    radius = torch.full_like(places[:, 0], 0.22)
    deposit_balls(volume, field, places, radius, 40.0 * 4.19 * radius**3)
