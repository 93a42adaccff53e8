from __future__ import annotations

import pytest
import torch

from parfocal.core.errors import InputError
from parfocal.models.card import ModelCard
from parfocal.models.package import save_model
from parfocal.nets.pair import PairNetwork
from parfocal.train.starting import start_from

WIDTHS = (4, 4, 4, 4, 4)


@pytest.fixture
def trained(tmp_path):
    torch.manual_seed(1)
    network = PairNetwork(bins=5, widths=WIDTHS)
    card = ModelCard(
        name="trained", task="", architecture="parfocal.nets.pair:PairNetwork",
        settings={"bins": 5, "widths": list(WIDTHS)}, recipe={}, commit="", seed=0, data="",
        seconds=0.0, machine="", metrics={}, coverage={}, limits=(),
    )  # fmt: skip
    save_model(tmp_path, card, [network])
    return tmp_path, network


def test_weights_that_fit_are_taken_over_and_the_rest_is_named(trained):
    folder, source = trained
    network = PairNetwork(bins=9, widths=WIDTHS)
    left = start_from(network, folder)
    assert {name.split(".")[0] for name in left if "batches" not in name} == {"head"}
    assert torch.equal(network.trunk[0].weight, source.trunk[0].weight)
    assert torch.equal(network.head[0].weight, source.head[0].weight)


def test_another_architecture_is_refused(trained):
    with pytest.raises(InputError, match="do not fit"):
        start_from(torch.nn.Linear(2, 2), trained[0])
