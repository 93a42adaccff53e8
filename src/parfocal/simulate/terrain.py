"""Where focus lies over a plate and over time: tilt, smooth bumps, empty places, drift."""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np
import torch
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

Finite = Annotated[float, Field(allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
WAVES = 48


class SurfaceSettings(BaseModel):
    """Height of the specimen's reference over the stage's plane.

    Parameters
    ----------
    offset_um
        Stage z that focuses the origin before bumps and drift.
    tilt_x_um_per_mm, tilt_y_um_per_mm
        Rise of focus along x and y.
    bump_um, bump_length_um
        Standard deviation and length scale of smooth random bumps.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    offset_um: Finite = 0.0
    tilt_x_um_per_mm: Finite = 0.0
    tilt_y_um_per_mm: Finite = 0.0
    bump_um: NotNegative = 0.0
    bump_length_um: Positive = 2000.0


class EmptySettings(BaseModel):
    """Where there is no specimen.

    Parameters
    ----------
    fraction, length_um
        Share of the plane that is empty, in random patches of about this size.
    extent_um
        Half the side of the square about the origin that holds specimen; None: no end.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    fraction: Annotated[float, Field(ge=0, lt=1)] = 0.0
    length_um: Positive = 1000.0
    extent_um: Positive | None = None


class DriftSettings(BaseModel):
    """How focus moves by itself.

    Parameters
    ----------
    um_per_hour
        Steady drift.
    walk_um_per_sqrt_hour
        Standard deviation of a random walk after one hour.
    steps
        Sudden shifts: (at_s, by_um).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    um_per_hour: Finite = 0.0
    walk_um_per_sqrt_hour: NotNegative = 0.0
    steps: tuple[tuple[NotNegative, Finite], ...] = ()


class Undulation:
    """A smooth random function of the plane, without end or period.

    A sum of cosines whose wave vectors are normal: its covariance is close to
    exp(-r^2 / (2 length^2)), with a variance of 1.

    Examples
    --------
    >>> hill = Undulation(100.0, generator=np.random.default_rng(1))
    >>> near = hill.at(torch.tensor([[0.0, 1.0]]), torch.zeros(1, 2))
    >>> bool((near[0, 0] - near[0, 1]).abs() < 0.1)
    True
    """

    def __init__(self, length_um: float, *, generator: np.random.Generator) -> None:
        self.length_um = length_um
        wave = generator.normal(0.0, 1.0 / length_um, (2, WAVES))
        self._wave_x, self._wave_y = torch.from_numpy(wave)
        self._phase = torch.from_numpy(generator.uniform(0.0, 2 * math.pi, WAVES))

    def at(
        self, x_um: Float[Tensor, "*grid"], y_um: Float[Tensor, "*grid"]
    ) -> Float[Tensor, "*grid"]:
        """Values at points, in float64."""
        x, y = x_um.double()[..., None], y_um.double()[..., None]
        angle = x * self._wave_x + y * self._wave_y + self._phase
        return torch.cos(angle).sum(-1) * math.sqrt(2.0 / WAVES)


class Terrain:
    """Height of focus and presence of specimen, at any point of the plane.

    Examples
    --------
    >>> slope = Terrain(SurfaceSettings(tilt_x_um_per_mm=2.0), EmptySettings(), seed=0)
    >>> slope.height_um(torch.tensor([500.0]), torch.tensor([0.0])).item()
    1.0
    """

    def __init__(self, surface: SurfaceSettings, empty: EmptySettings, *, seed: int) -> None:
        self.surface, self.empty = surface, empty
        bumps, gaps = np.random.default_rng([seed, 1]), np.random.default_rng([seed, 2])
        self._bumps = Undulation(surface.bump_length_um, generator=bumps)
        self._gaps = Undulation(empty.length_um, generator=gaps)

    def height_um(
        self, x_um: Float[Tensor, "*grid"], y_um: Float[Tensor, "*grid"]
    ) -> Float[Tensor, "*grid"]:
        """Stage z that focuses each point, without drift, in float64."""
        surface = self.surface
        rise_x, rise_y = surface.tilt_x_um_per_mm / 1000, surface.tilt_y_um_per_mm / 1000
        plane = surface.offset_um + rise_x * x_um.double() + rise_y * y_um.double()
        return plane + surface.bump_um * self._bumps.at(x_um, y_um) if surface.bump_um else plane

    def presence(
        self, x_um: Float[Tensor, "*grid"], y_um: Float[Tensor, "*grid"]
    ) -> Float[Tensor, "*grid"]:
        """1 where there is specimen, 0 where it is empty, smooth at the edge of a patch."""
        there = torch.ones_like(x_um.double())
        if self.empty.fraction:
            level = math.sqrt(2) * float(
                torch.special.erfinv(torch.tensor(2 * self.empty.fraction - 1.0))
            )
            there = torch.sigmoid((self._gaps.at(x_um, y_um) - level) / 0.02)
        if self.empty.extent_um is not None:
            inside = torch.maximum(x_um.abs(), y_um.abs()) <= self.empty.extent_um
            there = there * inside
        return there

    @property
    def is_full(self) -> bool:
        """Whether there is specimen everywhere."""
        return not self.empty.fraction and self.empty.extent_um is None


class Drift:
    """Shift of focus at any time; the same whenever and in whatever order it is asked.

    Examples
    --------
    >>> Drift(DriftSettings(um_per_hour=3.6, steps=((100.0, 2.0),)), seed=0).um(1000.0)
    3.0
    """

    def __init__(self, settings: DriftSettings, *, seed: int) -> None:
        self.settings = settings
        self._dice = np.random.default_rng([seed, 3])
        self._walk = [0.0]

    def um(self, time_s: float) -> float:
        """Shift since time 0, in um."""
        settings = self.settings
        jumps = sum(by_um for at_s, by_um in settings.steps if time_s >= at_s)
        return settings.um_per_hour * time_s / 3600 + jumps + self._walked_um(time_s)

    def _walked_um(self, time_s: float) -> float:
        """The random walk: known at whole seconds, straight between them."""
        size = self.settings.walk_um_per_sqrt_hour / 60
        if not size:
            return 0.0
        second = int(time_s)
        while len(self._walk) < second + 2:
            self._walk.append(self._walk[-1] + size * float(self._dice.normal()))
        before, after = self._walk[second : second + 2]
        return before + (time_s - second) * (after - before)
