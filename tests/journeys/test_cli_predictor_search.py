"""``parfocal drive --search predictor``: the plumbing, with a network that knows nothing."""

from __future__ import annotations

import json

import pytest

from tests.fabricate.models import write_tiny_model


@pytest.fixture(autouse=True)
def _models(tmp_path, monkeypatch):
    write_tiny_model(tmp_path / "models" / "pair-fluorescence")
    write_tiny_model(tmp_path / "models" / "doubtful", is_sure=False)
    monkeypatch.setenv("PARFOCAL_MODELS", str(tmp_path / "models"))


def test_a_network_drives_and_its_record_is_replayed(parfocal, tmp_path):
    status, out, err = parfocal(
        "drive", "--virtual=beads-20x", "--search=predictor", "--start-um=0.5", "--json",
        "--record", tmp_path / "run",
    )  # fmt: skip
    report = json.loads(out)["report"]
    assert (status, err) == (0, "")
    assert report["search"]["predictor"] == "pair-fluorescence"
    assert report["search"]["images"] == 2
    assert report["shots"][0]["why"] == "predict from it"
    # It says that focus is half-way between its images: near enough to land, and to be judged.
    assert any(shot["why"] == "land by sharpness" for shot in report["shots"])
    assert report["status"] in ("found", "uncertain", "edge", "ambiguous")
    assert (report["z_um"] is None) == (report["status"] != "found")
    status, out, _ = parfocal("drive", "--replay", tmp_path / "run", "--json")
    assert status == 0
    assert json.loads(out)["report"]["search"] == report["search"]


def test_a_network_that_declines_leaves_the_stage_at_its_start(parfocal):
    status, out, _ = parfocal(
        "drive", "--virtual=beads-20x", "--search=predictor", "--model=doubtful", "--start-um=4"
    )
    assert status == 0
    assert "uncertain: no answer" in out
    assert "the predictor declined" in out
    assert "back at the start" in out


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--search=predictor", "--model=psychic"], "pair-fluorescence"),
        (["--search=brent", "--model=pair-fluorescence"], "--search predictor"),
        (["--search=predictor", "--option=land_images=2"], "fewer than 4"),
        (["--search=predictor", "--device=abacus"], "no device 'abacus'"),
    ],
)
def test_a_wrong_call_gets_one_line(arguments, text, parfocal):
    status, _, err = parfocal("drive", "--virtual=beads-20x", *arguments)
    assert status == 2
    assert text in err
    assert err.count("\n") == 1


def test_the_list_names_it_with_its_settings(parfocal):
    _, out, _ = parfocal("drive", "--search", "list")
    row = next(line for line in out.splitlines() if line.startswith("predictor"))
    assert "predictor=pair-fluorescence" in row
    assert "land_images=" in row
