"""Compare measured point-spread functions with simulated ones, nominal and fitted.

Run: ``python -m benchmarks.measured_psf [FOLDER] [--figure PNG]``; the default folder is that of
the measured beads beside the checkout. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile
import torch

from parfocal.core.setup import OpticalSetup
from parfocal.evaluate.psf_figure import PsfComparison, axis_curve, draw_measured_psf, full_width
from parfocal.optics import FittedPsf, fit_aberrations

DEFAULT = Path(__file__).resolve().parents[2] / "shared" / "data" / "psf"
WITH_HIGHER = (3, *range(5, 15), 24)  # and spherical of sixth order


@dataclass(frozen=True, kw_only=True)
class Bead:
    """One measured stack: file, optics, sampling, and the window that is compared."""

    name: str
    file: str
    setup: OpticalSetup
    z_step_um: float
    every: int
    size_px: int


BEADS = (
    Bead(
        name="air NA 0.85",
        file="pyotf_psf_wl520nm_z300nm_x130nm_na0.85_n1.0.tif",
        setup=OpticalSetup(na=0.85, wavelength_nm=520, pixel_um=0.13),
        z_step_um=0.3,
        every=1,
        size_px=64,
    ),
    Bead(  # NA and wavelength are not recorded: those of the objective that fits best
        name="water NA 1.0",
        file="aovift_WF_150ms.tif",
        setup=OpticalSetup(na=1.0, wavelength_nm=510, pixel_um=0.097, immersion_index=1.333),
        z_step_um=0.1,
        every=4,
        size_px=48,
    ),
)


def read_bead(bead: Bead, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Planes about the brightest pixel, and their z."""
    planes = tifffile.imread(folder / bead.file)
    _, row, column = np.unravel_index(planes.argmax(), planes.shape)
    half = bead.size_px // 2
    z_um = np.arange(len(planes)) * bead.z_step_um
    window = planes[:: bead.every, row - half : row + half, column - half : column + half]
    return window.astype(np.float32), z_um[:: bead.every]


def widths(planes: np.ndarray, z_um: np.ndarray, pixel_um: float) -> tuple[float, float]:
    """Lateral (mean of y and x) and axial full width at half maximum, in um."""
    top, row, column = np.unravel_index(planes.argmax(), planes.shape)
    places = np.arange(planes.shape[1]) * pixel_um
    lateral = (
        full_width(places, planes[top, :, column]) + full_width(places, planes[top, row])
    ) / 2
    return lateral, full_width(z_um, axis_curve(planes))


def compare(bead: Bead, folder: Path) -> tuple[PsfComparison, dict[str, FittedPsf]]:
    """Fit without and with aberrations."""
    counts, z_um = read_bead(bead, folder)
    tensor = torch.from_numpy(counts)
    fits = {
        "nominal": fit_aberrations(tensor, bead.setup, z_um, terms=[], steps=15),
        "fitted": fit_aberrations(tensor, bead.setup, z_um, terms=WITH_HIGHER, steps=30),
    }
    stacks = {"measured": counts - fits["fitted"].background}
    stacks |= {name: (fit.psf - fit.background).numpy() for name, fit in fits.items()}
    focus_um = fits["fitted"].focus_um
    return PsfComparison(
        name=bead.name, z_um=z_um - focus_um, pixel_um=bead.setup.pixel_um, stacks=stacks
    ), fits


def main() -> None:
    """Print the table; draw the figure if asked."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.measured_psf", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=DEFAULT)
    parser.add_argument("--figure", type=Path)
    options = parser.parse_args()
    print("| bead | planes | lateral FWHM (um) | axial FWHM (um) | axis through focus, largest "
          "difference | unexplained power |")  # fmt: skip
    print("| --- | --- | --- | --- | --- | --- |")
    comparisons, notes = [], []
    for bead in BEADS:
        comparison, fits = compare(bead, options.folder)
        comparisons.append(comparison)
        measured = axis_curve(comparison.stacks["measured"])
        for name, planes in comparison.stacks.items():
            lateral, axial = widths(planes, comparison.z_um, comparison.pixel_um)
            off = abs(axis_curve(planes) - measured).max() / measured.max()
            left = "" if name == "measured" else f"{fits[name].unexplained:.1%}"
            print(f"| {bead.name} | {name} | {lateral:.3f} | {axial:.2f} | "
                  f"{'' if name == 'measured' else f'{off:.1%}'} | {left} |")  # fmt: skip
        found = fits["fitted"].aberrations
        terms = sorted(found.zernike_waves.items(), key=lambda term: -abs(term[1]))[:4]
        named = ", ".join(f"j = {j}: {value:+.3f}" for j, value in terms)
        notes.append(f"{bead.name}: {found.rms_waves:.3f} waves RMS; largest {named}.")
    print("\nAberrations found:", *notes, sep="\n- ")
    if options.figure:
        draw_measured_psf(comparisons, options.figure)


if __name__ == "__main__":
    main()
