"""Surfaces against balls, boxes and rings whose area and volume are known."""

from __future__ import annotations

import numpy as np
import pytest

from parfocal.core.errors import InputError, MetadataError
from parfocal.segment import focus_mesh
from parfocal.segment import mesh as mesh_file
from tests.fabricate.masks import ball, declined, masks_of

SHAPE, PIXEL_UM, RADIUS_UM = (24, 44, 48), 0.5, 8.0
EVEN = np.arange(24.0)
UNEVEN = np.concatenate([np.arange(0.0, 8.0, 0.8), np.arange(8.0, 23.5, 1.1)])[:24]


def _soft(z_um):
    shares = np.clip(0.5 + ball(SHAPE, RADIUS_UM, z_um, PIXEL_UM) / 3, 0, 1)
    return masks_of(shares >= 0.5, z_um=z_um, pixel_um=PIXEL_UM, probabilities=shares)


@pytest.mark.parametrize("falls", [False, True])
@pytest.mark.parametrize("z_um", [EVEN, UNEVEN], ids=["even", "uneven"])
def test_a_ball_has_the_area_and_volume_of_a_ball(z_um, falls):
    z_um = z_um[::-1].copy() if falls else z_um
    mesh = focus_mesh(_soft(z_um + 100.0), of="probabilities")
    assert mesh.euler == 2
    assert mesh.volume_um3 == pytest.approx(4 / 3 * np.pi * RADIUS_UM**3, rel=0.02)
    assert mesh.area_um2 == pytest.approx(4 * np.pi * RADIUS_UM**2, rel=0.02)
    middle = (47 / 2 * PIXEL_UM, 43 / 2 * PIXEL_UM, 100 + (z_um.min() + z_um.max()) / 2)
    far = np.linalg.norm(mesh.vertices_um - middle, axis=1)
    assert np.abs(far - RADIUS_UM).max() < 0.05


def test_masks_have_steps_that_smoothing_takes_off():
    masks = _soft(EVEN)
    stepped = focus_mesh(masks)
    smooth = focus_mesh(masks, smooth_um=0.8)
    area = 4 * np.pi * RADIUS_UM**2
    assert stepped.volume_um3 == pytest.approx(4 / 3 * np.pi * RADIUS_UM**3, rel=0.03)
    assert stepped.area_um2 > 1.07 * area
    assert smooth.area_um2 == pytest.approx(area, rel=0.05)


def test_a_box_in_the_middle_of_its_voxels():
    mesh = focus_mesh(masks_of(np.ones((4, 4, 4), bool), step_um=2.0, pixel_um=1.0))
    np.testing.assert_allclose(mesh.vertices_um.min(0), [-0.5, -0.5, -1.0])
    np.testing.assert_allclose(mesh.vertices_um.max(0), [3.5, 3.5, 7.0])
    assert 0.9 * 128 < mesh.volume_um3 < 128
    assert (mesh.euler, mesh.faces.max()) == (2, len(mesh.vertices_um) - 1)


def test_a_ring_has_a_hole_and_two_balls_are_two():
    z, y, x = np.mgrid[:9, :40, :60]
    ring = (np.hypot(y - 20, x - 20) - 10) ** 2 + (z - 4) ** 2 < 9
    assert focus_mesh(masks_of(ring)).euler == 0
    both = ring | ((y - 20) ** 2 + (x - 50) ** 2 + (z - 4) ** 2 < 9)
    assert focus_mesh(masks_of(both)).euler == 2


@pytest.mark.parametrize("smooth_um", [0.0, 0.7])
def test_slabs_equal_the_whole(smooth_um, monkeypatch):
    rough = np.random.default_rng(3).random(SHAPE) > 0.6
    masks = masks_of(rough & (ball(SHAPE, 9.0, EVEN, PIXEL_UM) > 0), probabilities=None)
    whole = focus_mesh(masks, smooth_um=smooth_um)
    slabs = []
    plain_slabs = mesh_file._slabs
    monkeypatch.setattr(
        mesh_file, "_slabs", lambda *args: (slabs.append(s) or s for s in plain_slabs(*args))
    )
    cut = focus_mesh(masks, smooth_um=smooth_um, memory_mb=1)
    assert len(slabs) >= 2
    assert len(cut.vertices_um) == len(whole.vertices_um)
    assert cut.euler == whole.euler

    def corners(mesh):
        triangles = np.round(mesh.vertices_um[mesh.faces], 4).reshape(len(mesh.faces), 9)
        return triangles[np.lexsort(triangles.T)]

    np.testing.assert_allclose(corners(cut), corners(whole), atol=2e-4)


def test_every_edge_has_two_triangles_though_the_borders_cut():
    filled = np.random.default_rng(4).random((5, 12, 12)) > 0.3
    mesh = focus_mesh(masks_of(filled), smooth_um=0.3, level=0.3)
    edges = np.sort(mesh.faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    _, counts = np.unique(edges, axis=0, return_counts=True)
    assert not (counts % 2).any()


def test_nothing_in_focus_has_no_surface():
    mesh = focus_mesh(masks_of(np.zeros((3, 5, 5), bool)))
    assert (len(mesh.vertices_um), len(mesh.faces), mesh.area_um2, mesh.euler) == (0, 0, 0.0, 0)


def test_one_plane_has_a_surface():
    mesh = focus_mesh(masks_of(np.ones((1, 5, 5), bool)))
    assert mesh.euler == 2


def test_lengths_that_are_unknown_are_asked_for():
    drawn = np.ones((3, 5, 5), bool)
    with pytest.raises(MetadataError, match="--z-step-um"):
        focus_mesh(masks_of(drawn, z_known=False))
    with pytest.raises(MetadataError, match="--pixel-um"):
        focus_mesh(masks_of(drawn, pixel_um=None))
    with pytest.raises(InputError, match="no probabilities"):
        focus_mesh(masks_of(drawn), of="probabilities")
    with pytest.raises(InputError, match="not of 'air'"):
        focus_mesh(masks_of(drawn), of="air")
    with pytest.raises(InputError, match="between 0 and 1"):
        focus_mesh(masks_of(drawn), level=1.0)
    with pytest.raises(InputError, match="blank"):
        focus_mesh(declined((3, 5, 5)))
