"""Shapes in signatures are checked by beartype here, and only here."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

os.environ.setdefault("NUMBA_NUM_THREADS", "2")

from jaxtyping import install_import_hook

install_import_hook("parfocal", "beartype.beartype")

settings.register_profile(
    "parfocal",
    deadline=None,
    max_examples=25,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("parfocal")

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real stacks beside the checkout; tests that need it skip without it."""
    if not (SHARED_DATA / "stacks.toml").is_file():
        pytest.skip("the real stacks (../shared/data) are not beside this checkout")
    return SHARED_DATA
