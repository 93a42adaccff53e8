"""``parfocal train --from`` from a user's stacks to a model that is kept, or not."""

from __future__ import annotations

import json

import pytest

from parfocal.cli.main import run
from parfocal.models import load_model
from parfocal.train import tuning
from parfocal.train.stack_trials import ClassicalError
from parfocal.train.tuning_card import Verdict
from tests.fabricate.labelled import write_known, write_small_model

OPTICS = ["--na=0.5", "--wavelength-nm=500", "--pixel-um=0.5", "--z-step-um=2"]
TINY = [
    "--steps=4", "--option=epoch_steps=2", "--option=batch=4", "--option=simulated=0",
    "--option=most_pairs=2", "--option=peak_rate=0.02",
]  # fmt: skip


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """A model and a folder of three stacks, one of which is none."""
    place = tmp_path_factory.mktemp("tune")
    stacks = write_known(place / "stacks", 2)
    (stacks / "broken.ome.tif").write_bytes(b"II*\x00 and no more")
    return write_small_model(place / "base"), stacks


def _call(places, *more):
    base, stacks = places
    return ["train", "pair-fluorescence", f"--from={base}", "--images", str(stacks), *OPTICS,
            *TINY, *more]  # fmt: skip


def test_a_model_that_is_not_better_is_not_kept_and_status_1_says_why(places, tmp_path, capsys):
    base, _ = places
    before = (base / "card.json").read_bytes()
    assert run(_call(places, "--out", str(tmp_path / "own"))) == 1
    said = capsys.readouterr().err.strip().splitlines()
    assert said[-1].startswith("parfocal: not kept: mean |error| on 1 held-out stack: ")
    assert "by DCTS with" in said[-1]
    assert [line.split(":")[1].strip() for line in said if "left out" in line] == ["broken"]
    assert not (tmp_path / "own").exists()
    assert (base / "card.json").read_bytes() == before


def test_a_better_one_is_kept_beside_the_one_before_and_shown(
    places, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("PARFOCAL_MODELS", str(tmp_path))
    monkeypatch.setattr(tuning, "classical_error", lambda *_, **__: ClassicalError(99.0, 13.0))
    monkeypatch.setattr(Verdict, "is_better", property(lambda self: self.classical.mean > 9))
    assert run(_call(places)) == 1  # one file could not be read; the rest is done and written
    shown = capsys.readouterr().out
    assert "99.00" in shown
    assert f"wrote {tmp_path / 'base-tuned'}" in shown
    assert load_model(tmp_path / "base-tuned")[1].recipe["base"] == "base"
    stacks = sorted(str(path) for path in places[1].glob("field*"))
    call = _call((places[0], stacks[0]), "--json", "--overwrite")
    call[4:5] = stacks  # --images A B
    assert run(call) == 0
    card = json.loads(capsys.readouterr().out)
    assert card["metrics"]["stacks"] == 1.0
    assert run(_call(places)) == 2
    assert "add --overwrite" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["pair-fluorescence", "--images", "x"], "add --from MODEL"),
        (["pair-fluorescence", "--from", "x"], "--from needs --images"),
        (["pair-fluorescence", "--from", "x", "--images", "y", "--quick"], "keeps its members"),
        (["pair-fluorescence", "--from", "x", "--images", "/nowhere"], "no such file"),
        (["pair-fluorescence", "--from", "x", "--images", "y", "--option", "z=1"], "setting 'z'"),
    ],
)
def test_a_wrong_call_gets_one_line(arguments, text, tmp_path, capsys):
    assert run(["train", *arguments, "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert text in said
    assert said.count("\n") == 1
