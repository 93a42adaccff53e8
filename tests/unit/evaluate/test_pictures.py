"""Pictures keep what they show: means, proportions, missing values."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from matplotlib import colormaps
from matplotlib.image import imread

from parfocal.core.results import DepthMap
from parfocal.evaluate import pictures
from parfocal.evaluate.fields import record_of


def _decode(uri: str) -> np.ndarray:
    kind, data = uri.removeprefix("data:image/").split(";base64,")
    return imread(io.BytesIO(base64.b64decode(data)), format=kind)


def test_shrinking_keeps_the_mean():
    image = np.random.default_rng(1).random((1200, 900))
    small = pictures.shrink(image)
    assert small.shape == (600, 450)
    assert small.mean() == pytest.approx(image.mean())


def test_shrinking_ignores_missing_values():
    image = np.array([[1.0, np.nan], [3.0, np.nan], [np.nan] * 2, [np.nan] * 2])
    small = pictures.shrink(image, most_px=2)
    assert small[0, 0] == 2.0
    assert np.isnan(small[1, 0])


def test_shrinking_takes_a_narrow_strip():
    assert pictures.shrink(np.ones((1, 5000))).shape[0] == 1


def test_constant_image_is_drawn_black_without_fault():
    assert np.all(pictures.stretch(np.full((4, 4), 7.0), (7.0, 7.0)) == 0)


def test_best_plane_is_shown_with_its_number_and_z(make_stack, make_estimate):
    stack = make_stack()
    (picture,) = pictures.plane_pictures(stack, make_estimate(stack))
    assert picture.caption == "plane 4 of 11, z = 8.0 µm"
    assert _decode(picture.data_uri).shape[:2] == (48, 64)


def test_declined_field_shows_first_middle_last(make_stack, make_estimate):
    stack = make_stack()
    shown = pictures.plane_pictures(stack, make_estimate(stack, status="flat"))
    assert [p.title for p in shown] == ["First plane", "Middle plane", "Last plane"]


def test_one_plane_is_shown_once(make_stack, make_estimate):
    stack = make_stack(planes=1)
    assert len(pictures.plane_pictures(stack, make_estimate(stack, status="flat"))) == 1


def _depth(z, confidence):
    return DepthMap(z_um=z, confidence=confidence, index=z / 2, measure="brenner", window_px=8)


def test_tiles_without_say_are_see_through(make_stack, make_estimate):
    stack = make_stack()
    picture = pictures.tile_picture(record_of(stack, make_estimate(stack)), (8.0, 9.0))
    pixels = _decode(picture.data_uri)
    assert pixels.shape == (2, 2, 4)
    assert (pixels[..., 3] > 0).tolist() == [[True, True], [False, True]]
    assert "3 tiles of 24 px" in picture.caption


def test_low_is_dark_and_high_is_bright_on_the_scale(make_stack, make_estimate):
    stack = make_stack()
    picture = pictures.tile_picture(record_of(stack, make_estimate(stack)), (8.0, 9.0))
    pixels = _decode(picture.data_uri)
    assert pixels[0, 0, :3] == pytest.approx(colormaps["viridis"](0.0)[:3], abs=0.01)
    assert pixels[0, 1, :3] == pytest.approx(colormaps["viridis"](1.0)[:3], abs=0.01)


def test_depth_fades_with_confidence(make_stack, make_estimate):
    z = np.tile(np.linspace(0.0, 10.0, 40), (40, 1))
    confidence = np.repeat(np.linspace(0.0, 1.0, 40)[:, None], 40, axis=1)
    stack = make_stack()
    record = record_of(stack, make_estimate(stack))
    picture = pictures.depth_picture(_depth(z, confidence), record, (0.0, 10.0))
    opacity = _decode(picture.data_uri)[..., 3]
    assert np.all(opacity[0] == 0)
    assert opacity[39] == pytest.approx(1.0)
    assert np.all(np.diff(opacity[:, 5]) >= 0)


def test_height_without_confidence_is_not_taken():
    z = np.array([[1.0, 2.0], [3.0, np.nan]])
    depth = _depth(z, np.array([[1.0, 0.0], [0.5, np.nan]]))
    kept = pictures.sure_depth(depth, z_known=True)
    assert np.array_equal(kept, [[1.0, np.nan], [3.0, np.nan]], equal_nan=True)
    assert pictures.sure_depth(depth, z_known=False)[0, 0] == 0.5


def test_maps_share_a_scale_that_a_flat_field_does_not_fill(make_stack, make_estimate):
    stack = make_stack()
    record = record_of(stack, make_estimate(stack))
    flat = np.array([[8.0, 8.1]])
    low, high = pictures.height_scale(record, flat)
    assert high - low == pytest.approx(record.setup.depth_of_field_um)
    assert (low + high) / 2 == pytest.approx(8.05)
    low, high = pictures.height_scale(record, flat, np.array([[0.0, 20.0]]))
    assert (low, high) == pytest.approx((0.2, 19.8))
    assert pictures.height_scale(record, None, np.full((2, 2), np.nan)) is None


@pytest.mark.parametrize("pixel_um", [0.01, 0.107, 0.325, 1.37, 40.0])
@pytest.mark.parametrize("size_x", [60, 512, 3000])
def test_scale_bar_is_round_and_fits(pixel_um, size_x):
    length_um, share = pictures.scale_bar(pixel_um, size_x)
    assert share * pixel_um * size_x == pytest.approx(length_um)
    assert 0.07 < share <= 0.2001
    assert f"{length_um:e}"[0] in "125"
