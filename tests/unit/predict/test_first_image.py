from __future__ import annotations

import pytest
import torch

from parfocal.predict.calibration import Calibration
from parfocal.predict.first_image import classes_of_first, of_first

NINE = Calibration(bins=9, classes_reach=4.0)


def _at(defocus):
    """All the probability on one class of a pair's middle."""
    return (torch.linspace(-4, 4, 9) == defocus).float()


@pytest.mark.parametrize("shift", [0.0, 0.25, 1.0, 1.7])
@pytest.mark.parametrize("middle", [-3.0, 0.0, 2.0])
def test_the_first_image_is_lower_by_the_way_to_the_middle(middle, shift):
    classes = classes_of_first(NINE, 1.7)
    first = of_first(_at(middle), classes, shift, NINE)
    assert float(first.sum()) == pytest.approx(1.0, abs=1e-6)
    assert float(first @ classes) == pytest.approx(middle - shift, abs=1e-5)


def test_nothing_is_lost_below_the_lowest_class_of_the_middle():
    classes = classes_of_first(NINE, 2.5)
    assert float(of_first(_at(-4.0), classes, 2.5, NINE) @ classes) == pytest.approx(-6.5)


def test_a_batch_is_moved_as_each_is_alone():
    classes = classes_of_first(NINE, 1.0)
    batch = torch.rand(2, 3, 9, generator=torch.Generator().manual_seed(0))
    moved = of_first(batch, classes, 0.6, NINE)
    torch.testing.assert_close(moved[1, 2], of_first(batch[1, 2], classes, 0.6, NINE))
