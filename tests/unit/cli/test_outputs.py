"""Outputs are checked before the work, and are whole or not there after it."""

from __future__ import annotations

import os

import pytest

from parfocal.cli.exits import CallError
from parfocal.cli.outputs import check_apart, check_output, write_text, write_whole


def test_existing_output_needs_overwrite(tmp_path):
    place = tmp_path / "a.html"
    check_output(place, overwrite=False, option="--report")
    place.write_text("mine")
    with pytest.raises(CallError, match=r"--report .*a\.html exists; add --overwrite"):
        check_output(place, overwrite=False, option="--report")
    check_output(place, overwrite=True, option="--report")


def test_output_in_absent_folder_or_as_folder_is_refused(tmp_path):
    with pytest.raises(CallError, match="there is no folder"):
        check_output(tmp_path / "no" / "a.html", overwrite=True, option="--report")
    with pytest.raises(CallError, match="is a folder"):
        check_output(tmp_path, overwrite=True, option="--report")


def test_raw_data_is_never_an_output(tmp_path):
    raw = tmp_path / "stack.tif"
    raw.touch()
    (tmp_path / "link.tif").symlink_to(raw)
    for name in ("stack.tif", "./stack.tif", "link.tif"):
        with pytest.raises(CallError, match="raw data is never overwritten"):
            check_apart([tmp_path / name], [raw])
    with pytest.raises(CallError, match="two outputs"):
        check_apart([tmp_path / "x", tmp_path / "x"], [raw])


def test_interrupted_writing_leaves_the_old_file(tmp_path):
    place = tmp_path / "a.txt"
    place.write_text("old")

    def begin(unfinished):
        unfinished.write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_whole(place, begin)
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]
    assert place.read_text() == "old"


def test_writing_keeps_text_and_the_usual_rights(tmp_path):
    place = tmp_path / ("long" * 40 + ".txt")
    write_text(place, "a µ\r\nb\n")
    assert place.read_bytes() == "a µ\r\nb\n".encode()
    mask = os.umask(0)
    os.umask(mask)
    assert place.stat().st_mode & 0o777 == 0o666 & ~mask
