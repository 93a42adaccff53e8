"""``parfocal benchmark wu2019 --quick`` from specimens to page."""

from __future__ import annotations

import json

import pytest

from parfocal.models.package import save_model
from parfocal.train.held_out import HeldOut
from parfocal.train.surface_making import surface_card
from parfocal.train.surface_task import SurfaceRecipe, SurfaceTask


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wu2019") / "tiny"
    recipe = SurfaceRecipe(name="tiny", widths=(8, 8, 8), blocks=(1, 1, 1), steps=1)
    card = surface_card(recipe, HeldOut(), seed=0, seconds=0.0, machine="none")
    save_model(folder, card, [SurfaceTask(recipe).build(0)])
    return folder


def test_the_quick_benchmark_shows_surfaces_and_reports(model, parfocal, tmp_path):
    page = tmp_path / "wu2019.html"
    call = ("benchmark", "wu2019", "--quick", "--model", model, "--only", "surface")
    status, out, err = parfocal(*call, "--only", "series", "--json", "--report", page)
    assert status == 0, err
    found = json.loads(out)
    assert {row["chapter"] for row in found["rows"]} == {"surface"}
    assert {row["kind"] for row in found["rows"]} == {"tilted", "bowed", "noisy"}
    assert found["series"]["reached_hz"] > 0
    assert [table["title"] for table in found["tables"]][-1] == "What was to be reached"
    assert page.read_text(encoding="utf-8").count("data:image/png") == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--only", "depth"), "no chapter"),
        (("--model", "absent"), "--model"),
        (("--model", "pair-fluorescence"), "SurfaceNetwork"),
        (("--report", "/absent/page.html"), "no folder"),
    ],
)
def test_a_wrong_call_is_one_line(arguments, said, parfocal):
    status, out, err = parfocal("benchmark", "wu2019", "--quick", *arguments)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert said in err
