"""Freed memory is kept where that can be asked for, and where nobody asked for something else."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

COUNT = """
import resource, sys
from parfocal.core.memory import keep_freed_memory
kept = keep_freed_memory()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(4):
    bytearray(64 * 2**20)
before = faults()
for _ in range(4):
    bytearray(64 * 2**20)
print(kept, faults() - before)
"""


def outcome(**more: str) -> tuple[str, int]:
    clean = {
        name: value for name, value in os.environ.items()
        if not name.startswith("MALLOC_") and name != "GLIBC_TUNABLES"
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", COUNT], env=clean | more, capture_output=True, text=True, check=True
    )
    kept, faults = done.stdout.split()
    return kept, int(faults)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_large_arrays_are_given_the_same_pages_again():
    kept, faults = outcome()
    assert kept == "True"
    assert faults < 64 * 2**20 // 4096  # one of four arrays' pages; without it, all of them


def test_the_environment_has_the_last_word():
    kept, _ = outcome(MALLOC_ARENA_MAX="2")
    assert kept == "False"
