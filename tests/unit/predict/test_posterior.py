from __future__ import annotations

import math

import pytest
import torch

from parfocal.predict.posterior import certainty, join, spread

CLASSES = torch.linspace(-8, 8, 33)


def _bell(centre, width):
    p = torch.exp(-0.5 * ((CLASSES - centre) / width) ** 2)
    return p / p.sum()


def test_patches_that_agree_narrow_the_field_as_the_root_of_their_number_to_the_half():
    one = _bell(1.0, 2.0)
    joined = join(one.expand(16, 33), CLASSES, torch.ones(16), independence=0.5)
    assert joined.centre == pytest.approx(1.0, abs=0.05)
    # 16 patches count as 4: half the spread of one.
    assert joined.spread == pytest.approx(float(spread(one, CLASSES)) / 2, rel=0.1)
    assert joined.patches == pytest.approx(16)
    assert joined.disagreement == pytest.approx(0.0, abs=1e-3)


def test_a_patch_without_weight_has_no_say():
    good, bad = _bell(2.0, 0.7), _bell(-6.0, 0.4)
    joined = join(torch.stack([good, bad]), CLASSES, torch.tensor([1.0, 0.0]))
    assert joined.centre == pytest.approx(2.0, abs=0.05)


def test_no_single_patch_can_exclude_what_many_see():
    many = [_bell(2.0, 0.7)] * 9
    joined = join(torch.stack([*many, _bell(-6.0, 0.2)]), CLASSES, torch.ones(10))
    assert joined.centre == pytest.approx(2.0, abs=0.3)


def test_certainty_runs_from_nothing_to_one():
    even = torch.full((33,), 1 / 33)
    assert float(certainty(even)) == pytest.approx(0.0, abs=1e-6)
    assert float(certainty(_bell(0.0, 0.01))) == pytest.approx(1.0)
    two = torch.zeros(33)
    two[[3, 4]] = 0.5
    assert float(certainty(two)) == pytest.approx(1 - math.log(2) / math.log(33))
