"""Sources of transmitted light, as points in the condenser's aperture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from parfocal.core.errors import InputError

_GOLDEN = (math.sqrt(5.0) - 1.0) / 2.0


@dataclass(frozen=True, eq=False, kw_only=True)
class Source:
    """Mutually incoherent plane waves that light a specimen.

    Parameters
    ----------
    na_yx
        Direction of each wave as numerical apertures along y and x (sine of the angle times
        the index): the field exp(2 pi i (na_y y + na_x x) / wavelength).
    weights
        Brightness of each, positive.

    Examples
    --------
    >>> Source(na_yx=torch.tensor([[0.0, 0.3]]), weights=torch.ones(1)).largest_na
    0.3...
    """

    na_yx: Float[Tensor, "s 2"]
    weights: Float[Tensor, " s"]

    def __post_init__(self) -> None:
        if not len(self.weights):
            raise InputError("A source needs at least one point; none was given.")
        if self.na_yx.shape != (len(self.weights), 2):
            raise InputError(
                f"A source needs one (na_y, na_x) for each of its {len(self.weights)} weights, but "
                f"na_yx came with shape {tuple(self.na_yx.shape)}."
            )
        if not bool((self.weights > 0).all()):
            raise InputError("Weights of a source must be positive; leave out the dark points.")

    def __len__(self) -> int:
        return len(self.weights)

    @property
    def largest_na(self) -> float:
        """Numerical aperture of the steepest wave."""
        return float(self.na_yx.norm(dim=1).max())

    def opposite(self) -> Source:
        """The same source turned by half a turn about the axis."""
        return Source(na_yx=-self.na_yx, weights=self.weights)

    def to(self, device: torch.device | str) -> Source:
        """The same source with its tensors on a device."""
        return Source(na_yx=self.na_yx.to(device), weights=self.weights.to(device))


def disc_source(na: float, *, points: int = 64) -> Source:
    """A condenser's open aperture, evenly lit.

    Parameters
    ----------
    na
        Numerical aperture of the condenser, 0 or more; 0 is one wave along the axis.
    points
        How many waves stand for it, rounded up to an even number.

    Returns
    -------
    A source of total weight 1, equal to its opposite.

    Notes
    -----
    Points of equal weight stand for equal areas: evenly in radius squared, by the golden ratio in
    angle, one half turned into the other, so that weak phase objects vanish in focus.

    Examples
    --------
    >>> source = disc_source(0.5, points=50)
    >>> len(source), source.largest_na <= 0.5
    (50, True)
    """
    if na == 0:
        return Source(na_yx=torch.zeros(1, 2), weights=torch.ones(1))
    return annulus_source(0.0, na, points=points)


def annulus_source(na_in: float, na_out: float, *, points: int = 64) -> Source:
    """An evenly lit ring between two numerical apertures.

    Parameters
    ----------
    na_in, na_out
        Inner and outer numerical aperture, 0 <= na_in < na_out.
    points
        How many waves stand for it, rounded up to an even number.

    Returns
    -------
    A source of total weight 1, equal to its opposite.

    Examples
    --------
    >>> ring = annulus_source(0.3, 0.4, points=16)
    >>> bool((ring.na_yx.norm(dim=1) > 0.3).all()), float(ring.weights.sum())
    (True, 1.0)
    """
    half = half_annulus_source(na_in, na_out, angle_rad=0.0, points=(points + 1) // 2)
    both = torch.cat([half.na_yx, -half.na_yx])
    return Source(na_yx=both, weights=torch.full((len(both),), 1.0 / len(both)))


def half_annulus_source(
    na_in: float, na_out: float, *, angle_rad: float = 0.0, points: int = 32
) -> Source:
    """One half of an evenly lit ring or, from ``na_in`` = 0, disc [Tian2015]_.

    Parameters
    ----------
    na_in, na_out
        Inner and outer numerical aperture, 0 <= na_in < na_out.
    angle_rad
        Direction of the half's middle, from +x to +y.
    points
        How many waves stand for it.

    Returns
    -------
    A source of total weight 1; the other half is its ``opposite()``.

    Raises
    ------
    InputError
        If the apertures do not rise or there is no point.

    Examples
    --------
    >>> bool((half_annulus_source(0.0, 0.4, points=10).na_yx[:, 1] > 0).all())
    True
    """
    if not 0.0 <= na_in < na_out < math.inf:
        raise InputError(
            f"A ring needs 0 <= na_in < na_out, but they came as {na_in:g} and {na_out:g}."
        )
    if points < 1:
        raise InputError(f"A source needs 1 point or more, but points came as {points}.")
    number = torch.arange(points, dtype=torch.float64)
    radius = (na_in**2 + (na_out**2 - na_in**2) * (number + 0.5) / points).sqrt()
    angle = angle_rad + math.pi * ((number * _GOLDEN + 0.5) % 1.0 - 0.5)
    na_yx = torch.stack([radius * angle.sin(), radius * angle.cos()], dim=1)
    return Source(na_yx=na_yx.float(), weights=torch.full((points,), 1.0 / points))


def led_source(
    na_yx: Sequence[tuple[float, float]], *, brightness: Sequence[float] | None = None
) -> Source:
    """Single LEDs, each far enough away to send one plane wave.

    Parameters
    ----------
    na_yx
        Direction of each LED as numerical apertures along y and x.
    brightness
        Relative brightness of each; equal if None.

    Returns
    -------
    A source of total weight 1.

    Raises
    ------
    InputError
        If there is no LED, or not one brightness for each.

    Examples
    --------
    >>> led_source([(0.0, 0.1), (0.0, 0.2)], brightness=[3.0, 1.0]).weights
    tensor([0.7500, 0.2500])
    """
    if brightness is not None and len(brightness) != len(na_yx):
        raise InputError(f"{len(na_yx)} LEDs came with {len(brightness)} values of brightness.")
    weights = torch.tensor([1.0] * len(na_yx) if brightness is None else list(brightness))
    places = torch.tensor(list(na_yx), dtype=torch.float32).reshape(-1, 2)
    return Source(na_yx=places, weights=weights / weights.sum())
