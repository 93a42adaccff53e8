"""Any microscope a user is likely to have: objectives, cameras and light, drawn together."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from parfocal.simulate.catalog import SPECIMENS, SpecimenRow
from parfocal.simulate.imaging import is_round
from parfocal.simulate.modalities import Transmitting, object_pixel_um
from parfocal.simulate.recipes import StackRecipe
from parfocal.simulate.stacks import LAYERS_PER_DEPTH, MOST_LAYERS, MOST_SLICES

# Magnification, NA, index of the immersion: what catalogues hold.
OBJECTIVES = (
    (4, 0.10, 1.0), (4, 0.13, 1.0), (4, 0.16, 1.0), (4, 0.20, 1.0), (5, 0.15, 1.0),
    (10, 0.25, 1.0), (10, 0.30, 1.0), (10, 0.45, 1.0), (10, 0.60, 1.56), (16, 0.80, 1.333),
    (20, 0.40, 1.0), (20, 0.50, 1.0), (20, 0.75, 1.0), (20, 0.80, 1.0), (20, 1.00, 1.333),
    (25, 1.05, 1.333), (40, 0.60, 1.0), (40, 0.75, 1.0), (40, 0.95, 1.0), (40, 1.15, 1.333),
    (40, 1.30, 1.515), (60, 0.70, 1.0), (60, 1.20, 1.333), (60, 1.30, 1.406), (60, 1.40, 1.515),
    (63, 1.40, 1.515), (100, 0.90, 1.0), (100, 1.45, 1.515),
)  # fmt: skip
CAMERA_PIXELS_UM = (3.45, 4.5, 5.86, 6.5, 11.0, 13.0)
SAMPLE_INDICES = (1.33, 1.36, 1.40, 1.45, 1.515)
LEAST_PIXEL_UM, MOST_PIXEL_UM = 0.05, 3.0
MODALITY_SHARES = {
    "widefield": 0.6, "confocal": 0.06, "spinning-disk": 0.06, "light-sheet": 0.08,
    "brightfield": 0.12, "phase-contrast": 0.04, "led": 0.04,
}  # fmt: skip
TRANSMITTED = ("brightfield", "phase-contrast", "led")
SIDE_PX, LEAST_SIDE_PX, SIDE_STEP_PX = 512, 128, 32
MOST_GLOWING = 2.5e7  # samples of a specimen's layers
MOST_LOPSIDED = 640**2  # samples of a layer
MOST_CROSSED = 2.5e8  # samples of all waves, in every layer that they cross and every plane
STEEPEST = 0.95  # NA over a mismatched sample's index: steeper rays take the largest grids
WAVES = {"brightfield": 24, "phase-contrast": 24, "led": 1}


def draw_optics(dice: np.random.Generator) -> dict[str, Any]:
    """One objective with one camera: NA 0.1 to 1.45, pixels of 0.05 to 3 um, visible light.

    Examples
    --------
    >>> sorted(draw_optics(np.random.default_rng(0)))
    ['immersion_index', 'magnification', 'na', 'pixel_um', 'sample_index', 'wavelength_nm']
    """
    magnification, na, index = OBJECTIVES[int(dice.integers(len(OBJECTIVES)))]
    camera_um = float(dice.choice(CAMERA_PIXELS_UM)) * float(dice.choice((1, 1, 1, 2)))
    pixel_um = float(np.clip(camera_um / magnification, LEAST_PIXEL_UM, MOST_PIXEL_UM))
    sample = float(dice.choice([n for n in SAMPLE_INDICES if n > 0.9 * na]))
    return {
        "na": na,
        "wavelength_nm": round(float(dice.uniform(420, 700))),
        "pixel_um": round(pixel_um, 4),
        "immersion_index": index,
        "sample_index": 1.56 if index == 1.56 else sample,
        "magnification": magnification,
    }


def draw_aberrations(dice: np.random.Generator) -> dict[str, Any] | None:
    """Small aberrations: none for a third of all draws, spherical alone for half of them."""
    kind = dice.random()
    if kind < 1 / 3:
        return None
    waves = {12: round(float(dice.normal(0, 0.06)), 4)}
    if kind > 5 / 6:
        waves |= {j: round(float(dice.normal(0, 0.025)), 4) for j in (3, 5, 6, 7, 8, 9)}
    return {"zernike_waves": waves}


def draw_wide(dice: np.random.Generator) -> dict[str, Any]:
    """Draw the tree of one recipe from the whole range.

    Dim to bright (5 to 3000 photons), background up to the signal, one in seven saturated, z in
    steps of 0.4 to 1.2 depths of field, focus anywhere in the middle half. Images are 512 px wide,
    or less where the specimen would take long; ``side_px`` says when.
    """
    setup = draw_optics(dice)
    modality = str(dice.choice(list(MODALITY_SHARES), p=list(MODALITY_SHARES.values())))
    contrast = "transmission" if modality in TRANSMITTED else "fluorescence"
    rows = [row for row in SPECIMENS if contrast in row.contrasts]
    row = rows[int(dice.integers(len(rows)))]
    depth_um = setup["immersion_index"] * setup["wavelength_nm"] / 1000 / setup["na"] ** 2
    photons = float(np.exp(dice.uniform(np.log(5), np.log(3000))))
    photons = 500 + photons if contrast == "transmission" else photons
    camera: dict[str, Any] = {
        "read_noise_electrons": round(float(dice.uniform(0.8, 6)), 2),
        "offset_counts": round(float(dice.uniform(0, 300))),
        "bits": int(dice.choice((12, 14, 16))),
        "counts_per_electron": round(float(dice.uniform(0.3, 2.5)), 2),
        "hot_pixel_fraction": float(dice.choice((0.0, 0.0, 1e-4))),
        "hot_pixel_seed": int(dice.integers(2**31)),
    }
    if dice.random() < 1 / 7:
        camera["full_well_electrons"] = max(20.0, round(0.8 * photons * dice.uniform(0.3, 0.8)))
    field_mm = 0.512 * setup["pixel_um"]
    tilt = dice.normal(0, 0.7 * depth_um / field_mm, 2) if dice.random() < 0.4 else (0.0, 0.0)
    glow = contrast == "fluorescence"
    tree = {
        "name": "wide",
        "setup": setup,
        "imaging": _imaging(dice, modality, setup),
        "specimen": {"name": row.name, "thickness_um": _thickness_um(dice, row, depth_um)},
        "planes": int(dice.integers(15, 32)),
        "z_step_um": round(float(depth_um * dice.uniform(0.4, 1.2)), 3),
        "photons": round(photons, 1),
        "background_photons": round(photons * float(dice.uniform(0, 1)) ** 3, 1) if glow else 0.0,
        "camera": camera,
        "surface": {
            "tilt_x_um_per_mm": round(float(tilt[0]), 2),
            "tilt_y_um_per_mm": round(float(tilt[1]), 2),
        },
    }
    return tree | {"size_px": side_px(StackRecipe.of(tree, source="wide"))}


def side_px(recipe: StackRecipe) -> int:
    """Side of the image that keeps a stack at some seconds: 512 px where pixels are fine.

    A camera's pixel may need several of the specimen's along each axis; thick specimens have
    many layers, and by transmitted light each wave crosses every one of them.

    Examples
    --------
    >>> setup = {"na": 0.5, "wavelength_nm": 550, "pixel_um": 0.5, "immersion_index": 1.0}
    >>> side_px(StackRecipe.of({"setup": setup, "specimen": {"name": "beads"}}))
    512
    """
    setup, imaging = recipe.setup, recipe.imaging
    factor = round(setup.pixel_um / object_pixel_um(setup, imaging))
    tilt = math.hypot(recipe.surface.tilt_x_um_per_mm, recipe.surface.tilt_y_um_per_mm)
    extent_um = (recipe.specimen.thickness_um or 0.0) + tilt * SIDE_PX * setup.pixel_um / 1000
    most = MOST_SLICES if isinstance(imaging, Transmitting) else MOST_LAYERS
    layers = min(most, 1 + math.ceil(LAYERS_PER_DEPTH * extent_um / setup.depth_of_field_um))
    if isinstance(imaging, Transmitting):
        crossings = 2 * (layers - 1) + recipe.planes
        points = MOST_CROSSED / (WAVES[imaging.modality] * crossings)
    else:
        points = MOST_GLOWING / layers
        if not is_round(imaging.aberrations):  # each transfer function is a plane, not a profile
            points = min(points / 2, MOST_LOPSIDED)
    side = math.sqrt(points) / factor // SIDE_STEP_PX * SIDE_STEP_PX
    return int(min(SIDE_PX, max(LEAST_SIDE_PX, side)))


def _thickness_um(dice: np.random.Generator, row: SpecimenRow, depth_um: float) -> float:
    """Usually the specimen's own; never more than 24 depths of field, which layers could hold."""
    own = row.thickness_um * float(dice.choice((0.5, 1.0, 1.0)))
    return round(min(own, 24 * depth_um), 2)


def _imaging(dice: np.random.Generator, modality: str, setup: dict[str, Any]) -> dict[str, Any]:
    tree: dict[str, Any] = {"modality": modality, "aberrations": draw_aberrations(dice)}
    na, wavelength = setup["na"], setup["wavelength_nm"]
    if modality not in TRANSMITTED:
        tree["model"] = "scalar"  # a fifth of the cost, and a few percent from vectorial light
    if modality in ("confocal", "spinning-disk"):
        tree["excitation_nm"] = round(0.93 * wavelength)
    if modality == "confocal":
        tree["pinhole_airy"] = round(float(dice.uniform(0.7, 2)), 2)
    if modality == "spinning-disk":
        hole_um = 1.2 * wavelength / 1000 / na
        tree |= {"pinhole_um": round(hole_um, 3), "spacing_um": round(5 * hole_um, 3)}
    if modality == "light-sheet":
        tree["waist_um"] = round(float(dice.uniform(2, 15)), 2)
        tree["sheet_offset_um"] = round(float(dice.normal(0, 0.2)) * tree["waist_um"], 2)
    mismatched = setup["sample_index"] != setup["immersion_index"] and na > 0.7
    mismatched &= na < STEEPEST * setup["sample_index"]
    if modality == "widefield" and mismatched and dice.random() < 1 / 3:
        tree["layers"] = {"depth_um": round(float(dice.uniform(0, 10)), 1)}
    if modality in WAVES and modality != "led":
        halves = 2 if modality == "phase-contrast" else 1
        tree["waves"] = WAVES[modality] // halves
    if modality == "brightfield":
        tree["condenser_na"] = round(min(0.9, na) * float(dice.uniform(0.2, 0.9)), 3)
    if modality == "phase-contrast":
        tree |= {"na_in": round(0.5 * min(na, 0.9), 3), "na_out": round(min(na, 0.9), 3)}
    if modality == "led":
        angle, tilt = dice.uniform(0, 2 * np.pi), min(na, 0.9) * dice.uniform(0.3, 0.9)
        tree["na_yx"] = [[round(tilt * np.sin(angle), 3), round(tilt * np.cos(angle), 3)]]
    return tree
