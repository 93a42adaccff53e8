"""``parfocal benchmark li2023 --quick`` from stacks to page."""

from __future__ import annotations

import json

import pytest

from parfocal.simulate.thick_scenes import FIRST_SEED, SEEN, UNSEEN, ThickSet
from tests.fabricate.thick import fabricate_thick


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A cache whose stacks are there: simulating them takes longer."""
    place = tmp_path_factory.mktemp("li2023")
    sizes = {"each": 1, "size_px": 64, "planes": 4}
    for split in FIRST_SEED:
        families = (SEEN[0], UNSEEN[0]) if split == "test" else (SEEN[0],)
        scenes = ThickSet(split=split, families=families, **sizes)
        fabricate_thick(scenes, place / "quick" / "scenes")
    return place


def test_the_quick_benchmark_trains_asks_and_reports(folder, parfocal, tmp_path):
    page = tmp_path / "li2023.html"
    call = ("benchmark", "li2023", "--quick", "--folder", folder)
    status, out, err = parfocal(*call, "--report", page)
    assert status == 0, err
    for text in ("Li 2023, fine-tuned", "0.832", "rule: std, as published", "Shepp-Logan"):
        assert text in out
    assert page.read_text().count("data:image/png") == 4
    weights = sorted((folder / "quick" / "networks").rglob("weights.safetensors"))
    assert [path.parent.name for path in weights] == ["pre-trained", "li2023"]
    before = [path.stat().st_mtime_ns for path in weights]
    status, out, _ = parfocal(*call, "--json")
    found = json.loads(out)
    assert status == 0
    assert [row["kind"] for row in found["rows"]][:2] == ["network", "network"]
    assert all(0 <= row["iou"][target][group] <= 1 for row in found["rows"]
               for target in ("algorithmic", "true", "regions")
               for group in ("known", "unseen"))  # fmt: skip
    by_name = {row["method"]: row for row in found["rows"]}
    assert by_name["rule: std"]["false_positive"] == 0.0
    assert found["published_iou"]["Li 2023, fine-tuned"] == [0.802, 0.784]
    assert [path.stat().st_mtime_ns for path in weights] == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--model", "absent"), "--model"),
        (("--data", "/absent"), "--data"),
        (("--report", "/absent/page.html"), "no folder"),
        (("--stacks", "0"), "stacks"),
    ],
)
def test_a_wrong_call_is_one_line(arguments, said, folder, parfocal):
    status, out, err = parfocal("benchmark", "li2023", "--quick", "--folder", folder, *arguments)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert said in err
