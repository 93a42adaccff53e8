"""Fusion: sharper than any plane, honest about its sources, seamless, one-line errors."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from parfocal.core.errors import InputError, MetadataError, ShapeError, UnknownNameError
from parfocal.core.stack import FocalStack
from parfocal.score.fusion import apply_fusion, fuse
from parfocal.score.selection import fill_uncertain

SCENES = [("camera", "tilt"), ("camera", "step"), ("coins", "tilt"), ("coins", "step")]


def quality(image, truth):
    """PSNR in dB and SSIM against the image that is in focus everywhere."""
    span = float(truth.max())
    return (
        peak_signal_noise_ratio(truth, image.astype(float), data_range=span),
        structural_similarity(truth, image.astype(float), data_range=span),
    )


@pytest.mark.parametrize(("name", "shape"), SCENES)
def test_fused_image_is_better_than_every_plane_and_than_the_baseline(make_scene, name, shape):
    scene = make_scene(name, shape)
    psnr, ssim = quality(fuse(scene.planes).image, scene.truth)
    singles = [quality(plane, scene.truth) for plane in scene.planes]
    assert psnr > max(single[0] for single in singles) + 5.0
    assert ssim > max(single[1] for single in singles) + 0.05
    base_psnr, base_ssim = quality(fuse(scene.planes, method="variance").image, scene.truth)
    assert psnr > base_psnr + 0.7
    assert ssim > base_ssim + 0.03


@pytest.mark.parametrize(("name", "shape"), SCENES)
@pytest.mark.parametrize(("reassign", "most"), [(True, 1.0), (False, 0.4)])
def test_source_planes_follow_the_depth_on_texture(make_scene, name, shape, reassign, most):
    scene = make_scene(name, shape)
    mean = gaussian_filter(scene.truth, 3.0)
    textured = gaussian_filter(scene.truth**2, 3.0) - mean**2 > (0.1 * scene.truth.mean()) ** 2
    error = np.abs(fuse(scene.planes, reassign=reassign).index - scene.depth)[textured]
    assert np.median(error) <= most


def test_every_reassigned_pixel_is_a_pixel_of_the_stack(make_scene):
    planes = make_scene("camera", "step").planes
    for method in ("complex-wavelets", "variance"):
        fused = fuse(planes, method=method)
        taken = np.take_along_axis(planes, fused.index[None].astype(np.int64), axis=0)[0]
        np.testing.assert_array_equal(fused.image, taken)


def test_reassigned_planes_stay_beside_the_consistent_plane(make_scene):
    planes = make_scene("camera", "step").planes
    apart = np.abs(fuse(planes).index - fuse(planes, reassign=False).index)
    assert apart.max() == 1


def test_reversed_planes_reverse_the_index(make_scene):
    planes = make_scene("coins", "tilt").planes
    turned = np.ascontiguousarray(planes[::-1])
    forward, backward = fuse(planes, reassign=False), fuse(turned, reassign=False)
    assert np.mean(forward.index != len(planes) - 1 - backward.index) < 0.001
    assert np.mean(fuse(planes).image != fuse(turned).image) < 0.001


def test_gain_and_offset_leave_the_source_planes(make_scene):
    planes = make_scene("coins", "step").planes
    plain = fuse(planes)
    changed = fuse(4.0 * planes + 512.0)
    assert np.mean(plain.index != changed.index) < 0.005
    np.testing.assert_allclose(
        np.median(np.abs(changed.image - (4.0 * plain.image + 512.0))), 0.0, atol=1e-2
    )


@pytest.mark.parametrize("method", ["complex-wavelets", "variance"])
def test_tiles_leave_no_seam(method):
    generator = np.random.default_rng(0)
    size_y, size_x = 610, 700
    grey = generator.poisson(40.0, (3, size_y, size_x)).astype(np.float32)
    soft = np.stack([gaussian_filter(plane, 1.5) for plane in grey])
    depth = np.broadcast_to(np.arange(size_x) * 3 // size_x, (size_y, size_x))
    planes = np.where(np.arange(3)[:, None, None] == depth, grey, soft)
    whole = fuse(planes, method=method, memory_mb=4000)
    tiled = fuse(planes, method=method, memory_mb=1)
    if method == "variance":
        np.testing.assert_array_equal(tiled.index, whole.index)
    assert np.mean(tiled.index != whole.index) < 0.001
    differs = np.abs(tiled.image - whole.image) > 1e-2
    assert differs.mean() < 0.001
    for at in (256, 512):  # nothing gathers where tiles meet
        assert differs[at - 8 : at + 8].mean() < 0.01
        assert differs[:, at - 8 : at + 8].mean() < 0.01


@pytest.mark.parametrize("size", [(37, 61), (5, 7), (3, 3), (1, 40), (64, 130)])
def test_any_size_is_fused(size):
    generator = np.random.default_rng(1)
    planes = generator.poisson(30.0, (4, *size)).astype(np.uint16)
    fused = fuse(planes)
    assert fused.shape == size
    assert fused.image.dtype == np.float32
    assert 0 <= fused.index.min() <= fused.index.max() <= 3


def test_constant_stack_gives_itself_from_its_middle_plane():
    fused = fuse(np.full((5, 40, 40), 100, dtype=np.uint8))
    np.testing.assert_array_equal(fused.image, 100.0)
    np.testing.assert_array_equal(fused.index, 2)


def test_noise_alone_draws_a_smooth_map_from_the_textured_part(make_scene):
    scene = make_scene("camera", "tilt", planes=14)
    planes = scene.planes.copy()
    planes[:, :, 96:] = np.random.default_rng(0).poisson(200.0, planes[:, :, 96:].shape)
    index = fuse(planes, reassign=False).index[:, 128:]
    assert np.mean(np.abs(np.diff(index, axis=1)) > 2) < 0.02


def test_one_plane_is_its_own_fusion():
    plane = np.random.default_rng(0).random((1, 20, 30)).astype(np.float32)
    fused = fuse(plane)
    np.testing.assert_array_equal(fused.image, plane[0])
    np.testing.assert_array_equal(fused.index, 0)


def test_every_array_kind_gives_the_same_image(make_scene):
    planes = make_scene("coins", "step").planes
    expected = fuse(planes)
    for kind in (torch.from_numpy(planes), da.from_array(planes, chunks=(1, 50, 50))):
        np.testing.assert_array_equal(fuse(kind).image, expected.image)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_z_is_that_of_the_source_plane(make_scene, sign):
    planes = make_scene("camera", "step").planes
    z_um = 30.0 + sign * 0.5 * np.arange(len(planes))
    fused = fuse(FocalStack(images=planes, z_um=z_um))
    np.testing.assert_array_equal(fused.z_um, z_um[fused.index])
    assert fuse(FocalStack(images=planes, z_um=z_um, z_known=False)).z_um is None


def test_other_channel_follows_the_same_map(make_scene):
    planes = make_scene("camera", "step").planes
    stack = FocalStack(images=planes, z_um=np.arange(14.0))
    fused = fuse(stack)
    other = FocalStack(images=2.0 * planes + 3.0, z_um=np.arange(14.0))
    followed = apply_fusion(fused, other, memory_mb=1)
    np.testing.assert_array_equal(followed.image, 2.0 * fused.image + 3.0)
    np.testing.assert_array_equal(followed.z_um, fused.z_um)


def test_other_channel_of_another_field_is_refused(make_scene):
    planes = make_scene("camera", "step").planes
    fused = fuse(FocalStack(images=planes, z_um=np.arange(14.0)))
    with pytest.raises(ShapeError, match="192 x 100 px cannot follow a fusion map of 192 x 192"):
        apply_fusion(fused, planes[:, :, :100])
    with pytest.raises(ShapeError, match="3 planes cannot follow"):
        apply_fusion(fused, planes[:3])
    with pytest.raises(MetadataError, match="same order"):
        apply_fusion(fused, FocalStack(images=planes, z_um=np.arange(14.0)[::-1].copy()))


def test_bad_input_is_refused_in_one_line():
    planes = np.ones((3, 32, 32), dtype=np.float32)
    planes[1, 4, 4] = np.nan
    with pytest.raises(InputError, match="plane 1 holds NaN") as caught:
        fuse(planes)
    assert "\n" not in str(caught.value)
    with pytest.raises(UnknownNameError, match="complex-wavelets, variance"):
        fuse(planes, method="average")
    with pytest.raises(ShapeError, match=r"axes \(z, y, x\)"):
        fuse(planes[0])
    with pytest.raises(InputError, match="memory_mb"):
        fuse(planes, memory_mb=0)


def test_uncertain_places_are_filled_from_the_trusted_ones():
    index = torch.full((32, 48), 9)
    weight = torch.zeros(32, 48)
    index[:, :4], index[:, -4:] = 2, 6
    weight[:, :4] = weight[:, -4:] = 1.0
    filled = fill_uncertain(index, weight, default=0)
    assert torch.equal(filled[:, :4], index[:, :4])
    assert filled.min() >= 2
    assert filled.max() <= 6
    assert (filled[:, 8:24].float().mean() < filled[:, 24:40].float().mean()).item()
