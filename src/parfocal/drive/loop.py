"""Bring a microscope to focus, and leave it where it was promised whatever happens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from numpy.typing import NDArray

from parfocal.core.errors import BudgetError, DeviceError, ForeignMoveError, ParfocalError
from parfocal.core.protocols import Microscope
from parfocal.core.results import Status
from parfocal.core.setup import OpticalSetup
from parfocal.drive.auto import AutoSearch
from parfocal.drive.checks import verify
from parfocal.drive.gate import Gate
from parfocal.drive.limits import Limits
from parfocal.drive.record import Ended, FocusReport
from parfocal.drive.search import Eye, Proposal, Search, settings_of, sharpest
from parfocal.drive.shots import Region, Sharpness, Shot

RETURN_TRIES = 3
# Where the sharpest image is no better than the others.
NOTHING_STANDS_OUT = (Status.BLANK, Status.FLAT, Status.SATURATED)


def autofocus(
    scope: Microscope,
    *,
    search: Search | None = None,
    limits: Limits,
    measure: str | Callable[[NDArray[Any]], Any] = "tenengrad",
    setup: OpticalSetup | None = None,
    region: Region | None = None,
    keep_images: bool = False,
    on_shot: Callable[[Shot], None] | None = None,
    on_report: Callable[[FocusReport], None] | None = None,
) -> FocusReport:
    """Search for focus within limits, verify it by an image, and leave the stage there.

    Without an answer, and after any exception or Ctrl-C, the stage goes where
    ``limits.after_failure`` says; ``FocusReport.ended`` says where it was left.

    Parameters
    ----------
    scope
        Any ``Microscope``: ``snap``, ``position_um``, ``move_to_um``.
    search
        How to look, over all that the limits allow; default ``AutoSearch``, which takes fewest
        images where ``setup`` is given.
    limits
        Where the stage may go, and what may be spent.
    measure
        A name in ``parfocal.measures.CATALOG``, or a function of one image.
    setup
        The optics; they set the steps and steady the fit.
    region
        Rows and columns (top, bottom, left, right) in px to focus on; default the whole image.
    keep_images
        Keep every image in the report.
    on_shot
        Called with every image as it comes; what it raises ends the run.
    on_report
        Called with the report however the run ends, also before an exception goes on.

    Returns
    -------
    FocusReport
        Device errors and a spent budget are in its status and reason, not raised.

    Raises
    ------
    LimitsError
        If the stage stands outside the limits, before anything moves; or if a search looks
        outside them, after the stage is back.
    StageError
        If the stage does not say where it is, before anything moves.
    UnknownNameError, MetadataError
        If the measure is unknown or needs optics.

    Examples
    --------
    >>> import numpy as np
    >>> class Scope:
    ...     z = 12.0
    ...     def position_um(self): return self.z
    ...     def move_to_um(self, z_um): self.z = z_um
    ...     def snap(self):
    ...         texture = np.random.default_rng(0).normal(size=(64, 64)).cumsum(1)
    ...         return 1000 + texture * 100 / (1 + (self.z - 14.3) ** 2)
    >>> report = autofocus(Scope(), limits=Limits(z_min_um=0, z_max_um=30))
    >>> str(report.status), round(report.z_um, 1), report.ended
    ('found', 14.3, 'answer')
    """
    sharpness = Sharpness(measure, setup, region)
    chosen: Search = AutoSearch() if search is None else search
    with Gate(scope, limits) as gate:
        eye = Eye(gate, sharpness, keep_images=keep_images, on_shot=on_shot)
        run = _Run(gate, eye, chosen, on_report)
        with run.ending():
            run.proposal = run.seek()
    return run.report()


class _Run:
    """One focus run: its proposal, and where it leaves the stage."""

    def __init__(
        self,
        gate: Gate,
        eye: Eye,
        search: Search,
        on_report: Callable[[FocusReport], None] | None,
    ) -> None:
        self.gate, self.eye, self.search, self.on_report = gate, eye, search, on_report
        self.proposal = Proposal(
            status=Status.FAILED, reason="the run was interrupted before it had an answer"
        )
        self.foreign = False
        self.ended: Ended = "unknown"
        self.why_ended = "the way back was interrupted"
        self.reached_um: float | None = gate.start_um
        self._report: FocusReport | None = None

    def seek(self) -> Proposal:
        """Propose and verify; a device that fails or a spent budget becomes a status."""
        try:
            proposal = verify(self.eye, self.search.propose(self.eye))
            if proposal.found:
                self.gate.own_position_um()
            return proposal
        except BudgetError as error:
            return Proposal(
                status=Status.UNCERTAIN,
                reason=f"{error} before focus was found: allow more, or search a shorter range",
            )
        except DeviceError as error:
            self.foreign = isinstance(error, ForeignMoveError)
            return Proposal(status=Status.FAILED, reason=str(error))

    @contextmanager
    def ending(self) -> Iterator[None]:
        """Bring the stage where it belongs, whether or not an exception is on its way."""
        finished = False
        try:
            yield
            finished = True
        finally:
            try:
                self._settle(finished)
            finally:  # a second Ctrl-C on the way back
                if self.on_report is not None:
                    self.on_report(self.report())

    def _settle(self, finished: bool) -> None:
        calm = finished and self.proposal.status != Status.FAILED
        try:
            if self.proposal.found:
                self.ended, self.why_ended = "answer", "the answer was verified there"
            elif self.foreign:
                self.why_ended = "something else moves the stage, so it was left alone"
            elif not (calm or self.gate.abort()):
                self.why_ended = "the driver has not returned, so the stage was not sent anywhere"
            else:
                self._go_back()
        finally:
            self.reached_um = self.gate.seen_um

    def _go_back(self) -> None:
        """Go where the policy says; a few tries, since a stage that stalls may come loose."""
        gate, best = self.gate, self._best_um()
        place: Ended = "start" if best is None else "best"
        z_um = gate.start_um if best is None else best
        near_um = gate.limits.settle_um or gate.limits.still_um
        for _ in range(RETURN_TRIES):
            try:
                if gate.moves:
                    gate.move_to_um(z_um, late=True)
                stands_um = gate.position_um()
            except ParfocalError as error:
                self.why_ended = f"the stage could not be brought back to {z_um:g} um: {error}"
                continue
            if abs(stands_um - z_um) <= near_um:
                self.ended = place
                seen = "the start" if best is None else "the sharpest image seen"
                self.why_ended = f"without an answer, the stage went back to {seen}"
                return
            self.why_ended = f"sent back to {z_um:g} um, the stage stands at {stands_um:g} um"

    def _best_um(self) -> float | None:
        """Where the sharpest image was taken, if the policy wants it and it stands out."""
        best = sharpest(self.eye.shots)
        if self.gate.limits.after_failure != "best" or best is None:
            return None
        nothing_there = self.proposal.status in NOTHING_STANDS_OUT
        return (
            None
            if nothing_there or not self.gate.limits.allow(best.z_commanded_um)
            else (best.z_commanded_um)
        )

    def report(self) -> FocusReport:
        """The record, made once."""
        if self._report is None:
            gate, proposal = self.gate, self.proposal
            self._report = FocusReport(
                status=proposal.status,
                reason=proposal.reason,
                start_um=gate.start_um,
                commanded_um=gate.commanded_um,
                reached_um=self.reached_um,
                z_um=proposal.z_um if proposal.found else None,
                interval_um=proposal.interval_um if proposal.found else None,
                images=gate.images,
                exposure_ms=gate.exposure_sum_ms,
                dose=gate.dose,
                seconds=gate.seconds,
                shots=self.eye.shots,
                curve=self.eye.curve(),
                moves=tuple(gate.moves),
                search=settings_of(self.search),
                limits=gate.limits,
                ended=self.ended,
                ending=self.why_ended,
            )
        return self._report
