"""Which ensemble is fine-tuned, on which stacks, and which of them judge."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError
from torch import nn

from parfocal.core.errors import InputError
from parfocal.data import LabelledStack, Split, require_apart, split_stacks
from parfocal.models.card import ModelCard
from parfocal.models.package import load_model
from parfocal.train.labelling import LabelledStacks
from parfocal.train.pair_task import PairRecipe
from parfocal.train.tuning_task import TuningRecipe, digest

ARCHITECTURE = "parfocal.nets.pair:PairNetwork"


@dataclass(frozen=True, eq=False)
class TuningPlan:
    """What is fine-tuned, on which stacks.

    Parameters
    ----------
    networks, card, pair
        The model to begin with, and how it was trained.
    found
        Stacks with their labels, and those left out.
    split
        Which of them to learn from, to choose by, and to judge by.
    recipe, seed
        How.
    """

    networks: tuple[nn.Module, ...]
    card: ModelCard
    pair: PairRecipe
    found: LabelledStacks
    split: Split
    recipe: TuningRecipe
    seed: int

    @property
    def total(self) -> int:
        """Steps of training, and stacks that are tried before and after."""
        return len(self.networks) * self.recipe.steps + 2 * len(self.split.held_out)

    def part(self, numbers: tuple[int, ...]) -> list[LabelledStack]:
        """Some of the stacks."""
        return [self.found.stacks[number] for number in numbers]

    @property
    def digest(self) -> str:
        """What tells these stacks, labels and parts from others."""
        return digest(self.found.stacks, self.found.marks)


def plan_tuning(
    base: str | Path, found: LabelledStacks, recipe: TuningRecipe, *, seed: int = 0
) -> TuningPlan:
    """Load a model and split the stacks by specimen.

    Raises
    ------
    InputError
        If the model is no pair ensemble, or the stacks show fewer than two specimens.
    """
    networks, card = load_model(base)
    if card.architecture != ARCHITECTURE:
        raise InputError(
            f"{card.name} is no pair network but {card.architecture}, which cannot be fine-tuned "
            "yet; give a model of pair-fluorescence."
        )
    try:
        pair = PairRecipe.model_validate(card.recipe.get("pair", card.recipe))
    except ValidationError as error:
        raise InputError(
            f"The card of {card.name} does not say how it was trained, so no simulated images of "
            "that kind can be made; give a model of parfocal train."
        ) from error
    split = split_stacks(
        [known.specimen for known in found.stacks], held_out=recipe.held_out, seed=seed
    )
    require_apart(split, found.marks, [known.name for known in found.stacks])
    return TuningPlan(tuple(networks), card, pair, found, split, recipe, seed)
