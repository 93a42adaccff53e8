"""From a light-sheet recipe to a model on disk: Li's network as published, and ours."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from parfocal.core.device import pick_device
from parfocal.core.results import DefocusEstimate
from parfocal.models.card import ModelCard
from parfocal.models.package import CARD, save_model
from parfocal.predict.calibration import NORMAL_90, Calibration
from parfocal.predict.checks import effective_depth_um
from parfocal.predict.class_predictor import ClassCalibration, ClassPredictor
from parfocal.predict.pair_predictor import PairPredictor
from parfocal.simulate.sheet_scenes import Scene, load_scenes
from parfocal.train.held_out import HeldOut
from parfocal.train.li2021_task import Li2021Recipe, Li2021Task
from parfocal.train.loop import Progress, train_network
from parfocal.train.making import Step, code_revision, machine_name
from parfocal.train.sheet_batches import nearest_plane, scenes_folder
from parfocal.train.sheet_pair_task import SheetPairRecipe, SheetPairTask

SHARE_INSIDE = 0.9
LEAST_WIDTH_UM = 0.1
REACH_SHARE = 7 / 8
FLOOR_DEPTHS = 0.1
VALIDATED_EVERY = 3  # class of defocus
CERTAINTIES = tuple(round(0.05 * k, 2) for k in range(0, 17))
NEAR_DEPTHS, NEAR_SHARE, NEAR_PATCHES = 1.5, 0.9, 0.95
LIMITS = (
    "One light-sheet microscope alone, 10x / NA 0.6 in dibenzyl ether with pixels of 0.65 um, "
    "simulated; others are declined or wrong.",
    "Fluorescence of cleared tissue; tissues unlike those of the training are less accurate.",
)
Tell = Callable[[Step], None]
Recipe = Li2021Recipe | SheetPairRecipe


def make_li2021(
    recipe: Li2021Recipe,
    folder: Path,
    *,
    seed: int = 0,
    device: str = "cpu",
    held_out: HeldOut | None = None,
    on_progress: Tell | None = None,
    scenes: Path | None = None,
) -> ModelCard:
    """Train the published network, measure it on other specimens, and save it.

    Parameters
    ----------
    recipe
        What is trained.
    folder
        Where weights and card are written; a checkpoint lies there until then.
    seed
        Of weights and batches.
    device
        Where to train.
    held_out
        Not used: what validates is in the recipe, specimens of the same tissues not trained on.
    on_progress
        Called after each step.
    scenes
        Where simulated scenes are kept; a cache by default.

    Returns
    -------
    The card, as it was saved.
    """
    place = scenes_folder() if scenes is None else scenes
    task = Li2021Task(recipe, folder=place)
    networks, seconds = _trained(task, recipe, folder, seed, device, on_progress)
    validation = load_scenes(recipe.scenes("validation"), place)
    calibration = ClassCalibration(
        reach_um=recipe.reach_um, spacing_um=recipe.spacing_um, setup=validation[0].setup,
        half_width_um=recipe.reach_um, **recipe.scale,
    )  # fmt: skip
    card = _card(
        recipe, "parfocal.nets.li2021:Li2021Network", seed=seed, seconds=seconds, device=device,
        settings={"images": recipe.images, "classes": recipe.classes},
        calibration=calibration.model_dump(mode="json"),
    )  # fmt: skip
    predictor = ClassPredictor(networks, card, device=device)
    offset_um = recipe.spacing_um if recipe.images == 3 else 0.0
    first_um = (recipe.classes_um[1::VALIDATED_EVERY] - offset_um).tolist()
    tried = _answers(predictor, validation, first_um, recipe.images, recipe.spacing_um)
    errors = _errors(tried)
    calibration = calibration.model_copy(update={"half_width_um": _half_width(errors)})
    card = card.model_copy(
        update={
            "calibration": calibration.model_dump(mode="json"),
            "metrics": _metrics(errors, len(tried), effective_depth_um(validation[0].setup)),
        }
    )
    return _saved(card, networks, folder)


def make_sheet_pair(
    recipe: SheetPairRecipe,
    folder: Path,
    *,
    seed: int = 0,
    device: str = "cpu",
    held_out: HeldOut | None = None,
    on_progress: Tell | None = None,
    scenes: Path | None = None,
) -> ModelCard:
    """Train our pair network on the same scenes, calibrate it on other specimens, and save it.

    Parameters and result are those of ``make_li2021``. Answers are given from the least certainty
    at which nine of ten are within 1.5 effective depths of field, single patches count as certain
    from that at which 19 of 20 are; the interval is widened until nine of ten hold
    [Papadopoulos2002]_.
    """
    place = scenes_folder() if scenes is None else scenes
    task = SheetPairTask(recipe, folder=place)
    networks, seconds = _trained(task, recipe, folder, seed, device, on_progress)
    validation = load_scenes(recipe.scenes("validation"), place)
    depth_um = effective_depth_um(validation[0].setup)
    open_to_all = Calibration(
        bins=recipe.bins, classes_reach=recipe.reach, reach=REACH_SHARE * recipe.reach,
        floor=FLOOR_DEPTHS, least_certainty=-1.0,
    )  # fmt: skip
    card = _card(
        recipe, "parfocal.nets.pair:PairNetwork", seed=seed, seconds=seconds, device=device,
        settings={"bins": recipe.bins + 1, "widths": list(recipe.widths), "hidden": recipe.hidden},
        calibration=open_to_all.model_dump(mode="json"),
    )  # fmt: skip
    predictor = PairPredictor(networks, card, device=device)
    reach_um = open_to_all.reach * depth_um
    first_um = np.arange(-reach_um + 6.0, reach_um - 6.0, 6.0).tolist()  # within reach
    tried = _answers(predictor, validation, first_um, 2, 6.0)
    calibration, errors = _calibrated(tried, open_to_all, depth_um)
    card = card.model_copy(
        update={
            "calibration": calibration.model_dump(mode="json"),
            "metrics": _metrics(errors, len(tried), depth_um),
        }
    )
    return _saved(card, networks, folder)


def _trained(
    task: Any, recipe: Recipe, folder: Path, seed: int, device: str, on_progress: Tell | None
) -> tuple[list[torch.nn.Module], float]:
    """Every member, and the seconds it took in all."""
    total = recipe.members * recipe.steps
    networks, seconds = [], 0.0
    for member in range(recipe.members):

        def follow(at: Progress, member: int = member) -> None:
            if on_progress is not None:
                text = f"{recipe.name}, member {member + 1} of {recipe.members}, loss {at.loss:.3f}"
                on_progress(Step(text, member * recipe.steps + at.step, total))

        trained = train_network(
            task, recipe.schedule, seed=seed + member, device=device,
            checkpoint=_checkpoint(folder, member), on_step=follow,
        )  # fmt: skip
        networks.append(trained.network)
        seconds += trained.seconds
    return networks, seconds


def _checkpoint(folder: Path, member: int) -> Path:
    return folder / f"member-{member}.ckpt"


def _saved(card: ModelCard, networks: Sequence[torch.nn.Module], folder: Path) -> ModelCard:
    (folder / CARD).unlink(missing_ok=True)  # an old card must never stand beside new weights
    card = save_model(folder, card, networks)
    for member in range(card.members):
        _checkpoint(folder, member).unlink(missing_ok=True)
    return card


def _card(recipe: Recipe, architecture: str, **facts: Any) -> ModelCard:
    device = pick_device(facts.pop("device"))
    seconds = round(facts.pop("seconds"), 1)
    stacks = recipe.scenes("train").count
    return ModelCard(
        name=recipe.name,
        task="signed defocus of the first of a few images of a light sheet",
        architecture=architecture,
        members=recipe.members,
        recipe=recipe.model_dump(mode="json"),
        commit=code_revision(),
        data=f"{recipe.steps * recipe.batch} patches a member of {stacks} simulated stacks of "
        f"{', '.join(recipe.tissues)}; measured on {recipe.scenes('validation').count} stacks of "
        "other specimens of these, fields of 2 x 2 patches.",
        seconds=seconds,
        machine=machine_name(device),
        metrics={},
        coverage={},
        limits=LIMITS,
        **facts,
    )


def _answers(
    predictor: Any, scenes: Sequence[Scene], first_um: list[float], images: int, spacing_um: float
) -> list[tuple[float, DefocusEstimate]]:
    """True defocus of a first image, and what the predictor says, at every wished defocus."""
    return [
        (truth, predictor.predict(counts, spacing_um=spacing_um, setup=scene.setup))
        for scene in scenes
        for truth, counts in _short_stacks(scene, first_um, images, spacing_um)
    ]


def _short_stacks(
    scene: Scene, first_um: list[float], images: int, spacing_um: float
) -> Iterator[tuple[float, NDArray[Any]]]:
    """Short stacks of a scene that begin near each defocus, where they fit."""
    apart = round(spacing_um / (scene.z_um[1] - scene.z_um[0]))
    for wish in first_um:
        first = nearest_plane(scene, wish)
        planes = first + apart * np.arange(images)
        if planes[-1] < len(scene.z_um):
            yield scene.z_um[first] - scene.focus_um, scene.counts[planes]


def _errors(tried: list[tuple[float, DefocusEstimate]]) -> NDArray[Any]:
    """Answers less the truth, where there are answers."""
    pairs = [(guess.defocus_um, truth) for truth, guess in tried]
    return np.array([said - truth for said, truth in pairs if said is not None], float)


def _half_width(errors: NDArray[Any]) -> float:
    """Half a 90 % interval for one more field of the same kind, by split conformal prediction."""
    sizes = np.sort(np.abs(errors))
    rank = math.ceil((len(sizes) + 1) * SHARE_INSIDE)
    if not len(sizes):
        return 36.0
    return max(float(sizes[min(rank, len(sizes)) - 1]), LEAST_WIDTH_UM)


def _calibrated(
    tried: list[tuple[float, DefocusEstimate]], start: Calibration, depth_um: float
) -> tuple[Calibration, NDArray[Any]]:
    """Least certainty and width by fields whose truth is known, and the errors of answers."""
    found = [guess for _, guess in tried if guess.found]
    error = _errors(tried)
    sure = np.array([guess.certainty for guess in found], float)
    half = np.array([np.ptp(guess.interval_um) / 2 for guess in found])  # type: ignore[arg-type]
    least = _least_sure(error, sure, NEAR_DEPTHS * depth_um, NEAR_SHARE)
    looked = [(truth, g.patches) for truth, g in tried if g.patches is not None]
    alone = np.array([(each.defocus_um - truth).ravel() for truth, each in looked])
    sure_alone = np.array([each.certainty.ravel() for _, each in looked])
    start = start.model_copy(
        update={
            "least_certainty": least,
            "least_patch_certainty": _least_sure(
                alone, sure_alone, NEAR_DEPTHS * depth_um, NEAR_PATCHES
            ),
        }
    )
    kept = sure >= least
    if not kept.any():
        return start, error
    ratio = np.sort(np.abs(error[kept]) / half[kept])
    rank = min(math.ceil((len(ratio) + 1) * SHARE_INSIDE), len(ratio))
    widen = max(NORMAL_90 * float(ratio[rank - 1]), 1e-3)
    return start.model_copy(update={"widen": widen}), error[kept]


def _least_sure(error: NDArray[Any], sure: NDArray[Any], most_um: float, share: float) -> float:
    """Least certainty from which such a share of answers errs by so much at most.

    Examples
    --------
    >>> error, sure = np.array([0.1, 9.0, 0.2, 0.1]), np.array([0.5, 0.1, 0.4, 0.9])
    >>> _least_sure(error, sure, 1.0, 0.9)
    0.15
    """
    for threshold in CERTAINTIES:
        kept = sure >= threshold
        if kept.any() and (np.abs(error[kept]) <= most_um).mean() >= share:
            return threshold
    return CERTAINTIES[-1]


def _metrics(errors: NDArray[Any], asked: int, depth_um: float) -> dict[str, float]:
    """Errors of answers on validation fields, by the names that other cards have."""
    metrics = {"fields": float(asked), "answered_all": len(errors) / max(1, asked)}
    if len(errors):
        sizes = np.abs(errors) / depth_um
        metrics["mean_error_depths_all"] = float(sizes.mean())
        metrics["median_error_depths_all"] = float(np.median(sizes))
    return {name: round(value, 4) for name, value in metrics.items()}
