"""From shots at irregular z to a proposal: the checks that a peak must pass."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from parfocal.core.errors import BudgetError
from parfocal.core.results import Status
from parfocal.drive.peak_fit import PeakFit, fit_peak, refit_centres
from parfocal.drive.search import Eye, Proposal
from parfocal.drive.shots import Shot

Curve = NDArray[np.float64]

LEAST_SHOTS = 4
MOST_CLIPPED = 0.25
LEAST_STRUCTURE = 0.05
LEAST_SIGNIFICANCE = 6.0
LEAST_AGREEMENT = 0.8
# Squared relative scatter of a mean gradient energy over white noise, times its pixels.
GRADIENT_SCATTER_PX = 3.5
# A second peak this high, and this far above the pass between, makes two answers.
RIVAL_HEIGHT, RIVAL_PROMINENCE = 0.6, 0.25
# Shots this sharp show the same structure, unless the contrast of a phase object turned over.
SHARP_SHARE, TURNED_OVER = 0.3, -0.3
MOST_WAVERING = 3.0
NORMAL_90 = 1.645
# Dividing by the light must leave so much less unexplained.
EVEN_COST = 1.4
RESAMPLES = 100
# Least standard error of a centre, in widths: what the form of a real peak differs from the fit.
LEAST_ERROR = 0.05


@dataclass(frozen=True, eq=False)
class Samples:
    """Shots in order of z, as arrays; ``tiles`` is (n, tiles)."""

    z_um: Curve
    scores: Curve
    light: Curve
    tiles: Curve
    noise: float

    @classmethod
    def of(cls, shots: Sequence[Shot]) -> Samples:
        """Sort shots by the z that they reached."""
        ordered = sorted(shots, key=lambda shot: shot.z_reached_um)
        scores = np.array([shot.score for shot in ordered])
        return cls(
            z_um=np.array([shot.z_reached_um for shot in ordered]),
            scores=scores,
            light=np.array([shot.mean for shot in ordered]),
            tiles=np.array([shot.tile_scores.ravel() for shot in ordered]),
            noise=math.sqrt(GRADIENT_SCATTER_PX / ordered[0].pixels) * abs(float(scores.mean())),
        )

    def even(self, power: float) -> Samples:
        """Scores divided by a power of the light, relative to its median."""
        factor = (self.light / np.median(self.light)) ** power
        return replace(self, scores=self.scores / factor, tiles=self.tiles / factor[:, None])


def judge(shots: Sequence[Shot], *, depth_of_field_um: float | None = None) -> Proposal:
    """Say where the shots put focus, if they pass every check.

    Parameters
    ----------
    shots
        All shots of a run, in any order of z.
    depth_of_field_um
        Helps where the shots are few; None if the optics are unknown.

    Returns
    -------
    Proposal
        With status ``found`` only if one peak stands out of the noise, lies between the shots,
        falls on both sides, has no rival, and does not merely follow the light.
    """
    problem = _check_images(shots)
    if problem is not None:
        return problem
    samples = Samples.of(shots)
    problem = _check_range(samples)
    if problem is not None:
        return problem
    power, fit, doubt_um = _best_fit(samples, depth_of_field_um)
    samples = samples.even(power)
    return (
        _check_light(samples, power)
        or _check_turn_over(shots)
        or _check_rivals(samples, fit)
        or _check_ends(samples, fit)
        or _check_fit(fit)
        or _answer(samples, fit, power, doubt_um)
    )


def verify(eye: Eye, proposal: Proposal) -> Proposal:
    """Look at the proposed z once more, unless the last shot stands there, and compare.

    The answer stands if the image is as sharp as the fit promised, and not clearly less sharp
    than another that was seen.
    """
    if not proposal.found or proposal.z_um is None or proposal.shot is not None:
        return proposal
    if not eye.limits.allow(proposal.z_um):
        return Proposal(
            status=Status.EDGE,
            reason=f"focus seems to lie at {proposal.z_um:.2f} um, outside the limits, "
            f"{eye.limits.low_um:g} to {eye.limits.high_um:g} um: it was not gone to",
        )
    last = eye.shots[-1] if eye.shots else None
    near = 0.02 * (eye.depth_of_field_um or 1.0)
    goal = _command_for(eye, proposal.z_um, near)
    try:
        if last is None or abs(last.z_commanded_um - goal) > near:
            last = eye.look(goal, "verify the answer")
    except BudgetError as error:
        return Proposal(
            status=Status.UNCERTAIN,
            reason=f"focus seems to lie at {proposal.z_um:.2f} um, but no image is left to verify "
            f"it: {error}",
        )
    shots = eye.shots
    power = proposal.even_power or _changed_light(shots)
    scores = np.array([shot.score / _relative_light(shot, last) ** power for shot in shots])
    noise = math.sqrt(GRADIENT_SCATTER_PX / last.pixels) * abs(last.score)
    contrast = float(np.nanmax(scores) - np.nanmin(scores))
    allowed = max(4 * noise, 0.15 * contrast, 2 * proposal.tolerance)
    promised = float(np.nanmax(scores))
    if proposal.expected_score is not None:
        promised = max(promised - 0.1 * contrast, min(proposal.expected_score, promised))
    if not math.isfinite(last.score) or last.score < promised - allowed:
        return Proposal(
            status=Status.UNCERTAIN,
            reason=f"the image at the proposed {proposal.z_um:.2f} um is less sharp "
            f"({last.score:.4g}) than the others promised ({promised:.4g}): the sample or the "
            "stage has moved; focus again",
        )
    return replace(proposal, shot=last.number, reason=f"{proposal.reason}; verified by an image")


def _command_for(eye: Eye, z_um: float, near_um: float) -> float:
    """What to command to come to stand at ``z_um``: some stages stand beside their command."""
    beside = [shot.z_reached_um - shot.z_commanded_um for shot in eye.shots]
    offset = float(np.median(beside)) if beside else 0.0
    goal = z_um - offset
    return goal if abs(offset) > near_um and eye.limits.allow(goal) else z_um


def _relative_light(shot: Shot, last: Shot) -> float:
    return max(shot.mean, 1e-12) / max(last.mean, 1e-12)


def _changed_light(shots: Sequence[Shot]) -> float:
    """2, the power of gradient energy, where the light fell by more than a twentieth."""
    light = [shot.mean for shot in shots]
    return 2.0 if min(light) > 0 and light[-1] < 0.95 * float(np.median(light)) else 0.0


def _check_images(shots: Sequence[Shot]) -> Proposal | None:
    """Decline scores that are no numbers, and images that are clipped or hold nothing."""
    if not shots:
        return Proposal(status=Status.UNCERTAIN, reason="no image was taken")
    for shot in shots:
        if not (math.isfinite(shot.score) and np.isfinite(shot.tile_scores).all()):
            return Proposal(
                status=Status.FAILED,
                reason=f"the measure gave {shot.score} for image {shot.number} at "
                f"{shot.z_reached_um:g} um: choose another measure or a larger region",
            )
    sharpest = max(shots, key=lambda shot: shot.score)
    if max(sharpest.clipped, float(np.median([shot.clipped for shot in shots]))) > MOST_CLIPPED:
        return Proposal(
            status=Status.SATURATED,
            reason=f"{100 * sharpest.clipped:.0f} % of the pixels are at the camera's limit: "
            "lower the exposure or gain and focus again",
        )
    if max(shot.structure for shot in shots) < LEAST_STRUCTURE:
        return Proposal(
            status=Status.BLANK,
            reason="no image holds structure beyond noise: move to a field with sample, "
            "or expose longer",
        )
    return None


def _check_range(samples: Samples) -> Proposal | None:
    """Decline too few shots, and scores that differ no more than noise does."""
    places = 1 + int((np.diff(samples.z_um) > 1e-6).sum())
    if places < LEAST_SHOTS:
        return Proposal(
            status=Status.UNCERTAIN,
            reason=f"images at {places} heights cannot show a peak: allow at least {LEAST_SHOTS}",
        )
    spread = float(np.ptp(samples.scores))
    if spread <= max(LEAST_SIGNIFICANCE * samples.noise, 1e-9 * abs(samples.scores).max()):
        return Proposal(
            status=Status.FLAT,
            reason="all images are equally sharp within the noise: the range is too short, or "
            "nothing here lies near focus. Widen the range",
        )
    return None


def _best_fit(samples: Samples, depth_of_field_um: float | None) -> tuple[float, PeakFit, float]:
    """The fit, to scores as they are or divided by the light if that is clearly better.

    Last, how far apart (um) the centres lie that the scores allow so: fading light moves a peak.
    """
    width = depth_of_field_um
    least = 0.0 if width is None else 0.25 * width
    fits = {0.0: fit_peak(samples.z_um, samples.scores, width_um=width, least_width_um=least)}
    light = samples.light
    if light.min() > 0 and np.ptp(light) > 0.03 * float(np.median(light)):
        for power in (1.0, 2.0):
            even = samples.even(power)
            if np.ptp(even.scores) > LEAST_SIGNIFICANCE * even.noise:
                fits[power] = fit_peak(even.z_um, even.scores, width_um=width, least_width_um=least)

    def unexplained(power: float) -> float:
        return max(1.0 - fits[power].agreement, 1e-6) * (1.0 if power == 0 else EVEN_COST)

    best = min(fits, key=unexplained)
    moved = [
        abs(fit.centre_um - fits[best].centre_um)
        for fit in fits.values()
        if fit.agreement >= LEAST_AGREEMENT
    ]
    return best, fits[best], min(max(moved, default=0.0), fits[best].width_um)


def _check_light(samples: Samples, power: float) -> Proposal | None:
    """Decline scores that only follow the brightness."""
    light = samples.light
    # A pinhole dims by more than a lamp wavers; there brightness itself tells of focus.
    if power or light.min() <= 0 or light.max() > MOST_WAVERING * light.min():
        return None
    changes = float(np.ptp(samples.scores)) / max(float(samples.scores.max()), 1e-300)
    evened = [samples.even(each).scores for each in (1.0, 1.5, 2.0)]
    if not any(np.ptp(even) < 0.45 * changes * even.max() for even in evened):
        return None
    return Proposal(
        status=Status.FLAT,
        reason="sharpness only follows the brightness, which changes while focusing: "
        "no height stands out. Steady the light or widen the range",
    )


def _check_turn_over(shots: Sequence[Shot]) -> Proposal | None:
    """Decline a phase object: its contrast turns over between two sharp images."""
    scores = np.array([shot.score for shot in shots])
    share = (scores - scores.min()) / np.ptp(scores)
    sharp = [shot.glance for shot, each in zip(shots, share, strict=True) if each >= SHARP_SHARE]
    views = np.array([view.ravel() for view in sharp])
    if not views.size or float((views @ views.T).min()) / views.shape[1] > TURNED_OVER:
        return None
    return Proposal(
        status=Status.AMBIGUOUS,
        reason="dark and bright are exchanged between two sharp images: a phase object, whose "
        "contrast is least in focus. Focus on a stained or fluorescent channel, or by a stack",
    )


def _check_rivals(samples: Samples, fit: PeakFit) -> Proposal | None:
    """Decline a second peak that is nearly as high as the first."""
    low, high = float(samples.scores.min()), float(samples.scores.max())
    unit = (samples.scores - low) / (high - low)
    prominent = max(RIVAL_PROMINENCE, 5 * samples.noise / (high - low))
    top = int(unit.argmax())
    for k, value in enumerate(unit):
        between = unit[min(k, top) : max(k, top) + 1]
        if k == top or value < RIVAL_HEIGHT or value - float(between.min()) < prominent:
            continue
        return Proposal(
            status=Status.AMBIGUOUS,
            reason=f"two peaks, at {samples.z_um[top]:.2f} and {samples.z_um[k]:.2f} um, are "
            "nearly equally sharp: two layers or a phase object. Choose a region or another range",
        )
    return None


def _check_ends(samples: Samples, fit: PeakFit) -> Proposal | None:
    """Decline a peak that was not seen to fall on both sides."""
    top = int(samples.scores.argmax())
    last = len(samples.scores) - 1
    fall = max(3 * samples.noise, 0.04 * float(np.ptp(samples.scores)))
    for end, name, beside in (
        (0, "below", slice(None, top)),
        (last, "above", slice(top + 1, None)),
    ):
        flank = samples.scores[beside]
        lowest = float(flank.min()) if flank.size else math.inf
        outside = (fit.centre_um - samples.z_um[end]) * (1 if end else -1) > 0
        if outside or lowest > samples.scores[top] - fall:
            return Proposal(
                status=Status.EDGE,
                reason=f"sharpness still rises at {samples.z_um[end]:.2f} um, the end of what was "
                f"looked at: focus lies {name}. Extend the range or the limits that way",
            )
    return None


def _check_fit(fit: PeakFit) -> Proposal | None:
    """Decline scores that do not follow one peak."""
    if fit.agreement >= LEAST_AGREEMENT:
        return None
    return Proposal(
        status=Status.UNCERTAIN,
        reason="the scores do not follow one peak (it explains "
        f"{100 * max(fit.agreement, 0):.0f} % of them): vibration, flicker or a moving sample. "
        "Steady it, or take more images",
    )


def _answer(samples: Samples, fit: PeakFit, power: float, doubt_um: float) -> Proposal:
    """State the centre of the fit with its interval."""
    half = math.hypot(NORMAL_90 * standard_error_um(samples, fit), doubt_um)
    lit = ", light evened out" if power else ""
    return Proposal(
        status=Status.FOUND,
        reason=f"one peak through {len(samples.scores)} images{lit}, "
        f"{np.ptp(samples.scores) / max(samples.noise, 1e-300):.0f} times above the noise",
        z_um=fit.centre_um,
        interval_um=(fit.centre_um - half, fit.centre_um + half),
        expected_score=fit.at(fit.centre_um),
        tolerance=float(np.hypot(fit.misfit, samples.noise)),
        even_power=power,
        width_um=fit.width_um,
    )


def standard_error_um(samples: Samples, fit: PeakFit) -> float:
    """Standard error of the centre, in um.

    Bayesian bootstrap over the tiles [Rubin1981]_ with the misfit as noise, and no less than a
    fixed share of the width.
    """
    generator = np.random.default_rng(0)
    shares = generator.exponential(size=(RESAMPLES, samples.tiles.shape[1]))
    curves = (shares / shares.sum(axis=1, keepdims=True)) @ samples.tiles.T
    ratio = float(np.ptp(samples.tiles.mean(axis=1))) / max(float(np.ptp(samples.scores)), 1e-300)
    noise = float(np.hypot(fit.misfit, samples.noise)) * ratio
    curves += noise * generator.normal(size=curves.shape)
    centres = refit_centres(samples.z_um, curves, fit)
    return float(np.hypot(centres.std(), LEAST_ERROR * fit.width_um))
