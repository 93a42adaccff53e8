"""Masks by rule of a 20 x 1024 x 1024 stack, beside the public notebook's loops of [Li2023]."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage import filters

from benchmarks.timing import race, verdict
from parfocal.core.setup import OpticalSetup
from parfocal.core.stack import FocalStack
from parfocal.measures.maps import LI2023_STRIDES_PX
from parfocal.segment import in_focus
from parfocal.segment.pixel_maps import plan_maps, score_windows
from parfocal.segment.weak_labels import weak_labels

PLANES, SIZE_PX, WINDOW_PX = 20, 1024, 128
SETUP = OpticalSetup(na=0.75, wavelength_nm=530, pixel_um=0.325)
TARGET = 1000.0

Scorer = Callable[[NDArray[Any]], float]


def _brenner(window: NDArray[Any]) -> float:
    total = 0.0
    for y in range(window.shape[0]):
        for x in range(window.shape[1] - 2):
            total += (float(window[y, x + 2]) - float(window[y, x])) ** 2
    return total / (window.shape[0] * (window.shape[1] - 2))


def _vollath(window: NDArray[Any]) -> float:
    one = two = 0.0
    for y in range(window.shape[0]):
        row = window[y].astype(np.float64)
        for x in range(window.shape[1] - 1):
            one += (row[x + 1] - row[x]) ** 2
        for x in range(window.shape[1] - 2):
            two += (row[x + 2] - row[x]) ** 2
    size_y, size_x = window.shape
    return 0.5 * (two / (size_y * (size_x - 2)) - one / (size_y * (size_x - 1)))


def _smd(window: NDArray[Any]) -> float:
    along_x = along_y = 0.0
    for y in range(window.shape[0]):
        for x in range(window.shape[1] - 1):
            along_x += abs(float(window[y, x + 1]) - float(window[y, x]))
    for y in range(window.shape[0] - 1):
        for x in range(window.shape[1]):
            along_y += abs(float(window[y + 1, x]) - float(window[y, x]))
    size_y, size_x = window.shape
    return along_x / (size_y * (size_x - 1)) + along_y / ((size_y - 1) * size_x)


def _std(window: NDArray[Any]) -> float:
    return float(np.std(window))


def _variance(window: NDArray[Any]) -> float:
    return float(np.var(window))


LOOPS: dict[str, Scorer] = {
    "std": _std,
    "variance": _variance,
    "brenner": _brenner,
    "vollath4": _vollath,
    "smd": _smd,
}
"""One window's score, as the notebook goes about it: NumPy for two, loops over pixels for three.

The formulas are those of the measure catalogue, so that both ways make the same map.
"""


def notebook_map(
    plane: NDArray[Any],
    score: Scorer,
    window_px: int = WINDOW_PX,
    strides_px: tuple[int, ...] = LI2023_STRIDES_PX,
) -> NDArray[np.float64]:
    """The notebook's way: cut out each window, score it, add a patch of ones times the score."""
    maps = []
    for stride in strides_px:
        total = np.zeros(plane.shape)
        for y in range(0, plane.shape[0], stride):
            for x in range(0, plane.shape[1], stride):
                window = plane[y : y + window_px, x : x + window_px]
                patch = np.ones(window.shape) * score(window)
                here = total[y : y + window_px, x : x + window_px]
                total[y : y + window_px, x : x + window_px] = patch + here
        maps.append(total)
    best: NDArray[np.float64] = np.max(np.asarray(maps), axis=0)
    return best


def rule_maps(
    stack: NDArray[Any], measure: str, strides_px: tuple[int, ...] = LI2023_STRIDES_PX
) -> NDArray[np.float32]:
    """The same maps by parfocal, every pixel of every plane."""
    field = FocalStack.of(stack)
    plan = plan_maps(stack.shape[1:], [WINDOW_PX], strides_px, centred=False, overlap="sum")
    scores = score_windows(field, measure, plan)
    maps = np.empty(stack.shape, np.float32)
    for z in range(len(stack)):
        maps[z] = plan.to_pixels(plan.cells([score[z] for score in scores]))
    return maps


def _notebook_seconds(plane: NDArray[Any], score: Scorer, strides_px: tuple[int, ...]) -> float:
    """Time for the whole stack from a part of its windows: whole ones, at every stride's share."""
    windows = sum(len(range(0, SIZE_PX, stride)) ** 2 for stride in strides_px)
    total = np.zeros(plane.shape)
    places = np.random.default_rng(0).integers(0, SIZE_PX - WINDOW_PX, (4096, 2))
    start, done = time.process_time(), 0
    for y, x in places:
        window = plane[y : y + WINDOW_PX, x : x + WINDOW_PX]
        patch = np.ones(window.shape) * score(window)
        here = total[y : y + WINDOW_PX, x : x + WINDOW_PX]
        total[y : y + WINDOW_PX, x : x + WINDOW_PX] = patch + here
        done += 1
        if done >= 8 and time.process_time() - start > 2.0:
            break
    # Windows cut off at the far borders are cheaper: count each by its pixels.
    share = np.mean([np.minimum(WINDOW_PX, SIZE_PX - np.arange(0, SIZE_PX, s)).mean() ** 2
                     for s in strides_px]) / WINDOW_PX**2  # fmt: skip
    return (time.process_time() - start) / done * windows * float(share) * PLANES


def _stack() -> NDArray[np.uint8]:
    """Texture, sharp in a plane that changes along x, as the notebook's 8-bit images."""
    rng = np.random.default_rng(0)
    sharp = filters.gaussian(rng.random((SIZE_PX, SIZE_PX)), 1.0)
    blurred = filters.gaussian(sharp, 6.0)
    depth = np.linspace(0, PLANES - 1, SIZE_PX)
    planes = []
    for z in range(PLANES):
        share = np.exp(-0.5 * ((depth - z) / 2.0) ** 2)
        planes.append(share * sharp + (1 - share) * blurred)
    stack = np.stack(planes)
    scaled = 200 * (stack - stack.min()) / np.ptp(stack) + rng.normal(10, 1, stack.shape)
    return np.clip(np.rint(scaled), 0, 255).astype(np.uint8)


def print_segment(*, quick: bool) -> None:
    """Maps as published and masks, against the notebook's loops on a part of the windows."""
    stack = _stack()
    rounds = 1 if quick else 5
    print(f"Masks by rule, {PLANES} x {SIZE_PX} x {SIZE_PX} uint8, windows of {WINDOW_PX} px")
    print("Processor time of all threads; the notebook's loops on a part of the windows, for 2 s,")
    print("and scaled to all of them.")
    print(f"{'maps of measure, strides':34}{'notebook s':>11}{'ours s':>9}  ratio")
    for strides, label in (((16,), "16"), (LI2023_STRIDES_PX, "8 ... 36")):
        ours = race({n: partial(rule_maps, stack, n, strides) for n in LOOPS}, rounds)
        whole = np.zeros(2)
        for name, score in LOOPS.items():
            slow = _notebook_seconds(stack[PLANES // 2], score, strides)
            fast = statistics.median(ours[name].cpu_s)
            whole += slow, fast
            ratio = verdict(slow / fast, TARGET, at_most=False)
            print(f"{name + ', ' + label:34}{slow:11.1f}{fast:9.3f}  {ratio}")
        ratio = verdict(whole[0] / whole[1], TARGET, at_most=False)
        print(f"{'all five, ' + label:34}{whole[0]:11.1f}{whole[1]:9.3f}  {ratio}")
    field = FocalStack.of(stack, z_um=SETUP.depth_of_field_um * np.arange(PLANES), setup=SETUP)
    runs: dict[str, Callable[[], object]] = {
        "weak_labels(stack)": partial(weak_labels, stack),
        "weak_labels(stack, mode='li2023')": partial(weak_labels, stack, mode="li2023"),
        "in_focus(stack), by network": partial(in_focus, field),
        "writing the maps, float32, once": partial(np.ones, stack.shape, np.float32),
    }
    for name, timing in race(runs, min(rounds, 3)).items():
        clock = f"; {timing.wall_ms / 1000:.3f} by the clock"
        print(f"{name:34}{'':11}{statistics.median(timing.cpu_s):9.3f}{clock}")
