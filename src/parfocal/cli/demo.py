"""``parfocal demo``: known stacks scored, a simulated microscope focused, its images predicted."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def demo(
    *,
    report: Annotated[
        Path, typer.Option(help="Where to write the HTML page; an older demo page is replaced.")
    ] = Path("demo-report.html"),
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks of errors.")] = False,
) -> int:
    """Score real images blurred by known amounts, focus a simulated microscope, predict its focus.

    Prints found against known focus. Uses images that ship with scikit-image, and the real stacks
    of ../shared/data where present.
    """
    from parfocal.cli.demonstration import run_demo

    return run_demo(report, debug=debug)
