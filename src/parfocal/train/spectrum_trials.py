"""Fields by LEDs that training never saw: they set the intervals, and measure the answers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.typing import NDArray

from parfocal.core.results import Status
from parfocal.predict.posterior import centre, spread
from parfocal.predict.spectrum_predictor import SpectrumCalibration, SpectrumPredictor
from parfocal.predict.spectrum_windows import window_px
from parfocal.simulate.led_fields import LedFields, simulate_led_stack
from parfocal.train.conformal import conformal_quantile, safest_floor

STEP = 0.025
THRESHOLDS = tuple(round(STEP * k, 3) for k in range(1, 40))
NEAR_DOF, NEAR_SHARE = 1.5, 0.9
MOST_WRONG_SIGNS = 0.01
LEAST_ANSWERED = 0.1
SIGN_MATTERS = 0.5
KEPT = 0.98
"""Share of calibration fields whose ``strange`` and ``apart`` set the most that is answered."""
BEYOND = {"strange": 2.0, "apart": 1.1}
"""Times which others may be more: in focus even known specimens are strange, having no fringes."""
SUREST = 0.98
"""Share of calibration fields that must be sure enough."""
RULE = (
    f"an answer is given from the least certainty at which {100 * NEAR_SHARE:.0f} % of the "
    f"answered calibration fields are within {NEAR_DOF:g} depths of field and at most "
    f"{100 * MOST_WRONG_SIGNS:.0f} % of the signs beyond half a depth are wrong"
)


@dataclass(frozen=True, eq=False, kw_only=True)
class LedTrials:
    """What a predictor said of fields of known defocus; lengths in depths of field.

    ``centre`` is NaN where there was nothing to answer with; ``strange`` and ``apart`` where
    it was not asked.
    """

    kinds: NDArray[Any]
    truth: Float[np.ndarray, " f"]
    centre: Float[np.ndarray, " f"]
    spread: Float[np.ndarray, " f"]
    certainty: Float[np.ndarray, " f"]
    strange: Float[np.ndarray, " f"]
    apart: Float[np.ndarray, " f"]
    is_clear: Bool[np.ndarray, " f"]

    @property
    def error(self) -> Float[np.ndarray, " f"]:
        """Answer less truth."""
        error: NDArray[Any] = self.centre - self.truth
        return error

    @property
    def is_sign_wrong(self) -> Bool[np.ndarray, " f"]:
        """Whether focus lies on the other side, by more than half a depth."""
        wrong: NDArray[Any] = self.centre * self.truth < 0
        wrong &= np.abs(self.truth) > SIGN_MATTERS
        return wrong

    def answered(self, known: SpectrumCalibration, least: float) -> Bool[np.ndarray, " f"]:
        """Which fields get an answer from that certainty on."""
        sure: NDArray[Any] = self.is_clear & ~(self.strange > known.most_strange)
        sure &= ~(self.apart > known.most_apart)
        sure &= np.isnan(self.certainty) | (self.certainty >= least)
        return sure

    def chosen(self, which: Bool[np.ndarray, " f"]) -> LedTrials:
        """Some of the fields."""
        return LedTrials(**{name: values[which] for name, values in vars(self).items()})


def try_led_fields(
    predictor: SpectrumPredictor,
    fields: LedFields,
    wanted: Sequence[tuple[str, int]],
    *,
    crops: bool = True,
    on_field: Callable[[str], None] | None = None,
) -> LedTrials:
    """Ask the predictor about each plane of simulated stacks, as a user would.

    Parameters
    ----------
    predictor
        Asked about one image after the other.
    fields
        How stacks are simulated.
    wanted
        (specimen, seed) of each stack.
    crops
        Show part of every second field: from one window to the whole.
    on_field
        Called with the kind of specimen before each field.
    """
    kept, setup = predictor.calibration, fields.setup
    predictor.calibration = kept.model_copy(
        update={"least_certainty": -1.0, "most_strange": 1e6, "most_apart": 1e6}
    )
    rows = []
    try:
        for name, seed in wanted:
            stack = simulate_led_stack(fields, name, seed=seed)
            dice = np.random.default_rng([seed, 23])
            for number, (image, truth_um) in enumerate(
                zip(stack.images, stack.defocus_um.tolist(), strict=True)
            ):
                if on_field is not None:
                    on_field(name)
                if crops and number % 2:
                    size = int(dice.integers(window_px(setup), fields.size_px + 1))
                    image = image[:size, :size]  # noqa: PLW2901
                truth = truth_um / setup.depth_of_field_um
                rows.append((name, truth, *_try(predictor, image, fields)))
    finally:
        predictor.calibration = kept
    columns = [np.array(column) for column in zip(*rows, strict=True)]
    names = ("kinds", "truth", "centre", "spread", "certainty", "strange", "apart", "is_clear")
    return LedTrials(**dict(zip(names, columns, strict=True)))


def _try(
    predictor: SpectrumPredictor, image: torch.Tensor, fields: LedFields
) -> tuple[float | bool, ...]:
    """Mean, standard deviation, certainty, strangeness, distance of views, clarity of a field."""
    setup = fields.setup
    guess = predictor.predict(image, setup=setup)
    found = guess.status == Status.FOUND
    if predictor.calibration.kind != "classes":
        middle = math.nan if guess.defocus_dof is None else guess.defocus_dof
        return middle, 0.0, math.nan, math.nan, math.nan, found
    if guess.probabilities is None or guess.classes_um is None or guess.certainty is None:
        return (math.nan,) * 5 + (False,)
    shares, classes = torch.from_numpy(guess.probabilities), torch.from_numpy(guess.classes_um)
    depth_um = setup.depth_of_field_um
    middle, width = float(centre(shares, classes)), float(spread(shares, classes))
    strange, apart = predictor.doubts(image, setup=setup)
    return middle / depth_um, width / depth_um, guess.certainty, strange, apart, found


def calibrate_led(
    trials: LedTrials, start: SpectrumCalibration
) -> tuple[SpectrumCalibration, tuple[str, ...]]:
    """Choose when to answer, and widen the intervals until nine of ten hold [Papadopoulos2002]_.

    Nothing is answered that is stranger, less certain, or more in dispute than nearly all fields
    of known kinds. The interval holds for nine of ten fields of each kind: it is that of the worst.

    Parameters
    ----------
    trials
        Calibration fields, of kinds that were trained on and stacks that were not.
    start
        What is kept of the recipe.

    Returns
    -------
    The calibration, and a sentence for everything that could not be reached.
    """
    faults = []
    known = start
    for name in ("strange", "apart"):
        values = getattr(trials, name)
        if np.isfinite(values).any():
            most = BEYOND[name] * float(np.nanquantile(values, KEPT))
            known = known.model_copy(update={f"most_{name}": max(round(most, 3), 1e-3)})
    least, is_good = _least_certainty(trials, known)
    if not is_good:
        faults.append(f"The rule for answers was not met on calibration fields: {RULE}.")
    good = trials.chosen(trials.answered(known, least))
    if known.kind != "classes" or not len(good.truth):
        floor, widen = _widest(good.kinds, np.abs(good.error)), 1.0
    else:
        size = np.abs(good.error)
        floor = safest_floor(size, good.spread)
        widen = _widest(good.kinds, size / np.hypot(good.spread, floor))
    if not math.isfinite(floor * widen):
        faults.append(
            f"The interval is not calibrated: {len(good.truth)} calibration fields were answered, "
            "and 9 of a kind are needed."
        )
        return known.model_copy(update={"least_certainty": least}), tuple(faults)
    chosen = {"least_certainty": least, "floor": max(floor, 1e-3), "widen": max(widen, 1e-3)}
    return known.model_copy(update=chosen), tuple(faults)


def _widest(kinds: NDArray[Any], ratio: NDArray[Any]) -> float:
    """Largest over the kinds of the conformal 90 % quantile; infinite if no kind has enough."""
    widths = [conformal_quantile(ratio[kinds == kind]) for kind in dict.fromkeys(kinds)]
    return max(filter(math.isfinite, widths), default=math.inf)


def _least_certainty(trials: LedTrials, known: SpectrumCalibration) -> tuple[float, bool]:
    """The least threshold that satisfies ``RULE``, else the largest that still answers a tenth.

    Never less than what nearly all calibration fields reach (``SUREST``): what is less certain is
    of no kind that is known.
    """
    sure = trials.certainty[trials.answered(known, -1.0)]
    sure = sure[np.isfinite(sure)]
    usual = float(np.quantile(sure, 1 - SUREST)) if len(sure) else 0.0
    last = THRESHOLDS[0]
    for least in (each for each in THRESHOLDS if each + STEP > usual):
        answered = trials.answered(known, least)
        if answered.sum() < max(1.0, LEAST_ANSWERED * len(answered)):
            break
        last = least
        good = trials.chosen(answered)
        near = float((np.abs(good.error) <= NEAR_DOF).mean())
        beyond = int((np.abs(good.truth) > SIGN_MATTERS).sum())
        if near >= NEAR_SHARE and good.is_sign_wrong.sum() <= MOST_WRONG_SIGNS * max(1, beyond):
            return least, True
    return last, False


def measure_led(
    trials: LedTrials, known: SpectrumCalibration, *, depth_um: float
) -> tuple[dict[str, float], dict[str, float]]:
    """Metrics, and coverage of the 90 % interval, over all fields and by specimen.

    ``rmse_um`` is of answers, ``every_rmse_um`` of all fields, those that were declined included.
    """
    metrics: dict[str, float] = {}
    coverage: dict[str, float] = {}
    answered = trials.answered(known, known.least_certainty)
    groups = [("all", np.ones(len(trials.truth), bool))]
    groups += [(str(kind), trials.kinds == kind) for kind in dict.fromkeys(trials.kinds)]
    for name, which in groups:
        metrics[f"answered_{name}"] = float(answered[which].mean())
        every = trials.chosen(which).error
        every = every[np.isfinite(every)]
        if len(every):
            metrics[f"every_rmse_um_{name}"] = depth_um * math.sqrt(float((every**2).mean()))
        good = trials.chosen(answered & which)
        if not len(good.truth):
            continue
        size = np.abs(good.error)
        half = known.widen * np.hypot(good.spread, known.floor)
        coverage[name] = float((size <= half).mean())
        metrics[f"median_error_depths_{name}"] = float(np.median(size))
        metrics[f"mean_error_depths_{name}"] = float(size.mean())
        metrics[f"rmse_um_{name}"] = depth_um * math.sqrt(float((size**2).mean()))
        beyond = np.abs(good.truth) > SIGN_MATTERS
        if beyond.any():
            metrics[f"wrong_signs_{name}"] = float(good.is_sign_wrong[beyond].mean())
    metrics["fields"] = float(len(trials.truth))
    return {name: round(value, 4) for name, value in metrics.items()}, {
        name: round(value, 4) for name, value in coverage.items()
    }
