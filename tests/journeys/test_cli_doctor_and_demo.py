"""The doctor says what is there; the demo finds what is known."""

from __future__ import annotations

import json
import re
from itertools import islice

import pytest

from parfocal.cli import demonstration, health, strategies
from parfocal.cli.predictions import Predictions
from parfocal.evaluate.trial import shipped_trials
from tests.fabricate.models import write_tiny_model


def test_doctor_lists_libraries_extras_and_a_passed_test(parfocal):
    status, out, err = parfocal("doctor")
    assert (status, err) == (0, "")
    for words in ("parfocal 0.", "Python 3.", "torch", "CPU cores", "ndtiff", "Self-test: passed"):
        assert words in out


def test_doctor_names_the_command_for_a_missing_extra(parfocal, monkeypatch):
    real = health._version_of
    monkeypatch.setattr(
        health, "_version_of", lambda name: None if name == "ndstorage" else real(name)
    )
    _, out, _ = parfocal("doctor")
    assert "pip install 'parfocal[ndtiff]'" in out


def test_doctor_fails_when_scoring_does(parfocal, monkeypatch):
    monkeypatch.setattr(health, "self_test", lambda: {"passed": False, "text": "off by 3 um"})
    status, out, _ = parfocal("doctor", "--json")
    assert status == 1
    assert json.loads(out)["self_test"]["text"] == "off by 3 um"


def test_extras_of_the_doctor_are_those_declared():
    from importlib.metadata import metadata

    assert set(health.EXTRAS) == set(metadata("parfocal").get_all("Provides-Extra"))


def test_demo_finds_what_is_known_and_writes_its_page(tmp_path, parfocal, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demonstration, "shipped_trials", lambda: islice(shipped_trials(), 1))
    monkeypatch.setattr(demonstration, "strategies", lambda: ["coarse-fine"])
    monkeypatch.setenv("PARFOCAL_MODELS", str(tmp_path / "models"))
    write_tiny_model(tmp_path / "models" / "pair-fluorescence")
    (tmp_path / "demo-report.html").write_text("an older page")
    status, out, _ = parfocal("demo")
    assert status == 0
    assert "as known" in out
    assert str(tmp_path / "demo-report.html") in out
    assert re.search(r"^coarse-fine .* found +as known$", out, re.MULTILINE)
    page = (tmp_path / "demo-report.html").read_text()
    assert "Known focus: 2.15" in page
    assert "A simulated microscope, brought to focus" in page
    assert re.search(r"^\+3.0 depths +0\+1 +found ", out, re.MULTILINE)
    assert "4 predictions: 4 answered." in out
    assert "Defocus predicted from two images" in page
    assert page.count('class="over"') >= 4
    assert "Pixels in focus in a thick specimen" in page
    assert "Blurred images brought into focus" in page
    assert re.search(r"^li2023 by rule +found ", out, re.MULTILINE)


def test_without_a_network_the_demo_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PARFOCAL_MODELS", str(tmp_path))
    monkeypatch.setattr("parfocal.models.catalog.CATALOG", ())
    assert "predictor" not in strategies.strategies()
    predictions = Predictions()
    predictions.make()
    predictions.show()
    assert "no prediction: There is no model called 'pair-fluorescence'" in capsys.readouterr().out
    assert "No trained network is installed" in predictions.chapter()
    write_tiny_model(tmp_path / "pair-fluorescence")
    assert "predictor" in strategies.strategies()


@pytest.mark.parametrize("depth", [0, 1])
def test_demo_finds_real_stacks_beside_the_checkout(tmp_path, depth):
    manifest = tmp_path / "shared" / "data" / "stacks.toml"
    manifest.parent.mkdir(parents=True)
    manifest.touch()
    checkout = tmp_path / "checkout" if depth else tmp_path
    assert demonstration.find_manifest(checkout) == manifest
    assert demonstration.find_manifest(tmp_path / "a" / "b") is None
