from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from parfocal.segment.overlap import intersection_over_union
from parfocal.simulate.stacks import simulate_stack
from parfocal.simulate.thick_scenes import (
    ANNOTATIONS,
    FIRST_SEED,
    SEEN,
    UNSEEN,
    ThickSet,
    annotated,
    load_thick_scenes,
    thick_recipe,
    thick_recipes,
)


@pytest.fixture(scope="module")
def made():
    return simulate_stack(thick_recipe("epithelium", 5, size_px=32, planes=3))


def test_no_specimen_is_in_two_parts():
    seeds = [
        recipe.seed
        for split in FIRST_SEED
        for _, recipe in thick_recipes(
            ThickSet(split=split, families=(*SEEN, *UNSEEN), each=3, size_px=64)
        )
    ]
    assert len(set(seeds)) == len(seeds) == 5 * 7 * 3
    assert not {*SEEN} & {*UNSEEN}


def test_a_familys_specimens_do_not_depend_on_the_others():
    some = dict(thick_recipes(ThickSet(split="test", families=("cells",), each=2)))
    more = dict(thick_recipes(ThickSet(split="test", families=("nematode", "cells"), each=3)))
    assert all(more[name] == recipe for name, recipe in some.items())


def test_the_usual_annotation_is_the_stacks_own_truth(made):
    own = annotated(made)
    np.testing.assert_array_equal(own, made.in_focus)
    assert own.any()


def test_wider_and_lower_annotations_hold_the_others(made):
    masks = [annotated(made, extent=extent) for extent in (0.4, 0.2, 0.1)]
    assert all((wide | narrow == wide).all() for narrow, wide in pairwise(masks))
    low, high = (annotated(made, threshold=t) for t in (0.06, 0.16))
    assert (low | high == low).all()
    assert 0.1 < intersection_over_union(low, high) < 1.0


def test_stored_scenes_come_back_the_same_and_broken_ones_are_made_anew(tmp_path):
    wanted = ThickSet(split="test", families=("cells",), each=1, size_px=64, planes=3)
    (tmp_path / "test-cells-000.npz").write_bytes(b"broken")
    names = []
    first = load_thick_scenes(wanted, tmp_path, begin=names.append)[0]
    again = load_thick_scenes(wanted, tmp_path)[0]
    assert names == ["test-cells-000"]
    np.testing.assert_array_equal(first.counts, again.counts)
    np.testing.assert_array_equal(first.truth, again.truth)
    assert list(again.annotations) == list(ANNOTATIONS)
    for name in ANNOTATIONS:
        np.testing.assert_array_equal(first.annotations[name], again.annotations[name])
    assert again.stack.shape == (3, 64, 64)
