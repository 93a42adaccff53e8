"""Thick specimens under the widefield microscope of Li 2023, with the truth of every pixel."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal
from zipfile import BadZipFile

import numpy as np
import torch
from jaxtyping import Bool, UInt16
from pydantic import BaseModel, ConfigDict, Field

from parfocal.core.setup import OpticalSetup
from parfocal.core.stack import FocalStack
from parfocal.simulate.focus_truth import EXTENT, FAINTEST, NEARBY, REACH, SPOT, in_focus
from parfocal.simulate.imaging import Renderer, binned
from parfocal.simulate.presets import load_recipe
from parfocal.simulate.recipes import StackRecipe
from parfocal.simulate.specimen import Specimen, structure_weight
from parfocal.simulate.stacks import SimulatedStack, simulate_stack

Split = Literal["train", "validation", "fine-tuning", "fine-tuning validation", "test"]
FIRST_SEED: dict[str, int] = {
    "train": 1_000_000, "validation": 2_000_000, "test": 3_000_000,
    "fine-tuning": 4_000_000, "fine-tuning validation": 5_000_000,
}  # fmt: skip
SEEN = ("packed_nuclei", "neurites", "dense_tissue", "epithelium", "cells")
"""Families that networks are trained on, by the rows of ``SPECIMENS``."""
UNSEEN = ("hair_cells", "nematode")
"""Families that none is trained on."""
SHAPES: dict[str, tuple[float, float]] = {
    "packed_nuclei": (100.0, 0.0), "neurites": (100.0, 0.0), "dense_tissue": (100.0, 0.0),
    "epithelium": (15.0, 500.0), "cells": (25.0, 500.0),
    "hair_cells": (30.0, 300.0), "nematode": (60.0, 150.0),
}  # fmt: skip
"""Thickness in um, and the largest tilt in um/mm: thin ones are tilted through the stack."""
PHOTONS, BACKGROUND = (100.0, 1000.0), (5.0, 60.0)
SPHERICAL_WAVES = (0.0, 0.05, 0.1)
LAYERS_PER_DEPTH = 4.0  # of field: the truths below differ by less than half of it
ANNOTATIONS: dict[str, dict[str, float]] = {
    "within 0.4 depths": {"reach_depths": 0.4}, "within 0.6 depths": {"reach_depths": 0.6},
    "threshold 0.06": {"threshold": 0.06}, "threshold 0.16": {"threshold": 0.16},
    "extent 0.16": {"extent": 0.16}, "extent 0.25": {"extent": 0.25},
    "0.1 depths higher": {"raised_depths": 0.1}, "0.25 depths higher": {"raised_depths": 0.25},
}  # fmt: skip
"""Other truths that are as right: what of ``annotated`` is not as in the stack's own."""
TRUTH = f"{FAINTEST} {EXTENT} {NEARBY} {SPOT} {ANNOTATIONS}"
"""What made the masks that are stored: others are made anew."""


class ThickSet(BaseModel):
    """Which scenes: so many specimens of each family.

    Parameters
    ----------
    split
        No specimen of one split is in another.
    families
        Rows of ``SPECIMENS``.
    each
        Specimens of each.
    size_px, planes
        Of each stack; planes are 8.55 um apart.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    split: Split
    families: tuple[str, ...] = SEEN
    each: Annotated[int, Field(ge=0, le=1000)] = 8
    size_px: Annotated[int, Field(ge=64)] = 256
    planes: Annotated[int, Field(ge=3)] = 20

    @property
    def count(self) -> int:
        """Number of stacks."""
        return len(self.families) * self.each


@dataclass(frozen=True, eq=False, kw_only=True)
class ThickScene:
    """One stack with its truths.

    Parameters
    ----------
    counts
        What the camera gave; planes in order of rising stage z.
    truth
        Pixels that hold structure within half a depth of field of the plane.
    annotations
        Other truths that are as right, by the names of ``ANNOTATIONS``.
    z_um
        Of each plane.
    family, name
        What was imaged, and which one.
    setup
        The optics.
    """

    counts: UInt16[np.ndarray, "z y x"]
    truth: Bool[np.ndarray, "z y x"]
    annotations: Mapping[str, Bool[np.ndarray, "z y x"]]
    z_um: tuple[float, ...]
    family: str
    name: str
    setup: OpticalSetup

    @property
    def stack(self) -> FocalStack:
        """The counts as a stack like any other."""
        return FocalStack(
            images=self.counts, z_um=np.array(self.z_um), setup=self.setup,
            pixel_um=self.setup.pixel_um, name=self.name, source=self.name,
            modality="fluorescence",
        )  # fmt: skip


def thick_recipe(family: str, seed: int, *, size_px: int, planes: int = 20) -> StackRecipe:
    """Recipe of one scene: the preset ``li2023`` with a draw of light, shape and aberration.

    100 to 1000 photons and a background of 5 to 60 (uniform in the logarithm), 0.6 to 1.2 of the
    family's thickness, tilts to either side, spherical aberration of 0 to 0.1 waves.

    Examples
    --------
    >>> recipe = thick_recipe("neurites", 7, size_px=256)
    >>> recipe.planes, recipe.z_step_um, 60 < recipe.specimen.thickness_um < 120
    (20, 8.55, True)
    """
    dice = np.random.default_rng([seed, 2023])
    photons, background = (float(np.exp(dice.uniform(*np.log(r)))) for r in (PHOTONS, BACKGROUND))
    usual_um, tilt = SHAPES.get(family, (40.0, 200.0))
    waves = {"12": float(dice.choice(SPHERICAL_WAVES))}
    tree: dict[str, Any] = {
        "photons": photons,
        "background_photons": background,
        "specimen": {"name": family, "thickness_um": usual_um * float(dice.uniform(0.6, 1.2))},
        "imaging": {"modality": "widefield", "aberrations": {"zernike_waves": waves}},
    }
    if tilt:
        tilt_y, tilt_x = (float(value) for value in dice.uniform(-tilt, tilt, size=2))
        tree["surface"] = {"tilt_y_um_per_mm": tilt_y, "tilt_x_um_per_mm": tilt_x}
    plain = load_recipe("li2023", seed=seed, size_px=size_px, planes=planes, **tree)
    step_um = plain.setup.depth_of_field_um / LAYERS_PER_DEPTH
    specimen = plain.specimen.model_copy(update={"layer_step_um": step_um})
    return plain.model_copy(update={"specimen": specimen})


def thick_recipes(scenes: ThickSet) -> Iterator[tuple[str, StackRecipe]]:
    """Name and recipe of each scene; seeds of different splits or families are never the same."""
    known = tuple(SHAPES)
    for place, family in enumerate(scenes.families):
        number = known.index(family) if family in known else len(known) + place
        for own in range(scenes.each):
            seed = FIRST_SEED[scenes.split] + 10_000 * number + own
            recipe = thick_recipe(family, seed, size_px=scenes.size_px, planes=scenes.planes)
            yield f"{scenes.split.replace(' ', '-')}-{family}-{own:03d}", recipe


def load_thick_scenes(
    scenes: ThickSet, folder: Path, *, begin: Callable[[str], None] | None = None
) -> list[ThickScene]:
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
    for name, recipe in thick_recipes(scenes):
        if begin is not None:
            begin(name)
        path = folder / f"{name}.npz"
        scene = _stored(path, name, recipe)
        found.append(_made(path, name, recipe, renderers) if scene is None else scene)
    return found


def other_annotations(made: SimulatedStack) -> dict[str, Bool[np.ndarray, "z y x"]]:
    """Truths by other reaches and thresholds, as right as the stack's own."""
    return {name: annotated(made, **changed) for name, changed in ANNOTATIONS.items()}


def annotated(
    made: SimulatedStack,
    *,
    reach_depths: float = REACH,
    threshold: float = FAINTEST,
    extent: float = EXTENT,
    raised_depths: float = 0.0,
) -> Bool[np.ndarray, "z y x"]:
    """True in-focus pixels by another rule: see ``in_focus``.

    Parameters
    ----------
    made
        A stack with its specimen.
    reach_depths
        How far structure may be from the plane, in depths of field; the stack's own truth has 0.5.
    threshold, extent
        As ``in_focus`` takes them.
    raised_depths
        How much higher the structure is taken to be, in depths of field: what an annotator makes
        of it whose sense of height is so far off.
    """
    recipe, setup = made.recipe, made.recipe.setup
    factor = round(setup.pixel_um / made.specimen.pixel_um)
    raised_um = raised_depths * setup.depth_of_field_um
    sides = [side * factor for side in recipe.shape_px]
    margins = [(s - o) // 2 for s, o in zip(made.specimen.shape[1:], sides, strict=True)]
    field = made.specimen.window(*margins, size_y=sides[0], size_x=sides[1])
    coarse = Specimen(
        pixel_um=setup.pixel_um, heights_um=field.heights_um,
        emission=binned(structure_weight(field), factor),
    )  # fmt: skip
    mask: np.ndarray = in_focus(
        coarse,
        torch.tensor([z - made.reference_um - raised_um for z in recipe.z_um]),
        depth_of_field_um=2.0 * reach_depths * setup.depth_of_field_um,
        resolution_um=setup.lateral_resolution_um,
        threshold=threshold,
        extent=extent,
    ).numpy()
    return mask


def _stored(path: Path, name: str, recipe: StackRecipe) -> ThickScene | None:
    """A scene that was stored, or None if it is absent, damaged or of another recipe."""
    try:
        with np.load(path) as held:
            if str(held["recipe"]) != recipe.model_dump_json() + TRUTH:
                return None
            counts = held["counts"]
            masks = np.unpackbits(held["masks"], axis=-1, count=counts.shape[-1]).astype(bool)
            return _scene(name, recipe, counts, masks)
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        return None


def _made(path: Path, name: str, recipe: StackRecipe, renderers: dict[str, Renderer]) -> ThickScene:
    """Simulate one scene, and store it: beside, then in place."""
    made = simulate_stack(recipe, renderers=renderers)
    masks = np.stack([made.in_focus, *other_annotations(made).values()])
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        np.savez(
            file, counts=made.counts, masks=np.packbits(masks, axis=-1),
            recipe=recipe.model_dump_json() + TRUTH,
        )  # fmt: skip
    part.replace(path)
    return _scene(name, recipe, made.counts, masks)


def _scene(
    name: str, recipe: StackRecipe, counts: np.ndarray, masks: Bool[np.ndarray, "k z y x"]
) -> ThickScene:
    return ThickScene(
        counts=counts,
        truth=masks[0],
        annotations=dict(zip(ANNOTATIONS, masks[1:], strict=True)),
        z_um=tuple(recipe.z_um),
        family=recipe.specimen.name,
        name=name,
        setup=recipe.setup,
    )
