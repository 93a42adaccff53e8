"""``parfocal models``: the list, a card, and a file for elsewhere."""

from __future__ import annotations

import json

import pytest

from parfocal.cli import models_export
from parfocal.models import Exported, catalog, load_model
from parfocal.models.export_ports import BATCH, Axis, Port
from tests.fabricate.models import write_tiny_model


@pytest.fixture(autouse=True)
def own(tmp_path, monkeypatch):
    """A user's folder with one model, and nothing that ships."""
    monkeypatch.setenv("PARFOCAL_MODELS", str(tmp_path / "models"))
    monkeypatch.setattr(catalog, "CATALOG", ())
    return write_tiny_model(tmp_path / "models" / "tiny")


def _fake_export(folder, path):
    path.write_bytes(b"a graph")
    side = Axis("y", "space", least_px=32, step_px=32)
    names = Axis("c", "channel", channels=tuple(f"c{k}" for k in range(33)))
    return Exported(
        path,
        load_model(folder)[1],
        inputs=(Port("images", "two of them", (BATCH, side)),),
        outputs=(Port("classes", "many", (BATCH, names)),),
        largest_difference=3e-7,
    )


def test_the_list_names_verb_size_and_coverage(parfocal):
    status, out, err = parfocal("models", "list")
    assert (status, err) == (0, "")
    heading, row = out.splitlines()
    assert heading.split()[:3] == ["model", "verb", "MB"]
    assert row.split()[:5] == ["tiny", "predict", "0.0", "50", "%"]
    assert "your own: signed defocus" in row


def test_the_list_is_one_object_for_a_program(parfocal, own):
    status, out, _ = parfocal("models", "list", "--json")
    (row,) = json.loads(out)["models"]
    assert status == 0
    assert (row["name"], row["verb"], row["folder"]) == ("tiny", "predict", str(own))
    assert row["coverage"] == {"all": 0.5}
    assert row["shipped"] is False
    assert row["size_mb"] > 0


@pytest.mark.parametrize("spoil", ["card.json", "weights.safetensors"])
def test_a_damaged_model_is_named_and_the_others_are_listed(parfocal, own, spoil):
    bad = write_tiny_model(own.parent / "bad")
    if spoil == "card.json":
        (bad / spoil).write_text("{")
    else:
        (bad / spoil).unlink()
    status, out, err = parfocal("models", "list")
    assert status == 1
    assert err.count("\n") == 1
    assert str(bad) in err
    assert "damaged" in out
    assert "tiny" in out


def test_where_there_is_no_model_the_list_says_how_to_make_one(parfocal, tmp_path, monkeypatch):
    monkeypatch.setenv("PARFOCAL_MODELS", str(tmp_path / "none"))
    status, out, _ = parfocal("models", "list")
    assert status == 0
    assert "parfocal train --list" in out


def test_a_card_is_shown_by_name_and_by_folder(parfocal, own):
    status, by_name, _ = parfocal("models", "show", "tiny")
    assert status == 0
    assert by_name == parfocal("models", "show", own)[1] == load_model(own)[1].to_markdown()
    _, text, _ = parfocal("models", "show", "tiny", "--json")
    assert json.loads(text) == json.loads((own / "card.json").read_text())


def test_no_card_can_write_to_the_terminal(parfocal, own):
    card = json.loads((own / "card.json").read_text())
    (own / "card.json").write_text(json.dumps(card | {"data": "\x1b[31mred"}))
    assert "\x1b" not in parfocal("models", "show", "tiny")[1]


@pytest.mark.parametrize(
    ("name", "options", "form"),
    [("a.onnx", (), "onnx"), ("a.zip", (), "bioimageio"), ("a", ("--format=onnx",), "onnx")],
)
def test_an_export_says_what_it_wrote(parfocal, tmp_path, monkeypatch, name, options, form):
    monkeypatch.setitem(models_export.EXPORTERS, form, _fake_export)
    out = tmp_path / name
    status, text, err = parfocal("models", "export", "tiny", out, *options)
    assert (status, err) == (0, "")
    assert out.read_bytes() == b"a graph"
    assert f"wrote {out}" in text
    assert "images (any number, y of 32, 64, .. px): two of them" in text
    assert "33: c0 .. c32" in text
    assert "3e-07" in text
    again = parfocal("models", "export", "tiny", out, *options)
    assert again[0] == 2
    assert "--overwrite" in again[2]
    assert parfocal("models", "export", "tiny", out, *options, "--overwrite")[0] == 0


def test_an_export_that_fails_leaves_what_was_there(parfocal, tmp_path, monkeypatch):
    def fail(folder, path):
        path.write_bytes(b"half")
        raise OSError("the disk is full")

    monkeypatch.setitem(models_export.EXPORTERS, "onnx", fail)
    out = tmp_path / "a.onnx"
    out.write_bytes(b"older")
    status, _, err = parfocal("models", "export", "tiny", out, "--overwrite")
    assert status == 1
    assert err == "parfocal: the disk is full\n"
    assert out.read_bytes() == b"older"
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["a.onnx"]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["show", "psychic"], "tiny"),
        (["export", "psychic", "a.onnx"], "tiny"),
        (["export", "tiny", "a.txt"], "--format onnx"),
        (["export", "tiny", "a.onnx", "--format=pickle"], "'pickle'"),
        (["export", "tiny", "nowhere/a.onnx"], "nowhere"),
        (["show"], "NAME"),
        ([], "give a command"),
    ],
)
def test_a_wrong_call_gets_one_line(parfocal, tmp_path, monkeypatch, arguments, text):
    monkeypatch.chdir(tmp_path)
    status, _, err = parfocal("models", *arguments)
    assert status == 2
    assert text in err
    assert err.count("\n") == 1


def test_an_export_never_replaces_the_model_itself(parfocal, own):
    before = (own / "card.json").read_bytes()
    status, _, err = parfocal(
        "models", "export", "tiny", own / "card.json", "--format=onnx", "--overwrite"
    )
    assert status == 2
    assert "never overwritten" in err
    assert (own / "card.json").read_bytes() == before
