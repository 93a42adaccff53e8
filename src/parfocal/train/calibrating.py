"""From trials to a calibration, and from other trials to what it is worth."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from parfocal.models.card import ModelCard
from parfocal.predict.calibration import NORMAL_90, Calibration
from parfocal.predict.pair_predictor import PairPredictor
from parfocal.train.conformal import conformal_quantile, safest_floor
from parfocal.train.held_out import MOST_SPHERICAL, FieldTrials, HeldOut, try_fields

THRESHOLDS = tuple(round(0.05 * k, 2) for k in range(1, 20))
"""Certainties below which a field could be declined."""
NEAR_DEPTHS, NEAR_SHARE = 1.5, 0.95
MOST_WRONG_SIGNS = 0.01
LEAST_FLOOR = 0.4
"""Effective depths of field by which a lens may differ from what is told of it, however sure the
networks are; the width over all answers is set by the held-out fields whatever this is."""
LEAST_ANSWERED = 0.1
RULE = (
    f"an answer is given from the least certainty at which {100 * NEAR_SHARE:.0f} % of the "
    f"answered calibration fields are within {NEAR_DEPTHS:g} effective depths of field and at most "
    f"{100 * MOST_WRONG_SIGNS:.0f} % of the signs beyond half a depth are wrong; of two layers the "
    f"nearer one is meant, and lenses with more than {MOST_SPHERICAL:g} waves of spherical "
    "aberration are left out"
)
SIGNALS = (("dim", 0.0, 20.0), ("medium", 20.0, 145.0), ("bright", 145.0, math.inf))
"""Photons at the brightest pixel, in thirds of what is drawn."""
MOST_CLEAR_ANSWERED = 0.01
"""Share of fields by transmitted light that may pass for fluorescence."""
MOST_LOST = 0.02
"""Share of fluorescence that may be declined for transmitted light."""
LEAST_IN_GROUP = 40
"""Answered fields that a group needs for an interval of its own."""


def calibrate(trials: FieldTrials, start: Calibration) -> tuple[Calibration, tuple[str, ...]]:
    """Choose when to answer, and widen the intervals until nine of ten hold [Papadopoulos2002]_.

    First the evidence of transmitted light, then the least certainty (``RULE``), then the floor of
    the spread by the likelihood of the answers' errors (``safest_floor``), then the width by split
    conformal prediction, for thirds of the signal and halves of the filling each of its own: the
    truth of a further field of the same kinds is inside with a chance of 90 %, whatever the
    networks' faults.

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
    most_clear, is_told = _most_clear(trials)
    if not is_told:
        faults.append(
            f"More than {100 * MOST_CLEAR_ANSWERED:.0f} % of calibration fields by transmitted "
            "light passed for fluorescence."
        )
    trials = trials.chosen(trials.is_fluorescence)
    least, is_good = _least_certainty(trials, most_clear)
    if not is_good:
        faults.append(f"The rule for answers was not met on calibration fields: {RULE}.")
    chosen: dict[str, Any] = {"least_certainty": least, "most_clear": most_clear}
    good = trials.chosen(trials.answered(least, most_clear))
    size = np.abs(good.error)
    if not math.isfinite(conformal_quantile(size)):
        faults.append(
            f"The interval is not calibrated: {len(size)} calibration fields were answered, and 9 "
            "are needed."
        )
        return start.model_copy(update=chosen | {"widen": NORMAL_90}), (*faults,)
    floor = max(safest_floor(size, good.spread), LEAST_FLOOR)
    ratio = size / np.hypot(good.spread, floor)
    chosen |= {"floor": floor, "widen": max(conformal_quantile(ratio), 1e-3)}
    chosen |= {
        "signal_steps": tuple(
            round(float(step), 3) for step in np.quantile(good.signal, [1 / 3, 2 / 3])
        ),
        "fill_steps": (round(float(np.median(good.fill)), 4),),
    }
    calibration = start.model_copy(update=chosen)
    widen_by = _widen_by(calibration, good, ratio)
    return calibration.model_copy(update={"widen_by": widen_by}), (*faults,)


def _widen_by(
    calibration: Calibration, good: FieldTrials, ratio: NDArray[Any]
) -> tuple[tuple[float, ...], ...]:
    """``widen`` of each group; that of all where a group has few fields."""
    groups = np.array(
        [calibration.group_of(*facts) for facts in zip(good.signal, good.fill, strict=True)]
    )
    rows = []
    for signal in range(len(calibration.signal_steps) + 1):
        row = []
        for fill in range(len(calibration.fill_steps) + 1):
            own = ratio[(groups == (signal, fill)).all(1)]
            row.append(
                calibration.widen
                if len(own) < LEAST_IN_GROUP
                else max(conformal_quantile(own), 1e-3)
            )
        rows.append(tuple(row))
    return tuple(rows)


def _most_clear(trials: FieldTrials) -> tuple[float, bool]:
    """Evidence that hardly any field by transmitted light stays below, and most others do.

    Only fields count that would be answered otherwise; 0 where none is by transmitted light.
    """
    asked = trials.is_found & np.isfinite(trials.clear)
    others = np.sort(trials.clear[asked & ~trials.is_fluorescence])
    own = np.sort(trials.clear[asked & trials.is_fluorescence])
    if not len(others):
        return 0.0, True
    low = float(others[int(MOST_CLEAR_ANSWERED * len(others))])  # strictly below: few enough
    high = float(own[max(0, math.ceil((1 - MOST_LOST) * len(own)) - 1)]) if len(own) else -1.0
    if high >= low:
        return round(high, 4), False
    # Nearer to fluorescence: real specimens that are declined cost less than a wrong sign.
    return round(0.75 * high + 0.25 * low, 4), True


def _least_certainty(trials: FieldTrials, most_clear: float) -> tuple[float, bool]:
    """The least threshold that satisfies ``RULE``, else the largest that still answers a tenth."""
    last = THRESHOLDS[0]
    for least in THRESHOLDS:
        answered = trials.answered(least, most_clear)
        if answered.sum() < max(1.0, LEAST_ANSWERED * len(answered)):
            break
        last = least
        good = trials.chosen(answered)
        near = float((np.abs(good.error) <= NEAR_DEPTHS).mean())
        beyond = int((np.abs(good.truth) > 0.5).sum())
        wrong = int(good.is_sign_wrong.sum())
        if near >= NEAR_SHARE and wrong <= MOST_WRONG_SIGNS * beyond:
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
    passed = trials.answered(calibration.least_certainty, calibration.most_clear)
    for name in dict.fromkeys(trials.kinds[~trials.is_fluorescence]):
        metrics[f"answered_{name}"] = float(passed[trials.kinds == name].mean())
    trials, passed = trials.chosen(trials.is_fluorescence), passed[trials.is_fluorescence]
    for name, which in _groups(trials):
        metrics[f"answered_{name}"] = float(passed[which].mean())
        good = trials.chosen(passed & which)
        if not len(good.truth):
            continue
        size = np.abs(good.error)
        half = _half_widths(calibration, good)
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


def _half_widths(calibration: Calibration, trials: FieldTrials) -> NDArray[Any]:
    facts = zip(trials.signal, trials.fill, strict=True)
    widen = np.array([calibration.widen_of(calibration.group_of(*each)) for each in facts])
    half: NDArray[Any] = widen * np.hypot(trials.spread, calibration.floor)
    return half


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
            "calibration": calibration.model_dump(mode="json"),
            "metrics": metrics,
            "coverage": coverage,
            "limits": (*card.limits, *faults),
        }
    )
