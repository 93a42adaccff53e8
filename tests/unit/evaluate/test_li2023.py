from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from parfocal.core.results import FocusMasks, Status
from parfocal.evaluate.li2023 import (
    OUTLINES,
    Method,
    ceilings,
    make_cases,
    rank_measures,
    regions,
    score,
)
from parfocal.evaluate.li2023_page import figures
from parfocal.evaluate.li2023_real import judge_real, plane_distances
from parfocal.evaluate.li2023_study import Example, Study, tables
from parfocal.evaluate.shepp_logan import shepp_logan_test
from parfocal.evaluate.study_tables import text_table
from parfocal.segment.overlap import intersection_over_union
from parfocal.simulate.thick_scenes import ThickSet, load_thick_scenes
from tests.fabricate.thick import fabricate_thick

PLANES = 5


def found(stack, masks):
    status = Status.FOUND if masks.any() else Status.FLAT
    return FocusMasks(status=status, reason="", masks=masks, method="by hand", z_um=stack.z_um)


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    place = tmp_path_factory.mktemp("thick")
    wanted = ThickSet(
        split="test", families=("cells", "nematode"), each=2, size_px=64, planes=PLANES
    )
    fabricate_thick(wanted, place)
    return make_cases(load_thick_scenes(wanted, place), lambda scene: scene.truth[:, ::-1])


def oracle(cases):
    truths = {case.scene.name: case.scene.truth for case in cases}

    def segment(stack):
        return found(stack, truths.get(stack.name, np.zeros(stack.shape, dtype=bool)))

    return Method(name="oracle", kind="rule", segment=segment)


def test_the_truth_itself_scores_one_and_takes_no_blank_pixel(cases):
    row, masks = score(oracle(cases), cases, blank_seeds=(0,))
    assert row.iou["true"] == {"known": 1.0, "unseen": 1.0}
    assert row.families == {"cells": 1.0, "nematode": 1.0}
    assert (row.false_positive, row.blank_answered) == (0.0, 0.0)
    assert row.coverage == pytest.approx(np.mean([mask.mean() for mask in masks]))
    weak = [intersection_over_union(case.scene.truth, case.scene.truth[:, ::-1])
            for case in cases[:2]]  # fmt: skip
    assert row.iou["algorithmic"]["known"] == pytest.approx(np.mean(weak))


def test_who_takes_everything_is_seen_on_blank_fields(cases):
    method = Method(
        name="all", kind="rule", segment=lambda s: found(s, np.ones(s.shape, dtype=bool))
    )
    row, _ = score(method, cases, blank_seeds=(0,))
    assert (row.false_positive, row.blank_answered, row.coverage) == (1.0, 1.0, 1.0)
    share = np.mean([case.scene.truth.mean() for case in cases[2:]])
    assert row.iou["true"]["unseen"] == pytest.approx(share)


def test_regions_are_the_closing_of_scipy(cases):
    truth = cases[0].scene.truth
    square = np.ones((1, 7, 7), bool)
    padded = np.pad(truth, ((0, 0), (7, 7), (7, 7)))
    by_scipy = ndimage.binary_closing(padded, square)[:, 7:-7, 7:-7]
    np.testing.assert_array_equal(regions(truth, gap_px=7), by_scipy)
    assert (regions(truth) | truth == regions(truth)).all()


def test_annotations_are_compared_in_pairs(cases):
    rows = ceilings(cases)
    assert [row.one for row in rows].count("the truth") == 10
    narrow = next(r for r in rows if (r.one, r.other) == ("the truth", "within 0.4 depths"))
    by_hand = [
        intersection_over_union(case.scene.truth, case.scene.annotations["within 0.4 depths"])
        for case in cases
    ]
    assert narrow.iou == {
        "known": pytest.approx(np.mean(by_hand[:2])), "unseen": pytest.approx(np.mean(by_hand[2:]))
    }  # fmt: skip


def test_outlines_are_the_truth_a_pixel_aside_and_a_pixel_wider(cases):
    truth = np.zeros((1, 9, 9), dtype=bool)
    truth[0, 3:6, 3:6] = True
    aside, wider = OUTLINES["one pixel aside"](truth), OUTLINES["one pixel wider"](truth)
    assert intersection_over_union(aside, truth) == pytest.approx(6 / 12)
    assert intersection_over_union(wider, truth) == pytest.approx(9 / 21)
    assert {"one pixel aside", "one pixel wider"} <= {row.other for row in ceilings(cases)}


def test_regions_in_focus_where_contrast_peaks_are_zero_planes_away(cases):
    stack = cases[0].scene.stack
    sharpest = np.zeros(stack.shape, dtype=bool)
    for band in range(2):  # the band of texture that is sharp moves down with the planes
        rows = slice(32 * band, 32 * band + 32)
        sharpest[1 + 2 * band, rows] = True
    away = plane_distances(stack, sharpest, tile_px=32)
    assert away.shape == (4,)
    assert away.max() <= 1
    wrong = plane_distances(stack, np.roll(sharpest, 2, axis=0), tile_px=32)
    assert wrong.min() >= 1


def test_a_decline_has_no_numbers(cases):
    stack = cases[0].scene.stack
    none = Method(name="none", kind="rule", segment=lambda s: found(s, np.zeros(s.shape, bool)))
    row = judge_real(stack, none)
    assert (row.status, row.within_one, row.tiles) == ("flat", None, 0)
    whole = judge_real(stack, oracle(cases))
    assert whole.status == "found"
    assert {picture.plane for picture in whole.pictures} <= set(range(PLANES))


def test_every_table_has_a_cell_for_each_head_and_every_figure_is_drawn(cases):
    row, _ = score(oracle(cases), cases, blank_seeds=(0,))
    none = Method(name="none", kind="rule", segment=lambda s: found(s, np.zeros(s.shape, bool)))
    scene = cases[0].scene
    example = Example(
        title="", image=scene.counts[1].astype(float), truth=scene.truth[1],
        masks={"oracle": scene.truth[1]},
    )  # fmt: skip
    study = Study(
        rows=(row,), ceilings=ceilings(cases), axial=rank_measures(cases, ["std", "brenner"]),
        phantom=shepp_logan_test(["std"], blurs_px=[12]), examples=(example,),
        real=(judge_real(cases[0].scene.stack, none), judge_real(cases[1].scene.stack, none)),
    )  # fmt: skip
    made = tables(study)
    assert len(made) == 7
    for table in made:
        assert {len(cells) for cells in table.cells} == {len(table.heads)}
        assert len(text_table(table)) == 2 + len(table.cells)
    assert study.to_dict()["tables"][0]["cells"][0][0] == "oracle"
    drawn = figures(study)
    assert [*drawn] == ["methods", "examples", "axial", "phantom", "real-1"]
    assert all(png.startswith(b"\x89PNG") for _, png in drawn.values())


def test_measures_are_ranked_by_the_mean_over_stacks(cases):
    rows = rank_measures(cases, ["std", "brenner"])
    assert {row.measure for row in rows} == {"std", "brenner"}
    assert rows[0].fall >= rows[1].fall
    assert all(len(row.offsets_um) == len(row.curve) for row in rows)
