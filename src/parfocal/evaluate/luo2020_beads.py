"""Beads against defocus: width, height, and light within a circle, before and after refocusing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from scipy.optimize import least_squares

from parfocal.core.setup import OpticalSetup
from parfocal.optics import Aberrations
from parfocal.refocus import defocus_psf
from parfocal.refocus.psfs import Blur

SETUP = OpticalSetup(na=0.75, wavelength_nm=536, pixel_um=0.325)
"""The paper's 20x objective."""
BEAD_UM = 0.3
SPACING_PX, SHIFT_PX = 64, 4.0
BACKGROUND, READ_NOISE = 20.0, 1.5
ABERRATIONS = Aberrations(zernike_waves={5: 0.03, 7: 0.03, 12: 0.05})
"""In waves RMS, of which no method is told."""
BOX_PX = 30
CIRCLE_PX = 3.0
"""Twice the radius of the first dark ring, nearly: light within it counts as the bead's."""
WIDTH_PER_SIGMA = 2 * math.sqrt(2 * math.log(2))
FARTHEST_SIGMA_PX = 15.0
MOST_STEPS = 50
LEAST_HEIGHT = 3.0
"""Of a fit, in standard deviations of what it leaves."""


@dataclass(frozen=True, eq=False, kw_only=True)
class BeadImage:
    """One plane of a simulated layer of beads.

    Parameters
    ----------
    defocus_um
        Of the plane.
    image, truth
        With noise; and in focus without noise or aberrations, both with the background.
    places_px
        Middle (y, x) of each bead.
    psf
        Of the light that made the image.
    """

    defocus_um: float
    image: Float[np.ndarray, "y x"]
    truth: Float[np.ndarray, "y x"]
    places_px: Float[np.ndarray, "n 2"]
    psf: Float[np.ndarray, "q p"]


@dataclass(frozen=True, kw_only=True)
class BeadRow:
    """What one method makes of the beads at one distance: means over beads.

    Parameters
    ----------
    width_um, width_spread_um
        Full width at half maximum of a Gaussian fit, and its standard deviation over beads.
    fitted
        Share of the beads that a Gaussian fits.
    peak
        Highest pixel over that of the truth.
    encircled
        Light within a circle around the bead over that of the truth.
    status
        What the method said.
    """

    method: str
    defocus_um: float
    width_um: float
    width_spread_um: float
    fitted: float
    peak: float
    encircled: float
    status: str


def bead_planes(
    defocus_um: Sequence[float], *, beads: int = 36, photons: float = 20_000.0, seed: int = 0
) -> list[BeadImage]:
    """Simulate planes of one layer of 300 nm beads by a 20x / 0.75 [Luo2020]_.

    Parameters
    ----------
    defocus_um
        Of each plane.
    beads
        About so many, on a square grid with each a little off it.
    photons
        Electrons of the brightest pixel in focus; the exposure is that of every plane.
    seed
        Draws places and noise.
    """
    side = max(2, round(math.sqrt(beads)))
    dice = np.random.default_rng(seed)
    grid = (np.arange(side) + 0.5) * SPACING_PX
    places = np.stack(np.meshgrid(grid, grid, indexing="ij"), -1).reshape(-1, 2)
    places = places + dice.uniform(-SHIFT_PX, SHIFT_PX, places.shape)
    size = side * SPACING_PX
    spectrum = _bead_spectrum(places, size)
    focused = _blurred(spectrum, 0.0, None, size)
    gain = photons / float(focused.max())
    planes = []
    for z_um in defocus_um:
        light = BACKGROUND + gain * _blurred(spectrum, z_um, ABERRATIONS, size)
        noise = dice.normal(0.0, READ_NOISE, light.shape)
        planes.append(
            BeadImage(
                defocus_um=z_um,
                image=(dice.poisson(light) + noise).astype(np.float32),
                truth=(BACKGROUND + gain * focused).astype(np.float32),
                places_px=places,
                psf=defocus_psf(SETUP, z_um, aberrations=ABERRATIONS).numpy(),
            )
        )
    return planes


def _bead_spectrum(places: Float[np.ndarray, "n 2"], size: int) -> torch.Tensor:
    """Transform of balls between pixels; a ball has the variance r^2 / 5 along an axis."""
    sigma_px = BEAD_UM / 2 / math.sqrt(5.0) / SETUP.pixel_um
    y, x = np.fft.fftfreq(size), np.fft.rfftfreq(size)
    along_y = np.exp(-2j * np.pi * places[:, :1] * y - 2 * (np.pi * sigma_px * y) ** 2)
    along_x = np.exp(-2j * np.pi * places[:, 1:] * x - 2 * (np.pi * sigma_px * x) ** 2)
    return torch.from_numpy((along_y.T @ along_x).astype(np.complex64))


def _blurred(
    spectrum: torch.Tensor, defocus_um: float, aberrations: Aberrations | None, size: int
) -> Float[np.ndarray, "y x"]:
    blur = Blur.of(defocus_psf(SETUP, defocus_um, aberrations=aberrations), (size, size))
    light = torch.fft.irfft2(spectrum * blur.transfer, s=(size, size)).clamp(min=0.0)
    found: np.ndarray = light.double().numpy()
    return found


def judge_beads(
    plane: BeadImage,
    shown: Mapping[str, tuple[Float[np.ndarray, "y x"], str]],
) -> list[BeadRow]:
    """Measure every bead in what each method shows of a plane: its image, and what it said."""
    wanted = [_measure(plane.truth, place) for place in plane.places_px]
    rows = []
    for name, (image, status) in shown.items():
        found = [_measure(image, place) for place in plane.places_px]
        widths = np.array([one[0] for one in found])
        known = np.isfinite(widths)
        rows.append(
            BeadRow(
                method=name,
                defocus_um=plane.defocus_um,
                width_um=float(widths[known].mean()) if known.any() else math.nan,
                width_spread_um=float(widths[known].std()) if known.any() else math.nan,
                fitted=float(known.mean()),
                peak=float(np.mean([a[1] / b[1] for a, b in zip(found, wanted, strict=True)])),
                encircled=float(np.mean([a[2] / b[2] for a, b in zip(found, wanted, strict=True)])),
                status=status,
            )
        )
    return rows


def _measure(
    image: Float[np.ndarray, "y x"], place: Float[np.ndarray, " 2"]
) -> tuple[float, float, float]:
    """Width in um, height above the background, and light within a circle, of one bead."""
    top, left = (round(float(at)) - BOX_PX // 2 for at in place)
    box = image[top : top + BOX_PX, left : left + BOX_PX].astype(np.float64) - BACKGROUND
    centre = (float(place[0]) - top, float(place[1]) - left)
    rows, columns = np.indices(box.shape)
    away = np.hypot(rows - centre[0], columns - centre[1])
    inside = away <= CIRCLE_PX
    width_px = fitted_width_px(box, centre)
    return width_px * SETUP.pixel_um, float(box[inside].max()), float(box[inside].sum())


def fitted_width_px(box: Float[np.ndarray, "y x"], centre: tuple[float, float]) -> float:
    """Full width at half maximum of the Gaussian that fits best, mean of both axes [Luo2020]_.

    NaN where none fits: none stands out, or only one that is wider than the box.

    Examples
    --------
    >>> line = np.exp(-0.5 * (np.arange(30) - 15.0) ** 2 / 2.0**2)
    >>> round(fitted_width_px(line[:, None] * line, (15.0, 15.0)), 3)
    4.71
    """
    rows, columns = (axis.ravel() for axis in np.indices(box.shape).astype(np.float64))
    values = box.ravel()

    def left(given: Float[np.ndarray, " 6"]) -> Float[np.ndarray, " n"]:
        height, y, x, sigma_y, sigma_x, floor = given
        shape = ((rows - y) / sigma_y) ** 2 + ((columns - x) / sigma_x) ** 2
        found: np.ndarray = height * np.exp(-0.5 * shape) + floor - values
        return found

    peak = max(float(box.max()), 1e-9)
    start = np.array([peak, *centre, 1.5, 1.5, 0.0])
    low = (0.0, centre[0] - 3, centre[1] - 3, 0.3, 0.3, -peak)
    high = (20 * peak, centre[0] + 3, centre[1] + 3, 2 * BOX_PX, 2 * BOX_PX, peak)
    fit = least_squares(left, start, bounds=(low, high), x_scale=(peak, 1, 1, 1, 1, peak),
                        max_nfev=MOST_STEPS)  # fmt: skip
    sigma = float(fit.x[3] + fit.x[4]) / 2
    is_clear = float(fit.x[0]) > LEAST_HEIGHT * float(fit.fun.std())
    return sigma * WIDTH_PER_SIGMA if is_clear and sigma < FARTHEST_SIGMA_PX else math.nan
