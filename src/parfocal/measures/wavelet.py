"""Focus measures from one level of a discrete wavelet transform."""

from __future__ import annotations

import torch
from torch import Tensor

from parfocal.core.shapes import Images, Scores, on_any_array
from parfocal.measures.local import (
    LocalMeasure,
    root,
    score_whole,
    sum_of_means,
    value_and_square,
    variance_of_means,
    weigh_and_decimate,
    without_mean,
)

# Daubechies' wavelet with six vanishing moments [Daubechies1992]_: the weights by which the
# low-pass band correlates the image; the high-pass band mirrors them with alternating signs.
DB6_LOW = (
    0.11154074335010947,
    0.49462389039845306,
    0.75113390802109536,
    0.31525035170919763,
    -0.22626469396543983,
    -0.12976686756726194,
    0.09750160558732304,
    0.02752286553030573,
    -0.03158203931748603,
    0.00055384220116150,
    0.00477725751094551,
    -0.00107730108530848,
)
DB6_HIGH = tuple(value * (-1.0) ** index for index, value in enumerate(reversed(DB6_LOW)))


def _haar_energies(images: Tensor) -> tuple[Tensor, ...]:
    size_y, size_x = images.shape[-2] // 2 * 2, images.shape[-1] // 2 * 2
    even, odd = images[..., 0:size_y:2, :size_x], images[..., 1:size_y:2, :size_x]
    a, b, c, d = even[..., ::2], even[..., 1::2], odd[..., ::2], odd[..., 1::2]
    down, across, twist = (a - c) + (b - d), (a - b) + (c - d), (a - b) - (c - d)
    high = down.square() + across.square() + twist.square()
    return 0.25 * high, 0.25 * (a + b + c + d).square()


def _root_of_ratio(means: tuple[Tensor, ...]) -> Tensor:
    high, low = means
    return torch.where(high == 0, 0.0, root(high / low))


def _db6_details(images: Tensor) -> tuple[Tensor, ...]:
    """Moduli of the three detail bands at the finest level, from whole filters only."""
    flat = without_mean(images)
    low_x = weigh_and_decimate(flat, DB6_LOW, axis=-1, pitch_px=2)
    high_x = weigh_and_decimate(flat, DB6_HIGH, axis=-1, pitch_px=2)
    return (
        weigh_and_decimate(low_x, DB6_HIGH, axis=-2, pitch_px=2).abs(),
        weigh_and_decimate(high_x, DB6_LOW, axis=-2, pitch_px=2).abs(),
        weigh_and_decimate(high_x, DB6_HIGH, axis=-2, pitch_px=2).abs(),
    )


def _db6_details_and_squares(images: Tensor) -> tuple[Tensor, ...]:
    return tuple(part for band in _db6_details(images) for part in value_and_square(band))


def _sum_of_variances(means: tuple[Tensor, ...]) -> Tensor:
    bands = zip(means[::2], means[1::2], strict=True)
    return torch.stack([variance_of_means(band) for band in bands]).sum(0)


HAAR_DWT = LocalMeasure(_haar_energies, _root_of_ratio, pitch_px=2, least_px=2)
WAVELET_SUM = LocalMeasure(_db6_details, sum_of_means, pitch_px=2, least_px=12)
WAVELET_VARIANCE = LocalMeasure(
    _db6_details_and_squares, _sum_of_variances, pitch_px=2, least_px=12
)


@on_any_array
def haar_dwt(images: Images) -> Scores:
    """Score focus by the ratio of Haar detail to Haar average [Kautsky2002]_ [Li2023]_.

    Larger is sharper. Free of gain, so it compares fields of different brightness.

    Parameters
    ----------
    images
        Dark-subtracted intensities, in counts: a camera offset lowers every score.

    Returns
    -------
    One score per image, without unit: norm(details) / norm(average) over the 2 x 2 blocks of
    one Haar level ([Li2023]_ eq. 9). An odd last row or column is left out. A constant image
    scores 0.

    Notes
    -----
    Laws: not offset-free, gain-free, mirror-free (for even sizes), batch-free, blur-monotonic.

    Examples
    --------
    >>> import torch
    >>> haar_dwt(torch.tensor([[1.0, 3.0], [1.0, 3.0]]))
    tensor(0.5000)
    """
    return score_whole(images, HAAR_DWT, what="haar_dwt")


@on_any_array
def wavelet_sum(images: Images) -> Scores:
    """Score focus by the mean moduli of Daubechies-6 details, added [Yang2003]_.

    Larger is sharper. Its twelve-pixel filters see texture where differences see noise.

    Parameters
    ----------
    images
        Intensities, in counts.

    Returns
    -------
    One score per image, in counts: mean(abs(LH)) + mean(abs(HL)) + mean(abs(HH)) of one level,
    from the coefficients whose filters lie inside the image.

    Notes
    -----
    Laws: offset-free, gain-linear, not mirror-free (the filters are not symmetric), batch-free,
    blur-monotonic.

    Examples
    --------
    >>> import torch
    >>> wavelet_sum(torch.arange(24.0).square().expand(24, 24)).item() < 1e-3
    True
    """
    return score_whole(images, WAVELET_SUM, what="wavelet_sum")


@on_any_array
def wavelet_variance(images: Images) -> Scores:
    """Score focus by the variances of the moduli of Daubechies-6 details, added [Yang2003]_.

    Larger is sharper. As ``wavelet_sum``, with the strongest details weighing most.

    Parameters
    ----------
    images
        Intensities, in counts.

    Returns
    -------
    One score per image, in counts squared: var(abs(LH)) + var(abs(HL)) + var(abs(HH)) of one
    level, from the coefficients whose filters lie inside the image.

    Notes
    -----
    Laws: offset-free, gain-squared, not mirror-free (the filters are not symmetric), batch-free,
    blur-monotonic.

    Errata: the program of [Pertuz2013]_, and the public code of [Li2021]_ after it, add two
    standard deviations to one variance, which obeys no gain law.

    Examples
    --------
    >>> import torch
    >>> wavelet_variance(torch.ones(16, 16))
    tensor(0.)
    """
    return score_whole(images, WAVELET_VARIANCE, what="wavelet_variance")
