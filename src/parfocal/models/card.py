"""The card of a trained network: where it comes from, how good it is, where it must not be used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from parfocal.core.errors import MetadataError, ReadError
from parfocal.core.setup import plain_fault
from parfocal.models.card_page import card_page


class ModelCard(BaseModel):
    """What a trained network must carry with it.

    Parameters
    ----------
    name
        Name in the catalogue.
    task
        What it estimates, in a few words.
    architecture
        Import address of the network class, as "module:Class".
    settings
        Keyword arguments of that class, for each member of the ensemble the same.
    members
        Number of networks in the ensemble.
    recipe
        The recipe's name and its settings.
    commit
        Revision of the code that trained it.
    seed
        First seed; member k has seed + k.
    data
        What it was trained on, and what it never saw.
    seconds, machine
        How long the training took, and on what.
    metrics
        Measured on data that training never saw; names say the unit.
    coverage
        Share of truths inside the stated 90 % interval, by kind of specimen, likewise.
    calibration
        Numbers that turn the network's output into intervals.
    limits
        Plain sentences: what it cannot do.
    sha256
        Hash of the weights file.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    task: str
    architecture: str
    settings: dict[str, Any]
    members: int = Field(default=1, ge=1)
    recipe: dict[str, Any]
    commit: str
    seed: int
    data: str
    seconds: float
    machine: str
    metrics: dict[str, float]
    coverage: dict[str, float]
    calibration: dict[str, Any] = {}
    limits: tuple[str, ...]
    sha256: str = ""

    @classmethod
    def read(cls, path: Path) -> ModelCard:
        """Read a card; one line says what is wrong with it."""
        try:
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            raise ReadError(f"{path}: no card can be read here ({error.strerror}).") from error
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            faults = "; ".join(plain_fault(fault) for fault in error.errors())
            raise MetadataError(f"{path} is no valid model card: {faults}.") from error

    def write(self, path: Path) -> None:
        """Write the card as JSON that a person can read."""
        path.write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")

    def to_markdown(self) -> str:
        """Write the card as a page for people.

        Examples
        --------
        >>> card = ModelCard(
        ...     name="tiny", task="a test", architecture="parfocal.nets.pair:PairNetwork",
        ...     settings={}, recipe={}, commit="none", seed=0, data="none", seconds=0,
        ...     machine="none", metrics={"median_error_depths_beads": 0.25},
        ...     coverage={"beads": 0.9}, limits=("All.",),
        ... )
        >>> print("\\n".join(card.to_markdown().splitlines()[12:15]))
        |  | median error depths | coverage |
        | --- | ---: | ---: |
        | beads | 0.25 | 0.9 |
        """
        return card_page(self)
