"""``parfocal benchmark li2021 --quick`` from scenes to page."""

from __future__ import annotations

import json

import pytest

from parfocal.simulate.sheet_scenes import SEEN, UNSEEN, SceneSet
from tests.fabricate.sheets import fabricate_scenes


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A cache whose scenes are there: simulating them takes longer."""
    place = tmp_path_factory.mktemp("li2021")
    scenes = place / "quick" / "scenes"
    for split in ("train", "validation"):
        fabricate_scenes(SceneSet(split=split, thick=0, flat=1, size_px=128), scenes)
    tissues = (SEEN[0], UNSEEN)
    wanted = SceneSet(split="test", tissues=tissues, thick=0, flat=1, size_px=384)
    fabricate_scenes(wanted, scenes)
    return place


def test_the_quick_benchmark_trains_asks_and_reports(folder, parfocal, tmp_path):
    page = tmp_path / "li2021.html"
    call = ("benchmark", "li2021", "--quick", "--folder", folder)
    status, out, err = parfocal(*call, "--report", page)
    assert status == 0, err
    assert "flat, unseen tissue" in out
    assert "DCTS as published" in out
    assert page.read_text().count("data:image/png") == 3
    weights = sorted((folder / "quick" / "networks").glob("*/weights.safetensors"))
    assert [path.parent.name for path in weights] == ["2-images", "pair-light-sheet"]
    before = [path.stat().st_mtime_ns for path in weights]
    status, out, _ = parfocal(*call, "--json")
    found = json.loads(out)
    assert status == 0
    networks = {row["method"] for row in found["ratios"]} - {"ours, general"}
    assert networks == {"Li 2021", "ours, light sheet", "ours, after one move"}
    assert [row["images"] for row in found["studies"]] == [2]
    assert [path.stat().st_mtime_ns for path in weights] == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--model", "absent"), "--model"),
        (("--report", "/absent/page.html"), "no folder"),
        (("--levels", "99"), "levels"),
    ],
)
def test_a_wrong_call_is_one_line(arguments, said, folder, parfocal):
    status, out, err = parfocal("benchmark", "li2021", "--quick", "--folder", folder, *arguments)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert said in err
