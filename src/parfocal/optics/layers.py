"""Coverslip, immersion and depth: the layered path of Gibson and Lanni."""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from typing import Annotated, Literal

import torch
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from parfocal.core.setup import OpticalSetup
from parfocal.optics.pupil import LEAST_COSINE, axial_waves_per_um, cosine

Index = Annotated[float, Field(ge=1.0, le=4.0)]
Thickness = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]


class Layers(BaseModel):
    """What lies between a structure and the objective, and what the objective is made for.

    Parameters
    ----------
    coverslip_um, coverslip_index
        The coverslip that is there; immersion and sample are those of ``OpticalSetup``.
    coverslip_design_um, coverslip_design_index
        The coverslip that the objective is corrected for.
    immersion_design_index, immersion_design_um
        Immersion that it is corrected for (None: the one used) and its thickness; the thickness
        matters only where the two differ.
    depth_um
        Depth of the structure below the coverslip, in the sample.
    focus
        Where z = 0 lies: at the ``"best"`` focus of the structure (largest intensity on the
        axis), or at the ``"nominal"`` one, where the stage has moved by ``depth_um`` from the
        coverslip's lower face in the focus of a perfect system.

    Notes
    -----
    Above the sample's critical angle no light is taken to arrive: an NA larger than the sample's
    index acts like one equal to it.

    Examples
    --------
    >>> Layers(depth_um=10.0).coverslip_um
    170.0
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    coverslip_um: Thickness = 170.0
    coverslip_design_um: Thickness = 170.0
    coverslip_index: Index = 1.515
    coverslip_design_index: Index = 1.515
    immersion_design_index: Index | None = None
    immersion_design_um: Thickness = 150.0
    depth_um: Thickness = 0.0
    focus: Literal["best", "nominal"] = "best"


def layer_waves(
    rho2: Float[Tensor, "*points"], setup: OpticalSetup, layers: Layers
) -> Float[Tensor, "*points"]:
    """Phase in waves that layers other than the design's leave at nominal focus [Gibson1991]_.

    Parameters
    ----------
    rho2
        Squared pupil radius, 1 at the edge.
    setup, layers
        The optics and what lies before them.

    Returns
    -------
    Phase at each point, 0 on the axis, with defocus's sign: exp(+2 pi i W).

    Notes
    -----
    Laws: 0 where all is as designed and the sample has the immersion's index.

    The source writes path lengths of light on its way; this is their negative, as a point below
    the plane in focus (stage z too small) has negative defocus here.

    Examples
    --------
    >>> setup = OpticalSetup(na=1.3, wavelength_nm=520, pixel_um=0.1, immersion_index=1.515,
    ...                      sample_index=1.515)
    >>> layer_waves(torch.tensor([0.0, 1.0]), setup, Layers(depth_um=10.0))
    tensor([0., 0.])
    """
    design_index = layers.immersion_design_index or setup.immersion_index
    media = (
        (-layers.depth_um, setup.sample_index),
        (-layers.coverslip_um, layers.coverslip_index),
        (layers.coverslip_design_um, layers.coverslip_design_index),
        (layers.depth_um - layers.immersion_design_um, setup.immersion_index),
        (layers.immersion_design_um, design_index),
    )
    thickness_of: dict[float, float] = {}  # equal media cancel exactly
    for thickness_um, index in media:
        thickness_of[index] = thickness_of.get(index, 0.0) + thickness_um
    waves = torch.zeros_like(rho2)
    for index, thickness_um in thickness_of.items():
        if thickness_um != 0.0:
            optics = {"na": setup.na, "index": index, "wavelength_um": setup.wavelength_um}
            waves = waves + thickness_um * axial_waves_per_um(rho2, **optics)
    return waves


def transmitted(
    rho2: Float[Tensor, "*points"], setup: OpticalSetup, layers: Layers
) -> tuple[Float[Tensor, "*points"], Float[Tensor, "*points"]]:
    """Amplitudes of p and s light that pass from sample to coverslip to immersion (Fresnel).

    Square roots of the transmitted power; 0 above the sample's critical angle.
    """
    indices = (setup.sample_index, layers.coverslip_index, setup.immersion_index)
    p, s = torch.ones_like(rho2), torch.ones_like(rho2)
    for before, after in pairwise(indices):
        c, d = (cosine(rho2 * (setup.na / index) ** 2) for index in (before, after))
        through = 4.0 * before * c * after * d
        p = p * through / (after * c + before * d).square()
        s = s * through / (before * c + after * d).square()
    passes = rho2 * (setup.na / setup.sample_index) ** 2 < 1.0 - LEAST_COSINE**2
    return p.sqrt() * passes, s.sqrt() * passes


@lru_cache(maxsize=64)
def focal_shift_um(setup: OpticalSetup, layers: Layers) -> float:
    """Stage z of best focus less that of nominal focus, in um.

    Best focus has the largest intensity on the axis, for scalar light.

    Examples
    --------
    >>> oil = OpticalSetup(na=1.3, wavelength_nm=520, pixel_um=0.1, immersion_index=1.515)
    >>> focal_shift_um(oil, Layers(depth_um=10.0)) > 0  # into water: focus lies shallower
    True
    """
    usable = min(1.0, (1 - LEAST_COSINE**2) * (setup.sample_index / setup.na) ** 2)
    rho2 = torch.linspace(0.0, usable, 4097, dtype=torch.float64)  # even in rho^2: even in area
    waves = layer_waves(rho2, setup, layers)
    optics = {"na": setup.na, "index": setup.immersion_index}
    per_um = axial_waves_per_um(rho2, **optics, wavelength_um=setup.wavelength_um)
    p, s = transmitted(rho2, setup, layers)
    amplitude = (p + s) * cosine(rho2 * (setup.na / setup.sample_index) ** 2).rsqrt()
    rays_um = -waves.diff() / per_um.diff()  # where each ring of rays crosses the axis
    low, high = float(rays_um.min()), float(rays_um.max())
    step = setup.depth_of_field_um / 16
    low, high = low - step, high + step
    for _ in range(3):
        z_um = torch.linspace(low, high, max(65, min(4097, round((high - low) / step))))
        phase = 2 * torch.pi * (waves + z_um.double()[:, None] * per_um)
        axis = (amplitude * torch.polar(torch.ones_like(phase), phase)).sum(-1).abs()
        best, gap = float(z_um[axis.argmax()]), float(z_um[1] - z_um[0])
        low, high, step = best - gap, best + gap, gap / 32
    return best
