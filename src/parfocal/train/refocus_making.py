"""From a recipe of a refocusing network to a model on disk."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from parfocal.core.device import pick_device
from parfocal.models.card import ModelCard
from parfocal.models.package import CARD, load_model, save_model
from parfocal.refocus.refocuser import BlindRefocuser
from parfocal.refocus.trust import RefocusCalibration
from parfocal.simulate.blurred_fields import Fixed
from parfocal.train.held_out import HeldOut
from parfocal.train.log import train_logged
from parfocal.train.loop import Progress
from parfocal.train.making import Step, code_revision, machine_name, require_unseen
from parfocal.train.ranks import current_ranks
from parfocal.train.refocus_calibrating import calibrate_refocus, measure_images, measure_trust
from parfocal.train.refocus_task import RefocusRecipe, RefocusTask
from parfocal.train.refocus_trials import RefocusTrial, try_clear, try_refocus

DISTANCES_DOF = (0.0, 1.0, 2.0, 3.0, 5.0)
PHOTONS, WHITES = (500.0, 50.0), (20_000.0, 1_000.0)
"""At the brightest pixel; and of stains, where the field is empty."""
CALIBRATION, MEASUREMENT, TABLE = 0, 100_000, 200_000
"""Added to the seed of held-out fields: none is in two sets."""
TABLE_SHARE = 8
"""Fields of a kind for each row of the table: one of so many that set the trust."""
STAINS_ONLY = (
    "Stains that absorb, by brightfield, as one grey value or colour channel: transparent "
    "specimens, phase contrast and fluorescence are declined where they are recognised.",
    "What stains take away is taken to add up as light does, and the condenser to have half the "
    "objective's aperture or more; deconvolutions are those of fluorescence.",
)
FLUORESCENCE_ONLY = (
    "Fluorescence only: phase contrast and brightfield are declined where they are recognised.",
    "Where the distance is known, deconvolution with it is better at 500 photons.",
)
LIMITS = (
    "One image does not tell its distance well: see the coverage and the width of the interval.",
    "Trained on simulated optics alone, of thin objects for the most part; on a microscope unlike "
    "them trust may not hold.",
    "A wrong NA, wavelength or pixel size makes the deconvolutions wrong that the network chooses "
    "from.",
    "Part of any gain on dim images is the removal of noise: compare with a plain denoiser.",
)


def make_refocuser(
    recipe: RefocusRecipe,
    folder: Path,
    *,
    seed: int = 0,
    device: str = "cpu",
    held_out: HeldOut | None = None,
    log: Path | None = None,
    on_progress: Callable[[Step], None] | None = None,
) -> ModelCard:
    """Train an ensemble, calibrate and measure it on specimens it never saw, and save it.

    Each member has a checkpoint in the folder until the model is saved, from which a run that was
    killed goes on.

    Parameters
    ----------
    recipe
        What is trained.
    folder
        Where weights and card are written; a model that is there is replaced at the very end.
    seed
        Of the first member; member k has ``seed`` + k.
    device
        Where to train and to measure.
    held_out
        ``fields`` of each kind calibrate, as many measure trust, and an eighth for each distance
        and brightness make the table of the card.
    log
        Folder for TensorBoard, one below it for each member.
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
    held_out = HeldOut() if held_out is None else held_out
    where = pick_device(device)
    require_unseen(recipe, held_out)
    total, done = recipe.members * recipe.steps + held_out.total, 0

    def tell(what: str, at: int) -> None:
        nonlocal done
        done = min(at, total)
        if on_progress is not None:
            on_progress(Step(what, done, total))

    networks, seconds = [], 0.0
    folder.mkdir(parents=True, exist_ok=True)
    for member in range(recipe.members):

        def follow(at: Progress, member: int = member) -> None:
            what = f"member {member + 1} of {recipe.members}, loss {at.loss:.3f}"
            tell(what, member * recipe.steps + at.step)

        trained = train_logged(
            RefocusTask(recipe), recipe.schedule, seed=seed + member, device=device,
            checkpoint=folder / f"member-{member}.ckpt", on_step=follow,
            log=None if log is None else log / f"member-{member}",
        )  # fmt: skip
        networks.append(trained.network)
        seconds += trained.seconds
    done = recipe.members * recipe.steps
    card = refocus_card(recipe, held_out, seed=seed, seconds=seconds, machine=machine_name(where))
    card = calibrated_refocuser(
        networks, card, held_out, device=device,
        on_field=lambda kind: tell(f"measuring on {kind}", done + 1),
    )  # fmt: skip
    if not current_ranks().is_first:
        return card
    (folder / CARD).unlink(missing_ok=True)  # an old card must never stand beside new weights
    card = save_model(folder, card, networks)
    for path in folder.glob("member-*.ckpt"):
        path.unlink()
    return card


def calibrated_refocuser(
    networks: Sequence[Any],
    card: ModelCard,
    held_out: HeldOut,
    *,
    device: str = "cpu",
    on_field: Callable[[str], None] | None = None,
) -> ModelCard:
    """Card of an ensemble with its calibration, its metrics and its coverage, on unseen fields."""

    def gather(seed: int) -> list[RefocusTrial]:
        common: dict[str, Any] = {
            "fields": held_out.fields, "size_px": held_out.size_px,
            "seed": held_out.seed + seed, "on_field": on_field,
        }  # fmt: skip
        own = try_refocus(refocuser, held_out.objects, **common)
        return own + try_clear(refocuser, held_out.clear_objects, **common)

    refocuser = BlindRefocuser(networks, card, device=device)
    calibration, faults = calibrate_refocus(gather(CALIBRATION), refocuser.calibration)
    refocuser.calibration = calibration
    metrics, coverage = measure_trust(gather(MEASUREMENT), calibration)
    fields = max(1, math.ceil(held_out.fields / TABLE_SHARE))
    for photons in WHITES if calibration.is_dark else PHOTONS:
        for number, dof in enumerate(DISTANCES_DOF):
            trials = try_refocus(
                refocuser, held_out.objects, fields=fields, size_px=held_out.size_px,
                seed=held_out.seed + TABLE + 10_000 * number, with_deconvolution=True,
                fixed=Fixed(defocus_dof=dof, photons=photons), on_field=on_field,
            )  # fmt: skip
            group = f"{dof:g}_dof_{photons:g}_photons"
            more, covered = measure_images(trials, calibration, group)
            metrics, coverage = metrics | more, coverage | covered
    return card.model_copy(
        update={
            "calibration": calibration.model_dump(mode="json"),
            "metrics": {
                name: round(value, 4) for name, value in metrics.items() if math.isfinite(value)
            },
            "coverage": {name: round(value, 4) for name, value in coverage.items()},
            "limits": (*card.limits, *faults),
        }
    )


def refocus_card(
    recipe: RefocusRecipe, held_out: HeldOut, *, seed: int, seconds: float, machine: str
) -> ModelCard:
    """Card of networks that are not calibrated yet."""
    start = RefocusCalibration(
        is_dark=recipe.is_dark,
        bins=recipe.bins,
        reach_dof=recipe.reach_dof,
        most_dof=recipe.reach_dof - 1.0,
    )
    fields = recipe.steps * recipe.batch
    kind = "image of stains by transmitted light" if recipe.is_dark else "fluorescence image"
    others = "of transparent specimens" if recipe.is_dark else "by transmitted light"
    counted = "electrons where the field is empty" if recipe.is_dark else (
        "electrons at the brightest pixel"
    )  # fmt: skip
    begun = ""
    if recipe.start:
        before = load_model(recipe.start)[1]
        begun = (
            f"Starts from {before.name} of revision {before.commit} (weights "
            f"{before.sha256[:12]}), trained on: {before.data.split('. ')[0]}. Then "
        )
    return ModelCard(
        name=recipe.name,
        task=f"one blurred {kind} into focus, with its trust and its |defocus|",
        architecture="parfocal.nets.refocus_unet:RefocusNetwork",
        settings=recipe.settings,
        members=recipe.members,
        recipe=recipe.model_dump(mode="json"),
        commit=code_revision(),
        seed=seed,
        data=f"{begun}{fields} simulated fields of {recipe.patch_px} px a member, of "
        f"{', '.join(recipe.objects)}, textures, balls, points, discs and rings; one "
        f"in {recipe.batch} {others}. The truth is the field in focus by the same "
        "optics without aberrations, every layer at once. Calibrated and measured on simulated "
        f"fields of {held_out.size_px} px of {', '.join(held_out.objects)}, which training never "
        f"saw ({held_out.fields} of each for either). Rows of the table are thin layers at one "
        f"|defocus| in depths of field, with so many {counted}; the gain in dB that is given, and "
        "the share that is worse, count what a user gets: the input where it "
        "is passed through, nothing where it is declined; Richardson-Lucy is told the true "
        "point-spread function and background, 100 steps.",
        seconds=round(seconds, 1),
        machine=machine,
        metrics={},
        coverage={},
        calibration=start.model_dump(mode="json"),
        limits=(STAINS_ONLY if recipe.is_dark else FLUORESCENCE_ONLY) + LIMITS,
    )
