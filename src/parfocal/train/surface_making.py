"""From a recipe of a network that refocuses onto surfaces to a model on disk."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch

from parfocal.core.device import pick_device
from parfocal.models.card import ModelCard
from parfocal.models.package import CARD, save_model
from parfocal.refocus.surface_refocuser import SurfaceRefocuser
from parfocal.refocus.surface_trust import SurfaceCalibration, surface_verdict
from parfocal.simulate.surface_fields import NOMINAL_SPHERICAL, PIXELS, RATIOS, SPHERICAL, Only
from parfocal.train.held_out import HeldOut
from parfocal.train.log import train_logged
from parfocal.train.loop import Progress
from parfocal.train.making import Step, code_revision, machine_name, require_unseen
from parfocal.train.ranks import current_ranks
from parfocal.train.refocus_calibrating import TOLERATED_DB, area_under_curve, fit_chance
from parfocal.train.refocus_trials import rank_correlation
from parfocal.train.surface_task import SurfaceRecipe, SurfaceTask
from parfocal.train.surface_trials import SurfaceTrial, try_surfaces

CALIBRATION, MEASUREMENT, TABLE = 0, 100_000, 200_000
"""Added to the seed of held-out fields: none is in two sets."""
FAR_DOF = (0.0, 1.0, 2.0, 4.0, 6.0, 8.0)
"""Borders of the rows of the card's table."""
TABLE_PHOTONS = 1000.0
VERDICT = ("verdict_offset", "verdict_slope", "verdict_error", "verdict_flux")
TOLD_WAVES = 0.05
"""Aberrations below that do not tell the side."""
LIMITS = (
    "One image tells above from below by spherical aberration of a known sign alone: trained for "
    "0.08 to 0.25 waves RMS, assumed to be 0.16 where it is not told. With the wrong sign, objects "
    "above the plane are shown as if they lay below it, and trust does not tell.",
    "Surfaces within 8 depths of field of the image (7.5 um at NA 0.75 and 530 nm); objects "
    "farther away are not brought into focus.",
    "Fluorescence only, and sparse: in dense deep specimens out-of-focus light is not sorted by "
    "height.",
    "Heights are known to one or two depths of field, and less of dim points in crowded fields.",
    "Trust ranks errors weakly (see the metrics): look at the answer.",
    "Trained on simulated optics alone: dry and immersed objectives of NA / n 0.35 to 0.85, pixels "
    "of 0.2 to 0.5 wavelength / NA. A wrong NA, wavelength or pixel size makes the sharpened "
    "copies wrong from which the network takes the light.",
)


def make_surface_refocuser(
    recipe: SurfaceRecipe,
    folder: Path,
    *,
    seed: int = 0,
    device: str = "cpu",
    held_out: HeldOut | None = None,
    log: Path | None = None,
    on_progress: Callable[[Step], None] | None = None,
) -> ModelCard:
    """Train a network, calibrate and measure it on specimens it never saw, and save it.

    A checkpoint is kept in the folder until the model is saved: a run that was killed goes on
    from there.

    Parameters
    ----------
    recipe
        What is trained.
    folder
        Where weights and card are written; a model that is there is replaced at the very end.
    seed
        Of the network and its fields.
    device
        Where to train and to measure.
    held_out
        ``fields`` of each kind of deep specimen calibrate, as many measure.
    log
        Folder for TensorBoard.
    on_progress
        Called after each step of training, and before each field of measuring.

    Returns
    -------
    The card, as it was saved.

    Raises
    ------
    InputError
        If a specimen of ``held_out`` is of a family that the recipe trains on.
    """
    held_out = HeldOut(fields=40) if held_out is None else held_out
    where = pick_device(device)
    require_unseen(recipe, held_out)
    total, done = recipe.steps + 3 * held_out.fields * len(held_out.objects), 0

    def tell(what: str, at: int) -> None:
        nonlocal done
        done = min(at, total)
        if on_progress is not None:
            on_progress(Step(what, done, total))

    def follow(at: Progress) -> None:
        tell(f"loss {at.loss:.3f}", at.step)

    folder.mkdir(parents=True, exist_ok=True)
    trained = train_logged(
        SurfaceTask(recipe), recipe.schedule, seed=seed, device=device, on_step=follow,
        checkpoint=folder / "member-0.ckpt", log=log,
    )  # fmt: skip
    card = surface_card(
        recipe, held_out, seed=seed, seconds=trained.seconds, machine=machine_name(where)
    )
    card = calibrated_surface_refocuser(
        [trained.network], card, held_out, device=device,
        on_field=lambda kind: tell(f"measuring on {kind}", done + 1),
    )  # fmt: skip
    if not current_ranks().is_first:
        return card
    (folder / CARD).unlink(missing_ok=True)  # an old card must never stand beside new weights
    card = save_model(folder, card, [trained.network])
    (folder / "member-0.ckpt").unlink()
    return card


def calibrated_surface_refocuser(
    networks: Sequence[Any],
    card: ModelCard,
    held_out: HeldOut,
    *,
    device: str = "cpu",
    on_field: Callable[[str], None] | None = None,
) -> ModelCard:
    """Card of a network with its calibration and its metrics, on unseen fields."""

    def gather(seed: int, only: Only | None = None, sections: float = 0.25) -> list[SurfaceTrial]:
        return try_surfaces(
            refocusers, held_out.objects, fields=held_out.fields, size_px=held_out.size_px,
            seed=held_out.seed + seed, only=only, sections=sections, on_field=on_field,
        )  # fmt: skip

    refocusers = (
        SurfaceRefocuser(networks, card, device=device),
        SurfaceRefocuser(networks, card, device=device, is_section=True),
    )
    calibration = calibrate_surfaces(gather(CALIBRATION), refocusers[0].calibration)
    metrics = measure_surfaces(gather(MEASUREMENT), calibration)
    thin = Only(kind="thin", to_object=1.0, photons=TABLE_PHOTONS)
    focused = gather(TABLE, thin, sections=0.0)
    metrics |= measure_focusing(focused)
    return card.model_copy(
        update={
            "calibration": calibration.model_dump(mode="json"),
            "metrics": {
                name: round(value, 4) for name, value in metrics.items() if math.isfinite(value)
            },
        }
    )


def calibrate_surfaces(
    trials: Sequence[SurfaceTrial], start: SurfaceCalibration
) -> SurfaceCalibration:
    """Set trust and verdict by logistic regression [Platt1999]_ on what the network predicts."""
    if not trials:
        return start
    gains = np.array([gain for trial in trials for gain in trial.gains])
    better = np.array([each for trial in trials for each in trial.is_better])
    trust = fit_chance(gains[:, None], better)
    verdict = fit_chance(np.array([trial.facts for trial in trials]), ~is_worse(trials))
    return start.model_copy(
        update={
            "trust_offset": trust[0], "trust_slope": trust[1],
            **dict(zip(VERDICT, verdict, strict=True)),
        }
    )  # fmt: skip


def is_worse(trials: Sequence[SurfaceTrial]) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which answers are worse than their input."""
    return np.array([trial.psnr[1] < trial.psnr[0] - TOLERATED_DB for trial in trials], bool)


def measure_surfaces(
    trials: Sequence[SurfaceTrial], calibration: SurfaceCalibration
) -> dict[str, float]:
    """Mean scores by kind of surface, and how well trust ranks the errors."""
    groups = {
        "even": [t for t in trials if t.is_even and not t.is_section],
        "uneven": [t for t in trials if not t.is_even and not t.is_section],
        "section": [t for t in trials if t.is_section],
        "without_aberration": [t for t in trials if abs(t.spherical) < TOLD_WAVES],
    }
    metrics: dict[str, float] = {}
    for name, chosen in groups.items():
        metrics |= _means(chosen, name)
    worse = is_worse(trials)
    verdicts = np.array([surface_verdict(trial.facts, calibration) for trial in trials])
    sizes = [torch.tensor([getattr(t, name) for t in trials]) for name in ("size", "predicted")]
    metrics |= {
        "worse_than_input": float(worse.mean()),
        "auc_worse_than_input": area_under_curve(1 - verdicts, worse),
        "rank_correlation_of_places": float(np.nanmean([trial.ranked for trial in trials])),
        "rank_correlation_of_images": rank_correlation(sizes[0], sizes[1]),
        "flux_within_5_percent_before": float(
            np.mean([abs(t.flux - 1) < 0.05 for t in trials if not t.is_section])
        ),
        "fields": float(len(trials)),
    }
    return metrics


def measure_focusing(trials: Sequence[SurfaceTrial]) -> dict[str, float]:
    """Mean scores of focusing on one thin object, by how far it lies."""
    metrics: dict[str, float] = {}
    told = [t for t in trials if t.is_even and t.spherical > TOLD_WAVES]
    for low, high in pairwise(FAR_DOF):
        chosen = [trial for trial in told if low <= trial.dof < high or trial.dof == high == 8.0]
        metrics |= _means(chosen, f"focus_{low:g}_to_{high:g}_dof")
    return metrics


def _means(trials: Sequence[SurfaceTrial], group: str) -> dict[str, float]:
    if not trials:
        return {}
    psnr = np.mean([trial.psnr for trial in trials], 0)
    ssim = np.mean([trial.ssim for trial in trials], 0)
    return {
        f"psnr_input_{group}": float(psnr[0]),
        f"psnr_answer_{group}": float(psnr[1]),
        f"psnr_flipped_{group}": float(psnr[2]),
        f"ssim_input_{group}": float(ssim[0]),
        f"ssim_answer_{group}": float(ssim[1]),
        f"worse_than_input_{group}": float(is_worse(trials).mean()),
    }


def surface_card(
    recipe: SurfaceRecipe, held_out: HeldOut, *, seed: int, seconds: float, machine: str
) -> ModelCard:
    """Card of a network that is not calibrated yet."""
    start = SurfaceCalibration(
        surface_dof=recipe.reach_dof, spherical_waves=SPHERICAL, assumed_waves=NOMINAL_SPHERICAL,
        ratios=RATIOS, pixels=PIXELS,
    )  # fmt: skip
    asked = 2 * recipe.steps * recipe.batch
    return ModelCard(
        name=recipe.name,
        task="one fluorescence image onto another surface, also as a confocal-equivalent section",
        architecture="parfocal.nets.surface_unet:SurfaceNetwork",
        settings=recipe.settings,
        members=1,
        recipe=recipe.model_dump(mode="json"),
        commit=code_revision(),
        seed=seed,
        data=f"{asked} surfaces in simulated deep fields of {recipe.patch_px} px, of "
        f"{', '.join(recipe.objects)}, textures and balls, in one layer, several, or a bent sheet; "
        "half of the surfaces even, half tilted, bowed or bumpy; spherical aberration of "
        f"{SPHERICAL[0]:g} to {SPHERICAL[1]:g} waves RMS, one field in eight without. "
        f"Calibrated and measured on fields of {held_out.size_px} px of "
        f"{', '.join(held_out.objects)}, which training never saw ({held_out.fields} of each for "
        "either, on two surfaces each). Flipped is the answer on the surface turned upside down; "
        f"focus is one thin object at {TABLE_PHOTONS:g} photons, shown in its own plane.",
        seconds=round(seconds, 1),
        machine=machine,
        metrics={},
        coverage={},
        calibration=start.model_dump(mode="json"),
        limits=LIMITS,
    )
