"""Thick specimens: dense cleared tissue, and a nematode with its neurons."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from parfocal.simulate.deposit import (
    deposit_balls,
    deposit_ellipsoids,
    deposit_points,
    ellipsoid_volume_um3,
)
from parfocal.simulate.field import Draws, Field
from parfocal.simulate.samples_filaments import wander, within
from parfocal.simulate.samples_nuclei import bumps
from parfocal.simulate.specimen import Specimen
from parfocal.simulate.textures import smooth_noise

_WORM_PITCH_UM = 130.0


def dense_tissue(
    field: Field,
    draws: Draws,
    *,
    nuclei_per_mm3: float = 1.5e5,
    vessels_per_mm2: float = 250.0,
    haze: float = 0.07,
) -> Specimen:
    """Cleared tissue stained throughout: crowded nuclei in a hazy matrix with dark vessels.

    Light comes from every depth, so that no plane is dark and each is a little blurred.

    Parameters
    ----------
    nuclei_per_mm3
        Nuclei per cubic mm.
    vessels_per_mm2
        Vessels per square mm of field; they lie more or less in the plane and hold no stain.
    haze
        Brightness of the matrix, relative to the nuclei.
    """
    half = 0.5 * field.thickness_um
    count = min(field.count(nuclei_per_mm3 * max(field.thickness_um, 8.0) * 1e-3), 60_000)
    height = draws.uniform(count, 1, low=-half, high=half)
    places = torch.cat((height, draws.places(field, count)), 1)
    radii = (
        0.5
        * draws.spread(count, 1, middle=7.5, sigma=0.2)
        * draws.spread(count, 3, middle=1.0, sigma=0.15)
    )
    light = ellipsoid_volume_um3(radii) * draws.spread(count, middle=1.0, sigma=0.5)
    volume = field.blank()
    angle, lobes = draws.angle(count), bumps(draws, count, 3, sd=0.08)
    deposit_ellipsoids(volume, field, places, radii, light, angle_rad=angle, lobes=lobes)
    fine, coarse = (smooth_noise(field, draws, size_um=size) for size in (1.2, 9.0))
    volume *= torch.exp(0.3 * fine)
    per_layer = field.step_um if field.layers > 1 else 8.0
    volume += haze * per_layer * torch.exp(0.5 * coarse + 0.25 * fine)
    places, radius = _vessels(field, draws, field.count(vessels_per_mm2))
    lumen = field.blank()
    deposit_balls(lumen, field, places, radius, 4.19 * radius**3)
    volume *= torch.exp(-4.0 * lumen / per_layer).clamp(min=0.03)
    return _specimen(field, volume, "dense_tissue", "tissue")


def _vessels(field: Field, draws: Draws, count: int) -> tuple[Tensor, Tensor]:
    """Balls along winding tubes of 3 to 8 um radius."""
    step_um = max(2.0, 0.5 * field.pixel_um)
    steps = max(2, min(round(120.0 / step_um), 40_000 // count))
    height = draws.uniform(count, 1, low=-0.5, high=0.5) * field.thickness_um
    start = torch.cat((height, draws.places(field, count)), 1)
    paths = wander(draws, start, draws.angle(count), steps, step_um, 80.0, rise_sd=0.3)
    paths[..., 0] = within(field, paths[..., 0])
    radius = draws.spread(count, 1, middle=4.0, sigma=0.3).expand(count, steps)
    return paths.reshape(-1, 3), radius.reshape(-1).contiguous()


def nematode(
    field: Field, draws: Draws, *, radius_um: float = 24.0, neurons_per_um: float = 0.35
) -> Specimen:
    """A worm whose neurons glow: a curved tube with a nerve cord, ganglia and a speckled gut.

    The body swings along x and leaves the field where it enters it on the other side; its height
    follows the tube, flattened to the thickness of the field.

    Parameters
    ----------
    radius_um
        Radius of the body in the plane, in um.
    neurons_per_um
        Cell bodies per um of worm, three quarters of them along the ventral cord.
    """
    worm = _Worm(field, draws, radius_um)
    length = field.sides_um[1]
    volume = field.blank()
    _worm_body(volume, field, worm)
    volume *= torch.exp(0.3 * smooth_noise(field, draws, size_um=2.0))
    for index in range(worm.count):
        cells = max(4, round(neurons_per_um * length))
        along = draws.uniform(cells, high=length)
        cluster = draws.uniform(cells) < 0.4
        head = draws.number(high=length) + draws.normal(cells, sd=12.0)
        along = torch.where(cluster, head, along)
        cord = draws.uniform(cells) < 0.75
        side = draws.uniform(cells, low=-0.8, high=0.7)
        side = torch.where(cord, 0.72 + draws.normal(cells, sd=0.05), side)
        around = torch.where(
            cluster, draws.uniform(cells, low=-0.8, high=0.8), draws.normal(cells, sd=0.25)
        )
        places = worm.places(index, along, side, around)
        radius = draws.spread(cells, middle=1.6, sigma=0.2)
        deposit_balls(volume, field, places, radius, 5.0 * 4.19 * radius**3)
        _processes(volume, field, draws, worm, index)
        grains = round(0.8 * length) + 1
        gut = worm.places(
            index, draws.uniform(grains, high=length),
            draws.normal(grains, sd=0.17) - 0.1, draws.normal(grains, sd=0.17),
        )  # fmt: skip
        radius = draws.spread(grains, middle=0.6, sigma=0.3)
        deposit_balls(volume, field, gut, radius, 2.5 * 4.19 * radius**3)
    return _specimen(field, volume, "nematode", "nematode")


class _Worm:
    """The middle line of each worm of a field, and places in its own coordinates."""

    def __init__(self, field: Field, draws: Draws, radius_um: float) -> None:
        side_y, side_x = field.sides_um
        self.field = field
        self.radius_um = radius_um
        self.half_um = min(radius_um, 0.5 * field.thickness_um)
        self.count = max(1, round(side_y / _WORM_PITCH_UM))
        self.pitch_um = side_y / self.count
        self.waves = max(1, round(side_x / 400.0))
        self.swing_um = min(45.0, 0.12 * side_x / self.waves)
        self.turn = draws.uniform(self.count, high=2.0 * math.pi)
        self.first_um = draws.number(high=side_y)

    def middle_um(self, index: int, x_um: Tensor) -> tuple[Tensor, Tensor]:
        """y of the middle line, and its slope, at x."""
        rate = 2.0 * math.pi * self.waves / self.field.sides_um[1]
        phase = rate * x_um + self.turn[index]
        y = self.first_um + index * self.pitch_um + self.swing_um * torch.sin(phase)
        return y, self.swing_um * rate * torch.cos(phase)

    def places(self, index: int, along_um: Tensor, side: Tensor, around: Tensor) -> Tensor:
        """Places (z, y, x) from the way along, and side and height in units of the radius."""
        y, slope = self.middle_um(index, along_um)
        shrink = torch.rsqrt(1.0 + slope**2)
        reach = self.radius_um * side.clamp(-0.95, 0.95)
        height = self.half_um * around.clamp(-1.0, 1.0) * (1.0 - side.clamp(-0.9, 0.9) ** 2).sqrt()
        return torch.stack((height, y + reach * shrink, along_um - reach * slope * shrink), 1)


def _worm_body(volume: Tensor, field: Field, worm: _Worm) -> None:
    """A faint tube with a brighter cuticle, by the distance of each pixel to the middle line."""
    y, x = field.centres_um()
    side_y = field.sides_um[0]
    heights = field.heights_um[:, None, None]
    flat = torch.full_like(volume[0], torch.inf)
    for index in range(worm.count):
        middle, slope = worm.middle_um(index, x)
        gap = y - middle
        gap = (gap - side_y * torch.round(gap / side_y)) * torch.rsqrt(1.0 + slope**2)
        flat = torch.minimum(flat, (gap / worm.radius_um) ** 2)
    if field.layers == 1:
        volume += 0.5 * (1.0 - flat).clamp(min=0.0).sqrt()
        return
    radius = (flat + (heights / max(worm.half_um, 1e-6)) ** 2).sqrt()
    soft = (field.step_um + field.pixel_um) / worm.radius_um
    inside = ((1.0 - radius) / soft + 0.5).clamp(0.0, 1.0)
    skin = torch.exp(-(((radius - 0.96) / max(0.05, soft)) ** 2))
    volume += field.step_um * (0.03 * inside + 0.05 * skin)


def _processes(volume: Tensor, field: Field, draws: Draws, worm: _Worm, index: int) -> None:
    """Fibres that run along the body: a bundle in the cord, single ones elsewhere."""
    length = field.sides_um[1]
    step_um = max(0.5 * field.pixel_um, 0.15)
    steps = max(2, round(length / step_um))
    along = torch.arange(steps, device=draws.device) * (length / steps)
    waves = 1.0 + draws.whole(3, 10, 2, 1)
    turns = draws.angle(10, 2, 1) + 2.0 * math.pi * along / length * waves
    side = torch.cat((torch.full((7,), 0.72), torch.tensor([-0.75, 0.35, -0.3]))).to(along.device)
    wave = 0.03 * torch.sin(turns)
    places = worm.places(
        index,
        along.repeat(10),
        (side[:, None] + wave[:, 0]).flatten(),
        (draws.normal(10, 1, sd=0.2) + wave[:, 1]).flatten(),
    )
    deposit_points(volume, field, places, torch.full_like(places[:, 0], 3.0 * length / steps))


def _specimen(field: Field, volume: Tensor, name: str, family: str) -> Specimen:
    return Specimen(
        pixel_um=field.pixel_um,
        heights_um=field.heights_um,
        emission=volume / volume.sum(0).max(),
        family=family,
        name=name,
    )
