"""Refocus every input of one call, one after the other, and hand the results on."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

import typer
from rich.console import Console

from parfocal import __version__
from parfocal.cli.exits import DONE, SOME_FAILED, CallError
from parfocal.cli.outputs import write_text
from parfocal.cli.printable import printable
from parfocal.cli.progress import progress
from parfocal.cli.refocus_distance import Chosen, choose, has_network
from parfocal.cli.refocus_outputs import MARK, check_outputs, name_outputs, raw_inputs
from parfocal.cli.refocus_request import NETWORK, RefocusRequest
from parfocal.cli.refocus_tables import csv_text, json_text, print_table, tally
from parfocal.cli.scoring import FIELD_FAULTS, Outcome, found_stacks, path_of
from parfocal.cli.short_stacks import optics_of
from parfocal.core.device import pick_device
from parfocal.core.errors import InputError
from parfocal.core.stack import FocalStack
from parfocal.evaluate.refocus_fields import RefocusRecord
from parfocal.evaluate.refocus_page import RefocusPage
from parfocal.evaluate.sheet import ReportHeader
from parfocal.io.finding import StackSource
from parfocal.io.opening import open_stack
from parfocal.io.unfinished import unfinished_folder
from parfocal.refocus.asking import RefocusSettings
from parfocal.refocus.blind import DEFAULT_MODEL, load_refocuser
from parfocal.refocus.filing import RefocusedFile
from parfocal.refocus.tiled import steps_of, to_file


@dataclass(kw_only=True, eq=False)
class _Run:
    """One call: what was asked, and what came of all inputs so far."""

    request: RefocusRequest
    page: RefocusPage | None
    records: list[RefocusRecord] = field(default_factory=list)
    faults: Outcome = field(default_factory=Outcome)

    def refocus(self, source: StackSource, place: Path, what: str) -> None:
        """Refocus one image, write it, and draw it."""
        stack = source.open()
        plane = _plane_of(stack, self.request)
        setup = optics_of(stack)
        chosen = choose(self.request, stack, plane)
        one = replace(stack, images=stack.images[plane : plane + 1, :, :],
                      z_um=stack.z_um[plane : plane + 1])  # fmt: skip
        made = self._made(one, chosen, place, what)
        record = RefocusRecord(
            name=stack.name, source=stack.source, made=made, shape=stack.shape[1:], plane=plane,
            planes=stack.shape[0], told_by=chosen.told_by, setup=setup, well=source.well,
            channel=stack.channel, modality=stack.modality, notes=stack.notes,
        )  # fmt: skip
        if self.page is not None:
            images = [open_stack(path).images for path in made.paths]
            self.page.add(record, one.images, *images)
        self.records.append(record)

    def _made(self, one: FocalStack, chosen: Chosen, place: Path, what: str) -> RefocusedFile:
        if chosen.refusal is not None:
            status, reason = chosen.refusal
            return RefocusedFile(status=status, reason=reason, method=chosen.method)
        request = self.request
        ceiling = request.saturation_counts
        how = RefocusSettings(
            method=chosen.method, model=request.model,
            interval_um=chosen.interval_um, iterations=request.iterations,
            background=request.background, spherical_waves=request.spherical_waves,
            untrusted=request.untrusted,
            saturation_counts=one.saturation_counts if ceiling is None else ceiling,
        )  # fmt: skip
        with progress(steps_of(one.shape[1:]), what) as begin:
            return to_file(
                one, place, how, defocus_um=chosen.defocus_um, surface_um=chosen.surface_um,
                device=request.device, overwrite=request.overwrite, begin=begin,
            )  # fmt: skip


def _plane_of(stack: FocalStack, request: RefocusRequest) -> int:
    """The plane that was asked for; of a stack of several it must be."""
    count = stack.shape[0]
    if request.plane is None:
        if count > 1:
            raise InputError(f"holds {count} planes: say which to refocus with --plane.")
        return 0
    if request.plane >= count:
        raise InputError(f"has planes 0 to {count - 1}, and no plane {request.plane} (--plane).")
    return request.plane


def _check_call(request: RefocusRequest) -> None:
    """Raise CallError for all that can be known to be wrong before any file is read."""
    try:
        pick_device(request.device)
        if request.surface is None and (request.method == NETWORK or request.model is not None):
            load_refocuser(request.model or DEFAULT_MODEL, device=request.device)
    except InputError as error:
        model = request.model or DEFAULT_MODEL
        raise CallError(
            str(error) if "device" in str(error).casefold() else f"--model {model}: {error}"
        ) from error


def run_refocus(request: RefocusRequest) -> int:
    """Do what ``parfocal refocus`` was asked; return the exit status."""
    _check_call(request)
    sources, before = raw_inputs(found_stacks(request.inputs, **request.opening), request.inputs)
    if before:
        typer.echo(f"parfocal: left out {before} files of earlier runs (*{MARK}*).", err=True)
    if not sources:
        raise CallError("there is nothing to refocus but what earlier runs wrote; name an image.")
    places = name_outputs(request, sources)
    check_outputs(request, places, sources)
    run = _Run(request=request, page=None if request.report is None else RefocusPage())
    for number, (source, place) in enumerate(zip(sources, places, strict=True), start=1):
        what = "refocusing" if len(sources) == 1 else f"refocusing {number} of {len(sources)}"
        try:
            run.refocus(source, place, what)
        except FIELD_FAULTS as error:
            run.faults.fail(path_of(source), error, debug=request.debug)
        except KeyboardInterrupt:
            _say_kept(place)
            raise
    _hand_over(run)
    return SOME_FAILED if run.faults.failed else DONE


def _say_kept(place: Path) -> None:
    """Name what an interrupted run keeps."""
    kept = unfinished_folder(place)
    if kept.is_dir():
        sys.stderr.write(
            f"parfocal: finished blocks are kept in {printable(str(kept))}; the same command goes "
            "on from there.\n"
        )


def _hand_over(run: _Run) -> None:
    """Write and print what was asked for."""
    request, faults = run.request, run.faults.failed
    if run.page is not None and request.report is not None:
        write_text(request.report, run.page.page(_header(run), failed=faults))
    text = None
    if request.form == "json":
        text = json_text(run.records, faults)
    elif request.form == "csv":
        text = csv_text(run.records)
    if text is not None and request.output is None:
        typer.echo(text, nl=False)
        return
    if text is not None and request.output is not None:
        write_text(request.output, text)
    if run.records:
        print_table(run.records, Console())
    _say_written(request, run.records)


def _say_written(request: RefocusRequest, records: Sequence[RefocusRecord]) -> None:
    written = [path for record in records for path in record.made.paths]
    if len(written) <= 2:
        for path in written:
            typer.echo(printable(f"wrote {path}"))
    elif written:
        typer.echo(printable(f"wrote {len(written)} files to {request.out}"))
    for place in (request.output, request.report):
        if place is not None and place.exists():
            typer.echo(printable(f"wrote {place}"))


def _header(run: _Run) -> ReportHeader:
    request = run.request
    quiet = (None, False)
    given = {k: v for k, v in request.opening.items() if v not in quiet}
    given = {k: v for k, v in given.items() if k not in ("singly", "z_in_planes")}
    names = (
        "plane", "model", "defocus_um", "interval_um", "surface", "iterations", "background",
        "spherical_waves",
    )  # fmt: skip
    settings = {"method": request.method, "untrusted pixels": request.untrusted}
    settings |= {
        name: str(getattr(request, name)) for name in names if getattr(request, name) is not None
    }
    settings |= {"device": request.device, **{key: str(value) for key, value in given.items()}}
    words = tally(run.records) if run.records else "No image could be refocused."
    if request.method != NETWORK and not has_network(request):
        settings["network"] = "none installed"
    return ReportHeader(
        title="Refocused images",
        date=datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"),
        version=__version__,
        command=shlex.join(["parfocal", *sys.argv[1:]]),
        settings=settings,
        introduction=words,
    )
