"""One pass of deconvolution: quick, linear, and without positivity."""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from parfocal.core.errors import ShapeError
from parfocal.refocus.checks import as_it_came, lay_out, require_positive


@torch.no_grad()
def wiener(
    image: Any,
    psf: Any,
    noise_to_signal: float,
    *,
    edges: str = "mirror",
    device: str = "cpu",
) -> Any:
    """Deconvolve by a linear filter with one ratio of noise to signal [Wiener1949]_.

    Parameters
    ----------
    image
        Counts (..., y, x), or (..., z, y, x) for a point-spread function in 3-D.
    psf
        Point-spread function (y, x) or (z, y, x); its middle is at index ``size // 2``.
    noise_to_signal
        Power of the noise over that of the sharp image, the same at every frequency, above 0:
        0.1 for a dim image to 0.001 for a bright one.
    edges
        Beyond the edges the image is mirrored ("mirror", also for "extend") or goes round
        ("periodic").
    device
        "cpu", "cuda" or "auto".

    Returns
    -------
    The image in counts, as a tensor if it came as one and as NumPy otherwise. Values below
    the background occur; the mean of the field is kept.

    Raises
    ------
    InputError, ShapeError
        If pixels are NaN, or sizes do not fit.

    Notes
    -----
    Minimises |psf * u - image|^2 + noise_to_signal |u|^2 about the mean.

    Laws: flips commute; linear; a point as point-spread function shrinks the contrast by
    1 / (1 + noise_to_signal).

    Examples
    --------
    >>> point = torch.zeros(9, 9)
    >>> point[4, 4] = 1.0
    >>> blurred = torch.zeros(9, 9)
    >>> blurred[3:6, 3:6] = 1 / 9
    >>> sharp = wiener(blurred, torch.ones(3, 3), 1e-3, edges="periodic")
    >>> bool(sharp[4, 4] > 5 * blurred[4, 4])
    True
    """
    require_positive("noise_to_signal", noise_to_signal)
    exposure = lay_out(
        image, psf, background=0.0, edges=edges, saturation_counts=None, device=device
    )
    blur = exposure.blur
    mean = exposure.data.mean(blur.axes, keepdim=True)
    power = blur.transfer.real.square() + blur.transfer.imag.square()
    sharp = blur.filter(exposure.data - mean, blur.adjoint / (power + noise_to_signal))
    return as_it_came(exposure.frame.crop(sharp.add_(mean)).contiguous(), image)


def noise_ratio(image: Float[Tensor, "y x"]) -> float:
    """Power of an image's noise over that of its structure, for ``wiener``.

    The noise is that of the mean second difference [Immerkaer1996]_; the ratio lies between
    1e-5 and 1.

    Raises
    ------
    ShapeError
        If the image is smaller than 3 x 3 px.

    Examples
    --------
    >>> noise = torch.randn(64, 64, generator=torch.Generator().manual_seed(0))
    >>> slope = torch.arange(64.0).expand(64, 64)
    >>> 0.001 < noise_ratio(slope + noise) < 0.01
    True
    """
    if min(image.shape) < 3:
        raise ShapeError(f"Noise needs 3 x 3 px to be seen, but came as {tuple(image.shape)}.")
    fine = image[2:] - 2 * image[1:-1] + image[:-2]
    fine = fine[:, 2:] - 2 * fine[:, 1:-1] + fine[:, :-2]
    noise = float(fine.abs().mean()) / 6.0 * math.sqrt(math.pi / 2)
    power = float(image.var())
    return min(1.0, max(1e-5, noise**2 / max(power - noise**2, 1e-30)))
