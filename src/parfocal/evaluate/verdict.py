"""What to do with a field, in plain words: keep it, check it, or image it again."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from parfocal.core.results import FocusEstimate, FocusQuality, Status

# Relief of so many depths of field leaves the field's borders visibly blurred.
UNEVEN_IN_DEPTHS = 3.0
WIDE_IN_PLANES = 2.0
WIDE_SHARE_OF_STACK = 0.25


class Verdict(StrEnum):
    """What a lab does with a field."""

    KEEP = "keep"
    CHECK = "check"
    AGAIN = "image again"


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """A verdict and the words that go with it: why, and what to change."""

    verdict: Verdict
    advice: str


def _side_to_extend(estimate: FocusEstimate, unit: str) -> str:
    """Say which end of the stack the best plane lies at."""
    z, scores = estimate.curve.z_um, estimate.curve.scores
    usable = np.where(np.isfinite(scores), scores, -np.inf)
    if estimate.modality == "phase":
        usable = np.where(np.isfinite(scores), -scores, -np.inf)
    best, last = int(np.argmax(usable)), len(z) - 1
    if min(best, last - best) > 0.2 * last:
        return "Take planes beyond both ends of the stack"
    end = float(z[0] if best <= last - best else z[last])
    other = float(z[last] if best <= last - best else z[0])
    name = "z = " if unit else "plane "
    return f"Extend the stack {'below' if end < other else 'above'} {name}{end:.6g}{unit}"


def _again(estimate: FocusEstimate, unit: str) -> str:
    match estimate.status:
        case Status.EDGE:
            return _side_to_extend(estimate, unit)
        case Status.FLAT:
            return "Take planes over a longer range of z, or expose longer"
        case Status.BLANK:
            return "Nothing to focus on: move to a field that holds the specimen, or expose longer"
        case _:
            return "Expose shorter or lower the light, so that nothing clips"


def _is_wide(estimate: FocusEstimate, depth_of_field_um: float | None) -> bool:
    """Whether the interval is too wide for an answer that nobody looks at again."""
    if estimate.interval_um is not None and depth_of_field_um is not None:
        low, high = estimate.interval_um
        return (high - low) / 2 > depth_of_field_um
    if estimate.interval_planes is None:
        return True
    low, high = estimate.interval_planes
    least = max(WIDE_IN_PLANES, WIDE_SHARE_OF_STACK * (len(estimate.curve.z_um) - 1))
    return high - low > least


def _is_uneven(estimate: FocusEstimate, depth_of_field_um: float | None) -> bool:
    """Whether one plane cannot hold the whole field in focus."""
    if estimate.relief_um is None or depth_of_field_um is None:
        return False
    return estimate.relief_um > UNEVEN_IN_DEPTHS * depth_of_field_um


def _concern(estimate: FocusEstimate, depth_of_field_um: float | None) -> str:
    """What to look at although focus was found; empty if nothing."""
    if estimate.warnings:
        return estimate.warnings[0]
    if _is_uneven(estimate, depth_of_field_um):
        return (
            f"Focus varies by {estimate.relief_um:.3g} um over the field: "
            "no single plane is sharp all over; see the maps"
        )
    if _is_wide(estimate, depth_of_field_um):
        return "The 90 % interval is wide: compare the planes within it"
    return ""


def _distance(quality: FocusQuality) -> str:
    """How far a plane is from focus, as an interval in words."""
    low, high = quality.interval_dof or (0.0, 0.0)
    text = f"{low:.1f} to {high:.1f} depths of field from focus"
    return f"{text} ({'; '.join(quality.warnings)})" if quality.warnings else text


def _of_one_plane(quality: FocusQuality) -> Judgement:
    """The verdict on a single plane by its spectrum; which side of focus it lies on stays open."""
    verdicts = {"in focus": Verdict.KEEP, "slightly out of focus": Verdict.CHECK}
    return Judgement(
        verdict=verdicts.get(str(quality.grade), Verdict.AGAIN),
        advice=f"Its spectrum says {quality.grade}: {_distance(quality)}",
    )


def judge(
    estimate: FocusEstimate,
    *,
    depth_of_field_um: float | None = None,
    z_known: bool = True,
    quality: FocusQuality | None = None,
) -> Judgement:
    """Turn an estimate into a verdict and advice.

    Parameters
    ----------
    estimate
        What ``best_focus`` answered.
    depth_of_field_um
        One depth of field, where the optics are known: an interval whose half exceeds it is wide.
    z_known
        False where z holds plane numbers; the advice then names planes.
    quality
        What the sharpest plane's spectrum says; it decides on a single plane.

    Notes
    -----
    Keep: found, a narrow interval, an even field and no warning. Check: found with a warning,
    a wide interval or a relief of more than three depths of field; ambiguous, uncertain, failed.
    Image again: edge, flat, blank, saturated.
    """
    if estimate.found:
        concern = _concern(estimate, depth_of_field_um)
        return Judgement(verdict=Verdict.CHECK if concern else Verdict.KEEP, advice=concern)
    told = quality is not None and quality.found
    if quality is not None and told and len(estimate.curve.z_um) == 1:
        return _of_one_plane(quality)
    if estimate.status in (Status.AMBIGUOUS, Status.UNCERTAIN):
        return Judgement(verdict=Verdict.CHECK, advice="Look at the curve and choose by eye")
    if estimate.status == Status.FAILED:
        return Judgement(verdict=Verdict.CHECK, advice="Mend the fault named here, then run again")
    advice = _again(estimate, " um" if z_known else "")
    if quality is not None and told and estimate.status == Status.EDGE:
        advice += f"; its sharpest plane is {_distance(quality)}"
    return Judgement(verdict=Verdict.AGAIN, advice=advice)
