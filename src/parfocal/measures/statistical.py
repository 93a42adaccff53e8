"""Focus measures from grey-level statistics: spread, autocorrelation, entropy."""

from __future__ import annotations

import torch
from torch import Tensor

from parfocal.core.errors import InputError
from parfocal.core.shapes import Images, Scores, on_any_array, require_images
from parfocal.measures.local import (
    LocalMeasure,
    root,
    score_whole,
    value_and_square,
    variance_of_means,
)


def _root_of_variance(means: tuple[Tensor, ...]) -> Tensor:
    return root(variance_of_means(means))


def _variance_over_mean(means: tuple[Tensor, ...]) -> Tensor:
    spread, mean = variance_of_means(means), means[0]
    ratio = torch.where(mean <= 0, torch.nan, spread / mean)
    return torch.where((spread == 0) & (mean == 0), 0.0, ratio)


def _squared_steps(images: Tensor) -> tuple[Tensor, ...]:
    one = images[..., 1:] - images[..., :-1]
    two = images[..., 2:] - images[..., :-2]
    return one.square(), two.square()


def _half_rise(means: tuple[Tensor, ...]) -> Tensor:
    one, two = means
    return 0.5 * (two - one)


def _values_and_step(images: Tensor) -> tuple[Tensor, ...]:
    return (*value_and_square(images), (images[..., 1:] - images[..., :-1]).square())


def _variance_less_half_step(means: tuple[Tensor, ...]) -> Tensor:
    return variance_of_means(means[:2]) - 0.5 * means[2]


VARIANCE = LocalMeasure(value_and_square, variance_of_means)
STD = LocalMeasure(value_and_square, _root_of_variance)
NORMALIZED_VARIANCE = LocalMeasure(value_and_square, _variance_over_mean)
VOLLATH4 = LocalMeasure(_squared_steps, _half_rise, least_px=3)
VOLLATH5 = LocalMeasure(_values_and_step, _variance_less_half_step, least_px=2)


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
    Laws: offset-free, gain-squared, mirror-free, batch-free, blur-monotonic.

    Examples
    --------
    >>> import torch
    >>> variance(torch.tensor([[1.0, 3.0], [3.0, 1.0]]))
    tensor(1.)
    """
    return score_whole(images, VARIANCE, what="variance")


@on_any_array
def std(images: Images) -> Scores:
    """Score focus by the standard deviation of intensity [Firestone1991]_ [Li2023]_.

    Larger is sharper. Ranks as ``variance`` does; its maps spread less, which helps a threshold.

    Parameters
    ----------
    images
        Intensities, in counts.

    Returns
    -------
    One score per image, in counts: sqrt(mean((I - mean(I))^2)), with float64 sums.

    Notes
    -----
    Laws: offset-free, gain-linear, mirror-free, batch-free, blur-monotonic.

    Errata: equation 6 of [Li2023]_, called standard deviation, is ``vollath5``.

    Examples
    --------
    >>> import torch
    >>> std(torch.tensor([[1.0, 5.0], [5.0, 1.0]]))
    tensor(2.)
    """
    return score_whole(images, STD, what="std")


@on_any_array
def normalized_variance(images: Images) -> Scores:
    """Score focus by the variance of intensity over its mean [Groen1985]_.

    Larger is sharper. Evens out lamp and bleaching drift between planes.

    Parameters
    ----------
    images
        Dark-subtracted intensities, in counts: a camera offset lowers every score.

    Returns
    -------
    One score per image, in counts: var(I) / mean(I). An all-zero image scores 0; NaN where the
    mean is not positive otherwise.

    Notes
    -----
    Laws: not offset-free, gain-linear, mirror-free, batch-free, blur-monotonic.

    Examples
    --------
    >>> import torch
    >>> normalized_variance(torch.tensor([[1.0, 3.0], [3.0, 1.0]]))
    tensor(0.5000)
    """
    return score_whole(images, NORMALIZED_VARIANCE, what="normalized_variance")


@on_any_array
def vollath4(images: Images) -> Scores:
    """Score focus by Vollath's F4, the fall of the autocorrelation along x [Vollath1988]_.

    Larger is sharper. White noise cancels, so it leads where few photons are counted.

    Parameters
    ----------
    images
        Intensities, in counts.

    Returns
    -------
    One score per image, in counts squared: mean(I(x) I(x+1)) - mean(I(x) I(x+2)), written as
    (mean((I(x+2) - I(x))^2) - mean((I(x+1) - I(x))^2)) / 2. It can be negative.

    Notes
    -----
    Laws: offset-free, gain-squared, mirror-free, batch-free, not blur-monotonic (detail finer
    than three pixels a cycle counts against focus).

    The two forms differ by the squares of the outermost two columns only. The difference of
    sums in the source has a different number of products in each, and so leaks the square of
    the camera offset; the form used here is free of it exactly, and exact in float32.
    Errata: equation 5 of [Li2023]_ lets both sums run to the last but one column, past the edge;
    its public code and that of [Li2021]_ step along y.

    Examples
    --------
    >>> import torch
    >>> vollath4(torch.tensor([[0.0, 0.0, 1.0, 1.0, 0.0, 0.0]]).expand(3, 6))
    tensor(0.3000)
    """
    return score_whole(images, VOLLATH4, what="vollath4", least_y=1)


@on_any_array
def vollath5(images: Images) -> Scores:
    """Score focus by Vollath's F5, the autocovariance one pixel along x [Vollath1988]_.

    Larger is sharper. As ``variance``, with the share of white noise taken out.

    Parameters
    ----------
    images
        Intensities, in counts.

    Returns
    -------
    One score per image, in counts squared: mean(I(x) I(x+1)) - mean(I)^2, written as
    var(I) - mean((I(x+1) - I(x))^2) / 2. It can be negative.

    Notes
    -----
    Laws: offset-free, gain-squared, mirror-free, batch-free, not blur-monotonic (detail finer
    than four pixels a cycle counts against focus).

    The two forms differ by the squares of the outermost columns only; the second is free of the
    camera offset exactly.
    Errata: the public code of [Li2023]_ subtracts height * width * mean, not the mean squared;
    its equation 6, called standard deviation, is this measure.

    Examples
    --------
    >>> import torch
    >>> vollath5(torch.tensor([[0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0]]).expand(2, 9))
    tensor(0.0478)
    """
    return score_whole(images, VOLLATH5, what="vollath5", least_y=1)


@on_any_array
def entropy(
    images: Images, *, bins: int = 256, range_counts: tuple[float, float] | None = None
) -> Scores:
    """Score focus by the entropy of the grey-level histogram [Firestone1991]_.

    Larger is sharper, in principle: a focused image fills more grey levels. It knows nothing of
    where the grey levels lie, so trust it last.

    Parameters
    ----------
    images
        Intensities, in counts.
    bins
        Number of grey levels.
    range_counts
        Lowest and highest count of the histogram, the same for all images; counts beyond fall
        into the end bins. Default: each image's own minimum and maximum.

    Returns
    -------
    One score per image, in bits: -sum(p log2 p). NaN if a pixel is not finite.

    Notes
    -----
    Laws: offset-free and gain-free (with the default range), mirror-free, batch-free,
    not blur-monotonic (blur narrows the range over which the bins are spread, and fills gaps).

    Examples
    --------
    >>> import torch
    >>> entropy(torch.tensor([[0.0, 1.0], [2.0, 3.0]]))
    tensor(2.)
    """
    require_images(images, what="entropy")
    if bins < 2:
        raise InputError(f"bins must be 2 or more, but came as {bins}.")
    flat = images.flatten(-2).reshape(-1, images.shape[-2] * images.shape[-1])
    if range_counts is None:
        low, high = flat.aminmax(dim=-1, keepdim=True)
    else:
        if not range_counts[0] < range_counts[1]:
            raise InputError(f"range_counts must rise, but came as {range_counts}.")
        low, high = (torch.full_like(flat[:, :1], value) for value in range_counts)
    finite = flat.isfinite().all(dim=-1)
    level = (flat - low) * (bins / torch.where(high > low, high - low, 1.0))
    level = level.nan_to_num(0.0).clamp(0, bins - 1).long()
    level += torch.arange(flat.shape[0], device=flat.device)[:, None] * bins
    counts = torch.bincount(level.flatten(), minlength=flat.shape[0] * bins).reshape(-1, bins)
    share = counts.to(torch.float64) / flat.shape[-1]
    bits = -torch.xlogy(share, share).sum(-1) / torch.log(share.new_tensor(2.0))
    return torch.where(finite, bits, torch.nan).reshape(images.shape[:-2]).to(images.dtype)
