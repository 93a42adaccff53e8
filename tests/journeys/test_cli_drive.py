"""``parfocal drive`` on simulated microscopes, real configurations and saved runs."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest

from parfocal.cli import driving
from parfocal.drive import FocusReport, read_positions
from parfocal.simulate.microscope import VirtualMicroscope

VIRTUAL = ("drive", "--virtual", "beads-20x", "--start-um", "6")
NEAR = ("--z-min-um", "-12", "--z-max-um", "12")
CONFIG = Path(__file__).resolve().parents[2] / "examples" / "virtual_microscope.cfg"


@pytest.fixture
def scopes(monkeypatch):
    """Every simulated microscope that a command opens."""
    made, real = [], VirtualMicroscope.__init__

    def note(self, *args, **values):
        real(self, *args, **values)
        made.append(self)

    monkeypatch.setattr(VirtualMicroscope, "__init__", note)
    return made


def test_focus_is_found_and_the_stage_left_there(parfocal, scopes):
    status, out, err = parfocal(*VIRTUAL, *NEAR)
    assert (status, err) == (0, "")
    lines = out.splitlines()
    answer = next(line for line in lines if line.startswith("found: focus at "))
    z_um, low, high, truth = (float(text) for text in re.findall(r"-?\d+\.\d+(?= )", answer)[:4])
    assert abs(z_um - truth) < 0.3
    assert low < z_um < high
    assert scopes[0].position_um() == pytest.approx(z_um, abs=0.1)
    assert sum("score" in line for line in lines) > 3
    assert re.search(r"stage: from 6.00 um, now at .* at the answer", lines[-1])


def test_json_is_one_object_with_the_whole_run(parfocal):
    status, out, _ = parfocal(*VIRTUAL, *NEAR, "--json", "--search", "early-stop")
    held = json.loads(out)
    assert (status, held["task"], held["report"]["status"]) == (0, "focus", "found")
    assert held["report"]["search"]["kind"] == "early-stop"
    assert abs(held["report"]["z_um"] - held["true_focus_um"]) < 0.3
    assert len(held["report"]["shots"]) == held["report"]["images"]


def test_a_decline_is_a_result(parfocal, scopes):
    arguments = ("--virtual", "beads-20x", "--z-min-um", "15", "--z-max-um", "25")
    status, out, err = parfocal("drive", *arguments, "--start-um", "20", "--max-images", "9")
    assert (status, err) == (0, "")
    assert "no answer" in out
    assert "now at 20.00 um, back at the start" in out
    assert scopes[0].position_um() == pytest.approx(20.0, abs=0.1)


def test_a_device_that_fails_is_status_one(parfocal, monkeypatch):
    from parfocal.core.errors import CameraError

    def gone(self):
        raise CameraError("the camera is gone")

    monkeypatch.setattr(VirtualMicroscope, "snap", gone)
    status, out, _ = parfocal(*VIRTUAL, *NEAR)
    assert status == 1
    assert "failed: no answer" in out
    assert "the camera is gone" in out
    assert "back at the start" in out


def test_an_interrupt_leaves_the_stage_where_policy_says(parfocal, monkeypatch, scopes):
    real, count = VirtualMicroscope.snap, [0]

    def interrupted(self):
        count[0] += 1
        if count[0] == 4:
            raise KeyboardInterrupt
        return real(self)

    monkeypatch.setattr(VirtualMicroscope, "snap", interrupted)
    status, _, err = parfocal(*VIRTUAL, *NEAR)
    assert status == 130
    assert "interrupted; stage from 6.00 um, now at 6.00 um, back at the start" in err
    assert scopes[0].position_um() == pytest.approx(6.0, abs=0.1)


def test_the_page_shows_every_image_and_the_record_is_replayed(parfocal, tmp_path):
    page, place = tmp_path / "run.html", tmp_path / "rec"
    status, out, _ = parfocal(*VIRTUAL, *NEAR, "--report", page, "--record", place)
    assert status == 0
    assert out.splitlines()[-2:] == [f"record: {place}", f"report: {page}"]
    report = FocusReport.load(place / "record.json")
    text = page.read_text(encoding="utf-8")
    assert text.count('<img alt="image ') == report.images
    assert "Image at the answer" in text
    assert "<script" not in text
    assert "http" not in text.replace("http-equiv", "")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rec", "run.html"]
    status, out, err = parfocal("drive", "--replay", place, "--json")
    assert (status, err) == (0, "")
    again = json.loads(out)["report"]
    assert again["z_um"] == pytest.approx(report.z_um)
    assert again["search"] == report.search
    status, out, err = parfocal("benchmark", "replay", place, "--search", "sweep", "--json")
    assert (status, err) == (0, "")
    status, _, err = parfocal(*VIRTUAL, *NEAR, "--record", place)
    assert (status, "--overwrite" in err) == (2, True)
    status, _, err = parfocal(*VIRTUAL, *NEAR, "--record", place, "--overwrite")
    assert (status, err) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("drive",), "--virtual"),
        (("drive", "--virtual", "stargate"), "beads-20x"),
        ((*VIRTUAL, "--search", "psychic"), "coarse-fine"),
        ((*VIRTUAL, "--option", "colour=3"), "range_um"),
        ((*VIRTUAL, "--measure", "beauty"), "tenengrad"),
        ((*VIRTUAL, "--measure", "tenengrad", "--na", "2"), "--na"),
        ((*VIRTUAL, "--z-min-um", "9", "--z-max-um", "2"), "exchange"),
        ((*VIRTUAL, "--z-min-um", "9", "--z-max-um", "12"), "--start-um"),
        ((*VIRTUAL, "--approach", "any", "--backlash-um", "1"), "approach"),
        ((*VIRTUAL, "--region", "0:5"), "Y0:Y1,X0:X1"),
        (("drive", "--config", CONFIG), "--z-min-um"),
        (("drive", "--config", CONFIG, *NEAR, "--na", "0.5"), "--pixel-um"),
    ],
)
def test_a_wrong_call_is_one_line(arguments, said, parfocal):
    status, out, err = parfocal(*arguments)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert said in err


def test_searches_and_microscopes_are_listed(parfocal):
    status, out, _ = parfocal("drive", "--search", "list")
    assert status == 0
    assert all(word in out for word in ("coarse-fine", "brent", "range_um=auto"))
    status, out, _ = parfocal("drive", "--virtual", "list")
    assert status == 0
    assert "light-sheet-10x" in out


# A rehearsal


def test_a_dry_run_on_a_copy_prints_every_move_that_the_run_then_makes(parfocal):
    status, out, _ = parfocal(*VIRTUAL, *NEAR, "--dry-run")
    assert status == 0
    told = [float(z) for z in re.findall(r"^ +\d+  to +(\S+) um", out, re.MULTILINE)]
    _, out, _ = parfocal(*VIRTUAL, *NEAR, "--json")
    made = [move["z_commanded_um"] for move in json.loads(out)["report"]["moves"]]
    assert told == pytest.approx(made, abs=0.006)


def test_a_dry_run_on_a_real_configuration_touches_no_device(parfocal, monkeypatch):
    monkeypatch.setattr(
        "parfocal.cli.rehearsal.open_microscope", lambda request: pytest.fail("opened")
    )
    arguments = ("--config", CONFIG, *NEAR, "--start-um", "3", "--dry-run", "--search", "sweep")
    status, out, err = parfocal("drive", *arguments, "--option", "step_um=4")
    assert (status, err) == (0, "")
    assert "nothing was moved" in out
    told = [float(z) for z in re.findall(r"^ +\d+  to +(\S+) um", out, re.MULTILINE)]
    assert told == [-12, -8, -4, 0, 4, 8, 12]
    assert "then it depends on the images" in out
    status, out, _ = parfocal("drive", *arguments, "--json")
    assert json.loads(out)["certain_moves_um"][0] == -12.0
    arguments = ("--config", CONFIG, *NEAR, "--start-um", "99", "--dry-run")
    status, _, err = parfocal("drive", *arguments)
    assert (status, "refuse to begin" in err) == (2, True)


@pytest.mark.parametrize(
    ("task", "said"),
    [(("--hold", "300"), "6 checks"), (("--map", "2x2"), "places of the map")],
)
def test_a_dry_run_of_a_watch_or_a_map_says_what_surrounds_the_runs(task, said, parfocal):
    status, out, _ = parfocal(*VIRTUAL, *NEAR, *task, "--dry-run")
    assert status == 0
    assert said in out


# Watch, map, sequence


def test_a_watch_says_every_check_and_ends_in_focus(parfocal, tmp_path, scopes):
    page = tmp_path / "hold.html"
    status, out, err = parfocal(*VIRTUAL, *NEAR, "--hold", "180", "--report", page)
    assert (status, err) == (0, "")
    assert len(re.findall(r"^ +\d+ s  (measured|predicted)", out, re.MULTILINE)) == 4
    assert "stage: now at" in out
    assert abs(scopes[0].truth.defocus_um()) < 0.6
    assert "True focus" in page.read_text(encoding="utf-8").replace("true focus", "True focus")


def test_a_map_is_written_as_positions_in_focus(parfocal, tmp_path, scopes):
    page, places, record = (tmp_path / name for name in ("map.html", "grid.csv", "rec"))
    status, out, err = parfocal(
        *VIRTUAL, *NEAR, "--map", "2x2", "--pitch-um", "60", "--report", page,
        "--positions", places, "--record", record,
    )  # fmt: skip
    assert (status, err) == (0, "")
    assert "4 places" in out
    held = read_positions(places)
    assert len(held) == 4
    scope = scopes[0]
    for place in held:
        assert place.z_um == pytest.approx(scope.truth.focus_um(place.x_um, place.y_um), abs=0.5)
    assert len(list(csv.reader(places.read_text(encoding="utf-8").splitlines()))) >= 5
    assert len(list(record.rglob("record.json"))) == 4
    assert "Focus map" in page.read_text(encoding="utf-8")


SEQUENCE = """
stage_positions: [{x: 0, y: 0, z: 2}, {x: 30, y: 0, z: 2}]
channels: [{config: light, exposure: 10}]
autofocus_plan: {autofocus_motor_offset: 0, axes: [p]}
"""


def test_a_sequence_is_focused_and_accounted_for(parfocal, tmp_path):
    plan = tmp_path / "plan.yaml"
    plan.write_text(SEQUENCE, encoding="utf-8")
    frames, page = tmp_path / "frames.ome.zarr", tmp_path / "seq.html"
    status, out, err = parfocal(
        "drive", "--virtual", "beads-20x", *NEAR, "--sequence", plan, "--frames", frames,
        "--report", page,
    )  # fmt: skip
    assert (status, err) == (0, "")
    assert "2 planned = 2 taken + 0 lost + 0 skipped + 0 not reached" in out
    assert "2 found" in out
    assert frames.exists()
    assert page.exists()


def test_a_real_configuration_is_driven(parfocal):
    status, out, err = parfocal("drive", "--config", CONFIG, *NEAR)
    assert (status, err) == (0, "")
    assert "found: focus at" in out
    assert "true focus" not in out


def test_a_terminal_sees_a_growing_curve(parfocal, monkeypatch):
    from io import StringIO

    from rich.console import Console

    from parfocal.cli.live import watching

    told = StringIO()
    console = Console(file=told, force_terminal=True, width=70)
    monkeypatch.setattr(
        driving, "watching", lambda silent: watching(silent=silent, console=console)
    )
    status, out, _ = parfocal(*VIRTUAL, *NEAR)
    assert status == 0
    assert "@" in told.getvalue()
    assert "score" in told.getvalue()
    assert "coarse sweep" not in out
