from __future__ import annotations

import torch
from torch import nn

from parfocal.nets.spectrum import SpectrumNetwork, SpectrumPerceptron


def test_the_published_network_has_its_layers_and_drops_inputs_alone():
    network = SpectrumPerceptron(inputs=31_314)
    kinds = [type(layer) for layer in network.layers]
    assert kinds == [nn.Dropout, *[nn.Linear, nn.ReLU] * 10, nn.Linear]
    assert network.layers[0].p == 0.6
    widths = [layer.out_features for layer in network.layers if isinstance(layer, nn.Linear)]
    assert widths == [100] * 10 + [1]


def test_features_are_scored_by_what_the_network_learnt_of_them():
    examples = torch.randn(50, 6, generator=torch.Generator().manual_seed(0)) * 3 + 7
    network = SpectrumPerceptron(inputs=6, layers=1).eval()
    before = network(examples)
    network.learn_scale(examples)
    scored = (examples - examples.mean(0)) / examples.std(0, correction=0)
    assert not torch.allclose(network(examples), before)
    assert torch.allclose(network(examples), network.layers(scored), atol=1e-5)


def test_a_feature_that_never_changes_does_no_harm():
    network = SpectrumNetwork(bins=5, rows=16, columns=16, widths=(4, 4)).eval()
    network.learn_scale(torch.ones(3, 16, 16))
    assert bool(torch.isfinite(network(torch.ones(2, 16, 16))).all())
