"""Which focus search is best on stacks that were recorded: a league of replayed runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from parfocal.core.errors import InputError
from parfocal.core.results import Status
from parfocal.core.stack import FocalStack
from parfocal.drive.limits import Limits
from parfocal.drive.loop import autofocus
from parfocal.drive.record import FocusReport
from parfocal.drive.search import Search
from parfocal.evaluate.fields import KnownFocus
from parfocal.evaluate.replay import ReplayMicroscope, replay_limits
from parfocal.score.plane import best_focus

STARTS = (0.25, 0.5, 0.75)
"""Where runs begin, as shares of the range of a stack."""


@dataclass(frozen=True, eq=False, kw_only=True)
class ReplayCase:
    """A stack and its focus: what is known of it, or else what ``best_focus`` says.

    ``known`` is None where neither knows: then no answer can be called right or wrong.
    """

    stack: FocalStack
    known: KnownFocus | None
    known_by: str

    @classmethod
    def of(cls, stack: FocalStack, known: KnownFocus | None = None) -> ReplayCase:
        """Take what is known, or ask the whole stack."""
        if known is not None:
            return cls(stack=stack, known=known, known_by="given")
        estimate = best_focus(stack)
        place = estimate.z_um if stack.z_known else estimate.plane
        if place is None:
            return cls(stack=stack, known=None, known_by=f"unknown: {estimate.status}")
        known = KnownFocus(position=place, tolerance=_plane_um(stack))
        return cls(stack=stack, known=known, known_by="best_focus of all planes")


@dataclass(frozen=True, kw_only=True)
class ReplayTrial:
    """One run of one search on one stack, from one start.

    Lengths are in um, or in planes where ``unit`` says so. ``error`` is the answer minus known
    focus, ``error_planes`` the same in planes; ``right`` whether it lies within the tolerance and
    half a plane, ``held`` whether the 90 % interval, widened by half a plane, holds known focus.
    They are None without an answer or without known focus.
    """

    search: str
    stack: str
    unit: str
    start: float
    status: str
    reason: str
    z: float | None
    interval: tuple[float, float] | None
    known: float | None
    error: float | None
    error_planes: float | None
    right: bool | None
    held: bool | None
    images: int
    exposure_ms: float
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON and CSV."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Standing:
    """What one search did over all trials; medians are over its answers, None without any.

    ``right`` are answers within the tolerance of known focus, ``wrong`` answers that are not:
    wrongly confident. ``declined`` came with a reason, ``failed`` broke.
    """

    search: str
    runs: int
    right: int
    wrong: int
    unjudged: int
    declined: int
    failed: int
    median_error_planes: float | None
    worst_error_planes: float | None
    median_images: float
    median_exposure_ms: float
    median_seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class League:
    """All trials, and the standings: fewest wrong first, then most right, then fewest images."""

    trials: tuple[ReplayTrial, ...]

    @property
    def standings(self) -> tuple[Standing, ...]:
        """One row a search, best first."""
        names = dict.fromkeys(trial.search for trial in self.trials)
        rows = [_standing(name, [t for t in self.trials if t.search == name]) for name in names]
        return tuple(sorted(rows, key=lambda row: (row.wrong, -row.right, row.median_images)))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "standings": [row.to_dict() for row in self.standings],
            "trials": [trial.to_dict() for trial in self.trials],
        }


def replay(
    searches: Mapping[str, Search],
    cases: Iterable[ReplayCase],
    *,
    starts: Sequence[float] = STARTS,
    measure: str = "tenengrad",
    limits: Limits | None = None,
    interpolate: bool = False,
    on_trial: Callable[[ReplayTrial], None] | None = None,
) -> League:
    """Let every search focus on every recorded stack.

    Parameters
    ----------
    searches
        By name.
    cases
        Stacks with their known focus.
    starts
        Where the stage stands at first, as shares of each stack's range.
    limits
        Their budget counts; the range is that of the stack.
    interpolate
        See ``ReplayMicroscope``.
    on_trial
        Called with every trial as it ends.

    Raises
    ------
    InputError
        If a start is no share.

    Examples
    --------
    >>> from parfocal.drive import SweepSearch
    >>> from parfocal.evaluate.trial import fabricated_trial
    >>> case = ReplayCase.of(*fabricated_trial())
    >>> league = replay({"sweep": SweepSearch()}, [case], starts=[0.0])
    >>> league.standings[0].right, league.trials[0].status
    (1, 'found')
    """
    for share in starts:
        if not 0 <= share <= 1:
            raise InputError(f"A start is a share of the range, 0 to 1, but came as {share}.")
    trials: list[ReplayTrial] = []
    for case in cases:
        low, high = sorted((float(case.stack.z_um[0]), float(case.stack.z_um[-1])))
        for name, search in searches.items():
            for share in starts:
                scope = ReplayMicroscope(
                    case.stack, start_um=low + share * (high - low), interpolate=interpolate
                )
                report = autofocus(
                    scope,
                    search=search,
                    limits=replay_limits(scope, limits),
                    measure=measure,
                    setup=case.stack.setup,
                )
                trials.append(trial_of(name, case, report))
                if on_trial is not None:
                    on_trial(trials[-1])
    return League(trials=tuple(trials))


def trial_of(search: str, case: ReplayCase, report: FocusReport) -> ReplayTrial:
    """Compare a run with known focus."""
    stack, known = case.stack, case.known
    plane_um = _plane_um(stack)
    error = right = held = None
    place = None if known is None else known.position
    if known is not None and report.z_um is not None:
        if place is None:  # declining was right
            right = False
        else:
            error = report.z_um - place
            # Known focus is a plane: it may itself be half a plane off.
            right = abs(error) <= (known.tolerance + plane_um / 2) * (1 + 1e-9)
            low, high = report.interval_um or (report.z_um, report.z_um)
            held = low - plane_um / 2 <= place <= high + plane_um / 2
    return ReplayTrial(
        search=search,
        stack=stack.name,
        unit="um" if stack.z_known else "planes",
        start=report.start_um,
        status=str(report.status),
        reason=report.reason,
        z=report.z_um,
        interval=report.interval_um,
        known=place,
        error=error,
        error_planes=None if error is None else error / plane_um,
        right=right,
        held=held,
        images=report.images,
        exposure_ms=report.exposure_ms,
        seconds=report.seconds,
    )


def _plane_um(stack: FocalStack) -> float:
    return stack.z_step_um or 1.0


def _standing(name: str, trials: Sequence[ReplayTrial]) -> Standing:
    errors = [abs(t.error_planes) for t in trials if t.error_planes is not None]
    found = [t for t in trials if t.status == Status.FOUND]
    failed = sum(t.status == Status.FAILED for t in trials)
    return Standing(
        search=name,
        runs=len(trials),
        right=sum(t.right is True for t in trials),
        wrong=sum(t.right is False for t in trials),
        unjudged=sum(t.right is None for t in found),
        declined=len(trials) - len(found) - failed,
        failed=failed,
        median_error_planes=float(np.median(errors)) if errors else None,
        worst_error_planes=max(errors) if errors else None,
        median_images=float(np.median([t.images for t in trials])),
        median_exposure_ms=float(np.median([t.exposure_ms for t in trials])),
        median_seconds=float(np.median([t.seconds for t in trials])),
    )
