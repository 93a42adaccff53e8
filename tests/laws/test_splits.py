"""Splits share no specimen and no field of view, whatever the stacks are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parfocal.core.errors import InputError
from parfocal.core.setup import OpticalSetup
from parfocal.core.stack import FocalStack
from parfocal.data import (
    LabelledStack,
    joined_specimens,
    plane_marks,
    require_apart,
    split_stacks,
)

SETUP = OpticalSetup(na=0.5, wavelength_nm=500, pixel_um=0.5)
SPECIMENS = st.lists(st.sampled_from("abcdefghij"), min_size=2, max_size=30).filter(
    lambda names: len(set(names)) > 1
)
SHARES = st.floats(0.05, 0.9)


def _stack(fields, name="s"):
    """A stack whose planes show the given fields; 0 is an empty one."""
    planes = [np.random.default_rng(field).integers(1, 99, (4, 5)) for field in fields]
    images = np.array([plane * (field > 0) for field, plane in zip(fields, planes, strict=True)])
    stack = FocalStack.of(images.astype(np.uint16), z_step_um=1.0, setup=SETUP, name=name)
    return LabelledStack(stack=stack, focus_um=1.0, interval_um=(0.0, 2.0), specimen=name)


@given(names=SPECIMENS, held_out=SHARES, seed=st.integers(0, 99))
def test_each_stack_is_in_one_part_and_each_specimen_too(names, held_out, seed):
    split = split_stacks(names, held_out=held_out, seed=seed)
    parts = (split.learn, split.choose, split.judge)
    assert sorted(sum(parts, ())) == list(range(len(names)))
    shown = [{names[k] for k in part} for part in parts]
    assert shown[0]
    assert shown[2]
    assert not shown[0] & shown[1]
    assert not shown[0] & shown[2]
    assert not shown[1] & shown[2]
    assert 0 <= len(shown[2]) - len(shown[1]) <= 1


@given(names=SPECIMENS, seed=st.integers(0, 99), dice=st.randoms())
def test_the_order_of_the_stacks_does_not_matter(names, seed, dice):
    order = list(range(len(names)))
    dice.shuffle(order)
    one = split_stacks(names, seed=seed)
    two = split_stacks([names[k] for k in order], seed=seed)
    for part, other in ((one.learn, two.learn), (one.choose, two.choose), (one.judge, two.judge)):
        assert {names[k] for k in part} == {names[order[k]] for k in other}


@given(
    fields=st.lists(
        st.lists(st.integers(0, 12), min_size=2, max_size=4, unique=True), min_size=3, max_size=9
    ),
    seed=st.integers(0, 9),
)
def test_splits_share_no_field_of_view_though_copies_have_other_names(fields, seed):
    marks = [plane_marks(_stack(shown)) for shown in fields]
    names = [f"copy {k}" for k in range(len(fields))]
    specimens = joined_specimens(names, marks)
    if len(set(specimens)) < 2:
        with pytest.raises(InputError, match="at least two"):
            split_stacks(specimens, seed=seed)
        return
    split = split_stacks(specimens, seed=seed)
    require_apart(split, marks, names)
    parts = [
        {field for k in part for field in fields[k] if field > 0}
        for part in (split.learn, split.choose, split.judge)
    ]
    assert not parts[0] & parts[1]
    assert not parts[0] & parts[2]
    assert not parts[1] & parts[2]


def test_a_leak_is_refused_and_named():
    marks = [plane_marks(_stack(shown)) for shown in ((1, 2), (3, 4), (2, 5))]
    split = split_stacks(["a", "b", "c"], seed=0)
    with pytest.raises(InputError, match="one and three show the same images"):
        require_apart(split, marks, ["one", "two", "three"])


def test_empty_planes_are_no_common_field():
    assert not plane_marks(_stack((0, 1))) & plane_marks(_stack((0, 2)))
    assert len(plane_marks(_stack((0, 1)))) == 1
