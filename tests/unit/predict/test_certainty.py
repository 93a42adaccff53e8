"""The published rules, worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from parfocal.predict.certainty import is_certain, mean_of_certain, two_main_classes
from parfocal.predict.posterior import certainty

CLASSES_UM = torch.linspace(-36.0, 36.0, 13)


def votes(*um: float) -> torch.Tensor:
    return torch.eye(13)[[round((value + 36) / 6) for value in um]]


def mixed(first: float, second: float) -> torch.Tensor:
    """Two classes of 13 with these probabilities, -36 um and -30 um."""
    values = torch.zeros(13)
    values[0], values[1] = first, second
    return values


def test_certainty_is_that_of_the_published_formula():
    for p in (0.5, 0.8):
        q = 1 - p
        by_hand = 1 + (p * math.log(p) + q * math.log(q)) / math.log(13)
        assert float(certainty(mixed(p, q))) == pytest.approx(by_hand, abs=1e-6)
    assert float(certainty(torch.full((13,), 1 / 13))) == pytest.approx(0.0, abs=1e-6)


def test_the_threshold_is_0_35():
    # Five classes alike: 1 - ln 5 / ln 13 = 0.3725; six: 1 - ln 6 / ln 13 = 0.3014.
    five, six = torch.zeros(2, 13)
    five[:5], six[:6] = 1 / 5, 1 / 6
    assert is_certain(torch.stack([five, six])).tolist() == [True, False]


def test_the_mean_is_over_certain_patches_alone():
    unsure = torch.full((2, 13), 1 / 13)
    assert mean_of_certain(torch.cat([votes(6, 12), unsure]), CLASSES_UM) == 9.0


def test_no_certain_patch_gives_no_number():
    unsure = torch.full((9, 13), 1 / 13)
    assert mean_of_certain(unsure, CLASSES_UM) is None
    assert two_main_classes(unsure, CLASSES_UM) is None


def test_two_main_classes_leave_outliers_out():
    # 40 patches of 24 um, 20 of 30 um, 4 of -36 um: (24 * 40 + 30 * 20) / 60 = 26 um.
    patches = votes(*[24] * 40, *[30] * 20, *[-36] * 4)
    assert two_main_classes(patches, CLASSES_UM) == pytest.approx(26.0)


def test_one_class_alone_is_its_own_answer():
    assert two_main_classes(votes(-12, -12, -12), CLASSES_UM) == -12.0


def test_of_classes_with_as_many_patches_the_nearer_counts():
    patches = votes(*[24] * 4, *[30] * 2, *[-36] * 2)
    assert two_main_classes(patches, CLASSES_UM) == pytest.approx((24 * 4 + 30 * 2) / 6)
    assert two_main_classes(votes(0, -36), CLASSES_UM) == -18.0
