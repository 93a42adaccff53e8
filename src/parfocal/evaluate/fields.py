"""One field from stack to record: what was scored, with which answer and what verdict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from parfocal.core.results import FocusEstimate, FocusQuality
from parfocal.core.setup import OpticalSetup
from parfocal.core.stack import FocalStack
from parfocal.evaluate.verdict import Judgement, judge


@dataclass(frozen=True, kw_only=True)
class KnownFocus:
    """Where focus is known to lie, for demonstrations and checks.

    ``position`` is in um, or in planes where ``FieldRecord.z_known`` is false; None means that
    declining is the right answer. ``tolerance`` has the same unit.
    """

    position: float | None
    tolerance: float
    note: str = ""


@dataclass(frozen=True, eq=False, kw_only=True)
class FieldRecord:
    """One scored field without its images: all that a table, a file or a page says of it.

    ``quality`` is what the sharpest plane's own spectrum says, where the stack gave no answer and
    the optics are known.
    """

    name: str
    source: str
    estimate: FocusEstimate
    judgement: Judgement
    shape: tuple[int, int, int]
    dtype: str
    z_known: bool
    z_step_um: float | None
    pixel_um: float | None
    setup: OpticalSetup | None
    channel: str | None
    modality: str | None
    notes: tuple[str, ...] = ()
    well: str | None = None
    known: KnownFocus | None = None
    quality: FocusQuality | None = None

    @property
    def unit(self) -> str:
        """Unit of positions along z: "um", or "planes" where their distance is unknown."""
        return "um" if self.z_known else "planes"

    @property
    def position(self) -> float | None:
        """Best focus in ``unit``; None without an answer."""
        return self.estimate.z_um if self.z_known else self.estimate.plane

    @property
    def interval(self) -> tuple[float, float] | None:
        """90 % interval in ``unit``; None without an answer."""
        return self.estimate.interval_um if self.z_known else self.estimate.interval_planes

    @property
    def as_known(self) -> bool | None:
        """Whether the answer is the known one; None where nothing is known."""
        if self.known is None:
            return None
        if self.known.position is None or self.position is None:
            return self.known.position is None and self.position is None
        return abs(self.position - self.known.position) <= self.known.tolerance

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        setup = None
        if self.setup is not None:
            setup = {**self.setup.model_dump(), "depth_of_field_um": self.setup.depth_of_field_um}
        return {
            "name": self.name,
            "source": self.source,
            "well": self.well,
            "verdict": str(self.judgement.verdict),
            "advice": self.judgement.advice,
            **self.estimate.to_dict(),
            "shape": list(self.shape),
            "dtype": self.dtype,
            "z_known": self.z_known,
            "z_step_um": self.z_step_um,
            "pixel_um": self.pixel_um,
            "setup": setup,
            "channel": self.channel,
            "contrast": self.modality,
            "notes": list(self.notes),
            "quality": None if self.quality is None else self.quality.to_dict(),
        }


def record_of(
    stack: FocalStack,
    estimate: FocusEstimate,
    *,
    well: str | None = None,
    known: KnownFocus | None = None,
    quality: FocusQuality | None = None,
) -> FieldRecord:
    """Put a stack's facts, its estimate and the verdict together."""
    depth_of_field_um = None if stack.setup is None else stack.setup.depth_of_field_um
    return FieldRecord(
        name=stack.name,
        source=stack.source,
        estimate=estimate,
        judgement=judge(
            estimate,
            depth_of_field_um=depth_of_field_um,
            z_known=stack.z_known,
            quality=quality,
        ),
        shape=stack.shape,
        dtype=str(stack.dtype),
        z_known=stack.z_known,
        z_step_um=stack.z_step_um if stack.z_known else None,
        pixel_um=stack.pixel_um,
        setup=stack.setup,
        channel=stack.channel,
        modality=stack.modality,
        notes=stack.notes,
        well=well,
        known=known,
        quality=quality,
    )
