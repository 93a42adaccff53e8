"""A tilted field, refocused as one image and judged row by row."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from scipy.ndimage import sobel

from parfocal.core.setup import OpticalSetup
from parfocal.refocus import defocus_psf
from parfocal.refocus.psfs import Blur
from parfocal.simulate.object_pool import ObjectPool

TILT_DEGREES = 1.5
SETUP = OpticalSetup(na=0.75, wavelength_nm=536, pixel_um=0.325)
LEVELS = 25
BACKGROUND = 20.0


@dataclass(frozen=True, eq=False, kw_only=True)
class TiltedField:
    """An image whose defocus rises from row to row.

    Parameters
    ----------
    image, truth
        With noise; and every row in focus, without.
    defocus_um
        Of each row.
    """

    image: Float[np.ndarray, "y x"]
    truth: Float[np.ndarray, "y x"]
    defocus_um: Float[np.ndarray, " y"]


@dataclass(frozen=True, kw_only=True)
class TiltRow:
    """One band of rows of the tilted field.

    Parameters
    ----------
    defocus_um
        Of its middle.
    sharpness
        Of each method, relative to the truth: 1 is as sharp.
    rmse
        Of each method, as a share of the truth's range.
    """

    defocus_um: float
    sharpness: Mapping[str, float]
    rmse: Mapping[str, float]


def tilted_field(
    kind: str, *, size_px: int = 512, photons: float = 500.0, seed: int = 0
) -> TiltedField:
    """Simulate a thin specimen on a slide that is tilted by 1.5 degrees, sharp at its first row.

    Each row's light is blurred by the distance of its own place, and shines into the rows beside.

    Parameters
    ----------
    kind
        A row of ``SPECIMENS``.
    size_px
        Side of the image; 512 px of 0.325 um are 4.36 um deep, as in the paper [Luo2020]_.
    photons
        Electrons of the brightest pixel of the image, less the background.
    seed
        Draws specimen and noise.
    """
    generator = torch.Generator().manual_seed(seed)
    pool = ObjectPool(
        (kind,), textures=0, balls=0, pictures=(), size_px=size_px, seed=seed,
        device=torch.device("cpu"),
    )  # fmt: skip
    size = (size_px, size_px)
    whole = torch.fft.irfft2(pool.draw(1, generator), s=size)[0].clamp(min=0.0)
    rise_um = SETUP.pixel_um * math.tan(math.radians(TILT_DEGREES))
    defocus = rise_um * torch.arange(size_px)
    levels = torch.linspace(0.0, float(defocus[-1]), LEVELS)
    step = float(levels[1])
    light = torch.zeros(size)
    for level in levels.tolist():
        share = (1 - (defocus - level).abs() / step).clamp(min=0.0)
        blur = Blur.of(defocus_psf(SETUP, level), size)
        light += blur.apply(whole * share[:, None])
    gain = photons / float(light.max())
    focused = Blur.of(defocus_psf(SETUP, 0.0), size).apply(whole).clamp(min=0.0)
    mean = gain * light.clamp(min=0.0) + BACKGROUND
    return TiltedField(
        image=torch.poisson(mean, generator=generator).numpy(),
        truth=(gain * focused + BACKGROUND).numpy(),
        defocus_um=defocus.double().numpy(),
    )


def relative_sharpness(
    shown: Float[np.ndarray, "y x"], truth: Float[np.ndarray, "y x"]
) -> Float[np.ndarray, " y"]:
    """Sharpness of each row beside the truth's: least squares of Sobel gradients [Luo2020]_.

    Examples
    --------
    >>> truth = np.eye(8)
    >>> relative_sharpness(0.5 * truth, truth).round(3).tolist()[:2]
    [0.5, 0.5]
    """
    alike, power = _products(shown, truth)
    found: np.ndarray = alike / np.maximum(power, 1e-12)
    return found


def _products(
    shown: Float[np.ndarray, "y x"], truth: Float[np.ndarray, "y x"]
) -> tuple[Float[np.ndarray, " y"], Float[np.ndarray, " y"]]:
    """Products of the gradients of each row with the truth's, and of the truth's with its own."""
    one, other = (
        np.hypot(sobel(each.astype(np.float64), 0), sobel(each.astype(np.float64), 1))
        for each in (shown, truth)
    )
    return (one * other).sum(1), np.square(other).sum(1)


def judge_tilt(
    field: TiltedField, shown: Mapping[str, Float[np.ndarray, "y x"]], *, bands: int = 16
) -> list[TiltRow]:
    """Sharpness and error of what each method shows, by bands of rows.

    One least-squares fit for each band, so that rows without structure do not count.
    """
    span = float(field.truth.max() - field.truth.min())
    edges = {name: _products(image, field.truth) for name, image in shown.items()}
    error = {name: np.square((image - field.truth) / span).mean(1) for name, image in shown.items()}
    return [
        TiltRow(
            defocus_um=float(field.defocus_um[band].mean()),
            sharpness={
                name: float(alike[band].sum() / max(float(power[band].sum()), 1e-12))
                for name, (alike, power) in edges.items()
            },
            rmse={name: float(np.sqrt(values[band].mean())) for name, values in error.items()},
        )
        for band in np.array_split(np.arange(len(field.defocus_um)), bands)
    ]


def mean_sharpness(rows: Sequence[TiltRow], method: str, *, beyond_um: float = 0.0) -> float:
    """Mean over bands that are farther from focus than so much."""
    return float(np.mean([row.sharpness[method] for row in rows if row.defocus_um > beyond_um]))
