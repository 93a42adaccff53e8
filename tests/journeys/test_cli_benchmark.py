"""``parfocal benchmark replay`` on stacks on disk and on the real ones."""

from __future__ import annotations

import csv
import io
import json

import pytest

from parfocal.cli.searches import search_kinds

SEARCHES = ("--search", "sweep", "--search", "brent")


@pytest.fixture
def stack(write):
    return write("a.ome.tif", 24.0, planes=25)


APART = ("continuous-sweep",)  # a recorded stack does not stream


def test_the_league_is_printed(stack, parfocal):
    status, out, err = parfocal("benchmark", "replay", stack, *SEARCHES)
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].split()[:4] == ["search", "runs", "right", "wrong"]
    assert {line.split()[0] for line in lines[1:3]} == {"sweep", "brent"}
    assert lines[-1] == "1 stack, 6 runs; medians a run. No answer was wrong."
    status, out, _ = parfocal("benchmark", "replay", stack, *SEARCHES, "--runs", "--starts", "0.5")
    assert status == 0
    assert sum(line.endswith("  right") for line in out.splitlines()) >= 1


def test_json_and_csv_hold_every_run(stack, parfocal):
    call = ("benchmark", "replay", stack, *SEARCHES, "--starts", "0.2,0.8")
    _, out, _ = parfocal(*call, "--json")
    held = json.loads(out)
    assert [row["search"] for row in held["standings"]]
    assert len(held["trials"]) == 4
    assert held["not_processed"] == []
    _, out, _ = parfocal(*call, "--csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert len(rows) == 4
    assert rows[0]["search"] == "sweep"
    assert float(rows[0]["interval_low"]) < float(rows[0]["z"]) < float(rows[0]["interval_high"])


def test_a_budget_makes_searches_decline(stack, parfocal):
    call = ("benchmark", "replay", stack, "--search", "sweep", "--max-images", "2", "--json")
    status, out, _ = parfocal(*call)
    (row,) = json.loads(out)["standings"]
    assert (status, row["declined"]) == (0, 3)
    assert row["median_images"] <= 2


def test_an_input_that_cannot_be_read_is_named_and_the_rest_done(stack, parfocal, tmp_path):
    bad = tmp_path / "bad.ome.tif"
    bad.write_bytes(b"no tiff")
    status, out, err = parfocal("benchmark", "replay", stack, bad, "--search", "sweep")
    assert status == 1
    assert "bad.ome.tif" in err
    assert "1 stack, 3 runs" in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "no stack"),
        (("absent.tif",), "absent.tif"),
        (("STACK", "--search", "psychic"), "coarse-fine"),
        (("STACK", "--measure", "beauty"), "tenengrad"),
        (("STACK", "--starts", "2"), "shares"),
        (("STACK", "--starts", "middle"), "shares"),
        (("STACK", "--json", "--csv"), "exclude"),
    ],
)
def test_a_wrong_call_is_one_line(arguments, said, stack, parfocal):
    arguments = [str(stack) if text == "STACK" else text for text in arguments]
    status, out, err = parfocal("benchmark", "replay", *arguments)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert said in err


def _answers(parfocal, shared_data, *searches):
    named = [word for search in searches for word in ("--search", search)]
    status, out, _ = parfocal(
        "benchmark", "replay", shared_data / "bfseg_yeast" / "test.tif", "--z-step-um", "0.3",
        "--json", *named,
    )  # fmt: skip
    assert status == 0
    return json.loads(out)["trials"]


def test_a_phase_object_is_declined_by_every_search(shared_data, parfocal):
    trials = _answers(parfocal, shared_data, *(k for k in search_kinds() if k not in APART))
    assert len(trials) >= 3 * 8
    assert {trial["status"] for trial in trials} <= {"ambiguous", "edge", "uncertain"}
