"""``parfocal benchmark``: how good the searches are on stacks that were recorded."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from parfocal.cli import options as opt
from parfocal.cli.benchmark_wu2019 import wu2019
from parfocal.cli.exits import CallError

benchmark = typer.Typer(
    name="benchmark", no_args_is_help=True, help="Compare methods on recorded data.",
    context_settings={"help_option_names": ["-h", "--help"]},
)  # fmt: skip


@benchmark.callback()
def _benchmark() -> None:
    """Compare methods on recorded data."""


benchmark.command("wu2019")(wu2019)


@benchmark.command("replay")
def replay(
    inputs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="STACK",
            help="Stacks, folders, globs, a stacks.toml, or folders of parfocal drive --record.",
            show_default=False,
        ),
    ] = None,
    *,
    search: Annotated[
        list[str] | None,
        typer.Option(help="A search to compare; repeatable. Default: all.", show_default=False),
    ] = None,
    measure: Annotated[str, typer.Option(help="Focus measure.")] = "tenengrad",
    starts: Annotated[
        str, typer.Option(help="Where runs begin, as shares of each stack's range.")
    ] = "0.25,0.5,0.75",
    interpolate: Annotated[
        bool,
        typer.Option("--interpolate", help="Mix neighbouring planes where the stage is between."),
    ] = False,
    max_images: Annotated[
        int | None, typer.Option(help="Budget of images of one run.", min=1)
    ] = None,
    z_step_um: Annotated[float | None, typer.Option(help="Distance between planes in um.")] = None,
    runs: Annotated[
        bool, typer.Option("--runs", help="Print every run, not only the league.")
    ] = False,
    as_json: opt.Json = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print every run as CSV.")] = False,
    debug: opt.Debug = False,
) -> int:
    """Let every focus search run on recorded stacks, and print how often it was right.

    Focus is known from a stacks.toml (focus_index), else from all planes of the stack.
    """
    if not inputs:
        raise CallError("no stack: give files, folders or globs. See: parfocal benchmark --help")
    if as_json and as_csv:
        raise CallError("--json and --csv exclude each other; choose one.")
    from parfocal.cli.benchmarking import ReplayRequest, run_replay

    return run_replay(
        ReplayRequest(
            inputs=tuple(inputs),
            searches=tuple(search or ()),
            measure=measure,
            starts=_shares(starts),
            interpolate=interpolate,
            max_images=max_images,
            z_step_um=z_step_um,
            runs=runs,
            form="json" if as_json else "csv" if as_csv else "table",
            debug=debug,
        )
    )


@benchmark.command("li2021")
def li2021(
    *,
    quick: opt.Quick = False,
    stacks: Annotated[
        int, typer.Option(help="3-D test stacks of each tissue; half as many flat ones.", min=1)
    ] = 6,
    levels: Annotated[
        int, typer.Option(help="Defocus classes that are asked of each stack.", min=1, max=13)
    ] = 5,
    steps: Annotated[
        int, typer.Option(help="Batches that Li's network learns from.", min=1)
    ] = 3000,
    study_steps: Annotated[int, typer.Option(help="Batches of each further study.", min=1)] = 600,
    our_steps: Annotated[int, typer.Option(help="Batches that ours learns from.", min=1)] = 3000,
    train_stacks: Annotated[
        int,
        typer.Option(
            help="3-D stacks of each tissue to learn from; half as many flat ones.", min=1, max=1000
        ),
    ] = 16,
    model: Annotated[
        str | None,
        typer.Option(
            help="A pair model, by name or folder, to compare and to start ours from. Default: "
            "pair-fluorescence if it is there.",
            show_default=False,
        ),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option(
            help="Where scenes and networks are kept. Default: a cache.", show_default=False
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Draws what is asked.", min=0)] = 0,
    device: opt.Device = "cpu",
    as_json: opt.Json = False,
    report: opt.StudyPage = None,
    overwrite: opt.Overwrite = False,
) -> int:
    """Compare networks of two images with focus measures of thirteen, as in Li 2021.

    Simulates light-sheet stacks split by specimen, trains the networks of the paper's studies and
    ours, and asks all of them about specimens and a tissue that they never saw. Stopped or killed,
    it goes on from there when it is called again.
    """
    from parfocal.cli.li2021 import Li2021Request, run_li2021

    return run_li2021(
        Li2021Request(
            is_quick=quick,
            stacks=stacks,
            levels=levels,
            steps=steps,
            study_steps=study_steps,
            our_steps=our_steps,
            train_stacks=train_stacks,
            model=model,
            folder=folder,
            seed=seed,
            device=device,
            as_json=as_json,
            report=report,
            overwrite=overwrite,
            command=shlex.join(["parfocal", *sys.argv[1:]]),
        )
    )


@benchmark.command("li2023")
def li2023(
    *,
    quick: opt.Quick = False,
    stacks: Annotated[int, typer.Option(help="Test stacks of each family.", min=1)] = 2,
    steps: Annotated[
        int, typer.Option(help="Batches of weak labels that Li's network learns from.", min=1)
    ] = 600,
    tuning_steps: Annotated[
        int, typer.Option(help="Batches of true masks that fine-tune it.", min=1)
    ] = 2000,
    model: Annotated[
        str | None,
        typer.Option(
            help="A model of ours that segments, by name or folder. Default: in-focus-widefield "
            "if it is there.",
            show_default=False,
        ),
    ] = None,
    data: opt.DataFolder = None,
    folder: Annotated[
        Path | None,
        typer.Option(
            help="Where stacks and networks are kept. Default: a cache.", show_default=False
        ),
    ] = None,
    seed: opt.StudySeed = 0,
    device: opt.Device = "cpu",
    as_json: opt.Json = False,
    report: opt.StudyPage = None,
    overwrite: opt.Overwrite = False,
) -> int:
    """Compare networks and rules that find the pixels in focus, as in Li 2023.

    Simulates thick specimens split by specimen, trains the paper's U-Net on weak labels and
    fine-tunes it on 5 stacks, and asks it, our network and the nine measures about specimens and
    families that it never saw. Stopped or killed, it goes on from there when it is called again.
    """
    from parfocal.cli.li2023 import Li2023Request, run_li2023

    return run_li2023(
        Li2023Request(
            is_quick=quick,
            stacks=stacks,
            steps=steps,
            tuning_steps=tuning_steps,
            model=model,
            data=data,
            folder=folder,
            seed=seed,
            device=device,
            as_json=as_json,
            report=report,
            overwrite=overwrite,
            command=shlex.join(["parfocal", *sys.argv[1:]]),
        )
    )


@benchmark.command("luo2020")
def luo2020(
    *,
    quick: opt.Quick = False,
    fields: Annotated[
        int,
        typer.Option(
            help="Simulated fields of each specimen, at each distance and brightness.", min=1
        ),
    ] = 3,
    model: Annotated[
        str | None,
        typer.Option(
            help="A model of ours that refocuses, by name or folder. Default: "
            "deep-r-fluorescence if it is there.",
            show_default=False,
        ),
    ] = None,
    published: Annotated[
        Path | None,
        typer.Option(
            help="Folder of a network as published, from parfocal train luo2020.",
            show_default=False,
        ),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            help="A chapter: fields, ranges, beads, tilt, clear, stains, times or real. Again for "
            "more. Default: all.",
            show_default=False,
        ),
    ] = None,
    steps: Annotated[
        int,
        typer.Option(
            help="Batches that each network of the trade-off of ranges learns from.", min=2
        ),
    ] = 2000,
    data: opt.DataFolder = None,
    folder: Annotated[
        Path | None,
        typer.Option(help="Where results are kept. Default: a cache.", show_default=False),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of fields, beads and starts.", min=0)] = 0,
    device: opt.Device = "cpu",
    as_json: opt.Json = False,
    report: opt.StudyPage = None,
    overwrite: opt.Overwrite = False,
) -> int:
    """Compare ways to bring one blurred image into focus, as in Luo 2020.

    Simulates specimens that no network saw, and refocuses them blindly and by deconvolution; then
    beads, a tilted field, transmitted light, stains, the time that it takes beside a search for
    focus, and recorded stacks. Stopped or killed, it goes on from there when it is called again.
    """
    from parfocal.cli.luo2020 import Luo2020Request, run_luo2020

    return run_luo2020(
        Luo2020Request(
            is_quick=quick,
            fields=fields,
            model=model,
            published=published,
            only=tuple(only or ()),
            steps=steps,
            data=data,
            folder=folder,
            seed=seed,
            device=device,
            as_json=as_json,
            report=report,
            overwrite=overwrite,
            command=shlex.join(["parfocal", *sys.argv[1:]]),
        )
    )


@benchmark.command("pinkard2019")
def pinkard2019(
    *,
    quick: opt.Quick = False,
    stacks: Annotated[int, typer.Option(help="Most stacks to learn from.", min=16)] = 40,
    steps: Annotated[
        int, typer.Option(help="Batches that the published network learns from.", min=8)
    ] = 1200,
    our_steps: Annotated[int, typer.Option(help="Batches that ours learns from.", min=8)] = 400,
    tests: Annotated[int, typer.Option(help="Stacks of each kind that measure.", min=2)] = 10,
    model: Annotated[
        str | None,
        typer.Option(
            help="A spectrum model to ask as well, by name or folder. Default: led-phase if it is "
            "there.",
            show_default=False,
        ),
    ] = None,
    seed: opt.StudySeed = 0,
    as_json: opt.Json = False,
    report: opt.StudyPage = None,
    overwrite: opt.Overwrite = False,
) -> int:
    """Repeat the studies of Pinkard 2019: defocus from one image by an off-axis LED.

    Simulates stacks split by specimen and trains a network for each study: number of stacks, kinds
    of specimen and fine-tuning, magnitude against phase, angle and pattern of the LEDs, saliency.
    """
    from parfocal.cli.pinkard2019 import Pinkard2019Request, run_pinkard2019

    return run_pinkard2019(
        Pinkard2019Request(
            is_quick=quick,
            stacks=stacks,
            steps=steps,
            our_steps=our_steps,
            tests=tests,
            model=model,
            seed=seed,
            as_json=as_json,
            report=report,
            overwrite=overwrite,
        )
    )


def _shares(text: str) -> tuple[float, ...]:
    """Read shares parted by commas."""
    try:
        shares = tuple(float(part) for part in text.split(","))
    except ValueError:
        shares = ()
    if not shares or not all(0 <= share <= 1 for share in shares):
        raise CallError(f"--starts {text!r}: give shares from 0 to 1, such as 0.25,0.5,0.75.")
    return shares
