"""The part of the demonstration that predicts: pairs of images of a simulated microscope."""

from __future__ import annotations

import numpy as np
import typer
from rich.console import Console

from parfocal.cli.predict_tables import print_table
from parfocal.core.errors import InputError
from parfocal.evaluate.defocus_fields import DefocusRecord
from parfocal.evaluate.defocus_page import DefocusPage
from parfocal.predict.checks import effective_depth_um
from parfocal.predict.loading import DEFAULT_MODEL, Predictor, load
from parfocal.simulate.microscope import VirtualMicroscope

WORLD, SEED = "fluorescence-20x", 1
AT_DEPTHS = (-5.0, -2.0, 0.0, 3.0)
"""Where the first images are taken, in effective depths of field above focus."""
APART_DEPTHS = 1.25


class Predictions:
    """Pairs of images predicted, their table and their chapter; without a network it says so."""

    def __init__(self) -> None:
        self.records: list[DefocusRecord] = []
        self.why_not = ""
        self._page = DefocusPage()

    def make(self, model: str = DEFAULT_MODEL) -> None:
        """Take pairs of images at known defocus, and predict from them."""
        try:
            predictor = load(model)
        except InputError as error:
            self.why_not = str(error)
            return
        self._page = DefocusPage(predictor.card)
        for depths in AT_DEPTHS:
            record, image = predicted_at(predictor, depths)
            self.records.append(record)
            self._page.add(record, image)

    def show(self) -> None:
        """Print one row a pair, or why there is none."""
        typer.echo("")
        if self.why_not:
            typer.echo(f"no prediction: {self.why_not}")
        else:
            print_table(self.records, Console())

    def chapter(self) -> str:
        """All pairs as a chapter of the page."""
        title = "<h2>Defocus predicted from two images</h2>"
        if self.why_not:
            return f"{title}<p>No trained network is installed, so nothing was predicted.</p>"
        return (
            f"{title}<p>{WORLD}, seed {SEED}: two images, {APART_DEPTHS:g} effective depths of "
            "field apart, at a known distance from focus. The network was trained on simulated "
            f"optics and is told neither the specimen nor the distance.</p>{self._page.body()}"
        )


def predicted_at(
    predictor: Predictor, depths: float
) -> tuple[DefocusRecord, np.ndarray[tuple[int, ...], np.dtype[np.float64]]]:
    """Predict from two images of the simulated microscope, the first at a known defocus."""
    scope = VirtualMicroscope(WORLD, seed=SEED)
    depth_um, focus_um = effective_depth_um(scope.setup), scope.truth.focus_um()
    images, z_um = [], []
    for step in (0.0, APART_DEPTHS):
        scope.move_to_um(focus_um + (depths + step) * depth_um)
        images.append(np.asarray(scope.snap(), dtype=np.float64))
        z_um.append(scope.position_um())
    estimate = predictor.predict(np.stack(images), spacing_um=z_um[1] - z_um[0], setup=scope.setup)
    record = DefocusRecord(
        name=f"{depths:+z.1f} depths",
        source=f"simulated {WORLD}, seed {SEED}",
        estimate=estimate,
        planes=(0, 1),
        z_um=tuple(z_um),
        shape=(images[0].shape[0], images[0].shape[1]),
        setup=scope.setup,
        known_um=z_um[0] - focus_um,
    )
    return record, images[0]
