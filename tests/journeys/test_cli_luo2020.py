"""``parfocal benchmark luo2020 --quick`` from fields to page."""

from __future__ import annotations

import json

import pytest

from tests.fabricate.refocusers import write_tiny_refocuser


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("luo2020")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_tiny_refocuser(tmp_path_factory.mktemp("models") / "tiny")


def test_the_quick_benchmark_refocuses_and_reports(folder, model, parfocal, tmp_path):
    page = tmp_path / "luo2020.html"
    call = ("benchmark", "luo2020", "--quick", "--folder", folder, "--model", model)
    status, out, err = parfocal(*call, "--report", page)
    assert status == 0, err
    for text in ("Richardson-Lucy, true PSF", "best Gaussian (oracle)", "Targets", "tilted by 1.5"):
        assert text in " ".join(out.split())
    assert page.read_text().count("data:image/png") == 4
    before = {path.name: path.stat().st_mtime_ns for path in (folder / "quick").iterdir()}
    assert "tilt.json" in before
    status, out, _ = parfocal(*call, "--json")
    found = json.loads(out)
    assert status == 0
    assert {row["method"] for row in found["fields"]} >= {"input", "blind, as given"}
    assert all(0 <= row["ssim"] <= 1 for row in found["fields"])
    assert {path.name: path.stat().st_mtime_ns for path in (folder / "quick").iterdir()} == before


def test_one_chapter_is_made_alone(folder, model, parfocal):
    call = ("--quick", "--folder", folder, "--model", model, "--only", "tilt", "--json")
    status, out, _ = parfocal("benchmark", "luo2020", *call)
    found = json.loads(out)
    assert (status, found["fields"], found["beads"]) == (0, [], [])
    assert len(found["tilt"]) == 16


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--model", "absent"), "--model"),
        (("--published", "/absent"), "--published"),
        (("--data", "/absent"), "--data"),
        (("--only", "poems"), "poems"),
        (("--report", "/absent/page.html"), "no folder"),
    ],
)
def test_a_wrong_call_is_one_line(arguments, said, folder, model, parfocal):
    given = ("--model", model) if "--model" not in arguments else ()
    call = ("benchmark", "luo2020", "--quick", "--folder", folder, *given, *arguments)
    status, out, err = parfocal(*call)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert said in err
