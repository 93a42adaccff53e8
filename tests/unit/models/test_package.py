from __future__ import annotations

import json
import os

import pytest
import torch

from parfocal.core.errors import InputError, MetadataError, ReadError, UnknownNameError
from parfocal.models import (
    CATALOG,
    ModelCard,
    catalog,
    find_model,
    load_model,
    model_rows,
    save_model,
)
from parfocal.nets.pair import PairNetwork

SETTINGS = {"bins": 5, "widths": (4, 4, 4, 4, 4), "hidden": 8}


def _card(**changes):
    values = {
        "name": "tiny",
        "task": "a test",
        "architecture": "parfocal.nets.pair:PairNetwork",
        "settings": SETTINGS,
        "members": 2,
        "recipe": {"name": "tiny"},
        "commit": "none",
        "seed": 0,
        "data": "none",
        "seconds": 0.0,
        "machine": "none",
        "metrics": {},
        "coverage": {},
        "limits": ("everything",),
    }
    return ModelCard.model_validate(values | changes)


@pytest.fixture
def folder(tmp_path):
    networks = [PairNetwork(**SETTINGS) for _ in range(2)]
    save_model(tmp_path / "tiny", _card(), networks)
    return tmp_path / "tiny"


def test_what_was_saved_answers_as_before(tmp_path):
    networks = [PairNetwork(**SETTINGS).eval() for _ in range(2)]
    save_model(tmp_path / "tiny", _card(), networks)
    loaded, card = load_model(tmp_path / "tiny")
    pair, facts = torch.randn(3, 2, 64, 64), torch.zeros(3, 4)
    for before, after in zip(networks, loaded, strict=True):
        torch.testing.assert_close(after(pair, facts), before(pair, facts))
    assert card.sha256
    assert not loaded[0].training


@pytest.mark.skipif(os.name != "posix", reason="modes of files are POSIX")
@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600)])
def test_who_may_read_a_model_is_what_the_umask_says(tmp_path, mask, mode):
    before = os.umask(mask)
    try:
        save_model(tmp_path, _card(members=1), [PairNetwork(**SETTINGS)])
    finally:
        os.umask(before)
    assert {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {
        "weights.safetensors": mode,
        "card.json": mode,
    }


def test_the_card_must_name_as_many_members_as_there_are(tmp_path):
    with pytest.raises(MetadataError, match="2 members, but 1"):
        save_model(tmp_path, _card(), [PairNetwork(**SETTINGS)])


def test_weights_that_were_changed_are_refused(folder):
    weights = folder / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"abcd")
    with pytest.raises(ReadError, match="its hash differs"):
        load_model(folder)


def test_missing_weights_name_the_command_that_trains_them(folder):
    (folder / "weights.safetensors").unlink()
    with pytest.raises(ReadError, match="parfocal train tiny"):
        load_model(folder)


def test_no_card_can_make_other_code_run(folder):
    card = json.loads((folder / "card.json").read_text())
    (folder / "card.json").write_text(json.dumps(card | {"architecture": "os:system"}))
    with pytest.raises(MetadataError, match="os:system"):
        load_model(folder)


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"name": 3}'])
def test_a_damaged_card_gets_one_line(folder, text):
    (folder / "card.json").write_text(text)
    with pytest.raises(MetadataError, match="no valid model card") as caught:
        load_model(folder)
    assert "\n" not in str(caught.value)


def test_a_folder_of_the_user_joins_the_catalogue(folder, monkeypatch):
    monkeypatch.setenv("PARFOCAL_MODELS", str(folder.parent))
    assert find_model("tiny").folder == folder
    assert find_model("tiny").is_there
    assert "tiny" in [row.name for row in model_rows()]


def test_every_network_that_ships_is_there():
    assert all(row.is_there for row in CATALOG)


def test_an_unknown_model_names_those_there_are(monkeypatch, folder):
    monkeypatch.setenv("PARFOCAL_MODELS", str(folder.parent))
    with pytest.raises(UnknownNameError, match="tiny"):
        find_model("psychic")


def test_where_there_is_no_model_the_command_that_makes_one_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("PARFOCAL_MODELS", str(tmp_path))
    monkeypatch.setattr(catalog, "CATALOG", ())
    with pytest.raises(InputError, match="parfocal train --list"):
        find_model("psychic")
