"""Images of simulated specimens at a known distance from focus, for the focus quality.

Independent of the code under test: a pupil is transformed to a point-spread function on a grid
three times as fine as the camera's, the specimen is convolved with it, the camera's square pixels
add up what falls on them, and photons are drawn.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from parfocal.core.setup import OpticalSetup

FINE = 3
KINDS = ("beads", "texture", "filaments", "nuclei", "spots")
OBJECTIVES = ((0.3, 1.0), (0.5, 1.0), (0.75, 1.0), (0.95, 1.0), (1.2, 1.33), (1.4, 1.515))


@dataclass(frozen=True)
class Scene:
    """One image to be made: what, through which optics, how far from focus."""

    kind: str
    setup: OpticalSetup
    defocus_dof: float
    seed: int = 0
    photons: float = 300.0
    background: float = 0.3
    spherical_waves: float = 0.0
    size_px: int = 256

    def at(self, defocus_dof: float) -> Scene:
        """The same specimen at another distance from focus."""
        return replace(self, defocus_dof=defocus_dof)


def draw_scene(seed: int, *, farthest_dof: float = 6.0, size_px: int = 256) -> Scene:
    """Draw everything at random; one scene in five is exactly in focus."""
    rng = np.random.default_rng(seed)
    na, index = OBJECTIVES[rng.integers(len(OBJECTIVES))]
    wavelength_nm = rng.uniform(450, 650)
    pixel_um = rng.uniform(0.5, 1.95) * wavelength_nm / 4000 / na
    return Scene(
        kind=str(rng.choice(KINDS)),
        setup=OpticalSetup(
            na=na, wavelength_nm=wavelength_nm, pixel_um=pixel_um, immersion_index=index
        ),
        defocus_dof=rng.choice([-1, 1]) * rng.uniform(0, farthest_dof) * (rng.random() < 0.8),
        seed=seed,
        photons=10 ** rng.uniform(1, 3.3),
        background=rng.uniform(0, 0.6),
        spherical_waves=rng.uniform(-0.1, 0.1),
        size_px=size_px,
    )


def image(scene: Scene, *, gain: float = 2.0, offset: float = 100.0) -> NDArray[np.float64]:
    """Camera counts of a scene: gain * photons + offset, with read noise of 1.5 photons."""
    rng = np.random.default_rng(scene.seed)
    size = scene.size_px * FINE
    specimen = _specimen(scene, size, rng)
    light = np.fft.ifft2(np.fft.fft2(specimen) * np.fft.fft2(_point_spread(scene, size))).real
    pixels = light.reshape(scene.size_px, FINE, scene.size_px, FINE).mean((1, 3))
    expected = np.maximum(pixels, 0) / np.percentile(pixels, 99.9) * scene.photons
    photons = rng.poisson(expected + scene.background * scene.photons)
    return gain * (photons + rng.normal(0, 1.5, photons.shape)) + offset


def _point_spread(scene: Scene, size: int) -> NDArray[np.float64]:
    """Scalar, high-aperture: an angular spectrum cut off by the pupil."""
    setup = scene.setup
    frequency = np.fft.fftfreq(size, setup.pixel_um / FINE)
    r2 = frequency[:, None] ** 2 + frequency**2
    edge2 = (setup.na / setup.wavelength_um) ** 2
    axial = np.sqrt(np.maximum((setup.immersion_index / setup.wavelength_um) ** 2 - r2, 0))
    rho2 = r2 / edge2
    waves = axial * scene.defocus_dof * setup.depth_of_field_um
    waves = waves + scene.spherical_waves * (6 * rho2**2 - 6 * rho2 + 1)
    psf = np.abs(np.fft.ifft2((rho2 <= 1) * np.exp(2j * np.pi * waves))) ** 2
    return psf / psf.sum()


def _specimen(scene: Scene, size: int, rng: np.random.Generator) -> NDArray[np.float64]:
    resolution = scene.setup.lateral_resolution_um / scene.setup.pixel_um * FINE
    if scene.kind == "beads":
        return _points(size, int(rng.integers(3, 400)), rng)
    if scene.kind == "spots":
        sigma = rng.uniform(0.2, 0.6) * resolution
        frequency2 = np.fft.fftfreq(size)[:, None] ** 2 + np.fft.fftfreq(size) ** 2
        soft = np.exp(-2 * np.pi**2 * sigma**2 * frequency2)
        points = _points(size, int(rng.integers(5, 200)), rng)
        return np.maximum(np.fft.ifft2(np.fft.fft2(points) * soft).real, 0)
    makers = {"texture": _texture, "filaments": _filaments}
    if scene.kind in makers:
        return makers[scene.kind](size, rng)
    return _nuclei(size, resolution, rng)


def _points(size: int, count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    specimen = np.zeros((size, size))
    where = (rng.integers(0, size, count), rng.integers(0, size, count))
    np.add.at(specimen, where, rng.lognormal(0, 0.6, count))
    return specimen


def _texture(size: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Noise whose power falls with frequency to the power 1.4 .. 3.2."""
    radius = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.fftfreq(size))
    radius[0, 0] = 1
    spectrum = np.fft.fft2(rng.normal(size=(size, size))) / radius ** rng.uniform(0.7, 1.6)
    grey = np.fft.ifft2(spectrum).real
    return np.maximum(grey - np.quantile(grey, 0.02), 0)


def _filaments(size: int, rng: np.random.Generator) -> NDArray[np.float64]:
    count, steps = int(rng.integers(8, 60)), int(size * 0.7)
    angle = rng.uniform(0, 2 * np.pi, (count, 1)) + rng.normal(0, 0.04, (count, steps)).cumsum(1)
    y = rng.uniform(0, size, (count, 1)) + np.sin(angle).cumsum(1)
    x = rng.uniform(0, size, (count, 1)) + np.cos(angle).cumsum(1)
    specimen = np.zeros((size, size))
    np.add.at(specimen, (y.astype(int) % size, x.astype(int) % size), 1)
    return specimen


def _nuclei(size: int, resolution: float, rng: np.random.Generator) -> NDArray[np.float64]:
    grain = _texture(size, rng)
    grain = 0.3 + grain / grain.max()
    yy, xx = np.mgrid[:size, :size]
    specimen = np.zeros((size, size))
    for _ in range(int(rng.integers(8, 40))):
        y, x = rng.uniform(0, size, 2)
        long, short = rng.uniform(4, 15, 2) * resolution
        turn = rng.uniform(0, np.pi)
        u = (xx - x) * np.cos(turn) + (yy - y) * np.sin(turn)
        v = (yy - y) * np.cos(turn) - (xx - x) * np.sin(turn)
        inside = (u / long) ** 2 + (v / short) ** 2 < 1
        specimen = np.maximum(specimen, inside * grain * rng.uniform(0.3, 1))
    return specimen
