"""All tables of the Li 2021 benchmark: methods by kind of scene, confusions, spacings, classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from parfocal.evaluate.li2021 import (
    Answers,
    Cases,
    Confusions,
    Ratio,
    Score,
    confusion,
    error_ratio,
    score_fields,
    score_patches,
    sum_up,
)
from parfocal.simulate.sheet_scenes import UNSEEN

BEST_CLASSICAL = "DCTS"
PUBLISHED = {
    "DCTS": (5.36, 3.80, None),
    "DCTS as published": (5.36, 3.80, None),
    "TENV": (6.40, None, None),
    "BREN": (8.46, None, None),
    "WAVV": (11.31, None, None),
    "VARS": (12.26, None, None),
    "LAPV": (18.86, None, None),
    "Li 2021": (4.84, 3.80, 3.67),
}
"""The paper's mean |error| on its own stacks: single patch, 3 x 3, 3 x 3 of certain patches."""
TARGET_RATIO = 0.6
FAR_UM = (0.0, 9.0, 21.0, 40.0)
"""Borders of the groups by distance from focus: between class centres."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One method on one kind of scene."""

    group: str
    method: str
    images: int
    patch: Score
    field: Score


@dataclass(frozen=True, kw_only=True)
class RatioRow:
    """One method's mean |error| over that of DCTS with 13 images, on the same single patches.

    ``every`` on all patches, ``certain`` on those that the method keeps.
    """

    group: str
    method: str
    every: Ratio | None
    certain: Ratio | None


@dataclass(frozen=True, eq=False, kw_only=True)
class StudyRow:
    """One network of the studies on all scenes of seen tissues.

    ``answers_um`` are the classes' centres; ``matrix`` has a row for each true class.
    """

    name: str
    images: int
    spacing_um: float
    classes: int
    mean_um: float
    summary: Confusions
    matrix: Int[np.ndarray, "c c"]
    classes_um: Float[np.ndarray, " c"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Benchmark:
    """Everything that the benchmark found.

    Parameters
    ----------
    scenes, cases
        How many.
    rows, ratios, studies
        The tables.
    facts
        What was trained and tested, for the reader: sentences.
    """

    scenes: int
    cases: int
    rows: tuple[Row, ...]
    ratios: tuple[RatioRow, ...]
    studies: tuple[StudyRow, ...]
    facts: tuple[str, ...] = field(default=())

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        studies = []
        for row in self.studies:
            values = {key: value for key, value in vars(row).items() if key != "summary"}
            values |= {"matrix": row.matrix.tolist(), "classes_um": row.classes_um.tolist()}
            studies.append(values | {"summary": asdict(row.summary)})
        return {
            "scenes": self.scenes,
            "cases": self.cases,
            "rows": [asdict(row) for row in self.rows],
            "ratios": [asdict(row) for row in self.ratios],
            "studies": studies,
            "published_um": {name: list(values) for name, values in PUBLISHED.items()},
            "facts": list(self.facts),
        }


def kinds_of(cases: Cases) -> dict[str, Bool[np.ndarray, " k"]]:
    """Cases by kind of scene: 3-D or flat, of tissues that were trained on or not; none empty."""
    seen = sorted({scene.tissue for scene in cases.scenes} - {UNSEEN})
    groups = {}
    for is_flat, word in ((False, "3-D"), (True, "flat")):
        groups[f"{word}, seen tissues"] = cases.where(is_flat=is_flat, tissues=seen)
        groups[f"{word}, unseen tissue"] = cases.where(is_flat=is_flat, tissues=(UNSEEN,))
        groups[f"{word}, all"] = cases.where(is_flat=is_flat)
    return {name: which for name, which in groups.items() if which.any()}


def far_and_near(cases: Cases) -> dict[str, Bool[np.ndarray, " k"]]:
    """Cases of 3-D scenes by how far the first image is from focus; none empty."""
    size, thick = np.abs(cases.truth_um), cases.where(is_flat=False)
    groups = {
        f"3-D, {low:g} to {high:g} um from focus": thick & (size >= low) & (size < high)
        for low, high in pairwise(FAR_UM)
    }
    return {name: which for name, which in groups.items() if which.any()}


def compare(
    methods: Sequence[Answers], cases: Cases, *, certain_of: str, networks: Sequence[str]
) -> tuple[tuple[Row, ...], tuple[RatioRow, ...]]:
    """Score every method on every kind of scene, and set the networks beside DCTS.

    Parameters
    ----------
    methods
        Answers of each, DCTS among them.
    cases
        What was asked.
    certain_of
        The network whose certain patches and fields the measures are scored on too: a measure
        has no certainty of its own.
    networks
        Names of the methods that have one.
    """
    known = {answers.name: answers for answers in methods}
    chooser, dcts = known[certain_of], known[BEST_CLASSICAL]
    rows, ratios = [], []
    for group, which in kinds_of(cases).items():
        for answers in methods:
            own = answers.name in networks
            rows.append(
                Row(
                    group=group,
                    method=answers.name,
                    images=answers.images,
                    patch=score_patches(answers, cases, which, None if own else chooser.is_certain),
                    field=score_fields(answers, cases, which, None if own else chooser.is_found),
                )
            )
    for group, which in {**kinds_of(cases), **far_and_near(cases)}.items():
        for name in networks:
            mine = known[name]
            every = error_ratio(mine, dcts, cases, which)
            certain = error_ratio(mine, dcts, cases, which, kept=mine.is_certain)
            ratios.append(RatioRow(group=group, method=name, every=every, certain=certain))
    return tuple(rows), tuple(ratios)


def study_row(
    answers: Answers, cases: Cases, *, classes_um: Float[np.ndarray, " c"], spacing_um: float
) -> StudyRow:
    """Confusions and mean |error| of one network, by single patches of seen tissues."""
    which = cases.where(tissues=sorted({s.tissue for s in cases.scenes} - {UNSEEN}))
    chosen = np.flatnonzero(which)
    some = Answers(
        name=answers.name,
        images=answers.images,
        patches_um=answers.patches_um[chosen],
        is_certain=answers.is_certain[chosen],
        field_um=answers.field_um[chosen],
        certain_field_um=answers.certain_field_um[chosen],
    )
    asked = Cases(
        scenes=cases.scenes,
        scene=cases.scene[chosen],
        plane=cases.plane[chosen],
        truth_um=cases.truth_um[chosen],
        level_um=cases.level_um[chosen],
    )
    matrix = confusion(some, asked, classes_um)
    return StudyRow(
        name=answers.name,
        images=answers.images,
        spacing_um=spacing_um,
        classes=len(classes_um),
        mean_um=float(np.abs(some.patches_um - asked.truth_um[:, None]).mean()),
        summary=sum_up(matrix),
        matrix=matrix,
        classes_um=classes_um,
    )
