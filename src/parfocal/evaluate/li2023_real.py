"""Masks of recorded stacks against the plane at which each region's contrast is largest."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch.nn import functional

from parfocal.core.results import FocusMasks
from parfocal.core.stack import FocalStack
from parfocal.evaluate.li2023 import Method
from parfocal.measures.maps import focus_map

TILE_PX = 32
LEAST_COVERAGE = 0.02
SHOWN = 3
SHOWN_PX = 320


@dataclass(frozen=True, eq=False, kw_only=True)
class Picture:
    """One plane as it is shown, and its mask, both thinned alike."""

    plane: int
    image: Float[np.ndarray, "v u"]
    mask: Bool[np.ndarray, "v u"]


@dataclass(frozen=True, eq=False, kw_only=True)
class RealRow:
    """What one method says of one recorded stack.

    Parameters
    ----------
    status, reason
        Of the masks; without an answer there are no numbers.
    tiles
        Squares of 32 px with at least 2 % of their pixels in focus in some plane.
    within_one
        Share of them whose plane with most in focus is at most one from the plane with the largest
        contrast (Brenner's, which no rule here thresholds but its own).
    median_planes
        Median distance of these planes.
    coverage
        Share of all pixels that is in focus.
    seconds
        It took.
    pictures
        Planes to show.
    """

    stack: str
    method: str
    status: str
    reason: str
    tiles: int
    within_one: float | None
    median_planes: float | None
    coverage: float
    seconds: float
    pictures: tuple[Picture, ...]


def judge_real(stack: FocalStack, method: Method, *, measure: str = "brenner") -> RealRow:
    """Segment a recorded stack, and see whether its regions are in focus where contrast peaks."""
    began = time.perf_counter()
    masks = method.segment(stack)
    seconds = time.perf_counter() - began
    away = plane_distances(stack, masks.masks, measure=measure) if masks.found else np.zeros(0)
    return RealRow(
        stack=stack.name,
        method=method.name,
        status=str(masks.status),
        reason=masks.reason,
        tiles=len(away),
        within_one=float((away <= 1).mean()) if len(away) else None,
        median_planes=float(np.median(away)) if len(away) else None,
        coverage=float(masks.masks.mean()),
        seconds=seconds,
        pictures=_pictures(stack, masks),
    )


def plane_distances(
    stack: FocalStack,
    masks: Bool[np.ndarray, "z y x"],
    *,
    measure: str = "brenner",
    tile_px: int = TILE_PX,
) -> Float[np.ndarray, " tile"]:
    """Planes between the largest contrast of each region and the plane with most of it in focus.

    Parameters
    ----------
    stack, masks
        Images and what is in focus of them.
    measure
        Of contrast, a name in ``parfocal.measures.CATALOG``.
    tile_px
        Side of the square regions; the images' own where they are smaller.

    Returns
    -------
    One distance for each region with at least 2 % of its pixels in focus in some plane.

    Examples
    --------
    >>> from scipy.ndimage import gaussian_filter
    >>> grey = np.random.default_rng(0).random((64, 64)) * 1000
    >>> stack = FocalStack.of([gaussian_filter(grey, 1 + abs(z - 2)) for z in range(5)])
    >>> masks = np.zeros(stack.shape, dtype=bool)
    >>> masks[3, :32, :32] = True
    >>> plane_distances(stack, masks)
    array([1.])
    """
    side = min(tile_px, *stack.shape[1:])
    curves = np.stack([
        np.asarray(focus_map(stack.read_counts(number), measure, side, side))
        for number in range(stack.shape[0])
    ])  # fmt: skip
    covered = functional.avg_pool2d(torch.from_numpy(masks)[:, None].float(), side)[:, 0].numpy()
    used = (covered.max(0) >= LEAST_COVERAGE) & np.isfinite(curves).all(0)
    sharpest, fullest = curves[:, used].argmax(0), _middle_of_fullest(covered[:, used])
    away: np.ndarray = np.abs(sharpest - fullest)
    return away


def _middle_of_fullest(covered: Float[np.ndarray, "z tile"]) -> Float[np.ndarray, " tile"]:
    """The plane with the largest coverage; of equal ones, the middle."""
    full = covered >= covered.max(0, keepdims=True) - 1e-9
    numbers = np.arange(len(covered))[:, None]
    middle: np.ndarray = (numbers * full).sum(0) / np.maximum(full.sum(0), 1)
    return middle


def _pictures(stack: FocalStack, masks: FocusMasks) -> tuple[Picture, ...]:
    """The fullest plane, and one a quarter of the stack to either side."""
    planes = stack.shape[0]
    middle = int(masks.coverage.argmax()) if masks.found else planes // 2
    apart = max(1, planes // 5)
    chosen = sorted({min(max(middle + k * apart, 0), planes - 1) for k in range(-1, SHOWN - 1)})
    skip = max(1, -(-max(stack.shape[1:]) // SHOWN_PX))
    return tuple(
        Picture(
            plane=number,
            image=np.asarray(stack.read_counts(number), np.float64)[::skip, ::skip],
            mask=masks.masks[number, ::skip, ::skip],
        )
        for number in chosen
    )
