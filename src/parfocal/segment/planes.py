"""Planes as the network takes them: each with neighbours below and above, on one scale."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from parfocal.core.setup import OpticalSetup

LEAST_APART = 0.75
"""Depths of field that neighbours are apart, where the stack has such planes."""
FINEST_PIXEL, COARSEST_PIXEL = 0.2, 1.2
"""Pixels that were trained, in wavelength / NA."""
USUAL_PIXEL = 0.4
"""To which finer ones are binned."""


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How a stack samples its specimen, as far as that is known.

    Parameters
    ----------
    pixel
        Pixel in wavelength / NA, or None.
    ratio
        NA over the immersion's index, or None.
    depth_um
        Depth of field in um; None where the optics or the distance of the planes are unknown.
    bin_px
        Pixels, along y and x, that are made one.
    """

    pixel: float | None
    ratio: float | None
    depth_um: float | None
    bin_px: int = 1

    @classmethod
    def of(cls, setup: OpticalSetup | None, *, z_known: bool) -> Sampling:
        """Sampling by some optics; too fine pixels are binned to about ``USUAL_PIXEL``.

        Examples
        --------
        >>> setup = OpticalSetup(na=0.75, wavelength_nm=530, pixel_um=0.07)
        >>> Sampling.of(setup, z_known=True).bin_px
        4
        """
        if setup is None:
            return cls(pixel=None, ratio=None, depth_um=None)
        pixel = setup.pixel_um * setup.na / setup.wavelength_um
        bin_px = 1 if pixel >= FINEST_PIXEL else max(1, round(USUAL_PIXEL / pixel))
        depth_um = setup.depth_of_field_um if z_known else None
        ratio = setup.na / setup.immersion_index
        return cls(pixel=bin_px * pixel, ratio=ratio, depth_um=depth_um, bin_px=bin_px)


@dataclass(frozen=True)
class Neighbours:
    """Numbers of the planes beside one, from the lowest to the highest, and how far they are.

    None, at no distance, where the stack has no such plane.
    """

    numbers: tuple[int | None, ...]
    apart_um: tuple[float, ...]


def neighbours(
    z_um: Float[np.ndarray, " z"], depth_um: float | None, *, each_side: int = 1
) -> list[Neighbours]:
    """For each plane those below and those above by which it is judged.

    The first on a side is the nearest that is at least ``LEAST_APART`` depths of field away, the
    next the nearest that is as far beyond the first; where there is none so far, the last plane
    on that side. Without a depth of field the next planes.

    Examples
    --------
    >>> [near.numbers for near in neighbours(np.array([0.0, 1.0, 2.0]), depth_um=2.0)]
    [(None, 2), (0, 2), (0, None)]
    """
    order = np.argsort(z_um)
    least_um = 0.0 if depth_um is None else LEAST_APART * depth_um
    found = []
    for here_um in z_um:
        below, above = (
            _one_side(z_um, beyond, here_um, least_um, each_side)
            for beyond in (order[z_um[order] < here_um][::-1], order[z_um[order] > here_um])
        )
        numbers = (*below[::-1], *above)
        apart_um = [0.0 if one is None else float(abs(z_um[one] - here_um)) for one in numbers]
        found.append(Neighbours(numbers, tuple(apart_um)))
    return found


def _one_side(
    z_um: Float[np.ndarray, " z"],
    beyond: NDArray[np.intp],
    here_um: float,
    least_um: float,
    count: int,
) -> list[int | None]:
    """Planes on one side, the nearest first; ``beyond`` are all there, the nearest first."""
    chosen: list[int | None] = []
    from_um = here_um
    while len(chosen) < count and len(beyond):
        far = np.flatnonzero(np.abs(z_um[beyond] - from_um) >= least_um)
        place = int(far[0]) if len(far) else len(beyond) - 1
        chosen.append(int(beyond[place]))
        from_um, beyond = float(z_um[beyond[place]]), beyond[place + 1 :]
    return chosen + [None] * (count - len(chosen))


def plane_facts(
    *, pixel: Tensor, ratio: Tensor, apart: Float[Tensor, "b n"], optics: Tensor, z: Tensor
) -> Float[Tensor, "b f"]:
    """What the network is told of each plane.

    Parameters
    ----------
    pixel, ratio
        Pixel in wavelength / NA, NA over index; not looked at where ``optics`` is 0.
    apart
        Distances of the neighbours in depths of field, from the lowest to the highest, 0 where
        there is none; their lengths are not looked at where ``z`` is 0.
    optics, z
        1 where the optics, and the distances, are known; else 0.

    Examples
    --------
    >>> one = torch.ones(1)
    >>> apart = torch.tensor([[0.0, 2.0]])
    >>> plane_facts(pixel=one, ratio=0.5 * one, apart=apart, optics=one, z=one)
    tensor([[1.0000, 0.0000, 0.5000, 1.0000, 0.0000, 0.0000, 1.0000, 0.6931]])
    """
    far = torch.where(apart * z[:, None] > 0, apart.clamp(0.1, 10.0).log(), 0.0)
    there = (apart > 0).to(pixel.dtype)
    told = torch.stack([optics, pixel.clamp(min=1e-3).log() * optics, ratio * optics, z], 1)
    return torch.cat([told, torch.stack([there, far], 2).flatten(1)], 1)


def as_array(values: Tensor) -> NDArray[np.float32]:
    """Values as float32 on the CPU."""
    array: NDArray[np.float32] = values.float().cpu().numpy()
    return array
