"""Nuclei: chromatin with nucleoli, and now and then a mitosis; in culture or packed in depth."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from parfocal.simulate.deposit import deposit_balls, deposit_ellipsoids, ellipsoid_volume_um3
from parfocal.simulate.field import Draws, Field
from parfocal.simulate.specimen import Specimen
from parfocal.simulate.textures import smooth_noise

_HOLE_UM = 0.8  # length of nucleolus that takes most of a column's light away


def nuclei(
    field: Field,
    draws: Draws,
    *,
    per_mm2: float = 900.0,
    length_um: float = 16.0,
    height_um: float = 6.0,
    mitosis_fraction: float = 0.04,
    chromatin: float = 0.3,
) -> Specimen:
    """Stained nuclei of a cell culture: flat bumpy ellipsoids with chromatin and dark nucleoli.

    Parameters
    ----------
    per_mm2
        Nuclei per square mm.
    length_um, height_um
        Median long axis and thickness, in um; they vary by 12 %.
    mitosis_fraction
        Share that is a bright metaphase plate or a pair of anaphase plates.
    chromatin
        Contrast of the chromatin: standard deviation of the logarithm of brightness.
    """
    count = field.count(per_mm2)
    places = _with_heights(field, draws, draws.places(field, count, apart=True), height_um)
    radii = _radii(draws, count, length_um, height_um)
    volume = _interphase(field, draws, places, radii, chromatin)
    dividing = int(draws.uniform(count).lt(mitosis_fraction).sum())
    if dividing:
        where = _with_heights(field, draws, draws.places(field, dividing), height_um)
        volume += _mitoses(field, draws, where)
    return _specimen(field, volume, "nuclei")


def packed_nuclei(
    field: Field,
    draws: Draws,
    *,
    per_mm3: float = 4.0e5,
    length_um: float = 9.0,
    chromatin: float = 0.25,
) -> Specimen:
    """Round nuclei packed through the depth of the field, as in an embryo or a spheroid."""
    depth_um = max(field.thickness_um, length_um)
    count = field.count(per_mm3 * depth_um * 1e-3)
    half = 0.5 * field.thickness_um
    height = draws.uniform(count, 1, low=-half, high=half)
    places = torch.cat((height, draws.places(field, count)), 1)
    radii = _radii(draws, count, length_um, 0.8 * length_um)
    return _specimen(
        field, _interphase(field, draws, places, radii, chromatin, nucleoli=1), "packed_nuclei"
    )


def bumps(draws: Draws, count: int, modes: int, *, sd: float) -> Tensor:
    """Irregular outlines for ``deposit_ellipsoids``; finer bumps are smaller."""
    mode = torch.arange(2, modes + 2, device=draws.device)
    return draws.normal(count, modes, 2, sd=sd) * (2.0 / mode[:, None]) ** 1.5


def _specimen(field: Field, volume: Tensor, name: str) -> Specimen:
    return Specimen(
        pixel_um=field.pixel_um,
        heights_um=field.heights_um,
        emission=volume / volume.sum(0).max(),
        family="nuclei",
        name=name,
    )


def _with_heights(field: Field, draws: Draws, places: Tensor, height_um: float) -> Tensor:
    """Centres that lie on the floor of the field, at most one in six higher up."""
    half = 0.5 * field.thickness_um
    low = min(0.0, 0.5 * height_um - half)
    lift = draws.uniform(len(places), 1)
    high = torch.where(lift > 5.0 / 6.0, (6.0 * lift - 5.0) * max(0.0, -2.0 * low), 0.0)
    return torch.cat((low + high, places), 1)


def _radii(draws: Draws, count: int, length_um: float, height_um: float) -> Tensor:
    size = draws.spread(count, middle=0.5, sigma=0.12)
    slim = draws.uniform(count, low=0.65, high=0.95)
    return torch.stack((size * height_um, size * length_um * slim, size * length_um), 1)


def _interphase(
    field: Field,
    draws: Draws,
    places: Tensor,
    radii: Tensor,
    chromatin: float,
    nucleoli: int = 3,
) -> Tensor:
    count = len(places)
    light = ellipsoid_volume_um3(radii) * draws.spread(count, middle=1.0, sigma=0.25)
    volume = field.blank()
    lobes = bumps(draws, count, 3, sd=0.05)
    angle = draws.angle(count)
    deposit_ellipsoids(volume, field, places, radii, light, angle_rad=angle, lobes=lobes)
    fine = smooth_noise(field, draws, size_um=0.9)
    coarse = smooth_noise(field, draws, size_um=3.0, flat=True)
    volume *= torch.exp(chromatin * fine + 0.6 * chromatin * coarse)
    holes = _nucleoli(field, draws, places, radii, angle, nucleoli)
    return volume.mul_(torch.exp(-holes / _HOLE_UM).clamp(min=0.25))


def _nucleoli(
    field: Field, draws: Draws, places: Tensor, radii: Tensor, angle: Tensor, each: int
) -> Tensor:
    """Length of nucleolus in each voxel, in um."""
    count = len(places)
    reach, theta = 0.65 * draws.uniform(count, each).sqrt(), draws.angle(count, each)
    along, across = (
        reach * torch.cos(theta) * radii[:, 2:],
        reach * torch.sin(theta) * radii[:, 1:2],
    )
    cos, sin = torch.cos(angle)[:, None], torch.sin(angle)[:, None]
    offset = torch.stack(
        (torch.zeros_like(along), across * cos + along * sin, along * cos - across * sin), -1
    )
    centre = (places[:, None] + offset).view(-1, 3)
    size = draws.spread(count, each, middle=0.14, sigma=0.3) * radii[:, 2:]
    radius = size.flatten()
    holes = field.blank()
    deposit_balls(holes, field, centre, radius, 4.0 / 3.0 * math.pi * radius**3)
    return holes


def _mitoses(field: Field, draws: Draws, places: Tensor) -> Tensor:
    """Metaphase plates and, half of the time, pairs of anaphase plates that moved apart."""
    count = len(places)
    angle = draws.angle(count)
    apart = torch.where(draws.uniform(count) < 0.5, 0.0, draws.uniform(count, low=1.5, high=4.5))
    normal = torch.stack((torch.zeros_like(angle), torch.cos(angle), -torch.sin(angle)), 1)
    centres = torch.cat((places + apart[:, None] * normal, places - apart[:, None] * normal))
    half = torch.tensor([3.5, 1.3, 5.0], device=places.device)
    radii = half * draws.spread(2 * count, 1, middle=1.0, sigma=0.1)
    light = 1.1 * ellipsoid_volume_um3(radii)
    volume = field.blank()
    lobes = bumps(draws, 2 * count, 4, sd=0.08)
    deposit_ellipsoids(volume, field, centres, radii, light, angle_rad=angle.repeat(2), lobes=lobes)
    return volume
