"""Options that several commands share: the same words, under the same heading."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

TAKEN, OPTICS = "How the images were taken", "Optics (where they are not recorded)"
OUTPUT = "Output"

Stacks = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="INPUT", help="Files, folders, globs, or a stacks.toml.", show_default=False
    ),
]

ZStep = Annotated[
    float | None, typer.Option(help="Distance between planes in um.", rich_help_panel=TAKEN)
]
PlaneNumbers = Annotated[
    bool,
    typer.Option(
        "--planes",
        help="The z step is unknown: answer in plane numbers.",
        rich_help_panel=TAKEN,
    ),
]
CropCommon = Annotated[
    bool,
    typer.Option(
        "--crop-common",
        help="Planes of unequal size: use the field they share.",
        rich_help_panel=TAKEN,
    ),
]
Channel = Annotated[
    str | None, typer.Option(help="Channel, by name or number.", rich_help_panel=TAKEN)
]
TimePoint = Annotated[
    int | None, typer.Option(help="Time point, from 0.", min=0, rich_help_panel=TAKEN)
]
Position = Annotated[
    str | None, typer.Option(help="Position, by name or number.", rich_help_panel=TAKEN)
]

Na = Annotated[float | None, typer.Option(help="Numerical aperture.", rich_help_panel=OPTICS)]
Wavelength = Annotated[
    float | None, typer.Option(help="Detected wavelength in nm.", rich_help_panel=OPTICS)
]
Pixel = Annotated[
    float | None, typer.Option(help="Pixel size in the object in um.", rich_help_panel=OPTICS)
]
ImmersionIndex = Annotated[
    float | None, typer.Option(help="1.0 air, 1.333 water, 1.515 oil.", rich_help_panel=OPTICS)
]
SampleIndex = Annotated[
    float | None,
    typer.Option(help="Refractive index around the specimen.", rich_help_panel=OPTICS),
]

Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON object.", rich_help_panel=OUTPUT)
]
Csv = Annotated[bool, typer.Option("--csv", help="Print a CSV table.", rich_help_panel=OUTPUT)]
OutputFile = Annotated[
    Path | None, typer.Option(help="Write the JSON or CSV to this file.", rich_help_panel=OUTPUT)
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace outputs that exist.", rich_help_panel=OUTPUT)
]
Debug = Annotated[
    bool, typer.Option("--debug", help="Show tracebacks of errors.", rich_help_panel=OUTPUT)
]

Quick = Annotated[
    bool, typer.Option("--quick", help="A trial of the whole way, in seconds; says nothing.")
]
Device = Annotated[str, typer.Option(help="cpu, cuda or auto.")]
StudySeed = Annotated[int, typer.Option(help="Of weights and batches.", min=0)]
DataFolder = Annotated[
    Path | None,
    typer.Option(
        help="Folder of recorded stacks with a stacks.toml. Default: ../shared/data if it is "
        "there.",
        show_default=False,
    ),
]
StudyPage = Annotated[
    Path | None,
    typer.Option(
        help="Write one HTML page with tables and figures.",
        show_default=False,
        rich_help_panel=OUTPUT,
    ),
]
