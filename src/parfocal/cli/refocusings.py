"""The part of the demonstration that refocuses: single images of a simulated specimen."""

from __future__ import annotations

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console

from parfocal.cli.refocus_tables import print_table
from parfocal.core.errors import InputError
from parfocal.core.results import Refocused
from parfocal.core.setup import OpticalSetup
from parfocal.evaluate.refocus_fields import RefocusRecord
from parfocal.evaluate.refocus_page import RefocusPage
from parfocal.refocus.blind import DEFAULT_MODEL, blind
from parfocal.refocus.filing import RefocusedFile
from parfocal.simulate.presets import load_recipe
from parfocal.simulate.stacks import simulate_stack

PRESET, SEED, SIZE_PX = "luo2020", 1, 256
AT_DEPTHS = (0.0, 1.0, 2.0, 3.0)
"""Depths of field above focus at which the images are taken."""


class Refocusings:
    """Images at known distances brought into focus, their table and their chapter."""

    def __init__(self) -> None:
        self.records: list[RefocusRecord] = []
        self.why_not = ""
        self._page = RefocusPage()

    def make(self, model: str = DEFAULT_MODEL) -> None:
        """Simulate images at known distances from focus, and refocus each blindly."""
        recipe = load_recipe(PRESET, size_px=SIZE_PX, focus_um=0.0, planes=1)
        for depths in AT_DEPTHS:
            z_um = depths * recipe.setup.depth_of_field_um
            made = simulate_stack(recipe.model_copy(update={"z_start_um": z_um}), seed=SEED)
            image = made.counts.astype(np.float32)
            try:
                result = blind(image[0], setup=recipe.setup, model=model)
            except InputError as error:
                self.why_not = str(error)
                return
            self._add(f"{depths:+z.1f} depths", image, result, recipe.setup)

    def show(self) -> None:
        """Print one row an image, or why there is none."""
        typer.echo("")
        if self.why_not:
            typer.echo(f"nothing refocused: {self.why_not}")
        else:
            print_table(self.records, Console())

    def chapter(self) -> str:
        """All images as a chapter of the page."""
        title = "<h2>Blurred images brought into focus</h2>"
        if self.why_not:
            return f"{title}<p>No trained network is installed, so nothing was refocused.</p>"
        return (
            f"{title}<p>{PRESET}, seed {SEED}: mitochondria at known distances from focus, each "
            "from one image alone; the network is not told the distance.</p>"
            f"{self._page.body()}"
        )

    def _add(
        self, name: str, image: NDArray[np.float32], result: Refocused, setup: OpticalSetup
    ) -> None:
        made = RefocusedFile(
            status=result.status, reason=result.reason, method=result.method,
            verdict=result.verdict, flux=result.flux, defocus_um=result.defocus_um,
            interval_um=result.interval_um, trust=float(result.trust.mean()), card=result.card,
            provenance=result.provenance, warnings=result.warnings,
        )  # fmt: skip
        record = RefocusRecord(
            name=name, source=f"simulated {PRESET}, seed {SEED}", made=made,
            shape=(image.shape[1], image.shape[2]), setup=setup,
        )  # fmt: skip
        self.records.append(record)
        parts = () if result.image is None else (result.image[None], result.trust[None])
        self._page.add(record, image, *parts)
