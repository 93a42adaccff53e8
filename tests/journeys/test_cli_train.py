"""``parfocal train`` from call to card, also after a kill."""

from __future__ import annotations

import functools
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from parfocal.cli import training
from parfocal.cli.main import run
from parfocal.models import load_model
from parfocal.train.held_out import HeldOut

TINY = [
    "train", "pair-fluorescence", "--steps=6", "--members=1", "--held-out=1",
    "--option=batch=4", "--option=epoch_steps=2", "--option=widths=[4,4,4,4,4]",
    "--option=hidden=8", '--option=objects=["beads"]',
]  # fmt: skip

SMALL = {"objects": ("nematode",), "size_px": 64}
CHILD = f"""
import functools, sys
from parfocal.cli import training
from parfocal.cli.main import main
training.HeldOut = functools.partial(training.HeldOut, **{SMALL!r})
main(sys.argv[1:])
"""


@pytest.fixture(autouse=True)
def _small_fields(monkeypatch):
    """Measure on what is simulated in a moment."""
    monkeypatch.setattr(training, "HeldOut", functools.partial(HeldOut, **SMALL))


def test_a_model_is_trained_and_not_overwritten_unasked(tmp_path, capsys):
    place = tmp_path / "own"
    assert run([*TINY, "--out", str(place), "--json"]) == 0
    card = json.loads(capsys.readouterr().out)
    assert card["name"] == "pair-fluorescence"
    assert card["recipe"]["steps"] == 6
    assert load_model(place)[1].sha256 == card["sha256"]
    assert run([*TINY, "--out", str(place)]) == 2
    assert "add --overwrite" in capsys.readouterr().err
    assert run([*TINY, "--out", str(place), "--overwrite"]) == 0
    assert "wrote" in capsys.readouterr().out


def test_a_quick_model_has_a_name_of_its_own_in_the_users_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PARFOCAL_MODELS", str(tmp_path))
    assert run([*TINY, "--quick"]) == 0
    assert str(tmp_path / "pair-fluorescence-quick") in capsys.readouterr().out
    assert (tmp_path / "pair-fluorescence-quick" / "card.json").is_file()


def test_a_run_killed_half_way_goes_on_to_the_same_weights(tmp_path):
    long = [*TINY, "--steps=30", "--option=epoch_steps=10"]
    command = [sys.executable, "-c", CHILD, *long, "--out"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    child = subprocess.Popen([*command, str(killed)], env=environment)
    deadline = time.monotonic() + 60
    while not (killed / "member-0.ckpt").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    assert not (killed / "card.json").exists()
    subprocess.run([*command, str(killed)], env=environment, check=True, capture_output=True)
    assert run([*long, "--out", str(whole)]) == 0
    assert load_model(killed)[1].sha256 == load_model(whole)[1].sha256


def test_an_interrupt_keeps_the_checkpoint_and_says_how_to_go_on(tmp_path, monkeypatch, capsys):
    from parfocal.train import making

    def stopped(*_arguments, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr(making, "train_logged", stopped)
    assert run([*TINY, "--out", str(tmp_path)]) == 130
    assert "before the first checkpoint" in capsys.readouterr().err
    (tmp_path / "member-0.ckpt").touch()
    assert run([*TINY, "--out", str(tmp_path)]) == 130
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "the same command goes on from there" in said


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["train"], "--list"),
        (["train", "psychic"], "pair-fluorescence"),
        ([*TINY, "--option=stepz=3"], "no setting 'stepz'"),
        ([*TINY, "--option=widths=wide"], "widths"),
        ([*TINY, "--device=abacus"], "no device 'abacus'"),
    ],
)
def test_a_wrong_call_gets_one_line(arguments, text, tmp_path, capsys):
    assert run([*arguments, *(["--out", str(tmp_path)] if len(arguments) > 2 else [])]) == 2
    said = capsys.readouterr().err
    assert text in said
    assert said.count("\n") == 1


def test_the_list_shows_recipes_and_settings(capsys):
    assert run(["train", "--list"]) == 0
    shown = capsys.readouterr().out
    assert "pair-fluorescence" in shown
    assert "lonely=0.08" in shown
