"""The checks that a focus curve must pass before its peak is an answer."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from parfocal.core.binning import bin_pixels
from parfocal.core.results import Status
from parfocal.core.stack import FocalStack
from parfocal.measures.contrast import PhaseFocus, find_phase_focus
from parfocal.measures.peaks import find_peak
from parfocal.score.field import (
    LEAST_SIGNIFICANCE,
    FieldCurve,
    combine_tiles,
    standard_error,
)
from parfocal.score.tiles import Region, TileScan

MODALITIES = ("auto", "intensity", "phase")

# A share of clipped pixels in the tiles that vote, at which sharpness means nothing any more.
MOST_CLIPPED = 0.25
NOTED_CLIPPED = 0.002
# A second peak this high, and this far above the pass between, makes two answers.
RIVAL_HEIGHT, RIVAL_PROMINENCE = 0.6, 0.25
PATCHES, PATCH_PX = 6, 160
# Correlation of neighbouring pixels that noise does not reach.
LEAST_AGREEMENT = 0.05
MOST_WAVERING = 3.0
# Pixels further out than this many robust standard deviations are hot pixels, not structure.
OUTLIER = 6.0
NORMAL_90 = 1.645


@dataclass(frozen=True)
class Verdict:
    """What was decided, before it is written down."""

    status: Status
    reason: str
    plane: float | None = None
    half_planes: tuple[float, float] = (0.0, 0.0)
    modality: str = "intensity"
    warnings: tuple[str, ...] = ()


def judge(
    stack: FocalStack,
    scan: TileScan,
    area: Region,
    fields: list[FieldCurve],
    field: FieldCurve,
    modality: str,
) -> Verdict:
    """Run the checks in order; the first that fails is the answer."""
    planes = stack.shape[0]
    if planes == 1:
        return Verdict(
            Status.UNCERTAIN, "one plane cannot show where focus is: take a stack of at least five"
        )
    patches = _patches(stack, scan, area, field)
    empty = _check_signal(scan, field, patches)
    if empty is not None:
        return empty
    if modality != "intensity" and stack.modality != "fluorescence":
        phase = find_phase_focus(patches)
        if phase is not None:
            return _judge_phase(phase, planes)
        if modality == "phase":
            return Verdict(
                Status.AMBIGUOUS,
                "no turn-over of contrast was seen, which marks the focus of a phase object: "
                "extend the stack to both sides of focus",
            )
    return (
        _check_ends(stack, scan, field)
        or _check_rivals(field)
        or _check_spike(field)
        or _check_light(scan, field)
        or _check_scales(fields)
        or _answer(stack, scan, fields, field)
    )


def _check_signal(scan: TileScan, field: FieldCurve, patches: list[NDArray[Any]]) -> Verdict | None:
    """Decline what is clipped, blank, or the same in every plane."""
    if float(scan.clipped.mean()) > MOST_CLIPPED and not field.voted:
        return Verdict(
            Status.SATURATED,
            f"{100 * scan.clipped.mean():.0f} % of the pixels are at the camera's limit: "
            "lower the exposure or gain and image again",
        )
    if float(scan.highest.max()) <= float(scan.lowest.min()):
        return Verdict(Status.BLANK, "every pixel of every plane has the same value")
    if not _holds_structure(patches):
        return Verdict(Status.BLANK, "the field holds no structure beyond noise")
    if field.significance > LEAST_SIGNIFICANCE:
        return None
    return Verdict(
        Status.FLAT,
        "all planes are equally sharp within the noise: the range of z is too short, "
        "or nothing here lies near focus",
    )


def _check_ends(stack: FocalStack, scan: TileScan, field: FieldCurve) -> Verdict | None:
    """Decline a peak at the first or last plane, or one not seen to fall beyond it."""
    curve, last = field.curve, len(field.curve) - 1
    # Two planes of the smoothed peak may hide the end: the raw curve must fall towards it.
    for end, name in ((0, "first"), (last, "last")):
        inward = 1 if end == 0 else -1
        near = abs(field.peak.index - end)
        falls = curve[field.peak.index] - curve[end] > max(3 * field.noise, 0.02)
        if near == 0 or (near <= max(2, field.peak.width // 4) and not falls):
            if _follows_brightness(scan, field):
                return Verdict(
                    Status.FLAT,
                    "sharpness only follows the brightness, which changes through the stack: "
                    "no plane stands out",
                )
            side = "below" if (stack.z_um[end] < stack.z_um[end + inward]) else "above"
            where = f" (z = {stack.z_um[end]:g} um)" if stack.z_known else ""
            return Verdict(
                Status.EDGE,
                f"sharpness still rises at the {name} plane{where}: focus lies {side} the stack; "
                "extend it that way",
            )
    return None


def _follows_brightness(scan: TileScan, field: FieldCurve) -> bool:
    """Whether dividing by the brightness leaves little of the curve.

    Noise power goes with the brightness, the energy of a fixed pattern with its square.
    """
    scores = scan.scores[field.scale]
    total = scores[:, field.votes].mean(axis=1) if field.voted else scores.mean(axis=(1, 2))
    light = np.maximum(scan.mean.mean(axis=(1, 2)), 1e-12)
    changes = np.ptp(total) / max(float(total.max()), 1e-300)
    evened = [total / light**power for power in (1.0, 1.5, 2.0)]
    return any(np.ptp(even) < 0.45 * changes * even.max() for even in evened)


def _check_spike(field: FieldCurve) -> Verdict | None:
    """Decline one odd plane: without it, focus would lie elsewhere."""
    k = field.peak.index
    if field.peak.width > 1 or not 0 < k < len(field.curve) - 1:
        return None
    without = field.curve.copy()
    without[k] = (without[k - 1] + without[k + 1]) / 2
    rest = float(np.ptp(without))
    apart = abs(find_peak(without).index - k)
    if apart <= 1 or rest < max(LEAST_SIGNIFICANCE * field.noise, 0.02):
        return None
    return Verdict(
        Status.AMBIGUOUS,
        f"plane {k} differs from both its neighbours and without it focus would lie {apart} planes "
        "away: debris, a cosmic ray or dropped rows. Leave that plane out or choose a region",
    )


def _check_light(scan: TileScan, field: FieldCurve) -> Verdict | None:
    """Decline a fixed pattern that is only lit more brightly in some planes."""
    light = scan.mean.mean(axis=(1, 2))
    # A pinhole dims by more than a lamp wavers; there brightness itself tells of focus.
    if light.min() <= 0 or light.max() > MOST_WAVERING * light.min():
        return None
    if not _follows_brightness(scan, field):
        return None
    return Verdict(
        Status.FLAT,
        "sharpness only follows the brightness, which changes through the stack: "
        "no plane stands out",
    )


def _check_rivals(field: FieldCurve) -> Verdict | None:
    """Decline a second peak that is nearly as high as the first."""
    noise_floor = 5 * field.noise
    for index, height, prominence in field.peak.lobes:
        if abs(index - field.peak.index) <= 1:
            continue
        if height >= RIVAL_HEIGHT and prominence >= max(RIVAL_PROMINENCE, noise_floor):
            return Verdict(
                Status.AMBIGUOUS,
                f"two peaks: planes {field.peak.index} and {index} are nearly equally sharp; two "
                "layers or a phase object. Choose a region (--region) or image the layers apart",
            )
    return None


def _check_scales(fields: list[FieldCurve]) -> Verdict | None:
    """Decline when fine and coarse structure are sharpest at different planes.

    Blur moves no peak from one scale to another; the contrast of a phase object, which grows as
    defocus times frequency squared, does.
    """
    sure = [field for field in fields if field.significance > LEAST_SIGNIFICANCE]
    for one, other in combinations(sure, 2):
        apart = abs(one.peak.plane - other.peak.plane)
        if apart > max(1.5, 0.6 * min(one.peak.width, other.peak.width)):
            return Verdict(
                Status.AMBIGUOUS,
                f"fine and coarse structure are sharpest {apart:.1f} planes apart: a phase object "
                "seen from one side, or several layers. Extend the stack or choose a region",
            )
    return None


def _judge_phase(phase: PhaseFocus, planes: int) -> Verdict:
    """Answer for a phase object if its scales agree where the contrast turns over."""
    spread = float(np.ptp(phase.planes))
    reach = phase.after - phase.before
    if phase.scales < 2 or spread > max(3.0, 0.5 * reach):
        return Verdict(
            Status.AMBIGUOUS,
            "a phase object, whose contrast is least in focus, but fine and coarse structure do "
            "not turn over at the same plane: extend the stack to both sides of focus",
            modality="phase",
        )
    low = min(phase.planes) - 0.35
    high = max(phase.planes) + 0.35
    return Verdict(
        Status.FOUND,
        "phase object: contrast is least in focus and turns over there "
        f"(planes {phase.before} and {phase.after} correlate {phase.correlation:.2f})",
        plane=float(np.clip(phase.plane, 0, planes - 1)),
        half_planes=(max(phase.plane - low, 0.5), max(high - phase.plane, 0.5)),
        modality="phase",
        warnings=("phase object: the sharpest-looking planes are not the ones in focus",),
    )


def _answer(
    stack: FocalStack, scan: TileScan, fields: list[FieldCurve], field: FieldCurve
) -> Verdict:
    """State the peak, its interval, and what to look at."""
    width = field.peak.width
    doubts = [NORMAL_90 * standard_error(field), _least_half_width(field)]
    for other in fields:
        if other is not field and other.significance > 2 * LEAST_SIGNIFICANCE:
            doubts.append(0.7 * abs(other.peak.plane - field.peak.plane))
    doubts.append(abs(find_peak(field.curve, height=0.75).plane - field.peak.plane))
    warnings = []
    brightness = scan.mean.mean(axis=(1, 2))
    change = float(np.ptp(brightness) / max(np.median(brightness), 1e-12))
    if change > 0.2 and brightness.min() > 0.05 * np.median(brightness):
        relative = scan.scores[field.scale] / np.square(brightness)[:, None, None]
        even = combine_tiles(relative, field.scale, pixels=10**9, excluded=~field.votes)
        moved = abs(even.peak.plane - field.peak.plane)
        doubts.append(min(moved, float(width)))
        if moved > max(1.0, 0.5 * width):
            warnings.append(f"brightness changes by {100 * change:.0f} % through the stack")
    if width <= 1:
        warnings.append("the peak is narrower than two planes: a finer z step would locate it")
    clipped = float(np.average(scan.clipped.max(axis=0)[field.votes])) if field.voted else 0.0
    if clipped > NOTED_CLIPPED:
        warnings.append(f"{100 * clipped:.1f} % of the structure's pixels are clipped")
    half = float(np.linalg.norm(doubts))
    voters = f"{int(field.votes.sum())} of {field.votes.size} tiles" if field.voted else "the field"
    return Verdict(
        Status.FOUND,
        f"sharpest where {voters} agree, {field.significance:.0f} times above the noise",
        plane=field.peak.plane,
        half_planes=(half, half),
        warnings=tuple(warnings),
    )


def _least_half_width(field: FieldCurve) -> float:
    """Doubt of any fit through a few samples, in planes; found on simulated stacks."""
    if len(field.curve) < 5:
        return 0.3
    return 0.2 if field.peak.width <= 2 else 0.08 + 0.02 * field.peak.width


def _patches(
    stack: FocalStack, scan: TileScan, area: Region, field: FieldCurve
) -> list[NDArray[Any]]:
    """All planes of a few places with the most structure, cut around the tiles that vote."""
    ranges = np.ptp(scan.scores[field.scale], axis=0)
    ranges = np.where(field.votes, ranges, -1.0) if field.voted else ranges
    order = np.argsort(-ranges, axis=None)[:PATCHES]
    sizes = area.sizes
    side_y, side_x = min(sizes[0], PATCH_PX), min(sizes[1], PATCH_PX)
    corners = set()
    for flat in order:
        row, column = np.unravel_index(int(flat), ranges.shape)
        if field.voted and ranges[row, column] < 0:
            continue
        middle_y = (int(row) + 0.5) * scan.tile_px
        middle_x = (int(column) + 0.5) * scan.tile_px
        top = int(np.clip(middle_y - side_y / 2, 0, sizes[0] - side_y)) + area.top
        left = int(np.clip(middle_x - side_x / 2, 0, sizes[1] - side_x)) + area.left
        corners.add((top, left))
    return [
        stack.read_counts(slice(None), slice(top, top + side_y), slice(left, left + side_x)).astype(
            np.float32
        )
        for top, left in sorted(corners)
    ]


def _holds_structure(patches: list[NDArray[Any]]) -> bool:
    """Whether neighbouring pixels agree more than noise does, in any three planes running.

    Looks at pixels as they are and averaged up to 8 x 8, so that wide blur counts as structure;
    shading wider than nine of these pixels does not.
    """
    for bin_px in (1, 2, 4, 8):
        planes = max(len(patches[0]) - 2, 1)
        power, agreement, pixels = np.zeros(planes), np.zeros(planes), 0
        for patch in patches:
            image = bin_pixels(patch, bin_px)
            if min(image.shape[1:]) < 8:
                continue
            fine = image - ndimage.uniform_filter(image, (0, 9, 9))
            spread = 1.4826 * np.median(np.abs(fine), axis=(1, 2), keepdims=True)
            fine = np.clip(fine, -OUTLIER * spread, OUTLIER * spread) if spread.any() else fine
            along_x = (fine[:, :, 1:] * fine[:, :, :-1]).mean(axis=(1, 2), dtype=np.float64)
            along_y = (fine[:, 1:] * fine[:, :-1]).mean(axis=(1, 2), dtype=np.float64)
            run = np.ones(min(3, len(image)))
            power = power + np.convolve(np.square(fine).mean(axis=(1, 2)), run, mode="valid")
            agreement = agreement + np.convolve(along_x + along_y, run, mode="valid")
            pixels += fine[0].size * len(run)
        if pixels:
            shared = float((agreement / np.maximum(2 * power, 1e-300)).max())
            if shared > max(LEAST_AGREEMENT, 5.0 / np.sqrt(pixels)):
                return True
    return False
