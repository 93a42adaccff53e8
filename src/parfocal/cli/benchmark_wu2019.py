"""The command ``parfocal benchmark wu2019``."""

from __future__ import annotations

import shlex
import sys
from typing import Annotated

import typer

from parfocal.cli import options as opt


def wu2019(
    *,
    quick: opt.Quick = False,
    seeds: Annotated[int, typer.Option(help="Specimens of each kind.", min=1)] = 2,
    model: Annotated[
        str | None,
        typer.Option(
            help="A model that refocuses onto surfaces, by name or folder. Default: "
            "deep-z-fluorescence.",
            show_default=False,
        ),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            help="A chapter: stack, focus, surface, section, beads or series. Again for more. "
            "Default: all.",
            show_default=False,
        ),
    ] = None,
    device: opt.Device = "cpu",
    as_json: opt.Json = False,
    report: opt.StudyPage = None,
    overwrite: opt.Overwrite = False,
) -> int:
    """Refocus single images onto planes and surfaces beside the scan, as in Wu 2019.

    Simulates deep specimens under the paper's microscope: virtual stacks, focusing on objects,
    tilted, bowed and noisy surfaces, sections, beads and a moving worm.
    """
    from parfocal.cli.wu2019 import Wu2019Request, run_wu2019

    return run_wu2019(
        Wu2019Request(
            is_quick=quick,
            seeds=seeds,
            model=model,
            only=tuple(only or ()),
            device=device,
            as_json=as_json,
            report=report,
            overwrite=overwrite,
            command=shlex.join(["parfocal", *sys.argv[1:]]),
        )
    )
