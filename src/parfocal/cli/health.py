"""What this installation consists of, and a small test that it works."""

from __future__ import annotations

import os
import platform
import sys
import time
from importlib import metadata
from typing import Any

from parfocal import __version__
from parfocal.core.errors import ParfocalError

LIBRARIES = (
    "torch", "numpy", "scipy", "scikit-image", "numba", "dask", "zarr", "tifffile",
    "imagecodecs", "pydantic", "typer", "rich", "matplotlib",
)  # fmt: skip
EXTRAS = {
    "ndtiff": (("ndstorage",), "reads Micro-Manager NDTiff data sets"),
    "mm": (("pymmcore-plus", "useq-schema"), "drives Micro-Manager cores and useq sequences"),
    "tensorboard": (("tensorboard",), "notes losses of a training for TensorBoard"),
    "onnx": (("onnx", "onnxscript", "onnxruntime"), "writes models as ONNX files"),
    "bioimageio": (
        ("onnx", "onnxscript", "onnxruntime", "bioimageio.spec"),
        "writes models as bioimage.io packages",
    ),
    "dev": (("pytest", "hypothesis", "mypy", "ruff"), "runs the tests and checks of a clone"),
}


def _version_of(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _memory_gb() -> float | None:
    """Memory of the machine in GB, where the system tells."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    except (AttributeError, ValueError, OSError):
        return None


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _machine() -> dict[str, Any]:
    import numba
    import torch

    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {
        "system": platform.platform(),
        "cores": _cores(),
        "memory_gb": _memory_gb(),
        "torch_threads": torch.get_num_threads(),
        "numba_threads": numba.get_num_threads(),
        "gpus": gpus,
    }


def _extras() -> list[dict[str, Any]]:
    rows = []
    for name, (packages, adds) in EXTRAS.items():
        missing = [package for package in packages if _version_of(package) is None]
        rows.append(
            {
                "name": name,
                "adds": adds,
                "installed": not missing,
                "missing": missing,
                "command": f"pip install 'parfocal[{name}]'",
            }
        )
    return rows


def self_test() -> dict[str, Any]:
    """Score a fabricated stack whose focus is known."""
    from parfocal.evaluate.trial import fabricated_trial
    from parfocal.score.plane import best_focus

    started = time.perf_counter()
    stack, known = fabricated_trial()
    try:
        estimate = best_focus(stack)
    except ParfocalError as error:
        return {"passed": False, "text": f"scoring raised: {error}"}
    seconds = time.perf_counter() - started
    if estimate.z_um is None or known.position is None:
        return {"passed": False, "text": f"no focus found: {estimate.reason}", "seconds": seconds}
    passed = abs(estimate.z_um - known.position) <= known.tolerance
    text = f"found {estimate.z_um:.2f} um, known {known.position:.2f} um"
    return {"passed": passed, "text": text, "seconds": seconds}


def examine() -> dict[str, Any]:
    """Everything that ``parfocal doctor`` says, as plain values."""
    return {
        "parfocal": __version__,
        "python": sys.version.split()[0],
        "machine": _machine(),
        "libraries": {name: _version_of(name) for name in LIBRARIES},
        "extras": _extras(),
        "self_test": self_test(),
    }


def health_text(health: dict[str, Any]) -> str:
    """The same for a reader."""
    machine = health["machine"]
    memory = machine["memory_gb"]
    lines = [
        f"parfocal {health['parfocal']}, Python {health['python']}, {machine['system']}",
        f"{machine['cores']} CPU cores (torch uses {machine['torch_threads']}, "
        f"numba {machine['numba_threads']})"
        + (f", {memory:.0f} GB of memory" if memory is not None else ""),
        f"GPU: {', '.join(machine['gpus']) or 'none that torch can use'}",
        "",
        "Libraries",
    ]
    for name, version in health["libraries"].items():
        lines.append(f"  {name:<14}{version or 'MISSING'}")
    lines += ["", "Extras"]
    for extra in health["extras"]:
        state = "installed" if extra["installed"] else f"missing: {extra['command']}"
        lines.append(f"  {extra['name']:<14}{extra['adds']} ({state})")
    test = health["self_test"]
    lines += ["", f"Self-test: {'passed' if test['passed'] else 'FAILED'}, {test['text']}"]
    return "\n".join(lines)
