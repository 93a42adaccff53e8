"""The command starts fast: help and version load no numeric library."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = ("torch", "numba", "dask", "matplotlib", "scipy", "skimage", "zarr", "tifffile", "numpy")
PROBE = """
import json, sys, time
start = time.process_time()
from parfocal.cli.main import run
status = run({arguments!r})
seconds = time.process_time() - start
print("PROBE" + json.dumps([status, seconds, [m for m in {heavy!r} if m in sys.modules]]))
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["score", "--help"],
        ["drive", "--help"],
        ["train", "--help"],
        ["benchmark", "replay", "--help"],
        ["models", "--help"],
        ["models", "export", "--help"],
        ["demo", "--help"],
        ["doctor", "--help"],
    ],
    ids=" ".join,
)
def test_help_is_fast_and_loads_nothing_heavy(arguments):
    done = subprocess.run(
        [sys.executable, "-c", PROBE.format(arguments=arguments, heavy=HEAVY)],
        capture_output=True,
        text=True,
        check=True,
    )
    status, cpu_seconds, loaded = json.loads(done.stdout.rsplit("PROBE", 1)[1])
    assert status == 0
    assert loaded == []
    assert cpu_seconds < 1.0  # about 0.3; a busy machine stretches even processor time


def test_module_runs_as_a_command():
    done = subprocess.run(
        [sys.executable, "-m", "parfocal.cli.main", "--version"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("parfocal 0.")
