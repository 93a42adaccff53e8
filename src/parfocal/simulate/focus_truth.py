"""Which pixels of a plane are truly in focus: structure that lies within its depth of field."""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from parfocal.core.errors import InputError
from parfocal.simulate.specimen import Specimen, structure_weight

REACH = 0.5
"""Depths of field that structure may be from the plane."""
FAINTEST = 0.1
"""Of the brightest structure: what is fainter does not count."""
EXTENT = 0.2
"""Of the brightest pixel nearby: where a structure ends."""
NEARBY = 8.0
"""How far nearby reaches, in resolutions."""
SPOT = 0.355
"""Standard deviation of a sharp point's image, in resolutions: 0.61 to 0.51 wavelength / NA."""
PLANES_AT_ONCE = 8


def in_focus(
    specimen: Specimen,
    z_um: Float[Tensor, " z"],
    *,
    depth_of_field_um: float,
    resolution_um: float = 0.0,
    threshold: float = FAINTEST,
    extent: float = EXTENT,
    wraps: bool = False,
) -> Bool[Tensor, "z y x"]:
    """True in-focus pixels: structure within half a depth of field of the plane.

    Parameters
    ----------
    specimen
        What lies where.
    z_um
        Stage z of the planes, in um from the specimen's reference.
    depth_of_field_um
        n wavelength / NA^2; layers farther apart leave planes where nothing is in focus.
    resolution_um
        Rayleigh's, 0.61 wavelength / NA; 0 takes each pixel for itself.
    threshold
        Of the brightest structure of the specimen: fainter structures do not count.
    extent
        Of the brightest pixel within 8 resolutions: dimmer pixels do not belong to a structure.
    wraps
        Whether the specimen wraps around in y and x.

    Raises
    ------
    InputError
        If the depth of field is not positive.

    See Also
    --------
    focus_evidence : for many thresholds at once.

    Examples
    --------
    >>> light = torch.zeros(2, 1, 2); light[0, 0, 0] = light[1, 0, 1] = 1.0
    >>> two = Specimen(pixel_um=1.0, heights_um=torch.tensor([0.0, 3.0]), emission=light)
    >>> in_focus(two, torch.tensor([0.2, 3.0]), depth_of_field_um=1.0)[:, 0]
    tensor([[ True, False],
            [False,  True]])
    """
    evidence = focus_evidence(
        specimen, z_um, depth_of_field_um=depth_of_field_um, resolution_um=resolution_um,
        extent=extent, wraps=wraps,
    )  # fmt: skip
    return (evidence >= threshold) & (evidence > 0)


def focus_evidence(
    specimen: Specimen,
    z_um: Float[Tensor, " z"],
    *,
    depth_of_field_um: float,
    resolution_um: float = 0.0,
    extent: float = EXTENT,
    wraps: bool = False,
) -> Float[Tensor, "z y x"]:
    """How bright the structure in focus is to which a pixel belongs; the specimen's brightest is 1.

    The layers within half a depth of field are seen as in-focus optics would see them alone. A
    pixel belongs to a structure where it has at least ``extent`` of the brightest pixel nearby,
    and is worth what that pixel is; everywhere else it is worth 0. So a structure is kept or
    dropped as a whole: a limit on each pixel's own light, as thresholds usually are, cuts every
    structure at another place, and two right limits share little more than half their pixels.

    Notes
    -----
    Laws: gain-free; flips and quarter turns commute; a plane's evidence does not depend on the
    other planes that are asked for.
    """
    if not depth_of_field_um > 0:
        raise InputError(f"depth_of_field_um must be positive, but came as {depth_of_field_um:g}.")
    weight = structure_weight(specimen)
    heights = specimen.heights_um
    reach_um = REACH * depth_of_field_um + 1e-6
    resolution_px = resolution_um / specimen.pixel_um
    nearby_px = round(NEARBY * resolution_px)

    def seen(planes_um: Tensor) -> Tensor:
        near = ((planes_um[:, None] - heights).abs() <= reach_um).to(weight.dtype)
        light = torch.einsum("zl,lyx->zyx", near, weight)
        return _smoothed(light, SPOT * resolution_px, wraps=wraps)

    brightest = max(float(seen(some).max()) for some in torch.split(heights, PLANES_AT_ONCE))
    found = []
    for some in torch.split(z_um.to(specimen.device), PLANES_AT_ONCE):
        light = seen(some)
        peak = _peak_nearby(light, nearby_px, wraps=wraps)
        inside = (light >= extent * peak) & (light > 0)
        found.append(torch.where(inside, peak / max(brightest, 1e-12), 0.0))
    return torch.cat(found)


def _smoothed(light: Tensor, spot_px: float, *, wraps: bool) -> Tensor:
    """Planes as sharp points of so many pixels would show them."""
    reach = math.ceil(3.0 * spot_px)
    if spot_px < 0.2:
        return light
    bell = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, device=light.device) / spot_px) ** 2)
    bell = (bell / bell.sum()).to(light.dtype)
    wide = _padded(light, reach, wraps=wraps)[:, None]
    wide = functional.conv2d(
        functional.conv2d(wide, bell[None, None, None]), bell[:, None][None, None]
    )
    return wide[:, 0]


def _peak_nearby(light: Tensor, reach: int, *, wraps: bool) -> Tensor:
    """The brightest of the pixels within a square."""
    if reach == 0:
        return light
    side = 2 * reach + 1
    wide = _padded(light, reach, wraps=wraps)
    return functional.max_pool2d(functional.max_pool2d(wide, (1, side), 1), (side, 1), 1)


def _padded(light: Tensor, reach: int, *, wraps: bool) -> Tensor:
    """Planes with so many pixels more on each side, from the other side or from the edge."""
    if not wraps:
        return functional.pad(light[:, None], [reach] * 4, mode="replicate")[:, 0]
    for axis in (1, 2):
        size = light.shape[axis]
        place = torch.arange(-reach, size + reach, device=light.device) % size
        light = light.index_select(axis, place)
    return light
