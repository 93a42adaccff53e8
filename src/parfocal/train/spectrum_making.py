"""From a recipe of an LED predictor to a model on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from parfocal.core.device import pick_device
from parfocal.models.card import ModelCard
from parfocal.models.package import CARD, save_model
from parfocal.predict.spectrum import published_bins
from parfocal.predict.spectrum_predictor import SpectrumCalibration, SpectrumPredictor
from parfocal.predict.spectrum_windows import COLUMNS, ROWS
from parfocal.simulate.led_fields import FeatureSet, gather_features
from parfocal.train.checkpoints import read_checkpoint, write_checkpoint
from parfocal.train.held_out import HeldOut
from parfocal.train.loop import Progress
from parfocal.train.making import Step, code_revision, machine_name
from parfocal.train.spectrum_task import (
    LedPhaseRecipe,
    LedRecipe,
    Pinkard2019Recipe,
    extract_of,
    fit_spectrum,
)
from parfocal.train.spectrum_trials import RULE, calibrate_led, measure_led, try_led_fields

VALIDATION, CALIBRATION, MEASUREMENT = 100_000, 200_000, 300_000
"""First seeds of stacks that choose the epoch, set the interval, and measure: split by specimen."""
UNSEEN_KINDS = ("blood_smear", "tissue_section")
"""Of these the first that a recipe does not train on is measured as well."""
REACH_SHARE = 7 / 8
LIMITS = (
    "One LED off the axis, at the angle, the direction and the NA of training. Brightfield is "
    "mostly declined; an LED at another angle or on another axis than was said is often not, and "
    "the answer is then wrong.",
    "Trained on simulated optics alone; on a microscope unlike them the interval may not hold.",
    "The sign comes from strong phase: a thin, weak specimen has none, and is ambiguous.",
    "Errors and widths of this card are in depths of field, n wavelength / NA^2, not effective "
    "ones.",
    "The interval was set on fields of 66 to 133 um at NA 0.5; larger ones are parted into tiles.",
    "A kind of specimen that is not listed here may be answered wrongly with confidence: fine-tune "
    "on up to 50 of its stacks first.",
)


def wanted_stacks(recipe: LedRecipe, first_seed: int, count: int | None = None) -> list[Any]:
    """(specimen, seed) of each stack: those of the recipe, or ``count`` of each kind."""
    return [
        (name, first_seed + k)
        for name, stacks in recipe.kinds
        for k in range(stacks if count is None else count)
    ]


def make_spectrum_model(
    recipe: LedRecipe,
    folder: Path,
    *,
    seed: int = 0,
    device: str = "cpu",
    held_out: HeldOut | None = None,
    on_progress: Callable[[Step], None] | None = None,
) -> ModelCard:
    """Simulate stacks, train each member, calibrate and measure it on other stacks, and save.

    Features and members have checkpoints in the folder until the model is saved, from which a run
    that was killed goes on.

    Parameters
    ----------
    recipe
        ``LedPhaseRecipe`` or ``Pinkard2019Recipe``.
    folder
        Where weights and card are written.
    seed
        Of the first member; member k has ``seed`` + k.
    device
        Where to train.
    held_out
        ``fields`` of each kind calibrate, and as many measure; the other settings are not used.
    on_progress
        Called after each step of training, and before each field of measuring.

    Returns
    -------
    The card, as it was saved.
    """
    held_out = HeldOut() if held_out is None else held_out
    where, done = pick_device(device), 0
    total = recipe.members * recipe.steps

    def tell(what: str, more: int = 0) -> None:
        nonlocal done
        done += more
        if on_progress is not None:
            on_progress(Step(what, min(done, total), total))

    folder.mkdir(parents=True, exist_ok=True)
    examples = _features(recipe, folder, "fields", wanted_stacks(recipe, 0), tell)
    validation = None
    if isinstance(recipe, Pinkard2019Recipe):
        chosen = wanted_stacks(recipe, VALIDATION, recipe.validation)
        validation = _features(recipe, folder, "validation", chosen, tell)
    networks, seconds = [], 0.0
    for member in range(recipe.members):

        def follow(at: Progress, member: int = member) -> None:
            behind = member * recipe.steps + at.step - done
            tell(f"member {member + 1} of {recipe.members}, loss {at.loss:.3f}", behind)

        trained = fit_spectrum(
            recipe, examples, seed=seed + member, validation=validation, device=device,
            checkpoint=folder / f"member-{member}.ckpt", on_step=follow,
        )  # fmt: skip
        networks.append(trained.network)
        seconds += trained.seconds
    card = _card(recipe, seed=seed, seconds=seconds, device=where)
    stacks = max(1, round(held_out.fields / recipe.planes))
    card = calibrated_led(networks, card, recipe, stacks=stacks, on_field=tell)
    (folder / CARD).unlink(missing_ok=True)  # an old card must never stand beside new weights
    card = save_model(folder, card, networks)
    for path in folder.glob("*.ckpt"):
        path.unlink()
    return card


def _features(
    recipe: LedRecipe,
    folder: Path,
    name: str,
    wanted: list[Any],
    tell: Callable[[str], None],
) -> FeatureSet:
    """Features of stacks, from the folder where an earlier run left them."""
    path = folder / f"{name}.ckpt"
    text = f"{recipe.fields.model_dump_json()} {type(recipe).__name__} {wanted}"
    identity: dict[str, object] = {"fields": hashlib.sha256(text.encode()).hexdigest()}
    if path.exists():
        kept = read_checkpoint(path, identity, torch.device("cpu"))
        return FeatureSet(
            features=kept["features"], defocus_um=kept["defocus_um"], kinds=tuple(kept["kinds"])
        )
    made = gather_features(
        recipe.fields, wanted, extract_of(recipe), begin_stack=lambda kind: tell(f"stack: {kind}")
    )
    values = {"features": made.features, "defocus_um": made.defocus_um, "kinds": list(made.kinds)}
    write_checkpoint(path, {"identity": identity, **values})
    return made


def calibrated_led(
    networks: list[Any],
    card: ModelCard,
    recipe: LedRecipe,
    *,
    stacks: int,
    on_field: Callable[[str], None] | None = None,
) -> ModelCard:
    """Card of an ensemble with its calibration, metrics and coverage, on stacks it never saw."""
    predictor = SpectrumPredictor(networks, card)
    crops = isinstance(recipe, LedPhaseRecipe)

    def trials(wanted: list[Any]) -> Any:
        return try_led_fields(predictor, recipe.fields, wanted, crops=crops, on_field=on_field)

    first = trials(wanted_stacks(recipe, CALIBRATION, stacks))
    calibration, faults = calibrate_led(first, predictor.calibration)
    known = [name for name, _ in recipe.kinds]
    unseen = [name for name in UNSEEN_KINDS if name not in known][:1]
    others = [(name, MEASUREMENT + 500 + k) for name in unseen for k in range(stacks)]
    second = trials([*wanted_stacks(recipe, MEASUREMENT, stacks), *others])
    depth_um = recipe.fields.setup.depth_of_field_um
    metrics, coverage = measure_led(second, calibration, depth_um=depth_um)
    data = f" {stacks} further stacks of each kind calibrate and as many measure"
    data += "".join(f", and of {name}, which training never saw" for name in unseen)
    return card.model_copy(
        update={
            "calibration": calibration.model_dump(),
            "metrics": metrics,
            "coverage": coverage,
            "data": f"{card.data}{data}. Rule: {RULE}.",
            "limits": (*card.limits, *faults),
        }
    )


def _card(recipe: LedRecipe, *, seed: int, seconds: float, device: torch.device) -> ModelCard:
    published = isinstance(recipe, Pinkard2019Recipe)
    setup = recipe.fields.setup
    known: dict[str, Any] = {
        "na": setup.na / setup.immersion_index,
        "led_na": round(max(abs(value) for value in recipe.led_na_yx) / setup.na, 6),
        "reach": REACH_SHARE * recipe.reach_um / setup.depth_of_field_um,
    }
    settings: dict[str, Any]
    if isinstance(recipe, Pinkard2019Recipe):
        across, along = published_bins(recipe.side)
        settings = {"inputs": across * 2 * along}
        settings |= {name: getattr(recipe, name) for name in ("hidden", "layers", "dropout")}
        known |= {
            "kind": "magnitude" if recipe.magnitude else "phase",
            "side": recipe.side,
            "reach": 1.2 * recipe.reach_um / setup.depth_of_field_um,
        }
    else:
        ours = recipe if isinstance(recipe, LedPhaseRecipe) else LedPhaseRecipe()
        names = ("bins", "widths", "hidden", "dropout")
        settings = {"rows": ROWS, "columns": COLUMNS}
        settings |= {name: getattr(ours, name) for name in names}
        settings["widths"] = list(ours.widths)
        known |= {
            "bins": ours.bins,
            "classes_reach": ours.classes_reach,
            "reach": min(known["reach"] / REACH_SHARE, REACH_SHARE * ours.classes_reach),
        }
    kinds = ", ".join(f"{count} of {name}" for name, count in recipe.kinds)
    name = "SpectrumPerceptron" if published else "SpectrumNetwork"
    return ModelCard(
        name=recipe.name,
        task="signed defocus of one image by an off-axis LED",
        architecture=f"parfocal.nets.spectrum:{name}",
        settings=settings,
        members=recipe.members,
        recipe=recipe.model_dump(mode="json"),
        commit=code_revision(),
        seed=seed,
        data=f"Simulated stacks of {recipe.size_px} px and {recipe.planes} planes: {kinds}.",
        seconds=round(seconds, 1),
        machine=machine_name(device),
        metrics={},
        coverage={},
        calibration=SpectrumCalibration(**known).model_dump(),
        limits=LIMITS,
    )
