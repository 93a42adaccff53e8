"""The ranking of measures along z."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from parfocal.core.errors import InputError, ShapeError, UnknownNameError
from parfocal.core.stack import FocalStack
from parfocal.measures import CATALOG
from parfocal.segment.ranking import LI2023_MEASURES, axial_ranking


@pytest.fixture(scope="module")
def images():
    """Texture on a tilted plane, in focus at planes 2 to 6 of 9."""
    rng = np.random.default_rng(0)
    sharp = 1000 * rng.random((64, 80))
    blurs = np.stack([gaussian_filter(sharp, 0.7 + 0.8 * k) for k in range(9)])
    depth = np.linspace(2, 6, 80).round().astype(int)
    stack = [
        np.stack([blurs[abs(z - depth[x]), :, x] for x in range(80)], axis=1) for z in range(9)
    ]
    return rng.poisson(np.stack(stack)).astype(np.float64)


def test_the_nine_measures_are_rows_of_the_catalogue():
    assert len(LI2023_MEASURES) == 9
    assert set(LI2023_MEASURES) <= set(CATALOG)
    assert LI2023_MEASURES.vollath == "vollath4"


def test_gradients_fall_faster_than_spreads(images):
    rows = axial_ranking(images, ["variance", "std", "brenner", "tenengrad"])
    fall = {row.measure: row.fall for row in rows}
    assert [row.fall for row in rows] == sorted(fall.values(), reverse=True)
    assert fall["brenner"] > fall["variance"] > fall["std"]
    assert rows[0].half_width_planes < rows[-1].half_width_planes
    assert all(row.error_planes < 0.5 for row in rows)
    assert all(row.half_width_um is None for row in rows)


def test_curves_peak_at_focus_and_know_um(images):
    stack = FocalStack.of(images, z_step_um=0.5)
    (row,) = axial_ranking(stack, ["std"])
    assert row.curve[row.offsets == 0] == pytest.approx(1.0)
    assert row.half_width_um == pytest.approx(0.5 * row.half_width_planes)


@pytest.mark.parametrize("gain", [0.5, 4.0])
def test_ranking_is_gain_free(images, gain):
    names = ["std", "brenner", "haar_dwt"]
    one, other = axial_ranking(images, names), axial_ranking(gain * images, names)
    assert [row.measure for row in one] == [row.measure for row in other]
    np.testing.assert_allclose([r.fall for r in one], [r.fall for r in other], rtol=1e-5)


def test_wrong_calls(images):
    with pytest.raises(ShapeError, match="needs 3 planes"):
        axial_ranking(images[:2])
    with pytest.raises(InputError, match="measures is empty"):
        axial_ranking(images, [])
    with pytest.raises(UnknownNameError, match="sharpness"):
        axial_ranking(images, ["sharpness"])
    with pytest.raises(InputError, match="no tile changes"):
        axial_ranking(np.ones((4, 32, 32)), ["std"])
