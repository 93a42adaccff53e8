"""Compare measured point-spread functions and focus curves with simulated ones.

Run: ``python -m benchmarks.measured_psf [FOLDER] [--page MARKDOWN] [--figure PNG]``; the default
folder is that of the real stacks beside the checkout. Prints Markdown tables; ``--page`` puts
them between the marks of that page.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import torch
from jaxtyping import Float
from PIL import Image

from benchmarks.measured_curves import brenner_curve, shape_of, spinning_disk_rows
from parfocal.core.setup import OpticalSetup
from parfocal.evaluate.psf_figure import PsfComparison, axis_curve, draw_measured_psf, full_width
from parfocal.optics import FittedPsf, fit_aberrations, widefield_psf

DEFAULT = Path(__file__).resolve().parents[2] / "shared" / "data"
MARKS = ("<!-- printed by benchmarks.measured_psf -->", "<!-- until here -->")
TERMS = (3, *range(5, 15), 24)  # to n = 4, and spherical of sixth order
RADII_UM = (0.3, 0.6, 1.2)
WHOLE_UM = 1.8  # light within this radius is all
BAND_NM = 35.0  # full width at half maximum of an emission filter
FITS: dict[str, dict[str, Any]] = {
    "nominal": {"terms": [], "steps": 15},
    "aberrations": {"terms": TERMS},
    "bead": {"terms": [], "free": ["bead"]},
    "aberrations, bead": {"terms": TERMS, "free": ["bead"]},
    "the same, NA": {"terms": TERMS, "free": ["bead", "na"]},
    "the same, step": {"terms": TERMS, "free": ["bead", "step"]},
    "the same, underfill": {"terms": TERMS, "free": ["bead", "underfill"]},
    "the same, z": {"terms": TERMS, "free": ["bead", "step", "stage"]},
}


@dataclass(frozen=True, kw_only=True)
class Bead:
    """One measured stack: file, optics, sampling, and how it is fitted.

    One plane of ``fit_every`` is fitted; the others are held out. ``best`` names the last row
    of FITS that is tried, and shown.
    """

    name: str
    file: str
    setup: OpticalSetup
    z_step_um: float
    fit_every: int
    best: str
    size_px: int = 32

    def held_out(self, count: int) -> list[int]:
        """Planes that are not fitted, of so many."""
        return [plane for plane in range(count) if plane % self.fit_every]


BEADS = (
    Bead(
        name="air NA 0.85",
        file="pyotf_psf_wl520nm_z300nm_x130nm_na0.85_n1.0.tif",
        setup=OpticalSetup(na=0.85, wavelength_nm=520, pixel_um=0.13),
        z_step_um=0.3,
        fit_every=2,
        best="the same, z",
    ),
    # Its settings record a magnification of 67.01 (6.5 um pixels); its authors' own software
    # takes NA 1.0 in water and 510 nm.
    Bead(
        name="water NA 1.0",
        file="aovift_WF_150ms.tif",
        setup=OpticalSetup(na=1.0, wavelength_nm=510, pixel_um=0.097, immersion_index=1.333),
        z_step_um=0.1,
        fit_every=4,
        best="the same, underfill",
        size_px=40,
    ),
)


def read_bead(
    bead: Bead, folder: Path
) -> tuple[Float[np.ndarray, "z y x"], Float[np.ndarray, " z"]]:
    """Planes about the brightest pixel, and their z."""
    planes = tifffile.imread(folder / bead.file)
    _, row, column = np.unravel_index(planes.argmax(), planes.shape)
    half = bead.size_px // 2
    z_um = np.arange(len(planes)) * bead.z_step_um
    window = planes[:, row - half : row + half, column - half : column + half]
    return window.astype(np.float32), z_um


def fit_some_planes(bead: Bead, folder: Path, **options: Any) -> FittedPsf:
    """Fit some planes; the others are held out."""
    counts, z_um = read_bead(bead, folder)
    options = {"model": "scalar", "held_out": bead.held_out(len(z_um))} | options
    return fit_aberrations(torch.from_numpy(counts), bead.setup, z_um, **options)


def widths(
    planes: Float[np.ndarray, "z y x"], z_um: Float[np.ndarray, " z"], pixel_um: float
) -> tuple[float, float]:
    """Lateral (mean of y and x) and axial full width at half maximum, in um."""
    top, row, column = np.unravel_index(planes.argmax(), planes.shape)
    places = np.arange(planes.shape[1]) * pixel_um
    lateral = (
        full_width(places, planes[top, :, column]) + full_width(places, planes[top, row])
    ) / 2
    return lateral, full_width(z_um, axis_curve(planes))


def encircled(plane: Float[np.ndarray, "y x"], pixel_um: float) -> list[float]:
    """Share of the light within each radius of the middle of mass of the spot."""
    finer = 5
    fine = np.kron(plane, np.ones((finer, finer)))
    row, column = np.unravel_index(plane.argmax(), plane.shape)
    y, x = (np.indices(fine.shape) + 0.5) / finer - 0.5
    spot = np.where(np.hypot(y - row, x - column) < 3, fine, 0).clip(min=0)
    row, column = (spot * y).sum() / spot.sum(), (spot * x).sum() / spot.sum()
    far_um = np.hypot(y - row, x - column) * pixel_um
    light = [float(fine[far_um < radius].sum()) for radius in (*RADII_UM, WHOLE_UM)]
    return [value / light[-1] for value in light[:-1]]


def misses(
    measured: Float[np.ndarray, "z y x"],
    simulated: Float[np.ndarray, "z y x"],
    held_out: list[int],
) -> tuple[float, float]:
    """Of planes held out: largest difference of the axis over its peak, unexplained power."""
    axis = axis_curve(measured)
    off = np.abs(axis_curve(simulated) - axis)[held_out].max() / axis.max()
    left = np.square(measured - simulated)[held_out].sum() / np.square(measured[held_out]).sum()
    return float(off), float(left)


def spot_rows(one: PsfComparison) -> Iterator[str]:
    """What a spot looks like: measured, nominal, fitted."""
    for name, planes in one.stacks.items():
        lateral, axial = widths(planes, one.z_um, one.pixel_um)
        deep = full_width(one.z_um, axis_curve(planes), share=0.8)
        focus = planes.reshape(len(planes), -1).max(1).argmax()
        light = " | ".join(f"{share:.0%}" for share in encircled(planes[focus], one.pixel_um))
        yield f"| {one.name} | {name} | {lateral:.3f} | {axial:.2f} | {deep:.2f} | {light} |"


def fit_all(bead: Bead, folder: Path) -> tuple[PsfComparison, list[str]]:
    """What each fit finds, and what it leaves of the planes that are held out."""
    counts, z_um = read_bead(bead, folder)
    found, rows = {}, []
    for name, options in FITS.items():
        begun = time.perf_counter()
        fit = found[name] = fit_some_planes(bead, folder, **options)
        seconds = time.perf_counter() - begun
        measured, planes = counts - fit.background, (fit.psf - fit.background).numpy()
        truth = widths(measured, z_um, bead.setup.pixel_um)
        lateral, axial = np.divide(widths(planes, z_um, bead.setup.pixel_um), truth) - 1
        off, left = misses(measured, planes, bead.held_out(len(z_um)))
        rows.append(
            f"| {bead.name} | {name} | {lateral:+.1%} | {axial:+.1%} | {off:.1%} | {left:.1%} | "
            f"{fit.aberrations.rms_waves:.3f} | {fit.bead_um:.2f} | {fit.na:.2f} | "
            f"{fit.underfill:.2f} | {fit.z_scale:.2f} | {float(fit.stage_um.std()):.3f} | "
            f"{seconds:.1f} |"
        )
        if name == bead.best:
            break
    best = found[bead.best]
    stacks = {"measured": counts - best.background}
    for name, fit in (("nominal", found["nominal"]), ("fitted", best)):
        stacks[name] = (fit.psf - fit.background).numpy()
    comparison = PsfComparison(
        name=bead.name,
        z_um=z_um - best.focus_um,
        pixel_um=bead.setup.pixel_um,
        stacks=stacks,
        terms=best.aberrations.zernike_waves,
    )
    return comparison, rows


def curve_rows(one: PsfComparison, setup: OpticalSetup) -> Iterator[str]:
    """Brenner curves."""
    for name, planes in one.stacks.items():
        shape = shape_of(one.z_um, brenner_curve(planes))
        axis = axis_curve(planes)
        bright = shape_of(one.z_um, (axis - axis.min()) / np.ptp(axis))
        yield (
            f"| {one.name} | {name} | {shape.width_um:.2f} | "
            f"{shape.width_um / setup.depth_of_field_um:.2f} | {shape.skew:+.2f} | "
            f"{bright.skew:+.2f} |"
        )


def band_change(bead: Bead) -> str:
    """What an emission band does to the nominal spot, by three wavelengths (Gauss-Hermite)."""
    setup, z_um = bead.setup, np.arange(-3, 3.01, 0.1)
    nodes = {-(3**0.5): 1 / 6, 0.0: 2 / 3, 3**0.5: 1 / 6}  # in standard deviations
    sharp, wide = np.zeros(0), np.zeros(1)
    for node, weight in nodes.items():
        colour_nm = setup.wavelength_nm + node * BAND_NM / 2.3548
        colour = setup.model_copy(update={"wavelength_nm": colour_nm})
        planes = widefield_psf(colour, z_um, size_px=32, model="scalar").numpy()
        wide = wide + weight * planes
        sharp = planes if node == 0 else sharp
    before, after = (widths(planes, z_um, setup.pixel_um) for planes in (sharp, wide))
    lateral, axial = np.divide(after, before) - 1
    return f"{bead.name}: lateral FWHM {lateral:+.1%}, axial FWHM {axial:+.1%}"


def table(columns: str, rows: list[str]) -> str:
    """Markdown, from column names and rows."""
    count = columns.count("|") - 1
    return "\n".join([columns, "|" + " --- |" * count, *rows])


def build(folder: Path) -> tuple[str, list[PsfComparison]]:
    """All tables, and what the figure needs."""
    done = [fit_all(bead, folder / "psf") for bead in BEADS]
    ones = [one for one, _ in done]
    fits = [row for _, rows in done for row in rows]
    light = " | ".join(f"light within {radius:g} um" for radius in RADII_UM)
    curves = [
        row for one, bead in zip(ones, BEADS, strict=True) for row in curve_rows(one, bead.setup)
    ]
    fields = [f"{bead.name} {bead.setup.depth_of_field_um:.2f} um" for bead in BEADS]
    parts = [
        table(f"| bead | planes | lateral FWHM (um) | axial FWHM (um) | axis above 80 % (um) | "
              f"{light} |", [row for one in ones for row in spot_rows(one)]),
        f"n lambda / NA^2: {', '.join(fields)}.",
        table("| bead | fit | lateral FWHM | axial FWHM | axis, largest difference | unexplained "
              "power | aberrations (waves RMS) | bead (um) | NA | underfill | z scale | errors of "
              "z (um RMS) | seconds |", fits),
        f"An emission band of {BAND_NM:g} nm: {'; '.join(band_change(bead) for bead in BEADS)}.",
        table("| bead | planes | Brenner curve, full width (um) | over n lambda / NA^2 | "
              "skewness | skewness of the axis |", curves),
        table("| stack | bead (um) | simulated width (um) | measured width (um) | largest "
              "difference | after stretching |", spinning_disk_rows(folder / "faim_beads")),
    ]  # fmt: skip
    return "\n\n".join(parts), ones


def write_between_marks(page: Path, text: str) -> None:
    """Replace what lies between the marks of a page."""
    before, rest = page.read_text("utf-8").split(MARKS[0])
    after = rest.split(MARKS[1])[1]
    page.write_text(f"{before}{MARKS[0]}\n\n{text}\n\n{MARKS[1]}{after}", "utf-8")


def main() -> None:
    """Print the tables; write page and figure if asked."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.measured_psf", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=DEFAULT)
    parser.add_argument("--page", type=Path)
    parser.add_argument("--figure", type=Path)
    options = parser.parse_args()
    text, comparisons = build(options.folder)
    print(text)
    if options.page:
        write_between_marks(options.page, text)
    if options.figure:
        draw_measured_psf(comparisons, options.figure)
        with Image.open(options.figure) as picture:
            small = picture.convert("RGB").quantize(200)  # a third of the size
        small.save(options.figure, optimize=True)


if __name__ == "__main__":
    main()
