"""Focal stacks whose focus is known: real images, brought out of focus by known amounts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, gaussian_laplace
from skimage import color, data

from parfocal.core.setup import OpticalSetup
from parfocal.core.stack import FocalStack
from parfocal.evaluate.fields import KnownFocus

SETUP = OpticalSetup(na=0.5, wavelength_nm=550, pixel_um=0.5)
"""The optics as which the demonstration's stacks are made: 2.2 um depth of field."""

SHIPPED_TRIALS = 7
"""How many stacks ``shipped_trials`` makes."""

Sharp = Float[np.ndarray, "y x"]
Counts = NDArray[np.uint16]


@dataclass(frozen=True, kw_only=True)
class Camera:
    """How light becomes counts: photons at full brightness, read noise, offset."""

    photons: float = 4000.0
    read_noise: float = 2.0
    offset: float = 100.0

    def expose(self, light: Sharp, generator: np.random.Generator) -> Counts:
        """Take light in shares of full brightness and give counts with shot and read noise."""
        mean = np.maximum(light, 0.0) * self.photons
        noise = generator.standard_normal(light.shape) * np.sqrt(mean + self.read_noise**2)
        counts: Counts = np.clip(np.rint(mean + noise + self.offset), 0, 65535).astype(np.uint16)
        return counts


def blurred(sharp: Sharp, defocus_um: float, setup: OpticalSetup = SETUP) -> Sharp:
    """Blur by a Gaussian as wide as the cone of light is at this defocus.

    The cone of half-angle NA has radius |defocus| * NA; half of that is the standard deviation.

    Examples
    --------
    >>> spot = np.zeros((65, 65)); spot[32, 32] = 1.0
    >>> bool(blurred(spot, 0.0)[32, 32] == 1.0), bool(blurred(spot, 8.0)[32, 32] < 0.05)
    (True, True)
    """
    sigma_px = abs(defocus_um) * setup.na / 2.0 / setup.pixel_um
    return gaussian_filter(sharp, sigma_px, mode="nearest") if sigma_px > 0 else sharp


def blurred_stack(
    sharp: Sharp,
    z_um: Float[np.ndarray, " z"],
    focus_um: float,
    *,
    generator: np.random.Generator,
    camera: Camera | None = None,
) -> Counts:
    """Counts (z, y, x) of a flat object in focus at ``focus_um``; blur grows with defocus."""
    taken = camera or Camera()
    planes = [taken.expose(blurred(sharp, float(z) - focus_um), generator) for z in z_um]
    return np.stack(planes)


def tilted_stack(
    sharp: Sharp,
    z_um: Float[np.ndarray, " z"],
    focus_um: float,
    *,
    rise_um: float,
    generator: np.random.Generator,
) -> Counts:
    """The same for an object that rises by ``rise_um`` from the left edge to the right."""
    height = focus_um + rise_um * np.linspace(-0.5, 0.5, sharp.shape[1])
    levels = np.linspace(0.0, float(np.max(np.abs(z_um[:, None] - height))), 25)
    pile = np.stack([blurred(sharp, level) for level in levels])
    columns = np.arange(sharp.shape[1])
    planes = []
    for z in z_um:
        place = np.abs(z - height) / levels[1]
        lower = np.minimum(place.astype(int), len(levels) - 2)
        share = place - lower
        light = pile[lower, :, columns] * (1 - share)[:, None]
        light += pile[lower + 1, :, columns] * share[:, None]
        planes.append(Camera().expose(light.T, generator))
    return np.stack(planes)


def phase_stack(
    sharp: Sharp,
    z_um: Float[np.ndarray, " z"],
    focus_um: float,
    *,
    generator: np.random.Generator,
) -> Counts:
    """Counts of a phase object: contrast reverses at focus, and blur takes it away far off."""
    curvature = gaussian_laplace(sharp, 2.0, mode="nearest")
    curvature /= np.abs(curvature).max()
    planes = []
    for z in z_um:
        defocus = float(z) - focus_um
        light = 0.5 * (1.0 + 0.25 * defocus * blurred(curvature, defocus / 3.0))
        planes.append(Camera().expose(light, generator))
    return np.stack(planes)


def _stack(counts: Counts, z_um: NDArray[np.float64], name: str, source: str) -> FocalStack:
    return FocalStack(
        images=counts,
        z_um=z_um,
        pixel_um=SETUP.pixel_um,
        setup=SETUP,
        source=source,
        name=name,
        saturation_counts=65535.0,
    )


def fabricated_trial(*, seed: int = 1) -> tuple[FocalStack, KnownFocus]:
    """A small stack of random blobs with known focus: needs no file."""
    generator = np.random.default_rng(seed)
    sharp = gaussian_filter(generator.random((160, 160)), 1.5)
    sharp = (sharp - sharp.min()) / (sharp.max() - sharp.min())
    z_um = np.arange(0.0, 31.0, 1.5)
    counts = blurred_stack(sharp, z_um, 13.2, generator=generator)
    known = KnownFocus(position=13.2, tolerance=0.75)
    return _stack(counts, z_um, "self-test", "fabricated"), known


def shipped_images() -> dict[str, Sharp]:
    """Microscope images inside scikit-image's wheel, as shares of full brightness."""
    load: Any = data
    cell = np.asarray(load.cell(), dtype=np.float64)[40:552, 20:532]
    tissue = color.rgb2gray(load.immunohistochemistry())
    return {"cell": cell / cell.max(), "tissue": tissue / tissue.max()}


def shipped_trials(*, seed: int = 7) -> Iterator[tuple[FocalStack, KnownFocus]]:
    """Stacks made of the images that ship with scikit-image, one after the other."""
    images = shipped_images()
    cell, tissue = images["cell"], images["tissue"]
    generator = np.random.default_rng(seed)
    make: Any = partial(blurred_stack, generator=generator)
    dim = Camera(photons=150.0)
    wide, fine = np.arange(0.0, 42.0, 2.0), np.arange(-6.0, 6.25, 0.5)
    beyond = np.arange(0.0, 21.0, 1.0)
    one = KnownFocus
    flat_field = np.full(tissue.shape, 0.05)
    yield _trial("tissue", make(tissue, fine, 2.15), fine, one(position=2.15, tolerance=0.5))
    yield _trial("cell", make(cell, wide, 13.4), wide, one(position=13.4, tolerance=2.0))
    yield _trial(
        "cell, dim",
        make(cell, wide, 25.0, camera=dim),
        wide,
        one(position=25.0, tolerance=2.0, note="150 photons at most"),
    )
    tilted = tilted_stack(tissue, wide, 20.0, rise_um=16.0, generator=generator)
    note = "the field rises by 16 um from left to right"
    yield _trial("tissue, tilted", tilted, wide, one(position=20.0, tolerance=4.0, note=note))
    yield _trial(
        "cell, focus outside",
        make(cell, beyond, 27.0),
        beyond,
        one(position=None, tolerance=0.0, note="in focus at 27 um, above the stack"),
    )
    yield _trial(
        "empty field",
        make(flat_field, wide, 20.0),
        wide,
        one(position=None, tolerance=0.0, note="nothing but noise"),
    )
    phase = phase_stack(cell, fine, -0.6, generator=generator)
    note = "contrast is least in focus; declining is right, too"
    yield _trial("cell, phase object", phase, fine, one(position=-0.6, tolerance=0.5, note=note))


def _trial(
    name: str, counts: Counts, z_um: NDArray[np.float64], known: KnownFocus
) -> tuple[FocalStack, KnownFocus]:
    return _stack(counts, z_um, name, f"scikit-image, {name}"), known
