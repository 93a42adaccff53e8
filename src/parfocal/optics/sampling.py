"""From a grid that samples the light of any pupil to the pixels of any camera, without aliasing.

The pupil is drawn on a square grid with ``radius_px`` samples from its middle to its edge. The
transform onto ``grid_px = 4 (radius_px + 1)`` points then samples the image finely enough for
its intensity, the band of which is twice the pupil's. Between those points the intensity is
known exactly, and so is its integral over a camera pixel of any size: one matrix for each axis.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Literal

import torch
from jaxtyping import Float
from scipy.fft import next_fast_len
from torch import Tensor

from parfocal.core.errors import InputError

Pixel = Literal["area", "point"]
Beyond = Literal["cut", "fold"]
MOST_GRID_PX = 4096


def pupil_radius_px(
    period_um: float, *, na: float, wavelength_um: float, most_grid_px: int = MOST_GRID_PX
) -> int:
    """Samples from the middle of the pupil to its edge, for light that spreads over a period.

    A pupil sampled in steps of 1 / period makes an image that repeats after that period, so it
    must be as wide as the light spreads.

    Raises
    ------
    InputError
        If the grid would have more than ``most_grid_px`` points a side.

    Examples
    --------
    >>> pupil_radius_px(20.0, na=0.5, wavelength_um=0.5)
    20
    """
    needed = max(1, math.ceil(period_um * na / wavelength_um - 1e-9))
    if 4 * (needed + 1) > most_grid_px:
        allowed_um = (most_grid_px // 4 - 1) * wavelength_um / na
        raise InputError(
            f"Light would spread over {period_um:.4g} um, but at most {allowed_um:.4g} um can be "
            f"computed with NA {na:g} at {wavelength_um * 1000:g} nm: come closer to focus, or "
            "give weaker aberrations or a smaller window."
        )
    return int(next_fast_len(needed + 1)) - 1


def period_um(radius_px: int, *, na: float, wavelength_um: float) -> float:
    """Distance in um after which an image from a pupil of this radius repeats."""
    return radius_px * wavelength_um / na


def check_points(pixel_um: float, *, na: float, wavelength_um: float) -> None:
    """Refuse points too far apart to carry the image, with the pixel that would do.

    Raises
    ------
    InputError
        If the distance exceeds wavelength / (4 NA).
    """
    finest_um = wavelength_um / (4.0 * na)
    if pixel_um > finest_um * (1 + 1e-6):
        raise InputError(
            f"Points {pixel_um:g} um apart alias at NA {na:g} and {wavelength_um * 1000:g} nm: "
            f"give a pixel of {math.floor(finest_um * 1e4) / 1e4:g} um or less, or pixel='area'."
        )


@lru_cache(maxsize=16)
def _waves(grid_px: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Cosines, then sines, of every frequency at every grid point: (2 k, grid)."""
    cycles = torch.arange(grid_px // 2, dtype=torch.float64) / grid_px
    angles = 2 * math.pi * cycles[:, None] * torch.arange(grid_px, dtype=torch.float64)
    waves = torch.cat([angles.cos(), angles.sin()])
    weights = torch.full_like(cycles, 2.0 / grid_px)
    weights[0] = 1.0 / grid_px
    return (waves * weights.repeat(2)[:, None]).to(device, dtype)


def pixel_matrix(
    pixel_steps: Float[Tensor, " b"],
    *,
    grid_px: int,
    size_px: int,
    pixel: Pixel = "area",
    beyond: Beyond = "cut",
) -> Float[Tensor, "b n grid"]:
    """Matrix that turns intensities on the grid into those of camera pixels along one axis.

    Parameters
    ----------
    pixel_steps
        Camera pixel of each optic, in steps of the grid.
    grid_px
        Points of the grid; the image's middle is at point 0, and the grid repeats.
    size_px
        Pixels of the camera's window; the middle is at index ``size_px // 2``.
    pixel
        Whether a pixel integrates over its area or takes a point (times its length).
    beyond
        Light outside the window is cut off, or folded back as in an image that wraps around.

    Returns
    -------
    One matrix for each optic: pixels = matrix @ intensities @ matrix^T.

    Notes
    -----
    Exact for images with no power at or above half a cycle per step. The window holds one period
    of the grid; pixels beyond are 0.

    Examples
    --------
    >>> matrix = pixel_matrix(torch.tensor([2.0]), grid_px=32, size_px=8)
    >>> matrix.shape, round(float(matrix.sum(1).mean()), 4)
    (torch.Size([1, 8, 32]), 0.5)
    """
    dtype, device = pixel_steps.dtype, pixel_steps.device
    tiles = 1
    if beyond == "fold":
        tiles = math.ceil(grid_px / (size_px * float(pixel_steps.detach().min())) + 1)
        tiles += 1 - tiles % 2  # odd: as many to either side
    middle = size_px // 2 + size_px * (tiles // 2)
    numbers = torch.arange(size_px * tiles, device=device, dtype=dtype) - middle
    places = numbers * pixel_steps[:, None]
    cycles = torch.arange(grid_px // 2, device=device, dtype=dtype) / grid_px
    angles = 2 * math.pi * cycles * places[..., None]
    # Pixels at the end of the period count by their share inside it.
    share = ((grid_px / 2 - places.abs()) / pixel_steps[:, None] + 0.5).clamp(0, 1)
    heights = (share * pixel_steps[:, None])[..., None]
    if pixel == "area":
        heights = heights * torch.sinc(cycles * pixel_steps[:, None])[:, None]
    parts = torch.cat([angles.cos() * heights, angles.sin() * heights], dim=-1)
    if tiles > 1:
        parts = parts.reshape(len(parts), tiles, size_px, -1).sum(1)
    return parts @ _waves(grid_px, dtype, device)


def fill_up(psf: Float[Tensor, "*b y x"]) -> Float[Tensor, "*b y x"]:
    """Make each plane sum to 1: light from beyond the grid comes back as an even floor."""
    missing = (1.0 - psf.sum((-2, -1), keepdim=True)).clamp(min=0.0)
    filled = psf + missing / (psf.shape[-2] * psf.shape[-1])
    return filled / filled.sum((-2, -1), keepdim=True)


def onto_pixels(
    intensities: Float[Tensor, "*b z grid grid"], matrix: Float[Tensor, "*b n grid"]
) -> Float[Tensor, "*b z n n"]:
    """Integrate intensities on the grid over camera pixels, with one matrix for both axes."""
    wide = matrix[..., None, :, :]
    return wide @ intensities @ wide.mT
