"""Point-spread functions as deconvolution needs them: centred, of sum 1, and transformed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from parfocal.core.errors import InputError, ShapeError
from parfocal.core.setup import OpticalSetup
from parfocal.core.shapes import as_float_tensor
from parfocal.optics import Aberrations, widefield_psf

KEPT_LIGHT = 0.999
"""Share of the light that decides how far an image is continued beyond its edges."""
DEEPEST_DIP = 1e-3
"""Negative values of a point-spread function, relative to its peak, that count as noise."""
TAIL = 8.0  # lambda / NA beside the geometric spread that a simulated window holds
WIDEST_PX = 1025


def as_psf(psf: Any, *, like: Tensor) -> Float[Tensor, "*psf"]:
    """Take a point-spread function of any array kind, (y, x) or (z, y, x), and make its sum 1.

    Raises
    ------
    ShapeError
        If it has neither two nor three axes, or an empty one.
    InputError
        If it holds NaN, has no light, or negative values that are no noise.

    Examples
    --------
    >>> as_psf([[1, 3]], like=torch.zeros(1))
    tensor([[0.2500, 0.7500]])
    """
    own = as_float_tensor(psf).to(like)
    if own.ndim not in (2, 3) or not own.numel():
        raise ShapeError(
            f"A point-spread function is (y, x) or (z, y, x), but came with shape "
            f"{tuple(own.shape)}."
        )
    lowest, highest = own.min(), own.max()
    if not bool(torch.isfinite(lowest + highest)):
        raise InputError("The point-spread function holds NaN or infinite values; replace them.")
    if not bool(highest > 0) or bool(lowest < -DEEPEST_DIP * highest):
        raise InputError(
            f"A point-spread function needs light and nothing below 0, but runs from "
            f"{float(lowest):g} to {float(highest):g}: subtract its background and clip at 0."
        )
    own = own.clamp(min=0.0)
    return own / own.sum()


def reach_px(psf: Float[Tensor, "*psf"], kept: float = KEPT_LIGHT) -> tuple[int, ...]:
    """Pixels from the middle, along each axis, within which nearly all light falls.

    Examples
    --------
    >>> reach_px(torch.eye(5) / 5, kept=0.5), reach_px(torch.ones(1, 4) / 4)
    ((1, 1), (0, 2))
    """
    reaches = []
    for axis, size in enumerate(psf.shape):
        others = [other for other in range(psf.ndim) if other != axis]
        line = psf.sum(others) if others else psf
        away = (torch.arange(size, device=psf.device) - size // 2).abs()
        within = line.new_zeros(size // 2 + 1).index_add_(0, away, line).cumsum(0)
        enough = within >= kept * within[-1]
        reaches.append(int(enough.to(torch.uint8).argmax()))
    return tuple(reaches)


@dataclass(frozen=True, eq=False)
class Blur:
    """Circular convolution with a point-spread function, and its adjoint.

    Parameters
    ----------
    sizes
        Pixels of the field.
    transfer, adjoint
        Transform of the point-spread function over half of the last axis, and its conjugate.
    """

    sizes: tuple[int, ...]
    transfer: Complex[Tensor, "*half"]
    adjoint: Complex[Tensor, "*half"]

    @classmethod
    def of(cls, psf: Float[Tensor, "*psf"], sizes: Sequence[int]) -> Blur:
        """Transform a point-spread function whose middle is at index ``size // 2``.

        What does not fit into the field comes in again on the other side.
        """
        field = psf
        for axis, size in enumerate(sizes):
            own = field.shape[axis]
            places = (torch.arange(own, device=psf.device) - own // 2).remainder(size)
            shape = [*field.shape[:axis], size, *field.shape[axis + 1 :]]
            field = field.new_zeros(shape).index_add_(axis, places, field)
        transfer = torch.fft.rfftn(field)
        return cls(tuple(sizes), transfer, transfer.conj_physical())

    @property
    def axes(self) -> tuple[int, ...]:
        """Axes that are blurred: the last ones."""
        return tuple(range(-len(self.sizes), 0))

    def apply(self, field: Float[Tensor, "*field"]) -> Float[Tensor, "*field"]:
        """Blur a field."""
        return self.filter(field, self.transfer)

    def back(self, field: Float[Tensor, "*field"]) -> Float[Tensor, "*field"]:
        """Blur a field by the mirrored point-spread function."""
        return self.filter(field, self.adjoint)

    def filter(
        self, field: Float[Tensor, "*field"], transfer: Complex[Tensor, "*half"]
    ) -> Float[Tensor, "*field"]:
        """Multiply the spectrum of a field."""
        spectrum = torch.fft.rfftn(field, dim=self.axes).mul_(transfer)
        filtered: Tensor = torch.fft.irfftn(spectrum, s=self.sizes, dim=self.axes)
        return filtered


def defocus_psf(
    setup: OpticalSetup,
    defocus_um: float,
    *,
    aberrations: Aberrations | None = None,
    device: torch.device | str = "cpu",
) -> Float[Tensor, "y x"]:
    """Image of a point at a distance from focus, in a window that holds its light.

    Parameters
    ----------
    setup
        The optics.
    defocus_um
        Distance from focus; its sign matters only to aberrations.
    aberrations
        Known ones; none by default.
    device
        Where to compute.

    Returns
    -------
    Shares of the light, of sum 1; the point is at index ``size // 2`` of an odd window.

    Raises
    ------
    InputError
        If the light spreads over more than 1025 pixels.

    Notes
    -----
    Computed by ``parfocal.optics.widefield_psf`` (vectorial) [Hanser2004]_.

    Examples
    --------
    >>> setup = OpticalSetup(na=0.75, wavelength_nm=536, pixel_um=0.325)
    >>> psf = defocus_psf(setup, 3.0)
    >>> psf.shape[0] % 2, round(float(psf.sum()), 4)
    (1, 1.0)
    """
    sine = setup.na / setup.immersion_index
    spread_um = abs(defocus_um) * sine / math.sqrt(1 - sine**2)
    half = math.ceil((spread_um + TAIL * setup.wavelength_um / setup.na) / setup.pixel_um)
    if not half < WIDEST_PX / 2:
        raise InputError(
            f"At {defocus_um:g} um from focus a point spreads over {2 * half + 1} px, and at most "
            f"{WIDEST_PX} are undone: give a distance nearer to focus, or bin the image."
        )
    psf = widefield_psf(
        setup, [defocus_um], size_px=2 * half + 1, aberrations=aberrations, device=device
    )[0].clamp(min=0.0)
    return psf / psf.sum()
