"""The networks as they work: fast copies, narrow only if they answer as the networks do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from parfocal.nets.fast import Gate, gated_copies
from parfocal.nets.pair_inputs import normalised, pair_facts

PROBE_PX = 128
PROBES = 8


@dataclass(frozen=True, eq=False)
class Working:
    """Copies of an ensemble's networks, and what their comparison with them showed."""

    networks: list[nn.Module]
    gate: Gate


def working_copies(networks: Sequence[nn.Module], device: torch.device) -> Working:
    """Fast copies of pair networks, compared with them on probes."""
    pairs = probe_pairs().to(device)
    place = torch.linspace(0.0, 1.0, len(pairs), device=device)
    facts = pair_facts(pixel=0.45 + 1.5 * place, spacing=0.5 + 2.0 * place, ratio=0.9 - 0.8 * place)
    return Working(*gated_copies(networks, (pairs, facts)))


def probe_pairs() -> Float[Tensor, "b 2 y x"]:
    """Pairs from sharp and noisy to smooth, the second image smoother than the first.

    Noise through Gaussian low passes, some of it made into bright points: no networks' classes
    are all asked for by these, but every layer works.

    Examples
    --------
    >>> probe_pairs().shape
    torch.Size([8, 2, 128, 128])
    """
    dice = torch.Generator().manual_seed(0)
    waves = torch.fft.fftfreq(PROBE_PX).square()
    radius = waves[:, None] + waves
    pairs = []
    for number in range(PROBES):
        scene = torch.randn(PROBE_PX, PROBE_PX, generator=dice)
        if number % 2:
            scene = 4.0 * (scene > 2.5).float()
        blur_px = torch.tensor([0.4, 0.7]) * (1 + number)
        passed = torch.exp(-2 * torch.pi**2 * blur_px.square()[:, None, None] * radius)
        images = torch.fft.ifft2(torch.fft.fft2(scene) * passed).real
        noise = 0.1 * images.std() * torch.randn(images.shape, generator=dice)
        pairs.append(images + noise)
    return normalised(torch.stack(pairs))
