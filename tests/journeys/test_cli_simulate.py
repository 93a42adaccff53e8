"""A stack is simulated, opened and scored, and its known focus is found."""

from __future__ import annotations

import json

import numpy as np
import pytest

from parfocal.io.opening import open_stack
from parfocal.io.truth import read_truth

SMALL = ("--size", "128", "--planes", "21")
RECIPE = """
preset = "luo2020"
size_px = 128
planes = 21
z_step_um = 1.0
focus_um = 8.3
specimen = { name = "beads", thickness_um = 0.0, options = { per_mm2 = 30000.0 } }
photons = 2000.0
"""


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(RECIPE, encoding="utf-8")
    return path


@pytest.mark.parametrize("ending", ["ome.zarr", "ome.tif"])
def test_a_simulated_stack_is_opened_and_its_known_focus_is_found(
    ending, recipe, tmp_path, parfocal
):
    out = tmp_path / f"made.{ending}"
    status, text, err = parfocal("simulate", recipe, out, "--seed", "4")
    assert (status, err) == (0, "")
    assert "focus at 8.30 um" in text
    stack = open_stack(out)
    assert stack.shape == (21, 128, 128)
    assert (stack.z_step_um, stack.pixel_um) == (1.0, 0.325)
    assert stack.setup is not None
    assert (stack.setup.na, stack.setup.wavelength_nm) == (0.75, 530.0)
    arrays, facts = read_truth(out)
    assert facts["focus_um"] == pytest.approx(8.3)
    assert facts["recipe"]["imaging"]["modality"] == "widefield"
    assert arrays["in_focus"].shape == stack.shape
    assert arrays["in_focus"].sum((1, 2)).argmax() == 8
    assert np.nanmax(abs(arrays["height_um"] - 8.3)) < 1e-5
    status, text, _ = parfocal("score", out, "--json")
    (result,) = json.loads(text)["results"]
    assert (status, result["status"]) == (0, "found")
    assert result["z_um"] == pytest.approx(8.3, abs=0.3)


def test_many_stacks_are_numbered_and_the_same_seed_gives_the_same_counts(
    recipe, tmp_path, parfocal
):
    parfocal("simulate", recipe, tmp_path / "a.ome.tif", "--count", "2", "--seed", "7")
    parfocal("simulate", recipe, tmp_path / "b.ome.tif", "--seed", "8")
    one, two, again = (
        open_stack(tmp_path / name).read_counts()
        for name in ("a-000.ome.tif", "a-001.ome.tif", "b.ome.tif")
    )
    assert np.array_equal(two, again)
    assert not np.array_equal(one, two)


def test_a_folder_of_simulated_tiffs_is_scored_without_its_truth(recipe, tmp_path, parfocal):
    parfocal("simulate", recipe, tmp_path / "set" / "a.ome.tif")
    status, text, _ = parfocal("score", tmp_path / "set", "--json")
    assert status == 0
    assert len(json.loads(text)["results"]) == 1


def test_presets_and_specimens_are_listed(parfocal):
    status, text, err = parfocal("simulate", "--list")
    assert (status, err) == (0, "")
    for word in ("li2021", "pinkard2019", "li2023", "luo2020", "wu2019", "wide", "nuclei"):
        assert word in text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "RECIPE"),
        (("luo2020",), "OUT"),
        (("nobody2020", "x.ome.tif"), "li2021"),
        (("luo2020", "x.png"), ".ome.zarr"),
        (("luo2020", "x.ome.tif", "--specimen", "cheese"), "cheese"),
        (("luo2020", "x.ome.tif", "--specimen", "blood_smear"), "transmission"),
        (("absent.toml", "x.ome.tif"), "absent.toml"),
    ],
)
def test_a_wrong_call_is_one_line_and_writes_nothing(
    arguments, said, tmp_path, parfocal, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    status, out, err = parfocal("simulate", *arguments)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert said in err
    assert list(tmp_path.iterdir()) == []


def test_what_exists_is_kept_unless_asked(recipe, tmp_path, parfocal):
    out = tmp_path / "made.ome.zarr"
    parfocal("simulate", recipe, out)
    status, _, err = parfocal("simulate", recipe, out, "--seed", "1")
    assert (status, "--overwrite" in err) == (2, True)
    status, _, _ = parfocal("simulate", recipe, out, "--seed", "1", "--overwrite")
    assert status == 0
    assert read_truth(out)[1]["seed"] == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["made.ome.zarr", "mine.toml"]


def test_an_interrupt_leaves_nothing(recipe, tmp_path, parfocal, monkeypatch):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("parfocal.io.truth.write_stack", interrupted)
    status, _, err = parfocal("simulate", recipe, tmp_path / "made.ome.tif")
    assert (status, "not written" in err) == (130, True)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.toml"]


def test_an_image_of_the_user_is_an_object(write, tmp_path, parfocal):
    write("own.ome.tif", planes=1)
    recipe = tmp_path / "own.json"
    values = {"preset": "luo2020", "specimen": {"path": "own.ome.tif"}, "size_px": 128, "planes": 5}
    recipe.write_text(json.dumps(values), encoding="utf-8")
    status, _, err = parfocal("simulate", recipe, tmp_path / "made.ome.zarr")
    assert (status, err) == (0, "")
    assert open_stack(tmp_path / "made.ome.zarr").shape == (5, 128, 128)
