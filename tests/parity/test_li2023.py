from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch

from parfocal.nets.li2023 import Li2023Network
from parfocal.segment.overlap import intersection_over_union
from parfocal.train.losses import dice_loss, focal_loss, li2023_loss


def convolved(images, weight, bias):
    out, size = weight.shape[0], weight.shape[2]
    reach = size // 2
    padded = np.pad(images, ((0, 0), (reach, reach), (reach, reach)))
    result = np.zeros((out, *images.shape[1:]))
    for y in range(size):
        for x in range(size):
            window = padded[:, y : y + images.shape[1], x : x + images.shape[2]]
            result += np.einsum("oi,iyx->oyx", weight[:, :, y, x], window)
    return result + bias[:, None, None]


def raised(images, weight, bias):
    _, size_y, size_x = images.shape
    result = np.zeros((weight.shape[1], 2 * size_y, 2 * size_x))
    for y in range(2):
        for x in range(2):
            result[:, y::2, x::2] = np.einsum("io,iyx->oyx", weight[:, :, y, x], images)
    return result + bias[:, None, None]


def plain_forward(state, image, levels):
    def block(images, name, norm):
        step = 3 if norm else 2
        for place in (0, step):
            images = convolved(
                images, state[f"{name}.{place}.weight"], state[f"{name}.{place}.bias"]
            )
            images = np.maximum(images, 0.0)
            if norm:
                mean, spread = images.mean((1, 2)), images.var((1, 2))
                images = (images - mean[:, None, None]) / np.sqrt(spread + 1e-3)[:, None, None]
                scale = state[f"{name}.{place + 2}.weight"][:, None, None]
                images = images * scale + state[f"{name}.{place + 2}.bias"][:, None, None]
        return images

    kept, here = [], image[None]
    for level in range(levels):
        if level:
            size_y, size_x = here.shape[1:]
            here = here.reshape(-1, size_y // 2, 2, size_x // 2, 2).max((2, 4))
        here = block(here, f"down.{level}", True)
        kept.append(here)
    for number in range(levels - 1):
        up = raised(here, state[f"up.{number}.weight"], state[f"up.{number}.bias"])
        both = np.concatenate([up, kept[levels - 2 - number]])
        here = block(both, f"merge.{number}", number == 0)
    return convolved(here, state["head.weight"], state["head.bias"])[0]


def test_the_network_is_the_published_one_layer_by_layer():
    torch.manual_seed(1)
    network = Li2023Network(widths=(3, 4, 5)).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    image = torch.rand(16, 24)
    state = {name: value.double().numpy() for name, value in network.state_dict().items()}
    with torch.no_grad():
        ours = network(image[None, None])[0].numpy()
    np.testing.assert_allclose(ours, plain_forward(state, image.double().numpy(), 3), atol=1e-4)


def test_it_has_as_many_parameters_as_the_public_code():
    widths = (16, 32, 64, 128, 256, 512)
    down = sum(9 * (a + b) * b + 2 * b + 4 * b for a, b in zip((1, *widths), widths, strict=False))
    up = sum(4 * b * a + a + 9 * (2 * a + a) * a + 2 * a
             for a, b in pairwise(widths))  # fmt: skip
    assert sum(p.numel() for p in Li2023Network().parameters()) == down + up + 4 * 256 + 17


@pytest.fixture
def shares():
    dice = np.random.default_rng(4)
    return dice.uniform(0.01, 0.99, (2, 5, 7)), dice.random((2, 5, 7)) < 0.3


def both(shares):
    return torch.from_numpy(shares[0]), torch.from_numpy(shares[1])


def test_dice_is_that_of_sums_over_the_batch(shares):
    tp = fp = fn = 0.0
    for share, true in zip(shares[0].ravel(), shares[1].ravel(), strict=True):
        tp += share * true
        fp += share * (1 - true)
        fn += (1 - share) * true
    by_hand = 1 - (2 * tp + 1e-5) / (2 * tp + fp + fn + 1e-5)
    assert dice_loss(*both(shares)).item() == pytest.approx(by_hand)


@pytest.mark.parametrize("positives_only", [False, True])
def test_focal_is_that_of_every_pixel(shares, positives_only):
    total = 0.0
    for share, true in zip(shares[0].ravel(), shares[1].ravel(), strict=True):
        if true:
            total -= 0.25 * (1 - share) ** 2 * math.log(share)
        elif not positives_only:
            total -= 0.75 * share**2 * math.log(1 - share)
    found = focal_loss(*both(shares), positives_only=positives_only).item()
    assert found == pytest.approx(total / shares[0].size)


def test_the_published_loss_is_their_weighted_sum(shares):
    logits = torch.from_numpy(np.log(shares[0] / (1 - shares[0]))).float()
    truth = both(shares)[1]
    entropy = -np.where(shares[1], np.log(shares[0]), np.log(1 - shares[0])).mean()
    by_hand = (
        0.05 * dice_loss(*both(shares)).item()
        + focal_loss(*both(shares), positives_only=True).item()
        + 0.95 * entropy
    )
    found = li2023_loss(logits, truth, dice=0.05, focal=1.0, cross_entropy=0.95)
    assert found.item() == pytest.approx(by_hand, rel=1e-5)


def test_sure_and_wrong_costs_stay_finite():
    logits, truth = torch.tensor([[[200.0, -200.0]]]), torch.tensor([[[False, True]]])
    logits.requires_grad_()
    li2023_loss(logits, truth, dice=1.0, focal=1.0, cross_entropy=1.0).backward()
    assert bool(torch.isfinite(logits.grad).all())


def test_overlap_counts_pixels():
    dice = np.random.default_rng(0)
    one, two = dice.random((2, 3, 4, 5)) < 0.4
    pairs = list(zip(one.ravel().tolist(), two.ravel().tolist(), strict=True))
    by_hand = sum(a and b for a, b in pairs) / sum(a or b for a, b in pairs)
    assert intersection_over_union(one, two) == pytest.approx(by_hand)
    assert intersection_over_union(one & False, two & False) == 1.0
