"""One predicted field from images to record, and the words for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from parfocal.core.results import DefocusEstimate, Status
from parfocal.core.setup import OpticalSetup
from parfocal.evaluate.wording import decimals_for


@dataclass(frozen=True, eq=False, kw_only=True)
class DefocusRecord:
    """One predicted field without its images: all that a table, a file or a page says of it.

    Parameters
    ----------
    name, source, well
        As in the table of inputs.
    estimate
        Defocus of the first image.
    planes, z_um
        The images in order of rising stage z: their numbers in the stack and their z.
    shape
        Sizes (y, x) of the images.
    setup
        The optics.
    known_um
        Defocus of the first image, where it is known otherwise; None where not.
    """

    name: str
    source: str
    estimate: DefocusEstimate
    planes: tuple[int, ...]
    z_um: tuple[float, ...]
    shape: tuple[int, int]
    setup: OpticalSetup
    well: str | None = None
    channel: str | None = None
    modality: str | None = None
    notes: tuple[str, ...] = ()
    known_um: float | None = None

    @property
    def spacing_um(self) -> float | None:
        """Mean distance of neighbouring images; None for one."""
        if len(self.z_um) < 2:
            return None
        return (self.z_um[-1] - self.z_um[0]) / (len(self.z_um) - 1)

    @property
    def move_um(self) -> float | None:
        """How far the stage must go from the first image's z; None without an answer."""
        return None if self.estimate.defocus_um is None else 0.0 - self.estimate.defocus_um

    @property
    def move_interval_um(self) -> tuple[float, float] | None:
        """90 % interval (low, high) of ``move_um``."""
        if self.estimate.interval_um is None:
            return None
        low, high = self.estimate.interval_um
        return 0.0 - high, 0.0 - low

    @property
    def focus_z_um(self) -> float | None:
        """Stage z of best focus; None without an answer."""
        return None if self.move_um is None else self.z_um[0] + self.move_um

    @property
    def is_near(self) -> bool:
        """Whether the first image cannot be told from one in focus."""
        interval = self.estimate.interval_um
        return interval is not None and interval[0] <= 0 <= interval[1]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        setup = self.setup.model_dump() | {"depth_of_field_um": self.setup.depth_of_field_um}
        return {
            "name": self.name,
            "source": self.source,
            "well": self.well,
            **self.estimate.to_dict(),
            "move_um": self.move_um,
            "move_interval_um": None if self.move_interval_um is None else [*self.move_interval_um],
            "focus_z_um": self.focus_z_um,
            "planes": list(self.planes),
            "z_um": list(self.z_um),
            "spacing_um": self.spacing_um,
            "known_um": self.known_um,
            "shape": list(self.shape),
            "setup": setup,
            "channel": self.channel,
            "contrast": self.modality,
            "notes": list(self.notes),
        }


def decimals_of(record: DefocusRecord) -> int:
    """Decimals that the interval deserves; without one, that the depth of field does.

    Examples
    --------
    >>> setup = OpticalSetup(na=0.75, wavelength_nm=536, pixel_um=0.325)
    >>> estimate = DefocusEstimate(status=Status.BLANK, reason="nothing")
    >>> decimals_of(DefocusRecord(name="", source="", estimate=estimate, planes=(0,), z_um=(0.0,),
    ...                           shape=(8, 8), setup=setup))
    2
    """
    least_um = record.setup.depth_of_field_um
    if record.estimate.interval_um is not None:
        low, high = record.estimate.interval_um
        least_um = max(least_um, (high - low) / 2)
    return decimals_for(2 * least_um)


def defocus_text(record: DefocusRecord) -> str:
    """Signed defocus in um and, in brackets, in depths of field; a dash without an answer."""
    estimate = record.estimate
    if estimate.defocus_um is None or estimate.defocus_dof is None:
        return "-"
    return f"{estimate.defocus_um:+z.{decimals_of(record)}f} ({estimate.defocus_dof:+z.1f})"


def interval_text(record: DefocusRecord, *, of_move: bool = False) -> str:
    """The 90 % interval of the defocus, or of the move, or a dash."""
    interval = record.move_interval_um if of_move else record.estimate.interval_um
    if interval is None:
        return "-"
    digits = decimals_of(record)
    return f"{interval[0]:+z.{digits}f} to {interval[1]:+z.{digits}f}"


def move_text(record: DefocusRecord) -> str:
    """How far to move, or a dash."""
    if record.move_um is None:
        return "-"
    return f"{record.move_um:+z.{decimals_of(record)}f}"


def certainty_text(record: DefocusRecord) -> str:
    """Certainty of the field, whether or not there is an answer."""
    certainty = record.estimate.certainty
    return "-" if certainty is None else f"{certainty:.2f}"


def planes_text(record: DefocusRecord) -> str:
    """Numbers of the planes, in order of rising z."""
    if len(record.planes) > 4:
        return f"{record.planes[0]}..{record.planes[-1]}"
    return "+".join(str(plane) for plane in record.planes)


def verdict_text(record: DefocusRecord) -> str:
    """What to do, in plain words.

    Examples
    --------
    >>> setup = OpticalSetup(na=0.5, wavelength_nm=500, pixel_um=0.5)
    >>> estimate = DefocusEstimate(status=Status.FOUND, reason="", defocus_um=3.24,
    ...     defocus_dof=1.62, interval_um=(2.31, 4.12))
    >>> verdict_text(DefocusRecord(name="", source="", estimate=estimate, planes=(0, 1),
    ...     z_um=(7.0, 9.0), shape=(8, 8), setup=setup))
    'Move the stage by -3.2 um (-4.1 to -2.3)'
    """
    estimate = record.estimate
    if estimate.status != Status.FOUND:
        return f"No answer: {estimate.status}"
    digits = decimals_of(record)
    low, high = record.move_interval_um or (0.0, 0.0)
    text = f"Move the stage by {move_text(record)} um ({low:z.{digits}f} to {high:z.{digits}f})"
    return f"{text}: it may be in focus already" if record.is_near else text


def from_text(record: DefocusRecord) -> str:
    """Where a move begins: the image at the lowest z."""
    return f"from plane {record.planes[0]}, z = {record.z_um[0]:.6g} um"


def note_text(record: DefocusRecord) -> str:
    """Why there is no answer, or what to look at beside one."""
    estimate = record.estimate
    if not estimate.found:
        return estimate.reason
    return "; ".join(estimate.warnings)
