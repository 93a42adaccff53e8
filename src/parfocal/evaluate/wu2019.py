"""The comparison of Wu 2019: one image refocused onto planes and surfaces, beside the scan."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, maximum_filter

from parfocal.evaluate.image_quality import quality
from parfocal.evaluate.wu2019_scope import (
    BACKGROUND,
    EDGE_PX,
    SETUP,
    SPHERICAL,
    Scene,
    bent_scene,
    deep_scene,
    flat_scene,
    transfers_to,
)
from parfocal.refocus.linear import wiener
from parfocal.refocus.surface_refocuser import SurfaceRefocuser

DOF_UM = SETUP.depth_of_field_um
INPUT, NETWORK, FLIPPED = "image as taken", "network", "network, sides exchanged"
BLURRED, TOLD, SECTIONED = "image blurred to there", "Wiener, distance told", "network, section"
NOISE_TO_SIGNAL = 2e-3
THICKNESS_UM = 10.0
KINDS = ("nematode", "neurites", "beads")
HEIGHTS_UM = (1.0, 2.0, 3.0, 4.5, 6.0)
SHOWN_UM = 4.5
RELIEFS = ("tilted", "bowed", "noisy")


@dataclass(frozen=True, kw_only=True)
class Wu2019Row:
    """How near one method came to the scan, on one plane or surface of one specimen.

    Parameters
    ----------
    chapter
        What was asked.
    kind
        Specimen, or kind of surface.
    z_um
        Height above the image's plane; 0 for uneven surfaces.
    method
        How the image was made.
    psnr, ssim
        Beside the scan without noise, in its own range.
    """

    chapter: str
    kind: str
    z_um: float
    method: str
    psnr: float
    ssim: float


@dataclass(frozen=True, kw_only=True)
class Example:
    """Pictures of one field for the page: captions and images."""

    title: str
    pictures: tuple[tuple[str, Float[np.ndarray, "y x"]], ...]


def stack_rows(
    refocuser: SurfaceRefocuser, *, size_px: int, seeds: int, z_um: NDArray[np.float64]
) -> Iterator[tuple[list[Wu2019Row], Example]]:
    """Virtual stacks of deep specimens beside the scanned ones."""
    for kind in KINDS:
        for seed in range(seeds):
            scene = deep_scene(kind, size_px=size_px, seed=seed, thickness_um=THICKNESS_UM)
            image, truth = scene.taken(seed=seed), scene.scanned(z_um)
            ours, flipped = (
                np.asarray(refocuser.stack(image, sign * z_um, setup=SETUP,
                                           spherical_waves=SPHERICAL))
                for sign in (1, -1)
            )  # fmt: skip
            rows = []
            for number, z in enumerate(z_um):
                shown = {
                    INPUT: image, BLURRED: reblurred(image, float(z)), NETWORK: ours[number],
                    FLIPPED: flipped[number],
                }  # fmt: skip
                rows += [
                    _row("stack", kind, float(z), name, each, truth[number])
                    for name, each in shown.items()
                ]
            at = [int(np.abs(z_um - z).argmin()) for z in (-4.0, 4.0)]
            pictures = [("taken at 0", image)]
            for k in at:
                pictures += [(f"scanned at {z_um[k]:+.0f} um", truth[k]),
                             (f"network at {z_um[k]:+.0f} um", ours[k])]  # fmt: skip
            yield rows, Example(title=kind, pictures=tuple(pictures))


def focus_rows(
    refocuser: SurfaceRefocuser, *, size_px: int, seeds: int
) -> Iterator[tuple[list[Wu2019Row], Example]]:
    """Thin objects out of the image's plane, brought into focus."""
    for kind in KINDS:
        for height in HEIGHTS_UM:
            rows: list[Wu2019Row] = []
            pictures: list[tuple[str, NDArray[np.float32]]] = []
            for seed in range(seeds):
                for sign in (1.0, -1.0):
                    z = sign * height
                    scene = flat_scene(kind, size_px=size_px, seed=100 + seed, height_um=z)
                    image, truth = scene.taken(seed=seed), scene.scanned([z])[0]
                    ours, flipped = np.asarray(
                        refocuser.stack(image, [z, -z], setup=SETUP, spherical_waves=SPHERICAL)
                    )
                    shown = {INPUT: image, NETWORK: ours, FLIPPED: flipped,
                             TOLD: refocused_by_wiener(image, z)}  # fmt: skip
                    rows += [_row("focus", kind, z, name, each, truth)
                             for name, each in shown.items()]  # fmt: skip
                    if height == SHOWN_UM:
                        pictures = [*shown.items(), ("truth", truth)]
            yield rows, Example(title=f"{kind} at {height:g} um", pictures=tuple(pictures))


def surface_rows(
    refocuser: SurfaceRefocuser, *, size_px: int, seeds: int
) -> Iterator[tuple[list[Wu2019Row], Example]]:
    """Thin specimens on tilted, bowed and noisy surfaces, levelled."""
    for relief in RELIEFS:
        for seed in range(seeds):
            surface = relief_um(relief, size_px + 2 * EDGE_PX, seed=seed)
            scene = bent_scene(KINDS[seed % 2], surface, seed=200 + seed, size_px=size_px)
            seen = surface[EDGE_PX:-EDGE_PX, EDGE_PX:-EDGE_PX]
            image, truth = scene.taken(seed=seed), scene.on(seen)
            found = {
                name: refocuser.refocus(image, sign * seen, setup=SETUP, spherical_waves=SPHERICAL)
                for name, sign in ((NETWORK, 1), (FLIPPED, -1))
            }
            shown = {INPUT: image} | {
                name: image if each.image is None else each.image for name, each in found.items()
            }
            rows = [_row("surface", relief, 0.0, name, each, truth)
                    for name, each in shown.items()]  # fmt: skip
            pictures = [*shown.items(), ("scanned on the surface", truth), ("height", seen)]
            yield rows, Example(title=f"{relief} surface", pictures=tuple(pictures))


def section_rows(
    refocuser: SurfaceRefocuser, section: SurfaceRefocuser, *, size_px: int, seeds: int
) -> Iterator[tuple[list[Wu2019Row], Example]]:
    """Confocal-equivalent sections of deep specimens."""
    for kind in KINDS:
        for seed in range(seeds):
            scene = deep_scene(kind, size_px=size_px, seed=300 + seed, thickness_um=THICKNESS_UM)
            image = scene.taken(seed=seed)
            rows, pictures = [], [("taken at 0", image)]
            for z in (-4.0, -2.0, 0.0, 2.0, 4.0):
                truth = scene.section(z)
                shown = {
                    INPUT: image,
                    NETWORK: np.asarray(refocuser.stack(image, [z], setup=SETUP,
                                                        spherical_waves=SPHERICAL))[0],
                    SECTIONED: np.asarray(section.stack(image, [z], setup=SETUP,
                                                        spherical_waves=SPHERICAL))[0],
                }  # fmt: skip
                rows += [_row("section", kind, z, name, each, truth)
                         for name, each in shown.items()]  # fmt: skip
                if z in (0.0, 2.0):
                    pictures += [(f"section at {z:g} um", truth),
                                 (f"network at {z:g} um", shown[SECTIONED])]  # fmt: skip
            yield rows, Example(title=f"{kind}, sections", pictures=tuple(pictures))


def bead_errors_um(
    refocuser: SurfaceRefocuser, *, size_px: int, seeds: int
) -> Float[np.ndarray, " bead"]:
    """Height of each bead in the virtual stack less that in the scanned one.

    Planes lie beside the image's own, which a virtual stack shows as it was taken.
    """
    z_um = np.arange(-7.25, 7.26, 0.5)
    errors: list[float] = []
    for seed in range(seeds):
        scene = deep_scene("beads", size_px=size_px, seed=400 + seed, thickness_um=THICKNESS_UM)
        image, truth = scene.taken(seed=seed), scene.scanned(z_um)
        ours = np.asarray(refocuser.stack(image, z_um, setup=SETUP, spherical_waves=SPHERICAL))
        brightest = truth.max(0)
        peaks = (maximum_filter(brightest, 25) == brightest) & (
            brightest > BACKGROUND + 0.2 * (brightest.max() - BACKGROUND)
        )
        for y, x in np.argwhere(peaks):
            if min(y, x, size_px - 1 - y, size_px - 1 - x) < 12:
                continue
            window = (slice(None), slice(y - 1, y + 2), slice(x - 1, x + 2))
            one, other = (_peak_um(each[window].mean((1, 2)), z_um) for each in (ours, truth))
            errors.append(one - other)
    return np.array(errors)


def _peak_um(curve: NDArray[Any], z_um: NDArray[np.float64]) -> float:
    """Top of a curve, by a parabola through its highest points."""
    k = int(np.clip(curve.argmax(), 1, len(curve) - 2))
    low, top, high = (float(value) for value in curve[k - 1 : k + 2])
    bend = low - 2 * top + high
    shift = 0.0 if bend >= 0 else float(np.clip(0.5 * (low - high) / bend, -1, 1))
    return float(z_um[k] + shift * (z_um[1] - z_um[0]))


@dataclass(frozen=True, kw_only=True)
class Series:
    """A worm that moves, and how fast its volumes were made.

    Parameters
    ----------
    frames, planes, size_px
        Volumes, planes of each, and their side.
    simulated_hz, reached_hz
        Volumes a second of the worm's time, and of this machine's.
    psnr_input, psnr
        Mean over frames and planes, of the image as taken and of the network.
    """

    frames: int
    planes: int
    size_px: int
    simulated_hz: float
    reached_hz: float
    psnr_input: float
    psnr: float


def worm_series(
    refocuser: SurfaceRefocuser, *, size_px: int, frames: int, simulated_hz: float = 100.0
) -> Series:
    """A worm that swims 100 um/s through the field and up and down, seen in one plane."""
    z_um = np.linspace(-5.0, 5.0, 11)
    whole = deep_scene("nematode", size_px=size_px, seed=500, thickness_um=THICKNESS_UM)
    psnr, seconds = [], 0.0
    refocuser.stack(whole.taken(), z_um, setup=SETUP, spherical_waves=SPHERICAL)
    for frame in range(frames):
        at_s = frame / simulated_hz
        along = round(100.0 * at_s / SETUP.pixel_um)
        moved = whole.specimen.window(
            0, along, size_y=size_px + 2 * EDGE_PX, size_x=size_px + 2 * EDGE_PX
        ).raised(1.5 * float(np.sin(2 * np.pi * 2.0 * at_s)))
        scene = Scene(moved)
        image, truth = scene.taken(seed=frame), scene.scanned(z_um)
        began = time.perf_counter()
        ours = np.asarray(refocuser.stack(image, z_um, setup=SETUP, spherical_waves=SPHERICAL))
        seconds += time.perf_counter() - began
        for number in range(len(z_um)):
            psnr.append((quality(image, truth[number]).psnr,
                         quality(ours[number], truth[number]).psnr))  # fmt: skip
    before, after = np.mean(psnr, 0)
    return Series(
        frames=frames, planes=len(z_um), size_px=size_px, simulated_hz=simulated_hz,
        reached_hz=frames / seconds, psnr_input=float(before), psnr=float(after),
    )  # fmt: skip


def relief_um(kind: str, size_px: int, *, seed: int) -> Float[np.ndarray, "y x"]:
    """A surface within 4.5 um of the image's plane: tilted by about 3 degrees, bowed, or noisy."""
    dice = np.random.default_rng(seed)
    line = np.linspace(-1.0, 1.0, size_px)
    if kind == "tilted":
        angle = dice.uniform(0, 2 * np.pi)
        surface = np.sin(angle) * line[:, None] + np.cos(angle) * line
    elif kind == "bowed":
        surface = line[:, None] ** 2 + line**2 - 0.5
    else:
        surface = gaussian_filter(dice.normal(size=(size_px, size_px)), size_px / 12, mode="wrap")
    heights: NDArray[np.float32] = (4.5 * surface / np.abs(surface).max()).astype(np.float32)
    return heights


def refocused_by_wiener(image: NDArray[np.float32], z_um: float) -> NDArray[np.float32]:
    """Wiener's estimate with the true point-spread function, seen in focus by the same optics."""
    sharp = wiener(image - BACKGROUND, _psf(-z_um), NOISE_TO_SIGNAL)
    return _through(sharp, 0.0) + np.float32(BACKGROUND)


def reblurred(image: NDArray[np.float32], z_um: float) -> NDArray[np.float32]:
    """The image as if all that it shows lay in its plane: blurred by how far another plane is."""
    sharp = wiener(image - BACKGROUND, _psf(0.0), NOISE_TO_SIGNAL)
    return _through(sharp, z_um) + np.float32(BACKGROUND)


def _psf(z_um: float, size_px: int = 129) -> NDArray[np.float32]:
    spectrum = transfers_to([z_um], (size_px, size_px))[0]
    psf = torch.fft.fftshift(torch.fft.irfft2(spectrum, s=(size_px, size_px))).clamp(min=0.0)
    light: NDArray[np.float32] = (psf / psf.sum()).numpy()
    return light


def _through(light: NDArray[np.float32], z_um: float) -> NDArray[np.float32]:
    """Light through the optics at some defocus; mirrored beyond the edges."""
    wide = np.pad(light, 64, mode="reflect")
    shape = (wide.shape[0], wide.shape[1])
    spectrum = torch.fft.rfft2(torch.from_numpy(wide)) * transfers_to([z_um], shape)[0]
    shown: NDArray[np.float32] = torch.fft.irfft2(spectrum, s=shape).numpy()
    return shown[64:-64, 64:-64]


def _row(
    chapter: str,
    kind: str,
    z_um: float,
    method: str,
    shown: NDArray[np.float32],
    truth: NDArray[np.float32],
) -> Wu2019Row:
    found = quality(shown, truth)
    return Wu2019Row(
        chapter=chapter, kind=kind, z_um=z_um, method=method, psnr=found.psnr, ssim=found.ssim
    )


def mean_psnr(
    rows: list[Wu2019Row], method: str, *, chosen: Callable[[Wu2019Row], bool] = lambda row: True
) -> float:
    """Mean over rows of a method; NaN without any."""
    values = [row.psnr for row in rows if row.method == method and chosen(row)]
    return float(np.mean(values)) if values else float("nan")
