"""Which planes are compared, and what the network is told of them."""

import numpy as np
import pytest
import torch

from parfocal.core.binning import light_range
from parfocal.core.setup import OpticalSetup
from parfocal.segment.planes import Sampling, neighbours, plane_facts


def test_neighbours_are_about_a_depth_of_field_away():
    z_um = np.arange(20) * 0.25
    found = neighbours(z_um, 1.0)
    assert found[10].numbers == (7, 13)
    assert found[10].apart_um == pytest.approx((0.75, 0.75))
    assert (found[0].numbers[0], found[1].numbers[0], found[19].numbers[1]) == (None, 0, None)


def test_the_next_neighbour_is_as_far_from_the_first_or_the_last_or_none():
    found = neighbours(np.arange(9) * 0.5, 1.0, each_side=2)
    assert found[4].numbers == (0, 2, 6, 8)
    assert found[4].apart_um == pytest.approx((2.0, 1.0, 1.0, 2.0))
    assert found[1].numbers == (None, 0, 3, 5)
    assert found[5].numbers == (1, 3, 7, 8)
    assert found[8].numbers == (4, 6, None, None)
    assert found[8].apart_um[2:] == (0.0, 0.0)


def test_order_of_the_planes_does_not_matter():
    z_um = np.array([3.0, 1.0, 0.0, 2.0])
    found = neighbours(z_um, 0.5)
    assert [near.numbers for near in found] == [(3, None), (2, 3), (None, 1), (1, 0)]


def test_without_a_depth_of_field_the_next_planes_are_taken():
    assert [near.numbers for near in neighbours(np.arange(3.0), None)] == [
        (None, 1), (0, 2), (1, None),
    ]  # fmt: skip


def test_what_is_not_known_is_not_told():
    one = torch.ones(1)
    kinds = {"ratio": 0.3 * one, "optics": 0 * one, "z": 0 * one}
    near, far = (torch.tensor([[below, 0.0]]) for below in (2.0, 5.0))
    blind = plane_facts(pixel=0.5 * one, apart=near, **kinds)
    other = plane_facts(pixel=0.9 * one, apart=far, **kinds)
    assert torch.equal(blind, other)
    assert blind[0].tolist() == [0, 0, 0, 0, 1, 0, 0, 0]


def test_too_fine_pixels_are_binned_and_others_are_not():
    setup = OpticalSetup(na=0.75, wavelength_nm=530.0, pixel_um=0.325)
    assert Sampling.of(setup, z_known=True).bin_px == 1
    fine = Sampling.of(setup.model_copy(update={"pixel_um": 0.03}), z_known=False)
    assert fine.bin_px * 0.03 * 0.75 / 0.53 == pytest.approx(0.4, rel=0.1)
    assert fine.depth_um is None
    assert Sampling.of(None, z_known=True).pixel is None


def test_the_range_ignores_a_hot_pixel_but_not_a_small_object():
    planes = torch.ones(2, 32, 32)
    planes[0, 5, 5] = 1e4
    assert light_range(planes) == (1.0, 1.0)
    planes[1, 14:18, 14:18] = 9.0
    assert light_range(planes)[1] == pytest.approx(3.0)
