"""Focus measures from second differences of neighbouring pixels."""

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
    value_and_square,
    variance_of_means,
)


def _bend(images: Tensor, *, step_y: int, step_x: int) -> Tensor:
    """2 I(p) - I(p - step) - I(p + step) where both neighbours lie inside the image."""
    size_y, size_x = images.shape[-2:]
    rows, columns = size_y - 2 * step_y, size_x - 2 * abs(step_x)
    left, right = (0, 2 * step_x) if step_x >= 0 else (-2 * step_x, 0)
    middle = images[..., step_y : step_y + rows, abs(step_x) : abs(step_x) + columns]
    before = images[..., :rows, left : left + columns]
    after = images[..., 2 * step_y : 2 * step_y + rows, right : right + columns]
    return middle * 2.0 - before - after


def five_point_laplacian(images: Tensor) -> Tensor:
    """Second differences along x and y, added: weights 1, 1, -4, 1, 1; valid pixels only."""
    along_x = _bend(images, step_y=0, step_x=1)[..., 1:-1, :]
    along_y = _bend(images, step_y=1, step_x=0)[..., :, 1:-1]
    return -(along_x + along_y)


def _modulus(images: Tensor) -> tuple[Tensor, ...]:
    return (five_point_laplacian(images).abs(),)


def _energy(images: Tensor) -> tuple[Tensor, ...]:
    return (five_point_laplacian(images).square(),)


def _value(images: Tensor) -> tuple[Tensor, ...]:
    return value_and_square(five_point_laplacian(images))


def _axes_moduli(images: Tensor, *, step_px: int, threshold: float) -> tuple[Tensor, ...]:
    inside = slice(step_px, -step_px)
    along_x = _bend(images, step_y=0, step_x=step_px)[..., inside, :].abs()
    along_y = _bend(images, step_y=step_px, step_x=0)[..., :, inside].abs()
    total = along_x + along_y
    # Written so that NaN stays NaN.
    return (total if threshold <= 0 else torch.where(total < threshold, 0.0, total),)


def _axes_and_diagonals(images: Tensor) -> tuple[Tensor, ...]:
    (axes,) = _axes_moduli(images, step_px=1, threshold=0.0)
    falling = _bend(images, step_y=1, step_x=1).abs()
    rising = _bend(images, step_y=1, step_x=-1).abs()
    return (axes + (falling + rising) / math.sqrt(2.0),)


LAPLACIAN = LocalMeasure(_modulus, first_mean, least_px=3)
ENERGY_OF_LAPLACIAN = LocalMeasure(_energy, first_mean, least_px=3)
MODIFIED_LAPLACIAN = LocalMeasure(
    partial(_axes_moduli, step_px=1, threshold=0.0), first_mean, least_px=3
)
DIAGONAL_LAPLACIAN = LocalMeasure(_axes_and_diagonals, first_mean, least_px=3)
VARIANCE_OF_LAPLACIAN = LocalMeasure(_value, variance_of_means, least_px=3)


@on_any_array
def laplacian(images: Images) -> Scores:
    """Score focus by the mean absolute Laplacian [Pertuz2013]_.

    Larger is sharper. Reacts to the finest detail, and so to noise.

    Parameters
    ----------
    images
        Intensities, in counts.

    Returns
    -------
    One score per image, in counts: mean(abs(Ixx + Iyy)), weights 1, 1, -4, 1, 1.

    Notes
    -----
    Laws: offset-free, gain-linear, mirror-free, batch-free, blur-monotonic.

    Errata: equation 3 of [Li2023]_ adds abs(Ixx) and abs(Iyy), which is ``modified_laplacian``;
    its public code takes the variance of the Laplacian of an image cut to 8 bits, which is
    ``variance_of_laplacian`` after a loss of grey levels.

    Examples
    --------
    >>> import torch
    >>> image = torch.zeros(3, 3)
    >>> image[1, 1] = 2.0
    >>> laplacian(image)
    tensor(8.)
    """
    return score_whole(images, LAPLACIAN, what="laplacian")


@on_any_array
def energy_of_laplacian(images: Images) -> Scores:
    """Score focus by the mean squared Laplacian [Subbarao1993]_.

    Larger is sharper. As ``laplacian``, with the strongest detail weighing most.

    Parameters
    ----------
    images
        Intensities, in counts.

    Returns
    -------
    One score per image, in counts squared: mean((Ixx + Iyy)^2), weights 1, 1, -4, 1, 1.

    Notes
    -----
    Laws: offset-free, gain-squared, mirror-free, batch-free, blur-monotonic.

    Examples
    --------
    >>> import torch
    >>> image = torch.zeros(3, 3)
    >>> image[1, 1] = 2.0
    >>> energy_of_laplacian(image)
    tensor(64.)
    """
    return score_whole(images, ENERGY_OF_LAPLACIAN, what="energy_of_laplacian")


@on_any_array
def modified_laplacian(images: Images, *, step_px: int = 1, threshold: float = 0.0) -> Scores:
    """Score focus by the mean modified Laplacian [Nayar1994]_.

    Larger is sharper. Bends along x and y cannot cancel, as they do in the plain Laplacian.

    Parameters
    ----------
    images
        Intensities, in counts.
    step_px
        Distance to the neighbours that are compared; larger for coarse texture.
    threshold
        Pixels whose modified Laplacian is below it (in counts) count as zero.

    Returns
    -------
    One score per image, in counts: mean(abs(2I - I(x-s) - I(x+s)) + abs(2I - I(y-s) - I(y+s))).

    Notes
    -----
    Laws: offset-free, gain-linear (with threshold 0), mirror-free, batch-free, blur-monotonic.

    Examples
    --------
    >>> import torch
    >>> saddle = torch.tensor([[0.0, -1.0, 0.0], [1.0, 0.0, 1.0], [0.0, -1.0, 0.0]])
    >>> modified_laplacian(saddle)
    tensor(4.)
    """
    if step_px < 1:
        raise InputError(f"step_px must be 1 or more, but came as {step_px}.")
    features = partial(_axes_moduli, step_px=step_px, threshold=threshold)
    local = LocalMeasure(features, first_mean, least_px=2 * step_px + 1)
    return score_whole(images, local, what="modified_laplacian")


@on_any_array
def diagonal_laplacian(images: Images) -> Scores:
    """Score focus by the modified Laplacian with both diagonals added [Thelen2009]_.

    Larger is sharper. Sees edges of every direction more evenly than ``modified_laplacian``.

    Parameters
    ----------
    images
        Intensities, in counts.

    Returns
    -------
    One score per image, in counts: the modified Laplacian plus the bends along the two
    diagonals, each divided by sqrt(2).

    Notes
    -----
    Laws: offset-free, gain-linear, mirror-free, batch-free, blur-monotonic.

    Examples
    --------
    >>> import torch
    >>> image = torch.zeros(3, 3)
    >>> image[1, 1] = 1.0
    >>> diagonal_laplacian(image)
    tensor(6.8284)
    """
    return score_whole(images, DIAGONAL_LAPLACIAN, what="diagonal_laplacian")


@on_any_array
def variance_of_laplacian(images: Images) -> Scores:
    """Score focus by the variance of the Laplacian [PechPacheco2000]_.

    Larger is sharper. Widely used on photographs; needs low noise.

    Parameters
    ----------
    images
        Intensities, in counts.

    Returns
    -------
    One score per image, in counts squared: var(Ixx + Iyy), weights 1, 1, -4, 1, 1.

    Notes
    -----
    Laws: offset-free, gain-squared, mirror-free, batch-free, blur-monotonic.

    The source takes the variance of the Laplacian's modulus and scales its weights by 1/6; the
    signed Laplacian used here is what the field's programs compute.

    Examples
    --------
    >>> import torch
    >>> variance_of_laplacian(torch.arange(16.0).square().expand(16, 16))
    tensor(0.)
    """
    return score_whole(images, VARIANCE_OF_LAPLACIAN, what="variance_of_laplacian")
