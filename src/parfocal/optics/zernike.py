"""Zernike polynomials by OSA/ANSI index, and aberrations made of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Annotated

import torch
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from parfocal.core.errors import InputError

LARGEST_INDEX = 230  # n = 20: float32 powers still hold the polynomial


class Aberrations(BaseModel):
    """Wavefront aberrations of an objective, as Zernike terms.

    Parameters
    ----------
    zernike_waves
        OSA/ANSI single index j -> coefficient in waves RMS over the pupil [Thibos2002]_. A
        positive phase W multiplies the pupil by exp(+2 pi i W), as does defocus, whose phase
        falls towards the edge: positive j = 4 acts like a stage that is not deep enough.

    Examples
    --------
    >>> Aberrations(zernike_waves={12: 0.05, 5: -0.02}).rms_waves
    0.0538...
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    zernike_waves: dict[
        Annotated[int, Field(ge=0, le=LARGEST_INDEX)],
        Annotated[float, Field(allow_inf_nan=False)],
    ] = {}

    @property
    def rms_waves(self) -> float:
        """Root mean square of the wavefront, piston left out."""
        return math.hypot(*(value for j, value in self.zernike_waves.items() if j > 0), 0.0)


def osa_orders(j: int) -> tuple[int, int]:
    """Radial order n and signed azimuthal order m of an OSA/ANSI index, j = (n (n + 2) + m) / 2.

    Examples
    --------
    >>> [osa_orders(j) for j in (0, 1, 2, 4, 12)]
    [(0, 0), (1, -1), (1, 1), (2, 0), (4, 0)]
    """
    if not 0 <= j <= LARGEST_INDEX:
        raise InputError(f"An OSA/ANSI index lies between 0 and {LARGEST_INDEX}, but came as {j}.")
    n = (math.isqrt(8 * j + 1) - 1) // 2
    return n, 2 * j - n * (n + 2)


@lru_cache(maxsize=256)
def _radial_terms(n: int, m: int) -> tuple[float, ...]:
    """Coefficients of rho^(2 k), k = 0 .. (n - m) / 2, in R_n^m / rho^m."""
    half = (n - m) // 2
    return tuple(
        (-1.0) ** s
        * math.factorial(n - s)
        / (math.factorial(s) * math.factorial((n + m) // 2 - s) * math.factorial(half - s))
        for s in range(half, -1, -1)
    )


def zernike(
    j: int, y: Float[Tensor, "*points"], x: Float[Tensor, "*points"]
) -> Float[Tensor, "*points"]:
    """Zernike polynomial of OSA/ANSI index j, of RMS 1 over the unit disc [Thibos2002]_.

    Parameters
    ----------
    j
        Index; negative azimuthal orders are sines, angles run from +x to +y.
    y, x
        Pupil coordinates, 1 at the edge. Outside the disc the polynomial goes on.

    Returns
    -------
    Values at the points, without unit.

    Raises
    ------
    InputError
        If j is negative or above 230.

    Notes
    -----
    Laws: orthonormal over the disc, differentiable everywhere.

    Examples
    --------
    >>> edge = torch.tensor(1.0)
    >>> zernike(4, 0 * edge, edge)  # sqrt(3) (2 rho^2 - 1)
    tensor(1.7321)
    """
    n, order = osa_orders(j)
    m = abs(order)
    rho2 = y.square() + x.square()
    radial = torch.zeros_like(rho2)
    for coefficient in reversed(_radial_terms(n, m)):
        radial = radial * rho2 + coefficient
    real, imaginary = torch.ones_like(x), torch.zeros_like(x)  # of (x + i y)^m
    for _ in range(m):
        real, imaginary = real * x - imaginary * y, real * y + imaginary * x
    norm = math.sqrt((n + 1) * (1 if m == 0 else 2))
    return norm * radial * (real if order >= 0 else imaginary)


def zernike_basis(
    indices: Sequence[int], y: Float[Tensor, "*points"], x: Float[Tensor, "*points"]
) -> Float[Tensor, "j *points"]:  # noqa: UP037
    """Several Zernike polynomials, one after the other; see ``zernike``.

    Examples
    --------
    >>> zernike_basis([0, 2], torch.zeros(2), torch.tensor([0.0, 1.0]))
    tensor([[1., 1.],
            [0., 2.]])
    """
    if not indices:
        return y.new_zeros((0, *y.shape))
    return torch.stack([zernike(j, y, x) for j in indices])


def steepest_slope(j: int) -> float:
    """Largest slope of a Zernike polynomial in the disc, per unit of rho; it is at the edge.

    Examples
    --------
    >>> round(steepest_slope(4), 4)  # 4 sqrt(3) rho
    6.9282
    """
    n, order = osa_orders(j)
    m = abs(order)
    norm = math.sqrt((n + 1) * (1 if m == 0 else 2))
    return norm * max((n * (n + 2) - m * m) / 2, m)
