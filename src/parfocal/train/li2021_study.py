"""The networks of Li 2021's studies: how many images, how far apart, how many classes, and ours."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parfocal.core.errors import InputError
from parfocal.models.card import ModelCard
from parfocal.models.package import CARD, WEIGHTS
from parfocal.train.li2021_task import Li2021Recipe
from parfocal.train.making import Step
from parfocal.train.sheet_making import make_li2021, make_sheet_pair
from parfocal.train.sheet_pair_task import SheetPairRecipe

MAIN, OURS = "2 images", "pair-light-sheet"
SHORT: dict[str, Any] = {
    "rate": 3e-4, "rate_falls": True, "dark_counts": 130.0, "unit_counts": 60.0,
}  # fmt: skip
"""What a training of minutes changes of the published settings."""
STUDY_RATE = 5e-5
"""Rate of the further studies, which start from the main network."""
STUDIES: dict[str, dict[str, Any]] = {
    MAIN: {},
    "1 image": {"images": 1},
    "3 images": {"images": 3},
    "2 um": {"spacing_um": 2.0},
    "4 um": {"spacing_um": 4.0},
    "8 um": {"spacing_um": 8.0},
    "10 um": {"spacing_um": 10.0},
    "19 classes": {"classes": 19},
}
"""What each study changes of 2 images, 6 um apart, and 13 classes; the first is the main one."""


@dataclass(frozen=True, kw_only=True)
class StudyPlan:
    """How much is trained.

    Parameters
    ----------
    folder
        Where scenes and networks are kept.
    steps
        Batches of the main network, from which the other studies start.
    study_steps
        Batches of each of these.
    our_steps
        Batches of ours.
    thick, flat, size_px
        Scenes of each tissue to train on.
    general
        Name or folder of a pair model that ours starts from; empty for none.
    batch
        Patches in a batch of the published network.
    studies
        Which of ``STUDIES``, the main one first.
    """

    folder: Path
    steps: int = 3000
    study_steps: int = 600
    our_steps: int = 3000
    thick: int = 16
    flat: int = 8
    size_px: int = 256
    general: str = ""
    batch: int = 32
    studies: tuple[str, ...] = tuple(STUDIES)

    @property
    def scenes(self) -> Path:
        """Folder of the scenes."""
        return self.folder / "scenes"

    def place(self, name: str) -> Path:
        """Folder of a network."""
        return self.folder / "networks" / name.replace(" ", "-")

    @property
    def total(self) -> int:
        """All steps together."""
        return self.steps + (len(self.studies) - 1) * self.study_steps + self.our_steps

    def recipes(self) -> Iterator[tuple[str, Li2021Recipe | SheetPairRecipe]]:
        """Name and recipe of each network, in the order of training."""
        sizes: dict[str, Any] = {"thick": self.thick, "flat": self.flat, "size_px": self.size_px}
        yield OURS, SheetPairRecipe(
            steps=self.our_steps, epoch_steps=min(100, self.our_steps), start=self.general,
            peak_rate=1e-3, **sizes,
        )  # fmt: skip
        short = sizes | SHORT | {"batch": self.batch}
        for name in self.studies:
            steps = self.steps if name == MAIN else self.study_steps
            own = {} if name == MAIN else {"rate": STUDY_RATE, "start": str(self.place(MAIN))}
            yield name, Li2021Recipe(
                name=f"li2021-{name.replace(' ', '-')}", steps=steps, epoch_steps=min(50, steps),
                **(short | own | STUDIES[name]),
            )  # fmt: skip


def train_studies(
    plan: StudyPlan, *, device: str = "cpu", on_progress: Callable[[Step], None] | None = None
) -> dict[str, Path]:
    """Train what is not there yet, and say where each network lies.

    A network of the same recipe that is finished is kept; one that was interrupted goes on from
    its checkpoint; one of another recipe is trained anew.

    Parameters
    ----------
    plan
        How much.
    device
        Where to train.
    on_progress
        Called with steps of all networks together.
    """
    done, places = 0, {}
    for seed, (name, recipe) in enumerate(plan.recipes()):  # none repeats another's patches
        folder = places[name] = plan.place(name)
        if not _is_finished(folder, recipe.model_dump(mode="json")):

            def follow(step: Step, before: int = done) -> None:
                if on_progress is not None:
                    on_progress(Step(step.what, before + step.done, plan.total))

            make: Any = make_li2021 if isinstance(recipe, Li2021Recipe) else make_sheet_pair
            make(recipe, folder, seed=seed, device=device, on_progress=follow, scenes=plan.scenes)
        done += recipe.steps
    return places


def _is_finished(folder: Path, recipe: dict[str, Any]) -> bool:
    if not (folder / WEIGHTS).is_file():
        return False
    try:
        return ModelCard.read(folder / CARD).recipe == recipe
    except InputError:
        return False
