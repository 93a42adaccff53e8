"""``parfocal benchmark pinkard2019`` with studies that are handed in."""

from __future__ import annotations

import json

import numpy as np
import pytest

from parfocal.cli import pinkard2019
from parfocal.cli.main import run
from parfocal.evaluate.pinkard2019 import QUICK, Studies
from parfocal.evaluate.pinkard2019_rows import StudyRow

CASES = {"stacks": ("4",), "feature": ("magnitude", "phase"), "pattern": ("one LED",),
         "kinds": ("on phase_cells", "on tissue_section", "on tissue_section, tuned with 4",
                   "on phase_cells, tuned with 4"),
         "angle": ("0.05", "0.15", "0.25", "0.35", "0.45", "0.55")}  # fmt: skip


def _row(study, method, case):
    return StudyRow(
        study=study, method=method, case=case, stacks=4, rmse_um=2.5, zero_um=17.0, limit_um=3.0
    )


class Ready:
    """A bench that has done everything before."""

    def __init__(self, sizes, learner, *, tell=None):
        self.sizes = sizes

    def finished(self):
        rows = [
            _row(study, method, case)
            for study, cases in CASES.items()
            for case in cases
            for method in ("published", "ours")
            if method == "published" or study in ("stacks", "kinds")
        ]
        return Studies(
            sizes=self.sizes, rows=tuple(rows), truth_offsets_um=(0.4, -0.2),
            saliency={"published": np.ones((5, 20)), "ours": np.ones((8, 10))},
            edge_share={"published": 1.5, "ours": 1.2},
        )  # fmt: skip


@pytest.fixture(autouse=True)
def _ready(monkeypatch):
    monkeypatch.setattr(pinkard2019, "Bench", Ready)
    monkeypatch.setattr(pinkard2019, "_predictor", lambda model: None)


def test_the_tables_stand_beside_the_papers_words(capsys):
    assert run(["benchmark", "pinkard2019", "--quick"]) == 0
    out = capsys.readouterr().out
    assert "The paper: an asymmetric line of LEDs is best" in out
    assert "published 1.50, ours 1.20" in out
    assert "mean +0.10 um" in out


def test_json_and_a_page_are_written_and_not_overwritten_unasked(tmp_path, capsys):
    page = tmp_path / "page.html"
    call = ["benchmark", "pinkard2019", "--quick", "--json", "--report", str(page)]
    assert run(call) == 0
    held = json.loads(capsys.readouterr().out)
    assert held["sizes"] == QUICK.model_dump(mode="json")
    assert len(held["rows"]) == 19
    assert page.read_text(encoding="utf-8").count("<table>") == 6
    assert run(call) == 2
    assert "--overwrite" in capsys.readouterr().err


def test_more_stacks_make_larger_studies():
    sizes = pinkard2019.Pinkard2019Request(stacks=160).sizes
    assert sizes.counts == (20, 40, 80, 160)
