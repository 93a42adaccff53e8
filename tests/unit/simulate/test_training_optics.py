"""Optics of training fields: what is drawn, and that focus is where a point is sharpest."""

from __future__ import annotations

import pytest
import torch

from parfocal.simulate.training_optics import SECTIONED, TrainingOptics


@pytest.fixture(scope="module")
def optics():
    generator = torch.Generator().manual_seed(3)
    return TrainingOptics(size_px=64, images=2, reach_depths=8.0, generator=generator)


@pytest.fixture(scope="module")
def drawn(optics):
    return optics.draw(36)


def test_focus_is_the_sharpest_plane_of_a_point_whatever_the_aberrations(optics, drawn):
    scan = torch.linspace(-1.5, 1.5, 16) * drawn["depth_um"][:, None]
    open_optics = drawn | {"half_width_um": torch.full_like(drawn["half_width_um"], 1e9)}
    psfs = optics.psfs(scan, open_optics)
    energy = (psfs - psfs.roll(1, 2)).square().sum((2, 3))
    energy += (psfs - psfs.roll(1, 3)).square().sum((2, 3))
    off = scan[0, energy.argmax(1)] / drawn["depth_um"][0]
    is_known = drawn["focus_um"].abs() < 2.5 * drawn["depth_um"]  # no end of the scan
    assert int(is_known.sum()) > 28
    assert float(off[is_known].abs().quantile(0.9)) <= 0.2
    # The law says something: the plane of the flattest phase is often another.
    assert float((drawn["focus_um"] / drawn["depth_um"]).abs().quantile(0.9)) > 0.5


def test_optics_without_aberrations_are_sharpest_where_the_phase_is_flat(drawn):
    plain = ~drawn["zernike_waves"].any(1)
    assert 6 <= int(plain.sum()) <= 18
    assert not bool(drawn["focus_um"][plain].any())


def test_a_quarter_is_sectioned_and_dims_what_is_out_of_focus(optics, drawn):
    depth = drawn["depth_um"]
    is_sectioned = drawn["half_width_um"] < 1e3 * depth
    assert abs(float(is_sectioned.float().mean()) - SECTIONED) < 0.15
    away = torch.stack([torch.zeros_like(depth), drawn["half_width_um"].clamp(max=3 * depth)], 1)
    light = optics.psfs(away, drawn).sum((2, 3))
    torch.testing.assert_close(light[:, 0], torch.ones_like(depth), atol=1e-3, rtol=0)
    half = is_sectioned & (drawn["half_width_um"] < 3 * depth)
    torch.testing.assert_close(light[half, 1], light[half, 0] / 2, atol=1e-3, rtol=0)
    torch.testing.assert_close(light[~is_sectioned, 1], light[~is_sectioned, 0], atol=1e-3, rtol=0)
