"""From the recipe of Deep-R as published to a model on disk."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from parfocal.core.device import pick_device
from parfocal.models.card import ModelCard
from parfocal.models.package import CARD, save_model
from parfocal.refocus.published import answer_of
from parfocal.simulate.blurred_fields import BlurredFields, Fixed
from parfocal.train.held_out import HeldOut
from parfocal.train.loop import Progress
from parfocal.train.luo2020_task import Luo2020Recipe, train_luo2020
from parfocal.train.making import Step, code_revision, machine_name, require_unseen
from parfocal.train.refocus_losses import ms_ssim, to_unit_range
from parfocal.train.refocus_making import DISTANCES_DOF, PHOTONS, TABLE, TABLE_SHARE
from parfocal.train.refocus_trials import EDGE_PX, cut

LIMITS = (
    "As published but for its length and its fields: the paper trains a hundred thousand "
    "iterations on images of one microscope, this one on simulated fields of any optics.",
    "It has no trust, knows no distance, and declines nothing: an image in focus is changed too.",
    "Fluorescence only.",
)


def make_luo2020(
    recipe: Luo2020Recipe,
    folder: Path,
    *,
    seed: int = 0,
    device: str = "cpu",
    held_out: HeldOut | None = None,
    on_progress: Callable[[Step], None] | None = None,
) -> ModelCard:
    """Train the generator, measure it on specimens it never saw, and save it.

    Parameters
    ----------
    recipe
        What is trained.
    folder
        Where weights and card are written; a checkpoint there is gone on from.
    seed
        Of weights and fields.
    device
        Where to train.
    held_out
        Specimens that measure: an eighth of ``fields`` for each distance and brightness.
    on_progress
        Called after each iteration.

    Returns
    -------
    The card, as it was saved.

    Raises
    ------
    InputError
        If a specimen of ``held_out`` is of a family that the recipe trains on.
    """
    held_out = HeldOut() if held_out is None else held_out
    where, began = pick_device(device), time.monotonic()
    require_unseen(recipe, held_out)
    folder.mkdir(parents=True, exist_ok=True)

    def tell(at: Progress) -> None:
        if on_progress is not None:
            on_progress(Step(f"BerHu {at.loss:.3f}", at.step, at.steps + held_out.total))

    path = folder / "member-0.ckpt"
    network = train_luo2020(recipe, seed=seed, device=device, checkpoint=path, on_step=tell)
    seconds = time.monotonic() - began
    card = ModelCard(
        name=recipe.name,
        task="one blurred fluorescence image into focus, as published by Luo 2020",
        architecture="parfocal.nets.luo2020:Luo2020Generator",
        settings={"widths": list(recipe.widths)},
        recipe=recipe.model_dump(mode="json"),
        commit=code_revision(),
        seed=seed,
        data=f"{recipe.steps} batches of {recipe.batch} simulated fields of {recipe.patch_px} px, "
        f"of {', '.join(recipe.objects)}. Measured on simulated fields of {held_out.size_px} px of "
        f"{', '.join(held_out.objects)}, which training never saw.",
        seconds=round(seconds, 1),
        machine=machine_name(where),
        metrics=_measured(network, held_out, device=device),
        coverage={},
        limits=LIMITS,
    )
    (folder / CARD).unlink(missing_ok=True)  # an old card must never stand beside new weights
    card = save_model(folder, card, [network])
    path.unlink(missing_ok=True)
    return card


@torch.inference_mode()
def _measured(network: nn.Module, held_out: HeldOut, *, device: str) -> dict[str, float]:
    """PSNR and SSIM of the fields by which ``refocus_making`` measures."""
    metrics = {}
    fields = max(1, math.ceil(held_out.fields / TABLE_SHARE))
    for photons in PHOTONS:
        for number, dof in enumerate(DISTANCES_DOF):
            scores = []
            for kind, name in enumerate(held_out.objects):
                drawn = BlurredFields(
                    batch=fields, size_px=held_out.size_px + 2 * EDGE_PX, objects=(name,),
                    textures=0, reuse=1, device=device,
                    seed=held_out.seed + TABLE + 10_000 * number + 1000 * kind,
                    fixed=Fixed(defocus_dof=dof, photons=photons),
                ).draw()  # fmt: skip
                images, truths = cut(drawn.images), cut(drawn.sharp)
                low, span = to_unit_range(truths)
                for shown in (images, answer_of(network, images)):
                    error = ((shown - truths) / span).square().mean((1, 2))
                    alike = ms_ssim((shown - low) / span, (truths - low) / span)
                    scores.append(torch.stack([-10 * error.log10(), alike]).mean(1))
            mean = torch.stack(scores).reshape(-1, 2, 2).mean(0)
            group = f"{dof:g}_dof_{photons:g}_photons"
            for row, what in enumerate(("input", "answer")):
                metrics[f"psnr_{what}_{group}"] = round(float(mean[row, 0]), 4)
                metrics[f"ssim_{what}_{group}"] = round(float(mean[row, 1]), 4)
    return metrics
