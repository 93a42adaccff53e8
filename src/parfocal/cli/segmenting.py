"""Segment every input of one call, one after the other, and hand the results on."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

import typer
from rich.console import Console

from parfocal import __version__
from parfocal.cli.exits import DONE, SOME_FAILED, CallError
from parfocal.cli.outputs import write_text
from parfocal.cli.printable import printable
from parfocal.cli.progress import progress
from parfocal.cli.scoring import FIELD_FAULTS, Outcome, found_stacks, path_of
from parfocal.cli.segment_outputs import Places, check_outputs, name_outputs, write_parts
from parfocal.cli.segment_request import SegmentRequest
from parfocal.cli.segment_tables import csv_text, json_text, print_table, tally
from parfocal.core.device import pick_device
from parfocal.core.errors import InputError, UnknownNameError
from parfocal.core.masks import FocusMasks
from parfocal.core.stack import FocalStack
from parfocal.evaluate.segment_fields import SegmentRecord, segment_record
from parfocal.evaluate.segment_page import SegmentPage
from parfocal.evaluate.sheet import ReportHeader
from parfocal.io.finding import StackSource
from parfocal.measures.catalog import find_measure
from parfocal.models.card import ModelCard
from parfocal.segment.labels import LEAST_VOXELS, FocusLabels, label_volume
from parfocal.segment.thresholds import find_threshold
from parfocal.segment.weak_labels import PERS, weak_labels

FindMasks = Callable[[FocalStack], FocusMasks]


@dataclass(kw_only=True, eq=False)
class _Run:
    """One call: what was asked, and what came of all inputs so far."""

    request: SegmentRequest
    find: FindMasks
    card: ModelCard | None
    page: SegmentPage | None
    records: list[SegmentRecord] = field(default_factory=list)
    faults: Outcome = field(default_factory=Outcome)

    def segment(self, source: StackSource, places: Places) -> None:
        """Find the masks of one stack, write what is made of them, and draw them."""
        stack, request = source.open(), self.request
        masks = self.find(stack)
        labels: FocusLabels | None = None
        files: tuple[str, ...] = ()
        if masks.found:
            if "labels" in places:
                labels = label_volume(masks, least_voxels=request.least_voxels or LEAST_VOXELS)
            files = write_parts(places, stack, masks, labels, overwrite=request.overwrite)
        record = segment_record(stack, masks, well=source.well, labels=labels, files=files)
        if self.page is not None:
            self.page.add(record, stack, masks)
        self.records.append(record)


def rule_of(request: SegmentRequest) -> FindMasks:
    """The rule that was asked for."""
    options: dict[str, Any] = {"per": request.per}
    if request.threshold is not None:
        options["threshold"] = request.threshold
    if request.window_px:
        options["window_px"] = request.window_px
    measures = request.measures
    chosen = measures[0] if len(measures) == 1 else measures
    return partial(weak_labels, measure=chosen, device=request.device, **options)


def network_of(request: SegmentRequest) -> tuple[FindMasks, ModelCard]:
    """The network that was asked for, loaded once for all fields."""
    # Here, so that a rule needs no room of models.
    from parfocal.segment.in_focus import in_focus, load

    try:
        segmenter = load(request.model, device=request.device)
    except InputError as error:
        raise CallError(f"--model {request.model}: {error}") from error
    threshold = request.threshold if isinstance(request.threshold, float) else None
    find = partial(in_focus, model=segmenter, threshold=threshold, device=request.device)
    return find, segmenter.card


def _check_call(request: SegmentRequest) -> None:
    """Raise CallError for all that can be known to be wrong before any file is read."""
    try:
        pick_device(request.device)
        for name in request.measures:
            find_measure(name)
        if isinstance(request.threshold, str):
            find_threshold(request.threshold)
        if request.per is not None and request.per not in PERS:
            raise UnknownNameError("--per", request.per, PERS)
    except InputError as error:
        raise CallError(str(error)) from error


def run_segment(request: SegmentRequest) -> int:
    """Do what ``parfocal segment`` was asked; return the exit status."""
    _check_call(request)
    find, card = network_of(request) if request.method == "network" else (rule_of(request), None)
    sources = found_stacks(request.inputs, **request.opening)
    places = name_outputs(request, sources)
    check_outputs(request, places, sources)
    page = None if request.report is None else SegmentPage()
    run = _Run(request=request, find=find, card=card, page=page)
    with progress(len(sources), "segmenting") as begin:
        for source, row in zip(sources, places, strict=True):
            begin(source.name)
            try:
                run.segment(source, row)
            except FIELD_FAULTS as error:
                run.faults.fail(path_of(source), error, debug=request.debug)
    _hand_over(run)
    return SOME_FAILED if run.faults.failed else DONE


def _hand_over(run: _Run) -> None:
    """Write and print what was asked for."""
    request, faults = run.request, run.faults.failed
    if run.page is not None and request.report is not None:
        write_text(request.report, run.page.page(_header(run), failed=faults))
    text = None
    if request.form == "json":
        text = json_text(run.records, faults, run.card)
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


def _say_written(request: SegmentRequest, records: Sequence[SegmentRecord]) -> None:
    count = sum(len(record.files) for record in records)
    if request.out is not None and count:
        typer.echo(printable(f"wrote {count} files to {request.out}"))
    for place in (request.output, request.report):
        if place is not None and place.exists():
            typer.echo(printable(f"wrote {place}"))


def _header(run: _Run) -> ReportHeader:
    request = run.request
    given = {k: v for k, v in request.opening.items() if v not in (None, False)}
    settings = {"method": request.method}
    if request.method == "network":
        settings["model"] = request.model
    else:
        settings["measure"] = ", ".join(request.measures)
    if request.threshold is not None:
        settings["threshold"] = str(request.threshold)
    settings |= {"device": request.device, **{key: str(value) for key, value in given.items()}}
    words = tally(run.records) if run.records else "No field could be segmented."
    return ReportHeader(
        title="What is in focus",
        date=datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"),
        version=__version__,
        command=shlex.join(["parfocal", *sys.argv[1:]]),
        settings=settings,
        introduction=words,
    )
