"""What goes into a network and comes out of it, for programs that do not know parfocal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import torch
from torch import Tensor


@dataclass(frozen=True)
class Axis:
    """One axis of an input or output.

    Parameters
    ----------
    name
        "batch", "y", "x", or what the channels are.
    kind
        Any number of patches, named channels, or pixels.
    channels
        Names of the channels.
    least_px, step_px
        Sides may be ``least_px`` plus any multiple of ``step_px``, which divides it.
    """

    name: str
    kind: Literal["batch", "channel", "space"]
    channels: tuple[str, ...] = ()
    least_px: int = 1
    step_px: int = 1


@dataclass(frozen=True)
class Port:
    """One input or output: a float32 tensor.

    Parameters
    ----------
    name
        In the graph.
    what
        What it holds, with units, in at most 128 characters.
    axes
        In order.
    """

    name: str
    what: str
    axes: tuple[Axis, ...]


@runtime_checkable
class Graph(Protocol):
    """An ensemble as one ``torch.nn.Module`` with all that its predictor computes inside.

    Built from the networks of a model and its card. ``forward`` takes a tensor for each of
    ``inputs`` and returns one for each of ``outputs``; it holds no branch on values or sizes.
    """

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]

    def example(self, *, generator: torch.Generator) -> tuple[Tensor, ...]:
        """Plausible inputs, at least two along the batch, and sides that differ."""

    def __call__(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Compute."""


BATCH = Axis("batch", "batch")
