"""Fields of specimens that training never saw: they set the intervals, and measure the answers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Annotated, Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from parfocal.core.results import DefocusEstimate, Status
from parfocal.core.setup import OpticalSetup
from parfocal.predict.pair_predictor import PairPredictor
from parfocal.predict.posterior import centre, spread
from parfocal.simulate.batches import FieldBatch, FieldBatches
from parfocal.simulate.clear_fields import ClearFields

UNSEEN = ("neurites", "hair_cells", "dense_tissue", "nematode")
"""Specimens of families that no recipe trains on."""
UNSEEN_CLEAR = ("phase_cells", "blood_smear", "tissue_section")
"""Specimens by transmitted light, which must be declined; likewise."""
BATCH = 8
MOST_SPHERICAL = 0.2
"""Waves; beyond, a point is about equally sharp in two planes, and no one focus is right."""


class HeldOut(BaseModel):
    """Which fields set the intervals and measure the answers.

    Parameters
    ----------
    objects
        Rows of ``SPECIMENS``, of families that training never saw.
    clear_objects
        Rows of ``SPECIMENS`` that are imaged by transmitted light, and must be declined.
    fields
        Fields of each, once for the calibration and once, others, for the measurement.
    size_px
        Side of a field: several patches.
    seed
        Draws them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    objects: tuple[str, ...] = UNSEEN
    clear_objects: tuple[str, ...] = UNSEEN_CLEAR
    fields: Annotated[int, Field(ge=1)] = 200
    size_px: Annotated[int, Field(ge=64)] = 256
    seed: int = 77_000

    @property
    def total(self) -> int:
        """Fields of all kinds, for the calibration and for the measurement."""
        return 2 * self.fields * (len(self.objects) + len(self.clear_objects))


@dataclass(frozen=True, eq=False, kw_only=True)
class FieldTrials:
    """What a predictor said of fields whose truth is known; lengths in effective depths of field.

    Parameters
    ----------
    kinds, photons
        Specimen and brightness of each field.
    truth, centre, spread
        Defocus of the first image: the true one (of two layers that of the nearer to the answer),
        and mean and standard deviation of the answer.
    certainty
        Of the field; NaN where the network was not asked.
    is_found
        Whether there would be an answer if neither certainty nor evidence of transmitted light
        mattered.
    signal, fill, clear
        Facts of each field; NaN likewise.
    is_fluorescence
        Whether the field is such.
    """

    kinds: NDArray[Any]
    photons: Float[np.ndarray, " f"]
    truth: Float[np.ndarray, " f"]
    centre: Float[np.ndarray, " f"]
    spread: Float[np.ndarray, " f"]
    certainty: Float[np.ndarray, " f"]
    is_found: Bool[np.ndarray, " f"]
    signal: Float[np.ndarray, " f"]
    fill: Float[np.ndarray, " f"]
    clear: Float[np.ndarray, " f"]
    is_fluorescence: Bool[np.ndarray, " f"]

    @property
    def error(self) -> Float[np.ndarray, " f"]:
        """Answer less truth."""
        error: NDArray[Any] = self.centre - self.truth
        return error

    @property
    def is_sign_wrong(self) -> Bool[np.ndarray, " f"]:
        """Whether focus lies on the other side, by more than half a depth."""
        wrong: NDArray[Any] = np.sign(self.centre) != np.sign(self.truth)
        wrong &= np.abs(self.truth) > 0.5
        return wrong

    def answered(self, least_certainty: float, most_clear: float) -> Bool[np.ndarray, " f"]:
        """Which fields get an answer from that certainty on, up to that evidence."""
        sure: NDArray[Any] = np.nan_to_num(self.certainty, nan=-1.0) >= least_certainty
        sure &= np.nan_to_num(self.clear, nan=np.inf) <= most_clear
        sure &= self.is_found
        return sure

    def chosen(self, which: Bool[np.ndarray, " f"]) -> FieldTrials:
        """Some of the fields."""
        return FieldTrials(**{name: values[which] for name, values in vars(self).items()})


COLUMNS = (
    "kinds", "is_fluorescence", "photons", "truth", "centre", "spread", "certainty", "is_found",
    "signal", "fill", "clear",
)  # fmt: skip


def try_fields(
    predictor: PairPredictor,
    held_out: HeldOut,
    *,
    seed: int,
    on_field: Callable[[str], None] | None = None,
) -> FieldTrials:
    """Simulate pairs of fields and ask the predictor about each.

    Parameters
    ----------
    predictor
        Asked as a user would, one pair after the other.
    held_out
        Which fields.
    seed
        Draws them, beside the settings' own.
    on_field
        Called with the kind of specimen before each field.
    """
    calibration = predictor.calibration
    every: dict[str, float] = {"least_certainty": -1.0, "most_clear": math.inf}
    predictor.calibration = calibration.model_copy(update=every)
    rows: list[tuple[Any, ...]] = []
    try:
        for number, kind in enumerate((*held_out.objects, *held_out.clear_objects)):
            is_fluorescence = number < len(held_out.objects)
            draw = _source(held_out, kind, seed=1000 * seed + number, predictor=predictor)
            for fields, k in islice(_sound(draw), held_out.fields):
                if on_field is not None:
                    on_field(kind)
                rows.append((kind, is_fluorescence, *_try_field(predictor, fields, k)))
    finally:
        predictor.calibration = calibration
    columns = [np.array(column) for column in zip(*rows, strict=True)]
    return FieldTrials(**dict(zip(COLUMNS, columns, strict=True)))


def _sound(draw: Callable[[], FieldBatch]) -> Iterator[tuple[FieldBatch, int]]:
    """Fields one by one, without those whose aberration leaves focus open."""
    while True:
        fields = draw()
        for k in (fields.spherical_waves.abs() <= MOST_SPHERICAL).nonzero()[:, 0].tolist():
            yield fields, k


def _source(
    held_out: HeldOut, kind: str, *, seed: int, predictor: PairPredictor
) -> Callable[[], FieldBatch]:
    """Where fields of a specimen come from."""
    common: dict[str, Any] = {
        "size_px": held_out.size_px,
        "seed": held_out.seed + seed,
        "device": str(predictor.device),
        "reach_depths": predictor.calibration.classes_reach,
    }
    if kind in held_out.objects:
        return FieldBatches(batch=BATCH, objects=(kind,), textures=0, reuse=1, **common).draw
    return partial(ClearFields(specimen=kind, kept=held_out.fields, **common).draw, BATCH)


def _try_field(predictor: PairPredictor, fields: FieldBatch, k: int) -> tuple[float | bool, ...]:
    """The columns of one field, from its photons on."""
    setup = OpticalSetup(
        na=float(fields.na[k]),
        wavelength_nm=1000 * float(fields.wavelength_um[k]),
        pixel_um=float(fields.pixel_um[k]),
        immersion_index=float(fields.index[k]),
    )
    spacing_um = float(fields.spacing_um[k])
    guess, facts = predictor.predict_with_facts(
        fields.images[k], spacing_um=spacing_um, setup=setup
    )
    depth_um = float(fields.depth_um[k])
    mean, deviation = _moments(guess, depth_um)
    known = math.nan if guess.certainty is None else guess.certainty
    truth = _nearest_layer(fields, k, mean)
    found = guess.status == Status.FOUND
    seen = (facts.signal, facts.fill, facts.clear)
    return float(fields.photons[k]), truth, mean, deviation, known, found, *seen


def _nearest_layer(fields: FieldBatch, k: int, answer: float) -> float:
    """Defocus of the layer nearest to an answer: a field of two layers has two foci."""
    depth_um = float(fields.depth_um[k])
    first = float(fields.defocus_um[k]) / depth_um
    if float(fields.second_share[k]) == 0 or math.isnan(answer):
        return first
    second = first - float(fields.second_height_um[k]) / depth_um
    return min(first, second, key=lambda truth: abs(truth - answer))


def _moments(guess: DefocusEstimate, depth_um: float) -> tuple[float, float]:
    if guess.probabilities is None or guess.classes_um is None:
        return math.nan, math.nan
    shares, classes = torch.from_numpy(guess.probabilities), torch.from_numpy(guess.classes_um)
    return float(centre(shares, classes)) / depth_um, float(spread(shares, classes)) / depth_um
