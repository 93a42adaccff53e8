"""Progress on stderr: a bar on a terminal, now and then a plain line elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from parfocal.cli.printable import printable

SECONDS_BETWEEN_LINES = 10.0


@contextmanager
def progress(total: int, what: str, *, is_silent: bool = False) -> Iterator[Callable[[str], None]]:
    """Give a function to be called with the name of each item as its work begins."""
    if is_silent:
        yield lambda _name: None
        return
    if not sys.stderr.isatty():
        yield _plain_lines(total, what)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn(what),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}", markup=False),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=total)
        begun = 0

        def begin(name: str) -> None:
            nonlocal begun
            bar.update(task, completed=begun, description=printable(name[-40:]))
            begun += 1

        yield begin


def _plain_lines(total: int, what: str) -> Callable[[str], None]:
    """A line at most every ten seconds, so that short work is silent."""
    begun, last = 0, time.monotonic()

    def begin(name: str) -> None:
        nonlocal begun, last
        begun += 1
        if time.monotonic() - last >= SECONDS_BETWEEN_LINES:
            last = time.monotonic()
            sys.stderr.write(f"{what}: {begun} of {total}, {printable(name)}\n")
            sys.stderr.flush()

    return begin
