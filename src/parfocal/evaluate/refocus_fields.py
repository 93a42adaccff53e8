"""What a table says of one refocused image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from parfocal.core.setup import OpticalSetup
from parfocal.core.status import Status
from parfocal.refocus.filing import RefocusedFile


@dataclass(frozen=True, eq=False, kw_only=True)
class RefocusRecord:
    """One image: what was done to it, in numbers.

    Parameters
    ----------
    made
        What came of it, and where it was written.
    plane
        Of its stack, from 0.
    told_by
        From where its distance from focus is known.
    """

    name: str
    source: str
    made: RefocusedFile
    shape: tuple[int, int]
    plane: int = 0
    planes: int = 1
    told_by: str = ""
    setup: OpticalSetup | None = None
    well: str | None = None
    channel: str | None = None
    modality: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def found(self) -> bool:
        """Whether there is an answer."""
        return self.made.found

    @property
    def status(self) -> Status:
        """Of the answer."""
        return self.made.status

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "name": self.name,
            "source": self.source,
            "well": self.well,
            "plane": self.plane,
            "shape": list(self.shape),
            "channel": self.channel,
            "contrast": self.modality,
            "told_by": self.told_by or None,
            **self.made.to_dict(),
            "notes": list(self.notes),
        }


def distance_text(record: RefocusRecord) -> str:
    """Distance from focus in um and depths of field, or a dash."""
    defocus_um = record.made.defocus_um
    if defocus_um is None:
        return "-"
    if record.setup is None:
        return f"{abs(defocus_um):.2f}"
    return f"{abs(defocus_um):.2f} ({abs(defocus_um) / record.setup.depth_of_field_um:.1f})"


def trust_text(record: RefocusRecord) -> str:
    """Mean trust in per cent, or a dash."""
    return "-" if record.made.trust is None else f"{100 * record.made.trust:.0f} %"


def chance_text(record: RefocusRecord) -> str:
    """Chance of the whole to be better than the input, or a dash."""
    return "-" if record.made.verdict is None else f"{100 * record.made.verdict:.0f} %"


def flux_text(record: RefocusRecord) -> str:
    """Light kept, or a dash."""
    return "-" if record.made.flux is None else f"{100 * record.made.flux:.1f} %"


def note_text(record: RefocusRecord) -> str:
    """Why there is no answer; or what was done, and what to look at beside it."""
    return "; ".join((record.made.reason, *record.made.warnings))
