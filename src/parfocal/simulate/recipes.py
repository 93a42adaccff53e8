"""What a simulated stack is made of: one frozen tree of settings, from a file or a preset."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from parfocal.core.errors import InputError, ReadError
from parfocal.core.setup import OpticalSetup, plain_fault
from parfocal.optics.noise import CameraModel
from parfocal.simulate.catalog import find_specimen
from parfocal.simulate.modalities import Imaging, Transmitting, WidefieldImaging
from parfocal.simulate.terrain import SurfaceSettings

Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Side = Annotated[int, Field(ge=16, le=8192)]


class ObjectSettings(BaseModel):
    """What lies under the microscope.

    Parameters
    ----------
    name
        A row of ``SPECIMENS``; not used where ``path`` is given.
    path
        An image or a volume of the user's as object, in any form that ``open_stack`` reads.
    thickness_um, layer_step_um
        As in ``make_specimen``; None takes the row's own, and layers half a depth of field apart.
    options
        Options of the row's maker.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = "beads"
    path: Path | None = None
    thickness_um: NotNegative | None = None
    layer_step_um: Positive | None = None
    options: dict[str, Any] = {}

    @model_validator(mode="after")
    def _name_is_known(self) -> ObjectSettings:
        if self.path is None:
            try:
                find_specimen(self.name)
            except InputError as error:
                raise ValueError(str(error)) from error
        return self


class StackRecipe(BaseModel):
    """All that one simulated stack needs but the seed's draw.

    Parameters
    ----------
    name
        How the recipe is called.
    specimen, setup, imaging, camera
        What is imaged, and how.
    planes, z_step_um, z_start_um
        Positions of the stage.
    focus_um
        Stage z at which the specimen's reference is in focus: a number, or a range to draw from.
        None draws from the middle half of the stack.
    size_px
        Camera pixels, one side or (y, x).
    surface
        Tilt and bumps of the specimen; ``offset_um`` adds to the focus.
    photons
        Photons per pixel of a brightness of 1 (fluorescence) or of the empty field.
    background_photons
        Photons per pixel that come from everywhere.
    held_sheet
        Of a light sheet: the sheet stays at the specimen's reference while the focus moves, as
        where detection is refocused [Li2021]_.
    seed
        Draws everything that is random; the command's ``--seed`` comes first.

    Examples
    --------
    >>> setup = OpticalSetup(na=0.5, wavelength_nm=550, pixel_um=0.5)
    >>> StackRecipe(setup=setup, planes=5, z_step_um=2.0).z_um
    [0.0, 2.0, 4.0, 6.0, 8.0]
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = "own"
    specimen: ObjectSettings = ObjectSettings()
    setup: OpticalSetup
    imaging: Imaging = WidefieldImaging()
    planes: Annotated[int, Field(ge=1, le=4096)] = 21
    z_step_um: Positive = 1.0
    z_start_um: Finite = 0.0
    focus_um: Finite | tuple[Finite, Finite] | None = None
    size_px: Side | tuple[Side, Side] = 512
    surface: SurfaceSettings = SurfaceSettings()
    photons: Positive = 500.0
    background_photons: NotNegative = 5.0
    camera: CameraModel = CameraModel()
    held_sheet: bool = False
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0

    @model_validator(mode="after")
    def _parts_fit(self) -> StackRecipe:
        if self.held_sheet and self.imaging.modality != "light-sheet":
            raise ValueError("held_sheet needs imaging with modality light-sheet")
        if isinstance(self.focus_um, tuple) and self.focus_um[0] > self.focus_um[1]:
            raise ValueError("focus_um must be a range that rises, (low, high)")
        if self.specimen.path is not None:
            return self
        contrasts = find_specimen(self.specimen.name).contrasts
        needed = "transmission" if isinstance(self.imaging, Transmitting) else "fluorescence"
        if needed not in contrasts:
            raise ValueError(
                f"the specimen {self.specimen.name} shows nothing by {self.imaging.modality}: it "
                f"is for {' and '.join(contrasts)}"
            )
        return self

    @property
    def shape_px(self) -> tuple[int, int]:
        """Camera pixels (y, x)."""
        size = self.size_px
        return (size, size) if isinstance(size, int) else size

    @property
    def z_um(self) -> list[float]:
        """Positions of the stage."""
        return [round(self.z_start_um + k * self.z_step_um, 9) for k in range(self.planes)]

    @classmethod
    def of(cls, values: Mapping[str, Any], *, source: str = "recipe") -> StackRecipe:
        """Build a recipe from a tree of values; a wrong one raises a one-line InputError."""
        try:
            return cls.model_validate(dict(values))
        except ValidationError as error:
            faults = []
            for fault in error.errors():
                path = ".".join(str(part) for part in fault["loc"][:-1])
                faults.append(f"{path}: {plain_fault({**fault, 'loc': fault['loc'][-1:]})}")
            raise InputError(f"{source}: {'; '.join(faults).removeprefix(': ')}.") from error


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """One tree over another: values of ``above`` win, branches are merged.

    A branch that names another ``modality`` replaces the whole branch.

    Examples
    --------
    >>> merged({"a": {"b": 1, "c": 2}}, {"a": {"c": 3}})
    {'a': {'b': 1, 'c': 3}}
    """
    tree = dict(below)
    for key, value in above.items():
        old = tree.get(key)
        tree[key] = value
        if isinstance(value, Mapping) and isinstance(old, Mapping):
            kind = old.get("modality")
            if value.get("modality", kind) == kind:
                tree[key] = merged(old, value)
    return tree


def read_recipe(path: str | Path) -> dict[str, Any]:
    """Read a recipe file, TOML or JSON, as a tree of values.

    Raises
    ------
    ReadError
        If the file is absent or is neither.
    """
    place = Path(path)
    try:
        text = place.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ReadError(
            f"{place}: cannot be read as a recipe; give a TOML or JSON file."
        ) from error
    try:
        tree = json.loads(text) if place.suffix.lower() == ".json" else tomllib.loads(text)
    except ValueError as error:
        raise ReadError(f"{place}: is no recipe, {error}; give TOML or JSON.") from error
    if not isinstance(tree, dict):
        raise ReadError(f"{place}: a recipe is a table of names and values.")
    if "specimen" in tree and isinstance(tree["specimen"], dict) and "path" in tree["specimen"]:
        tree["specimen"]["path"] = place.parent / tree["specimen"]["path"]
    return tree
