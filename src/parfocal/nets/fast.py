"""Copies of trained networks that answer faster, and whether they still answer the same."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

AT_ONCE = 8
"""Images that run through the convolutions together on a CPU: what they leave fits its cache."""
LARGE_LINEAR = 2**20
"""Weights from which a dense layer waits for memory, so that narrow ones make it faster."""
MOST_SHIFT = 0.1
"""Largest share of a distribution that a narrow copy may place elsewhere."""
PROBED = 8
BFLOAT16_UNITS = ("avx512_bf16", "amx_bf16")


def fast_copy(
    network: nn.Module, *, dtype: torch.dtype = torch.bfloat16, at_once: int | None = AT_ONCE
) -> nn.Module:
    """Copy a network for answers alone: the same function, but for rounding.

    Batch norms are folded into the convolutions before them, a maximum over pixels goes before
    its ReLU, channels lie last in memory, chains of convolutions take ``at_once`` images at a
    time, and a layer with a method ``quick`` gives way to what that returns. With a narrow
    ``dtype`` convolutions and large dense layers compute in it; small dense layers, and what a
    network does beside its layers, stay in float32.

    Parameters
    ----------
    network
        Trained; it is left as it is.
    dtype
        Of the convolutions: float32 or bfloat16.
    at_once
        Images together in a ``Sequential`` with convolutions; None for all of them.

    Notes
    -----
    Laws: float32 copies agree with the network to rounding; batch-free likewise.

    Examples
    --------
    >>> layers = [nn.Conv2d(2, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2)]
    >>> [type(layer).__name__ for layer in fast_copy(nn.Sequential(*layers), at_once=None)]
    ['Conv2d', 'MaxPool2d', 'NarrowReLU']
    """
    quick = copy.deepcopy(network).eval().requires_grad_(False)
    quick = _rebuilt(quick, at_once)
    for layer in quick.modules():
        is_wide = isinstance(layer, nn.Linear) and layer.weight.numel() >= LARGE_LINEAR
        if isinstance(layer, nn.Conv2d):
            layer.to(dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
            layer.register_forward_pre_hook(partial(_as_images, dtype=dtype))
        elif isinstance(layer, nn.Linear):
            kind = dtype if is_wide else torch.float32
            layer.to(kind).register_forward_pre_hook(partial(_as_values, dtype=kind))
    return quick


class InParts(nn.Module):
    """Runs a chain of layers over a few images at a time.

    Parameters
    ----------
    chain
        Layers to which each image of a batch is one of its own.
    at_once
        Images together.
    """

    def __init__(self, chain: nn.Module, at_once: int) -> None:
        super().__init__()
        self.chain, self.at_once = chain, at_once

    def forward(self, images: Float[Tensor, "b ..."]) -> Float[Tensor, "b ..."]:
        """What the chain says of all images."""
        parts = [self.chain(part) for part in torch.split(images, self.at_once)]
        return parts[0] if len(parts) == 1 else torch.cat(parts)


class NarrowReLU(nn.Module):
    """ReLU in place; of bfloat16 as of the whole numbers with the same bits, which is faster.

    Negative ones are negative whole numbers, and 0 is 0.
    """

    def forward(self, values: Tensor) -> Tensor:
        """The values, those below 0 as 0."""
        if values.dtype == torch.bfloat16:
            values.view(torch.int16).clamp_(min=0)
            return values
        return values.relu_()


@dataclass(frozen=True)
class Gate:
    """Whether narrow copies answer as their networks do.

    Parameters
    ----------
    shift
        Largest share of a distribution that a copy places elsewhere, among the probes.
    bound
        The share that is allowed.
    dtype
        In which the copies compute that may be used: the narrow one, or float32.
    """

    shift: float
    bound: float
    dtype: torch.dtype

    @property
    def is_passed(self) -> bool:
        """Whether the narrow copies may be used."""
        return self.dtype != torch.float32


def gated_copies(
    networks: Sequence[nn.Module],
    probes: Sequence[Tensor],
    *,
    bound: float = MOST_SHIFT,
    dtype: torch.dtype = torch.bfloat16,
    at_once: int = AT_ONCE,
) -> tuple[list[nn.Module], Gate]:
    """Fast copies in a narrow type, if none of them answers otherwise; else in float32.

    Parameters
    ----------
    networks
        Trained classifiers, all on one device.
    probes
        Inputs of a batch like those to come; the copies' distributions are compared on them.
    bound
        Of the ``shift``.
    dtype
        Narrow type to try; float32 tries none.
    at_once
        Images that run together on a CPU: more of small ones.

    Returns
    -------
    One copy of each network, and what the comparison showed.
    """
    device = probes[0].device
    parts = at_once if device.type == "cpu" else None
    exact = [fast_copy(network, dtype=torch.float32, at_once=parts) for network in networks]
    if dtype == torch.float32 or not computes_bfloat16(device):
        return exact, Gate(0.0, bound, torch.float32)
    narrow = [fast_copy(network, dtype=dtype, at_once=parts) for network in networks]
    pairs = zip(narrow, networks, strict=True)
    # As a tensor: its largest is NaN where any is, and NaN passes no bound.
    shift = float(torch.tensor([largest_shift(*pair, probes) for pair in pairs]).max())
    if not shift <= bound:
        return exact, Gate(shift, bound, torch.float32)
    return narrow, Gate(shift, bound, dtype)


@torch.inference_mode()
def largest_shift(one: nn.Module, other: nn.Module, inputs: Sequence[Tensor]) -> float:
    """Largest share of a distribution that two classifiers place differently, over a batch.

    The total variation distance of their softmax: half the sum of the classes' differences.

    Examples
    --------
    >>> torch.manual_seed(0)  # doctest: +ELLIPSIS
    <...>
    >>> layer = nn.Linear(3, 2)
    >>> largest_shift(layer, layer, [torch.ones(4, 3)])
    0.0
    """
    first, second = (network(*inputs).float().softmax(-1) for network in (one, other))
    return float(0.5 * (first - second).abs().sum(-1).max())


def computes_bfloat16(device: torch.device) -> bool:
    """Whether a processor multiplies bfloat16 by itself, and not by way of float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    # Not in every release of torch; without it nothing is narrow.
    units = cast(dict[str, Any], getattr(torch.cpu, "get_capabilities", dict)())
    return any(units.get(name, False) for name in BFLOAT16_UNITS)


def _as_images(layer: nn.Module, inputs: tuple[Tensor], *, dtype: torch.dtype) -> tuple[Tensor]:
    """Images as the convolution behind this hook wants them."""
    return (inputs[0].to(dtype, memory_format=torch.channels_last),)


def _as_values(layer: nn.Module, inputs: tuple[Tensor], *, dtype: torch.dtype) -> tuple[Tensor]:
    return (inputs[0].to(dtype),)


def _rebuilt(module: nn.Module, at_once: int | None) -> nn.Module:
    """Every chain with its layers joined, from the inside out."""
    for name, child in module.named_children():
        quick = getattr(child, "quick", None)
        setattr(module, name, _rebuilt(child, at_once) if quick is None else quick())
    if not isinstance(module, nn.Sequential):
        return module
    chain = nn.Sequential(*_joined(list(module)))
    has_images = any(isinstance(layer, nn.Conv2d) for layer in chain)
    return InParts(chain, at_once) if has_images and at_once is not None else chain


def _joined(layers: list[nn.Module]) -> list[nn.Module]:
    """Layers of a chain with batch norms folded, and each ReLU after its maximum."""
    chain: list[nn.Module] = []
    for layer in layers:
        last = chain[-1] if chain else None
        if isinstance(layer, nn.BatchNorm2d) and isinstance(last, nn.Conv2d):
            chain[-1] = fuse_conv_bn_eval(last, layer)
        elif isinstance(layer, nn.MaxPool2d) and isinstance(last, (nn.ReLU, NarrowReLU)):
            chain[-1:] = [layer, last]
        elif isinstance(layer, nn.ReLU) and isinstance(last, (nn.Conv2d, nn.Linear)):
            chain.append(NarrowReLU())
        elif not isinstance(layer, nn.Dropout):
            chain.append(layer)
    return chain
