"""Focus maps of a 20 x 1024 x 1024 uint16 stack, window 128, stride 16."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from skimage.filters import rank

from benchmarks.floor import read_once
from benchmarks.timing import race, verdict
from parfocal.measures import CATALOG, focus_map
from parfocal.measures.windows import Spans, local_scores

WINDOW_PX, STRIDE_PX = 128, 16
SLOWER_THAN_READING = {
    "brenner": 1.5,
    "vollath4": 1.5,
    "vollath5": 1.5,
    "smd": 1.5,
    "smd2": 1.5,
    "variance": 1.5,
    "haar_dwt": 1.5,
    "tenengrad": 2.0,
    "laplacian": 2.0,
    "energy_of_laplacian": 2.0,
    "modified_laplacian": 2.0,
    "entropy": 5.0,
}
FASTER_THAN_ONE_LINER = 100.0


def _mean(values: NDArray[Any]) -> NDArray[Any]:
    middle = slice(WINDOW_PX // 2, -WINDOW_PX // 2 + 1, STRIDE_PX)
    filtered: NDArray[Any] = ndimage.uniform_filter(values, WINDOW_PX)[middle, middle]
    return filtered


def _next(image: NDArray[Any], axis: int, steps: int = 1) -> NDArray[Any]:
    return np.roll(image, -steps, axis)


def _bent(image: NDArray[Any], axis: int) -> NDArray[Any]:
    return np.abs(ndimage.correlate1d(image, [-1, 2, -1], axis))


def _slope(image: NDArray[Any], axis: int) -> NDArray[Any]:
    return np.abs(_next(image, axis) - image)


def _haar(image: NDArray[Any]) -> NDArray[Any]:
    a, b = image[::2, ::2], image[::2, 1::2]
    c, d = image[1::2, ::2], image[1::2, 1::2]
    high = (a - c + b - d) ** 2 + (a - b + c - d) ** 2 + (a - b - c + d) ** 2
    middle = slice(WINDOW_PX // 4, -WINDOW_PX // 4 + 1, STRIDE_PX // 2)
    box = partial(ndimage.uniform_filter, size=WINDOW_PX // 2)
    return np.sqrt(box(high) / box((a + b + c + d) ** 2))[middle, middle]


# The whole-image filters that a user would write, one plane at a time, in float32.
ONE_LINERS: dict[str, Callable[[NDArray[Any]], Any]] = {
    "brenner": lambda f: _mean((_next(f, 1, 2) - f) ** 2),
    "vollath4": lambda f: _mean(f * _next(f, 1)) - _mean(f * _next(f, 1, 2)),
    "vollath5": lambda f: _mean(f * _next(f, 1)) - _mean(f) ** 2,
    "smd": lambda f: _mean(_slope(f, 0) + _slope(f, 1)),
    "smd2": lambda f: _mean(_slope(f, 0) * _slope(f, 1)),
    "variance": lambda f: _mean(f * f) - _mean(f) ** 2,
    "haar_dwt": _haar,
    "tenengrad": lambda f: _mean(ndimage.sobel(f, 0) ** 2 + ndimage.sobel(f, 1) ** 2),
    "laplacian": lambda f: _mean(np.abs(ndimage.laplace(f))),
    "energy_of_laplacian": lambda f: _mean(ndimage.laplace(f) ** 2),
    "modified_laplacian": lambda f: _mean(_bent(f, 0) + _bent(f, 1)),
    "entropy": lambda f: rank.entropy(
        (f / f.max() * 255).astype(np.uint8), np.ones((WINDOW_PX, WINDOW_PX))
    )[::STRIDE_PX, ::STRIDE_PX],
}


def _by_torch(stack: NDArray[Any], name: str) -> torch.Tensor | None:
    local = CATALOG[name].local_measure
    if local is None:
        return None
    rows, columns = (Spans.inside(size, WINDOW_PX, STRIDE_PX) for size in stack.shape[-2:])
    planes = (torch.from_numpy(plane.astype(np.float32)) for plane in stack)
    return torch.stack([local_scores(plane, local, rows, columns) for plane in planes])


def print_maps(*, quick: bool) -> None:
    """Every measure against the read floor, a scipy or scikit-image one-liner, and torch."""
    planes = 20
    stack = np.random.default_rng(0).poisson(1000, (planes, 1024, 1024)).astype(np.uint16)
    maps = {name: partial(focus_map, stack, name, WINDOW_PX, STRIDE_PX) for name in ONE_LINERS}
    ours = race({"read": partial(read_once, stack), **maps}, 7 if quick else 41)
    few = stack[:1]
    liners = {
        name: partial(lambda run: [run(plane.astype(np.float32)) for plane in few], run)
        for name, run in ONE_LINERS.items()
        if not (quick and name == "entropy")  # half a minute a plane
    }
    slow = race(liners, 1, share=1 / planes)
    torches = {name: partial(_by_torch, stack, name) for name in ONE_LINERS if name != "entropy"}
    other = race(torches, 1 if quick else 3)
    print(f"Focus maps, {planes} x 1024 x 1024 uint16, window {WINDOW_PX}, stride {STRIDE_PX}")
    print(f"read floor {ours['read'].wall_ms:.2f} ms by the clock. Ratios in processor time of all")
    print("threads; 'clock' is the ratio to the floor by the clock (load flatters it)")
    print(f"{'measure':22}{'ms':>8}  {'x floor':22}{'clock':>5}  {'x one-liner':26}{'x torch':>8}")
    for name, target in SLOWER_THAN_READING.items():
        floor = verdict(ours[name].over(ours["read"]), target, at_most=True)
        clock = ours[name].over_by_clock(ours["read"])
        liner = f"{'(not in a quick run)':>24}"
        if name in slow:
            liner = verdict(slow[name].over(ours[name]), FASTER_THAN_ONE_LINER, at_most=False)
        torch_ratio = f"{other[name].over(ours[name]):8.1f}" if name in other else f"{'-':>8}"
        print(
            f"{name:22}{ours[name].wall_ms:8.2f}  {floor:22}{clock:5.1f}  {liner:26}{torch_ratio}"
        )
