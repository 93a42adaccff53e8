"""How freed memory is kept for the next image, which makes large arrays cheaper."""

from __future__ import annotations

import ctypes
import os
import sys

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""Parameters of glibc's ``mallopt``."""
LARGEST_KEPT = 256 * 2**20
"""Bytes: larger arrays go back to the system at once."""
MOST_KEPT = 512 * 2**20
"""Bytes at the end of the heap that are kept, at most."""


def keep_freed_memory() -> bool:
    """Let the allocator keep what it frees, up to half a gigabyte.

    glibc maps every large array anew and gives it back when it is freed, so that each image pays
    for its pages again; where pages are dear that takes longer than the work on them. The
    command does this for itself; a program that imports parfocal may call it once, at its start.

    Returns
    -------
    Whether it was done: on Linux with glibc, and only where no variable of the environment
    (``MALLOC_...``, ``GLIBC_TUNABLES``) says otherwise.

    Examples
    --------
    >>> keep_freed_memory() in (True, False)
    True
    """
    if not sys.platform.startswith("linux"):
        return False
    if any(name.startswith("MALLOC_") or name == "GLIBC_TUNABLES" for name in os.environ):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return False
    taken = mallopt(MMAP_THRESHOLD, LARGEST_KEPT) and mallopt(TRIM_THRESHOLD, MOST_KEPT)
    return bool(taken)
