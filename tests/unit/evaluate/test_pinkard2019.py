from __future__ import annotations

import numpy as np
import pytest
import torch

from parfocal.evaluate.pinkard2019 import (
    ANGLES_NA,
    CELLS,
    PATTERNS,
    QUICK,
    TISSUE,
    Bench,
    edge_ratio,
)
from parfocal.evaluate.pinkard2019_figure import studies_png
from parfocal.evaluate.pinkard2019_page import (
    ADAPTING_HEADS,
    HEADS,
    adapting_rows,
    benchmark_page,
    saliency_text,
    study_rows,
)
from parfocal.evaluate.pinkard2019_truth import published_focus_um
from parfocal.evaluate.sheet import ReportHeader
from parfocal.simulate.led_fields import LedFields, LedScene
from parfocal.train.spectrum_task import LedAnswers


class Miser:
    """Learns how many stacks it was given, and errs by 12 um over that number."""

    def __init__(self):
        self.learnt = []

    def extract(self, method, fields):
        return lambda stack: stack.defocus_um[:, None]

    def learn(self, method, fields, examples, first=None):
        self.learnt.append((method, len(examples), first))
        return len(examples)

    def answers(self, method, fields, network, examples):
        said = examples.defocus_um + 12.0 / network
        if method != "ours":
            return LedAnswers(said, None)
        doubtful = torch.zeros_like(said)
        doubtful.view(-1)[0] = 40.0
        return LedAnswers(said + doubtful, -doubtful)

    def saliency(self, method, fields, network, examples):
        return np.ones((8, 40))


@pytest.fixture(scope="module")
def bench():
    made = Bench(QUICK.model_copy(update={"planes": 2}), Miser())
    made.found = made.finished()
    return made


def test_every_study_has_its_rows_and_errors_are_those_of_unseen_stacks(bench):
    found = bench.found
    assert [row.sure_rmse_um for row in found.of("stacks", "ours")] == pytest.approx([6.0, 3.0])
    assert all(row.rmse_um > 20 for row in found.of("stacks", "ours"))
    assert [row.rmse_um for row in found.of("stacks", "published")] == pytest.approx([6.0, 3.0])
    assert {row.sure_rmse_um for row in found.of("stacks", "published")} == {None}
    assert len(found.of("angle")) == len(ANGLES_NA)
    assert {row.case for row in found.of("pattern")} == set(PATTERNS)
    assert {row.case for row in found.of("feature")} == {"magnitude", "phase"}
    on_tissue = [row for row in found.of("kinds", "ours") if TISSUE in row.case]
    assert {row.limit_um for row in on_tissue} == {2.0}
    assert all(2 < row.zero_um < 30 for row in found.rows)


def test_fine_tuning_starts_from_the_base_with_as_many_old_stacks_mixed_in(bench):
    tuned = [entry for entry in bench.learner.learnt if entry[2] is not None]
    assert tuned == [("published", 4, 4), ("ours", 4, 4)]


def test_adapting_is_told_before_and_after_on_the_new_kind_and_on_the_old(bench):
    """The base of 4 stacks errs by 3 um, and tuned with 2 new and 2 old ones by 3 um as well."""
    rows = adapting_rows(bench.found)
    assert [row[0] for row in rows] == ["published", "ours"]
    assert rows[0] == [
        "published", TISSUE, "2", "3.00", "3.00", "2", CELLS, "3.00", "3.00", "3"
    ]  # fmt: skip
    assert all(rows[1][k].endswith(" (3.00)") for k in (3, 4, 7, 8))
    assert {len(row) for row in rows} == {len(ADAPTING_HEADS)}


def test_stacks_that_measure_are_never_learnt_from(bench):
    learnt = bench.examples("ours", CELLS, "train").defocus_um
    seen = bench.examples("ours", CELLS, "test").defocus_um
    assert not set(learnt.flatten().tolist()) & set(seen.flatten().tolist())


def test_the_page_holds_the_figure_and_every_table(bench):
    png = studies_png(bench.found)
    assert png.startswith(b"\x89PNG")
    header = ReportHeader(title="LED", date="", version="", command="parfocal")
    page = benchmark_page(header, bench.found, {"led-phase": [["phase_cells"] * 7]})
    assert page.count("<table>") == 7
    assert "data:image/png" in page
    assert len(study_rows(bench.found, "stacks")[0]) == len(HEADS)
    assert "paper" in saliency_text(bench.found)


def test_saliency_on_the_edges_alone_is_told():
    v = (np.arange(56)[:, None] + 0.5) / 56 * 0.89
    u = ((np.arange(64) + 0.5) / 64 * 2 - 1) * 1.02
    edge = np.minimum(abs(np.hypot(v, u - 0.6) - 1), abs(np.hypot(v, u + 0.6) - 1)) < 0.08
    assert edge_ratio(np.where(edge, 3.0, 1.0), 0.89, 1.02) == pytest.approx(3.0)


def test_the_published_truth_lies_near_the_middle_of_cells():
    scene = LedScene.draw(LedFields(size_px=128, planes=1), CELLS, seed=2)
    found = published_focus_um(scene.specimen, scene.fields.setup, about_um=scene.focus_um)
    assert abs(found - scene.focus_um) < 3.0
    assert torch.is_tensor(scene.specimen.heights_um)
