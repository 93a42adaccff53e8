"""Time several ways to do one thing, in turn, so that a busy machine is as busy for each."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numba
import torch


@dataclass(frozen=True)
class Timing:
    """Rounds of one contender, each worth ``share`` of the whole task."""

    wall_s: tuple[float, ...]
    cpu_s: tuple[float, ...]
    share: float = 1.0

    @property
    def wall_ms(self) -> float:
        """Median time by the clock for the whole task, in ms."""
        return 1e3 * statistics.median(self.wall_s) / self.share

    def over_by_clock(self, other: Timing) -> float:
        """How many times the other's time by the clock: for two that use the same threads."""
        return self.wall_ms / other.wall_ms

    def over(self, other: Timing) -> float:
        """How many times the processor time of the other: ratio of medians.

        Processor time of all threads: for two that use different numbers of them. Threads of
        torch that wait in turning loops count as busy.
        """
        mine, theirs = statistics.median(self.cpu_s), statistics.median(other.cpu_s)
        return (mine / self.share) / (theirs / other.share)


def race(
    contenders: Mapping[str, Callable[[], object]], rounds: int, *, share: float = 1.0
) -> dict[str, Timing]:
    """Run every contender once to warm up, then all of them in turn, ``rounds`` times."""
    for run in contenders.values():
        run()
    walls: dict[str, list[float]] = {name: [] for name in contenders}
    cpus: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, run in contenders.items():
            wall, cpu = time.perf_counter(), time.process_time()
            run()
            cpus[name].append(time.process_time() - cpu)
            walls[name].append(time.perf_counter() - wall)
    return {name: Timing(tuple(walls[name]), tuple(cpus[name]), share) for name in contenders}


def describe_machine(*, keeps: bool = False) -> str:
    """Processor, threads, load and allocator; whether that keeps what is freed, for all alike."""
    cpu = Path("/proc/cpuinfo")
    lines = cpu.read_text().splitlines() if cpu.is_file() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    malloc = {key: value for key, value in os.environ.items() if key.startswith("MALLOC_")}
    allocator = f"{malloc}" if malloc else "the platform's"
    if keeps:
        allocator += ", which keeps freed memory for every contender, as the command has it"
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    return (
        f"{names[0] if names else platform.processor()}, {os.cpu_count()} processors; "
        f"threads: numba {numba.get_num_threads()}, torch {torch.get_num_threads()}\n"
        f"load before the run {load:.1f}; allocator: {allocator}"
    )


def verdict(value: float, target: float, *, at_most: bool) -> str:
    """The value beside its target, and whether it is met."""
    met = value <= target if at_most else value >= target
    return f"{value:7.2f} ({'<=' if at_most else '>='} {target:g} {'pass' if met else 'MISS'})"
