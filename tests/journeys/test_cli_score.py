"""A microscopist scores stacks: answers, files and exit status."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import sys

import numpy as np
import pytest
import tifffile

from parfocal.cli import scoring
from parfocal.cli.scoring import score_one

OPTICS = ("--na", "0.5", "--wavelength-nm", "550")


def test_one_stack_gives_one_line_with_its_focus(write, parfocal):
    status, out, err = parfocal("score", write("cell.ome.tif", 12.6))
    assert (status, err) == (0, "")
    heading, line, tally = out.splitlines()
    assert heading.split()[:2] == ["field", "status"]
    name, found, z_um, low, to, high = line.split()[:6]
    assert (name, found, to) == ("cell", "found", "to")
    assert float(z_um) == pytest.approx(12.6, abs=0.7)
    assert float(low) <= float(z_um) <= float(high)
    assert tally.startswith("1 field: ")


def test_json_holds_answer_curve_and_optics(write, parfocal):
    status, out, err = parfocal("score", write("cell.ome.tif"), "--json", *OPTICS)
    assert (status, err) == (0, "")
    whole = json.loads(out)
    (result,) = whole["results"]
    assert result["z_um"] == pytest.approx(12.6, abs=0.7)
    assert result["interval_um"][0] <= result["z_um"] <= result["interval_um"][1]
    assert len(result["curve"]["scores"]) == len(result["defocus_dof"]) == 13
    assert result["setup"]["depth_of_field_um"] == pytest.approx(2.2)
    assert result["verdict"] in ("keep", "check")
    assert whole["failed"] == []


def test_z_step_of_the_call_wins_over_the_file(write, parfocal):
    path = write("cell.ome.tif", 12.6)
    _, out, _ = parfocal("score", path, "--json", "--z-step-um", "0.2")
    assert json.loads(out)["results"][0]["z_um"] == pytest.approx(1.26, abs=0.07)


def test_unknown_z_is_refused_with_its_flag_and_answered_in_planes(tmp_path, write, parfocal):
    path = tmp_path / "plain.tif"
    tifffile.imwrite(path, tifffile.imread(write("cell.ome.tif", 12.6)))
    status, out, err = parfocal("score", path)
    assert status == 1
    assert err.count("\n") == 1
    assert "--z-step-um" in err
    status, out, err = parfocal("score", path, "--planes", "--json")
    assert (status, err) == (0, "")
    (result,) = json.loads(out)["results"]
    assert result["z_um"] is None
    assert result["plane"] == pytest.approx(6.3, abs=0.35)


def test_folder_is_scored_whole_and_csv_lists_it(tmp_path, write, parfocal):
    for well, focus_um in (("B03", 8.6), ("B04", 12.2), ("C03", 15.4)):
        write(f"plate/{well}.ome.tif", focus_um)
    status, out, err = parfocal("score", tmp_path / "plate", "--csv")
    assert (status, err) == (0, "")
    rows = {row["name"]: row for row in csv.DictReader(io.StringIO(out))}
    assert set(rows) == {"B03", "B04", "C03"}
    assert float(rows["C03"]["z_um"]) == pytest.approx(15.4, abs=0.7)


def test_report_of_a_plate_is_one_page_with_everything(tmp_path, write, parfocal):
    for well, focus_um in (("B03", 8.6), ("B04", 12.2), ("C03", 60.0)):
        write(f"plate/{well}.ome.tif", focus_um)
    page_at = tmp_path / "report.html"
    status, out, _ = parfocal("score", tmp_path / "plate", "--report", page_at, *OPTICS)
    assert status == 0
    assert f"wrote {page_at}" in out
    page = page_at.read_text()
    assert not re.search(r"(src|href)=\"(?!data:|#)", page)
    assert page.count("<section") == 3
    for words in ("Plate heat map", "Tile map", "Depth map", "Extended depth of field"):
        assert words in page
    section = page[page.index('id="field-2"') :]
    assert "No answer: " in section
    assert 'class="best"' not in section


def test_region_and_measure_are_obeyed(tmp_path, counts, parfocal):
    left, right = counts(6.4)[:, :, :56], counts(18.2)[:, :, :56]
    path = tmp_path / "two.tif"
    tifffile.imwrite(path, np.concatenate([left, right], axis=2))
    common = ("score", path, "--z-step-um", "2", "--json", "--measure", "brenner")
    for region, focus_um in (("0:96,0:56", 6.4), ("0:96,56:112", 18.2)):
        _, out, _ = parfocal(*common, "--region", region)
        (result,) = json.loads(out)["results"]
        assert result["z_um"] == pytest.approx(focus_um, abs=0.8)
        assert result["measure"].startswith("brenner")


def test_maps_are_written_with_pixel_size_and_channels(tmp_path, write, parfocal):
    depth_at, fused_at = tmp_path / "d.ome.tif", tmp_path / "f.ome.tif"
    path = write("cell.ome.tif", 12.6)
    status, _, _ = parfocal("score", path, "--depth-map", depth_at, "--fuse", fused_at)
    assert status == 0
    for place, names in (
        (depth_at, ["z_um", "confidence"]),
        (fused_at, ["fused", "plane", "z_um"]),
    ):
        with tifffile.TiffFile(place) as file:
            assert file.is_ome
            assert file.series[0].axes == "CYX"
            assert file.series[0].shape == (len(names), 96, 112)
            assert 'PhysicalSizeX="0.5"' in file.ome_metadata
            assert re.findall(r'<Channel [^>]*Name="(\w+)"', file.ome_metadata) == names
    height, confidence = tifffile.imread(depth_at)
    assert np.median(height[confidence > 0.5]) == pytest.approx(12.6, abs=2.0)


def test_maps_of_many_go_to_a_folder(tmp_path, write, parfocal):
    write("in/a.ome.tif")
    write("in/b.ome.tif")
    status, _, err = parfocal("score", tmp_path / "in", "--fuse", tmp_path / "one.tif")
    assert status == 2
    assert "name a folder" in err
    status, _, _ = parfocal("score", tmp_path / "in", "--fuse", tmp_path / "out")
    assert status == 0
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "a.fused.ome.tif",
        "b.fused.ome.tif",
    ]


@pytest.mark.parametrize("option", ["--report", "--output", "--depth-map", "--fuse"])
def test_existing_outputs_stop_the_call_before_any_work(
    tmp_path, write, parfocal, monkeypatch, option
):
    ending = {"--report": "r.html", "--output": "r.csv"}.get(option, "r.ome.tif")
    place = tmp_path / ending
    place.write_text("mine")
    path = write("cell.ome.tif")

    def never(*args, **kwargs):
        raise AssertionError("the work has begun")

    monkeypatch.setattr(scoring, "score_one", never)
    status, out, err = parfocal("score", path, option, place)
    assert (status, out) == (2, "")
    assert err == f"parfocal: {option} {place} exists; add --overwrite or choose another name.\n"
    assert place.read_text() == "mine"
    monkeypatch.setattr(scoring, "score_one", score_one)
    status, _, _ = parfocal("score", path, option, place, "--overwrite")
    assert status == 0
    assert place.read_bytes() != b"mine"


def test_raw_data_is_not_overwritten_even_when_told(write, parfocal):
    path = write("cell.ome.tif")
    before = path.read_bytes()
    status, _, err = parfocal("score", path, "--fuse", path, "--overwrite")
    assert status == 2
    assert "raw data is never overwritten" in err
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        (["--measure", "sharpness"], "no measure called 'sharpness'"),
        (["--device", "abacus"], "no device 'abacus'"),
        (["--z-step-um", "0"], "z_step_um"),
        (["--pixel-um", "-1"], "pixel_um"),
    ],
)
def test_wrong_values_are_refused_before_any_file_is_read(write, parfocal, extra, words):
    status, out, err = parfocal("score", write("cell.ome.tif"), *extra)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert words in err


def test_input_that_matches_nothing_is_a_wrong_call(tmp_path, parfocal):
    for name in ("absent.tif", "*.czi"):
        status, out, err = parfocal("score", tmp_path / name)
        assert (status, out, err.count("\n")) == (2, "", 1)
        assert name in err


def test_measures_are_listed(parfocal):
    status, out, _ = parfocal("score", "--measure", "list")
    assert status == 0
    names = [line.split()[0] for line in out.splitlines()[1:]]
    assert {"brenner", "tenengrad", "vollath4", "dcts"} <= set(names)
    assert parfocal("score", "--list-measures")[1] == out


def test_interrupt_leaves_whole_files_or_none(tmp_path, write, parfocal, monkeypatch):
    write("in/a.ome.tif")
    write("in/b.ome.tif")
    begun = []

    def interrupted(source, *args, **values):
        begun.append(source.name)
        if len(begun) == 2:
            raise KeyboardInterrupt
        return score_one(source, *args, **values)

    monkeypatch.setattr(scoring, "score_one", interrupted)
    status, out, err = parfocal(
        "score", tmp_path / "in", "--fuse", tmp_path / "out", "--report", tmp_path / "r.html"
    )
    assert (status, out) == (130, "")
    assert err == "parfocal: stopped; what was not finished was not written.\n"
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["a.fused.ome.tif"]
    assert not list(tmp_path.glob("*.html")) + list(tmp_path.glob(".unfinished*"))


def test_command_runs_as_a_process(write):
    done = subprocess.run(
        [sys.executable, "-m", "parfocal.cli.main", "score", str(write("cell.ome.tif")), "--json"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout)["results"][0]["status"] == "found"
    assert done.stderr == ""


def test_a_single_image_beside_stacks_is_named_on_stderr(parfocal, write, tmp_path):
    write("a.ome.tif")
    tifffile.imwrite(tmp_path / "overview.tif", np.zeros((40, 50), np.uint8))
    status, out, err = parfocal("score", tmp_path)
    assert (status, "overview" in out) == (0, False)
    assert err == (
        f"parfocal: {tmp_path}: ignored 1 single image beside the stacks: overview.tif; "
        "name it directly to score it.\n"
    )


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        (["--na", "0.5"], "--na given without --wavelength-nm"),
        (["--wavelength-nm", "520"], "--wavelength-nm given without --na"),
        (["--na", "0.5", "--wavelength-nm", "520"], None),
        ([], None),
    ],
)
def test_incomplete_optics_are_said_once_a_call(parfocal, write, given, missing):
    paths = [write(name) for name in ("a.ome.tif", "b.ome.tif")]
    status, _, err = parfocal("score", *paths, *given)
    said = f"parfocal: optics incomplete: {missing}; no answer in depths of field\n"
    assert (status, err) == (0, said if missing else "")
