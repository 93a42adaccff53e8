"""Whatever is asked of the gate, in whatever order, and whatever fails: the envelope holds."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from parfocal.core.errors import ParfocalError
from parfocal.core.results import Status
from parfocal.drive import Gate, Limits, Proposal, autofocus
from parfocal.drive.watchdog import Outcome
from tests.fabricate.effort import THOROUGH
from tests.fabricate.microscopes import StreamingScope

FAULTS = ("raise", "stall", "lie", "nan", "slow", "interrupt")
SNAP_FAULTS = ("raise", "nan", "shape", "colour", "interrupt")
SEEDS = st.integers(0, 2**32 - 1)


def _some(dice, *values):
    return values[dice.integers(len(values))]


def _case(seed):
    """Limits, and a microscope that may fail, drawn by one number."""
    dice = np.random.default_rng(seed)
    low = float(dice.uniform(-50, 50))
    high = low + float(dice.uniform(0.5, 30))
    limits = Limits(
        z_min_um=low,
        z_max_um=high,
        max_step_um=_some(dice, None, 0.7, 3.0),
        approach=_some(dice, None, "up", "down"),
        backlash_um=_some(dice, None, 0.0, 0.5, 40.0),
        settle_um=_some(dice, None, 0.2, 1.0),
        settle_s=_some(dice, 0.0, 0.1),
        max_images=_some(dice, None, 1, 5),
        max_exposure_ms=_some(dice, None, 55.0),
        max_seconds=_some(dice, None, 0.5),
        after_failure=_some(dice, "start", "best"),
        toward_sample=_some(dice, "up", "down"),
        timeout_s=None,
    )
    scope = StreamingScope(
        z_um=_some(dice, low, high, float(dice.uniform(low, high))),
        size=8,
        faults={int(dice.integers(12)): _some(dice, *FAULTS) for _ in range(dice.integers(3))},
        snap_faults={
            int(dice.integers(8)): _some(dice, *SNAP_FAULTS) for _ in range(dice.integers(2))
        },
    )
    return dice, limits, scope


def _check_envelope(scope, limits, start_um):
    sent = np.array([start_um, *scope.commands])
    assert (sent >= limits.low_um - 1e-6).all()
    assert (sent <= limits.high_um + 1e-6).all()
    if limits.max_step_um is not None:
        cap = limits.max_step_um * (1 + 1e-9) + 1e-9
        assert np.abs(np.diff(sent)).max(initial=0.0) <= cap
        reported = np.array(scope.before)
        assert not (np.abs(sent[1:] - reported) > cap).any()
    if limits.max_images is not None:
        assert scope.images <= limits.max_images
    if limits.max_exposure_ms is not None:
        assert scope.images * scope.exposure <= limits.max_exposure_ms


@settings(max_examples=400 * THOROUGH)
@given(SEEDS)
def test_no_order_of_moves_images_and_sweeps_breaks_the_envelope(seed):
    dice, limits, scope = _case(seed)
    start_um = scope.z_um
    with Gate(scope, limits) as gate:
        for _ in range(8):
            goals = dice.uniform(limits.low_um - 2, limits.high_um + 2, size=2).tolist()
            with Outcome() as asked:
                kind = _some(dice, "move", "move", "snap", "sweep", "late")
                if kind == "snap":
                    gate.snap()
                elif kind == "sweep":
                    list(gate.sweep(*goals, 3))
                else:
                    gate.move_to_um(goals[0], late=kind == "late")
            assert asked.error is None or isinstance(
                asked.error, (ParfocalError, KeyboardInterrupt)
            )
        assert gate.images >= scope.images
    _check_envelope(scope, limits, start_um)


class _Dice:
    """A search that looks anywhere inside the limits, and then answers anything or nothing."""

    def __init__(self, dice):
        self.dice = dice

    def propose(self, eye):
        for _ in range(self.dice.integers(1, 6)):
            eye.look(float(self.dice.uniform(eye.limits.low_um, eye.limits.high_um)))
        z_um = float(self.dice.uniform(eye.limits.low_um - 1, eye.limits.high_um + 1))
        return Proposal(status=_some(self.dice, *Status), reason="by chance", z_um=z_um)


@settings(max_examples=200 * THOROUGH)
@given(SEEDS)
def test_any_search_leaves_the_stage_where_the_report_says(seed):
    dice, limits, scope = _case(seed)
    start_um, reports = scope.z_um, []
    with Outcome() as run:
        autofocus(
            scope,
            search=_Dice(dice),
            limits=limits,
            measure=lambda image: float(image.var()),
            on_report=reports.append,
        )
    assert run.error is None or isinstance(run.error, KeyboardInterrupt)
    _check_envelope(scope, limits, start_um)
    (report,) = reports
    assert report.found == (report.ended == "answer") == (report.z_um is not None)
    if report.ended == "unknown" or {"lie", "nan"} & set(scope.faults.values()):
        return
    slack = limits.settle_um or limits.still_um
    assert report.reached_um == scope.z_um
    best = max(report.shots, key=lambda shot: shot.score, default=None)
    place = {"start": start_um, "answer": report.z_um}.get(
        report.ended, best and best.z_commanded_um
    )
    assert abs(scope.z_um - place) <= slack + 0.03
