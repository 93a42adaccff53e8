"""Focus as Pinkard 2019 found it: the sharpest plane of a phase-contrast stack."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from scipy.interpolate import CubicSpline
from torch import Tensor

from parfocal.core.setup import OpticalSetup
from parfocal.simulate.imaging import Renderer
from parfocal.simulate.modalities import PhaseContrastImaging
from parfocal.simulate.specimen import Specimen

FROM_RADIUS = 0.25
"""Of the spectrum's radius: higher frequencies count."""
FINER = 100


def high_frequency_content(images: Float[Tensor, "z y x"]) -> Float[np.ndarray, " z"]:
    """Sum of the radial mean of the logarithm of the power spectrum, above a quarter radius.

    Examples
    --------
    >>> images = torch.rand(2, 32, 32, generator=torch.Generator().manual_seed(0))
    >>> images[1] *= 3
    >>> low, high = high_frequency_content(images)
    >>> bool(high > low)
    True
    """
    power = torch.fft.fft2(images - images.mean((-2, -1), keepdim=True)).abs().square()
    logs = (power + 1e-12).log().double().numpy()
    size_y, size_x = images.shape[-2:]
    radius = np.hypot(np.fft.fftfreq(size_y)[:, None] * size_y, np.fft.fftfreq(size_x) * size_x)
    ring = radius.round().astype(int)
    most = min(size_y, size_x) // 2
    sums = []
    for plane in logs:
        total = np.bincount(ring.ravel(), plane.ravel(), ring.max() + 1)
        mean = total / np.maximum(np.bincount(ring.ravel(), minlength=ring.max() + 1), 1)
        sums.append(mean[round(FROM_RADIUS * most) : most].sum())
    return np.array(sums)


def published_focus_um(
    specimen: Specimen,
    setup: OpticalSetup,
    *,
    about_um: float = 0.0,
    reach_um: float = 8.0,
    step_um: float = 1.0,
) -> float:
    """Stage z of the sharpest plane by half-annulus contrast [Pinkard2019]_.

    Parameters
    ----------
    specimen, setup
        What is imaged, and how.
    about_um, reach_um, step_um
        Planes of the stack.

    Notes
    -----
    A cubic spline runs through the planes' sharpness, and its maximum is the answer.
    """
    z = about_um + np.arange(-reach_um, reach_um + step_um / 2, step_um)
    imaging = PhaseContrastImaging(na_in=0.6 * setup.na, na_out=setup.na, waves=8)
    renderer = Renderer(setup, imaging)
    images = torch.cat(
        [renderer.images(specimen, part) for part in torch.split(torch.from_numpy(z).float(), 4)]
    )
    curve = CubicSpline(z, high_frequency_content(images))
    fine = np.linspace(z[0], z[-1], FINER * len(z))
    return float(fine[np.argmax(curve(fine))])
