"""Li 2021's network and rules against the published numbers and a second, plain writing of them."""

from __future__ import annotations

import numpy as np
import torch

from parfocal.nets.li2021 import Li2021Network, scaled
from parfocal.predict.posterior import certainty


def plain_forward(state: dict[str, np.ndarray], patch: np.ndarray) -> np.ndarray:
    """The published layers one by one, for one patch (n, y, x), by NumPy."""
    values, layer = patch.astype(float), 0
    for block in range(4):
        kernels, bias = state[f"trunk.{layer}.weight"], state[f"trunk.{layer}.bias"]
        padded = np.pad(values, ((0, 0), (1, 1), (1, 1)), mode="reflect")
        windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
        values = np.tensordot(kernels, windows, axes=((1, 2, 3), (0, 3, 4))) + bias[:, None, None]
        layer += 1
        if block >= 2:
            mean, var, gain, shift = (
                state[f"trunk.{layer}.{name}"][:, None, None]
                for name in ("running_mean", "running_var", "weight", "bias")
            )
            values = (values - mean) / np.sqrt(var + 1e-5) * gain + shift
            layer += 1
        values = np.maximum(values, 0)
        count, side = len(values), values.shape[1] // 2
        values = values.reshape(count, side, 2, side, 2).max((2, 4))
        layer += 2
    hidden = np.maximum(state["head.0.weight"] @ values.ravel() + state["head.0.bias"], 0)
    return state["head.3.weight"] @ hidden + state["head.3.bias"]


def test_the_network_is_the_published_one_layer_by_layer():
    torch.manual_seed(0)
    network = Li2021Network().train()
    network(torch.rand(2, 2, 128, 128))  # so that the norms have statistics of their own
    network.eval()
    patch = torch.rand(2, 128, 128)
    state = {name: value.double().numpy() for name, value in network.state_dict().items()}
    with torch.no_grad():
        ours = network(patch[None])[0].numpy()
    np.testing.assert_allclose(plain_forward(state, patch.numpy()), ours, atol=1e-4, rtol=1e-3)


def test_it_has_17_2_million_parameters_as_the_public_code():
    counts = [sum(p.numel() for p in Li2021Network(images=n).parameters()) for n in (1, 2, 3)]
    assert [round(count / 1e6, 1) for count in counts] == [17.2, 17.2, 17.2]
    assert counts[1] == 17_180_461
    assert counts[2] - counts[1] == 32 * 9


def test_counts_are_clipped_and_divided_as_published():
    counts = torch.tensor([0.0, 123.0, 10_000.0, 65_535.0])
    assert scaled(counts).tolist() == [0.0, np.float32(0.0123), 1.0, 1.0]


def test_certainty_is_one_less_the_entropy_of_yang_and_li():
    dice = np.random.default_rng(0)
    shares = dice.dirichlet(np.ones(13), size=20)
    by_numpy = 1 + (shares * np.log(shares)).sum(1) / np.log(13)
    np.testing.assert_allclose(certainty(torch.from_numpy(shares)).numpy(), by_numpy)
