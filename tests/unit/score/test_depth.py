"""Depth maps: right where they are sure, silent where nothing can be judged."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import tifffile
import torch
from scipy.ndimage import gaussian_filter

from parfocal.core.errors import InputError, ShapeError, UnknownNameError
from parfocal.core.stack import FocalStack
from parfocal.score import depth, lobes
from parfocal.score.depth import depth_map
from parfocal.score.lobes import find_summits, steady_median

SCENES = [("coins", "tilt"), ("coins", "step"), ("grass", "tilt"), ("grass", "step")]


def errors(found, scene):
    """Distance from the truth, in planes, where the map is sure."""
    sure = found.confidence > 0.5
    return np.abs(found.index - scene.depth)[sure], float(sure.mean())


@pytest.mark.parametrize(("name", "shape"), SCENES)
@pytest.mark.parametrize("photons", [20.0, 200.0])
def test_heights_are_right_where_the_map_is_sure(make_scene, name, shape, photons):
    scene = make_scene(name, shape, photons=photons)
    wrong, share = errors(depth_map(scene.planes, window_px=32), scene)
    assert np.median(wrong) < 0.3
    assert np.quantile(wrong, 0.9) < 1.0
    assert share > 0.3


def test_confidence_falls_at_a_step(make_scene):
    scene = make_scene("grass", "step")
    found = depth_map(scene.planes, window_px=32)
    edge = np.abs(np.diff(scene.depth, axis=1, append=scene.depth[:, -1:])) > 1
    assert np.median(found.confidence[edge]) < 0.5 * np.median(found.confidence)


def test_auto_is_more_accurate_than_finer_measures_in_dim_light(make_scene):
    scene = make_scene("coins", "tilt", photons=20.0)

    def typical(measure):
        found = depth_map(scene.planes, window_px=32, measure=measure)
        error = np.abs(found.index - scene.depth)[20:-20, 20:-20]
        return float(np.median(np.where(np.isnan(error), 14.0, error)))

    assert typical("auto") < min(typical("energy_of_laplacian"), typical("brenner"))


def test_bleaching_does_not_draw_the_map_to_the_bright_planes(make_scene):
    scene = make_scene("coins", "tilt")
    light = 0.9 ** np.arange(len(scene.planes))
    counts = np.random.default_rng(0).poisson(scene.planes * light[:, None, None])
    found = depth_map(counts.astype(np.uint16), window_px=32)
    sure = found.confidence > 0.5
    assert sure.mean() > 0.2
    assert abs(np.median((found.index - scene.depth)[sure])) < 0.2


def test_noise_that_fades_with_the_light_is_taken_off(make_scene):
    scene = make_scene("coins", "tilt", photons=60.0)
    light = 0.92 ** np.arange(len(scene.planes))
    counts = np.random.default_rng(0).poisson((scene.planes + 500.0) * light[:, None, None])
    found = depth_map(counts.astype(np.uint16), window_px=32)
    sure = found.confidence > 0.5
    assert sure.mean() > 0.1
    assert abs(np.median((found.index - scene.depth)[sure])) < 0.12


def test_blank_half_is_not_a_number(make_scene):
    scene = make_scene("grass", "tilt")
    planes = scene.planes.copy()
    planes[:, :, 96:] = np.random.default_rng(0).poisson(200.0, planes[:, :, 96:].shape)
    found = depth_map(planes, window_px=32)
    blank = found.z_um[:, 132:]
    assert np.isnan(blank).mean() > 0.98
    assert (found.confidence[:, 132:][~np.isnan(blank)] < 0.1).all()
    assert np.isnan(found.z_um[16:-16, 24:64]).mean() < 0.1


@pytest.mark.parametrize("blur", [0.0, 1.0])
@pytest.mark.parametrize("measure", ["auto", "brenner", "variance", "entropy"])
def test_noise_is_nowhere_sure(measure, blur):
    planes = np.random.default_rng(1).poisson(50.0, (12, 128, 128)).astype(np.float32)
    planes = np.stack([gaussian_filter(plane, blur) for plane in planes])
    assert depth_map(planes, window_px=32, measure=measure).confidence.max() < 0.2


def test_constant_stack_is_not_a_number():
    found = depth_map(np.full((6, 64, 64), 100, dtype=np.uint16), window_px=16)
    assert np.isnan(found.z_um).all()
    assert (found.confidence == 0.0).all()


@pytest.mark.parametrize("first", [True, False])
def test_structure_that_is_sharpest_at_the_end_has_no_height(make_scene, first):
    scene = make_scene("grass", "step")
    planes = scene.planes[9:] if first else scene.planes[:10]  # the deep side is in plane 9
    side = (slice(24, -24), slice(130, 170))
    found = depth_map(np.ascontiguousarray(planes), window_px=32)
    assert np.isnan(found.index[side]).all()
    assert (found.confidence[side] == 0.0).all()


@pytest.mark.parametrize("first_um", [0.0, 100.0])
def test_reversed_stack_gives_the_same_heights(make_scene, first_um):
    planes = make_scene("coins", "tilt").planes
    z_um = first_um + 0.25 * np.arange(len(planes))
    rising = depth_map(FocalStack(images=planes, z_um=z_um), window_px=32)
    turned = FocalStack(images=planes[::-1].copy(), z_um=z_um[::-1].copy())
    falling = depth_map(turned, window_px=32)
    np.testing.assert_allclose(falling.z_um, rising.z_um, atol=1e-6)
    np.testing.assert_allclose(falling.index, len(planes) - 1 - rising.index, atol=1e-6)
    np.testing.assert_allclose(rising.z_um, first_um + 0.25 * rising.index, atol=1e-6)


def test_mirrored_stack_gives_the_mirrored_map(make_scene):
    planes = make_scene("coins", "step").planes
    plain = depth_map(planes, window_px=32)
    mirrored = depth_map(planes[:, ::-1, ::-1].copy(), window_px=32)
    np.testing.assert_allclose(mirrored.index[::-1, ::-1], plain.index, atol=1e-4)


def test_gain_and_offset_leave_the_map(make_scene):
    planes = make_scene("coins", "step").planes
    plain = depth_map(planes, window_px=32)
    changed = depth_map(3.0 * planes + 400.0, window_px=32)
    sure = plain.confidence > 0.5
    np.testing.assert_allclose(changed.index[sure], plain.index[sure], atol=0.05)


def test_unknown_z_counts_planes(make_scene):
    planes = make_scene("coins", "step").planes
    for kind in (planes, torch.from_numpy(planes), da.from_array(planes, chunks=(1, 64, 64))):
        found = depth_map(kind, window_px=32)
        np.testing.assert_array_equal(found.z_um, found.index)
        assert found.z_um.shape == planes.shape[1:]


def test_bands_of_rows_change_nothing(make_scene, monkeypatch):
    planes = make_scene("coins", "step").planes
    whole = depth_map(planes, window_px=32)
    monkeypatch.setattr(depth, "_BAND_BYTES", 4 * 192 * 50)
    banded = depth_map(planes, window_px=32)
    np.testing.assert_allclose(banded.index, whole.index, atol=1e-3)
    np.testing.assert_allclose(banded.confidence, whole.confidence, atol=1e-3)


@pytest.mark.parametrize(
    ("size", "window_px", "stride_px"), [((20, 31), 64, None), ((50, 47), 15, 5), ((40, 90), 24, 7)]
)
def test_any_size_window_and_stride_gives_a_map_of_the_image(size, window_px, stride_px):
    grey = np.random.default_rng(2).random(size) * 1000.0
    planes = np.stack([gaussian_filter(grey, 0.8 + 0.7 * abs(z - 4)) for z in range(9)])
    found = depth_map(planes, window_px=window_px, stride_px=stride_px)
    assert found.z_um.shape == found.confidence.shape == size
    assert abs(float(np.nanmedian(found.index)) - 4.0) < 0.1


def test_real_stack_maps_its_known_focus(shared_data):
    files = sorted((shared_data / "dfnn_mitochondria" / "stack").glob("*.tif"))
    planes = np.stack([tifffile.imread(file) for file in files])
    found = depth_map(FocalStack(images=planes, z_um=0.05 * np.arange(len(files))))
    sure = found.confidence > 0.5
    assert sure.mean() > 0.05
    assert abs(float(np.median(found.z_um[sure])) - 18.5 * 0.05) < 0.15


def test_bad_input_is_refused_in_one_line():
    planes = np.ones((4, 32, 32), dtype=np.float32)
    with pytest.raises(ShapeError, match="at least 3 planes, but there are 2"):
        depth_map(planes[:2])
    with pytest.raises(InputError, match="window_px must be at least 8"):
        depth_map(planes, window_px=4)
    with pytest.raises(UnknownNameError, match="sharpness"):
        depth_map(planes, measure="sharpness")
    planes[2, 5, 5] = np.inf
    with pytest.raises(InputError, match="plane 2 holds NaN") as caught:
        depth_map(planes)
    assert "\n" not in str(caught.value)


def test_summits_of_known_curves_are_found():
    generator = np.random.default_rng(3)
    peak = generator.uniform(3.0, 16.0, (6, 7))
    width = generator.uniform(1.0, 4.0, (6, 7))
    z = np.arange(20.0)[:, None, None]
    curves = 2.0 + 5.0 / (1.0 + ((z - peak) / width) ** 2) ** 2
    found = find_summits(curves, np.full((6, 7), 0.01))
    np.testing.assert_allclose(found.plane, peak, atol=0.12)
    assert np.median(np.abs(found.plane - peak)) < 0.02
    assert found.confidence.min() > 0.9


def test_curve_that_is_highest_at_an_end_has_no_summit():
    z = np.arange(12.0)[:, None, None]
    peak = np.array([[-3.0, 0.3, 1.4, 9.6, 10.7, 14.0]])
    found = find_summits(1.0 / (1.0 + ((z - peak) / 3.0) ** 2) ** 2, np.full((1, 6), 1e-3))
    np.testing.assert_array_equal(np.isnan(found.plane[0]), [True, True, False, False, True, True])
    np.testing.assert_array_equal(found.confidence[0] > 0, ~np.isnan(found.plane[0]))


def test_two_equal_lobes_are_not_trusted():
    z = np.arange(20.0)[:, None, None]
    lobe = [1.0 / (1.0 + (z - at) ** 2) ** 2 for at in (5.0, 14.0)]
    heights = np.array([[0.0, 0.3, 0.95]])
    found = find_summits(lobe[0] + heights * lobe[1], np.full((1, 3), 1e-3))
    assert found.confidence[0, 0] > 0.95
    assert 0.2 < found.confidence[0, 1] < 0.8
    assert found.confidence[0, 2] == 0.0


def test_steady_median_matches_a_slow_reference():
    generator = np.random.default_rng(4)
    values = generator.random((7, 9))
    weights = generator.random((7, 9)) * (generator.random((7, 9)) > 0.3)
    found = steady_median(values, weights)
    for y in range(7):
        for x in range(9):
            block = (slice(max(y - 1, 0), y + 2), slice(max(x - 1, 0), x + 2))
            mass, near = weights[block].ravel(), values[block].ravel()
            order = [k for k in np.argsort(near) if mass[k] > 0]
            if weights[y, x] == 0:
                assert np.isnan(found[y, x])
                continue
            total = np.cumsum(mass[order])
            assert found[y, x] == near[order[int(np.argmax(total >= 0.5 * total[-1]))]]


def test_blocks_of_curves_change_nothing(make_scene, monkeypatch):
    planes = make_scene("coins", "step").planes
    whole = depth_map(planes, window_px=32)
    generator = np.random.default_rng(5)
    curves = generator.random((12, 9, 5))
    curves += 8.0 / (1.0 + (np.arange(12.0)[:, None, None] - 6.3) ** 2) ** 2
    plain = find_summits(curves, np.full((9, 5), 0.5))
    monkeypatch.setattr(lobes, "_BLOCK_CURVES", 45)
    np.testing.assert_array_equal(find_summits(curves, np.full((9, 5), 0.5)).plane, plain.plane)
    monkeypatch.setattr(lobes, "_BLOCK_CURVES", 50)
    assert np.nanmean(np.abs(depth_map(planes, window_px=32).index - whole.index)) < 0.02
