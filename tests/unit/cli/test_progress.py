"""Progress: silent when the work is short, a plain line now and then when it is long."""

from __future__ import annotations

from parfocal.cli import progress as room


def test_short_work_is_silent(capsys):
    with room.progress(3, "scoring") as begin:
        for name in "abc":
            begin(name)
    assert capsys.readouterr() == ("", "")


def test_long_work_tells_how_far_it_is(capsys, monkeypatch):
    monkeypatch.setattr(room, "SECONDS_BETWEEN_LINES", 0.0)
    with room.progress(2, "scoring") as begin:
        begin("a")
        begin("b")
    assert capsys.readouterr().err == "scoring: 1 of 2, a\nscoring: 2 of 2, b\n"
