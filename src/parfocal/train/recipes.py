"""The table of recipes: what ``parfocal train`` can make."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from pydantic import BaseModel, ValidationError

from parfocal.core.errors import InputError, UnknownNameError
from parfocal.core.setup import plain_fault


@dataclass(frozen=True)
class RecipeRow:
    """One recipe: its name, what it trains, and where its code is; nothing is imported by it.

    Parameters
    ----------
    name
        Of the recipe, and of the model that it makes.
    what
        What is trained, in a few words.
    settings
        Import address of its settings, as "module:Class"; their defaults are the recipe.
    maker
        Import address of the function that trains, calibrates and saves the model.
    quick
        Settings that ``--quick`` changes: for a trial of the whole way in minutes on two cores.
    tuning
        Import address of the settings of fine-tuning; empty where a model cannot be fine-tuned.
    model
        Name of the model where it is not the recipe's.
    """

    name: str
    what: str
    settings: str
    maker: str
    quick: Mapping[str, Any] = field(default_factory=dict)
    tuning: str = ""
    model: str = ""


RECIPES = (
    RecipeRow(
        name="pair-fluorescence",
        what="signed defocus from two fluorescence images, by simulated optics alone",
        settings="parfocal.train.pair_task:PairRecipe",
        maker="parfocal.train.making:make_model",
        quick={"steps": 1200, "epoch_steps": 300, "members": 1},
        tuning="parfocal.train.tuning_task:TuningRecipe",
    ),
    RecipeRow(
        name="li2021",
        what="signed defocus from two light-sheet images by the network of Li 2021, as published",
        settings="parfocal.train.li2021_task:Li2021Recipe",
        maker="parfocal.train.sheet_making:make_li2021",
        quick={"steps": 400, "epoch_steps": 100, "batch": 32, "rate": 2e-4, "rate_falls": True,
               "thick": 4, "flat": 2},
    ),
    RecipeRow(
        name="pair-light-sheet",
        what="signed defocus from two images of Li's light sheet by our network",
        settings="parfocal.train.sheet_pair_task:SheetPairRecipe",
        maker="parfocal.train.sheet_making:make_sheet_pair",
        quick={"steps": 400, "epoch_steps": 100, "thick": 4, "flat": 2},
    ),
    RecipeRow(
        name="led-phase",
        what="signed defocus from one image by an off-axis LED, by our network on its spectrum",
        settings="parfocal.train.spectrum_task:LedPhaseRecipe",
        maker="parfocal.train.spectrum_making:make_spectrum_model",
        quick={"kinds": (("phase_cells", 12), ("tissue_section", 12)), "steps": 300,
               "epoch_steps": 100, "members": 1},
    ),
    RecipeRow(
        name="pinkard2019",
        what="signed defocus from one image by an off-axis LED, as published by Pinkard 2019",
        settings="parfocal.train.spectrum_task:Pinkard2019Recipe",
        maker="parfocal.train.spectrum_making:make_spectrum_model",
        quick={"kinds": (("phase_cells", 12),), "planes": 20, "steps": 1000, "epoch_steps": 250,
               "peak_rate": 3e-4, "validation": 2},
    ),
    RecipeRow(
        name="li2023",
        what="pixels in focus by the U-Net of Li 2023, on weak labels and a few true masks",
        settings="parfocal.train.li2023_task:Li2023Recipe",
        maker="parfocal.train.li2023_making:make_li2023",
        quick={"each": 6, "patch_px": 128, "batch": 8, "steps": 600, "epoch_steps": 75,
               "tuning_steps": 2000, "tuning_epoch_steps": 250, "rate": 1e-3,
               "tuning_rate": 3e-4, "rate_falls": True, "patience": 4},
    ),
    RecipeRow(
        name="deep-r-fluorescence",
        what="one blurred fluorescence image into focus, by simulated optics alone",
        settings="parfocal.train.refocus_task:RefocusRecipe",
        maker="parfocal.train.refocus_making:make_refocuser",
        quick={"steps": 300, "epoch_steps": 100},
    ),
    RecipeRow(
        name="deep-r-brightfield",
        what="one blurred image of stains by transmitted light into focus",
        settings="parfocal.train.refocus_task:BrightfieldRecipe",
        maker="parfocal.train.refocus_making:make_refocuser",
        quick={"steps": 300, "epoch_steps": 100},
    ),
    RecipeRow(
        name="luo2020",
        what="one blurred fluorescence image into focus, by the networks of Luo 2020 as published",
        settings="parfocal.train.luo2020_task:Luo2020Recipe",
        maker="parfocal.train.luo2020_making:make_luo2020",
        quick={"steps": 40, "epoch_steps": 20, "widths": (16, 32, 64, 128)},
    ),
    RecipeRow(
        name="in-focus",
        what="which pixels of a thick specimen's planes are in focus, by simulated optics alone",
        settings="parfocal.train.in_focus_task:InFocusRecipe",
        maker="parfocal.train.in_focus_making:make_in_focus",
        quick={"steps": 600, "epoch_steps": 200, "batch": 8},
        tuning="parfocal.train.mask_tuning:MaskTuningRecipe",
        model="in-focus-widefield",
    ),
    RecipeRow(
        name="deep-z-fluorescence",
        what="one fluorescence image onto other surfaces or as sections, by simulated optics alone",
        settings="parfocal.train.surface_task:SurfaceRecipe",
        maker="parfocal.train.surface_making:make_surface_refocuser",
        quick={"steps": 150, "epoch_steps": 50},
    ),
)  # fmt: skip
QUICK = "-quick"
"""Ending of a quick model's name, so that it never hides the whole one."""


def find_recipe(name: str) -> RecipeRow:
    """The row of a name; an unknown one raises UnknownNameError with the names there are."""
    for row in RECIPES:
        if row.name == name:
            return row
    raise UnknownNameError("recipe", name, [row.name for row in RECIPES])


def load_address(address: str) -> Any:
    """What an import address "module:name" stands for."""
    module, _, name = address.partition(":")
    return getattr(import_module(module), name)


def settle(row: RecipeRow, changes: Mapping[str, Any], *, is_quick: bool = False) -> BaseModel:
    """Settings of a recipe with some changes.

    Raises
    ------
    InputError
        If a setting does not exist, or its value cannot be.

    Examples
    --------
    >>> settle(find_recipe("pair-fluorescence"), {"steps": 50}, is_quick=True).name
    'pair-fluorescence-quick'
    """
    name = row.model or row.name
    values: dict[str, Any] = {"name": name}
    if is_quick:
        values |= {"name": name + QUICK, **row.quick}
    return _settled(row.name, load_address(row.settings), values, changes)


def settle_tuning(row: RecipeRow, changes: Mapping[str, Any]) -> BaseModel:
    """Settings of fine-tuning a recipe's model, with some changes.

    Raises
    ------
    InputError
        If its models cannot be fine-tuned, a setting does not exist, or its value cannot be.

    Examples
    --------
    >>> settle_tuning(find_recipe("pair-fluorescence"), {"steps": 50}).steps
    50
    """
    if not row.tuning:
        can = ", ".join(row.name for row in RECIPES if row.tuning)
        raise InputError(f"Models of {row.name} cannot be fine-tuned; those of {can} can.")
    return _settled(row.name, load_address(row.tuning), {"name": row.name}, changes)


def _settled(
    name: str, settings: type[BaseModel], values: dict[str, Any], changes: Mapping[str, Any]
) -> BaseModel:
    known = sorted(settings.model_fields)
    for setting in changes:
        if setting not in known:
            raise InputError(
                f"{name} has no setting {setting!r}; choose one of: {', '.join(known)}."
            )
    try:
        return settings.model_validate(values | dict(changes))
    except ValidationError as error:
        faults = "; ".join(plain_fault(fault) for fault in error.errors())
        raise InputError(f"{name} cannot be trained so: {faults}.") from error
