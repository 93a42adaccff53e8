"""When a refocuser is believed: intervals, trust and verdicts set on one set of unseen fields."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from parfocal.refocus.trust import RefocusCalibration, passes, verdict_facts, verdict_of
from parfocal.train.conformal import conformal_quantile, safest_floor
from parfocal.train.refocus_trials import RefocusTrial, rank_correlation

MOST_CLEAR_ANSWERED = 0.02
"""Share of fields by transmitted light that may pass for fluorescence."""
MOST_LOST = 0.02
"""Share of fluorescence that may be declined for transmitted light."""
STEPS = 50
HELD_BACK = 1e-3
VERDICT = ("verdict_offset", "verdict_slope", "verdict_distance", "verdict_noise")
MOST_WORSE_NEAR = 0.02
"""Share of fields near focus whose answer is given and worse than the input."""
PASS_CHANCES = (0.8, 0.85, 0.9, 0.925, 0.95, 0.97, 0.98, 0.99, 0.995)
TOLERATED_DB = 0.05
"""An answer is worse than its input from that difference on."""


def calibrate_refocus(
    trials: Sequence[RefocusTrial], start: RefocusCalibration
) -> tuple[RefocusCalibration, tuple[str, ...]]:
    """Set interval, trust, verdict and the border to transmitted light by trials.

    The interval by split conformal prediction [Papadopoulos2002]_; the chances by logistic
    regression [Platt1999]_ on the predicted gain; and the chance that an answer near focus needs,
    so that hardly any is worse than its input.

    Returns
    -------
    The calibration, and a sentence for everything that could not be reached.
    """
    faults = []
    chosen: dict[str, Any] = {}
    own = [trial for trial in trials if trial.is_fluorescence]
    near = [trial for trial in own if trial.dof <= start.most_dof]
    size = np.array([abs(trial.centre - trial.dof) for trial in near])
    spread = np.array([trial.spread for trial in near])
    if math.isfinite(conformal_quantile(size)):
        floor = safest_floor(size, spread)
        widen = conformal_quantile(size / np.hypot(spread, floor))
        chosen |= {"floor_dof": floor, "widen": max(widen, 1e-3)}
    else:
        faults.append(f"The interval is not calibrated: {len(size)} fields are too few.")
    gains = np.array([gain for trial in own for gain in trial.gains])
    better = np.array([each for trial in own for each in trial.is_better])
    if len(gains):
        offset, slope = fit_chance(gains[:, None], better)
        chosen |= {"trust_offset": offset, "trust_slope": slope}
    if own:
        facts = np.array([verdict_facts(trial.gain, trial.centre, trial.noise) for trial in own])
        chosen |= zip(VERDICT, fit_chance(facts, ~is_worse(own)), strict=True)
        chance, is_safe = _pass_chance(own, start.model_copy(update=chosen))
        chosen["pass_chance"] = chance
        if not is_safe:
            faults.append(
                f"Near focus more than {100 * MOST_WORSE_NEAR:.0f} % of the answers on "
                "calibration fields were worse than the input."
            )
    others = [trial.clear for trial in trials if not trial.is_fluorescence]
    most_clear, is_told = _most_clear([trial.clear for trial in own], others)
    if others and own:
        chosen["most_clear"] = most_clear
    if not is_told:
        faults.append(
            f"More than {100 * MOST_CLEAR_ANSWERED:.0f} % of calibration fields by transmitted "
            "light passed for fluorescence."
        )
    return start.model_copy(update=chosen), (*faults,)


def fit_chance(facts: NDArray[Any], happens: NDArray[Any]) -> tuple[float, ...]:
    """Offset and slopes of the logistic function of chances over some facts, slightly held back.

    Examples
    --------
    >>> dice = np.random.default_rng(0)
    >>> facts = dice.normal(size=(4000, 1))
    >>> happens = dice.uniform(size=4000) < 1 / (1 + np.exp(-(1 + 2 * facts[:, 0])))
    >>> [round(number) for number in fit_chance(facts, happens)]
    [1, 2]
    """
    design = np.column_stack([np.ones(len(facts)), facts]).astype(np.float64)
    label = happens.astype(np.float64)
    held = HELD_BACK * len(label) * np.diag([0.1, *np.ones(facts.shape[1])])
    answer = np.zeros(design.shape[1])
    for _ in range(STEPS):
        chance = 1 / (1 + np.exp(-np.clip(design @ answer, -30, 30)))
        slope = design.T @ (label - chance) - held @ answer
        bend = (design * (chance * (1 - chance))[:, None]).T @ design + held
        answer = answer + np.clip(np.linalg.solve(bend, slope), -2.0, 2.0)
    return tuple(round(float(number), 4) for number in answer)


def is_worse(trials: Sequence[RefocusTrial]) -> NDArray[np.bool_]:
    """Which answers are worse than their input."""
    return np.array([trial.psnr[1] < trial.psnr[0] - TOLERATED_DB for trial in trials], bool)


def _pass_chance(
    trials: Sequence[RefocusTrial], calibration: RefocusCalibration
) -> tuple[float, bool]:
    """The least chance below which what may be near focus is passed through, and whether it does.

    Counted among fields that truly are near focus.
    """
    near = [trial for trial in trials if trial.dof <= calibration.pass_dof]
    worse = is_worse(near)
    for chance in PASS_CHANCES:
        strict = calibration.model_copy(update={"pass_chance": chance})
        given = np.array([not _is_passed(trial, strict) for trial in near], bool)
        if (given & worse).sum() <= MOST_WORSE_NEAR * len(near):
            return chance, True
    return PASS_CHANCES[-1], False


def _is_passed(trial: RefocusTrial, calibration: RefocusCalibration) -> bool:
    half = _half_width(trial, calibration)
    return passes(
        (max(0.0, trial.centre - half), trial.centre + half),
        gain=trial.gain,
        verdict=_verdict(trial, calibration),
        calibration=calibration,
    )


def _most_clear(own: Sequence[float], others: Sequence[float]) -> tuple[float, bool]:
    """Probability between those of fluorescence and those of transmitted light."""
    if not others or not own:
        return 0.5, True
    low = float(np.quantile(others, MOST_CLEAR_ANSWERED))
    high = float(np.quantile(own, 1 - MOST_LOST))
    if high < low:
        return round((high + low) / 2, 4), True
    return round(high, 4), False


def area_under_curve(scores: NDArray[Any], happens: NDArray[Any]) -> float:
    """Chance that a case that happens scores higher than one that does not; NaN without either.

    Examples
    --------
    >>> area_under_curve(np.array([0.1, 0.4, 0.9]), np.array([False, False, True]))
    1.0
    """
    ranks = scores.argsort().argsort().astype(np.float64)
    yes, no = int(happens.sum()), int((~happens).sum())
    if not yes or not no:
        return math.nan
    return float((ranks[happens].sum() - yes * (yes - 1) / 2) / (yes * no))


def measure_trust(
    trials: Sequence[RefocusTrial], calibration: RefocusCalibration
) -> tuple[dict[str, float], dict[str, float]]:
    """Metrics of fields as in training, and the interval's coverage on them."""
    own = [trial for trial in trials if trial.is_fluorescence]
    metrics: dict[str, float] = {}
    kinds = dict.fromkeys(trial.kind for trial in trials if not trial.is_fluorescence)
    for kind in kinds:
        clear = np.array([trial.clear for trial in trials if trial.kind == kind])
        metrics[f"declined_{kind}"] = float((clear > calibration.most_clear).mean())
    verdicts = np.array([_verdict(trial, calibration) for trial in own])
    worse = is_worse(own)
    answered = np.array([trial.clear <= calibration.most_clear for trial in own])
    flux = np.array([trial.flux for trial in own])
    ranked = [trial.ranked for trial in own if math.isfinite(trial.ranked)]
    metrics |= {
        "declined_for_transmitted_light": float(1 - answered.mean()),
        "worse_than_input": float(worse.mean()),
        "auc_worse_than_input": area_under_curve(1 - verdicts, worse),
        "rank_correlation_of_places": float(np.mean(ranked)) if ranked else math.nan,
        "rank_correlation_of_images": _ranked(own),
        "flux_within_5_percent_before": float((np.abs(flux - 1) < 0.05).mean()),
        "median_error_dof": float(np.median([abs(trial.centre - trial.dof) for trial in own])),
        "fields": float(len(own)),
    }
    return metrics, {"all": float(np.mean([_is_inside(trial, calibration) for trial in own]))}


def measure_images(
    trials: Sequence[RefocusTrial], calibration: RefocusCalibration, group: str
) -> tuple[dict[str, float], dict[str, float]]:
    """Mean PSNR and SSIM of one distance and brightness, and the interval's coverage."""
    names = ("input", "answer", "richardson_lucy_true")
    metrics = {}
    for number, name in enumerate(names):
        if all(len(trial.psnr) > number for trial in trials):
            metrics[f"psnr_{name}"] = float(np.mean([trial.psnr[number] for trial in trials]))
            metrics[f"ssim_{name}"] = float(np.mean([trial.ssim[number] for trial in trials]))
    got = [trial for trial in trials if not trial.is_declined]
    metrics["declined"] = 1 - len(got) / len(trials)
    metrics["passed"] = float(np.mean([trial.is_passed for trial in trials]))
    if got:
        given = np.array([trial.psnr[0 if trial.is_passed else 1] for trial in got])
        gains = given - np.array([trial.psnr[0] for trial in got])
        metrics["gain_given"] = float(gains.mean())
        metrics["worse_than_input"] = float((gains < -TOLERATED_DB).mean())
    metrics["median_dof"] = float(np.median([trial.centre for trial in trials]))
    covered = float(np.mean([_is_inside(trial, calibration) for trial in trials]))
    return {f"{name}_{group}": value for name, value in metrics.items()}, {group: covered}


def _is_inside(trial: RefocusTrial, calibration: RefocusCalibration) -> bool:
    return abs(trial.centre - trial.dof) <= _half_width(trial, calibration)


def _half_width(trial: RefocusTrial, calibration: RefocusCalibration) -> float:
    """Half the 90 % interval of |defocus|."""
    return calibration.widen * math.hypot(trial.spread, calibration.floor_dof)


def _ranked(trials: Sequence[RefocusTrial]) -> float:
    """Spearman's correlation of predicted and true error over images."""
    if len(trials) < 2:
        return math.nan
    one, other = (torch.tensor(each) for each in zip(*_sizes(trials), strict=True))
    return rank_correlation(one, other)


def _verdict(trial: RefocusTrial, calibration: RefocusCalibration) -> float:
    return verdict_of(verdict_facts(trial.gain, trial.centre, trial.noise), calibration)


def _sizes(trials: Sequence[RefocusTrial]) -> list[tuple[float, float]]:
    return [(trial.predicted, trial.size) for trial in trials]
