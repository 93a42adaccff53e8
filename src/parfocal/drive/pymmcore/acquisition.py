"""The account of an acquisition: what became of every event that was planned."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from parfocal.core.errors import ReadError
from parfocal.drive.record import FocusReport

FrameOutcome = Literal["taken", "lost", "skipped"]
FocusOutcome = Literal["found", "missed", "failed"]
Basis = Literal["measured", "predicted", "planned"]
Ended = Literal["done", "stopped", "cancelled", "running"]
VERSION = 1


@dataclass(frozen=True, kw_only=True)
class FrameRecord:
    """One image that was planned.

    Parameters
    ----------
    number
        Counted from 0 over frames and focus runs together, in the order of events.
    index
        Place in the sequence by axis: {"t": 0, "p": 1, "c": 0}.
    position, channel
        Names, empty where they have none.
    outcome
        "taken"; "lost" if a device failed or a limit refused; "skipped" by policy.
    reason
        Plain words; for a frame that was taken, what went wrong on the way.
    focus
        What its z rests on: focus "measured" here, "predicted" from other times and positions,
        or the z "planned".
    z_planned_um, z_um
        Stage z without correction, and where the stage said to be; None where it never got there.
    retries
        Moves and images that were tried again.
    time_s
        When, on the microscope's clock.
    """

    number: int
    index: Mapping[str, int]
    position: str
    channel: str
    outcome: FrameOutcome
    reason: str = ""
    focus: Basis = "planned"
    z_planned_um: float | None = None
    z_um: float | None = None
    retries: int = 0
    time_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class FocusRecord:
    """One focus run that was planned.

    Parameters
    ----------
    number, index, position, channel, time_s
        As in ``FrameRecord``.
    outcome
        "found"; "missed" if there was no answer; "failed" if a device did.
    status, reason
        As in ``FocusReport``.
    z_um, interval_um
        Focus, None unless found.
    correction_um
        Focus minus the planned z, which frames of the position are moved by.
    images, exposure_ms
        What it cost.
    action
        What the policy did: "" if found, else "skip", "continue" or "stop".
    """

    number: int
    index: Mapping[str, int]
    position: str
    channel: str
    outcome: FocusOutcome
    status: str
    reason: str
    z_um: float | None = None
    interval_um: tuple[float, float] | None = None
    correction_um: float | None = None
    images: int = 0
    exposure_ms: float = 0.0
    action: str = ""
    time_s: float = 0.0


Record = FrameRecord | FocusRecord


@dataclass(frozen=True, eq=False, kw_only=True)
class AcquisitionReport:
    """An acquisition: every event, in order, and how it ended.

    Parameters
    ----------
    ended
        "done"; "stopped" by policy; "cancelled" before the last event; "running".
    reason
        Why, in plain words.
    planned_frames
        Images in the sequence; None where its length is not known beforehand.
    records
        What became of each event that came up.
    focus_runs
        Full reports of the focus runs by their number; not part of the saved file.
    """

    ended: Ended
    reason: str
    planned_frames: int | None
    records: tuple[Record, ...]
    focus_runs: Mapping[int, FocusReport]

    @property
    def frames(self) -> tuple[FrameRecord, ...]:
        """Records of images."""
        return tuple(record for record in self.records if isinstance(record, FrameRecord))

    @property
    def focus(self) -> tuple[FocusRecord, ...]:
        """Records of focus runs."""
        return tuple(record for record in self.records if isinstance(record, FocusRecord))

    @property
    def taken(self) -> tuple[FrameRecord, ...]:
        """Images that there are."""
        return tuple(frame for frame in self.frames if frame.outcome == "taken")

    @property
    def lost(self) -> tuple[FrameRecord, ...]:
        """Images that a device or a limit cost."""
        return tuple(frame for frame in self.frames if frame.outcome == "lost")

    @property
    def skipped(self) -> tuple[FrameRecord, ...]:
        """Images that were left out, since focus was not found."""
        return tuple(frame for frame in self.frames if frame.outcome == "skipped")

    @property
    def not_reached(self) -> int | None:
        """Images planned after the end; None where the length is not known."""
        return None if self.planned_frames is None else self.planned_frames - len(self.frames)

    def summary(self) -> str:
        """The account in a few lines: totals, then each loss and each miss."""
        planned = "?" if self.planned_frames is None else self.planned_frames
        bases = Counter(frame.focus for frame in self.taken)
        focus = Counter(record.outcome for record in self.focus)
        lines = [
            f"{self.ended}: {self.reason}",
            f"frames: {planned} planned = {len(self.taken)} taken + {len(self.lost)} lost + "
            f"{len(self.skipped)} skipped + {self.not_reached or 0} not reached",
            "taken at a z " + ", ".join(f"{name}: {n}" for name, n in sorted(bases.items())),
            f"focus runs: {focus['found']} found, {focus['missed']} missed, "
            f"{focus['failed']} failed, {sum(record.images for record in self.focus)} images, "
            f"{sum(record.exposure_ms for record in self.focus):g} ms of exposure",
        ]
        for record in self.records:
            if record.outcome not in ("taken", "found") or (
                isinstance(record, FrameRecord) and record.reason
            ):
                lines.append(f"  {_place(record)}: {record.outcome}, {record.reason}")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "kind": "parfocal acquisition",
            "version": VERSION,
            "ended": self.ended,
            "reason": self.reason,
            "planned_frames": self.planned_frames,
            "taken": len(self.taken),
            "lost": len(self.lost),
            "skipped": len(self.skipped),
            "not_reached": self.not_reached,
            "records": [
                {"event": "focus" if isinstance(record, FocusRecord) else "frame"}
                | asdict(record)
                | {"index": dict(record.index)}
                for record in self.records
            ],
        }

    def save(self, path: str | Path) -> Path:
        """Write JSON that ``load`` reads."""
        path = Path(path)
        path.write_text(json.dumps(self.to_dict(), indent=1) + "\n", encoding="utf-8")
        return path

    @classmethod
    def load(cls, path: str | Path) -> AcquisitionReport:
        """Read what ``save`` wrote; the full focus reports are not in it.

        Raises
        ------
        ReadError
            If the file is absent or no such record.
        """
        try:
            held = json.loads(Path(path).read_text(encoding="utf-8"))
            return cls(
                ended=held["ended"],
                reason=held["reason"],
                planned_frames=held["planned_frames"],
                records=tuple(_record(values) for values in held["records"]),
                focus_runs={},
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ReadError(
                f"{path}: not a readable acquisition record ({type(error).__name__}: {error})."
            ) from error


def _place(record: Record) -> str:
    """A record's place in the sequence: "p1 c0"."""
    where = " ".join(f"{axis}{place}" for axis, place in record.index.items())
    return where or f"event {record.number}"


def _record(values: dict[str, Any]) -> Record:
    if values.pop("event") == "frame":
        return FrameRecord(**values)
    interval = values["interval_um"]
    values["interval_um"] = None if interval is None else (interval[0], interval[1])
    return FocusRecord(**values)
