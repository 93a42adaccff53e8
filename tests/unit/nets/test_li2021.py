from __future__ import annotations

import pytest
import torch
from torch import nn

from parfocal.core.errors import InputError, ShapeError
from parfocal.nets.li2021 import Li2021Network


def test_batch_norm_is_in_the_last_two_blocks_only():
    kinds = [type(layer) for layer in Li2021Network().trunk]
    blocks = " ".join(kind.__name__ for kind in kinds).split("MaxPool2d")
    assert ["BatchNorm2d" in block for block in blocks[:4]] == [False, False, True, True]
    dropout = [layer for layer in Li2021Network().head if isinstance(layer, nn.Dropout)]
    assert [layer.p for layer in dropout] == [0.5]


def test_the_memory_format_does_not_matter():
    torch.manual_seed(0)
    network = Li2021Network(images=3, classes=19).eval()
    patches = torch.rand(2, 3, 128, 128)
    plain = network(patches)
    network = network.to(memory_format=torch.channels_last)
    last = network(patches.contiguous(memory_format=torch.channels_last))
    assert plain.shape == (2, 19)
    torch.testing.assert_close(last, plain, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("shape", [(1, 1, 128, 128), (1, 2, 64, 64)])
def test_other_patches_are_refused(shape):
    with pytest.raises(ShapeError, match="2 images of 128 x 128 px"):
        Li2021Network().eval()(torch.zeros(shape))


@pytest.mark.parametrize("options", [{"images": 0}, {"images": 4}, {"classes": 1}])
def test_impossible_networks_are_refused(options):
    with pytest.raises(InputError, match="cannot be"):
        Li2021Network(**options)
