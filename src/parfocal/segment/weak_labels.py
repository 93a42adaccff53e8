"""Which pixels are in focus, by rule: focus maps, split in two by a threshold."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from parfocal.core.device import pick_device
from parfocal.core.errors import InputError, UnknownNameError
from parfocal.core.results import FocusMasks, Status
from parfocal.core.setup import OpticalSetup
from parfocal.core.stack import FocalStack
from parfocal.measures.catalog import find_measure
from parfocal.measures.maps import LI2023_STRIDES_PX
from parfocal.segment.evidence import (
    Evidence,
    contradiction,
    find_phase,
    look_for_structure,
    noise_ceiling,
)
from parfocal.segment.fused_maps import FusedMaps, is_like_noise, score_range
from parfocal.segment.pixel_maps import MapPlan, plan_maps, score_windows
from parfocal.segment.thresholds import Histogram, find_threshold, split

PERS = ("peak", "stack", "plane")
FUSIONS = ("mean", "max")
NEAR_PEAK = 0.9
"""Share of its range of scores through z above which a pixel is at its own focus."""


class ModeRow(NamedTuple):
    """What a mode stands for where the call does not say."""

    window_px: int
    strides_px: tuple[int, ...]
    per: str
    centred: bool
    overlap: str


MODES = {
    "parfocal": ModeRow(8, (2,), "peak", True, "mean"),
    "li2023": ModeRow(128, LI2023_STRIDES_PX, "plane", False, "sum"),
}


def weak_labels(
    stack: Any,
    *,
    measure: str | Sequence[str] = "std",
    window_px: int | Sequence[int] | None = None,
    strides_px: Sequence[int] | None = None,
    threshold: str = "otsu",
    per: str | None = None,
    fusion: str = "mean",
    mode: str = "parfocal",
    setup: OpticalSetup | None = None,
    device: str = "cpu",
) -> FocusMasks:
    """Find the pixels in focus by focus maps and a threshold [Li2023]_ [Otsu1979]_.

    Every plane is scored in overlapping windows; a pixel's score is the mean of the windows over
    it, the largest over all window sizes and strides. Scores above the threshold are in focus.

    Parameters
    ----------
    stack
        A FocalStack, or an array (z, y, x) of NumPy, torch, dask or xarray, in counts.
    measure
        A name in ``parfocal.measures.CATALOG``, or several, whose maps are fused.
    window_px, strides_px
        Sides of the square windows and distances between them; a stride larger than a window is
        left out for it. A window larger than the images is cut to them.
    threshold
        A name in ``parfocal.segment.THRESHOLDS``: "otsu", "isodata", "li", "mean", "minimum",
        "triangle", "yen".
    per
        "stack": one threshold for all pixels of all planes. "plane": each plane has its own, so
        that every plane with structure gets a mask, however far from focus. "peak": one for the
        stack, and a pixel is in focus only in the planes that reach 90 % of the way from its own
        least score through z to its own largest.
    fusion
        How several measures join, each scaled to its own range over the stack: "mean" or "max".
    mode
        "parfocal", or "li2023", as the public code of [Li2023]_: windows of 128 px start at the
        corner, strides of 8 to 36 px, overlaps summed, the near borders low; split per plane.
    setup
        The optics, for measures that need them; the stack's own by default.
    device
        "cpu", "cuda" or "auto".

    Returns
    -------
    Masks (z, y, x). Without an answer they are empty, with a status and a reason: ``blank``
    (nothing but noise), ``flat`` (no place sharper than another), ``saturated``, ``ambiguous`` (a
    phase object, whose contrast is least in focus) or ``failed`` (no plane is without NaN).

    Raises
    ------
    UnknownNameError
        If a measure, threshold, mode, ``per`` or ``fusion`` is unknown.
    InputError
        If a size is no positive whole number, or the threshold finds no place to split.
    ShapeError
        If the array is not (z, y, x), or the strides skip pixels.
    MetadataError
        If a measure needs the optics and there are none.

    Notes
    -----
    Defaults come from simulated widefield stacks of nuclei, neurites, mitochondria and tissue
    with known truth: "peak" had the highest IoU, "plane" by far the lowest; small windows beat
    large ones. No threshold lies below the highest score of as much pure noise as the stack holds.

    One read for the checks and one for the maps, a plane at a time; memory beyond the masks is
    the scores of the windows and a map or two (all maps where they take under 256 MB).

    Laws: follows flips and turns by 90 degrees (mode "parfocal", measures that are mirror-free
    and isotropic); gain-free and offset-free with measures that are; planes far from focus empty.

    Examples
    --------
    >>> from scipy.ndimage import gaussian_filter
    >>> grey = np.random.default_rng(0).random((64, 64)) * 1000
    >>> planes = np.stack([gaussian_filter(grey, 1 + 2 * abs(z - 2)) for z in range(5)])
    >>> masks = weak_labels(planes)
    >>> masks.status.value, [bool(plane.any()) for plane in masks]
    ('found', [False, False, True, False, False])
    """
    chosen = _settle(stack, measure, window_px, strides_px, threshold, per, fusion, mode)
    field, plan = chosen.field, chosen.plan
    where = str(pick_device(device))
    evidence = look_for_structure(field)
    empty = contradiction(evidence)
    if empty is not None:
        return chosen.declined(*empty)
    optics = setup or field.setup
    scores = {
        name: score_windows(field, name, plan, setup=optics, device=where)
        for name in chosen.measures
    }
    ranges = {name: score_range(lattices) for name, lattices in scores.items()}
    if any(np.isnan(low) for low, _ in ranges.values()):
        return chosen.declined(Status.FAILED, "no window is free of NaN or infinite pixels")
    if all(
        is_like_noise(name, lattices, plan, evidence.unevenness)
        for name, lattices in scores.items()
    ):
        return chosen.declined(
            Status.FLAT, "no place of any plane is sharper than another within the noise"
        )
    ceilings = [
        noise_ceiling(evidence, name, plan, setup=optics, device=where) for name in chosen.measures
    ]
    fused = FusedMaps(plan, scores, ranges, chosen.fusion)
    return _split_maps(chosen, fused, evidence, fused.ceiling(ceilings))


@dataclass(frozen=True, eq=False)
class _Chosen:
    """A call with all that it left open filled in."""

    field: FocalStack
    plan: MapPlan
    measures: tuple[str, ...]
    threshold: str
    per: str
    fusion: str
    mode: str
    warnings: tuple[str, ...]

    @property
    def method(self) -> str:
        """How results name it."""
        names = self.measures[0]
        if len(self.measures) > 1:
            names = f"{self.fusion} of {', '.join(self.measures)}"
        return f"rule: {names}, {self.threshold} per {self.per}, {self.mode}"

    def declined(self, status: Status, reason: str) -> FocusMasks:
        """Empty masks with the reason."""
        return self.result(status, reason, np.zeros(self.field.shape, dtype=np.bool_))

    def result(
        self, status: Status, reason: str, masks: NDArray[np.bool_], **more: Any
    ) -> FocusMasks:
        """Masks with where they came from."""
        field = self.field
        return FocusMasks(
            status=status, reason=reason, masks=masks, method=self.method, z_um=field.z_um,
            z_known=field.z_known, pixel_um=field.pixel_um,
            **{"warnings": self.warnings, **more},
        )  # fmt: skip


def _settle(
    stack: Any,
    measure: str | Sequence[str],
    window_px: int | Sequence[int] | None,
    strides_px: Sequence[int] | None,
    *rest: Any,
) -> _Chosen:
    threshold, per, fusion, mode = rest
    if mode not in MODES:
        raise UnknownNameError("mode", mode, MODES)
    row = MODES[mode]
    for kind, name, known in (("per", per or row.per, PERS), ("fusion", fusion, FUSIONS)):
        if name not in known:
            raise UnknownNameError(kind, name, known)
    find_threshold(threshold)
    measures = (measure,) if isinstance(measure, str) else tuple(dict.fromkeys(measure))
    if not measures:
        raise InputError("measure is empty: give at least one name of the measure catalogue.")
    field = as_focal_stack(stack)
    given = row.window_px if window_px is None else window_px
    windows = [*given] if isinstance(given, Sequence) else [given]
    least = max(find_measure(name).least_px for name in measures)
    if min(windows, default=least) < least:
        raise InputError(f"Windows of {min(windows)} px are too small: give {least} px or more.")
    plan = plan_maps(
        field.shape[1:], windows, row.strides_px if strides_px is None else [*strides_px],
        centred=row.centred, overlap=row.overlap,
    )  # fmt: skip
    warnings = []
    size = min(field.shape[1:])
    if max(windows) > size:
        warnings.append(f"windows of {max(windows)} px are cut to images of {size} px")
    if "brightfield" in (field.modality or ""):
        warnings.append(
            "brightfield: a transparent specimen has least contrast in focus; "
            "believe these masks only where it absorbs"
        )
    return _Chosen(field, plan, measures, threshold, per or row.per, fusion, mode, tuple(warnings))


def as_focal_stack(images: Any) -> FocalStack:
    """Take a FocalStack as it is, and an array (z, y, x) as a stack whose z is unknown.

    Examples
    --------
    >>> as_focal_stack(np.zeros((3, 8, 8))).z_known
    False
    """
    if isinstance(images, FocalStack):
        return images
    if isinstance(images, Tensor):
        images = images.detach().cpu()
        images = images.float() if images.dtype == torch.bfloat16 else images
    return FocalStack.of(images)


def _split_maps(
    chosen: _Chosen, fused: FusedMaps, evidence: Evidence, ceiling: float
) -> FocusMasks:
    """Thresholds, masks, and whether to believe them."""
    plan, field = chosen.plan, chosen.field
    best, least = fused.extremes()
    phase = find_phase(field, best, plan.edges)
    if phase is not None:
        return chosen.declined(
            Status.AMBIGUOUS,
            "a phase object: its contrast is least in focus and turns over there (planes "
            f"{phase.before} and {phase.after} correlate {phase.correlation:.2f}), so that the "
            "sharpest-looking pixels are not in focus",
        )
    thresholds = _thresholds(chosen, fused, ceiling)
    masks = np.empty(field.shape, dtype=np.bool_)
    for z, cells in enumerate(fused):
        sharp = cells > thresholds[z]
        if chosen.per == "peak":
            sharp &= cells - least >= NEAR_PEAK * (best - least)
        masks[z] = plan.to_pixels(sharp)
    if not masks.any():
        return chosen.declined(
            Status.FLAT, "no place of any plane is sharper than noise of the stack's own strength"
        )
    warnings = [*chosen.warnings]
    if evidence.spoilt:
        warnings.append(
            f"planes {', '.join(map(str, evidence.spoilt))} hold NaN or infinite pixels: no mask "
            "in the windows around them"
        )
    if evidence.clipped > 0.002:
        warnings.append(f"{100 * evidence.clipped:.1f} % of the pixels are clipped")
    share = 100 * float(masks.mean())
    return chosen.result(
        Status.FOUND, f"{share:.1f} % of the pixels are in focus", masks,
        thresholds=thresholds, warnings=tuple(warnings),
    )  # fmt: skip


def _thresholds(chosen: _Chosen, fused: FusedMaps, ceiling: float) -> Float[np.ndarray, " z"]:
    """One threshold a plane, none below what noise reaches; NaN where a plane has no score."""
    weights = chosen.plan.weights

    def of(maps: Iterable[Any]) -> float:
        histogram = Histogram.of(maps, weights)
        return np.nan if histogram is None else max(split(histogram, chosen.threshold), ceiling)

    if chosen.per == "plane":
        return np.array([of([cells]) for cells in fused])
    return np.full(fused.planes, of(fused))
