"""Fields of specimens that training never saw: they set the intervals, and measure the answers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from parfocal.core.results import DefocusEstimate, Status
from parfocal.core.setup import OpticalSetup
from parfocal.models.card import ModelCard
from parfocal.predict.pair_predictor import NORMAL_90, Calibration, PairPredictor
from parfocal.predict.posterior import centre, spread
from parfocal.simulate.batches import FieldBatch, FieldBatches

UNSEEN = ("neurites", "hair_cells", "dense_tissue", "nematode")
"""Specimens of families that no recipe trains on."""
BATCH = 8
SHARE_INSIDE = 0.9
FLOORS = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5)
THRESHOLDS = tuple(round(0.05 * k, 2) for k in range(1, 20))
"""Certainties below which a field could be declined."""
NEAR_DEPTHS, NEAR_SHARE = 1.5, 0.9
MOST_WRONG_SIGNS = 0.01
LEAST_ANSWERED = 0.1
RULE = (
    f"an answer is given from the least certainty at which {100 * NEAR_SHARE:.0f} % of the "
    f"answered calibration fields are within {NEAR_DEPTHS:g} effective depths of field and at most "
    f"{100 * MOST_WRONG_SIGNS:.0f} % of the signs beyond half a depth are wrong"
)
SIGNALS = (("dim", 0.0, 20.0), ("medium", 20.0, 145.0), ("bright", 145.0, math.inf))
"""Photons at the brightest pixel, in thirds of what is drawn."""


class HeldOut(BaseModel):
    """Which fields set the intervals and measure the answers.

    Parameters
    ----------
    objects
        Rows of ``SPECIMENS``, of families that training never saw.
    fields
        Fields of each, once for the calibration and once, others, for the measurement.
    size_px
        Side of a field: several patches.
    seed
        Draws them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    objects: tuple[str, ...] = UNSEEN
    fields: Annotated[int, Field(ge=1)] = 200
    size_px: Annotated[int, Field(ge=64)] = 256
    seed: int = 77_000


@dataclass(frozen=True, eq=False, kw_only=True)
class FieldTrials:
    """What a predictor said of fields whose truth is known; lengths in effective depths of field.

    Parameters
    ----------
    kinds, photons
        Specimen and brightness of each field.
    truth, centre, spread
        Defocus of the first image: the true one, and mean and standard deviation of the answer.
    certainty
        Of the field; NaN where the network was not asked.
    is_clear
        Whether there would be an answer if certainty did not matter.
    """

    kinds: NDArray[Any]
    photons: Float[np.ndarray, " f"]
    truth: Float[np.ndarray, " f"]
    centre: Float[np.ndarray, " f"]
    spread: Float[np.ndarray, " f"]
    certainty: Float[np.ndarray, " f"]
    is_clear: Bool[np.ndarray, " f"]

    @property
    def error(self) -> Float[np.ndarray, " f"]:
        """Answer less truth."""
        error: NDArray[Any] = self.centre - self.truth
        return error

    @property
    def is_sign_wrong(self) -> Bool[np.ndarray, " f"]:
        """Whether focus lies on the other side, by more than half a depth."""
        wrong: NDArray[Any] = np.sign(self.centre) != np.sign(self.truth)
        wrong &= np.abs(self.truth) > 0.5
        return wrong

    def answered(self, least_certainty: float) -> Bool[np.ndarray, " f"]:
        """Which fields get an answer from that certainty on."""
        sure: NDArray[Any] = np.nan_to_num(self.certainty, nan=-1.0) >= least_certainty
        sure &= self.is_clear
        return sure

    def chosen(self, which: Bool[np.ndarray, " f"]) -> FieldTrials:
        """Some of the fields."""
        return FieldTrials(**{name: values[which] for name, values in vars(self).items()})


def try_fields(
    predictor: PairPredictor,
    held_out: HeldOut,
    *,
    seed: int,
    on_field: Callable[[str], None] | None = None,
) -> FieldTrials:
    """Simulate pairs of fields and ask the predictor about each.

    Parameters
    ----------
    predictor
        Asked as a user would, one pair after the other.
    held_out
        Which fields.
    seed
        Draws them, beside the settings' own.
    on_field
        Called with the kind of specimen before each field.
    """
    calibration = predictor.calibration
    every = predictor.calibration.model_copy(update={"least_certainty": -1.0})
    rows: list[tuple[Any, ...]] = []
    predictor.calibration = every
    try:
        for number, kind in enumerate(held_out.objects):
            source = FieldBatches(
                batch=BATCH, size_px=held_out.size_px, seed=held_out.seed + 1000 * seed + number,
                device=str(predictor.device), objects=(kind,), textures=0,
                reach_depths=calibration.classes_reach, reuse=1,
            )  # fmt: skip
            for first in range(0, held_out.fields, BATCH):
                fields = source.draw()
                for k in range(min(BATCH, held_out.fields - first)):
                    if on_field is not None:
                        on_field(kind)
                    rows.append((kind, *_try_field(predictor, fields, k)))
    finally:
        predictor.calibration = calibration
    columns = [np.array(column) for column in zip(*rows, strict=True)]
    names = ("kinds", "photons", "truth", "centre", "spread", "certainty", "is_clear")
    return FieldTrials(**dict(zip(names, columns, strict=True)))


def _try_field(predictor: PairPredictor, fields: FieldBatch, k: int) -> tuple[float | bool, ...]:
    """Photons, truth, mean, standard deviation, certainty and clarity of one field."""
    setup = OpticalSetup(
        na=float(fields.na[k]),
        wavelength_nm=1000 * float(fields.wavelength_um[k]),
        pixel_um=float(fields.pixel_um[k]),
        immersion_index=float(fields.index[k]),
    )
    spacing_um = float(fields.spacing_um[k])
    guess = predictor.predict(fields.images[k], spacing_um=spacing_um, setup=setup)
    depth_um = float(fields.depth_um[k])
    mean, deviation = _moments(guess, depth_um)
    known = math.nan if guess.certainty is None else guess.certainty
    truth = float(fields.defocus_um[k]) / depth_um
    return float(fields.photons[k]), truth, mean, deviation, known, guess.status == Status.FOUND


def _moments(guess: DefocusEstimate, depth_um: float) -> tuple[float, float]:
    if guess.probabilities is None or guess.classes_um is None:
        return math.nan, math.nan
    shares, classes = torch.from_numpy(guess.probabilities), torch.from_numpy(guess.classes_um)
    return float(centre(shares, classes)) / depth_um, float(spread(shares, classes)) / depth_um


def calibrate(trials: FieldTrials, start: Calibration) -> tuple[Calibration, tuple[str, ...]]:
    """Choose when to answer, and widen the intervals until nine of ten hold [Papadopoulos2002]_.

    First the least certainty (``RULE``), then the floor of the spread by the likelihood of the
    answers' errors, then the width, by split conformal prediction: the truth of a further field
    of the same kinds is inside with a chance of 90 %, whatever the networks' faults.

    Parameters
    ----------
    trials
        Calibration fields.
    start
        Classes and reach, which are kept.

    Returns
    -------
    The calibration, and a sentence for everything that could not be reached.
    """
    faults = []
    least, is_good = _least_certainty(trials)
    if not is_good:
        faults.append(f"The rule for answers was not met on calibration fields: {RULE}.")
    good = trials.chosen(trials.answered(least))
    size = np.abs(good.error)
    count = len(size)
    rank = math.ceil((count + 1) * SHARE_INSIDE)
    if count == 0 or rank > count:
        faults.append(
            f"The interval is not calibrated: {count} calibration fields were answered, and 9 are "
            "needed."
        )
        return start.model_copy(update={"least_certainty": least, "widen": NORMAL_90}), (*faults,)
    floor = min(FLOORS, key=lambda each: _misfit(size, np.hypot(good.spread, each)))
    widen = float(np.sort(size / np.hypot(good.spread, floor))[rank - 1])
    chosen = {"least_certainty": least, "floor": floor, "widen": max(widen, 1e-3)}
    return start.model_copy(update=chosen), (*faults,)


def _misfit(size: NDArray[Any], scale: NDArray[Any]) -> float:
    """Less the likelihood of Laplace errors of these scales, times the best common factor."""
    return float(np.log(scale).mean() + np.log(np.maximum((size / scale).mean(), 1e-12)))


def _least_certainty(trials: FieldTrials) -> tuple[float, bool]:
    """The least threshold that satisfies ``RULE``, else the largest that still answers a tenth."""
    last = THRESHOLDS[0]
    for least in THRESHOLDS:
        answered = trials.answered(least)
        if answered.sum() < max(1.0, LEAST_ANSWERED * len(answered)):
            break
        last = least
        good = trials.chosen(answered)
        near = float((np.abs(good.error) <= NEAR_DEPTHS).mean())
        beyond = int((np.abs(good.truth) > 0.5).sum())
        wrong = int(good.is_sign_wrong.sum())
        if near >= NEAR_SHARE and wrong <= MOST_WRONG_SIGNS * max(1, beyond):
            return least, True
    return last, False


def measure_answers(
    trials: FieldTrials, calibration: Calibration
) -> tuple[dict[str, float], dict[str, float]]:
    """Metrics, and coverage of the 90 % interval, over all fields, by specimen and by signal.

    Errors are those of answers alone; ``answered`` says how many there are.
    """
    metrics: dict[str, float] = {}
    coverage: dict[str, float] = {}
    answered = trials.answered(calibration.least_certainty)
    for name, which in _groups(trials):
        metrics |= {f"answered_{name}": float(answered[which].mean())}
        good = trials.chosen(answered & which)
        if not len(good.truth):
            continue
        size = np.abs(good.error)
        half = calibration.widen * np.hypot(good.spread, calibration.floor)
        coverage[name] = float((size <= half).mean())
        metrics[f"median_error_depths_{name}"] = float(np.median(size))
        metrics[f"mean_error_depths_{name}"] = float(size.mean())
        beyond = np.abs(good.truth) > 0.5
        if beyond.any():
            metrics[f"wrong_signs_{name}"] = float(good.is_sign_wrong[beyond].mean())
        if name == "all":
            metrics["median_half_width_depths_all"] = float(np.median(half))
            metrics["median_error_depths_of_always_zero"] = float(np.median(np.abs(good.truth)))
    metrics["fields"] = float(len(trials.truth))
    return {name: round(value, 4) for name, value in metrics.items()}, {
        name: round(value, 4) for name, value in coverage.items()
    }


def _groups(trials: FieldTrials) -> list[tuple[str, NDArray[Any]]]:
    """All fields; those of each kind; those of each third of the signal; none that is empty."""
    groups = [("all", np.ones(len(trials.truth), bool))]
    groups += [(str(kind), trials.kinds == kind) for kind in dict.fromkeys(trials.kinds)]
    groups += [
        (name, (trials.photons >= low) & (trials.photons < high)) for name, low, high in SIGNALS
    ]
    return [(name, which) for name, which in groups if which.any()]


def calibrated(
    networks: Sequence[Any],
    card: ModelCard,
    held_out: HeldOut,
    *,
    device: str = "cpu",
    on_field: Callable[[str], None] | None = None,
) -> ModelCard:
    """Card of an ensemble with its calibration, its metrics and its coverage.

    Two sets of fields, none of which is in the other: the first sets the calibration, the second
    measures the answers with it.
    """
    predictor = PairPredictor(networks, card, device=device)
    first = try_fields(predictor, held_out, seed=0, on_field=on_field)
    calibration, faults = calibrate(first, predictor.calibration)
    second = try_fields(predictor, held_out, seed=1, on_field=on_field)
    metrics, coverage = measure_answers(second, calibration)
    return card.model_copy(
        update={
            "calibration": calibration.model_dump(),
            "metrics": metrics,
            "coverage": coverage,
            "limits": (*card.limits, *faults),
        }
    )
