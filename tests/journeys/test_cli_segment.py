"""``parfocal segment`` from files to table, JSON, CSV, page, masks, sections, labels and mesh."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest
import tifffile
from scipy.ndimage import gaussian_filter

from parfocal.io import open_stack, read_masks
from parfocal.io.writing import write_stack

STEP_UM = 2.0


@pytest.fixture(autouse=True)
def _no_progress(monkeypatch):
    """A slow machine says no line of progress among the errors that are counted."""
    monkeypatch.setattr("parfocal.cli.progress.SECONDS_BETWEEN_LINES", np.inf)


@pytest.fixture
def plain(parfocal):
    """The command as it is, before the method is named for it."""
    return parfocal.as_it_is


@pytest.fixture
def parfocal(parfocal):
    """Calls that name no method are by rule here: a network's answers change with its weights."""

    def call(verb, *arguments):
        named = any(str(text).startswith(("--method", "--model")) for text in arguments)
        return parfocal(verb, *arguments, *([] if named else ["--method=rule"]))

    call.as_it_is = parfocal
    return call


@pytest.fixture(scope="module")
def counts():
    """Two halves of a texture, sharp at planes 2 and 6 of 9; the middle columns are empty."""
    rng = np.random.default_rng(0)
    grey = rng.random((64, 72))
    grey[:, 28:44] = 0.5
    planes = []
    for plane in range(9):
        halves = [gaussian_filter(grey, 0.7 + 1.2 * abs(plane - focus)) for focus in (2, 6)]
        joined = np.concatenate([halves[0][:, :36], halves[1][:, 36:]], axis=1)
        planes.append(100 + 2000 * joined + rng.normal(0, 2, joined.shape))
    return np.stack(planes).astype(np.uint16)


@pytest.fixture
def good(counts, tmp_path):
    place = tmp_path / "good.ome.tif"
    return write_stack(counts, place, z_step_um=STEP_UM, pixel_um=0.5)


def test_a_table_says_where_the_field_is_in_focus(good, parfocal):
    status, out, err = parfocal("segment", good)
    assert (status, err) == (0, "")
    assert "1 field: 1 with masks." in out
    row = next(line for line in out.splitlines() if line.startswith("good "))
    assert "found" in row
    assert "2, 6" in row or "1..3" in row


def test_the_network_is_asked_unless_an_option_of_the_rule_is_given(good, plain):
    _, out, _ = plain("segment", good, "--json")
    assert json.loads(out)["model"]["name"] == "in-focus-widefield"
    _, out, _ = plain("segment", good, "--measure=brenner", "--json")
    assert json.loads(out)["model"] is None


def test_json_and_csv_hold_the_same_numbers(good, parfocal):
    status, out, _ = parfocal("segment", good, "--json")
    whole = json.loads(out)
    (row,) = whole["results"]
    assert (status, row["status"], whole["failed"], whole["model"]) == (0, "found", [], None)
    low, high = row["height_um"]
    assert low == pytest.approx(2 * STEP_UM, abs=STEP_UM)
    assert high == pytest.approx(6 * STEP_UM, abs=STEP_UM)
    assert row["coverage"][4] < min(row["coverage"][2], row["coverage"][6])
    assert row["method"].startswith("rule: std")
    _, out, _ = parfocal("segment", good, "--csv")
    (line,) = csv.DictReader(io.StringIO(out))
    assert float(line["height_low_um"]) == low
    assert float(line["share"]) == pytest.approx(row["share"])


def test_everything_is_written_with_its_scale(good, parfocal, tmp_path):
    out = tmp_path / "made"
    parts = ("--masks", "--sections", "--height", "--labels", "--least-voxels=9", "--mesh=ply")
    status, told, err = parfocal("segment", good, "--out", out, *parts)
    assert (status, err) == (0, "")
    assert f"wrote 6 files to {out}" in told
    names = {path.name.removeprefix("good.") for path in out.iterdir()}
    assert names == {
        "masks.ome.zarr", "sections.ome.zarr", "projection.ome.tif", "height.ome.tif",
        "labels.ome.zarr", "mesh.ply",
    }  # fmt: skip
    masks = read_masks(out / "good.masks.ome.zarr")
    assert (masks.z_um[1], masks.pixel_um) == (STEP_UM, 0.5)
    cut = open_stack(out / "good.sections.ome.zarr")
    assert (cut.pixel_um, cut.z_step_um, cut.dtype) == (0.5, STEP_UM, np.float32)
    np.testing.assert_array_equal(cut.read_counts()[~masks.masks], 0)
    labels = open_stack(out / "good.labels.ome.zarr").read_counts()
    assert (labels > 0).sum() <= masks.masks.sum()
    assert set(np.unique(labels)) == set(range(labels.max() + 1))
    height = tifffile.imread(out / "good.height.ome.tif")
    assert height.shape == (4, 64, 72)
    np.testing.assert_array_equal(np.isnan(height[0]), ~masks.masks.any(0))
    assert (out / "good.mesh.ply").read_text().startswith("ply\n")


def test_a_folder_alone_gets_masks_and_heights_as_the_format_says(good, parfocal, tmp_path):
    status, _, _ = parfocal("segment", good, "--out", tmp_path / "made", "--format=ome-tiff")
    assert status == 0
    names = sorted(path.name for path in (tmp_path / "made").iterdir())
    assert names == ["good.height.ome.tif", "good.masks.ome.tif"]
    status, _, err = parfocal("segment", good, "--out", tmp_path / "made", "--format=ome-tiff")
    assert status == 2
    assert "--overwrite" in err
    again = parfocal(
        "segment", good, "--out", tmp_path / "made", "--format=ome-tiff", "--overwrite"
    )
    assert again[0] == 0


def test_the_page_holds_every_field_and_why_others_have_no_mask(good, parfocal, tmp_path):
    empty = np.full((5, 48, 48), 300, np.uint16)
    blank = write_stack(empty, tmp_path / "blank.ome.tif", z_step_um=1.0, pixel_um=0.5)
    page = tmp_path / "r.html"
    status, out, err = parfocal("segment", good, blank, "--report", page)
    html = page.read_text()
    assert (status, err) == (0, "")
    assert "2 fields: 1 with masks, 1 blank." in out
    assert "Height map" in html
    assert "No mask: blank." in html


def test_without_z_the_answer_is_in_planes_and_a_mesh_is_refused(counts, parfocal, tmp_path):
    path = tmp_path / "bare.tif"
    tifffile.imwrite(path, counts, photometric="minisblack")
    status, out, _ = parfocal("segment", path, "--planes", "--json")
    (row,) = json.loads(out)["results"]
    assert status == 0
    assert row["height_um"] is None
    assert row["height_planes"] == pytest.approx([2, 6], abs=1)
    status, _, err = parfocal("segment", path, "--planes", "--mesh=obj", "--out", tmp_path / "m")
    assert status == 1
    assert "--z-step-um" in err
    assert err.count("\n") == 1


def _nan(counts):
    return np.full(counts.shape, np.nan, np.float32)


def _some_nan(counts):
    spoilt = counts.astype(np.float32)
    spoilt[5] = np.nan
    return spoilt


BAD = {
    "nan": (_nan, {"failed", "blank"}),
    "a plane of nan": (_some_nan, {"found"}),
    "constant": (lambda counts: np.full_like(counts, 700), {"blank", "flat"}),
    "noise": (
        lambda counts: np.random.default_rng(1).poisson(300, counts.shape).astype(np.uint16),
        {"blank", "flat"},
    ),
    "saturated": (lambda counts: np.full_like(counts, 65535), {"saturated"}),
    "black": (np.zeros_like, {"blank"}),
}


@pytest.mark.parametrize("kind", BAD)
def test_useless_images_give_no_mask_and_a_reason(kind, counts, good, parfocal, tmp_path):
    make, statuses = BAD[kind]
    bad = write_stack(make(counts), tmp_path / "bad.ome.tif", z_step_um=STEP_UM, pixel_um=0.5)
    out = tmp_path / "made"
    status, told, err = parfocal("segment", bad, good, "--json", "--out", out)
    assert (status, err) == (0, "")
    row, fine = json.loads(told)["results"]
    assert fine["status"] == "found"
    assert row["status"] in statuses
    assert row["reason"]
    if row["status"] != "found":
        assert (row["share"], row["height_um"], row["files"]) == (None, None, [])
        assert not any(row["coverage"])
        assert not list(out.glob("bad*"))


def test_one_plane_is_an_answer_or_a_reason_and_never_an_error(counts, parfocal, tmp_path):
    one = write_stack(counts[2:3], tmp_path / "one.ome.tif", pixel_um=0.5)
    status, out, err = parfocal("segment", one, "--json", "--report", tmp_path / "r.html")
    (row,) = json.loads(out)["results"]
    assert (status, err) == (0, "")
    assert row["reason"]
    assert (row["status"] == "found") == (row["height_um"] is not None)


def _empty(folder):
    (folder / "bad.tif").touch()


def _unequal(folder):
    for plane in range(4):
        tifffile.imwrite(folder / f"z{plane:02d}.tif", np.zeros((30 + plane, 40), np.uint16))


def _no_image(folder):
    (folder / "bad.tif").write_text("z,focus\n1,2\n")


@pytest.mark.parametrize(
    ("make", "words"), [(_empty, "empty"), (_unequal, "--crop-common"), (_no_image, "bad.tif")]
)
def test_what_cannot_be_read_is_one_line_and_the_rest_is_done(
    make, words, good, parfocal, tmp_path
):
    folder = tmp_path / "bad"
    folder.mkdir()
    make(folder)
    status, out, err = parfocal("segment", folder, good, "--json", "--report", tmp_path / "r.html")
    assert status == 1
    assert err.count("\n") == 1
    assert words in err
    whole = json.loads(out)
    assert [row["name"] for row in whole["results"]] == ["good"]
    assert len(whole["failed"]) == 1
    assert "Not processed" in (tmp_path / "r.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "no input"),
        ([""], "an INPUT is empty"),
        (["nowhere.tif"], "no such file"),
        (["a.tif", "--method=magic"], "rule, network"),
        (["a.tif", "--method=rule", "--model=x"], "--method network"),
        (["a.tif", "--measure=psychic"], "psychic"),
        (["a.tif", "--threshold=half"], "otsu"),
        (["a.tif", "--threshold=0.5"], "a name such as otsu"),
        (["a.tif", "--threshold=7"], "between 0 and 1"),
        (["a.tif", "--per=day"], "peak"),
        (["a.tif", "--window-px=0"], "give pixels"),
        (["a.tif", "--masks"], "needs --out"),
        (["a.tif", "--mesh=ply"], "needs --out"),
        (["a.tif", "--mesh=stl", "--out=x"], "ply, obj"),
        (["a.tif", "--format=png"], "ome-zarr, ome-tiff"),
        (["a.tif", "--probabilities", "--out=x"], "--method network"),
        (["a.tif", "--least-voxels=5"], "--labels"),
        (["a.tif", "--json", "--csv"], "exclude each other"),
        (["a.tif", "--device=abacus"], "abacus"),
        (["a.tif", "--method=network", "--measure=std"], "--method rule"),
        (["a.tif", "--method=network", "--model=psychic"], "psychic"),
    ],
)
def test_a_wrong_call_is_one_line_and_status_two(arguments, text, parfocal):
    status, out, err = parfocal("segment", *arguments)
    assert (status, out) == (2, "")
    assert text in err
    assert err.count("\n") == 1


def test_raw_data_is_never_written_into(good, parfocal, tmp_path):
    zarr = write_stack(open_stack(good), tmp_path / "raw.ome.zarr")
    status, _, err = parfocal("segment", zarr, "--out", zarr / "made")
    assert status == 2
    assert "raw data" in err
    status, _, err = parfocal("segment", good, "--report", good)
    assert status == 2
    assert "raw data" in err
