"""An acquisition engine that focuses by images, and accounts for every frame."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from pymmcore_plus import CMMCorePlus
from pymmcore_plus.mda import MDAEngine, SkipEvent
from pymmcore_plus.metadata import SummaryMetaV1
from useq import MDAEvent, MDASequence

from parfocal.core.errors import (
    CameraError,
    DeviceError,
    ForeignMoveError,
    InputError,
    LimitsError,
)
from parfocal.core.results import Status
from parfocal.core.setup import OpticalSetup
from parfocal.drive.auto import AutoSearch
from parfocal.drive.limits import Limits
from parfocal.drive.pymmcore.account import Account, overheard
from parfocal.drive.pymmcore.acquisition import (
    AcquisitionReport,
    Basis,
    FocusOutcome,
    FrameOutcome,
    Record,
)
from parfocal.drive.pymmcore.axis import FocusAxis
from parfocal.drive.pymmcore.connect import CoreMicroscope, connect, driver
from parfocal.drive.pymmcore.corrections import Corrections
from parfocal.drive.pymmcore.events import (
    channel_offset_um,
    for_focusing,
    fresh,
    index_of,
    kind_of,
    place_of,
)
from parfocal.drive.pymmcore.looking import look
from parfocal.drive.pymmcore.settings import EngineSettings
from parfocal.drive.record import FocusReport
from parfocal.drive.search import Search

POLICIES = ("skip", "continue", "stop")
MOST_EVENTS = 1_000_000


class FocusEngine(MDAEngine):
    """Run useq sequences with autofocus by images, within limits.

    Autofocus plans of useq need no autofocus device: at their events the engine searches focus
    and moves the frames that follow at that position, in every channel and plane, by what it
    found. At later time points a position starts from the drift that all positions share.

    Every move of the focus stage goes through a ``Gate``. Frames are set up one by one: hardware
    sequencing is not used. ``z_offset`` of channels is kept, also without a z plan.

    Parameters
    ----------
    core
        A core, or what ``connect`` gave.
    limits
        The envelope of every focus move; its budget is that of each focus run.
    search, measure, setup
        As in ``autofocus``.
    policy
        When focus is not found: "skip" the frames of that position until its next focus run,
        "continue" at the predicted z, or "stop" the acquisition. With "stop", a lost frame stops
        it too. Without a place to go (the first position at "continue"), the z is as planned.
    settings
        The rest.
    report_path
        Where the account is written when the acquisition ends, however it ends.
    on_record
        Called with the record of every event.

    Notes
    -----
    Laws: frames taken, lost, skipped and not reached add up to those planned; no command to the
    focus stage lies outside the limits.

    Examples
    --------
    >>> import useq
    >>> from parfocal.simulate.pymmcore import config_path
    >>> scope = connect(config_path())
    >>> engine = FocusEngine(scope, limits=Limits(z_min_um=-20, z_max_um=20))
    >>> plan = useq.MDASequence(channels=["FITC", "DAPI"], stage_positions=[(0, 0, 0)])
    >>> report = engine.run(plan)
    >>> report.ended, len(report.taken), report.not_reached
    ('done', 2, 0)
    >>> scope.core.unloadAllDevices()
    """

    def __init__(
        self,
        core: CMMCorePlus | CoreMicroscope,
        *,
        limits: Limits,
        search: Search | None = None,
        policy: str = "skip",
        measure: str | Callable[[NDArray[Any]], Any] = "tenengrad",
        setup: OpticalSetup | None = None,
        settings: EngineSettings | None = None,
        report_path: str | Path | None = None,
        on_record: Callable[[Record], None] | None = None,
    ) -> None:
        if policy not in POLICIES:
            raise InputError(f"policy is 'skip', 'continue' or 'stop', not {policy!r}.")
        self.scope = core if isinstance(core, CoreMicroscope) else connect(core)
        super().__init__(
            self.scope.core, use_hardware_sequencing=False, restore_initial_state=False
        )
        self.limits, self.policy, self.settings = limits, policy, settings or EngineSettings()
        self._search: Search = search or AutoSearch()
        self._measure, self._setup = measure, setup
        self._path = None if report_path is None else Path(report_path)
        self._on_record = on_record
        self._clear()

    def _clear(self) -> None:
        """Forget the acquisition before."""
        self._account = Account(self._on_record)
        self._known = Corrections()
        self._axis = FocusAxis(self.scope, self.limits, retries=self.settings.retries)
        self._start_um = 0.0
        self._channel, self._before = ("", ""), ("", 1.0)
        # Of the event under way: warnings, what its z rests on, where the stage stands.
        self._notes: list[str] = []
        self._basis: Basis = "planned"
        self._z_um: float | None = None
        # The frame whose images the runner has, and has not written yet.
        self._handed: MDAEvent | None = None

    def run(
        self, sequence: Iterable[MDAEvent], *, output: Any = None, overwrite: bool = False
    ) -> AcquisitionReport:
        """Run a sequence on this core by this engine, and give the account.

        Parameters
        ----------
        sequence
            A ``useq.MDASequence``, or events.
        output, overwrite
            As in ``CMMCorePlus.mda.run``.

        Raises
        ------
        LimitsError
            If the stage, or any z of the sequence, lies outside the limits; nothing has moved.
        """
        runner = self.mmcore.mda
        before = runner.engine
        if before is not self:
            runner.set_engine(self)
        try:
            runner.run(sequence, output=output, overwrite=overwrite)
        finally:
            self._finish()
            # After Ctrl-C the runner holds that it still runs, and takes no engine.
            if before not in (None, self) and not runner.is_running():
                runner.set_engine(before)
        return self.report

    @property
    def report(self) -> AcquisitionReport:
        """The account so far."""
        return self._account.report()

    # What the runner calls

    def setup_sequence(self, sequence: MDASequence) -> SummaryMetaV1 | None:
        """Count and check what is planned, before anything moves."""
        self._clear()
        events = list(islice(fresh(sequence), MOST_EVENTS))
        frames = sum(kind_of(event) == "frame" for event in events)
        self._start_um = self.scope.position_um()
        self.limits.require(self._start_um, "the stage stands at")
        for event in events:
            if event.z_pos is not None:
                self.limits.require(
                    event.z_pos + channel_offset_um(event), f"event {index_of(event)} asks for"
                )
        self._account.begin(frames if events and len(events) < MOST_EVENTS else None)
        return super().setup_sequence(sequence)

    def event_iterator(self, events: Iterable[MDAEvent]) -> Iterator[MDAEvent]:
        """Events one by one; a plan that was used before focuses again all the same."""
        yield from fresh(events) if isinstance(events, MDASequence) else events

    def setup_event(self, event: MDAEvent) -> None:
        """Bring the devices where the event wants them, or raise SkipEvent and say why."""
        kind = kind_of(event)
        frames = int(kind == "frame")
        self._notes, self._axis.retries, self._z_um = [], 0, None
        if self._account.stopped:
            raise SkipEvent(frames, self._account.stopped)
        refusal = self._known.refusal(place_of(event)) if frames else ""
        if refusal and self.policy == "skip":
            self._add_frame(event, "skipped", f"focus was not found here: {refusal}")
            raise SkipEvent(frames, refusal)
        try:
            if kind == "focus":
                self._before = self.scope.channel(), self.scope.exposure_ms()
                self.setup_single_event(self._for_focusing(event))
            else:
                self.setup_single_event(event)
            with driver(DeviceError, "The devices did not come to rest"):
                self.mmcore.waitForSystem()
        except (DeviceError, InputError) as error:
            if kind == "focus":
                self._miss(event, "failed", str(error))
            elif frames:
                self._lose(event, str(error))
            if isinstance(error, ForeignMoveError):
                self._stop(str(error))
            raise SkipEvent(frames, str(error)) from error

    def setup_single_event(self, event: MDAEvent) -> None:
        """Move and set strictly what decides the image; the rest as the parent does."""
        scope = self.scope
        if event.x_pos is not None or event.y_pos is not None:
            x_um, y_um = scope.xy_um()
            x_um = x_um if event.x_pos is None else event.x_pos
            y_um = y_um if event.y_pos is None else event.y_pos
            self._axis.persist(lambda: scope.move_xy_to_um(x_um, y_um))
        self._set_channel(event)
        if event.exposure is not None:
            scope.set_exposure_ms(event.exposure)
        done = dict.fromkeys(("x_pos", "y_pos", "z_pos", "channel", "exposure"))
        failed = driver(DeviceError, "The devices could not be set")
        with failed, overheard(self._notes):
            super().setup_single_event(event.model_copy(update=done))
        self._move_focus(event)

    def exec_event(self, event: MDAEvent) -> Iterator[Any]:
        """Take the image, or search focus; an image that there is not is yielded as None."""
        kind = kind_of(event)
        if kind == "focus":
            self._focus(event)
        elif kind == "frame":
            yield from self._frame(event)
        else:
            yield from super().exec_event(event)

    def teardown_sequence(self, sequence: MDASequence) -> None:
        """End the account and write it."""
        super().teardown_sequence(sequence)
        self._finish()

    def _finish(self) -> None:
        """Let the stage go and close the account; again does no harm."""
        self._axis.close()
        if self._handed is not None:
            self._add_frame(self._handed, "lost", "it was taken, but could not be written")
            self._account.stop("an image could not be written")
            self._handed = None
        self._account.end()
        if self._path is not None:
            self.report.save(self._path)

    # Frames

    def _frame(self, event: MDAEvent) -> Iterator[Any]:
        """Take an image; one that fails is counted, and its place in the file left empty."""
        # Cameras behind one adapter give one image each.
        cameras = int(self.mmcore.getNumberOfCameraChannels())
        payloads: list[Any] = []
        reason = ""
        for attempt in range(1 + self.settings.retakes):
            self._axis.retries += attempt > 0
            heard: list[str] = []
            try:
                with driver(CameraError, "The camera gave no image"), overheard(heard):
                    payloads = list(filter(None, super().exec_event(event)))
            except CameraError as error:
                heard.append(str(error))
            reason = "; ".join(heard) or "the camera gave no image"
            if len(payloads) == cameras:
                break
        self._handed = event
        for payload in payloads:
            payload.metadata["parfocal"] = {"focus": self._basis, "z_um": self._z_um}
            yield payload
        # Only now: a file that cannot be written raises in the runner, and it does not come back.
        self._handed = None
        if len(payloads) < cameras:
            self._lose(event, reason)
        else:
            self._add_frame(event, "taken", "; ".join(self._notes))
        yield from [None] * (cameras - len(payloads))

    def _lose(self, event: MDAEvent, reason: str) -> None:
        self._add_frame(event, "lost", reason)
        in_a_row = self._account.lost_in_a_row
        if self.policy == "stop":
            self._stop(f"a frame was lost: {reason}")
        elif in_a_row >= self.settings.most_failures:
            self._stop(f"{in_a_row} frames in a row were lost, the last since {reason}")

    def _add_frame(self, event: MDAEvent, outcome: FrameOutcome, reason: str) -> None:
        taken = outcome == "taken"
        self._account.frame(
            event,
            self.scope.now_s(),
            outcome=outcome,
            reason=reason,
            focus=self._basis if taken else "planned",
            z_planned_um=self._planned_um(event),
            z_um=self._z_um if taken else None,
            retries=self._axis.retries,
        )

    # Focus

    def _focus(self, event: MDAEvent) -> None:
        """Search focus here; what comes of it decides the frames that follow."""
        planned_um = self._planned_um(self._for_focusing(event))
        began_s = self.scope.now_s()
        self._axis.close()
        try:
            reports = look(
                self.scope,
                limits=self.limits,
                near_um=self.settings.near_um if self._known.tracker.points else None,
                search=self._search,
                measure=self._measure,
                setup=self._setup,
                region=self.settings.region,
            )
        except (DeviceError, LimitsError) as error:
            self._miss(event, "failed", str(error))
            return
        finally:
            self._restore()
        report = reports[-1]
        if report.z_um is None:
            failed = report.status == Status.FAILED
            self._miss(event, "failed" if failed else "missed", report.reason, reports)
            if report.ended == "unknown":
                self._stop(f"the focus stage may stand anywhere: {report.ending}")
            return
        correction_um, span = report.z_um - planned_um, report.interval_um
        self._known.found(
            place_of(event),
            event.index.get("t"),
            correction_um,
            time_s=began_s,
            interval_um=None if span is None else (span[0] - planned_um, span[1] - planned_um),
        )
        self._add_focus(event, "found", report.reason, reports, correction_um=correction_um)

    def _miss(
        self,
        event: MDAEvent,
        outcome: FocusOutcome,
        reason: str,
        reports: Sequence[FocusReport] = (),
    ) -> None:
        self._known.missed(place_of(event), reason)
        self._add_focus(event, outcome, reason, reports, action=self.policy)
        if self.policy == "stop":
            self._stop(f"focus was not found: {reason}")

    def _add_focus(
        self,
        event: MDAEvent,
        outcome: FocusOutcome,
        reason: str,
        reports: Sequence[FocusReport],
        **more: Any,
    ) -> None:
        self._account.focus(
            event, self.scope.now_s(), reports, outcome=outcome, reason=reason, **more
        )

    def _for_focusing(self, event: MDAEvent) -> MDAEvent:
        return for_focusing(event, self.settings, group=self.mmcore.getChannelGroup())

    def _restore(self) -> None:
        """Undo what only focusing needed; a frame that names no channel keeps that of before."""
        channel, exposure_ms = self._before
        try:
            if self.settings.focus_channel is not None and channel:
                self._channel = ("", "")
                self.scope.set_channel(channel)
            if self.settings.focus_exposure_ms is not None:
                self.scope.set_exposure_ms(exposure_ms)
        except DeviceError as error:
            self._stop(f"channel and exposure could not be set back after focusing: {error}")

    # Moves and account

    def _planned_um(self, event: MDAEvent) -> float:
        """Stage z of an event without correction; where none is planned, that of the start."""
        base_um = self._start_um if event.z_pos is None else event.z_pos
        return float(base_um + channel_offset_um(event))

    def _move_focus(self, event: MDAEvent) -> None:
        """Go to the planned z, corrected by what is known of focus there."""
        place, time_index = place_of(event), event.index.get("t")
        correction_um, self._basis = self._known.at(place, time_index, time_s=self.scope.now_s())
        # An event without z leaves the stage alone, unless focus is known or offset.
        stay = event.z_pos is None and self._basis == "planned" and not channel_offset_um(event)
        self._z_um = self._axis.go(None if stay else self._planned_um(event) + correction_um)

    def _set_channel(self, event: MDAEvent) -> None:
        channel = event.channel
        if channel is not None and (channel.group, channel.config) != self._channel:
            self._channel = ("", "")
            self.scope.set_channel(channel.config, group=channel.group)
            self._channel = (channel.group, channel.config)

    def _stop(self, reason: str) -> None:
        if self._account.stop(reason):
            self.mmcore.mda.cancel()
