"""Exit status and the one line that an error leaves."""

from __future__ import annotations

import pytest
import typer

from parfocal.cli import main as command
from parfocal.cli.exits import CallError
from parfocal.core.errors import ReadError


@pytest.fixture
def run_verb(monkeypatch, capsys):
    """Run a command whose one verb raises what it is given."""

    def run(error, *, debug=False):
        app = typer.Typer()

        @app.command("fall")
        def fall():
            raise error

        @app.command("other")
        def other():
            pass

        monkeypatch.setattr(command, "app", app)
        status = command.run(["fall"], debug=debug)
        return status, capsys.readouterr().err

    return run


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (CallError("no input"), 2),
        (ReadError("a.tif: empty"), 1),
        (PermissionError("not yours"), 1),
        (typer.BadParameter("odd value"), 2),
        (KeyboardInterrupt(), 130),
    ],
    ids=lambda value: type(value).__name__,
)
def test_errors_are_one_line_with_their_status(run_verb, error, status):
    got, err = run_verb(error)
    assert got == status
    assert err.startswith("parfocal: ")
    assert err.count("\n") == 1


def test_debug_gives_the_traceback(run_verb):
    _, err = run_verb(ReadError("a.tif: empty"), debug=True)
    assert "Traceback" in err
    assert err.endswith("parfocal: a.tif: empty\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["score", "--no-such"], "--no-such"),
        (["focus"], "focus"),
        (["score"], "no input"),
        (["score", "a.tif", "--time", "-1"], "--time"),
        (["score", "a.tif", "--pixel-um", "wide"], "--pixel-um"),
        (["score", "a.tif", "--region", "0:5"], "Y0:Y1,X0:X1"),
        (["score", "a.tif", "--region", "9:5,0:4"], "empty"),
        (["score", "a.tif", "--json", "--csv"], "exclude"),
        (["score", "a.tif", "--output", "a.xls"], ".json or .csv"),
        (["score", "a.tif", "--na", "1.4", "--immersion-index", "1.33"], "--immersion-index"),
        (["score", "a.tif", "--modality", "sound"], "sound"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_wrong_calls_are_refused_in_one_line(capsys, arguments, words):
    assert command.run(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert words in err


def test_nothing_said_shows_the_help(capsys):
    with pytest.raises(SystemExit) as left:
        command.main([])
    assert left.value.code == 0
    assert "score" in capsys.readouterr().out


def test_unexpected_fault_is_one_line(capsys):
    command._unexpected(ZeroDivisionError, ZeroDivisionError("by\nzero"), None)
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "ZeroDivisionError: by zero" in err
    assert "--debug" in err
