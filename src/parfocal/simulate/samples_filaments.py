"""Filaments: microtubules that radiate through cells, and single filaments on glass."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from parfocal.simulate.deposit import deposit_points
from parfocal.simulate.field import Draws, Field
from parfocal.simulate.specimen import Specimen

_POINTS_AT_MOST = 3_000_000


def wander(  # noqa: PLR0917
    draws: Draws,
    start_um: Float[Tensor, "n 3"],
    heading_rad: Float[Tensor, " n"],
    steps: int,
    step_um: float,
    persistence_um: float,
    rise_sd: float = 0.0,
) -> Float[Tensor, "n step 3"]:
    """Paths (z, y, x) of worm-like chains: each keeps its heading for a while.

    Mean cosine of the turn after a length s: exp(-s / (2 persistence)), as in two dimensions
    [Kratky1949]_. ``rise_sd`` spreads the slope out of the plane, constant along each path.
    """
    count = len(start_um)
    turn = math.sqrt(step_um / persistence_um)
    theta = heading_rad[:, None] + draws.normal(count, steps, sd=turn).cumsum(1)
    rise = draws.normal(count, 1, sd=rise_sd).expand(count, steps) * step_um
    moves = torch.stack((rise, step_um * torch.sin(theta), step_um * torch.cos(theta)), -1)
    return start_um[:, None] + moves.cumsum(1)


def within(field: Field, z_um: Tensor) -> Tensor:
    """Fold heights back into the field's thickness, as a mirror at each end would."""
    thick = field.thickness_um
    if thick == 0:
        return torch.zeros_like(z_um)
    folded = torch.remainder(z_um + 0.5 * thick, 2.0 * thick)
    return torch.minimum(folded, 2.0 * thick - folded) - 0.5 * thick


def microtubules(
    field: Field,
    draws: Draws,
    *,
    cells_per_mm2: float = 900.0,
    per_cell: int = 120,
    length_um: float = 22.0,
    persistence_um: float = 25.0,
) -> Specimen:
    """Microtubules of cultured cells: each grows from its cell's organising centre outwards.

    Parameters
    ----------
    cells_per_mm2
        Cells per square mm, each with ``per_cell`` microtubules.
    length_um
        Mean length in um; lengths vary between a third and twice of it.
    persistence_um
        Length over which the direction is kept; shorter in cells than in vitro.
    """
    cells = field.count(cells_per_mm2)
    home = draws.places(field, cells, apart=True)
    step_um = max(0.5 * field.pixel_um, 0.04)
    steps = max(2, round(2.0 * length_um / step_um))
    each = max(4, min(per_cell, _POINTS_AT_MOST // (steps * cells)))
    count = cells * each
    centre = home.repeat_interleave(each, 0) + draws.normal(count, 2, sd=1.5)
    height = draws.uniform(count, 1, low=-0.5, high=0.5) * field.thickness_um
    start = torch.cat((height, centre), 1)
    paths = wander(draws, start, draws.angle(count), steps, step_um, persistence_um, rise_sd=0.08)
    length = length_um * draws.uniform(count, 1, low=0.33, high=2.0)
    begin = draws.uniform(count, 1, low=0.0, high=5.0)  # many have left the centre
    along = torch.arange(steps, device=paths.device) * step_um
    there = (along < length) & (along > begin)
    return _drawn(field, paths[there], "microtubules", light=1.0 * per_cell / each)


def filaments(
    field: Field,
    draws: Draws,
    *,
    per_mm2: float = 20_000.0,
    length_um: float = 12.0,
    persistence_um: float = 120.0,
) -> Specimen:
    """Single filaments strewn over the field: polymerised in vitro, nearly straight."""
    step_um = max(0.5 * field.pixel_um, 0.04)
    steps = max(2, round(2.0 * length_um / step_um))
    count = min(field.count(per_mm2, least=2), max(2, _POINTS_AT_MOST // steps))
    height = draws.uniform(count, 1, low=-0.5, high=0.5) * field.thickness_um
    start = torch.cat((height, draws.places(field, count)), 1)
    paths = wander(draws, start, draws.angle(count), steps, step_um, persistence_um, rise_sd=0.1)
    length = length_um * draws.uniform(count, 1, low=0.2, high=2.0)
    there = torch.arange(steps, device=paths.device) * step_um < length
    return _drawn(field, paths[there], "filaments")


def _drawn(field: Field, points_um: Tensor, name: str, light: float = 1.0) -> Specimen:
    volume = field.blank()
    places = torch.cat((within(field, points_um[:, :1]), points_um[:, 1:]), 1)
    deposit_points(volume, field, places, torch.full_like(places[:, 0], light))
    return Specimen(
        pixel_um=field.pixel_um,
        heights_um=field.heights_um,
        emission=volume / volume.sum(0).max(),
        family="filaments",
        name=name,
    )
