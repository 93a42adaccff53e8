"""The room that a specimen grows in: a field that wraps around, its layers, and seeded draws."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from parfocal.core.errors import InputError, ShapeError

LAYERS_BY_DEFAULT = 8


@dataclass(frozen=True, kw_only=True)
class Field:
    """Size, sampling and layers of a specimen that is yet to be made.

    The field wraps around in y and x. Positions are in um: y and x from the corner of the first
    pixel, z from the middle of the specimen, rising with the stage's z. The layers span
    ``-thickness_um / 2`` to ``thickness_um / 2``, their ends included.

    Raises
    ------
    ShapeError
        If a side is less than one pixel.
    InputError
        If the pixel or the layer step is not positive, or the thickness is negative.

    Examples
    --------
    >>> Field(size_y=64, size_x=64, pixel_um=0.5, thickness_um=4.0, layer_step_um=2.0).heights_um
    tensor([-2.,  0.,  2.])
    """

    size_y: int
    size_x: int
    pixel_um: float
    thickness_um: float = 0.0
    layer_step_um: float | None = None
    device: torch.device | str = "cpu"

    def __post_init__(self) -> None:
        if self.size_y < 1 or self.size_x < 1:
            raise ShapeError(
                f"A specimen needs at least 1 x 1 px (y, x), but {self.size_y} x {self.size_x} "
                "was asked for; give size_px as one whole number or as (y, x)."
            )
        if not (self.pixel_um > 0 and math.isfinite(self.pixel_um)):
            raise InputError(f"pixel_um must be positive, but came as {self.pixel_um:g}.")
        if not (self.thickness_um >= 0 and math.isfinite(self.thickness_um)):
            raise InputError(
                f"thickness_um must be 0 (one layer) or more, but came as {self.thickness_um:g}."
            )
        if self.layer_step_um is not None and not self.layer_step_um > 0:
            raise InputError(f"layer_step_um must be positive, but came as {self.layer_step_um:g}.")

    @property
    def layers(self) -> int:
        """Number of layers: one when thin, eight when thick and no step is given."""
        if self.thickness_um == 0:
            return 1
        if self.layer_step_um is None:
            return LAYERS_BY_DEFAULT
        return math.ceil(self.thickness_um / self.layer_step_um - 1e-6) + 1

    @property
    def step_um(self) -> float:
        """Distance between layers; one um where there is only one layer."""
        if self.layers == 1:
            return 1.0
        return self.layer_step_um or self.thickness_um / (self.layers - 1)

    @property
    def heights_um(self) -> Float[Tensor, " layer"]:
        """Height of each layer, rising, with its middle at zero."""
        index = torch.arange(self.layers, device=self.device, dtype=torch.float32)
        return (index - 0.5 * (self.layers - 1)) * self.step_um

    @property
    def sides_um(self) -> tuple[float, float]:
        """Extent along y and x, in um."""
        return self.size_y * self.pixel_um, self.size_x * self.pixel_um

    @property
    def area_um2(self) -> float:
        """Area of the field in square um."""
        return self.sides_um[0] * self.sides_um[1]

    def count(self, per_mm2: float, *, least: int = 1) -> int:
        """How many structures a density per square mm makes here, at least ``least``."""
        return max(least, round(per_mm2 * self.area_um2 * 1e-6))

    def blank(self) -> Float[Tensor, "layer y x"]:
        """An empty volume of this field."""
        return torch.zeros(self.layers, self.size_y, self.size_x, device=self.device)

    def centres_um(self) -> tuple[Float[Tensor, "y 1"], Float[Tensor, "1 x"]]:
        """Positions of the pixel centres along y and along x."""
        y = (torch.arange(self.size_y, device=self.device) + 0.5) * self.pixel_um
        x = (torch.arange(self.size_x, device=self.device) + 0.5) * self.pixel_um
        return y[:, None], x[None, :]


class Draws:
    """Random numbers from one generator, made where the generator lives and used on ``device``."""

    def __init__(self, generator: torch.Generator, device: torch.device | str = "cpu") -> None:
        self.generator = generator
        self.device = torch.device(device)

    def uniform(self, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        """Evenly spread between ``low`` and ``high``."""
        values = torch.rand(shape, generator=self.generator, device=self.generator.device)
        return (low + (high - low) * values).to(self.device)

    def normal(self, *shape: int, mean: float = 0.0, sd: float = 1.0) -> Tensor:
        """Gaussian."""
        values = torch.randn(shape, generator=self.generator, device=self.generator.device)
        return (mean + sd * values).to(self.device)

    def spread(self, *shape: int, middle: float, sigma: float) -> Tensor:
        """Log-normal with median ``middle``; cut at three ``sigma``, so that sizes have limits."""
        return middle * torch.exp(sigma * self.normal(*shape).clamp(-3.0, 3.0))

    def angle(self, *shape: int) -> Tensor:
        """Any direction, in rad."""
        return self.uniform(*shape, high=2.0 * math.pi)

    def whole(self, high: int, *shape: int) -> Tensor:
        """Whole numbers below ``high``."""
        return torch.randint(
            high, shape, generator=self.generator, device=self.generator.device
        ).to(self.device)

    def number(self, low: float = 0.0, high: float = 1.0) -> float:
        """One even draw as a plain number."""
        return float(self.uniform(1, low=low, high=high))

    def places(
        self, field: Field, count: int, *, apart: bool = False, occupied: float = 0.75
    ) -> Float[Tensor, "n 2"]:
        """Positions (y, x) in um: a Poisson field, or places that keep ``apart`` as cells do.

        Those are sites of a brick lattice, ``occupied`` of them at random, each displaced by up
        to two fifths of the lattice's pitch; the cost grows with the count alone.
        """
        sides = torch.tensor(field.sides_um, device=self.device)
        if not apart:
            return self.uniform(count, 2) * sides
        pitch = math.sqrt(field.area_um2 * occupied / count)
        rows = max(1, round(field.sides_um[0] / pitch))
        columns = max(1, math.ceil(count / rows / occupied))
        keys = torch.rand(rows * columns, generator=self.generator, device=self.generator.device)
        site = keys.argsort()[:count].to(self.device)
        row, column = site // columns, site % columns
        brick = 0.5 * (row % 2) if rows % 2 == 0 else torch.zeros_like(row)
        lattice = torch.stack((row, column + brick), 1) + self.uniform(1, 2)
        lattice = lattice + self.uniform(count, 2, low=-0.4, high=0.4)
        share = lattice / torch.tensor([rows, columns], device=self.device)
        return torch.remainder(share, 1.0) * sides
