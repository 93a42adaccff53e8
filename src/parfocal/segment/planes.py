"""Planes as the network takes them: each with a neighbour below and above, on one scale."""

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
FACTS = 8
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
    """Numbers of the planes below and above one, and their distances in um; None at an end."""

    below: int | None
    above: int | None
    below_um: float = 0.0
    above_um: float = 0.0


def neighbours(z_um: Float[np.ndarray, " z"], depth_um: float | None) -> list[Neighbours]:
    """For each plane the one below and the one above by which it is judged.

    They are the nearest that are at least ``LEAST_APART`` depths of field away; where there is
    none so far, the last plane on that side. Without a depth of field the next planes.

    Examples
    --------
    >>> [(n.below, n.above) for n in neighbours(np.array([0.0, 1.0, 2.0]), depth_um=2.0)]
    [(None, 2), (0, 2), (0, None)]
    """
    order = np.argsort(z_um)
    least_um = 0.0 if depth_um is None else LEAST_APART * depth_um
    found = []
    for here_um in z_um:
        sides: list[tuple[int | None, float]] = []
        for beyond in (order[z_um[order] < here_um][::-1], order[z_um[order] > here_um]):
            apart_um = np.abs(z_um[beyond] - here_um)
            far = np.flatnonzero(apart_um >= least_um)
            chosen = int(far[0]) if len(far) else len(beyond) - 1
            sides.append(
                (int(beyond[chosen]), float(apart_um[chosen])) if len(beyond) else (None, 0.0)
            )
        (below, below_um), (above, above_um) = sides
        found.append(Neighbours(below, above, below_um, above_um))
    return found


def plane_facts(
    *, pixel: Tensor, ratio: Tensor, below: Tensor, above: Tensor, optics: Tensor, z: Tensor
) -> Float[Tensor, "b f"]:
    """What the network is told of each plane.

    Parameters
    ----------
    pixel, ratio
        Pixel in wavelength / NA, NA over index; not looked at where ``optics`` is 0.
    below, above
        Distances of the neighbours in depths of field, 0 where there is none; their lengths are
        not looked at where ``z`` is 0.
    optics, z
        1 where the optics, and the distances, are known; else 0.

    Examples
    --------
    >>> one, none = torch.ones(1), torch.zeros(1)
    >>> plane_facts(pixel=one, ratio=0.5 * one, below=none, above=2 * one, optics=one, z=one)
    tensor([[1.0000, 0.0000, 0.5000, 1.0000, 0.0000, 0.0000, 1.0000, 0.6931]])
    """
    far = [torch.where(side * z > 0, side.clamp(0.1, 10.0).log(), 0.0) for side in (below, above)]
    there = [(side > 0).to(pixel.dtype) for side in (below, above)]
    told = [optics, pixel.clamp(min=1e-3).log() * optics, ratio * optics, z]
    return torch.stack([*told, there[0], far[0], there[1], far[1]], 1)


def as_array(values: Tensor) -> NDArray[np.float32]:
    """Values as float32 on the CPU."""
    array: NDArray[np.float32] = values.float().cpu().numpy()
    return array
