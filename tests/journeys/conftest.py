"""Small stacks on disk, as a user has them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from parfocal.cli.main import run
from parfocal.evaluate.trial import blurred, blurred_stack
from parfocal.io.writing import write_stack

STEP_UM = 2.0


def _texture(size_y: int = 96, size_x: int = 112, *, seed: int = 0) -> np.ndarray:
    """Random blobs, as shares of full brightness."""
    noise = blurred(np.random.default_rng(seed).random((size_y, size_x)), 6.0)
    return (noise - noise.min()) / np.ptp(noise)


def _counts(focus_um: float, *, planes: int = 13, seed: int = 0) -> np.ndarray:
    """Counts (z, y, x) of a stack 2 um apart that is in focus at ``focus_um``."""
    generator = np.random.default_rng(seed)
    z_um = np.arange(planes) * STEP_UM
    return blurred_stack(_texture(seed=seed), z_um, focus_um, generator=generator)


@pytest.fixture
def counts() -> Callable[..., np.ndarray]:
    """Counts (z, y, x) of a stack in focus at a given z."""
    return _counts


@pytest.fixture
def write(tmp_path) -> Callable[..., Path]:
    """Write a stack in focus at a given z under a name."""

    def write_one(name: str, focus_um: float = 12.6, **values) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return write_stack(_counts(focus_um, **values), path, z_step_um=STEP_UM, pixel_um=0.5)

    return write_one


@pytest.fixture
def parfocal(capsys) -> Callable[..., tuple[int, str, str]]:
    """Run the command here; status, stdout and stderr."""

    def run_here(*arguments: object) -> tuple[int, str, str]:
        status = run([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return status, out, err

    return run_here
