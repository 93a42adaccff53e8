"""What a table says of the masks of one field."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from parfocal.core.masks import FocusMasks
from parfocal.core.stack import FocalStack
from parfocal.core.status import Status, plain
from parfocal.evaluate.wording import decimals_for
from parfocal.segment.labels import FocusLabels
from parfocal.segment.surface import focus_height

LEAST_OF_PEAK = 0.01
"""A plane counts as in focus above this share of the coverage of the fullest plane."""
MANY_CUT = 0.25
"""Share of heights that the ends of the stack may cut before a reader is warned."""


@dataclass(frozen=True, eq=False, kw_only=True)
class SegmentRecord:
    """Masks of one field in numbers; the pixels themselves are forgotten.

    Parameters
    ----------
    status, reason, method, warnings
        Of the masks.
    coverage
        Share of each plane that is in focus.
    share
        Share of the field that is in focus in some plane; None without an answer.
    planes
        Planes in focus, from 0: those with more than a hundredth of the fullest one's coverage.
    height
        Heights (low, high) between which 90 % of the field in focus lies, in um or plane numbers.
    cut_share
        Share of the heights whose structure reaches the first or last plane.
    parts
        Number of connected structures, where they were asked for.
    files
        What was written.
    """

    name: str
    source: str
    status: Status
    reason: str
    method: str
    shape: tuple[int, int, int]
    z_um: tuple[float, ...]
    coverage: tuple[float, ...]
    z_known: bool = True
    pixel_um: float | None = None
    share: float | None = None
    planes: tuple[int, ...] = ()
    height: tuple[float, float] | None = None
    cut_share: float | None = None
    parts: int | None = None
    well: str | None = None
    channel: str | None = None
    modality: str | None = None
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    files: tuple[str, ...] = field(default=())

    @property
    def found(self) -> bool:
        """Whether there is an answer."""
        return self.status == Status.FOUND

    @property
    def unit(self) -> str:
        """Of heights."""
        return "um" if self.z_known else "planes"

    @property
    def peak(self) -> int | None:
        """The plane with most in focus."""
        return int(np.argmax(self.coverage)) if self.planes else None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        names = (
            "name", "source", "well", "status", "reason", "method", "share", "coverage", "z_um",
            "z_known", "pixel_um", "cut_share", "parts", "channel", "warnings", "notes", "files",
        )  # fmt: skip
        values = {name: plain(getattr(self, name)) for name in names}
        values["shape"], values["planes_in_focus"] = list(self.shape), list(self.planes)
        values["height_um"] = plain(self.height) if self.z_known else None
        values["height_planes"] = None if self.z_known else plain(self.height)
        values["contrast"] = self.modality
        return values


def segment_record(
    stack: FocalStack,
    masks: FocusMasks,
    *,
    well: str | None = None,
    labels: FocusLabels | None = None,
    files: tuple[str, ...] = (),
) -> SegmentRecord:
    """Sum up the masks of a stack.

    Examples
    --------
    >>> stack = FocalStack.of(np.zeros((2, 4, 4)), z_step_um=1.0)
    >>> masks = FocusMasks(status=Status.FOUND, reason="", method="by hand", z_um=stack.z_um,
    ...                    masks=np.stack([np.eye(4, dtype=bool), np.zeros((4, 4), dtype=bool)]))
    >>> record = segment_record(stack, masks)
    >>> record.share, record.planes, record.height
    (0.25, (0,), (0.0, 0.0))
    """
    coverage = masks.coverage
    record = SegmentRecord(
        name=stack.name,
        source=stack.source,
        status=masks.status,
        reason=masks.reason,
        method=masks.method,
        shape=masks.shape,
        z_um=tuple(masks.z_um.tolist()),
        coverage=tuple(coverage.tolist()),
        z_known=masks.z_known,
        pixel_um=masks.pixel_um,
        parts=None if labels is None else len(labels.parts),
        well=well,
        channel=stack.channel,
        modality=stack.modality,
        warnings=masks.warnings,
        notes=stack.notes,
        files=files,
    )
    if not masks.found:
        return record
    height, least = focus_height(masks), LEAST_OF_PEAK * coverage.max()
    warnings = list(masks.warnings)
    if height.cut_share > MANY_CUT:
        warnings.append(
            f"{100 * height.cut_share:.0f} % of the heights belong to structure that reaches the "
            "first or last plane and may go on beyond it"
        )
    return replace(
        record,
        share=height.share,
        planes=tuple(np.flatnonzero(coverage > least).tolist()),
        height=height.range_um,
        cut_share=height.cut_share,
        warnings=tuple(warnings),
    )


def planes_text(record: SegmentRecord) -> str:
    """Planes in focus as ranges, or a dash.

    Examples
    --------
    >>> stack = FocalStack.of(np.zeros((6, 1, 1)), z_step_um=1.0)
    >>> drawn = np.array([1, 1, 1, 0, 0, 1], dtype=bool)[:, None, None]
    >>> masks = FocusMasks(status=Status.FOUND, reason="", method="", z_um=stack.z_um, masks=drawn)
    >>> planes_text(segment_record(stack, masks))
    '0..2, 5'
    """
    runs: list[list[int]] = []
    for plane in record.planes:
        if runs and plane == runs[-1][-1] + 1:
            runs[-1].append(plane)
        else:
            runs.append([plane])
    texts = [f"{run[0]}..{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs]
    if len(texts) > 3:
        return f"{len(record.planes)} of {record.planes[0]}..{record.planes[-1]}"
    return ", ".join(texts) or "-"


def share_text(record: SegmentRecord) -> str:
    """Share of the field in focus in some plane, or a dash."""
    return "-" if record.share is None else f"{100 * record.share:.1f} %"


def height_text(record: SegmentRecord) -> str:
    """Heights of 90 % of the field in focus, or a dash."""
    if record.height is None:
        return "-"
    step = float(np.median(np.abs(np.diff(record.z_um)))) if len(record.z_um) > 1 else None
    digits = min(2, decimals_for(step)) if record.z_known else 1
    low, high = record.height
    return f"{low:.{digits}f} to {high:.{digits}f}"


def note_text(record: SegmentRecord) -> str:
    """Why there is no answer, or what to look at beside one."""
    return "; ".join(record.warnings) if record.found else record.reason


def thinned(masks: FocusMasks, skip: int) -> FocusMasks:
    """The masks at every ``skip``-th pixel, as a stack binned by as much has them."""
    if skip == 1:
        return masks
    _, size_y, size_x = masks.shape
    half = skip // 2
    sides = slice(half, size_y // skip * skip, skip), slice(half, size_x // skip * skip, skip)
    few: Bool[np.ndarray, "z y x"] = masks.masks[:, *sides]
    shares: Float[np.ndarray, "z y x"] | None = None
    if masks.probabilities is not None:
        shares = masks.probabilities[:, *sides]
    pixel_um = None if masks.pixel_um is None else masks.pixel_um * skip
    if not few.any() and masks.found:  # all that was in focus fell between the pixels
        few = np.add.reduceat(
            np.add.reduceat(masks.masks[:, : sides[0].stop, : sides[1].stop],
                            np.arange(0, sides[0].stop, skip), axis=1),
            np.arange(0, sides[1].stop, skip), axis=2,
        ) > 0  # fmt: skip
    return replace(masks, masks=few, probabilities=shares, scores=None, pixel_um=pixel_um)
