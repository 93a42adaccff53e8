"""Tables and objects hold the same answers, and no number where there is none."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest
from rich.console import Console

from parfocal.cli.tables import csv_text, json_text, print_table, tally
from parfocal.core.results import FocusCurve, FocusEstimate, Status
from parfocal.core.stack import FocalStack
from parfocal.evaluate.fields import record_of


def _record(name="a", *, status="found", z_known=True, **values):
    z = np.arange(5.0) if not z_known else np.arange(5.0) * 2
    stack = FocalStack(
        images=np.zeros((5, 4, 6)), z_um=z, name=name, source=f"{name}.tif", z_known=z_known
    )
    scores = np.array([1.0, 2.0, np.nan, 2.0, 1.0])
    curve = FocusCurve(z_um=z, scores=scores, measure="brenner")
    if status == "found":
        values |= {"index": 2, "plane": 2.25, "interval_planes": (2.0, 2.5)}
        if z_known:
            values |= {"z_um": 4.5, "interval_um": (4.0, 5.0)}
    estimate = FocusEstimate(
        status=Status(status), reason="so it is", curve=curve, measure="brenner", **values
    )
    return record_of(stack, estimate)


def _printed(records, **console):
    console = Console(file=io.StringIO(), **console)
    print_table(records, console)
    return console.file.getvalue()


def test_plain_table_has_one_line_a_field_whatever_the_width():
    records = [_record("a" * 90), _record("b", status="flat"), _record("c [red]x[/]")]
    lines = _printed(records, force_terminal=False, width=60).splitlines()
    assert len(lines) == 5
    assert lines[1].split()[1:6] == ["found", "4.5", "4.0", "to", "5.0"]
    assert lines[2].split()[:5] == ["b", "flat", "-", "-", "-"]
    assert "so it is. Take planes over a longer range" in lines[2]
    assert "c [red]x[/]" in lines[3]
    assert lines[4] == "3 fields: 2 keep, 1 image again."


@pytest.mark.parametrize("width", [40, 60, 80, 100, 200])
def test_table_fits_the_terminal(width):
    text = _printed([_record("field"), _record("b", status="edge")], force_terminal=True,
                    width=width, color_system=None)  # fmt: skip
    assert max(len(line) for line in text.splitlines()) <= width
    assert "found" in text
    assert "keep" in text
    assert ("90 % interval" in text) == (width >= 90)
    assert ("measure" in text) == (width >= 120)


def test_unknown_z_is_told_in_planes_beside_known_z():
    text = _printed([_record("a"), _record("b", z_known=False)], force_terminal=False)
    assert "4.5 um" in text
    assert "plane 2.25" in text
    assert "z (plane)" in _printed([_record("b", z_known=False)], force_terminal=False)


def test_json_is_strict_and_whole():
    def refuse(text):
        raise AssertionError(text)

    whole = json.loads(
        json_text([_record(), _record("b", status="flat")], [("bad.tif", "empty")]),
        parse_constant=refuse,
    )
    assert set(whole) == {"parfocal", "results", "failed"}
    found, flat = whole["results"]
    assert found["z_um"] == 4.5
    assert found["interval_um"] == [4.0, 5.0]
    assert found["curve"]["scores"][2] is None
    assert (flat["status"], flat["z_um"], flat["index"], flat["plane"]) == (
        "flat",
        None,
        None,
        None,
    )
    assert flat["verdict"] == "image again"
    assert whole["failed"] == [{"source": "bad.tif", "error": "empty"}]


def test_csv_has_empty_cells_where_there_is_no_answer():
    rows = list(csv.DictReader(io.StringIO(csv_text([_record('a, "b"'), _record(status="edge")]))))
    assert rows[0]["name"] == 'a, "b"'
    assert (rows[0]["z_um"], rows[0]["interval_low_um"]) == ("4.5", "4.0")
    for column in ("z_um", "index", "plane", "interval_low_um", "interval_high_planes"):
        assert rows[1][column] == ""
    assert rows[1]["reason"] == "so it is"


def test_tally_counts_verdicts():
    assert tally([_record()]) == "1 field: 1 keep."
    warned = _record(warnings=("look",))
    assert tally([_record(), warned]) == "2 fields: 1 keep, 1 check."


def test_control_characters_of_names_reach_no_terminal():
    records = [_record("a\x1b[31mb\x9bc"), _record("d\udcffe")]
    shown = [_printed(records, force_terminal=False), csv_text(records), json_text(records, [])]
    shown.append(_printed(records, force_terminal=True, width=60, color_system=None))
    for text in shown:
        assert not {"\x1b", "\x9b", "\udcff"} & set(text)
        text.encode()
