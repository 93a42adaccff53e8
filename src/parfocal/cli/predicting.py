"""Predict every input of one call, one after the other, and hand the results on."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
import typer
from rich.console import Console

from parfocal import __version__
from parfocal.cli.exits import DONE, SOME_FAILED, CallError
from parfocal.cli.outputs import check_apart, check_output, write_text
from parfocal.cli.predict_request import PredictRequest
from parfocal.cli.predict_tables import (
    csv_text,
    json_text,
    print_table,
    scale_text,
    score_text,
    tally,
)
from parfocal.cli.printable import printable
from parfocal.cli.progress import progress
from parfocal.cli.scoring import FIELD_FAULTS, Outcome, found_stacks, path_of
from parfocal.cli.short_stacks import chosen_planes, every_pair, optics_of, spacing_of
from parfocal.core.errors import InputError
from parfocal.core.results import FocusEstimate
from parfocal.core.stack import FocalStack
from parfocal.evaluate.defocus_fields import DefocusRecord
from parfocal.evaluate.defocus_page import DefocusPage
from parfocal.evaluate.defocus_trials import DefocusTrial, score_trials
from parfocal.evaluate.sheet import ReportHeader
from parfocal.io.finding import StackSource
from parfocal.predict.aperture import agrees, fit_aperture, stage_scale
from parfocal.predict.checks import effective_depth_um
from parfocal.predict.loading import Predictor, find_predictor, load
from parfocal.score.plane import best_focus


@dataclass(kw_only=True, eq=False)
class _Run:
    """One call: what was asked, what answers, and what came of all inputs so far."""

    request: PredictRequest
    predictor: Predictor
    page: DefocusPage | None
    records: list[DefocusRecord] = field(default_factory=list)
    scores: list[str] = field(default_factory=list)
    faults: Outcome = field(default_factory=Outcome)

    def predict(self, source: StackSource) -> None:
        """Predict from one stack: once, or for each pair beside the focus that it shows."""
        stack = source.open()
        setup = optics_of(stack)
        if not self.request.every_pair:
            self.ask(stack, chosen_planes(stack, self.request.planes), source)
            return
        best = best_focus(stack)
        images = find_predictor(self.predictor.card).images
        pairs = every_pair(stack, effective_depth_um(setup), images)
        records = [self.ask(stack, planes, source, focus_um=best.z_um) for planes in pairs]
        self.scores.append(_scored(stack, best, records))
        if images > 1:
            self.scores += self._scaled(stack, records)

    def _scaled(self, stack: FocalStack, records: Sequence[DefocusRecord]) -> list[str]:
        """A line where the answers do not move as the stage did."""
        setup = optics_of(stack)
        answers = [
            (record.z_um[0], record.estimate.defocus_um)
            for record in records
            if record.estimate.defocus_um is not None
        ]
        places, defocus_um = ([each[k] for each in answers] for k in (0, 1))
        scale = stage_scale(places, defocus_um, depth_um=effective_depth_um(setup))
        if scale is None or agrees(scale):
            return []
        fit = fit_aperture(
            self.predictor,
            _Planes(stack, *_area(stack, self.request)),
            np.asarray(stack.z_um, dtype=float),
            setup=setup,
            pairs=[(record.planes[0], record.planes[-1]) for record in records],
        )
        return [] if fit is None or fit.agrees else [scale_text(stack.name, fit, setup.na)]

    def ask(
        self,
        stack: FocalStack,
        planes: Sequence[int],
        source: StackSource,
        *,
        focus_um: float | None = None,
    ) -> DefocusRecord:
        """Predict from some planes, keep the answer and draw it."""
        setup, spacing_um = optics_of(stack), spacing_of(stack, planes)
        rows, columns = _area(stack, self.request)
        images = np.stack([stack.read_counts(plane, rows, columns) for plane in planes])
        z_um = tuple(float(stack.z_um[plane]) for plane in planes)
        record = DefocusRecord(
            name=stack.name,
            source=stack.source,
            well=source.well,
            estimate=self.predictor.predict(
                images,
                spacing_um=spacing_um,
                setup=setup,
                saturation_counts=self.request.saturation_counts,
            ),
            planes=tuple(planes),
            z_um=z_um,
            shape=(images.shape[1], images.shape[2]),
            setup=setup,
            channel=stack.channel,
            modality=stack.modality,
            notes=stack.notes,
            known_um=None if focus_um is None else z_um[0] - focus_um,
        )
        self.records.append(record)
        if self.page is not None:
            self.page.add(record, images[0].astype(np.float64))
        return record


@dataclass(frozen=True)
class _Planes:
    """The planes of a stack, each read when it is asked for."""

    stack: FocalStack
    rows: slice
    columns: slice

    def __len__(self) -> int:
        return int(self.stack.shape[0])

    def __getitem__(self, plane: int) -> Any:
        return self.stack.read_counts(plane, self.rows, self.columns)


def run_predict(request: PredictRequest) -> int:
    """Do what ``parfocal predict`` was asked; return the exit status."""
    try:
        predictor = load(request.model, device=request.device)
    except InputError as error:
        raise CallError(f"--model {request.model}: {error}") from error
    sources = found_stacks(request.inputs, **request.opening)
    _check_outputs(request, sources)
    _say_left_out(sources)
    page = None if request.report is None else DefocusPage(predictor.card)
    run = _Run(request=request, predictor=predictor, page=page)
    with progress(len(sources), "predicting") as begin:
        for source in sources:
            begin(source.name)
            try:
                run.predict(source)
            except FIELD_FAULTS as error:
                run.faults.fail(path_of(source), error, debug=request.debug)
    _hand_over(run)
    return SOME_FAILED if run.faults.failed else DONE


def _check_outputs(request: PredictRequest, sources: Sequence[StackSource]) -> None:
    listed = {"--output": request.output, "--report": request.report}
    named = {option: path for option, path in listed.items() if path is not None}
    check_apart(named.values(), [path for source in sources for path in source.paths])
    for option, path in named.items():
        check_output(path, overwrite=request.overwrite, option=option)


def _say_left_out(sources: Sequence[StackSource]) -> None:
    """Name the single images that are left out because they lie beside stacks."""
    for source in sources:
        if source.beside:
            count = len(source.beside)
            sys.stderr.write(
                f"parfocal: {printable(str(source.beside[0].parent))}: ignored {count} single "
                f"image{'s' if count > 1 else ''} beside the stacks; --single takes every file as "
                "a field.\n"
            )


def _area(stack: FocalStack, request: PredictRequest) -> tuple[slice, slice]:
    """Rows and columns to judge."""
    _, size_y, size_x = stack.shape
    top, bottom, left, right = request.region or (0, size_y, 0, size_x)
    if bottom > size_y or right > size_x:
        raise InputError(
            f"--region ends at y {bottom}, x {right}, and the images have {size_y} x {size_x} px "
            "(y, x)."
        )
    return slice(top, bottom), slice(left, right)


def _scored(stack: FocalStack, best: FocusEstimate, records: Sequence[DefocusRecord]) -> str:
    """One line on how the predictions of a stack compare with the focus that it shows."""
    if best.z_um is None or stack.setup is None:
        return f"{stack.name}: its own focus is not known ({best.status}: {best.reason})"
    trials = [
        DefocusTrial(
            first=record.planes[0],
            second=record.planes[-1],
            truth_um=record.known_um or 0.0,
            depth_um=effective_depth_um(stack.setup),
            dof_um=stack.setup.depth_of_field_um,
            status=record.estimate.status,
            defocus_um=record.estimate.defocus_um,
            interval_um=record.estimate.interval_um,
        )
        for record in records
    ]
    focus = f"the stack's own focus is z = {best.z_um:.2f} um ({best.measure})"
    return score_text(stack.name, score_trials(trials), stack.setup.depth_of_field_um, focus)


def _hand_over(run: _Run) -> None:
    """Write and print what was asked for."""
    request, faults = run.request, run.faults.failed
    if run.page is not None and request.report is not None:
        for line in run.scores:
            run.page.remark(f"{line}.")
        write_text(request.report, run.page.page(_header(run), failed=faults))
    text = None
    if request.form == "json":
        text = json_text(run.records, faults, run.predictor.card)
    elif request.form == "csv":
        text = csv_text(run.records)
    if text is not None and request.output is None:
        typer.echo(text, nl=False)
        return
    if text is not None and request.output is not None:
        write_text(request.output, text)
    if run.records:
        print_table(run.records, Console())
    for line in run.scores:
        typer.echo(printable(line))
    for place in (request.output, request.report):
        if place is not None and place.exists():
            typer.echo(printable(f"wrote {place}"))


def _header(run: _Run) -> ReportHeader:
    given = {k: v for k, v in run.request.opening.items() if v not in (None, False)}
    settings = {"model": run.predictor.name, "device": run.request.device}
    settings |= {key: str(value) for key, value in given.items()}
    words = tally(run.records) if run.records else "No field could be predicted."
    return ReportHeader(
        title="Defocus report",
        date=datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"),
        version=__version__,
        command=shlex.join(["parfocal", *sys.argv[1:]]),
        settings=settings,
        introduction=words,
    )
