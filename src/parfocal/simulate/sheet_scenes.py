"""Scenes of a light-sheet microscope as in Li 2021: tissues, split by specimen, stored once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal
from zipfile import BadZipFile

import numpy as np
from jaxtyping import UInt16
from pydantic import BaseModel, ConfigDict, Field

from parfocal.core.setup import OpticalSetup
from parfocal.simulate.imaging import Renderer
from parfocal.simulate.presets import load_recipe
from parfocal.simulate.recipes import StackRecipe
from parfocal.simulate.stacks import simulate_stack

Split = Literal["train", "validation", "test"]
FIRST_SEED: dict[str, int] = {"train": 1_000_000, "validation": 2_000_000, "test": 3_000_000}
SEEN = ("neurites", "hair_cells", "packed_nuclei")
"""Tissues that are trained on: for the paper's brain and cochlea, and one more."""
UNSEEN = "dense_tissue"
"""The tissue that is not, for the paper's lung."""
THICK_UM, LAYER_STEP_UM = 36.0, 1.0
SPHERICAL_WAVES = (0.0, 0.05, 0.1, 0.15, 0.2)
"""Zernike term 12, of one sign: what an oil of another index than the design's does."""
SHEETS_UM = (8.5, 11.0, 14.0, 17.0, 19.5)
"""FWHM of the sheet from its waist to the edge of the field; 14 um in the mean, as published."""
PHOTONS = (20.0, 400.0)
BACKGROUND = (10.0, 60.0)


class SceneSet(BaseModel):
    """Which scenes: so many specimens of each tissue, thick ones and flat ones.

    Parameters
    ----------
    split
        No specimen of one split is in another.
    tissues
        Rows of ``SPECIMENS``.
    thick, flat
        Specimens of each tissue: 36 um thick, of which the sheet lights a slice; in one layer.
    size_px, planes
        Of each stack, 2 um apart.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    split: Split
    tissues: tuple[str, ...] = SEEN
    thick: Annotated[int, Field(ge=0, le=1000)] = 16
    flat: Annotated[int, Field(ge=0, le=1000)] = 8
    size_px: Annotated[int, Field(ge=128)] = 256
    planes: Annotated[int, Field(ge=3)] = 51

    @property
    def count(self) -> int:
        """Number of stacks."""
        return len(self.tissues) * (self.thick + self.flat)


@dataclass(frozen=True, eq=False, kw_only=True)
class Scene:
    """One stack with its truth.

    Parameters
    ----------
    counts
        What the camera gave; planes in order of rising stage z.
    z_um
        Of each plane.
    focus_um
        z at which the mean height of the lit structure is in focus.
    tissue, is_flat
        What was imaged.
    setup
        The optics.
    """

    counts: UInt16[np.ndarray, "z y x"]
    z_um: tuple[float, ...]
    focus_um: float
    tissue: str
    is_flat: bool
    setup: OpticalSetup


def scene_recipe(
    tissue: str, seed: int, *, is_flat: bool, size_px: int, planes: int = 51
) -> StackRecipe:
    """Recipe of one scene: the preset ``li2021`` with a draw of light, sheet and aberration.

    20 to 400 photons and a background of 10 to 60 (uniform in the logarithm), a sheet of 8.5 to
    19.5 um, spherical aberration of 0 to 0.2 waves, focus within 1 um of the stack's middle, as
    found by eye.

    Examples
    --------
    >>> recipe = scene_recipe("neurites", 7, is_flat=False, size_px=256)
    >>> recipe.planes, recipe.held_sheet, recipe.imaging.waist_um in SHEETS_UM
    (51, True, True)
    """
    dice = np.random.default_rng([seed, 2021])
    photons, background = (float(np.exp(dice.uniform(*np.log(r)))) for r in (PHOTONS, BACKGROUND))
    middle_um = float(planes - 1)
    return load_recipe(
        "li2021",
        seed=seed,
        size_px=size_px,
        planes=planes,
        focus_um=(middle_um - 1.0, middle_um + 1.0),
        photons=photons,
        background_photons=background,
        specimen={
            "name": tissue,
            "thickness_um": 0.0 if is_flat else THICK_UM,
            "layer_step_um": None if is_flat else LAYER_STEP_UM,
        },
        imaging={
            "waist_um": float(dice.choice(SHEETS_UM)),
            "aberrations": {"zernike_waves": {"12": float(dice.choice(SPHERICAL_WAVES))}},
        },
    )


def scene_recipes(scenes: SceneSet) -> Iterator[tuple[str, StackRecipe]]:
    """Name and recipe of each scene; seeds of different splits or tissues are never the same."""
    for place, tissue in enumerate(scenes.tissues):
        for number in range(scenes.thick + scenes.flat):
            is_flat = number >= scenes.thick
            own = number - scenes.thick + 1000 if is_flat else number
            kind = "flat" if is_flat else "thick"
            seed = FIRST_SEED[scenes.split] + 10_000 * _place(tissue, place) + own
            recipe = scene_recipe(
                tissue, seed, is_flat=is_flat, size_px=scenes.size_px, planes=scenes.planes
            )
            yield f"{scenes.split}-{tissue}-{kind}-{own % 1000:03d}", recipe


def _place(tissue: str, place: int) -> int:
    """A number for each tissue that does not depend on which others there are."""
    known = (*SEEN, UNSEEN)
    return known.index(tissue) if tissue in known else len(known) + place


def load_scenes(
    scenes: SceneSet, folder: Path, *, begin: Callable[[str], None] | None = None
) -> list[Scene]:
    """Scenes from a folder; those that are not there yet are simulated and stored.

    Killed half-way, it goes on where it was: files are whole or absent.

    Parameters
    ----------
    scenes
        Which ones.
    folder
        Where they are kept, one .npz each.
    begin
        Called with the name of each scene before it is read or made.
    """
    folder.mkdir(parents=True, exist_ok=True)
    renderers: dict[str, Renderer] = {}
    found = []
    for name, recipe in scene_recipes(scenes):
        if begin is not None:
            begin(name)
        path = folder / f"{name}.npz"
        scene = _stored(path, recipe)
        if scene is None:
            scene = _made(path, recipe, renderers)
        found.append(scene)
    return found


def _stored(path: Path, recipe: StackRecipe) -> Scene | None:
    """A scene that was stored, or None if it is absent, damaged or of another recipe."""
    try:
        with np.load(path) as held:
            if str(held["recipe"]) != recipe.model_dump_json():
                return None
            return _scene(recipe, held["counts"], float(held["focus_um"]))
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        return None


def _made(path: Path, recipe: StackRecipe, renderers: dict[str, Renderer]) -> Scene:
    """Simulate one scene, and store it: beside, then in place."""
    made = simulate_stack(recipe, renderers=renderers)
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        np.savez(file, counts=made.counts, focus_um=made.focus_um, recipe=recipe.model_dump_json())
    part.replace(path)
    return _scene(recipe, made.counts, made.focus_um)


def _scene(recipe: StackRecipe, counts: UInt16[np.ndarray, "z y x"], focus_um: float) -> Scene:
    return Scene(
        counts=counts,
        z_um=tuple(recipe.z_um),
        focus_um=focus_um,
        tissue=recipe.specimen.name,
        is_flat=recipe.specimen.thickness_um == 0,
        setup=recipe.setup,
    )
