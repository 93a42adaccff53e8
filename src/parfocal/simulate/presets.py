"""Recipes with names: the microscopes of five papers, and a wide random range for training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from parfocal.core.errors import UnknownNameError
from parfocal.simulate.recipes import StackRecipe, merged, read_recipe
from parfocal.simulate.wide import draw_wide

Tree = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Preset:
    """One named recipe: what it is, and the tree it makes from a source of randomness."""

    name: str
    what: str
    tree: Callable[[np.random.Generator], Tree]


def _fixed(name: str, what: str, **tree: Any) -> Preset:
    return Preset(name=name, what=what, tree=lambda dice: {"name": name, **tree})


_DRY_20X = {"na": 0.75, "wavelength_nm": 530, "pixel_um": 0.325, "magnification": 20}

PRESETS: tuple[Preset, ...] = (
    _fixed(
        "li2021",
        "10x/0.6 in dibenzyl ether, light sheet held in cleared tissue, 51 planes [Li2021]",
        setup={"na": 0.6, "wavelength_nm": 580, "pixel_um": 0.65, "immersion_index": 1.56,
               "sample_index": 1.56, "magnification": 10},
        imaging={"modality": "light-sheet", "waist_um": 14.0},
        held_sheet=True,
        specimen={"name": "dense_tissue", "thickness_um": 36.0},
        planes=51, z_step_um=2.0, focus_um=50.0, photons=300.0, background_photons=20.0,
    ),
    _fixed(
        "pinkard2019",
        "20x/0.5, one LED off the axis, living cells as phase, 60 planes [Pinkard2019]",
        setup={"na": 0.5, "wavelength_nm": 530, "pixel_um": 0.325, "magnification": 20},
        imaging={"modality": "led", "na_yx": [[0.0, 0.3]]},
        specimen={"name": "phase_cells"},
        planes=60, z_step_um=1.0, photons=5000.0, background_photons=0.0,
    ),
    _fixed(
        "li2023",
        "widefield of a thick stained head, 20 planes 8.55 um apart, 0.79 um pixels [Li2023]",
        setup={"na": 0.3, "wavelength_nm": 520, "pixel_um": 0.79},
        specimen={"name": "packed_nuclei", "thickness_um": 100.0},
        planes=20, z_step_um=8.55, photons=400.0, background_photons=20.0,
    ),
    _fixed(
        "luo2020",
        "20x/0.75 widefield, mitochondria, +-10 um [Luo2020]",
        setup=_DRY_20X,
        specimen={"name": "mitochondria", "thickness_um": 2.0},
        planes=41, z_step_um=0.5, focus_um=10.0,
    ),
    _fixed(
        "luo2020-40x",
        "40x/0.95 widefield, mitochondria, +-10 um [Luo2020]",
        setup=_DRY_20X | {"na": 0.95, "pixel_um": 0.1625, "magnification": 40},
        specimen={"name": "mitochondria", "thickness_um": 2.0},
        planes=41, z_step_um=0.5, focus_um=10.0,
    ),
    _fixed(
        "wu2019",
        "20x/0.75 widefield, a worm with glowing neurons, +-10 um [Wu2019]",
        setup=_DRY_20X,
        specimen={"name": "nematode"},
        planes=41, z_step_um=0.5, focus_um=10.0,
    ),
    Preset(
        name="wide",
        what="a new microscope for each seed: NA 0.1 to 1.45, any modality and specimen",
        tree=draw_wide,
    ),
)  # fmt: skip


def find_preset(name: str) -> Preset:
    """The preset of a name; an unknown one raises UnknownNameError with the names there are."""
    for preset in PRESETS:
        if preset.name == name:
            return preset
    raise UnknownNameError("preset", name, (preset.name for preset in PRESETS))


def load_recipe(given: str | Path, *, seed: int | None = None, **above: Any) -> StackRecipe:
    """The recipe of a preset's name or a file's path, with values of the call above it.

    A file may build on a preset: ``preset = "luo2020"`` and the values that differ.

    Parameters
    ----------
    given
        A name of ``PRESETS``, or a TOML or JSON file.
    seed
        Draws what is random; the file's own seed, or 0, if None.
    above
        Values of the recipe that win.

    Raises
    ------
    UnknownNameError
        If there is no such preset and no such file.
    InputError
        If the values make no recipe.

    Examples
    --------
    >>> load_recipe("luo2020", size_px=256).shape_px
    (256, 256)
    >>> load_recipe("wide", seed=1) == load_recipe("wide", seed=1)
    True
    """
    path = Path(given)
    is_file = path.suffix.lower() in (".toml", ".json") or path.is_file()
    tree: Tree = read_recipe(path) if is_file else {"preset": str(given)}
    drawn = int(tree.get("seed", 0)) if seed is None else seed
    preset = tree.pop("preset", None)
    if preset is not None:
        tree = merged(find_preset(str(preset)).tree(np.random.default_rng(drawn)), tree)
    tree = merged(tree, above) | {"seed": drawn}
    tree.setdefault("name", path.stem)
    return StackRecipe.of(tree, source=str(given))
