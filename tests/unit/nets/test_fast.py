from __future__ import annotations

import pytest
import torch
from torch import nn

from parfocal.nets import fast
from parfocal.nets.fast import InParts, fast_copy, gated_copies, largest_shift
from parfocal.nets.li2021 import Li2021Network
from parfocal.nets.pair import PairNetwork

NARROW = (4, 6, 8, 8, 8)


def _stirred(network, seed=0):
    """Batch norms that do something, as trained ones do."""
    dice = torch.Generator().manual_seed(seed)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            size = layer.running_mean.shape
            layer.running_mean.copy_(0.3 * torch.randn(size, generator=dice))
            layer.running_var.copy_(torch.rand(size, generator=dice) + 0.5)
            layer.weight.data.copy_(torch.rand(size, generator=dice) + 0.5)
            layer.bias.data.copy_(0.3 * torch.randn(size, generator=dice))
    return network.eval()


def _pair(seed=0):
    torch.manual_seed(seed)
    network = _stirred(PairNetwork(bins=9, widths=NARROW))
    return network, (torch.randn(11, 2, 64, 64), torch.randn(11, 4))


def _li():
    torch.manual_seed(0)
    return _stirred(Li2021Network()), (torch.rand(9, 2, 128, 128),)


@pytest.mark.parametrize("build", [_pair, _li])
def test_a_copy_in_float32_is_the_same_function(build):
    network, inputs = build()
    kept = {name: value.clone() for name, value in network.state_dict().items()}
    with torch.inference_mode():
        torch.testing.assert_close(
            fast_copy(network, dtype=torch.float32)(*inputs), network(*inputs), atol=1e-4, rtol=1e-4
        )
    for name, value in network.state_dict().items():
        assert torch.equal(value, kept[name]), name


@pytest.mark.parametrize("build", [_pair, _li])
def test_a_copy_in_bfloat16_differs_by_no_more_than_its_rounding(build):
    network, inputs = build()
    quick = fast_copy(network)
    with torch.inference_mode():
        exact, narrow = network(*inputs), quick(*inputs)
    assert narrow.dtype == torch.float32
    scale = exact.abs().max()
    assert 1e-6 * scale < (narrow - exact).abs().max() < 2e-2 * scale
    assert largest_shift(quick, network, inputs) < 0.02


def test_batch_norms_are_gone_and_the_maximum_comes_before_its_relu():
    kinds = [type(layer).__name__ for layer in fast_copy(Li2021Network()).modules()]
    assert "BatchNorm2d" not in kinds
    assert "Dropout" not in kinds
    assert kinds.index("MaxPool2d") < kinds.index("NarrowReLU")


def test_the_batch_does_not_matter():
    network, (images, facts) = _pair()
    quick = fast_copy(network, dtype=torch.float32)
    with torch.inference_mode():
        whole = quick(images, facts)
        single = torch.cat([quick(images[k : k + 1], facts[k : k + 1]) for k in range(len(images))])
    torch.testing.assert_close(whole, single, atol=1e-5, rtol=1e-5)


def test_a_chain_takes_a_few_images_at_a_time():
    seen = []

    class Spy(nn.Module):
        def forward(self, images):
            seen.append(len(images))
            return 2 * images

    images = torch.randn(7, 1, 2, 2)
    assert torch.equal(InParts(Spy(), 3)(images), 2 * images)
    assert seen == [3, 3, 1]


def test_a_narrow_relu_is_a_relu():
    values = torch.tensor([-3.0, -1e-30, -0.0, 0.0, 1e-30, 2.5, float("-inf"), float("inf")])
    narrow = values.bfloat16()
    expected = narrow.relu()
    assert torch.equal(fast.NarrowReLU()(narrow.clone()), expected)
    assert torch.equal(fast.NarrowReLU()(values.clone()), values.relu())


def test_copies_that_answer_otherwise_are_refused_and_float32_takes_their_place():
    network, inputs = _pair()
    _, gate = gated_copies([network], inputs, bound=0.1)
    if not fast.computes_bfloat16(torch.device("cpu")):
        pytest.skip("this processor has no bfloat16 products: there is nothing to refuse")
    assert gate.is_passed
    assert 0 < gate.shift <= 0.1
    (exact,), gate = gated_copies([network], inputs, bound=gate.shift / 2)
    assert not gate.is_passed
    assert gate.dtype == torch.float32
    assert largest_shift(exact, network, inputs) < 1e-5


def test_a_copy_that_answers_nothing_is_refused():
    network, inputs = _pair()
    broken, _ = _pair()
    broken.head[-1].bias.data.fill_(float("nan"))
    _, gate = gated_copies([network, broken], inputs)
    assert not gate.is_passed


def test_without_bfloat16_units_nothing_is_narrow(monkeypatch):
    monkeypatch.setattr(fast, "computes_bfloat16", lambda device: False)
    network, inputs = _pair()
    (quick,), gate = gated_copies([network], inputs)
    assert gate.dtype == torch.float32
    assert all(value.dtype == torch.float32 for value in quick.state_dict().values())
