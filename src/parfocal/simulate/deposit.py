"""Put points, balls and ellipsoids into a volume that wraps around, without losing light.

A volume holds brightness per pixel and layer: light per square um. What is smaller than a pixel
shares its light among the pixels around it by area; what is thinner than a layer shares it
between the layers around it by distance, so that each structure keeps its mean height.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from parfocal.simulate.field import Field

POINT_PX = 0.75  # a ball of a smaller radius is a point to the pixels
_VOXELS_AT_ONCE = 4_000_000


def layer_shares(
    low_um: Float[Tensor, "*n"], high_um: Float[Tensor, "*n"], heights_um: Float[Tensor, " layer"]
) -> Float[Tensor, layer * n]:
    """Length of each vertical segment that belongs to each layer, in um.

    Each point of a segment is shared linearly by the layers around it; what lies beyond the end
    layers goes to them. The shares of a segment sum to its length.

    Examples
    --------
    >>> low, high = torch.tensor([-0.5]), torch.tensor([1.5])
    >>> layer_shares(low, high, torch.tensor([0.0, 1.0])).T
    tensor([[1., 1.]])
    """
    if heights_um.shape[0] == 1:
        return (high_um - low_um)[None]
    first, last = heights_um[0], heights_um[-1]
    step = (last - first) / (heights_um.shape[0] - 1)
    layers = heights_um.view(-1, *([1] * low_um.ndim))

    def below(z_um: Tensor) -> Tensor:
        inside = torch.maximum(torch.minimum(z_um, last), first)
        offset = ((inside[None] - layers) / step).clamp(-1.0, 1.0)
        return step * (0.5 + offset - 0.5 * offset * offset.abs())

    shares = below(high_um) - below(low_um)
    shares[0] += (first - low_um).clamp(min=0.0) - (first - high_um).clamp(min=0.0)
    shares[-1] += (high_um - last).clamp(min=0.0) - (low_um - last).clamp(min=0.0)
    return shares


def deposit_points(
    volume: Float[Tensor, "layer y x"],
    field: Field,
    places_um: Float[Tensor, "n 3"],
    light: Float[Tensor, " n"],
) -> None:
    """Add point sources at (z, y, x) in um, each of so much light, to the pixels around them.

    Bilinear in y and x, linear in z: the centre of mass of each point stays where it is.

    Examples
    --------
    >>> field = Field(size_y=4, size_x=4, pixel_um=1.0)
    >>> volume = field.blank()
    >>> deposit_points(volume, field, torch.tensor([[0.0, 1.5, 3.75]]), torch.ones(1))
    >>> volume[0, 1]
    tensor([0.2500, 0.0000, 0.0000, 0.7500])
    """
    layers, size_y, size_x = volume.shape
    level = ((places_um[:, 0] - field.heights_um[0]) / field.step_um).clamp(0.0, layers - 1.0)
    row, column = (places_um[:, 1:] / field.pixel_um - 0.5).unbind(1)
    amount = light / field.pixel_um**2
    flat = volume.view(-1)
    layer, y, x = (place.floor() for place in (level, row, column))
    for up in (0, 1) if layers > 1 else (0,):
        share_z = (level - layer) if up else 1.0 - (level - layer)
        there = (layer.long() + up).clamp(max=layers - 1) * (size_y * size_x)
        for down in (0, 1):
            share_y = (row - y) if down else 1.0 - (row - y)
            line = there + ((y.long() + down) % size_y) * size_x
            for right in (0, 1):
                share_x = (column - x) if right else 1.0 - (column - x)
                index = line + (x.long() + right) % size_x
                flat.index_add_(0, index, amount * share_z * share_y * share_x)


def deposit_balls(
    volume: Float[Tensor, "layer y x"],
    field: Field,
    places_um: Float[Tensor, "n 3"],
    radius_um: Float[Tensor, " n"],
    light: Float[Tensor, " n"],
) -> None:
    """Add solid balls, each of so much light in all; small ones become points.

    A chain of balls a third of their radius apart is a tube.
    """
    small = radius_um < POINT_PX * field.pixel_um
    if bool(small.any()):
        deposit_points(volume, field, places_um[small], light[small])
    if bool(small.all()):
        return
    large = ~small
    places, radius, light = places_um[large], radius_um[large], light[large]
    inverse = radius.square().reciprocal()
    blank = torch.zeros_like(inverse)
    form = torch.stack((inverse, blank, blank, inverse, blank, inverse), dim=1)
    _stamp(volume, field, places, form, light, reach_um=radius)


def deposit_ellipsoids(
    volume: Float[Tensor, "layer y x"],
    field: Field,
    places_um: Float[Tensor, "n 3"],
    radii_um: Float[Tensor, "n 3"],
    light: Float[Tensor, " n"],
    *,
    angle_rad: Float[Tensor, " n"] | None = None,
    tilt_rad: Float[Tensor, " n"] | None = None,
    lobes: Float[Tensor, "n mode 2"] | None = None,
) -> None:
    """Add solid ellipsoids of half axes (z, y, x), each of so much light in all.

    ``tilt_rad`` turns the x axis out of the plane first, ``angle_rad`` then turns it in the plane
    from x towards y. ``lobes`` bumps the outline: mode m + 2 adds
    (a cos + b sin)((m + 2) theta) to the relative radius at the in-plane direction theta.
    """
    zero = torch.zeros_like(light)
    angle = zero if angle_rad is None else angle_rad
    tilt = zero if tilt_rad is None else tilt_rad
    cos, sin, up, out = torch.cos(angle), torch.sin(angle), torch.cos(tilt), torch.sin(tilt)
    axes = torch.stack(  # unit vectors (z, y, x) of the body's own z, y, x
        (
            torch.stack((up, -out * sin, -out * cos), 1),
            torch.stack((zero, cos, -sin), 1),
            torch.stack((out, up * sin, up * cos), 1),
        ),
        dim=1,
    )
    scaled = axes * radii_um[:, :, None]
    spread = torch.einsum("nki,nkj->nij", scaled, scaled)
    slim = _widen(spread, POINT_PX * field.pixel_um)
    rows, columns = torch.triu_indices(3, 3, device=spread.device)
    form = torch.linalg.inv(spread)[:, rows, columns]
    reach = torch.maximum(spread[:, 1, 1], spread[:, 2, 2]).sqrt()
    if lobes is not None:
        lobes = torch.where((slim < 2.0 * field.pixel_um)[:, None, None], 0.0, lobes)
        reach = reach * (1.0 + lobes.square().sum((1, 2)).mul(lobes.shape[1]).sqrt())
    _stamp(volume, field, places_um, form, light, reach_um=reach, lobes=lobes)


def _widen(spread: Tensor, least_um: float) -> Tensor:
    """Widen bodies that pixel centres could miss; the slimmest half width in y, x of each."""
    mean = 0.5 * (spread[:, 1, 1] + spread[:, 2, 2])
    apart = torch.hypot(0.5 * (spread[:, 1, 1] - spread[:, 2, 2]), spread[:, 1, 2])
    slim = (mean - apart).clamp(min=0.0)
    lift = (least_um**2 - slim).clamp(min=0.0)
    spread[:, 1, 1] += lift
    spread[:, 2, 2] += lift
    return slim.sqrt()


def _stamp(
    volume: Tensor,
    field: Field,
    places_um: Tensor,
    form: Tensor,
    light: Tensor,
    *,
    reach_um: Tensor,
    lobes: Tensor | None = None,
) -> None:
    """Add bodies q(z, y, x) <= 1 by the chord of each pixel; windows of like size go together."""
    side = torch.ceil(reach_um / field.pixel_um).long() + 1
    grade = torch.ceil(2.0 * torch.log2(side.float())).long()
    for step in torch.unique(grade).tolist():
        chosen = (grade == step).nonzero()[:, 0]
        reach_px = int(side[chosen].max())
        voxels = (2 * reach_px + 1) ** 2 * volume.shape[0]
        for part in torch.split(chosen, max(1, _VOXELS_AT_ONCE // voxels)):
            bumps = None if lobes is None else lobes[part]
            _stamp_alike(volume, field, places_um[part], form[part], light[part], reach_px, bumps)


def _stamp_alike(  # noqa: PLR0917
    volume: Tensor,
    field: Field,
    places_um: Tensor,
    form: Tensor,
    light: Tensor,
    reach_px: int,
    lobes: Tensor | None,
) -> None:
    layers, size_y, size_x = volume.shape
    centre = torch.floor(places_um[:, 1:] / field.pixel_um).long()
    offsets = torch.arange(-reach_px, reach_px + 1, device=volume.device)
    rows, columns = (centre[:, axis, None] + offsets for axis in (0, 1))
    dy = ((rows + 0.5) * field.pixel_um - places_um[:, 1, None])[:, :, None]
    dx = ((columns + 0.5) * field.pixel_um - places_um[:, 2, None])[:, None, :]
    zz, zy, zx, yy, yx, xx = (term[:, None, None] for term in form.unbind(1))
    plane = yy * dy * dy + 2.0 * yx * dy * dx + xx * dx * dx
    cross = zy * dy + zx * dx
    if lobes is not None:
        plane, cross = _bumped(plane, cross, dy, dx, lobes)
    half = (cross * cross - zz * (plane - 1.0)).clamp(min=0.0).sqrt() / zz
    whole = half.sum((1, 2)).clamp(min=1e-12) * 2.0 * field.pixel_um**2
    scale = (light / whole)[:, None, None]
    index = (rows % size_y)[:, :, None] * size_x + (columns % size_x)[:, None, :]
    if layers == 1:
        volume.view(-1).index_add_(0, index.flatten(), (2.0 * half * scale).flatten())
        return
    middle = places_um[:, 0, None, None] - cross / zz
    inside = half > 0
    middle, half = middle.expand_as(half)[inside], half[inside]
    shares = layer_shares(middle - half, middle + half, field.heights_um)
    volume.view(layers, -1).index_add_(1, index[inside], shares * scale.expand_as(inside)[inside])


def _bumped(
    plane: Tensor, cross: Tensor, dy: Tensor, dx: Tensor, lobes: Tensor
) -> tuple[Tensor, Tensor]:
    """Shrink offsets where the outline bulges, so that the body reaches farther there."""
    theta = torch.atan2(dy, dx)
    radius = torch.ones_like(theta)
    for mode, lobe in enumerate(lobes.unbind(1), start=2):
        a, b = lobe[:, 0, None, None], lobe[:, 1, None, None]
        radius = radius + a * torch.cos(mode * theta) + b * torch.sin(mode * theta)
    radius = radius.clamp(min=0.3)
    return plane / radius.square(), cross / radius


def ball_volume_um3(radius_um: Tensor) -> Tensor:
    """Volume of balls, in cubic um."""
    return (4.0 / 3.0 * math.pi) * radius_um**3


def ellipsoid_volume_um3(radii_um: Float[Tensor, "n 3"]) -> Float[Tensor, " n"]:
    """Volume of ellipsoids with these half axes, in cubic um."""
    return (4.0 / 3.0 * math.pi) * radii_um.prod(1)
