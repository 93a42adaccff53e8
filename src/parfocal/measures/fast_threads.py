"""Share compiled work between threads."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

import numba
import numpy as np

from parfocal.measures.windows import Spans

Item = TypeVar("Item")


def thread_count() -> int:
    """Threads that share a map: numba's own number, as NUMBA_NUM_THREADS sets it."""
    return int(numba.get_num_threads())


def run_shared(work: Callable[[Item], None], items: list[Item]) -> None:
    """Do the work on every item, by this thread and as many more as numba may use.

    The kernels release the interpreter's lock. Plain threads, because numba's own may not be
    entered from two threads at once on every machine.
    """
    queue: Iterator[Item] = iter(items)
    errors: list[BaseException] = []

    def drain() -> None:
        try:
            for item in queue:
                work(item)
        except BaseException as error:  # noqa: BLE001  (raised again by the caller, below)
            errors.append(error)

    helpers = [threading.Thread(target=drain) for _ in range(min(thread_count(), len(items)) - 1)]
    for helper in helpers:
        helper.start()
    drain()
    for helper in helpers:
        helper.join()
    if errors:
        raise errors[0]


def bands_of(rows: Spans, planes: int) -> list[slice]:
    """Split rows of windows so that every thread has work even where planes are few.

    Neighbouring bands both read the pixels that their windows share, so a band is at least twice
    as high as a window.
    """
    idle = -(-thread_count() // max(1, planes))
    height = int(rows.stops.max()) // (2 * int(rows.sizes.max()))
    edges = np.linspace(0, len(rows), max(1, min(idle, height)) + 1).astype(int)
    return [slice(*edge) for edge in itertools.pairwise(edges.tolist())]
