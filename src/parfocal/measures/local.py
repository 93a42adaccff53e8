"""Measures that are functions of window means: one definition for a score and for a map."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from parfocal.core.shapes import Images, Scores, require_images


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
        columns j .. j + dx_k; on a decimated grid, from rows pitch_px * i .. onwards.
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
    """Score whole images by a local measure, with float64 sums.

    Raises
    ------
    ShapeError
        If the images are smaller than ``local.least_px``, or than ``least_y`` x ``least_x``
        where these are given.
    """
    require_images(
        images, least_y=least_y or local.least_px, least_x=least_x or local.least_px, what=what
    )
    features = local.features(images)
    means = tuple(feature.mean(dim=(-2, -1), dtype=torch.float64) for feature in features)
    return local.finish(means).to(images.dtype)


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
