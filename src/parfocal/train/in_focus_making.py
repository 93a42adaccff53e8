"""From a recipe to a network that segments: train it, choose its threshold, measure it, save it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from parfocal.core.device import pick_device
from parfocal.core.errors import InputError
from parfocal.models.card import ModelCard
from parfocal.models.package import CARD, save_model
from parfocal.nets.focus_unet import FACTS, FACTS_EACH, FocusUnet
from parfocal.simulate.catalog import SPECIMENS
from parfocal.simulate.thick_fields import ThickBatch, ThickFields
from parfocal.train.held_out import HeldOut
from parfocal.train.in_focus_task import InFocusRecipe, InFocusTask, batch_of
from parfocal.train.log import train_logged
from parfocal.train.loop import Progress
from parfocal.train.making import Step, code_revision, machine_name
from parfocal.train.ranks import current_ranks

UNSEEN = ("nematode", "hair_cells")
"""Specimens of families that the recipe does not train on."""
THRESHOLDS = tuple(round(0.05 * k, 2) for k in range(2, 19))
CALIBRATION, MEASUREMENT = 500_000, 600_000
"""First seeds of the fields that choose the threshold, and of those that measure."""
FIELDS_EACH, OPTICS_EACH = 8, 2
"""Fields of a batch, and sets of optics of a batch source, while measuring."""
LIMITS = (
    "Fluorescence, or structure that absorbs; the contrast of a transparent specimen is least in "
    "focus, and it is declined only where its contrast turns over within the stack.",
    "In focus means structure within half a depth of field, n wavelength / NA^2, out to a fifth of "
    "its brightest place, if it has a tenth of the brightest structure: near these limits two "
    "right annotators differ, as annotators_* says.",
    "Trained on simulated optics alone, pixels of 0.2 to 1.2 wavelength / NA.",
    "The brightest object of a stack sets the scale on which all others are faint or not.",
)


def make_in_focus(
    recipe: InFocusRecipe,
    folder: Path,
    *,
    seed: int = 0,
    device: str = "cpu",
    held_out: HeldOut | None = None,
    log: Path | None = None,
    on_progress: Callable[[Step], None] | None = None,
) -> ModelCard:
    """Train the network, choose its threshold on known kinds, measure it on others too, and save.

    Parameters
    ----------
    recipe
        What is trained.
    folder
        Where weights and card are written, and a checkpoint until then.
    seed
        Of the weights and the batches.
    device
        Where to train and to measure.
    held_out
        ``fields`` of each specimen choose the threshold, and as many measure; its other settings
        are not used.
    log
        Folder for TensorBoard.
    on_progress
        Called after each step of training, and before each specimen is measured.

    Returns
    -------
    The card, as it was saved.

    Raises
    ------
    InputError
        If the recipe trains on a specimen that must stay unseen.
    """
    fields = (HeldOut() if held_out is None else held_out).fields
    families = {row.name: row.family for row in SPECIMENS}
    leaks = {families.get(name) for name in recipe.objects} & {families[name] for name in UNSEEN}
    if leaks:
        raise InputError(f"{', '.join(map(str, leaks))} must stay unseen; leave them out.")
    where = pick_device(device)
    total = recipe.steps + len(recipe.objects) + len(UNSEEN)

    def tell(what: str, done: int) -> None:
        if on_progress is not None:
            on_progress(Step(what, done, total))

    def follow(at: Progress) -> None:
        tell(f"loss {at.loss:.3f}", at.step)

    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = folder / "member-0.ckpt"
    trained = train_logged(
        InFocusTask(recipe), recipe.schedule, seed=seed, device=device, checkpoint=checkpoint,
        on_step=follow, log=log,
    )  # fmt: skip
    network = cast(FocusUnet, trained.network.float())
    tell("choosing the threshold", recipe.steps)
    threshold = best_threshold(network, recipe.objects, fields=fields, device=where)
    metrics: dict[str, float] = {}
    for number, name in enumerate((*recipe.objects, *UNSEEN)):
        tell(f"measuring on {name}", recipe.steps + number)
        metrics |= measured(network, name, threshold, fields=fields, device=where)
    for kind, names in (("known", recipe.objects), ("unseen", UNSEEN)):
        for what in ("iou", "annotators"):
            values = [metrics[f"{what}_{name}"] for name in names]
            metrics[f"{what}_{kind}"] = round(sum(values) / len(values), 4)
    metrics["false_positives_blank"] = blank_share(network, threshold, device=where)
    card = _card(
        recipe, seed=seed, seconds=trained.seconds, device=where, fields=fields,
        threshold=threshold, metrics=metrics,
    )  # fmt: skip
    if not current_ranks().is_first:
        return card
    (folder / CARD).unlink(missing_ok=True)
    card = save_model(folder, card, [network])
    checkpoint.unlink(missing_ok=True)
    return card


def overlap(one: Bool[Tensor, "*sizes"], other: Bool[Tensor, "*sizes"]) -> float:
    """Intersection over union of two masks; 1 if both are empty.

    Examples
    --------
    >>> overlap(torch.tensor([True, True, False]), torch.tensor([True, False, False]))
    0.5
    """
    union = int((one | other).sum())
    return int((one & other).sum()) / union if union else 1.0


def best_threshold(
    network: FocusUnet, objects: tuple[str, ...], *, fields: int, device: torch.device
) -> float:
    """The chance from which pixels count, by the mean IoU over some specimens."""
    scores = torch.zeros(len(THRESHOLDS))
    for number, name in enumerate(objects):
        chance, masks = _tried(network, name, CALIBRATION + number, fields, device)
        truth = masks > 0.5
        scores += torch.tensor([overlap(chance >= least, truth) for least in THRESHOLDS])
    return THRESHOLDS[int(scores.argmax())]


def measured(
    network: FocusUnet, name: str, threshold: float, *, fields: int, device: torch.device
) -> dict[str, float]:
    """IoU with the truth on one specimen, and between two right annotators of it."""
    row = [item.name for item in SPECIMENS].index(name)
    chance, masks = _tried(network, name, MEASUREMENT + row, fields, device)
    return {
        f"iou_{name}": round(overlap(chance >= threshold, masks > 0.5), 4),
        f"annotators_{name}": round(overlap(masks > 0, masks >= 1), 4),
    }


@torch.inference_mode()
def blank_share(network: FocusUnet, threshold: float, *, device: torch.device) -> float:
    """Share of pixels called in focus where there is noise alone, on its own scale."""
    dice = torch.Generator().manual_seed(MEASUREMENT)
    each_side = network.each_side
    noise = torch.randn(16, 1 + 2 * each_side, 128, 128, generator=dice)
    spread = torch.linspace(0.05, 0.3, 16)[:, None, None, None]
    planes = 0.5 + spread * noise
    facts = torch.zeros(16, network.facts)
    facts[:, FACTS::FACTS_EACH] = 1.0  # optics unknown, all neighbours there
    logits = network(planes.to(device), facts.to(device))
    return round(float((logits.sigmoid() >= threshold).float().mean()), 6)


@torch.inference_mode()
def _tried(
    network: FocusUnet, name: str, seed: int, fields: int, device: torch.device
) -> tuple[Float[Tensor, "b y x"], Float[Tensor, "b y x"]]:
    """Chances and shares of annotators for some fields of one specimen."""
    dice = torch.Generator().manual_seed(seed)
    chances, masks, count = [], [], 0
    for batch in _sources(name, seed, network.each_side):
        planes, facts, mask = batch_of(batch, dice)
        logits = network(planes.to(device), facts.to(device))
        chances.append(logits.float().sigmoid().cpu())
        masks.append(mask)
        count += len(mask)
        if count >= fields:
            break
    return torch.cat(chances)[:fields], torch.cat(masks)[:fields]


def _sources(name: str, seed: int, each_side: int) -> Iterator[ThickBatch]:
    """Batches, each few from optics of their own."""
    number = 0
    while True:
        source = ThickFields(
            batch=FIELDS_EACH, seed=100 * seed + number, objects=(name,), optics=OPTICS_EACH,
            specimens=2, each_side=each_side,
        )  # fmt: skip
        yield source.draw()
        number += 1


def _card(
    recipe: InFocusRecipe,
    *,
    seed: int,
    seconds: float,
    device: torch.device,
    fields: int,
    threshold: float,
    metrics: dict[str, float],
) -> ModelCard:
    return ModelCard(
        name=recipe.name,
        task=f"which pixels of a plane are in focus, from it and {recipe.each_side} on either side",
        architecture="parfocal.nets.focus_unet:FocusUnet",
        settings={"widths": list(recipe.widths), "each_side": recipe.each_side},
        recipe=recipe.model_dump(mode="json"),
        commit=code_revision(),
        seed=seed,
        data=f"{recipe.steps * recipe.batch} simulated places in thick specimens of "
        f"{', '.join(recipe.objects)}, with true masks. Threshold chosen on {fields} other fields "
        f"of each; measured on {fields} more, and on {', '.join(UNSEEN)}, never trained on.",
        seconds=round(seconds, 1),
        machine=machine_name(device),
        metrics=metrics,
        coverage={},
        calibration={"threshold": threshold},
        limits=LIMITS,
    )
