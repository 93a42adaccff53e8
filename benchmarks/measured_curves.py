"""Focus curves of real stacks of known optics beside those of the same scene, simulated.

Part of ``python -m benchmarks.measured_psf``. A curve is the Brenner score of each plane less the
lowest, over its peak.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float

from parfocal.core.setup import OpticalSetup
from parfocal.evaluate.psf_figure import full_width
from parfocal.io import open_stack
from parfocal.measures import score
from parfocal.simulate import Field, Renderer, Specimen, SpinningDiskImaging
from parfocal.simulate.deposit import deposit_balls

FLOOR = 0.05  # of a curve's peak: what lies below may be noise
FINER = 2  # pixels of the scene along a camera pixel
SIDE_PX = 80  # of the scene, in camera pixels, with two by two beads
PINHOLE_UM = 60.0 / 20.0  # "60 um pinhole", 20x: in the files
SPACING_UM = 5 * PINHOLE_UM  # not in the files; usual
CAMERA_UM = 1.3668  # in the files
AIR_20X = OpticalSetup(na=0.75, wavelength_nm=536, pixel_um=CAMERA_UM)
SCENE_Z_UM = np.arange(-28.0, 28.5, 1.0)
STRETCHES = np.linspace(0.6, 1.6, 51)


@dataclass(frozen=True)
class CurveShape:
    """Full width at half maximum, and skewness: above 0 where the tail at larger z is longer."""

    width_um: float
    skew: float


def brenner_curve(planes: Float[np.ndarray, "z y x"]) -> Float[np.ndarray, " z"]:
    """Brenner score of each plane less the lowest, over its peak."""
    scores = np.asarray(score(torch.from_numpy(planes), "brenner"))
    return np.asarray((scores - scores.min()) / np.ptp(scores))


def shape_of(z_um: Float[np.ndarray, " z"], curve: Float[np.ndarray, " z"]) -> CurveShape:
    """Width and skewness; sums over even steps, so that a symmetric curve has none wherever it is.

    Examples
    --------
    >>> shape = shape_of(np.arange(7.0), np.array([0, 0, 0.5, 1, 0.5, 0.5, 0]))
    >>> shape.width_um, shape.skew > 0
    (2.0, True)
    """
    weights = (curve - FLOOR).clip(min=0)
    weights = weights / weights.sum()
    away = z_um - weights @ z_um
    skew = (weights @ away**3) / (weights @ away**2) ** 1.5
    return CurveShape(full_width(z_um, curve), float(skew))


def bead_scene(diameter_um: float) -> Specimen:
    """Four filled balls at one height, each at another place within its pixel."""
    room = Field(
        size_y=SIDE_PX * FINER,
        size_x=SIDE_PX * FINER,
        pixel_um=CAMERA_UM / FINER,
        thickness_um=diameter_um,
        layer_step_um=1.0,
    )
    quarter = SIDE_PX // 4
    places = [
        (0.0, (row + 0.5 * (row > quarter)) * CAMERA_UM, (column + 0.25) * CAMERA_UM)
        for row in (quarter, 3 * quarter)
        for column in (quarter, 3 * quarter + 0.5)
    ]
    volume = room.blank()
    balls = torch.tensor(places)
    deposit_balls(volume, room, balls, torch.full((4,), diameter_um / 2), torch.ones(4))
    return Specimen(
        pixel_um=room.pixel_um,
        heights_um=room.heights_um,
        emission=volume / volume.sum(0).max(),
        family="beads",
        name="large beads",
    )


def bead_width_um(plane: Float[np.ndarray, "y x"]) -> float:
    """Median full width along x of the single beads that are about as bright as the brightest."""
    level = np.median(plane)
    bright = np.percentile(plane, 99.9) - level
    widths = []
    for row, column in np.argwhere(plane - level > 0.8 * bright):
        if 10 <= column < plane.shape[1] - 10:
            line = plane[row, column - 10 : column + 11] - level
            if line.argmax() == 10 and max(line[:3].max(), line[-3:].max()) < 0.02 * bright:
                widths.append(full_width(np.arange(21) * CAMERA_UM, line))
    return float(np.median(widths))


def fit_curve(
    z_um: Float[np.ndarray, " z"],
    measured: Float[np.ndarray, " z"],
    fine_um: Float[np.ndarray, " n"],
    fine: Float[np.ndarray, " n"],
    stretches: Sequence[float] | np.ndarray,
) -> tuple[float, Float[np.ndarray, " z"]]:
    """Stretch and values of the simulated curve, moved and scaled too, nearest to the measured."""
    start = z_um[measured.argmax()]
    best = (np.inf, 1.0, measured)
    for stretch in stretches:
        for focus in start + np.arange(-5, 5, 0.1):
            model = np.interp(z_um - focus, fine_um * stretch, fine)
            model = model * (model @ measured) / (model @ model)
            left = float(np.square(model - measured).sum())
            if left < best[0]:
                best = (left, float(stretch), model)
    return best[1:]


def spinning_disk_rows(folder: Path) -> list[str]:
    """Rows of a Markdown table: stacks of large beads, by planes 5 um apart."""
    stacks = {name: open_stack(folder / name) for name in ("E07_s1", "E07_s2")}
    planes = {name: stack.read_counts().astype(np.float32) for name, stack in stacks.items()}
    sharp = planes["E07_s1"][4]
    wanted_um = bead_width_um(sharp)
    renderer = Renderer(AIR_20X, SpinningDiskImaging(pinhole_um=PINHOLE_UM, spacing_um=SPACING_UM))
    diameter_um = wanted_um
    for _ in range(2):
        scene = bead_scene(diameter_um)
        images = renderer.images(scene, torch.tensor(SCENE_Z_UM)).numpy()
        diameter_um += wanted_um - bead_width_um(images[len(images) // 2])
    fine = brenner_curve(images)
    width_um = full_width(SCENE_Z_UM, fine)
    rows = []
    for name, stack in stacks.items():
        z_um = np.asarray(stack.z_um, dtype=float)
        measured = brenner_curve(planes[name])
        _, plain = fit_curve(z_um, measured, SCENE_Z_UM, fine, [1.0])
        stretch, best = fit_curve(z_um, measured, SCENE_Z_UM, fine, STRETCHES)
        rows.append(
            f"| faim_beads {name} | {wanted_um:.1f} | {width_um:.1f} | {width_um * stretch:.1f} | "
            f"{abs(plain - measured).max():.1%} | {abs(best - measured).max():.1%} |"
        )
    return rows
