"""Several processes that train one network, each on batches of its own, as torchrun starts them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from parfocal.core.device import pick_device
from parfocal.core.errors import InputError

LONGEST_WAIT = timedelta(hours=24)
"""How long processes wait while the first one calibrates and measures."""
SEED_STRIDE = 2_000_003


@dataclass(frozen=True)
class Ranks:
    """Which of the processes this is."""

    index: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this one writes and speaks."""
        return self.index == 0

    @property
    def seed(self) -> int:
        """What this process adds to every seed of batches, so that no two see the same."""
        return SEED_STRIDE * self.index

    def shared(self, network: nn.Module, device: torch.device) -> nn.Module:
        """The network with gradients that are means over all processes."""
        if self.count == 1:
            return network
        places = [device] if device.type == "cuda" else None
        return DistributedDataParallel(network, device_ids=places)

    def mean(self, value: float, device: torch.device) -> float:
        """Mean of a number over all processes."""
        if self.count == 1:
            return value
        total = torch.tensor(value, dtype=torch.float64, device=device)
        distributed.all_reduce(total)
        return float(total) / self.count

    def align(self, network: nn.Module) -> None:
        """Give all processes the first one's values; statistics of batches differ between them."""
        if self.count > 1:
            for value in network.state_dict().values():
                distributed.broadcast(value, src=0)

    def wait(self) -> None:
        """Wait for all processes."""
        if self.count > 1:
            distributed.barrier()


def current_ranks() -> Ranks:
    """The processes that have been joined, or this one alone."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return Ranks()
    return Ranks(distributed.get_rank(), distributed.get_world_size())


@contextmanager
def joined_ranks(device: str) -> Iterator[Ranks]:
    """Join the processes that torchrun started; one alone where it started none.

    Processes on GPUs take one each and talk by NCCL, others by Gloo.

    Raises
    ------
    InputError
        If there are more processes on this machine than GPUs.

    Examples
    --------
    >>> with joined_ranks("cpu") as ranks:
    ...     ranks
    Ranks(index=0, count=1)
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield current_ranks()
        return
    kind = pick_device(device).type
    if kind == "cuda":
        place, there = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
        if place >= there:
            raise InputError(
                f"torchrun started process {place + 1} on a machine with {there} GPUs: give "
                f"--nproc-per-node {there}."
            )
        torch.cuda.set_device(place)
    distributed.init_process_group("nccl" if kind == "cuda" else "gloo", timeout=LONGEST_WAIT)
    try:
        yield current_ranks()
    finally:
        distributed.destroy_process_group()
