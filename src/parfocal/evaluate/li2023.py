"""Li 2023's comparison on simulated thick specimens: masks against three truths."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool
from scipy.ndimage import binary_dilation
from torch.nn import functional

from parfocal.core.results import FocusMasks
from parfocal.core.stack import FocalStack
from parfocal.evaluate.blank_fields import BLANK_KINDS, blank_false_positives
from parfocal.segment.overlap import intersection_over_union
from parfocal.segment.ranking import axial_ranking
from parfocal.simulate.thick_scenes import UNSEEN, ThickScene

TARGETS = ("algorithmic", "true", "regions")
GROUPS = ("known", "unseen")
GAP_PX = 15
"""Structure nearer to other structure than this is one region: about two nuclei."""
PUBLISHED: dict[str, tuple[float, float]] = {
    "Li 2023, pre-trained": (0.832, 0.660), "Li 2023, fine-tuned": (0.802, 0.784),
}  # fmt: skip
"""IoU of the paper's table 2: against algorithmic truth, and against truth by hand."""
CROSS = np.array([[[0, 1, 0], [1, 1, 1], [0, 1, 0]]], dtype=bool)
PAIRS = (
    ("within 0.4 depths", "within 0.6 depths"),
    ("threshold 0.06", "threshold 0.16"),
    ("extent 0.16", "extent 0.25"),
    ("within 0.4 depths", "threshold 0.16"),
    ("0.1 depths higher", "one pixel aside"),
)
"""Annotations that are compared with each other; each is compared with the truth as well."""
TRUTH = "the truth"
OUTLINES: dict[str, Callable[[Bool[np.ndarray, "z y x"]], Bool[np.ndarray, "z y x"]]] = {
    "one pixel aside": lambda truth: np.roll(truth, 1, axis=2),
    "one pixel wider": lambda truth: binary_dilation(truth, CROSS),
}
"""What becomes of the truth where its outlines are drawn otherwise."""


@dataclass(frozen=True, kw_only=True)
class Method:
    """What finds pixels in focus.

    Parameters
    ----------
    name
        For tables.
    kind
        "network" or "rule".
    segment
        A stack to its masks.
    note
        What a reader must know of it, in a few words.
    """

    name: str
    kind: str
    segment: Callable[[FocalStack], FocusMasks]
    note: str = ""


@dataclass(frozen=True, eq=False, kw_only=True)
class Case:
    """One test stack with its targets, by the names of ``TARGETS``."""

    scene: ThickScene
    targets: Mapping[str, Bool[np.ndarray, "z y x"]]

    @property
    def group(self) -> str:
        """Whether its family is one that networks are trained on."""
        return "unseen" if self.scene.family in UNSEEN else "known"


@dataclass(frozen=True, kw_only=True)
class Row:
    """What one method reaches.

    Parameters
    ----------
    iou
        Mean over stacks, by target and group.
    families
        Mean IoU against true truth, by family.
    coverage
        Share of all pixels that it takes as in focus.
    seconds
        Of a stack, in the mean.
    false_positive
        Share of the pixels of blank fields that it takes as in focus.
    blank_answered
        Share of the blank fields for which there is a mask at all.
    """

    method: str
    kind: str
    iou: Mapping[str, Mapping[str, float]]
    families: Mapping[str, float]
    coverage: float
    seconds: float
    false_positive: float
    blank_answered: float
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class CeilingRow:
    """How well two truths agree that are both right: mean IoU over stacks, by group."""

    one: str
    other: str
    iou: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class AxialRow:
    """Means over stacks of what ``axial_ranking`` says of one measure, as its ``AxialRank``."""

    measure: str
    fall: float
    half_width_um: float
    monotonic: float
    error_planes: float
    offsets_um: tuple[float, ...]
    curve: tuple[float, ...]


def regions(truth: Bool[np.ndarray, "z y x"], *, gap_px: int = GAP_PX) -> Bool[np.ndarray, "z y x"]:
    """Masks with gaps closed, as a person draws them: around structure and not along it.

    Examples
    --------
    >>> truth = np.zeros((1, 1, 40), bool)
    >>> truth[0, 0, [5, 15, 35]] = True
    >>> np.flatnonzero(regions(truth)[0, 0]).tolist()
    [5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 35]
    """
    reach = gap_px // 2
    padded = functional.pad(torch.from_numpy(truth)[:, None].float(), [reach] * 4)
    grown = functional.max_pool2d(padded, 2 * reach + 1, 1, reach)
    closed = -functional.max_pool2d(-grown, 2 * reach + 1, 1)
    found: np.ndarray = closed[:, 0].numpy() > 0.5
    return found


def make_cases(
    scenes: Sequence[ThickScene], weak: Callable[[ThickScene], Bool[np.ndarray, "z y x"]]
) -> list[Case]:
    """Test stacks with weak labels as algorithmic truth, true truth, and that as regions."""
    return [
        Case(
            scene=scene,
            targets={
                "algorithmic": weak(scene), "true": scene.truth, "regions": regions(scene.truth)
            },
        )
        for scene in scenes
    ]  # fmt: skip


def score(
    method: Method, cases: Sequence[Case], *, blank_seeds: Sequence[int] = (0, 1, 2)
) -> tuple[Row, list[Bool[np.ndarray, "z y x"]]]:
    """Ask one method about every case and about blank fields; the masks come along."""
    began = time.perf_counter()
    masks = [method.segment(case.scene.stack).masks for case in cases]
    seconds = (time.perf_counter() - began) / max(1, len(cases))
    blanks = blank_false_positives(method.segment, kinds=tuple(BLANK_KINDS), seeds=blank_seeds)
    fields = sum(row.fields for row in blanks)
    row = Row(
        method=method.name,
        kind=method.kind,
        iou={
            target: _by(
                [case.group for case in cases],
                [intersection_over_union(mask, case.targets[target])
                 for mask, case in zip(masks, cases, strict=True)],
            )
            for target in TARGETS
        },
        families=_by(
            [case.scene.family for case in cases],
            [intersection_over_union(mask, case.targets["true"])
             for mask, case in zip(masks, cases, strict=True)],
        ),
        coverage=float(np.mean([mask.mean() for mask in masks])),
        seconds=seconds,
        false_positive=sum(row.false_positive * row.fields for row in blanks) / fields,
        blank_answered=sum(row.answered for row in blanks) / fields,
        note=method.note,
    )  # fmt: skip
    return row, masks


def _by(names: Sequence[str], values: Sequence[float]) -> dict[str, float]:
    """Mean of the values of each name."""
    return {
        name: float(np.mean([v for n, v in zip(names, values, strict=True) if n == name]))
        for name in dict.fromkeys(names)
    }


def ceilings(cases: Sequence[Case]) -> tuple[CeilingRow, ...]:
    """IoU between annotations of the same stacks that are all right, and of each with the truth."""
    groups = [case.group for case in cases]
    names = (*cases[0].scene.annotations, *OUTLINES) if cases else ()
    pairs = [(TRUTH, name) for name in names] + [*PAIRS]
    rows = []
    for one, other in pairs:
        values = [
            intersection_over_union(_annotation(case, one), _annotation(case, other))
            for case in cases
        ]
        rows.append(CeilingRow(one=one, other=other, iou=_by(groups, values)))
    return tuple(rows)


def _annotation(case: Case, name: str) -> Bool[np.ndarray, "z y x"]:
    truth = case.scene.truth
    if name in OUTLINES:
        return OUTLINES[name](truth)
    found: np.ndarray = truth if name == TRUTH else case.scene.annotations[name]
    return found


def rank_measures(cases: Sequence[Case], measures: Sequence[str]) -> tuple[AxialRow, ...]:
    """Measures by how sharply they fall away from focus, in the mean over stacks."""
    found = [axial_ranking(case.scene.stack, measures) for case in cases]
    rows = []
    for measure in measures:
        ranks = [rank for ranking in found for rank in ranking if rank.measure == measure]
        offsets = np.unique(np.concatenate([rank.offsets for rank in ranks]))
        curves = np.array([
            np.interp(offsets, rank.offsets, rank.curve, left=np.nan, right=np.nan)
            for rank in ranks
        ])  # fmt: skip
        known = np.isfinite(curves).sum(0) * 2 >= len(ranks)
        step_um = float(np.diff(cases[0].scene.z_um)[0])
        rows.append(
            AxialRow(
                measure=measure,
                fall=float(np.mean([rank.fall for rank in ranks])),
                half_width_um=float(np.median([rank.half_width_um or np.inf for rank in ranks])),
                monotonic=float(np.mean([rank.monotonic for rank in ranks])),
                error_planes=float(np.mean([rank.error_planes for rank in ranks])),
                offsets_um=tuple((offsets[known] * step_um).tolist()),
                curve=tuple(np.nanmean(curves[:, known], 0).tolist()),
            )
        )
    return tuple(sorted(rows, key=lambda row: -row.fall))
