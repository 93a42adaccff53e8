"""Draw every specimen through focus, by every modality that shows it, beside real images.

Run: ``python -m benchmarks.contact_sheets [--only NAME ...] [--out FOLDER]``. Writes one PNG for
each specimen, of as many greys as fit 100 KB; real images come from the shared data beside the
checkout and are left out where that is absent.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from benchmarks.real_images import DEFAULT, REAL, tiles
from parfocal.core.setup import OpticalSetup
from parfocal.evaluate.contact_sheet import SheetRow, draw_contact_sheet
from parfocal.simulate import (
    SPECIMENS,
    BrightfieldImaging,
    ConfocalImaging,
    LedImaging,
    LightSheetImaging,
    PhaseContrastImaging,
    Renderer,
    Specimen,
    SpinningDiskImaging,
    WidefieldImaging,
    make_specimen,
)
from parfocal.simulate.modalities import Glowing, Transmitting, object_pixel_um

OUT = Path(__file__).resolve().parents[1] / "docs" / "images" / "specimens"
SIZE_PX, MOST_KB = 128, 100
GREYS = (128, 64, 48, 32, 24, 16)
SEED = 3


@dataclass(frozen=True, kw_only=True)
class Scene:
    """How one specimen is shown: optics that suit it, planes in depths of field, options.

    ``white`` is the percentile of a row's light that becomes white, ``gamma`` lifts what is dim; of
    fields larger than a tile a part is shown, from ``corner_px``.
    """

    setup: OpticalSetup
    planes_dof: tuple[float, ...] = (-8.0, -3.0, 0.0, 3.0, 8.0)
    waist_um: float = 4.0
    white: float = 99.8
    gamma: float = 0.7
    field_px: int = SIZE_PX
    corner_px: tuple[int, int] = (0, 0)
    thickness_um: float | None = None
    options: dict[str, Any] = field(default_factory=dict)
    seed: int = SEED


def _air(na: float, wavelength_nm: float, pixel_um: float) -> OpticalSetup:
    return OpticalSetup(na=na, wavelength_nm=wavelength_nm, pixel_um=pixel_um)


def _water(na: float, wavelength_nm: float, pixel_um: float) -> OpticalSetup:
    return OpticalSetup(
        na=na, wavelength_nm=wavelength_nm, pixel_um=pixel_um, immersion_index=1.333
    )


def _oil(na: float, wavelength_nm: float, pixel_um: float) -> OpticalSetup:
    return OpticalSetup(
        na=na, wavelength_nm=wavelength_nm, pixel_um=pixel_um, immersion_index=1.515,
        sample_index=1.515,
    )  # fmt: skip


CLEARED = OpticalSetup(
    na=0.6, wavelength_nm=580, pixel_um=0.8, immersion_index=1.56, sample_index=1.56
)
SCENES: dict[str, Scene] = {
    "beads": Scene(setup=_air(0.85, 520, 0.13), planes_dof=(-4, -2, 0, 2, 4), white=99.97,
                   gamma=0.45, options={"per_mm2": 40_000.0}),
    "glass_beads": Scene(setup=_air(0.5, 530, 0.4), options={"per_mm2": 6000.0}),
    "nuclei": Scene(setup=_air(0.75, 461, 0.6)),
    "packed_nuclei": Scene(setup=_water(0.95, 461, 0.5), planes_dof=(-20, -8, 0, 8, 20)),
    "microtubules": Scene(setup=_oil(1.4, 520, 0.25)),
    "filaments": Scene(setup=_oil(1.4, 520, 0.15)),
    "epithelium": Scene(setup=_water(0.95, 520, 0.5), planes_dof=(-10, -4, 0, 4, 10)),
    "mitochondria": Scene(setup=_water(1.1, 520, 0.25), planes_dof=(-10, -3, 0, 3, 10)),
    "cells": Scene(setup=_air(0.75, 520, 0.6), options={"cells_per_mm2": 450.0}),
    "phase_cells": Scene(setup=_air(0.5, 530, 0.65)),
    "neurites": Scene(setup=_air(0.75, 520, 0.7)),
    "hair_cells": Scene(setup=_water(0.95, 520, 0.6), planes_dof=(-12, -6, 0, 6, 12)),
    "dense_tissue": Scene(setup=CLEARED, planes_dof=(-8, -4, 0, 4, 8), waist_um=14.0),
    "nematode": Scene(setup=_air(0.5, 520, 1.5), waist_um=8.0),
    "blood_smear": Scene(setup=_air(0.75, 550, 0.4)),
    "histology": Scene(setup=_air(0.5, 550, 0.65), field_px=256, corner_px=(20, 80)),
    "tissue_section": Scene(setup=_air(0.5, 550, 0.65), field_px=256, corner_px=(20, 80)),
}  # fmt: skip


def ways(scene: Scene, contrasts: tuple[str, ...]) -> list[Glowing | Transmitting]:
    """The modalities that show a specimen."""
    na, excitation_nm = scene.setup.na, scene.setup.wavelength_nm - 32.0
    if "fluorescence" in contrasts:
        return [
            WidefieldImaging(),
            ConfocalImaging(excitation_nm=excitation_nm),
            SpinningDiskImaging(excitation_nm=excitation_nm,
                                pinhole_um=1.2 * scene.setup.wavelength_um / na,
                                spacing_um=6.0 * scene.setup.wavelength_um / na),
            LightSheetImaging(waist_um=scene.waist_um),
        ]  # fmt: skip
    return [
        BrightfieldImaging(condenser_na=0.5 * na, waves=64),
        PhaseContrastImaging(na_in=0.6 * na, na_out=0.98 * na, waves=64),
        LedImaging(na_yx=((0.0, 0.6 * na),)),
    ]


def grow(name: str, scene: Scene, modalities: list[Glowing | Transmitting]) -> Specimen:
    """The specimen, fine enough for every one of the modalities."""
    setup = scene.setup
    least_um = min(object_pixel_um(setup, imaging) for imaging in modalities)
    factor = round(setup.pixel_um / least_um)
    row = next(row for row in SPECIMENS if row.name == name)
    thickness = row.thickness_um if scene.thickness_um is None else scene.thickness_um
    most = 64 if "fluorescence" in row.contrasts else 12
    step_um = max(setup.depth_of_field_um / 2, thickness / (most - 1))
    return make_specimen(
        name, scene.field_px * factor, pixel_um=setup.pixel_um / factor, thickness_um=thickness,
        layer_step_um=step_um if thickness > step_um else None,
        generator=torch.Generator().manual_seed(scene.seed), **scene.options,
    )  # fmt: skip


def greys(images: np.ndarray, imaging: Glowing | Transmitting, scene: Scene) -> np.ndarray:
    """One scale for a row: black is no light in fluorescence, grey the empty field elsewhere."""
    if isinstance(imaging, Glowing):
        return (images / np.percentile(images, scene.white)).clip(0, 1) ** scene.gamma
    if isinstance(imaging, BrightfieldImaging):
        low, high = np.percentile(images, (0.2, 99.8))
        low, high = min(low, 0.75), max(high, 1.05)
        return (images - low) / (high - low)
    half = max(np.percentile(abs(images - 1.0), 99.7), 0.05)
    return (images - 1.0) / (2 * half) + 0.5


def draw(name: str, data: Path) -> np.ndarray:
    """The sheet of one specimen."""
    scene = SCENES[name]
    contrasts = next(row.contrasts for row in SPECIMENS if row.name == name)
    modalities = ways(scene, contrasts)
    specimen = grow(name, scene, modalities)
    depth_um = scene.setup.depth_of_field_um
    z_um = [dof * depth_um for dof in scene.planes_dof]
    labels = tuple(f"{z:+.1f} um\n{dof:+g} DoF" if dof else "z = 0"
                   for z, dof in zip(z_um, scene.planes_dof, strict=True))  # fmt: skip
    rows = []
    for imaging in modalities:
        row, column = scene.corner_px
        images = Renderer(scene.setup, imaging).images(specimen, z_um).numpy()
        images = images[:, row : row + SIZE_PX, column : column + SIZE_PX]
        rows.append(
            SheetRow(title=imaging.modality, images=greys(images, imaging, scene),
                     labels=labels if not rows else (), pixel_um=scene.setup.pixel_um)
        )  # fmt: skip
    if name in REAL and data.is_dir():
        found, pixel_um = tiles(REAL[name], data, size_px=SIZE_PX)
        real = REAL[name]
        rows.append(SheetRow(title=real.what, images=found, labels=real.labels, pixel_um=pixel_um))
    setup = scene.setup
    title = f"{name}: NA {setup.na:g}, {setup.wavelength_nm:g} nm, depth of field {depth_um:.2f} um"
    return draw_contact_sheet(rows, title=title)


def save(sheet: np.ndarray, path: Path) -> int:
    """Write as PNG of as many greys as fit; its size in bytes."""
    for levels in GREYS:
        steps = (sheet.astype(np.uint16) * (levels - 1) + 127) // 255
        picture = Image.fromarray(steps.astype(np.uint8), mode="P")
        ramp = np.repeat(np.arange(levels) * 255 // (levels - 1), 3)
        picture.putpalette(ramp.astype(np.uint8).tobytes())
        picture.save(path, bits=4 if levels <= 16 else 8, optimize=True)
        if path.stat().st_size <= MOST_KB * 1024:
            break
    return path.stat().st_size


def main() -> None:
    """Write the sheets and print how large they are."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.contact_sheets")
    parser.add_argument("--only", nargs="+", choices=sorted(SCENES), default=list(SCENES))
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--data", type=Path, default=DEFAULT, help="folder of the real images")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for name in options.only:
        start = time.perf_counter()
        size = save(draw(name, options.data), options.out / f"{name}.png")
        print(f"{name}: {size / 1024:.0f} KB, {time.perf_counter() - start:.1f} s", flush=True)
        if size > MOST_KB * 1024:
            raise SystemExit(f"{name}.png is larger than {MOST_KB} KB: show less of it")


if __name__ == "__main__":
    main()
