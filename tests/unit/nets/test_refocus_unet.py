from __future__ import annotations

import pytest
import torch

from parfocal.nets.luo2020 import Luo2020Discriminator, Luo2020Generator
from parfocal.nets.refocus_unet import RefocusNetwork, field_logits

SHAPE = {"views": 3, "bins": 5, "widths": (4, 8), "blocks": (1, 1)}


@pytest.fixture
def network():
    torch.manual_seed(0)
    return RefocusNetwork(**SHAPE).eval()


def test_maps_fit_the_image(network):
    maps = network(torch.randn(2, 3, 64, 96), torch.zeros(2, 3))
    assert maps.sharp.shape == maps.mixed.shape == (2, 64, 96)
    assert maps.scales.shape == (2, 2, 32, 48)
    assert maps.logits.shape == (2, 5, 2, 3)
    assert maps.weights.shape == (2, 2, 3)


def test_the_mix_lies_between_the_views(network):
    views = torch.rand(1, 3, 32, 32)
    mixed = network(views, torch.zeros(1, 3)).mixed
    assert bool((mixed <= views.amax(1) + 1e-5).all())
    assert bool((mixed >= views.amin(1) - 1e-5).all())


def test_one_view_chosen_and_no_correction_returns_it(network):
    with torch.no_grad():
        network.answer.weight.zero_()
        network.answer.bias.zero_()
        network.answer.bias[1] = 40.0
    views = torch.randn(1, 3, 32, 32)
    torch.testing.assert_close(network(views, torch.zeros(1, 3)).sharp, views[:, 1])


def test_views_without_any_fine_detail_have_finite_distances(network):
    ramp = torch.linspace(-1e3, 1e3, 64).expand(1, 3, 64, 64)
    logits = network(ramp, torch.zeros(1, 3)).logits
    assert bool(torch.isfinite(logits).all())


def test_an_image_alone_or_among_others_has_the_same_answer(network):
    views, facts = torch.randn(3, 3, 32, 32), torch.randn(3, 3)
    many, alone = network(views, facts), network(views[1:2], facts[1:2])
    torch.testing.assert_close(many.sharp[1:2], alone.sharp, atol=1e-5, rtol=0)


def test_cells_with_more_say_decide(network):
    logits = torch.tensor([[[[4.0, 0.0]], [[0.0, 2.0]]]])
    weights = torch.tensor([[[10.0, -10.0]]])
    torch.testing.assert_close(field_logits(logits, weights), torch.tensor([[4.0, 0.0]]))


def test_the_published_generator_keeps_sizes_and_every_level_works():
    torch.manual_seed(0)
    generator = Luo2020Generator(widths=(4, 6, 8))
    assert generator.reduction_px == 4
    image = torch.randn(1, 1, 32, 48)
    answer = generator(image)
    assert answer.shape == image.shape
    answer.square().mean().backward()
    for name, parameter in generator.named_parameters():
        assert parameter.grad is not None, name
        assert float(parameter.grad.abs().max()) > 0, name


def test_the_published_discriminator_takes_any_size():
    judge = Luo2020Discriminator(widths=(4, 6))
    assert judge(torch.randn(2, 1, 40, 24)).shape == (2,)
