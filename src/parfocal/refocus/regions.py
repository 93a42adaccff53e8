"""What is done to one region of a large image, by numbers that hold for all of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from parfocal.core.errors import InputError, ShapeError
from parfocal.core.setup import OpticalSetup
from parfocal.core.shapes import as_float_tensor
from parfocal.refocus.blocks import Block
from parfocal.refocus.deconvolution import Sharpening
from parfocal.refocus.fitness import working_share
from parfocal.refocus.hypotheses import Levels
from parfocal.refocus.looking import look
from parfocal.refocus.refocuser import BlindRefocuser, RefocusFacts, with_light
from parfocal.refocus.tiling import LEAST_PX, MARGIN_PX, MULTIPLE_PX, Line, Tile

LEAST_TRUST = 0.5
PROBED = 129
"""Places along each side at which a distance that is a function is looked at beforehand."""


def passed(region: Float[Tensor, "y x"], block: Block) -> Float[Tensor, "2 y x"]:
    """Leave a region as it is, fully trusted."""
    return torch.stack([region, torch.ones_like(region)])


def with_input(
    region: Float[Tensor, "y x"], maps: Float[Tensor, "2 y x"]
) -> Float[Tensor, "2 y x"]:
    """Put the input's pixels where trust is below a half; the trust stays what it was.

    Examples
    --------
    >>> maps = torch.tensor([[[5.0, 5.0]], [[0.4, 0.6]]])
    >>> with_input(torch.tensor([[1.0, 1.0]]), maps)[0]
    tensor([[1., 5.]])
    """
    return torch.stack([torch.where(maps[1] < LEAST_TRUST, region, maps[0]), maps[1]])


def distances_of(defocus_um: Any, region: Sequence[slice]) -> Float[Tensor, "*region"]:
    """Distances from focus in a region: a number, a part of a map, or a function's values.

    Examples
    --------
    >>> distances_of(lambda y, x: y + 0 * x, (slice(2, 4), slice(0, 1))).flatten()
    tensor([2., 3.])
    """
    if callable(defocus_um):
        rows, columns = (np.arange(s.start, s.stop, dtype=np.float64) for s in region)
        found = np.asarray(defocus_um(rows[:, None], columns[None, :]), dtype=np.float32)
        return torch.from_numpy(np.broadcast_to(found, (len(rows), len(columns))).copy())
    if getattr(defocus_um, "ndim", 0) == 0:
        return torch.tensor(float(defocus_um))
    return as_float_tensor(defocus_um[tuple(region)]).float()


def farthest_um(defocus_um: Any, shape: tuple[int, int]) -> float:
    """Largest distance from focus in a field; a function is looked at on a grid with the corners.

    Raises
    ------
    ShapeError, InputError
        If a map has not the shape of the field, or holds NaN.
    """
    if callable(defocus_um):
        found = on_grid(defocus_um, shape)
    else:
        found = np.asarray(defocus_um)
        if found.ndim and found.shape != shape:
            raise ShapeError(
                f"The surface has shape {found.shape}, but the image {shape}; give one number, or "
                "one for each pixel."
            )
    far = float(np.abs(found).max())
    if not math.isfinite(far):
        raise InputError("The surface holds NaN or infinite values; fill them first, in um.")
    return far


def on_grid(defocus_um: Any, shape: tuple[int, int]) -> NDArray[np.float32]:
    """Values of a function of y and x at places all over a field.

    Examples
    --------
    >>> on_grid(lambda y, x: y + x, (11, 21)).max()
    np.float32(30.0)
    """
    y, x = (np.linspace(0, size - 1, PROBED) for size in shape)
    found = np.asarray(defocus_um(y[:, None], x[None, :]), dtype=np.float32)
    return np.ascontiguousarray(np.broadcast_to(found, (PROBED, PROBED)))


@dataclass(frozen=True, eq=False, kw_only=True)
class Deconvolved:
    """Deconvolves regions.

    Parameters
    ----------
    plan
        How, and with which background and noise.
    defocus_um
        Distance from focus of the image: a number, a map, or a function of y and x in px.
    """

    plan: Sharpening
    defocus_um: Any

    def __call__(self, region: Float[Tensor, "y x"], block: Block) -> Float[Tensor, "2 y x"]:
        distances = distances_of(self.defocus_um, block.region).to(region)
        return torch.stack(self.plan.carry_out(region, distances))


@dataclass(frozen=True, eq=False, kw_only=True)
class Networked:
    """Refocuses regions by a network.

    Parameters
    ----------
    refocuser
        The network.
    levels
        What the whole image is normalised by.
    facts
        What was found of the whole image.
    setup
        The optics.
    shape
        Sizes (y, x) of the image.
    """

    refocuser: BlindRefocuser
    levels: Levels
    facts: RefocusFacts
    setup: OpticalSetup
    shape: tuple[int, int]

    @property
    def halo_px(self) -> int:
        """Pixels that are looked at around a block."""
        return math.ceil(MARGIN_PX / working_share(self.setup))

    @torch.inference_mode()
    def __call__(self, region: Float[Tensor, "y x"], block: Block) -> Float[Tensor, "2 y x"]:
        lines = [
            self._line(size, read, whole)
            for size, read, whole in zip(region.shape, block.region, self.shape, strict=True)
        ]
        tile = Tile(lines=(lines[0], lines[1]), place=(0, 0))
        seen = look(
            region, [tile], self.levels, self.setup, ensemble=self.refocuser.ensemble,
            calibration=self.refocuser.calibration,
        )  # fmt: skip
        sharp = with_light(seen.sharp, self.facts)
        return torch.from_numpy(np.stack([sharp, seen.trust])).to(region)

    def _line(self, size_px: int, read: slice, whole_px: int) -> Line:
        """One tile for a region, mirrored beyond the image's edges as far as the halo."""
        share = working_share(self.setup)
        at_edge = read.start == 0 or read.stop == whole_px
        wanted = size_px + (2 * self.halo_px if at_edge else 0)
        work = MULTIPLE_PX * math.ceil(max(LEAST_PX, wanted * share) / MULTIPLE_PX)
        return Line(
            size_px=size_px, count=1, core_px=size_px, region_px=round(work / share),
            work_px=work, fade_px=0,
        )  # fmt: skip
