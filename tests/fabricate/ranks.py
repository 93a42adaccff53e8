"""A small training that several processes share: ``python -m tests.fabricate.ranks OUT``."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import torch
from torch import nn

from parfocal.train.loop import Schedule, train_network
from parfocal.train.ranks import SEED_STRIDE, joined_ranks

SCHEDULE = Schedule(steps=12, epoch_steps=6, peak_rate=0.05, warm_steps=2, average=0.9)


class Line:
    """Learns y = 2 x - 1; ``several`` draws what so many processes draw, in one batch."""

    name = "line"

    def __init__(self, several: int = 1) -> None:
        self.several = several

    def build(self, seed: int) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 1))

    def batches(self, seed: int, device: torch.device):
        dice = [torch.Generator().manual_seed(seed + k * SEED_STRIDE) for k in range(self.several)]
        while True:
            x = torch.cat([torch.randn(16, 1, generator=each) for each in dice])
            yield x, 2 * x - 1

    def loss(self, network: nn.Module, batch: tuple[torch.Tensor, ...]) -> torch.Tensor:
        return (network(batch[0]) - batch[1]).square().mean()


def start_ranks(command: list[str], count: int = 2) -> list[subprocess.Popen]:
    """Start processes with what torchrun tells them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {
        **os.environ, "OMP_NUM_THREADS": "1", "WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port), "GLOO_SOCKET_IFNAME": "lo",
    }  # fmt: skip
    return [
        subprocess.Popen(
            command, env={**common, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for rank in range(count)
    ]  # fmt: skip


def main(folder: Path) -> None:
    """Train as one of several, and save the weights under the number of this process."""
    with joined_ranks("cpu") as ranks:
        trained = train_network(
            Line(), SCHEDULE, seed=3, checkpoint=folder / "run.ckpt", precision=torch.float32
        )
        values = {"weights": trained.network.state_dict(), "losses": trained.losses}
        torch.save(values, folder / f"rank{ranks.index}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
