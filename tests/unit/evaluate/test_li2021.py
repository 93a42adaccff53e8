from __future__ import annotations

import numpy as np
import pytest
import torch

from parfocal.core.results import DefocusEstimate, PatchDefocus, Status
from parfocal.evaluate.li2021 import (
    Answers,
    after_one_move,
    confusion,
    cut_patches,
    draw_cases,
    error_ratio,
    pair_answers,
    score_fields,
    score_patches,
    sum_up,
)
from parfocal.evaluate.li2021_figure import confusions_png, errors_png, spacings_png
from parfocal.evaluate.li2021_measures import CLASSICAL, classical_answers
from parfocal.evaluate.li2021_page import benchmark_page
from parfocal.evaluate.li2021_study import Benchmark, compare, far_and_near, kinds_of, study_row
from parfocal.evaluate.sheet import ReportHeader
from parfocal.predict.calibration import Calibration
from parfocal.predict.pair_predictor import PairPredictor
from tests.fabricate.sheets import fabricated_scene

CLASSES_UM = np.linspace(-36.0, 36.0, 13)


@pytest.fixture(scope="module")
def cases():
    scenes = [
        fabricated_scene(seed=1),
        fabricated_scene(seed=2, is_flat=False),
        fabricated_scene(seed=3, tissue="dense_tissue", is_flat=False),
    ]
    return draw_cases(scenes, levels=4, seed=1)


def answers(cases, name: str, errors_um: np.ndarray, certain: np.ndarray | None = None) -> Answers:
    """Answers with given errors, the field's that of the first patch."""
    said = cases.truth_um[:, None] + errors_um
    sure = np.ones(said.shape, bool) if certain is None else certain
    return Answers(
        name=name, images=2, patches_um=said, is_certain=sure, field_um=said[:, 0],
        certain_field_um=np.where(sure.all(1), said[:, 0], np.nan),
    )  # fmt: skip


def test_cases_stand_at_class_centres_and_carry_the_true_defocus(cases):
    assert len(cases.truth_um) == 12
    assert set(cases.level_um) <= set(CLASSES_UM)
    assert np.abs(cases.truth_um - cases.level_um).max() <= 1.0
    z_um = np.array(cases.scenes[0].z_um)[cases.plane]
    np.testing.assert_allclose(z_um - cases.scenes[0].focus_um, cases.truth_um)


def test_patches_are_the_nine_of_the_field_row_by_row():
    images = torch.arange(2 * 384 * 400.0).reshape(2, 384, 400)
    patches = cut_patches(images)
    assert patches.shape == (9, 2, 128, 128)
    assert torch.equal(patches[5], images[:, 128:256, 256:384])


@pytest.mark.parametrize("row", CLASSICAL, ids=lambda row: row.name)
def test_every_measure_finds_a_plain_focus_and_knows_its_sign(row, cases):
    found = classical_answers(row, cases)
    assert found.images == 13
    worst = {"VARS": 3.5}.get(row.name, 2.5)
    assert np.abs(found.patches_um - cases.truth_um[:, None]).max() <= worst
    assert np.abs(found.field_um - cases.truth_um).max() <= worst


def test_scores_are_worked_out_by_hand(cases):
    errors = np.full((12, 9), 2.0)
    errors[:, 0] = -11.0
    certain = np.ones((12, 9), bool)
    certain[:, 0] = False
    one = answers(cases, "a", errors, certain)
    which = cases.where(is_flat=True)
    score = score_patches(one, cases, which)
    assert (score.mean_um, score.median_um) == pytest.approx((27 / 9, 2.0))
    assert (score.certain_um, score.kept) == pytest.approx((2.0, 8 / 9))
    field = score_fields(one, cases, which)
    assert (field.mean_um, field.certain_um, field.kept) == (pytest.approx(11.0), None, 0.0)


def test_ratios_are_of_the_same_patches(cases):
    mine = answers(cases, "a", np.full((12, 9), 1.0))
    errors = np.full((12, 9), 4.0)
    errors[:, 0] = 2.0
    other = answers(cases, "b", errors)
    every = np.ones(12, bool)
    assert error_ratio(mine, other, cases, every).value == pytest.approx(9 / 34)
    kept = np.zeros((12, 9), bool)
    kept[:, 0] = True
    found = error_ratio(mine, other, cases, every, kept=kept)
    assert (found.low, found.value, found.high) == pytest.approx((0.5, 0.5, 0.5))
    assert error_ratio(mine, other, cases, every, kept=kept & False) is None


def test_ratios_know_how_much_scenes_differ(cases):
    errors = np.full((12, 9), 1.0)
    errors[cases.scene == 0] = 5.0
    found = error_ratio(answers(cases, "a", errors), answers(cases, "b", np.ones((12, 9))), cases,
                        np.ones(12, bool))  # fmt: skip
    assert found.low < found.value < found.high


def test_confusions_count_rows_of_true_classes(cases):
    mirrored = answers(cases, "a", np.repeat(-2 * cases.truth_um[:, None], 9, 1))
    matrix = confusion(mirrored, cases, CLASSES_UM)
    assert matrix.sum() == 12 * 9
    true = np.abs(cases.truth_um[:, None] - CLASSES_UM).argmin(1)
    for row in set(true):
        assert matrix[row, 12 - row] == 9 * (true == row).sum()
    assert sum_up(matrix).wrong_side == 1.0


class Straight(PairPredictor):
    """Says the truth of a fabricated scene, 3 um too high; its planes are known by their counts."""

    calibration = Calibration(least_certainty=0.2)

    def __init__(self, cases):
        self.known = {
            scene.counts[k, :384, :384].tobytes(): z_um - scene.focus_um
            for scene in cases.scenes
            for k, z_um in enumerate(scene.z_um)
        }
        self.asked = []

    def predict(self, images, *, spacing_um, setup):
        said = self.known[images[0].numpy().astype(np.uint16).tobytes()] + 3.0
        self.asked.append(said - 3.0)
        patches = PatchDefocus(
            defocus_um=np.full((3, 3), said), certainty=np.full((3, 3), 0.5), patch_px=128.0,
            stride_px=(128.0, 128.0),
        )  # fmt: skip
        return DefocusEstimate(
            status=Status.FOUND, reason="", defocus_um=said, defocus_dof=said,
            interval_um=(said, said), certainty=0.5, probabilities=np.ones(1),
            classes_um=np.array([said]), patches=patches,
        )  # fmt: skip


def test_a_second_look_is_taken_near_the_focus_that_was_said(cases):
    predictor = Straight(cases)
    first = pair_answers("first", predictor, cases)
    np.testing.assert_allclose(first.patches_um, cases.truth_um[:, None] + np.full((12, 9), 3.0))
    predictor.asked.clear()
    second = after_one_move("second", first, predictor, cases)
    # The pair's first plane lies half its distance below, and the first answer was 3 um too high.
    assert np.abs(np.array(predictor.asked) + 6.0).max() <= 1.0
    np.testing.assert_allclose(second.field_um, cases.truth_um + 3.0)
    assert second.images == 4


def test_thick_scenes_are_told_apart_by_how_far_they_are(cases):
    parts = far_and_near(cases)
    assert sum(parts.values()).tolist() == cases.where(is_flat=False).tolist()
    assert len(parts) > 1
    for name, which in parts.items():
        low, high = (float(word) for word in name.split()[1:4:2])
        assert low <= np.abs(cases.truth_um[which]).min()
        assert np.abs(cases.truth_um[which]).max() < high


def test_the_whole_comparison_becomes_tables_and_a_page(cases):
    dcts = classical_answers(CLASSICAL[0], cases)
    ours = answers(cases, "ours", np.full((12, 9), 0.5))
    li = answers(cases, "Li 2021", np.full((12, 9), -3.0))
    rows, ratios = compare([dcts, li, ours], cases, certain_of="ours", networks=("Li 2021", "ours"))
    groups = list(kinds_of(cases))
    assert groups == ["3-D, seen tissues", "3-D, unseen tissue", "3-D, all", "flat, seen tissues",
                      "flat, all"]  # fmt: skip
    assert len(rows) == 3 * len(groups)
    assert len(ratios) == 2 * (len(groups) + len(far_and_near(cases)))
    study = study_row(
        answers(cases, "2 images", np.zeros((12, 9))), cases, classes_um=CLASSES_UM, spacing_um=6.0
    )
    assert study.summary.exact == 1.0
    assert study.matrix.sum() == 8 * 9
    found = Benchmark(scenes=3, cases=12, rows=rows, ratios=ratios, studies=(study,), facts=("a",))
    for png in (errors_png(found), confusions_png(found), spacings_png(found)):
        assert png.startswith(b"\x89PNG")
    header = ReportHeader(title="Li <2021>", date="today", version="1", command="parfocal")
    page = benchmark_page(header, found)
    assert "Li &lt;2021&gt;" in page
    assert page.count("data:image/png") == 3
    values = found.to_dict()
    assert values["ratios"][1]["method"] == "ours"
    assert values["studies"][0]["summary"]["exact"] == 1.0
