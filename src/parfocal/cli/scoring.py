"""Score every input of one call, one after the other, and hand the results on."""

from __future__ import annotations

import re
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import typer

from parfocal.cli.exits import DONE, SOME_FAILED, CallError
from parfocal.cli.outputs import check_apart, check_output, write_text, write_whole
from parfocal.cli.printable import printable
from parfocal.cli.progress import progress
from parfocal.cli.request import ScoreRequest
from parfocal.cli.tables import csv_text, json_text, print_table, tally
from parfocal.core.binning import binned
from parfocal.core.device import pick_device
from parfocal.core.errors import InputError, ParfocalError
from parfocal.core.results import DepthMap, FocusEstimate, FocusQuality, Fused
from parfocal.core.stack import FocalStack
from parfocal.evaluate.fields import FieldRecord, record_of
from parfocal.evaluate.report import Report
from parfocal.evaluate.sheet import ReportHeader
from parfocal.io.channels import write_channels
from parfocal.io.finding import StackSource, find_stacks
from parfocal.io.metadata import OPTICS_INCOMPLETE
from parfocal.measures.catalog import find_measure
from parfocal.score.depth import depth_map
from parfocal.score.fusion import fuse
from parfocal.score.plane import best_focus
from parfocal.score.quality import LEAST_PX, focus_quality

# What one field may fail with while the others go on: a damaged block shows only when it is read,
# and a fault of ours on one field must not cost a plate.
FIELD_FAULTS = (
    ParfocalError, OSError, MemoryError, RuntimeError, ValueError, ArithmeticError, LookupError,
    TypeError,
)  # fmt: skip
# Maps that are only drawn on the page are made from pixels binned to this many a side.
DRAWN_PX = 640


@dataclass(kw_only=True)
class Outcome:
    """What came of all inputs."""

    records: list[FieldRecord] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)

    def fail(self, source: str, error: BaseException, *, debug: bool) -> None:
        """Note an input that could not be processed, and say so in one line."""
        text = " ".join(str(error).split()) or type(error).__name__
        why = text.removeprefix(f"{source}:").strip()
        if not isinstance(error, ParfocalError):
            why = f"{type(error).__name__}: {why}; --debug shows where."
        self.failed.append((source, why))
        if debug:
            traceback.print_exception(error)
        _say(f"{source}: {why}")


def _say(text: str) -> None:
    """Say one line on stderr, where no output for programs goes."""
    sys.stderr.write(f"parfocal: {printable(text)}\n")


def _say_left_out(sources: list[StackSource]) -> None:
    """Name the single images that are left out because they lie beside stacks."""
    for source in sources:
        if source.beside:
            names = ", ".join(path.name for path in source.beside[:3])
            names += ", ..." if len(source.beside) > 3 else ""
            count = f"{len(source.beside)} single image{'s' if len(source.beside) > 1 else ''}"
            _say(
                f"{source.beside[0].parent}: ignored {count} beside the stacks: {names}; "
                "name it directly to score it."
            )


def _say_incomplete_optics(records: list[FieldRecord]) -> None:
    """Say once what is missing where some of the optics were given and no setup came of it."""
    notes = [note for record in records for note in record.notes]
    for note in [note for note in notes if note.startswith(OPTICS_INCOMPLETE)][:1]:
        _say(note)


def _check_call(request: ScoreRequest) -> None:
    """Raise CallError for all that can be known to be wrong before any file is read."""
    try:
        pick_device(request.device)
        if request.measure != "auto":
            find_measure(request.measure)
    except InputError as error:
        raise CallError(str(error)) from error


def _is_folder_output(path: Path) -> bool:
    return not path.name.lower().endswith((".tif", ".tiff"))


def _map_paths(
    sources: list[StackSource], place: Path | None, option: str, ending: str
) -> list[Path | None]:
    """Where each source's map goes: the named file, or one file a source in the named folder."""
    if place is None:
        return [None] * len(sources)
    if not _is_folder_output(place):
        if len(sources) > 1:
            raise CallError(f"{option} {place}: there are {len(sources)} inputs; name a folder.")
        return [place]
    names = [re.sub(r"[^\w.+-]+", "_", source.name).strip("._") or "field" for source in sources]
    twice = {name for name in names if names.count(name) > 1}
    names = [f"{n}_{i}" if n in twice else n for i, n in enumerate(names)]
    return [place / f"{name}.{ending}.ome.tif" for name in names]


def _check_outputs(
    request: ScoreRequest, maps: dict[str, list[Path | None]], raw: list[Path]
) -> None:
    """Check every output for existence and none for being raw data, before the work begins."""
    singles = {"--output": request.output, "--report": request.report}
    listed = [(option, path) for option, path in singles.items() if path is not None]
    for option, place in (("--depth-map", request.depth_map), ("--fuse", request.fuse)):
        if place is not None and _is_folder_output(place):
            if place.exists() and not place.is_dir():
                raise CallError(f"{option} {place} is a file; name a folder or an .ome.tif file.")
            if not place.resolve().parent.is_dir():
                raise CallError(f"{option} {place}: there is no folder {place.parent}.")
            place.mkdir(exist_ok=True)
        listed += [(option, path) for path in maps[option] if path is not None]
    check_apart([path for _, path in listed], raw)
    for option, path in listed:
        check_output(path, overwrite=request.overwrite, option=option)


def _save_depth(path: Path, depth: DepthMap, stack: FocalStack) -> None:
    height = depth.z_um if stack.z_known else depth.index
    label = "z_um" if stack.z_known else "plane"
    channels = {label: height, "confidence": depth.confidence}
    text = f"parfocal depth map of {stack.source}, {depth.measure}, window {depth.window_px} px"
    write_whole(
        path,
        lambda place: write_channels(
            place, channels, pixel_um=stack.pixel_um, name=stack.name, description=text
        ),
    )


def _save_fused(path: Path, fused: Fused, stack: FocalStack) -> None:
    channels = {"fused": fused.image, "plane": fused.index}
    if fused.z_um is not None:
        channels["z_um"] = fused.z_um
    text = f"parfocal extended depth of field of {stack.source}, {fused.method}"
    write_whole(
        path,
        lambda place: write_channels(
            place, channels, pixel_um=stack.pixel_um, name=stack.name, description=text
        ),
    )


def path_of(source: StackSource) -> str:
    """Where a source lies, for messages: its file, or the folder of its planes."""
    if not source.paths:
        return source.name
    return str(source.paths[0] if len(source.paths) == 1 else source.paths[0].parent)


def _quality_of_sharpest(
    stack: FocalStack, estimate: FocusEstimate, region: tuple[int, int, int, int] | None
) -> FocusQuality | None:
    """What the sharpest plane's own spectrum says, where the stack gave no answer."""
    sizes = stack.shape[1:]
    if region is not None:
        sizes = (region[1] - region[0], region[3] - region[2])
    transparent = estimate.modality == "phase"
    if estimate.found or transparent or stack.setup is None or min(sizes) < LEAST_PX:
        return None
    sharpest = int(np.argmax(estimate.curve.scores))
    quality = focus_quality(
        stack.read_counts(sharpest), stack.setup, region=region, modality=stack.modality
    )
    return quality if isinstance(quality, FocusQuality) else None


def score_one(
    source: StackSource,
    request: ScoreRequest,
    report: Report | None,
    *,
    depth_path: Path | None = None,
    fuse_path: Path | None = None,
) -> FieldRecord:
    """Score one stack, write its maps and draw it on the report."""
    stack = source.open()
    estimate = best_focus(
        stack,
        request.measure,
        region=request.region,
        tile_px=request.tile_px,
        modality=request.modality,
        tissue_only=request.tissue_only,
        device=request.device,
    )
    quality = _quality_of_sharpest(stack, estimate, request.region)
    record = record_of(stack, estimate, well=source.well, quality=quality)
    drawn = report is not None and report.wants_pictures(record) and estimate.found
    shown = binned(stack, 1 if depth_path or fuse_path else -(-max(stack.shape[1:]) // DRAWN_PX))
    # Where a phase object looks sharpest it is out of focus: such heights would mislead.
    heights = estimate.modality != "phase"
    depth = depth_map(shown, device=request.device) if (depth_path or drawn) and heights else None
    if depth_path and not heights:
        _say(f"{stack.name}: a phase object; no depth map was written.")
    fused = fuse(shown, device=request.device) if fuse_path or drawn else None
    if depth_path is not None and depth is not None:
        _save_depth(depth_path, depth, stack)
    if fuse_path is not None and fused is not None:
        _save_fused(fuse_path, fused, stack)
    if report is not None:
        note = ""
        if drawn and shown is not stack:
            factor = stack.shape[2] // shown.shape[2]
            note = f"Maps drawn from pixels averaged {factor} x {factor}."
        report.add(record, shown, depth=depth, fused=fused, note=note)
    return record


def _score_all(
    sources: list[StackSource],
    request: ScoreRequest,
    report: Report | None,
    maps: dict[str, list[Path | None]],
) -> Outcome:
    outcome = Outcome()
    with progress(len(sources), "scoring") as begin:
        for number, source in enumerate(sources):
            begin(source.name)
            try:
                record = score_one(
                    source,
                    request,
                    report,
                    depth_path=maps["--depth-map"][number],
                    fuse_path=maps["--fuse"][number],
                )
            except FIELD_FAULTS as error:
                outcome.fail(path_of(source), error, debug=request.debug)
            else:
                outcome.records.append(record)
    return outcome


def _header(request: ScoreRequest, outcome: Outcome) -> ReportHeader:
    import shlex
    from datetime import datetime

    from parfocal import __version__

    given = {k: v for k, v in request.opening.items() if v not in (None, False)}
    settings = {"measure": request.measure, "device": request.device}
    settings |= {key: str(value) for key, value in given.items()}
    if request.region is not None:
        top, bottom, left, right = request.region
        settings["region"] = f"y {top}:{bottom}, x {left}:{right} px"
    if request.tile_px is not None:
        settings["tile_px"] = str(request.tile_px)
    return ReportHeader(
        title="Focus report",
        date=datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"),
        version=__version__,
        command=shlex.join(["parfocal", *sys.argv[1:]]),
        settings=settings,
        introduction=tally(outcome.records) if outcome.records else "No field could be scored.",
    )


def _hand_over(request: ScoreRequest, outcome: Outcome, report: Report | None) -> None:
    if report is not None and request.report is not None:
        write_text(request.report, report.page(_header(request, outcome), failed=outcome.failed))
    text = None
    if request.form == "json":
        text = json_text(outcome.records, outcome.failed)
    elif request.form == "csv":
        text = csv_text(outcome.records)
    if text is not None and request.output is None:
        typer.echo(text, nl=False)
        return
    if text is not None and request.output is not None:
        write_text(request.output, text)
    from rich.console import Console

    if outcome.records:
        console = Console()
        print_table(outcome.records, console)
    for place in (request.output, request.report, request.depth_map, request.fuse):
        if place is not None and place.exists():
            typer.echo(printable(f"wrote {place}"))


def found_stacks(inputs: Sequence[str], **opening: Any) -> list[StackSource]:
    """The stacks among the inputs; CallError if no input names anything at all."""
    try:
        sources = find_stacks(inputs, **opening)
    except InputError as error:
        raise CallError(str(error)) from error
    absent = [source.fault for source in sources if source.fault and not source.paths]
    named = {source.name for source in sources}
    if not sources:
        raise CallError(f"no focal stack among: {', '.join(inputs)}.")
    if len(absent) == len(sources) and named <= set(inputs):
        raise CallError(" ".join(str(fault) for fault in absent))
    return sources


def run_score(request: ScoreRequest) -> int:
    """Do what ``parfocal score`` was asked; return the exit status."""
    _check_call(request)
    sources = found_stacks(request.inputs, **request.opening)
    maps = {
        "--depth-map": _map_paths(sources, request.depth_map, "--depth-map", "depth"),
        "--fuse": _map_paths(sources, request.fuse, "--fuse", "fused"),
    }
    _check_outputs(request, maps, [path for source in sources for path in source.paths])
    report = Report(total=len(sources)) if request.report is not None else None
    _say_left_out(sources)
    outcome = _score_all(sources, request, report, maps)
    _say_incomplete_optics(outcome.records)
    _hand_over(request, outcome, report)
    return SOME_FAILED if outcome.failed else DONE
