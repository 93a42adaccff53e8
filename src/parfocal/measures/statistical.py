"""Focus measures from grey-level statistics: how far intensities spread."""

from __future__ import annotations

import torch
from torch import Tensor

from parfocal.core.shapes import Images, Scores, on_any_array
from parfocal.measures.local import LocalMeasure, score_whole, variance_of_means


def _value_and_square(images: Tensor) -> tuple[Tensor, ...]:
    # float64: the square of a large camera offset would eat the digits of a small variance.
    wide = images.to(torch.float64)
    return wide, wide.square()


VARIANCE = LocalMeasure(_value_and_square, variance_of_means)


@on_any_array
def variance(images: Images) -> Scores:
    """Score focus by the variance of intensity [Groen1985]_.

    Larger is sharper. Robust against noise and slow to react near focus; it rewards contrast of
    any scale, uneven illumination included.

    Parameters
    ----------
    images
        Intensities, in counts.

    Returns
    -------
    One score per image, in counts squared: mean((I - mean(I))^2), with float64 sums.

    Notes
    -----
    Laws: offset-free, gain-squared, mirror-free, batch-free.

    Examples
    --------
    >>> import torch
    >>> variance(torch.tensor([[1.0, 3.0], [3.0, 1.0]]))
    tensor(1.)
    """
    return score_whole(images, VARIANCE, what="variance")
