"""The Shepp-Logan test: numbers, and what a figure is drawn from."""

from __future__ import annotations

import numpy as np
import pytest

from parfocal.core.errors import InputError
from parfocal.evaluate.shepp_logan import shepp_logan_test


@pytest.fixture(scope="module")
def phantom():
    return shepp_logan_test(["std", "brenner"], window_px=32, stride_px=16)


def test_measures_score_the_sharp_phantom_higher_and_more_so_against_more_blur(phantom):
    rows = {(row.measure, row.blur_px): row for row in phantom.rows}
    assert len(rows) == 4
    for name in ("std", "brenner"):
        assert rows[name, 12].ratio > rows[name, 6].ratio > 1.0
        assert rows[name, 12].separated > 0.95
        assert rows[name, 12].iou >= rows[name, 6].iou - 0.02
    assert rows["brenner", 12].ratio > rows["std", 12].ratio
    assert phantom.best() in ("std", "brenner")


def test_only_one_half_is_blurred_and_true(phantom):
    image, size = phantom.images[12], phantom.truth.shape[1]
    assert not phantom.truth[:, size // 2 :].any()
    steps = np.abs(np.diff(image, axis=1))
    assert steps[:, : size // 2 - 1].max() > 1.5 * steps[:, size // 2 + 8 :].max()
    assert phantom.maps["std", 12].shape == phantom.masks["std", 12].shape == image.shape


def test_kernels_have_a_side():
    with pytest.raises(InputError, match="at least 2 px"):
        shepp_logan_test(["std"], blurs_px=[1])
