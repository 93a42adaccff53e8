"""Focus measures from first differences of neighbouring pixels."""

from __future__ import annotations

import math
from functools import partial

import torch
from torch import Tensor

from parfocal.core.errors import InputError
from parfocal.core.shapes import Images, Scores, on_any_array
from parfocal.measures.local import (
    LocalMeasure,
    first_mean,
    score_whole,
    sum_of_means,
    value_and_square,
    variance_of_means,
    weigh_neighbours,
    without_mean,
)


def _squared_step(images: Tensor, *, step_px: int) -> tuple[Tensor, ...]:
    return ((images[..., step_px:] - images[..., :-step_px]).square(),)


def sobel(images: Tensor) -> tuple[Tensor, Tensor]:
    """Sobel's differences along x and y: weights (1, 2, 1) across, (-1, 0, 1) along."""
    along_x = images[..., 2:] - images[..., :-2]
    along_y = images[..., 2:, :] - images[..., :-2, :]
    across, smooth = (1.0, 2.0, 1.0), weigh_neighbours
    return smooth(along_x, across, axis=-2), smooth(along_y, across, axis=-1)


def _sobel_energy(images: Tensor) -> tuple[Tensor, ...]:
    slope_x, slope_y = sobel(images)
    return (slope_x.square() + slope_y.square(),)


def _sobel_magnitude(images: Tensor) -> tuple[Tensor, ...]:
    return value_and_square(_sobel_energy(images)[0].sqrt())


def _absolute_steps(images: Tensor) -> tuple[Tensor, ...]:
    step_x = (images[..., 1:] - images[..., :-1]).abs()
    step_y = (images[..., 1:, :] - images[..., :-1, :]).abs()
    return step_x, step_y


def _product_of_steps(images: Tensor) -> tuple[Tensor, ...]:
    step_x, step_y = _absolute_steps(images)
    return (step_x[..., :-1, :] * step_y[..., :-1],)


def _largest_slope(images: Tensor, *, sigma_px: float) -> tuple[Tensor, ...]:
    radius = _radius_px(sigma_px)
    offsets = range(-radius, radius + 1)
    bell = [math.exp(-0.5 * (offset / sigma_px) ** 2) for offset in offsets]
    smooth = tuple(value / sum(bell) for value in bell)
    differ = tuple(k * value / sigma_px**2 for k, value in zip(offsets, smooth, strict=True))
    flat = without_mean(images)
    slope_x = weigh_neighbours(weigh_neighbours(flat, differ, axis=-1), smooth, axis=-2)
    slope_y = weigh_neighbours(weigh_neighbours(flat, smooth, axis=-1), differ, axis=-2)
    return (torch.hypot(slope_x, slope_y),)


def _radius_px(sigma_px: float) -> int:
    return max(1, math.ceil(3.0 * sigma_px))


BRENNER = LocalMeasure(partial(_squared_step, step_px=2), first_mean, least_px=3)
TENENGRAD = LocalMeasure(_sobel_energy, first_mean, least_px=3)
TENENGRAD_VARIANCE = LocalMeasure(_sobel_magnitude, variance_of_means, least_px=3)
SMD = LocalMeasure(_absolute_steps, sum_of_means, least_px=2)
SMD2 = LocalMeasure(_product_of_steps, first_mean, least_px=2)
STEERABLE = LocalMeasure(partial(_largest_slope, sigma_px=1.0), first_mean, least_px=7)


@on_any_array
def brenner(images: Images, *, step_px: int = 2) -> Scores:
    """Score focus by the mean squared grey step along x [Brenner1976]_.

    Larger is sharper. Cheap and exposure-dependent; blind to edges that run along x.

    Parameters
    ----------
    images
        Intensities, in counts.
    step_px
        Distance between the two pixels that are compared.

    Returns
    -------
    One score per image, in counts squared: mean((I(x + step) - I(x))^2).

    Raises
    ------
    ShapeError
        If the images are not wider than ``step_px``.

    Notes
    -----
    Laws: offset-free, gain-squared, mirror-free, batch-free, blur-monotonic.

    Errata: equation 1 of [Li2023]_ steps by one pixel, not two, and names a threshold that it
    does not use; its public code steps along rows. The public code of [Li2021]_ squares the
    larger of the signed steps along x and y. This follows Brenner.

    Examples
    --------
    >>> import torch
    >>> ramp = torch.arange(8.0).expand(8, 8)
    >>> brenner(ramp)
    tensor(4.)
    """
    if step_px < 1:
        raise InputError(f"step_px must be 1 or more, but came as {step_px}.")
    local = LocalMeasure(partial(_squared_step, step_px=step_px), first_mean)
    return score_whole(images, local, what="brenner", least_y=1, least_x=step_px + 1)


@on_any_array
def tenengrad(images: Images) -> Scores:
    """Score focus by the mean squared Sobel gradient [Tenenbaum1970]_ [Krotkov1988]_.

    Larger is sharper. The usual first choice for textured fields with fair contrast.

    Parameters
    ----------
    images
        Intensities, in counts.

    Returns
    -------
    One score per image, in counts squared: mean(Gx^2 + Gy^2) over the pixels whose whole
    neighbourhood lies inside the image, with Sobel's weights (1, 2, 1) x (-1, 0, 1), unscaled.

    Notes
    -----
    Laws: offset-free, gain-squared, mirror-free, batch-free, blur-monotonic.

    The threshold of the source is 0: a threshold in counts would break the gain law.

    Examples
    --------
    >>> import torch
    >>> ramp = torch.arange(8.0).expand(8, 8)
    >>> tenengrad(ramp)
    tensor(64.)
    """
    return score_whole(images, TENENGRAD, what="tenengrad")


@on_any_array
def tenengrad_variance(images: Images) -> Scores:
    """Score focus by the variance of the Sobel gradient's magnitude [PechPacheco2000]_.

    Larger is sharper. Best of the gradient family in several comparisons on diatoms and cells.

    Parameters
    ----------
    images
        Intensities, in counts.

    Returns
    -------
    One score per image, in counts squared: var(sqrt(Gx^2 + Gy^2)).

    Notes
    -----
    Laws: offset-free, gain-squared, mirror-free, batch-free, blur-monotonic.

    The last holds on textures of many scales, not for every image: where each pixel has the same
    slope (a saw-tooth) blur can raise the variance of the slopes.

    Errata: the public code of [Li2021]_ takes the variance of Gx^2 + Gy^2, without the root.

    Examples
    --------
    >>> import torch
    >>> step = torch.tensor([0.0, 0.0, 0.0, 1.0, 1.0, 1.0]).expand(6, 6)
    >>> tenengrad_variance(step)
    tensor(4.)
    """
    return score_whole(images, TENENGRAD_VARIANCE, what="tenengrad_variance")


@on_any_array
def smd(images: Images) -> Scores:
    """Score focus by the sum of the mean moduli of grey steps along x and y [Jarvis1976]_.

    Larger is sharper. Linear in contrast, so less ruled by the brightest edges than squares are.

    Parameters
    ----------
    images
        Intensities, in counts.

    Returns
    -------
    One score per image, in counts: mean(abs(I(x+1) - I(x))) + mean(abs(I(y+1) - I(y))).

    Notes
    -----
    Laws: offset-free, gain-linear, mirror-free, batch-free, blur-monotonic.

    Errata: the public code of [Li2023]_ fails with a NameError here and repeats one of the two
    terms; its text (equation 4) has both, as has this.

    Examples
    --------
    >>> import torch
    >>> smd(torch.tensor([[0.0, 1.0], [3.0, 4.0]]))
    tensor(4.)
    """
    return score_whole(images, SMD, what="smd")


@on_any_array
def smd2(images: Images) -> Scores:
    """Score focus by the mean product of the moduli of grey steps along x and y [Li2023]_.

    Larger is sharper. Steeper near focus than ``smd``; blind to edges along x or along y alone.

    Parameters
    ----------
    images
        Intensities, in counts.

    Returns
    -------
    One score per image, in counts squared:
    mean(abs(I(x+1, y) - I(x, y)) * abs(I(x, y+1) - I(x, y))).

    Notes
    -----
    Laws: offset-free, gain-squared, not mirror-free (both steps start at one corner of each
    2 x 2 block), batch-free, blur-monotonic.

    Errata: the public code of [Li2023]_ fails with a NameError here and multiplies one step by
    itself.

    Examples
    --------
    >>> import torch
    >>> smd2(torch.tensor([[0.0, 1.0], [3.0, 4.0]]))
    tensor(3.)
    """
    return score_whole(images, SMD2, what="smd2")


@on_any_array
def steerable(images: Images, *, sigma_px: float = 1.0) -> Scores:
    """Score focus by the largest response of a steerable filter [Freeman1991]_ [Minhas2009]_.

    Larger is sharper. The Gaussian inside makes it steadier under noise than Sobel's.

    Parameters
    ----------
    images
        Intensities, in counts.
    sigma_px
        Standard deviation of the Gaussian; its tail is cut at three of them.

    Returns
    -------
    One score per image, in counts per pixel: the mean over pixels of
    max over t of (cos t * Gx + sin t * Gy), where Gx and Gy are first derivatives of a Gaussian.

    Notes
    -----
    Laws: offset-free, gain-linear, mirror-free, batch-free, blur-monotonic.

    The maximum over all orientations is sqrt(Gx^2 + Gy^2) in closed form; [Minhas2009]_ takes
    it over eight of them, which is up to 8 % less. The program of [Pertuz2013]_, and the public
    code of [Li2021]_ after it, divide each filter by its sum, which is zero but for rounding.

    Examples
    --------
    >>> import torch
    >>> ramp = torch.arange(16.0).expand(16, 16)
    >>> round(steerable(ramp).item(), 2)
    1.0
    """
    if not sigma_px > 0:
        raise InputError(f"sigma_px must be positive, but came as {sigma_px:g}.")
    least_px = 2 * _radius_px(sigma_px) + 1
    features = partial(_largest_slope, sigma_px=sigma_px)
    local = LocalMeasure(features, first_mean, least_px=least_px)
    return score_whole(images, local, what="steerable")
