from __future__ import annotations

import pytest
import torch

from parfocal.core.errors import InputError, ShapeError
from parfocal.nets.li2023 import Li2023Network, plane_probabilities, scaled

SMALL = (4, 6, 8)


@pytest.fixture
def network():
    torch.manual_seed(3)
    return Li2023Network(widths=SMALL).eval()


def test_sides_that_do_not_halve_are_refused(network):
    with pytest.raises(ShapeError, match="sides that 4 divides"):
        network(torch.zeros(1, 1, 64, 50))


def test_one_level_is_no_u_net():
    with pytest.raises(InputError, match="at least two widths"):
        Li2023Network(widths=(4,))


def test_a_plane_of_one_tile_is_the_networks_own_answer(network):
    planes = torch.rand(2, 32, 32)
    with torch.no_grad():
        own = network(planes[:, None]).sigmoid()
    torch.testing.assert_close(plane_probabilities(network, planes, tile_px=32), own)
    torch.testing.assert_close(plane_probabilities(network, planes, tile_px=64), own)


def test_a_small_plane_is_mirrored_up_and_cut_back(network):
    plane = torch.rand(1, 21, 30)
    whole = torch.cat([plane, plane.flip(1)], 1)[:, :24]
    whole = torch.cat([whole, whole.flip(2)], 2)[..., :32]
    with torch.no_grad():
        own = network(whole[:, None]).sigmoid()[:, :21, :30]
    torch.testing.assert_close(plane_probabilities(network, plane, tile_px=64), own)


def test_tiles_are_blended_over_what_they_share(network):
    torch.manual_seed(0)
    planes = torch.rand(1, 16, 56)
    found = plane_probabilities(network, planes, tile_px=32, overlap_px=8)
    with torch.no_grad():
        left, right = (network(planes[:, None, :, s])[0].sigmoid() for s in
                       (slice(0, 32), slice(24, 56)))  # fmt: skip
    torch.testing.assert_close(found[0, :, :24], left[:, :24])
    torch.testing.assert_close(found[0, :, 32:], right[:, 8:])
    share = (torch.arange(8) + 0.5) / 8
    torch.testing.assert_close(
        found[0, :, 24:32], left[:, 24:] * (1 - share) + right[:, :8] * share
    )


@pytest.mark.parametrize("size", [(33, 47), (64, 90), (130, 21)])
def test_tiles_cover_planes_of_any_size(network, size):
    found = plane_probabilities(network, torch.rand(1, *size), tile_px=32, overlap_px=8)
    assert found.shape == (1, *size)
    assert bool(torch.isfinite(found).all())


@pytest.mark.parametrize("sizes", [{"tile_px": 30}, {"tile_px": 4}, {"overlap_px": 256}])
def test_tiles_that_cannot_be_are_refused(network, sizes):
    with pytest.raises(InputError, match="multiple of 4"):
        plane_probabilities(network, torch.rand(1, 32, 32), **sizes)


def test_a_stack_of_one_grey_value_scales_to_nothing():
    assert scaled(torch.full((3,), 7.0), 7.0, 7.0).tolist() == [0.0] * 3
