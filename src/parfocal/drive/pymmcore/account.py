"""The books of an acquisition while it runs."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from useq import MDAEvent

from parfocal.core.results import Status
from parfocal.drive.pymmcore.acquisition import (
    AcquisitionReport,
    Ended,
    FocusRecord,
    FrameRecord,
    Record,
)
from parfocal.drive.pymmcore.events import index_of
from parfocal.drive.record import FocusReport


class Account:
    """Every event that came up, and whether to go on.

    Parameters
    ----------
    on_record
        Called with every record.
    """

    def __init__(self, on_record: Callable[[Record], None] | None = None) -> None:
        self._on_record = on_record
        self._records: list[Record] = []
        self._focus_runs: dict[int, FocusReport] = {}
        self._ended: Ended = "cancelled"
        self._why = "it did not begin"
        self._planned: int | None = None
        self.lost_in_a_row = 0
        self.stopped = ""

    def begin(self, planned: int | None) -> None:
        """Open the books with the number of frames to come, None if nobody knows."""
        self._planned, self._ended, self._why = planned, "running", "under way"

    def stop(self, reason: str) -> bool:
        """Ask for the end; False if it was asked for already."""
        first = not self.stopped
        self.stopped = self.stopped or reason
        return first

    def end(self) -> None:
        """Close the books and say how it ended."""
        if self._ended != "running":
            return
        frames = sum(isinstance(record, FrameRecord) for record in self._records)
        if self.stopped:
            self._ended, self._why = "stopped", self.stopped
        elif self._planned in (None, frames):
            self._ended, self._why = "done", "every event came up"
        else:
            self._ended, self._why = "cancelled", "it ended before its last event"

    def frame(self, event: MDAEvent, time_s: float, **values: Any) -> None:
        """Enter one frame; for the values see ``FrameRecord``."""
        record = FrameRecord(**self._header(event, time_s), **values)
        if record.outcome != "skipped":
            self.lost_in_a_row = self.lost_in_a_row + 1 if record.outcome == "lost" else 0
        self._add(record)

    def focus(
        self, event: MDAEvent, time_s: float, reports: Sequence[FocusReport], **values: Any
    ) -> None:
        """Enter one focus run, by the last of its reports; for the values see ``FocusRecord``."""
        last = reports[-1] if reports else None
        if last is not None:
            self._focus_runs[len(self._records)] = last
        self._add(
            FocusRecord(
                **self._header(event, time_s),
                status=str(Status.FAILED if last is None else last.status),
                z_um=None if last is None else last.z_um,
                interval_um=None if last is None else last.interval_um,
                images=sum(report.images for report in reports),
                exposure_ms=sum(report.exposure_ms for report in reports),
                **values,
            )
        )

    def report(self) -> AcquisitionReport:
        """The books as they are."""
        return AcquisitionReport(
            ended=self._ended,
            reason=self._why,
            planned_frames=self._planned,
            records=tuple(self._records),
            focus_runs=dict(self._focus_runs),
        )

    def _header(self, event: MDAEvent, time_s: float) -> dict[str, Any]:
        return {
            "number": len(self._records),
            "index": index_of(event),
            "position": event.pos_name or "",
            "channel": "" if event.channel is None else event.channel.config,
            "time_s": time_s,
        }

    def _add(self, record: Record) -> None:
        self._records.append(record)
        if self._on_record is not None:
            self._on_record(record)


class _Ear(logging.Filter):
    """Keeps the warnings of one thread, and lets pass what passed before."""

    def __init__(self, heard: list[str], threshold: int) -> None:
        super().__init__()
        self._heard, self._threshold = heard, threshold
        self._thread = threading.get_ident()

    def filter(self, record: logging.LogRecord) -> bool:
        if record.thread == self._thread and record.levelno >= logging.WARNING:
            self._heard.append(" ".join(record.getMessage().split()))
        return record.levelno >= self._threshold


@contextmanager
def overheard(heard: list[str]) -> Iterator[None]:
    """Collect what pymmcore-plus only warns of: an image that failed, a property not set.

    It is heard also where the user has silenced the logger.
    """
    logger = logging.getLogger("pymmcore-plus")
    level, threshold = logger.level, logger.getEffectiveLevel()
    ear = _Ear(heard, threshold)
    logger.addFilter(ear)
    logger.setLevel(min(threshold, logging.WARNING))
    try:
        yield
    finally:
        logger.setLevel(level)
        logger.removeFilter(ear)
