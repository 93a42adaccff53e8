"""Blood on a slide: biconcave red cells, white cells with lobed nuclei, platelets."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from parfocal.simulate.deposit import deposit_balls, deposit_ellipsoids, ellipsoid_volume_um3
from parfocal.simulate.field import Draws, Field
from parfocal.simulate.specimen import PHASE_REFERENCE_NM, Specimen
from parfocal.simulate.textures import smooth_noise

RED_CELL_UM = 7.82
_SAMPLES_AT_ONCE = 2_000_000


def red_cell_thickness_um(relative: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """Thickness of a resting red cell at a fraction of its radius of 3.91 um [Evans1972]_.

    sqrt(1 - r^2) (0.81 + 7.83 r^2 - 4.39 r^4) um: 0.81 um in the middle, 2.6 um at the rim.

    Examples
    --------
    >>> red_cell_thickness_um(torch.tensor([0.0, 1.0]))
    tensor([0.8100, 0.0000])
    """
    square = relative.square()
    rim = (1.0 - square).clamp(min=0.0).sqrt()
    return rim * (0.81 + 7.83 * square - 4.39 * square.square())


def blood_smear(
    field: Field,
    draws: Draws,
    *,
    red_per_mm2: float = 7000.0,
    white_per_mm2: float = 150.0,
    index_step: float = 0.06,
    stain: float = 0.16,
) -> Specimen:
    """A smear of one layer of blood: red cells as phase and weak absorption, stained white cells.

    Parameters
    ----------
    red_per_mm2, white_per_mm2
        Cells per square mm; platelets are a tenth of the red cells.
    index_step
        Refractive index of a red cell above its medium.
    stain
        Absorption (natural logarithm) per um of red cell.
    """
    length = _red_cells(field, draws, field.count(red_per_mm2))
    length *= torch.exp(0.05 * smooth_noise(field, draws, size_um=1.0, flat=True))
    absorption = stain * length
    white, nucleus = _white_cells(field, draws, white_per_mm2)
    absorption += 0.06 * white + 0.35 * nucleus
    phase = (
        2.0
        * math.pi
        / (PHASE_REFERENCE_NM * 1e-3)
        * (index_step * length + 0.03 * white + 0.03 * nucleus)
    )
    count = max(1, field.count(0.1 * red_per_mm2))
    places = torch.cat((torch.zeros(count, 1, device=draws.device), draws.places(field, count)), 1)
    radius = draws.spread(count, middle=1.1, sigma=0.2)
    platelets = field.blank()
    deposit_balls(platelets, field, places, radius, 4.19 * radius**3)
    absorption += 0.2 * platelets
    return Specimen(
        pixel_um=field.pixel_um,
        heights_um=field.heights_um,
        absorption=absorption,
        phase_rad=phase + 0.3 * platelets,
        family="blood",
        name="blood_smear",
    )


def _red_cells(field: Field, draws: Draws, count: int) -> Tensor:
    """Length of red cell in each voxel, in um; each cell lies at its own height, a little oval."""
    centre = draws.places(field, count, apart=True)
    radius = 0.5 * RED_CELL_UM * draws.spread(count, middle=1.0, sigma=0.06)
    shape = torch.stack(
        (
            radius,
            draws.uniform(count, low=0.86, high=1.0),  # how round
            draws.angle(count),
            draws.uniform(count, low=0.55, high=1.0),  # how deep the dimple
        ),
        dim=1,
    )
    reach = max(1, math.ceil(float(radius.max()) / field.pixel_um))
    fine = min(8, max(1, math.ceil(2.0 * field.pixel_um)))  # samples per pixel, for coarse ones
    level = (draws.normal(count, sd=0.15).clamp(-0.5, 0.5) * field.thickness_um) / field.step_um
    place = (level + 0.5 * (field.layers - 1)).clamp(0.0, field.layers - 1.0)
    volume = field.blank()
    flat, plane = volume.view(-1), field.size_y * field.size_x
    cells = torch.arange(count, device=draws.device)
    for part in torch.split(cells, max(1, _SAMPLES_AT_ONCE // ((2 * reach + 1) * fine) ** 2)):
        thickness, index = _red_windows(field, centre[part], shape[part], reach, fine)
        lower = place[part].floor()
        for up in (0, 1) if field.layers > 1 else (0,):
            share = (place[part] - lower) if up else 1.0 - (place[part] - lower)
            layer = (lower.long() + up).clamp(max=field.layers - 1)
            there = index + (layer * plane)[:, None, None]
            flat.index_add_(0, there.flatten(), (thickness * share[:, None, None]).flatten())
    return volume


def _red_windows(
    field: Field, centre: Tensor, shape: Tensor, reach: int, fine: int
) -> tuple[Tensor, Tensor]:
    """Thickness of each cell in a window of pixels around it, and where those pixels lie."""
    side = 2 * reach + 1
    radius, oval, angle, dimple = (value[:, None, None] for value in shape.unbind(1))
    steps = torch.arange(-reach * fine, (reach + 1) * fine, device=centre.device)
    where = (steps + 0.5) / fine
    home = torch.floor(centre / field.pixel_um).long()
    dy = ((home[:, :1] + where) * field.pixel_um - centre[:, :1])[:, :, None]
    dx = ((home[:, 1:] + where) * field.pixel_um - centre[:, 1:])[:, None, :]
    cos, sin = torch.cos(angle), torch.sin(angle)
    relative = torch.hypot(dx * cos + dy * sin, (dy * cos - dx * sin) / oval) / radius
    biconcave = red_cell_thickness_um(relative)
    dome = 2.2 * (1.0 - relative.square()).clamp(min=0.0).sqrt()
    thickness = dimple * biconcave + (1.0 - dimple) * torch.minimum(dome, biconcave + 1.0)
    thickness = thickness.view(-1, side, fine, side, fine).mean((2, 4))
    offsets = torch.arange(-reach, reach + 1, device=centre.device)
    rows, columns = (home[:, axis, None] + offsets for axis in (0, 1))
    index = (rows % field.size_y)[:, :, None] * field.size_x
    return thickness, index + (columns % field.size_x)[:, None, :]


def _white_cells(field: Field, draws: Draws, per_mm2: float) -> tuple[Tensor, Tensor]:
    """Length of cytoplasm and of nucleus: half of the nuclei round, half in three lobes."""
    white, nucleus = field.blank(), field.blank()
    expected = per_mm2 * field.area_um2 * 1e-6
    count = int(expected) + int(draws.number() < expected % 1.0)
    if count == 0:
        return white, nucleus
    centre = torch.cat((torch.zeros(count, 1, device=draws.device), draws.places(field, count)), 1)
    size = draws.spread(count, 1, middle=1.0, sigma=0.12)
    body = size * torch.tensor([2.0, 6.0, 6.5], device=draws.device)
    angle, lobes = draws.angle(count), 0.06 * draws.normal(count, 4, 2)
    deposit_ellipsoids(
        white, field, centre, body, ellipsoid_volume_um3(body), angle_rad=angle, lobes=lobes
    )
    lobed = draws.uniform(count, 1, 1) < 0.5
    fan = torch.arange(3, device=draws.device) * (2.0 * math.pi / 3.0) + angle[:, None]
    fan = fan + draws.normal(count, 3, sd=0.35)
    away = torch.stack((torch.zeros_like(fan), torch.sin(fan), torch.cos(fan)), -1)
    places = centre[:, None] + away * torch.where(lobed, 2.7, 0.9) * size[:, :, None]
    shape = torch.tensor([1.5, 2.0, 2.4], device=draws.device) * torch.where(lobed, 1.0, 1.45)
    radii = (size[:, None] * shape.expand(count, 3, 3)).reshape(-1, 3)
    share = torch.where(lobed, 1.0, 0.45).expand(count, 3, 1).flatten()
    light = ellipsoid_volume_um3(radii) * share
    deposit_ellipsoids(
        nucleus, field, places.view(-1, 3), radii, light, angle_rad=draws.angle(3 * count)
    )
    texture = smooth_noise(field, draws, size_um=0.9, flat=True)
    return white * torch.exp(0.25 * texture), nucleus * torch.exp(0.3 * texture)
