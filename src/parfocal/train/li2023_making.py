"""From the recipe of Li 2023 to two models on disk: on weak labels, and fine-tuned on truth."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import nn

from parfocal.core.device import pick_device
from parfocal.models.card import ModelCard
from parfocal.models.package import CARD, WEIGHTS, load_model, save_model
from parfocal.simulate.thick_scenes import TRUTH, UNSEEN
from parfocal.train.held_out import HeldOut
from parfocal.train.li2023_task import Li2023Recipe, Li2023Task, Phase, mean_overlap, thick_folder
from parfocal.train.loop import Progress, Trained, train_network
from parfocal.train.making import Step, code_revision, machine_name

PRETRAINED = "pre-trained"
"""Folder of the model before fine-tuning, within that of the model."""
LIMITS = (
    "One widefield microscope alone, NA 0.3 with pixels of 0.79 um, simulated fluorescence.",
    "Instance norm depends on what else lies in a tile: masks of one field differ with its cut.",
    "A stack is scaled by its least and largest count: one hot pixel dims all of it.",
)
Tell = Callable[[Step], None]


def make_li2023(
    recipe: Li2023Recipe,
    folder: Path,
    *,
    seed: int = 0,
    device: str = "cpu",
    held_out: HeldOut | None = None,
    on_progress: Tell | None = None,
    scenes: Path | None = None,
) -> ModelCard:
    """Pre-train the published U-Net on weak labels, fine-tune it on a few true masks, save both.

    Killed, it goes on from the last epoch of either training.

    Parameters
    ----------
    recipe
        What is trained.
    folder
        Where weights and card are written, those before fine-tuning in ``pre-trained`` below;
        checkpoints lie there until then.
    seed
        Of weights and batches.
    device
        Where to train.
    held_out
        Not used: what validates is in the recipe, specimens of the same families not trained on.
    on_progress
        Called after each step.
    scenes
        Where simulated stacks are kept; a cache by default.

    Returns
    -------
    The card after fine-tuning, as it was saved.
    """
    place = thick_folder() if scenes is None else scenes
    total = recipe.steps + recipe.tuning_steps

    def follow(phase: Phase, before: int) -> Callable[[Progress], None]:
        def tell(at: Progress) -> None:
            if on_progress is not None:
                text = f"{recipe.name}, {phase}, loss {at.loss:.3f}"
                on_progress(Step(text, before + at.step, total))

        return tell

    def trained(phase: Phase, before: int, first: nn.Module | None = None) -> Trained:
        task = Li2023Task(recipe, phase, folder=place, first=first)
        return train_network(
            task, recipe.schedule(phase), seed=seed, device=device, judge=task.judge(),
            checkpoint=_checkpoint(folder, phase), on_step=follow(phase, before),
        )  # fmt: skip

    folder.mkdir(parents=True, exist_ok=True)
    early = folder / PRETRAINED
    card = _card(recipe, seed=seed, device=device)
    if is_made(early, recipe, seed=seed):
        network: nn.Module = load_model(early, device=pick_device(device))[0][0]
        seconds = ModelCard.read(early / CARD).seconds
    else:
        first = trained("pre-training", 0)
        network, seconds = first.network, first.seconds
        _save(early, card, network, seconds=seconds, steps=first.step, place=place)
    last = trained("fine-tuning", recipe.steps, network)
    card = _save(
        folder, card, last.network, seconds=seconds + last.seconds, steps=last.step, place=place
    )
    for phase in ("pre-training", "fine-tuning"):
        _checkpoint(folder, phase).unlink(missing_ok=True)
    return card


def _checkpoint(folder: Path, phase: str) -> Path:
    return folder / f"{phase}.ckpt"


def is_made(folder: Path, recipe: Li2023Recipe, *, seed: int) -> bool:
    """Whether a folder holds the network of a recipe and seed, by masks as they are made today."""
    if not ((folder / CARD).is_file() and (folder / WEIGHTS).is_file()):
        return False
    kept = ModelCard.read(folder / CARD)
    asked = (recipe.model_dump(mode="json"), seed, TRUTH)
    return (kept.recipe, kept.seed, kept.calibration.get("truth")) == asked


def _save(
    folder: Path, card: ModelCard, network: nn.Module, *, seconds: float, steps: int, place: Path
) -> ModelCard:
    """Measure a network on stacks that neither training learnt from, and save it."""
    recipe = Li2023Recipe.model_validate(card.recipe)
    metrics: dict[str, float] = {"kept_step": float(steps)}
    names: dict[Phase, str] = {"pre-training": "iou_weak", "fine-tuning": "iou_true"}
    for phase, name in names.items():
        task = Li2023Task(recipe, phase, folder=place, first=network)
        metrics[name] = round(mean_overlap(network, task.judged, threshold=recipe.threshold), 4)
    whole = card.model_copy(update={"seconds": round(seconds, 1), "metrics": metrics})
    (folder / CARD).unlink(missing_ok=True)  # an old card must never stand beside new weights
    return save_model(folder, whole, [network])


def _card(recipe: Li2023Recipe, *, seed: int, device: str) -> ModelCard:
    calibration: dict[str, Any] = {
        "threshold": recipe.threshold, "tile_px": recipe.patch_px, "truth": TRUTH,
    }  # fmt: skip
    return ModelCard(
        name=recipe.name,
        task="pixels in focus of one widefield image of a thick specimen",
        architecture="parfocal.nets.li2023:Li2023Network",
        settings={"widths": list(recipe.widths)},
        recipe=recipe.model_dump(mode="json"),
        commit=code_revision(),
        seed=seed,
        data=f"{recipe.each} simulated stacks each of {', '.join(recipe.families)} with weak "
        f"labels by {recipe.measure}, then {recipe.tuning} other stacks with true masks; "
        f"measured on specimens of neither. Never trained on: {', '.join(UNSEEN)}.",
        seconds=0.0,
        machine=machine_name(pick_device(device)),
        metrics={},
        coverage={},
        calibration=calibration,
        limits=LIMITS,
    )
