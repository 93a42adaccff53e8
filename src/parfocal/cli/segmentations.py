"""The part of the demonstration that segments: a thick simulated specimen, by rule and network."""

from __future__ import annotations

import typer
from rich.console import Console

from parfocal.cli.segment_tables import print_table
from parfocal.core.errors import InputError
from parfocal.core.masks import FocusMasks
from parfocal.core.stack import FocalStack
from parfocal.evaluate.segment_fields import SegmentRecord, segment_record
from parfocal.evaluate.segment_page import SegmentPage
from parfocal.segment.in_focus import DEFAULT_MODEL, in_focus, load
from parfocal.segment.weak_labels import weak_labels
from parfocal.simulate.presets import load_recipe
from parfocal.simulate.stacks import SimulatedStack, simulate_stack

PRESET, SEED, SIZE_PX = "li2023", 1, 256


class Segmentations:
    """Pixels in focus by rule and by network, their table and their chapter."""

    def __init__(self) -> None:
        self.records: list[SegmentRecord] = []
        self.why_not = ""
        self._agreements: list[tuple[str, float]] = []
        self._page = SegmentPage()

    def make(self, model: str = DEFAULT_MODEL) -> None:
        """Simulate a stack whose pixels in focus are known, and find them."""
        made = simulate_stack(load_recipe(PRESET, size_px=SIZE_PX), seed=SEED)
        self._add("by rule", made, weak_labels(made.stack))
        try:
            segmenter = load(model)
        except InputError as error:
            self.why_not = str(error)
            return
        self._add("by network", made, in_focus(made.stack, model=segmenter))

    def show(self) -> None:
        """Print one row a way."""
        typer.echo("")
        print_table(self.records, Console())
        if self.why_not:
            typer.echo(f"no network segmented: {self.why_not}")
        typer.echo(self._truth())

    def chapter(self) -> str:
        """Both ways as a chapter of the page."""
        return (
            "<h2>Pixels in focus in a thick specimen</h2>"
            f"<p>{PRESET}, seed {SEED}: nuclei packed through 100 µm. {self._truth()}</p>"
            f"{self._page.body()}"
        )

    def _truth(self) -> str:
        said = ", ".join(f"{100 * value:.0f} % {way}" for way, value in self._agreements)
        return f"Overlap (intersection over union) with the simulated truth: {said}."

    def _add(self, way: str, made: SimulatedStack, masks: FocusMasks) -> None:
        whole = made.stack
        stack = FocalStack.of(
            whole.read_counts(), z_um=whole.z_um, setup=whole.setup, name=f"{PRESET} {way}"
        )
        record = segment_record(stack, masks)
        self.records.append(record)
        self._page.add(record, stack, masks)
        either = int((masks.masks | made.in_focus).sum())
        self._agreements.append((way, int((masks.masks & made.in_focus).sum()) / max(1, either)))
