from __future__ import annotations

import torch

from parfocal.nets.pair import BANDS, PairNetwork, band_energies, cell_moments


def test_a_map_of_the_whole_image_judges_each_window_as_the_patch_alone_would_inside():
    torch.manual_seed(0)
    network = PairNetwork(bins=7, widths=(4, 4, 4, 4, 4)).eval()
    image = torch.randn(1, 2, 384, 384)
    features = network.maps(image)
    assert features.shape[-2:] == (12, 12)
    inner = features[..., 4:8, 4:8]
    alone = network.maps(image[..., 32:352, 32:352])[..., 3:7, 3:7]
    torch.testing.assert_close(inner, alone, atol=1e-5, rtol=1e-4)


def test_energies_add_up_to_the_variance_within_squares():
    torch.manual_seed(1)
    image = torch.randn(1, 2, 64, 64)
    squares = image.unfold(2, 32, 32).unfold(3, 32, 32)
    within = squares.var((-2, -1), correction=0)
    energies = band_energies(image).reshape(1, BANDS, 2, 2, 2).sum(1)
    torch.testing.assert_close(energies, within)


def test_moments_of_cells_are_those_of_the_whole_image_whatever_its_offset():
    torch.manual_seed(2)
    image = torch.randn(2, 2, 64, 96)
    means, energies = cell_moments(image)
    torch.testing.assert_close(energies, band_energies(image), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(means, torch.nn.functional.avg_pool2d(image, 32))
    _, shifted = cell_moments(image + 1000.0)
    torch.testing.assert_close(shifted, energies, atol=1e-3, rtol=1e-3)


def test_the_head_hears_the_facts():
    torch.manual_seed(0)
    network = PairNetwork(bins=7).eval()
    image = torch.randn(1, 2, 64, 64)
    one, other = (network(image, torch.full((1, 4), value)) for value in (0.0, 1.0))
    assert not torch.allclose(one, other)
