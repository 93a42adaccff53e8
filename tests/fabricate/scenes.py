"""Focal stacks with known focus, by a scalar pupil and FFTs that share nothing with src."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from parfocal.core.stack import FocalStack

Images = NDArray[np.float64]
Counts = NDArray[np.uint16]
ALL_KINDS = ("beads", "texture", "filaments", "nuclei")


@dataclass(frozen=True)
class Scene:
    """Counts (z, y, x) and the truth: focus in plane numbers, step in depths of field."""

    counts: Counts
    focus: float
    step_dof: float
    kind: str

    @property
    def stack(self) -> FocalStack:
        return FocalStack.of(self.counts, z_step_um=1.0, name=self.kind)


def fluorescent_scene(
    seed: int,
    *,
    size: int = 128,
    planes: int | None = None,
    step_dof: float | None = None,
    photons: float | None = None,
    kind: str | None = None,
) -> Scene:
    """Widefield stack of one random layer under a random objective, with camera noise."""
    rng = np.random.default_rng(seed)
    na = rng.choice([0.3, 0.5, 0.75, 0.95, 1.2, 1.4])
    index = 1.0 if na < 1 else (1.33 if na < 1.3 else 1.515)
    wavelength = rng.uniform(0.45, 0.65)
    pixel = wavelength / (4 * na) * rng.choice([0.5, 0.8, 1, 1.5, 2.0])
    step_dof = step_dof or rng.choice([0.2, 0.35, 0.5, 1.0, 2.0])
    planes = planes or int(rng.integers(9, 41))
    focus = rng.uniform(0.2, 0.8) * (planes - 1)
    kind = kind or str(rng.choice(ALL_KINDS))
    photons = photons or 10 ** rng.uniform(1.3, 3)
    z_um = (np.arange(planes) - focus) * step_dof * index * wavelength / na**2
    lens = (na, index, wavelength, pixel)
    spread = _widefield(lens, z_um, size, rng.normal(0, 0.1))
    sharp = _object(kind, size, rng)
    blurred = np.fft.ifft2(np.fft.fft2(sharp) * np.fft.fft2(spread)).real.clip(0)
    expected = blurred / np.percentile(blurred.max(0), 99.9) * photons
    expected += rng.uniform(0, 2) * photons * 0.3
    noisy = 2.0 * rng.poisson(expected) + 100 + rng.normal(0, 2, expected.shape)
    return Scene(_as_counts(noisy), focus, float(step_dof), kind)


def phase_scene(
    seed: int, *, size: int = 128, focus_share: float | None = None, absorption: float = 0.0
) -> Scene:
    """Partially coherent brightfield stack of a transparent layer (Abbe's sum over a disc)."""
    rng = np.random.default_rng(seed)
    na, wavelength = rng.choice([0.5, 0.75, 0.95]), 0.55
    pixel = wavelength / (4 * na) * rng.choice([0.7, 1, 1.5])
    step_dof, planes = rng.choice([0.3, 0.5, 1.0]), int(rng.integers(15, 41))
    share = rng.uniform(0.2, 0.8) if focus_share is None else focus_share
    focus = share * (planes - 1)
    z_um = (np.arange(planes) - focus) * step_dof * wavelength / na**2
    thickness = _object("nuclei" if rng.random() < 0.7 else "texture", size, rng)
    thickness /= thickness.max()
    field = np.exp((1j * rng.uniform(0.3, 1.0) - absorption) * thickness)
    frequency = np.fft.fftfreq(size, pixel)
    square = frequency[None, :] ** 2 + frequency[:, None] ** 2
    cutoff = na / wavelength
    along_z = np.sqrt(np.maximum(1 / wavelength**2 - square, 0))
    aperture = square <= cutoff**2
    rows, columns = np.mgrid[:size, :size]
    images = np.zeros((planes, size, size))
    sources = [(a, b) for a in np.linspace(-1, 1, 5) for b in np.linspace(-1, 1, 5)]
    sources = [(a, b) for a, b in sources if a * a + b * b <= 1]
    for a, b in sources:
        tilt_y, tilt_x = (round(0.4 * s * cutoff * size * pixel) / size for s in (a, b))
        wave = np.exp(2j * np.pi * (tilt_x * columns + tilt_y * rows))
        passed = np.fft.fft2(field * wave) * aperture
        for plane, z in enumerate(z_um):
            images[plane] += np.abs(np.fft.ifft2(passed * np.exp(2j * np.pi * along_z * z))) ** 2
    images *= 10 ** rng.uniform(3, 4) / len(sources)
    return Scene(_as_counts(rng.poisson(images)), focus, float(step_dof), "phase")


def _widefield(
    lens: tuple[float, float, float, float], z_um: Images, size: int, spherical: float
) -> Images:
    """Point-spread functions (z, y, x) of unit sum, with primary spherical aberration in waves."""
    na, index, wavelength, pixel = lens
    frequency = np.fft.fftfreq(size, pixel)
    square = frequency[None, :] ** 2 + frequency[:, None] ** 2
    cutoff = na / wavelength
    along_z = np.sqrt(np.maximum((index / wavelength) ** 2 - square, 0)) - index / wavelength
    rho2 = square / cutoff**2
    waves = spherical * (6 * rho2**2 - 6 * rho2 + 1)
    phase = along_z * z_um[:, None, None] + waves
    amplitude = np.fft.ifft2((rho2 <= 1) * np.exp(2j * np.pi * phase))
    power = np.abs(amplitude) ** 2
    return power / power.sum(axis=(1, 2), keepdims=True)


def _object(kind: str, size: int, rng: np.random.Generator) -> Images:
    """A sharp layer (y, x)."""
    image = np.zeros((size, size))
    if kind == "texture":
        return _texture(size, rng, 1.2)
    if kind == "beads":
        places = rng.integers(0, size, (2, int(rng.integers(6, 120))))
        np.add.at(image, tuple(places), rng.lognormal(0, 0.6, places.shape[1]))
    elif kind == "filaments":
        for _ in range(size // 8):
            at, heading = rng.uniform(0, size, 2), rng.uniform(0, 2 * np.pi)
            for _ in range(int(size * 0.7)):
                heading += rng.normal(0, 0.06)
                at = at + np.array([np.sin(heading), np.cos(heading)])
                if (at >= 0).all() and (at < size).all():
                    image[int(at[0]), int(at[1])] += 1
    else:
        rows, columns = np.mgrid[:size, :size]
        inside = 0.5 + _texture(size, rng, 1.0)
        for _ in range(max(6, size // 8)):
            (y, x), (a, b) = rng.uniform(0, size, 2), rng.uniform(6, 20, 2)
            turn = rng.uniform(0, np.pi)
            u = (columns - x) * np.cos(turn) + (rows - y) * np.sin(turn)
            v = (rows - y) * np.cos(turn) - (columns - x) * np.sin(turn)
            disc = (u / a) ** 2 + (v / b) ** 2 < 1
            image = np.maximum(image, disc * inside * rng.uniform(0.5, 1))
    return image


def _texture(size: int, rng: np.random.Generator, steepness: float) -> Images:
    radius = np.hypot(*np.meshgrid(np.fft.fftfreq(size), np.fft.fftfreq(size)))
    radius[0, 0] = 1
    noise = np.fft.fft2(rng.normal(size=(size, size))) / radius**steepness
    image = np.fft.ifft2(noise).real
    return (image - image.min()) / np.ptp(image)


def _as_counts(images: Images) -> Counts:
    return np.clip(np.rint(images), 0, 65535).astype(np.uint16)
