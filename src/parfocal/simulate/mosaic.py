"""Cells that fill the plane: a mosaic of jittered seeds, and how far each pixel is from a wall."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from parfocal.simulate.field import Draws, Field


@dataclass(frozen=True, eq=False, kw_only=True)
class Mosaic:
    """A mosaic of cells: distance to the own seed, half the lead over the next seed, whose cell.

    ``wall_um`` is zero on the wall between two cells and grows inwards, by the distance itself
    half-way between two seeds and by less towards the corners.
    """

    seeds_um: Float[Tensor, "cell 2"]
    centre_um: Float[Tensor, "y x"]
    wall_um: Float[Tensor, "y x"]
    cell: Int[Tensor, "y x"]


def grow_mosaic(
    field: Field,
    draws: Draws,
    *,
    cell_um: float,
    jitter: float = 0.3,
    warp_um: Float[Tensor, "2 y x"] | None = None,
) -> Mosaic:
    """Voronoi cells about ``cell_um`` wide around the points of a jittered brick lattice.

    ``warp_um`` moves the pixels before they look for their seed, which bends the walls.
    """
    side_y, side_x = field.sides_um
    rows, columns = max(1, round(side_y / cell_um)), max(1, round(side_x / cell_um))
    pitch_y, pitch_x = side_y / rows, side_x / columns
    row = torch.arange(rows, device=draws.device)[:, None].expand(rows, columns)
    column = torch.arange(columns, device=draws.device)[None, :].expand(rows, columns)
    shift = 0.5 * (row % 2) if rows % 2 == 0 else torch.zeros_like(row)  # bricks, if they wrap
    seeds_y = (row + 0.5 + draws.uniform(rows, columns, low=-jitter, high=jitter)) * pitch_y
    seeds_x = column + 0.5 + shift + draws.uniform(rows, columns, low=-jitter, high=jitter)
    seeds_x = seeds_x * pitch_x
    y, x = (line.expand(field.size_y, field.size_x) for line in field.centres_um())
    if warp_um is not None:
        y, x = y + warp_um[0], x + warp_um[1]
    first = torch.full((field.size_y, field.size_x), torch.inf, device=draws.device)
    second, cell = first.clone(), torch.zeros_like(first, dtype=torch.int64)
    home_y, home_x = torch.floor(y / pitch_y).long(), torch.floor(x / pitch_x).long()
    for down in range(-2, 3):
        line = (home_y + down) % rows
        for right in range(-2, 3):
            index = line * columns + (home_x + right) % columns
            gap_y = _wrapped(seeds_y.view(-1)[index] - y, side_y)
            gap_x = _wrapped(seeds_x.view(-1)[index] - x, side_x)
            apart = torch.hypot(gap_y, gap_x)
            other = index != cell
            second = torch.where(
                apart < first, torch.where(other, first, second),
                torch.where(other, torch.minimum(second, apart), second),
            )  # fmt: skip
            cell = torch.where(apart < first, index, cell)
            first = torch.minimum(first, apart)
    wall = torch.where(second.isinf(), cell_um, 0.5 * (second - first))
    seeds = torch.stack((seeds_y.flatten() % side_y, seeds_x.flatten() % side_x), 1)
    return Mosaic(seeds_um=seeds, centre_um=first, wall_um=wall, cell=cell)


def _wrapped(gap: Tensor, side: float) -> Tensor:
    return gap - side * torch.round(gap / side)
