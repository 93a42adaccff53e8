"""The engine focuses useq sequences by images, and every frame is accounted for, whatever fails."""

from __future__ import annotations

import logging
import logging.handlers

import numpy as np
import pytest

from parfocal import drive
from parfocal.core.errors import InputError, LimitsError, ReadError, ShapeError

WHY = "the extra mm is not installed: pip install 'parfocal[mm]'"
useq = pytest.importorskip("useq", reason=WHY)
mm = pytest.importorskip("parfocal.drive.pymmcore", reason=WHY)
Corrections = pytest.importorskip("parfocal.drive.pymmcore.corrections", reason=WHY).Corrections
rig_core = pytest.importorskip("tests.fabricate.cores", reason=WHY).rig_core
AcquisitionReport, EngineSettings, FocusEngine, connect = (
    mm.AcquisitionReport, mm.EngineSettings, mm.FocusEngine, mm.connect
)  # fmt: skip

# No overshoot: faults are ordered by the number of the move.
LIMITS = drive.Limits(z_min_um=-15, z_max_um=15, approach="up", backlash_um=0.0)
SEARCH = drive.CoarseFineSearch(coarse_step_um=1.5, fine_step_um=0.5)
PLACES = [(0, 0, 0), (100, 0, 0), (200, 0, 0)]
COLOURS = ["red", {"config": "blue", "z_offset": 2.0}]


def plan(**changes):
    values = {
        "axis_order": "tpcz", "stage_positions": PLACES, "channels": COLOURS,
        "autofocus_plan": {"axes": ("p",)},
    }  # fmt: skip
    return useq.MDASequence(**values | changes)


@pytest.fixture
def built(tmp_path):
    cores = []

    def build(*, limits=LIMITS, search=SEARCH, policy="skip", settings=None, **values):
        made = rig_core(tmp_path, **{"tilt": 0.03, "width_um": 1.5} | values)
        cores.append(made.core)
        scope = connect(made.core, now_s=made.rig.now_s)
        made.engine = FocusEngine(
            scope, limits=limits, search=search, policy=policy,
            settings=EngineSettings(**settings or {}), report_path=tmp_path / "report.json",
        )  # fmt: skip
        made.frames = []
        made.core.mda.events.frameReady.connect(
            lambda image, event, meta: made.frames.append((dict(event.index), made.rig.taken[-1]))
        )
        return made

    yield build
    for core in cores:
        core.unloadAllDevices()


def adds_up(report):
    whole = len(report.taken) + len(report.lost) + len(report.skipped) + report.not_reached
    return report.planned_frames == whole


def off_um(made):
    """True defocus of each frame that was delivered."""
    return np.array([defocus for _, (_, _, defocus) in made.frames])


def test_each_position_is_focused_and_every_channel_and_plane_follows(built):
    made = built()
    report = made.engine.run(plan(z_plan={"range": 2, "step": 1}))
    assert report.ended == "done"
    assert len(report.taken) == 18 == len(made.frames)
    assert [record.outcome for record in report.focus] == ["found"] * 3
    assert np.abs(off_um(made) - np.tile([-1, 0, 1], 6)).max() < 0.3
    assert {frame.focus for frame in report.taken} == {"measured"}
    corrections = [record.correction_um for record in report.focus]
    assert corrections == pytest.approx([0, 3, 6], abs=0.3)
    assert len(report.focus_runs) == 3
    assert report.focus_runs[0].images == report.focus[0].images


def test_channel_offsets_count_without_a_z_plan_too(built):
    made = built()
    report = made.engine.run(plan())
    assert len(report.taken) == 6
    assert np.abs(off_um(made)).max() < 0.3


def test_without_an_autofocus_plan_frames_are_where_they_were_planned(built):
    made = built()
    report = made.engine.run(plan(autofocus_plan=None))
    assert [frame.z_um for frame in report.taken] == [0.0, 2.0] * 3
    assert report.focus == ()
    assert {frame.focus for frame in report.taken} == {"planned"}


def test_a_sequence_that_was_used_before_focuses_again(built):
    made = built()
    sequence = plan(stage_positions=PLACES[:1])
    assert [len(made.engine.run(sequence).focus) for _ in range(2)] == [1, 1]


def test_the_focus_channel_and_exposure_are_used_and_put_back(built):
    made = built(settings={"focus_channel": "blue", "focus_exposure_ms": 4.0})
    made.rig.exposure = 25.0
    report = made.engine.run(plan(channels=COLOURS))
    assert np.abs(off_um(made)).max() < 0.3
    assert report.focus[0].exposure_ms == pytest.approx(4.0 * report.focus[0].images)
    assert made.rig.exposure == 25.0
    alone = built(settings={"focus_channel": "blue"})
    alone.engine.run(plan(channels=[]))
    assert {channel for _, (_, channel, _) in alone.frames} == {"red"}


def test_later_time_points_start_from_the_drift_and_look_nearby(built):
    made = built(drift=0.05, settings={"near_um": 5.0})
    report = made.engine.run(plan(time_plan={"interval": 0, "loops": 3}))
    assert report.ended == "done"
    assert np.abs(off_um(made)).max() < 0.5
    images = [record.images for record in report.focus]
    assert max(images[3:]) < images[0]


@pytest.mark.parametrize("policy", ["skip", "continue", "stop"])
def test_an_empty_field_is_treated_as_the_policy_says(built, policy):
    made = built(policy=policy, empty=[(100, 0)])
    report = made.engine.run(plan())
    assert adds_up(report)
    assert report.focus[1].outcome == "missed"
    assert report.focus[1].status == "blank"
    assert report.focus[1].action == policy
    taken = [(frame.index["p"], frame.focus) for frame in report.taken]
    measured = [(p, "measured") for p in (0, 0, 2, 2)]
    if policy == "skip":
        assert taken == measured
        assert [frame.index["p"] for frame in report.skipped] == [1, 1]
        assert "no image holds structure" in report.skipped[0].reason
    elif policy == "continue":
        assert taken == [*measured[:2], (1, "predicted"), (1, "predicted"), *measured[2:]]
    else:
        assert (taken, report.ended, report.not_reached) == (measured[:2], "stopped", 4)
        assert "focus was not found" in report.reason


def test_a_frame_whose_snap_raises_is_lost_and_listed_and_the_rest_goes_on(built):
    made = built(snap_faults={1: "raise", 2: "raise"})
    skipped = []
    report = made.engine.run(plan(autofocus_plan=None), output=_Sink(skipped))
    assert adds_up(report)
    assert [(frame.index["p"], frame.index["c"]) for frame in report.lost] == [(0, 1), (1, 0)]
    assert "camera gone" in report.lost[0].reason
    assert len(made.frames) == 4
    assert report.ended == "done"


class _Sink:
    def __init__(self, seen):
        self.seen = seen

    def frameReady(self, image, event):  # noqa: N802
        self.seen.append(dict(event.index))


def test_the_file_keeps_the_place_of_a_lost_frame(built, tmp_path):
    from parfocal.io.opening import open_stack

    made = built(snap_faults={1: "raise"})
    planes = plan(
        autofocus_plan=None, channels=["red"], stage_positions=PLACES[:1],
        z_plan={"range": 3, "step": 1},
    )  # fmt: skip
    made.engine.run(planes, output=str(tmp_path / "frames.ome.zarr"))
    means = open_stack(tmp_path / "frames.ome.zarr").read().mean(dim=(1, 2))
    assert [float(mean) > 0 for mean in means] == [True, False, True, True]


def test_a_lost_frame_is_taken_again_if_that_is_allowed(built):
    made = built(snap_faults={1: "raise"}, settings={"retakes": 1})
    report = made.engine.run(plan(autofocus_plan=None))
    assert len(report.taken) == 6
    assert [frame.retries for frame in report.frames] == [0, 1, 0, 0, 0, 0]


@pytest.mark.parametrize("fault", ["raise", "stall"])
def test_a_stage_that_fails_once_is_told_again(built, fault):
    limits = LIMITS.model_copy(update={"settle_um": 0.1})
    made = built(faults={1: fault}, limits=limits)
    report = made.engine.run(plan(autofocus_plan=None))
    assert [frame.retries for frame in report.frames] == [0, 1, 0, 0, 0, 0]
    assert [frame.z_um for frame in report.taken] == [0.0, 2.0] * 3


def test_a_stage_that_is_gone_costs_frames_and_ends_the_run(built):
    made = built(faults=dict.fromkeys(range(2, 999), "raise"), settings={"most_failures": 3})
    report = made.engine.run(plan(autofocus_plan=None))
    assert adds_up(report)
    assert (len(report.taken), len(report.lost), report.not_reached) == (2, 3, 1)
    assert report.ended == "stopped"
    assert "3 frames in a row" in report.reason
    assert "serial port closed" in report.reason
    stopped = built(faults={2: "raise", 3: "raise"}, policy="stop")
    assert stopped.engine.run(plan(autofocus_plan=None)).not_reached == 3


def test_an_xy_stage_that_fails_costs_the_frames_that_it_would_misplace(built):
    made = built(settings={"retries": 0})
    made.rig.xy_fails = 1
    report = made.engine.run(plan(autofocus_plan=None))
    assert adds_up(report)
    assert len(report.lost) == 1
    assert "xy controller" in report.lost[0].reason
    assert [xy for _, (xy, _, _) in made.frames] == [(0, 0)] + [(100, 0)] * 2 + [(200, 0)] * 2


def test_focus_runs_whose_devices_fail_are_listed(built):
    made = built(snap_faults={0: "raise"})
    report = made.engine.run(plan())
    assert adds_up(report)
    assert report.focus[0].outcome == "failed"
    assert "camera gone" in report.focus[0].reason
    assert [frame.index["p"] for frame in report.skipped] == [0, 0]
    assert len(report.taken) == 4


def test_who_moves_the_stage_beside_stops_the_run(built):
    made = built()

    def push(image, event, meta):
        if event.index["p"] == 1:
            made.rig.z_um += 5.0

    made.core.mda.events.frameReady.connect(push)
    report = made.engine.run(plan(autofocus_plan=None))
    assert adds_up(report)
    assert report.ended == "stopped"
    assert "another program or hand" in report.reason
    assert made.rig.z_um == 5.0


def test_a_sequence_beyond_the_limits_is_refused_before_anything_moves(built):
    made = built()
    beyond = plan(stage_positions=[(0, 0, 0), (9, 0, 14)], channels=COLOURS)
    with pytest.raises(LimitsError, match="z = 16 um lies outside"):
        made.engine.run(beyond)
    assert made.rig.commands == []
    assert made.rig.xy == (0.0, 0.0)
    assert made.engine.report.ended == "cancelled"
    outside = built(z_um=40.0)
    with pytest.raises(LimitsError, match="stands at"):
        outside.engine.run(plan())
    with pytest.raises(InputError, match="'skip', 'continue' or 'stop'"):
        FocusEngine(made.core, limits=LIMITS, policy="hope")


@pytest.mark.parametrize("cap", [None, 0.7])
def test_no_command_leaves_the_limits_or_exceeds_the_step(built, cap):
    limits = LIMITS.model_copy(update={"max_step_um": cap, "approach": "up", "backlash_um": 1.0})
    made = built(limits=limits, tilt=0.05, faults={9: "raise", 30: "stall"})
    report = made.engine.run(plan(z_plan={"range": 2, "step": 1}))
    assert adds_up(report)
    commands, before = np.array(made.rig.commands), np.array(made.rig.before)
    assert commands.min() >= limits.low_um
    assert commands.max() <= limits.high_um
    if cap is not None:
        assert np.abs(commands - before).max() <= cap + 1e-9


def test_cancelling_from_outside_is_in_the_account(built):
    made = built()
    made.core.mda.events.frameReady.connect(
        lambda image, event, meta: event.index["p"] == 1 and made.core.mda.cancel()
    )
    report = made.engine.run(plan(autofocus_plan=None))
    assert (report.ended, len(report.taken), report.not_reached) == ("cancelled", 3, 3)


def test_the_account_is_written_and_read_back(built, tmp_path):
    made = built(empty=[(100, 0)])
    report = made.engine.run(plan())
    again = AcquisitionReport.load(tmp_path / "report.json")
    assert again.to_dict() == report.to_dict()
    text = report.summary()
    assert "6 planned = 4 taken + 0 lost + 2 skipped + 0 not reached" in text
    assert "p1 c0: missed" in text
    (tmp_path / "other.json").write_text("[]", "utf-8")
    with pytest.raises(ReadError, match="acquisition record"):
        AcquisitionReport.load(tmp_path / "other.json")


def test_a_property_that_cannot_be_set_is_noted_with_its_frame(built):
    made = built()
    events = [useq.MDAEvent(index={"p": 0}, properties=[("Eye", "Colour", "green")])]
    report = made.engine.run(events)
    assert report.planned_frames is None
    assert "Failed to set property Colour" in report.taken[0].reason
    assert report.ended == "done"


class _FullDisk:
    """Refuses every frame; a sink of pymmcore-plus."""

    def setup(self, sequence, meta):
        pass

    def append(self, image, event, meta):
        raise OSError("no space left on device")

    def skip(self, *, frames):
        pass

    def close(self):
        pass


def test_a_frame_that_cannot_be_written_is_not_called_taken(built, monkeypatch):
    from pymmcore_plus.mda import _runner

    made = built()
    monkeypatch.setattr(
        _runner.OmeWritersSink, "from_output", staticmethod(lambda *a, **k: _FullDisk())
    )
    with pytest.raises(OSError, match="no space left"):
        made.engine.run(plan(autofocus_plan=None), output="frames.ome.zarr")
    report = made.engine.report
    assert adds_up(report)
    assert (report.ended, len(report.taken), len(report.lost)) == ("stopped", 0, 1)
    assert "could not be written" in report.reason


def test_a_silenced_logger_hides_no_reason(built):
    logger = logging.getLogger("pymmcore-plus")
    level = logger.level
    made = built(snap_faults={0: "raise"})
    seen = logging.handlers.BufferingHandler(100)
    logger.addHandler(seen)
    logger.setLevel(logging.ERROR)
    try:
        report = made.engine.run(plan(autofocus_plan=None))
        assert logger.level == logging.ERROR
    finally:
        logger.setLevel(level)
        logger.removeHandler(seen)
    assert "camera gone" in report.lost[0].reason
    assert seen.buffer == []


def test_the_budget_holds_for_the_near_search_and_the_wide_one_together(built):
    looking = pytest.importorskip("parfocal.drive.pymmcore.looking", reason=WHY)
    made = built(focus_um=9.0, tilt=0.0)
    free = looking.look(made.engine.scope, search=SEARCH, limits=LIMITS, near_um=4.0)
    assert [report.found for report in free] == [False, True]
    near, wide = (report.images for report in free)
    made.engine.scope.move_to_um(0.0)
    capped = LIMITS.model_copy(update={"max_images": wide})
    spent = looking.look(made.engine.scope, search=SEARCH, limits=capped, near_um=4.0)
    assert len(spent) == 2
    assert sum(report.images for report in spent) <= wide < near + wide


def test_ctrl_c_closes_the_account_and_the_engine_runs_again(built, tmp_path):
    made = built(snap_faults={2: "interrupt"})
    with pytest.raises(KeyboardInterrupt):
        made.engine.run(plan(autofocus_plan=None))
    report = AcquisitionReport.load(tmp_path / "report.json")
    assert (report.ended, len(report.taken), report.not_reached) == ("cancelled", 2, 4)
    assert made.engine.run(plan(autofocus_plan=None)).ended == "done"


def test_only_the_region_is_focused_on(built):
    made = built(settings={"region": (0, 40, 0, 40)})
    assert len(made.engine.run(plan()).taken) == 6
    outside = built(settings={"region": (0, 500, 0, 500)})
    with pytest.raises(ShapeError, match="does not lie inside images of 48 x 48 px"):
        outside.engine.run(plan())
    assert outside.rig.z_um == 0.0
    assert outside.engine.report.ended == "cancelled"


def test_corrections_carry_drift_and_fall_back_on_the_others():
    known = Corrections()
    for minute in range(0, 60, 10):
        known.found((0, None), minute, 1.0 + minute / 60, time_s=60.0 * minute)
    now, basis = known.at((0, None), 60, time_s=3600.0)
    assert basis == "predicted"
    assert now == pytest.approx(2.0, abs=0.1)
    assert known.at((0, None), 60, time_s=9999.0) == (now, "predicted")
    assert known.at((0, None), 50, time_s=3600.0)[1] == "measured"
    known.missed((0, None), "empty")
    assert known.refusal((0, 5)) == "empty"
    assert known.at((0, None), 50, time_s=3000.0)[1] == "predicted"
