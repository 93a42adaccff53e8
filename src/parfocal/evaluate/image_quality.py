"""How near an image is to its truth: error, similarity, and the best that smoothing alone does."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.ndimage import gaussian_filter
from skimage.metrics import structural_similarity

WIDTHS_PX = (0.0, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0)
"""Standard deviations of the Gaussians that are tried as plain denoisers."""
CEILING_DB = 120.0


@dataclass(frozen=True, kw_only=True)
class Quality:
    """Errors in units of the truth's range, lowest to highest pixel.

    Parameters
    ----------
    psnr
        In dB; 120 for equal images.
    ssim
        Structural similarity.
    rmse
        Root of the mean squared error.
    """

    psnr: float
    ssim: float
    rmse: float


def quality(shown: Float[np.ndarray, "y x"], truth: Float[np.ndarray, "y x"]) -> Quality:
    """Compare an image with its truth, in the same counts [Wang2004]_.

    Parameters
    ----------
    shown, truth
        At least 11 px along a side; the truth is not of one value.

    Notes
    -----
    Laws: gain-free and offset-free where both images change alike; mirror-free.

    Examples
    --------
    >>> truth = np.eye(16)
    >>> found = quality(truth + 0.1, truth)
    >>> round(found.psnr, 6), round(found.rmse, 6)
    (20.0, 0.1)
    """
    low, high = float(truth.min()), float(truth.max())
    one, other = ((each.astype(np.float64) - low) / (high - low) for each in (shown, truth))
    error = float(np.square(one - other).mean())
    similar: Any = structural_similarity(  # type: ignore[no-untyped-call]
        one, other, data_range=1.0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    return Quality(
        psnr=CEILING_DB if error == 0 else min(-10 * math.log10(error), CEILING_DB),
        ssim=float(similar),
        rmse=math.sqrt(error),
    )


def best_gaussian(
    image: Float[np.ndarray, "y x"],
    truth: Float[np.ndarray, "y x"],
    *,
    widths_px: Sequence[float] = WIDTHS_PX,
) -> tuple[Float[np.ndarray, "y x"], float]:
    """The smoothed image that is nearest to the truth, and how wide its Gaussian is.

    An oracle: nobody who lacks the truth can choose so well. What refocusing gains beyond it is
    no mere denoising.

    Examples
    --------
    >>> best_gaussian(np.eye(16), np.eye(16))[1]
    0.0
    """
    tried = [(gaussian_filter(image, width) if width else image, width) for width in widths_px]
    return min(tried, key=lambda pair: float(np.square(pair[0] - truth).mean()))


def with_best_gain(
    shown: Float[np.ndarray, "y x"], truth: Float[np.ndarray, "y x"]
) -> Float[np.ndarray, "y x"]:
    """An image times the gain, plus the offset, that bring it nearest to the truth.

    For recorded stacks, whose planes differ in brightness by the way they were taken.

    Examples
    --------
    >>> truth = np.arange(16.0).reshape(4, 4)
    >>> bool(np.allclose(with_best_gain(3 * truth + 5, truth), truth))
    True
    """
    centred = shown - shown.mean()
    power = float(np.square(centred).mean())
    gain = float((centred * (truth - truth.mean())).mean()) / power if power else 0.0
    fitted: np.ndarray = gain * centred + truth.mean()
    return fitted
