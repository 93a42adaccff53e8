from __future__ import annotations

import numpy as np
import pytest

from parfocal.core.errors import InputError
from parfocal.core.results import PatchDefocus
from parfocal.predict.tilt import fit_tilt

PIXEL_UM, STRIDE_PX = 0.5, (200.0, 100.0)
SLOPES = (3.0, -8.0)  # um per mm


def _patches(defocus_um, certainty=0.6):
    whole = np.broadcast_to(certainty, defocus_um.shape).astype(float)
    return PatchDefocus(defocus_um=defocus_um, certainty=whole, patch_px=200.0, stride_px=STRIDE_PX)


def _plane(shape=(8, 8), noise=0.1, seed=0, slopes=SLOPES):
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    rise = slopes[0] * rows * 0.1 + slopes[1] * columns * 0.05  # strides in mm
    return rise + np.random.default_rng(seed).normal(0, noise, shape)


def test_a_plane_is_found_along_y_and_x():
    assert fit_tilt(_patches(_plane()), pixel_um=PIXEL_UM) == pytest.approx(SLOPES, abs=0.3)


def test_a_perfect_plane_is_found_exactly():
    assert fit_tilt(_patches(_plane(noise=0.0)), pixel_um=PIXEL_UM) == pytest.approx(SLOPES)


def test_an_added_defocus_changes_nothing_and_a_mirror_mirrors():
    field = _plane()
    one = fit_tilt(_patches(field), pixel_um=PIXEL_UM)
    assert fit_tilt(_patches(field + 20), pixel_um=PIXEL_UM) == pytest.approx(one)
    y, x = fit_tilt(_patches(field[:, ::-1]), pixel_um=PIXEL_UM)
    assert (y, -x) == pytest.approx(one)


def test_a_fifth_of_the_patches_may_be_anything():
    field, generator = _plane(), np.random.default_rng(1)
    wrong = generator.choice(field.size, field.size // 5, replace=False)
    field.flat[wrong] = generator.uniform(5, 30, len(wrong))
    assert fit_tilt(_patches(field), pixel_um=PIXEL_UM) == pytest.approx(SLOPES, abs=0.4)


def test_uncertain_and_empty_patches_have_no_say():
    field, certainty = _plane(), np.full((8, 8), 0.7)
    field[:4], certainty[:4] = 50.0, 0.1
    field[4, 0], certainty[4, 0] = np.nan, np.nan
    whole = PatchDefocus(defocus_um=field, certainty=certainty, patch_px=200.0, stride_px=STRIDE_PX)
    assert fit_tilt(whole, pixel_um=PIXEL_UM) == pytest.approx(SLOPES, abs=1.0)


def test_sure_patches_count_for_more():
    field, certainty = _plane(), np.full((8, 8), 0.9)
    doubtful = np.random.default_rng(2).random((8, 8)) < 0.5
    field[doubtful] *= -1
    certainty[doubtful] = 0.26
    whole = PatchDefocus(defocus_um=field, certainty=certainty, patch_px=200.0, stride_px=STRIDE_PX)
    assert fit_tilt(whole, pixel_um=PIXEL_UM) == pytest.approx(SLOPES, abs=0.6)


@pytest.mark.parametrize(
    "field",
    [
        _plane((2, 4)),
        _plane((1, 30)),
        _plane((30, 1)),
        np.full((5, 5), np.nan),
        np.full((5, 5), 3.0),
    ],
    ids=["too few", "one row", "one column", "nothing", "all alike"],
)
def test_too_little_cannot_tell(field):
    assert fit_tilt(_patches(field), pixel_um=PIXEL_UM) is None


def test_a_rise_that_the_network_may_invent_is_no_tilt():
    field = _patches(_plane())  # rises by 2.1 um along y and 2.8 um along x
    assert fit_tilt(field, pixel_um=PIXEL_UM, least_rise_um=4.5) is not None
    assert fit_tilt(field, pixel_um=PIXEL_UM, least_rise_um=5.5) is None


def test_few_level_fields_pass_for_tilted():
    def is_tilted(seed):
        field = _plane((4, 4), noise=1.0, seed=seed, slopes=(0.0, 0.0))
        return fit_tilt(_patches(field), pixel_um=PIXEL_UM) is not None

    assert sum(is_tilted(seed) for seed in range(150)) <= 6  # 1.5 expected


def test_the_same_patches_give_the_same_answer():
    field = _patches(_plane(noise=1.0))
    assert fit_tilt(field, pixel_um=PIXEL_UM) == fit_tilt(field, pixel_um=PIXEL_UM)


def test_a_pixel_without_size_is_refused():
    with pytest.raises(InputError, match="positive distance"):
        fit_tilt(_patches(_plane()), pixel_um=0.0)
