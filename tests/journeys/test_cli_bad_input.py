"""Bad inputs: one line each, the right exit status, and the good ones done."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile


def _empty(folder, counts):
    (folder / "bad.tif").touch()


def _truncated(folder, counts):
    whole = folder / "whole.tif"
    tifffile.imwrite(whole, counts(12.0), imagej=True, metadata={"axes": "ZYX", "spacing": 2.0})
    (folder / "bad.tif").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    whole.unlink()


def _not_an_image(folder, counts):
    (folder / "bad.tif").write_text("z,focus\n1,2\n")


def _unequal(folder, counts):
    for plane in range(4):
        tifffile.imwrite(folder / f"z{plane:02d}.tif", np.zeros((30 + plane, 40), np.uint16))


def _not_monotonic(folder, counts):
    stack = counts(12.0)
    data = np.ascontiguousarray(stack[:4])
    positions = (0.0, 2.0, 1.0, 3.0)
    planes = {"PositionZ": list(positions), "PositionZUnit": ["µm"] * 4}
    tifffile.imwrite(
        folder / "bad.ome.tif", data, ome=True, metadata={"axes": "ZYX", "Plane": planes}
    )


def _stack(folder, data):
    tifffile.imwrite(
        folder / "bad.tif", data, imagej=True, metadata={"axes": "ZYX", "spacing": 2.0}
    )


def _nan(folder, counts):
    data = counts(12.0).astype(np.float32)
    data[5] = np.nan
    _stack(folder, data)


def _constant(folder, counts):
    _stack(folder, np.full((9, 64, 64), 700, np.uint16))


def _saturated(folder, counts):
    _stack(folder, np.full((9, 64, 64), 65535, np.uint16))


def _one_plane(folder, counts):
    _stack(folder, counts(12.0)[5:6])


def _unrelated(folder, counts):
    (folder / "notes.txt").write_text("hello")
    (folder / "table.csv").write_text("a,b\n")


FAULTS = [
    (_empty, "bad.tif"),
    (_truncated, "bad.tif"),
    (_not_an_image, "bad.tif"),
    (_unequal, "--crop-common"),
    (_not_monotonic, "monotonic"),
    (_unrelated, "no images"),
]
DECLINED = [
    (_nan, None),
    (_constant, {"blank", "flat"}),
    (_saturated, {"saturated", "blank", "flat"}),
    (_one_plane, None),
]


@pytest.mark.parametrize(("make", "words"), FAULTS, ids=lambda v: getattr(v, "__name__", ""))
def test_unreadable_input_is_one_line_and_the_good_one_is_done(
    tmp_path, write, counts, parfocal, make, words
):
    good = write("good.ome.tif", 12.6)
    folder = tmp_path / "bad"
    folder.mkdir()
    make(folder, counts)
    page_at = tmp_path / "r.html"
    status, out, err = parfocal("score", folder, good, "--json", "--report", page_at)
    assert status == 1
    assert err.count("\n") == 1
    assert err.startswith(f"parfocal: {folder}")
    assert words in err
    whole = json.loads(out)
    assert [r["name"] for r in whole["results"]] == ["good"]
    assert whole["results"][0]["z_um"] == pytest.approx(12.6, abs=0.7)
    assert len(whole["failed"]) == 1
    assert "Not processed" in page_at.read_text()


@pytest.mark.parametrize(("make", "statuses"), DECLINED, ids=lambda v: getattr(v, "__name__", ""))
def test_useless_images_are_declined_or_refused_and_never_answered(
    tmp_path, write, counts, parfocal, make, statuses
):
    good = write("good.ome.tif", 12.6)
    folder = tmp_path / "bad"
    folder.mkdir()
    make(folder, counts)
    status, out, err = parfocal("score", folder, good, "--json")
    whole = json.loads(out)
    results = {r["name"]: r for r in whole["results"]}
    assert results.pop("good")["status"] == "found"
    assert len(results) + len(whole["failed"]) == 1
    assert status == (1 if whole["failed"] else 0)
    assert err.count("\n") == len(whole["failed"])
    for result in results.values():
        assert result["status"] != "found"
        assert (result["z_um"], result["index"], result["plane"]) == (None, None, None)
        assert result["reason"]
        assert statuses is None or result["status"] in statuses


def test_report_is_written_though_nothing_could_be_read(tmp_path, parfocal):
    _empty(tmp_path, None)
    page_at = tmp_path / "r.html"
    status, _, err = parfocal("score", tmp_path / "bad.tif", "--report", page_at)
    assert status == 1
    assert err.count("\n") == 1
    assert "No field could be scored" in page_at.read_text()


def test_debug_shows_where_an_input_failed(tmp_path, parfocal):
    _empty(tmp_path, None)
    status, _, err = parfocal("score", tmp_path / "bad.tif", "--debug")
    assert status == 1
    assert "Traceback" in err


@pytest.mark.parametrize("given", [[""], ["good.ome.tif", ""]])
def test_an_empty_input_is_a_wrong_call(parfocal, given):
    status, out, err = parfocal("score", *given)
    assert (status, out) == (2, "")
    assert err.startswith("parfocal: an INPUT is empty; give files")


def test_control_characters_of_a_missing_input_are_shown_as_marks(parfocal):
    status, _, err = parfocal("score", "no\x1b]0;x\x07.tif")
    assert status == 2
    assert not {"\x1b", "\x07"} & set(err)


def test_control_characters_of_a_broken_file_are_shown_as_marks(parfocal, tmp_path):
    (tmp_path / "bad\x1b[2J.tif").touch()
    status, _, err = parfocal("score", tmp_path)
    assert status == 1
    assert "bad\N{REPLACEMENT CHARACTER}[2J.tif: the file is empty" in err
