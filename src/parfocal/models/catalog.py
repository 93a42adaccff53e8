"""Which trained networks there are: those that ship, and those in a user's own folder."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from parfocal.core.errors import InputError, UnknownNameError

SHIPPED = Path(__file__).parent / "weights"
FOLDER_VARIABLE = "PARFOCAL_MODELS"


@dataclass(frozen=True)
class ModelRow:
    """One trained network: its name, its verb, what it is for."""

    name: str
    verb: str
    summary: str
    folder: Path

    @property
    def is_there(self) -> bool:
        """Whether weights and card are in the folder."""
        return (self.folder / "card.json").is_file() and (
            self.folder / "weights.safetensors"
        ).is_file()

    @property
    def size_mb(self) -> float:
        """Of the weights in MB; 0 where there are none."""
        weights = self.folder / "weights.safetensors"
        return weights.stat().st_size / 1e6 if weights.is_file() else 0.0

    @property
    def is_shipped(self) -> bool:
        """Whether it came with the package."""
        return self.folder.parent == SHIPPED


CATALOG: tuple[ModelRow, ...] = (
    ModelRow(
        "pair-fluorescence",
        "predict",
        "signed defocus from two fluorescence images, on any microscope",
        SHIPPED / "pair-fluorescence",
    ),
    ModelRow(
        "led-phase",
        "predict",
        "one image by an off-axis LED of a 20x/0.5, phase specimens",
        SHIPPED / "led-phase",
    ),
    ModelRow(
        "in-focus-widefield",
        "segment",
        "which pixels of a thick specimen's planes are in focus, on any microscope",
        SHIPPED / "in-focus-widefield",
    ),
    ModelRow(
        "deep-r-fluorescence",
        "refocus",
        "one blurred fluorescence image into focus, on any microscope",
        SHIPPED / "deep-r-fluorescence",
    ),
    ModelRow(
        "deep-r-brightfield",
        "refocus",
        "one blurred image of stains by transmitted light into focus, on any microscope",
        SHIPPED / "deep-r-brightfield",
    ),
    ModelRow(
        "deep-z-fluorescence",
        "refocus",
        "one fluorescence image onto other surfaces, by a known spherical aberration",
        SHIPPED / "deep-z-fluorescence",
    ),
    ModelRow(
        "deep-z-confocal",
        "refocus",
        "the same network asked for confocal-equivalent sections",
        SHIPPED / "deep-z-fluorescence",
    ),
)
"""The networks that ship with the package, each in its folder of ``SHIPPED``."""


def user_folder() -> Path:
    """Where a user's own networks live: $PARFOCAL_MODELS, or the platform's data folder."""
    given = os.environ.get(FOLDER_VARIABLE)
    return Path(given) if given else Path(platformdirs.user_data_dir("parfocal")) / "models"


def model_rows() -> tuple[ModelRow, ...]:
    """The catalogue and the user's own networks; one of the user's hides a shipped namesake."""
    folder = user_folder()
    own = [
        ModelRow(card.parent.name, "", "your own", card.parent)
        for card in sorted(folder.glob("*/card.json"))
    ]
    names = {row.name for row in own}
    return (*own, *(row for row in CATALOG if row.name not in names))


def find_model(name: str) -> ModelRow:
    """The row of a name; an unknown one raises UnknownNameError with the names there are.

    Where there is no model at all, an InputError says how to make one.
    """
    rows = model_rows()
    for row in rows:
        if row.name == name:
            return row
    if not rows:
        raise InputError(
            f"There is no model called {name!r}, nor any other in {user_folder()}: train one, "
            "see parfocal train --list."
        )
    raise UnknownNameError("model", name, [row.name for row in rows])
