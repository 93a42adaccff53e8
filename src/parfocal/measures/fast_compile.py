"""Compile kernels by numba, and keep the machine code between runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from numba import njit

# Sums may be reordered, so that loops use vector registers; NaN and infinity keep their meaning.
FAST_MATH = {"reassoc", "contract", "nsz"}


def _newest_source() -> tuple[float, int]:
    """Newest change and total size of the files whose code ends up in one another's kernels."""
    states = [path.stat() for path in Path(__file__).parent.glob("fast*.py")]
    return max(state.st_mtime for state in states), sum(state.st_size for state in states)


def compiled(function: Callable[..., Any]) -> Any:
    """Compile with fast sums; kept on disk where a folder can be written, else for this run."""
    return _compile(function, fastmath=FAST_MATH)


def compiled_strictly(function: Callable[..., Any]) -> Any:
    """Compile with every operation in the order in which it is written."""
    return _compile(function, fastmath=False)


def _compile(function: Callable[..., Any], *, fastmath: Any) -> Any:
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": fastmath}
    try:
        kernel = njit(cache=True, **options)(function)
    except RuntimeError:  # numba found no folder to keep code in
        return njit(**options)(function)
    # numba looks for changes in the function's own file alone, and not in what it calls.
    kernel._cache._cache_file._source_stamp = _newest_source()
    return kernel
