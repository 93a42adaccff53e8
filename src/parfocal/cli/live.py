"""A focus run as it goes: a growing curve on a terminal, one plain line an image elsewhere."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from parfocal.cli.printable import printable
from parfocal.drive.shots import Shot

WIDTH, HEIGHT = 64, 12


def text_curve(
    z_um: Sequence[float], scores: Sequence[float], *, width: int = WIDTH, height: int = HEIGHT
) -> list[str]:
    """Scores over z as lines of characters, the newest as ``@``.

    Examples
    --------
    >>> print("\\n".join(text_curve([0.0, 1.0, 2.0], [0.0, 2.0, 1.0], width=5, height=3)))
      *
        @
    *
    """
    places = [(z, score) for z, score in zip(z_um, scores, strict=True) if math.isfinite(score)]
    if not places:
        return [""] * height
    columns = _cells([z for z, _ in places], width)
    rows = _cells([score for _, score in places], height)
    canvas = [[" "] * width for _ in range(height)]
    for column, row in zip(columns, rows, strict=True):
        canvas[height - 1 - row][column] = "*"
    canvas[height - 1 - rows[-1]][columns[-1]] = "@"
    return ["".join(line).rstrip() for line in canvas]


def _cells(values: Sequence[float], count: int) -> list[int]:
    low, high = min(values), max(values)
    if not high > low:
        return [count // 2 for _ in values]
    return [round((value - low) / (high - low) * (count - 1)) for value in values]


def shot_line(shot: Shot) -> str:
    """One image in one line."""
    return (
        f"{shot.number + 1:4d}  z {shot.z_reached_um:z9.2f} um  score {shot.score:<10.4g} "
        f"{shot.seconds:7.2f} s  {shot.why}"
    )


@contextmanager
def watching(*, silent: bool, console: Console | None = None) -> Iterator[Callable[[Shot], None]]:
    """Give a function that shows each image of a run as it comes.

    Parameters
    ----------
    silent
        Show nothing (the output is for a program).
    """
    console = console or Console()
    if silent:
        yield lambda shot: None
        return
    if not console.is_terminal:
        yield lambda shot: console.print(printable(shot_line(shot)), markup=False, soft_wrap=True)
        return
    shots: list[Shot] = []
    with Live(console=console, refresh_per_second=12, transient=True) as live:

        def show(shot: Shot) -> None:
            shots.append(shot)
            live.update(_frame(shots, console.width))

        yield show


def _frame(shots: Sequence[Shot], width: int) -> Group:
    """The curve so far, its axis, and the newest image."""
    z_um = [shot.z_reached_um for shot in shots]
    wide = max(20, min(WIDTH, width - 2))
    lines = text_curve(z_um, [shot.score for shot in shots], width=wide)
    left, right = f"{min(z_um):.2f}", f"{max(z_um):.2f} um"
    axis = left + " " * max(1, wide - len(left) - len(right)) + right
    return Group(
        *(Text(line, style="cyan", no_wrap=True) for line in lines),
        Text("-" * wide, style="dim"),
        Text(axis, style="dim"),
        Text(printable(shot_line(shots[-1])), no_wrap=True, overflow="ellipsis"),
    )
