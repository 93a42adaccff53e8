"""``parfocal predict`` from files to table, JSON, CSV and page, with a model that knows nothing."""

from __future__ import annotations

import csv
import io
import json
import re

import numpy as np
import pytest

from parfocal.io.writing import write_stack
from tests.fabricate.models import write_tiny_model

OPTICS = ("--na=0.5", "--wavelength-nm=500")  # with 0.5 um pixels 3 um of effective depth
STEP_UM = 3.0


@pytest.fixture(autouse=True)
def _models(tmp_path_factory, monkeypatch):
    """A user's folder with one model, under the name that is asked for by default."""
    folder = tmp_path_factory.mktemp("models")
    write_tiny_model(folder / "pair-fluorescence")
    write_tiny_model(folder / "doubtful", is_sure=False)
    monkeypatch.setenv("PARFOCAL_MODELS", str(folder))


@pytest.fixture
def write_short(tmp_path):
    """Write a stack of blobs on a bright background."""

    def write_one(name, planes=2, size=64, step_um=STEP_UM, seed=0):
        place = tmp_path / "fields" / name
        place.parent.mkdir(exist_ok=True)
        counts = np.random.default_rng(seed).poisson(200, (planes, size, size)).astype(np.uint16)
        return write_stack(counts, place, z_step_um=step_um, pixel_um=0.5)

    return write_one


def test_short_stacks_of_a_folder_are_predicted_whole(write_short, parfocal):
    folder = write_short("a.ome.tif").parent
    write_short("b.ome.tif", planes=3)
    status, out, err = parfocal("predict", folder, *OPTICS)
    assert (status, err) == (0, "")
    assert "2 predictions: 2 answered." in out
    row = next(line for line in out.splitlines() if line.startswith("a "))
    assert "0+1" in row
    assert "-1.5 (-0.7)" in row  # focus half-way to the second image
    assert "+1.5" in row


def test_json_holds_what_the_python_answer_does(write_short, parfocal):
    status, out, _ = parfocal("predict", write_short("a.ome.tif"), *OPTICS, "--json")
    whole = json.loads(out)
    (row,) = whole["results"]
    assert status == 0
    assert row["status"] == "found"
    assert row["defocus_um"] == pytest.approx(-STEP_UM / 2, abs=0.01)
    assert row["move_um"] == -row["defocus_um"]
    assert row["focus_z_um"] == pytest.approx(STEP_UM / 2, abs=0.01)
    low, high = row["interval_um"]
    assert row["move_interval_um"] == [-high, -low]
    assert row["spacing_um"] == STEP_UM
    assert whole["model"]["name"] == "pair-fluorescence"
    assert whole["failed"] == []


def test_csv_has_a_row_a_field_and_no_number_without_an_answer(write_short, parfocal):
    _, out, _ = parfocal("predict", write_short("a.ome.tif"), *OPTICS, "--csv", "--model=doubtful")
    (row,) = csv.DictReader(io.StringIO(out))
    assert row["status"] == "uncertain"
    assert "cannot tell" in row["reason"]
    empty = ("defocus_um", "interval_low_um", "move_um", "focus_z_um")
    assert [row[name] for name in empty] == [""] * 4


def test_declined_is_done_and_unread_is_not(write_short, parfocal, tmp_path):
    good = write_short("a.ome.tif")
    status, out, err = parfocal("predict", good, *OPTICS, "--model=doubtful")
    assert (status, err) == (0, "")
    assert "1 prediction: 0 answered, 1 uncertain." in out
    bad = tmp_path / "fields" / "bad.tif"
    bad.write_bytes(b"no image")
    status, out, err = parfocal("predict", good, bad, *OPTICS)
    assert status == 1
    assert "1 answered" in out
    assert err.startswith(f"parfocal: {bad}")
    assert err.count("\n") == 1


def test_a_long_stack_needs_its_planes_named(write_short, parfocal):
    path = write_short("long.ome.tif", planes=6, step_um=1.5)
    status, _, err = parfocal("predict", path, *OPTICS)
    assert status == 1
    assert "holds 6 planes" in err
    assert "--planes 3,5" in err
    assert "--every-pair" in err
    status, out, _ = parfocal("predict", path, *OPTICS, "--planes=5,3", "--json")
    (row,) = json.loads(out)["results"]
    assert status == 0
    assert (row["planes"], row["z_um"], row["spacing_um"]) == ([3, 5], [4.5, 7.5], 3.0)
    _, out, _ = parfocal("predict", path, *OPTICS, "--planes=all", "--json")
    assert json.loads(out)["results"][0]["planes"] == [0, 1, 2, 3, 4, 5]


def test_planes_whose_z_falls_are_asked_from_below(write_short, parfocal):
    path = write_short("falling.ome.tif")
    _, out, _ = parfocal("predict", path, *OPTICS, "--spacing-um=-3", "--json")
    (row,) = json.loads(out)["results"]
    assert (row["planes"], row["z_um"]) == ([1, 0], [-3.0, 0.0])


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--planes=0,1,3"], "need"),
        (["--planes=0,9"], "no plane 9"),
        (["--planes=0,2", "--region=0:400,0:40"], "--region ends at y 400"),
    ],
)
def test_what_a_stack_cannot_give_is_said_in_one_line(arguments, text, write_short, parfocal):
    path = write_short("long.ome.tif", planes=5)
    status, _, err = parfocal("predict", path, *OPTICS, *arguments)
    assert status == 1
    assert text in err
    assert err.count("\n") == 1


def test_unknown_optics_are_asked_for_by_their_flags(write_short, parfocal):
    path = write_short("a.ome.tif")
    status, _, err = parfocal("predict", path)
    assert status == 1
    assert "--na and --wavelength-nm" in err
    _, _, err = parfocal("predict", path, "--na=0.5")
    assert "without --wavelength-nm" in err


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "no input"),
        (["a.tif", "--planes=three"], "give numbers from 0"),
        (["a.tif", "--planes=1,1"], "named twice"),
        (["a.tif", "--planes=1,2", "--every-pair"], "exclude each other"),
        (["a.tif", "--model=psychic"], "pair-fluorescence"),
        (["a.tif", "--device=abacus"], "no device 'abacus'"),
        (["a.tif", "--json", "--csv"], "exclude each other"),
        (["nowhere.tif"], "no such file"),
    ],
)
def test_a_wrong_call_gets_one_line_and_status_2(arguments, text, parfocal):
    status, _, err = parfocal("predict", *arguments)
    assert status == 2
    assert text in err
    assert err.count("\n") == 1


def test_single_images_are_fields_where_that_is_said(tmp_path, parfocal):
    folder = tmp_path / "fields"
    folder.mkdir()
    for number in range(3):
        counts = np.random.default_rng(number).poisson(200, (1, 64, 64)).astype(np.uint16)
        write_stack(counts, folder / f"field{number}.tif", pixel_um=0.5)
    status, out, _ = parfocal("predict", folder, *OPTICS, "--single", "--json", "--pixel-um=0.5")
    rows = json.loads(out)["results"]
    assert status == 0
    assert [row["name"] for row in rows] == ["field0", "field1", "field2"]
    assert all(row["spacing_um"] is None for row in rows)


def test_every_pair_of_a_stack_is_held_against_its_own_focus(parfocal, write, tmp_path):
    stack, page = write("cells.ome.tif", planes=9), tmp_path / "page.html"
    status, out, _ = parfocal(
        "predict", stack, *OPTICS, "--every-pair", "--report", page, "--output", tmp_path / "o.csv"
    )
    assert status == 0
    assert "8 of 8 pairs answered; median |error|" in out
    # The stand-in always says that focus is half-way: it never follows the stage.
    line = "answers move 0.00 um for each um of the stage, and no NA explains that"
    assert line in out
    own = re.search(r"the stack's own focus is z = ([\d.]+) um", out)
    assert float(own[1]) == pytest.approx(12.6, abs=0.3)
    rows = list(csv.DictReader(io.StringIO((tmp_path / "o.csv").read_text())))
    assert [row["planes"] for row in rows] == [f"{k}+{k + 2}" for k in range(7)] + ["7+8"]
    assert float(rows[0]["known_um"]) == pytest.approx(-12.6, abs=0.3)
    text = page.read_text(encoding="utf-8")
    assert "Predicted and known" in text
    assert line.replace(" um", " µm") in text
    assert text.count("<section") == 9  # pairs and the model


def test_the_page_says_what_to_do_and_is_whole(write_short, parfocal, tmp_path):
    page = tmp_path / "page.html"
    path = write_short("a.ome.tif", size=256)
    status, out, _ = parfocal("predict", path, *OPTICS, "--report", page)
    assert status == 0
    assert f"wrote {page}" in out
    text = page.read_text(encoding="utf-8")
    assert "Move the stage by +1.5 µm (" in text
    assert "it may be in focus already" in text
    assert text.count("<rect") >= 4
    assert "Knows nothing." in text
    assert "src=" in text
    assert 'src="http' not in text
    assert "<script" not in text
    status, _, err = parfocal("predict", path, *OPTICS, "--report", page)
    assert status == 2
    assert "--overwrite" in err
    status, _, err = parfocal("predict", path, *OPTICS, "--report", path, "--overwrite")
    assert status == 2
    assert "raw data is never overwritten" in err
