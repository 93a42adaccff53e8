"""Measures that are functions of window means: one definition for a score and for a map."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from parfocal.core.shapes import Images, Scores, require_images

# Pixels whose features are held at once: within a CPU's caches and memory, and a GPU's memory.
CHUNK_PX_CPU = 2**21
CHUNK_PX_GPU = 2**26


@dataclass(frozen=True)
class LocalMeasure:
    """A focus measure that is a function of window means of per-pixel features.

    ``focus_map`` averages the features over sliding windows; a kernel averages them over the
    whole image. Both call the same two functions, so that they agree to rounding.

    Parameters
    ----------
    features
        From images (*batch, y, x) to feature images, each (*batch, y - dy_k, x - dx_k): valid
        pixels only, without padding. Feature (i, j) is made from image rows i .. i + dy_k and
        columns j .. j + dx_k. On a decimated grid feature (i, j) is made from rows
        pitch_px * i .. pitch_px * i + dy_k, as many as fit.
    finish
        From the means of the features over a window (float64, same order) to the score.
    pitch_px
        Image pixels per feature pixel; 1 unless the features live on a decimated grid.
    least_px
        Smallest side of an image or window.
    """

    features: Callable[[Tensor], tuple[Tensor, ...]]
    finish: Callable[[tuple[Tensor, ...]], Tensor]
    pitch_px: int = 1
    least_px: int = 1


def score_whole(
    images: Images, local: LocalMeasure, *, what: str, least_y: int = 0, least_x: int = 0
) -> Scores:
    """Score whole images by a local measure, with float64 sums, a few images at a time.

    Raises
    ------
    ShapeError
        If the images are smaller than ``local.least_px``, or than ``least_y`` x ``least_x``
        where these are given.
    """
    require_images(
        images, least_y=least_y or local.least_px, least_x=least_x or local.least_px, what=what
    )
    batch, (size_y, size_x) = images.shape[:-2], images.shape[-2:]
    limit_px = CHUNK_PX_CPU if images.device.type == "cpu" else CHUNK_PX_GPU
    flat, count = images.reshape(-1, size_y, size_x), max(1, limit_px // (size_y * size_x))
    chunks = (flat[first : first + count] for first in range(0, max(1, len(flat)), count))
    scores = [local.finish(_means(local.features(chunk))) for chunk in chunks]
    return torch.cat(scores).reshape(batch).to(images.dtype)


def _means(features: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return tuple(feature.mean(dim=(-2, -1), dtype=torch.float64) for feature in features)


def value_and_square(values: Tensor) -> tuple[Tensor, ...]:
    """Values and their squares in float64, from whose means a variance follows.

    The square of a large camera offset would eat the float32 digits of a small variance.
    """
    wide = values.to(torch.float64)
    return wide, wide.square()


def first_mean(means: tuple[Tensor, ...]) -> Tensor:
    """The mean of the only feature is the score."""
    return means[0]


def sum_of_means(means: tuple[Tensor, ...]) -> Tensor:
    """The means of all features, added."""
    return torch.stack(means).sum(0)


def variance_of_means(means: tuple[Tensor, ...]) -> Tensor:
    """Variance from the means of a feature and of its square; rounding never makes it negative."""
    mean, mean_square = means
    return (mean_square - mean.square()).clamp(min=0.0)


def root(values: Tensor) -> Tensor:
    """Square roots, by NumPy on the CPU: torch would share even a few between its threads."""
    if values.device.type != "cpu" or values.requires_grad:
        return values.sqrt()
    with np.errstate(invalid="ignore"):
        return torch.from_numpy(np.sqrt(values.numpy()))


def without_mean(images: Tensor) -> Tensor:
    """Subtract each image's mean: filters blind to a constant keep more digits without it."""
    return images - images.mean(dim=(-2, -1), keepdim=True)


def weigh_neighbours(images: Tensor, weights: tuple[float, ...], *, axis: int) -> Tensor:
    """Correlate with ``weights`` along one axis (-1 or -2), valid pixels only.

    Weighted sums of shifted views: no convolution library, so no reduced (TF32) precision.
    """
    return weigh_and_decimate(images, weights, axis=axis, pitch_px=1)


def weigh_and_decimate(
    images: Tensor, weights: tuple[float, ...], *, axis: int, pitch_px: int
) -> Tensor:
    """Correlate with ``weights`` along one axis, keeping every ``pitch_px``-th valid position."""
    count = (images.shape[axis] - len(weights)) // pitch_px + 1
    span = pitch_px * (count - 1) + 1
    views = [images.narrow(axis, shift, span) for shift in range(len(weights))]
    if pitch_px > 1:
        views = [
            view[..., ::pitch_px] if axis == -1 else view[..., ::pitch_px, :] for view in views
        ]
    total = views[0] * weights[0]
    for view, weight in zip(views[1:], weights[1:], strict=True):
        total.add_(view, alpha=weight)
    return total
