"""Simulated focal stacks with known depth, for the tests of depth maps and fusion."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from skimage import data


@dataclass(frozen=True)
class Scene:
    """Noisy planes (z, y, x), the noise-free image in focus everywhere, depth in planes."""

    planes: NDArray[np.float32]
    truth: NDArray[np.float64]
    depth: NDArray[np.float64]


def texture(name: str, size_px: int) -> NDArray[np.float64]:
    """A real image of mean 1, or a flat one."""
    if name == "flat":
        return np.ones((size_px, size_px))
    image = getattr(data, name)()[100 : 100 + size_px, 100 : 100 + size_px].astype(float)
    return image / image.mean()


def surface(name: str, size_px: int, planes: int) -> NDArray[np.float64]:
    """Depth of the specimen in plane numbers."""
    y, x = np.mgrid[:size_px, :size_px] / size_px
    return {
        "tilt": 2.0 + x * (planes - 5.0),
        "step": np.where(x + 0.1 * np.sin(6.0 * y) < 0.5, 4.0, planes - 5.0),
    }[name]


def image_through_focus(
    sharp: NDArray[np.float64],
    depth: NDArray[np.float64],
    *,
    planes: int = 14,
    photons: float = 200.0,
    spread_px: float = 0.9,
    seed: int = 0,
) -> Scene:
    """Blur each layer by its distance from each plane, add the layers, draw photons.

    The layers are a quarter of a plane thick. Light is kept, and spills over depth edges as it
    does in a wide-field microscope.
    """
    layers = np.round(depth * 4.0) / 4.0
    stack = np.zeros((planes, *sharp.shape))
    for level in np.unique(layers):
        part = sharp * (layers == level)
        for z in range(planes):
            sigma = float(np.hypot(0.6, spread_px * abs(z - level)))
            stack[z] += gaussian_filter(part, sigma, mode="reflect", truncate=3.0)
    counts = np.random.default_rng(seed).poisson(np.maximum(stack, 0.0) * photons)
    truth = gaussian_filter(sharp, 0.6, mode="reflect") * photons
    return Scene(counts.astype(np.float32), truth, layers)


@pytest.fixture(scope="session")
def make_scene() -> Callable[..., Scene]:
    """Make (and remember) a scene from the names of a texture and of a surface."""
    made: dict[tuple[object, ...], Scene] = {}

    def make(
        name: str, shape: str, *, size_px: int = 192, planes: int = 14, photons: float = 200.0
    ) -> Scene:
        key = (name, shape, size_px, planes, photons)
        if key not in made:
            made[key] = image_through_focus(
                texture(name, size_px),
                surface(shape, size_px, planes),
                planes=planes,
                photons=photons,
            )
        return made[key]

    return make
