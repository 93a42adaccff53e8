"""Li 2021's comparison on scenes of known focus: networks with two images, measures with thirteen.

Defocus is in um throughout, of the first of two images; patches are those of a 3 x 3 field.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from torch import Tensor

from parfocal.predict.certainty import is_certain, mean_of_certain
from parfocal.predict.class_predictor import ClassPredictor
from parfocal.predict.pair_predictor import PairPredictor
from parfocal.simulate.sheet_scenes import Scene

PATCH_PX, SIDE = 128, 3
REACH_UM = 36.0
DRAWS = 2000


@dataclass(frozen=True, eq=False, kw_only=True)
class Cases:
    """What is asked: a plane of a scene, once for each defocus that was drawn.

    Parameters
    ----------
    scenes
        All scenes.
    scene, plane
        Number of the scene, and of the plane whose defocus is asked.
    truth_um
        Its defocus.
    level_um
        The class centre that it stands for: the plane nearest to it was taken.
    """

    scenes: Sequence[Scene]
    scene: Int[np.ndarray, " k"]
    plane: Int[np.ndarray, " k"]
    truth_um: Float[np.ndarray, " k"]
    level_um: Float[np.ndarray, " k"]

    def where(
        self, *, is_flat: bool | None = None, tissues: Sequence[str] | None = None
    ) -> Bool[np.ndarray, " k"]:
        """Cases of flat or of thick scenes, and of some tissues."""
        chosen = [
            (is_flat is None or scene.is_flat == is_flat)
            and (tissues is None or scene.tissue in tissues)
            for scene in self.scenes
        ]
        picked: NDArray[Any] = np.array(chosen)[self.scene]
        return picked


@dataclass(frozen=True, eq=False, kw_only=True)
class Answers:
    """What a method says of every case: of each patch alone, and of the 3 x 3 field.

    Parameters
    ----------
    name, images
        Of the method, and how many images it was given.
    patches_um, is_certain
        Of each patch, and whether it would be kept.
    field_um, is_found
        Of the field without regard to certainty; and whether there is an answer with it.
    certain_field_um
        That answer; NaN without one.
    """

    name: str
    images: int
    patches_um: Float[np.ndarray, "k p"]
    is_certain: Bool[np.ndarray, "k p"]
    field_um: Float[np.ndarray, " k"]
    certain_field_um: Float[np.ndarray, " k"]

    @property
    def is_found(self) -> Bool[np.ndarray, " k"]:
        """Whether there is an answer for the field."""
        found: NDArray[Any] = np.isfinite(self.certain_field_um)
        return found


def draw_cases(scenes: Sequence[Scene], *, levels: int, seed: int = 0, classes: int = 13) -> Cases:
    """Draw some classes of defocus of each scene, as the paper's code does for each stack.

    Examples
    --------
    >>> from parfocal.core.setup import OpticalSetup
    >>> setup = OpticalSetup(na=0.6, wavelength_nm=580, pixel_um=0.65, immersion_index=1.56)
    >>> scene = Scene(counts=np.zeros((51, 4, 4), np.uint16), z_um=tuple(2.0 * np.arange(51)),
    ...               focus_um=50.4, tissue="", is_flat=True, setup=setup)
    >>> cases = draw_cases([scene], levels=13)
    >>> float(cases.level_um.min()), round(float(cases.truth_um.min()), 2)
    (-36.0, -36.4)
    """
    dice = np.random.default_rng(seed)
    centres = np.linspace(-REACH_UM, REACH_UM, classes)
    rows = []
    for number, scene in enumerate(scenes):
        z_um = np.array(scene.z_um)
        for level in np.sort(dice.choice(centres, size=min(levels, classes), replace=False)):
            plane = int(np.abs(z_um - scene.focus_um - level).argmin())
            rows.append((number, plane, z_um[plane] - scene.focus_um, level))
    columns = [np.array(column) for column in zip(*rows, strict=True)]
    names = ("scene", "plane", "truth_um", "level_um")
    return Cases(scenes=scenes, **dict(zip(names, columns, strict=True)))


def cut_patches(images: Float[Tensor, "n y x"]) -> Float[Tensor, "p n v u"]:
    """The nine patches from the corner of some images, row by row."""
    edge = SIDE * PATCH_PX
    tiles = images[:, :edge, :edge].reshape(len(images), SIDE, PATCH_PX, SIDE, PATCH_PX)
    return tiles.permute(1, 3, 0, 2, 4).flatten(0, 1)


def _images(cases: Cases, case: int, offsets_um: Sequence[float]) -> Float[Tensor, "n y x"]:
    scene = cases.scenes[cases.scene[case]]
    step_um = scene.z_um[1] - scene.z_um[0]
    planes = [int(cases.plane[case]) + round(offset / step_um) for offset in offsets_um]
    edge = SIDE * PATCH_PX
    return torch.from_numpy(scene.counts[planes, :edge, :edge].astype(np.float32))


def class_answers(name: str, predictor: ClassPredictor, cases: Cases) -> Answers:
    """Ask the published network: the likeliest class, and the mean of the certain patches."""
    own, count = predictor.calibration, predictor.network.images
    first = -1 if count == 3 else 0
    offsets = [own.spacing_um * step for step in range(first, first + count)]
    patches, certain, fields, sure_fields = [], [], [], []
    for case in range(len(cases.truth_um)):
        shares = predictor.probabilities(cut_patches(_images(cases, case, offsets)))
        chosen = predictor.classes_um[shares.argmax(-1)]
        answer = mean_of_certain(shares, predictor.classes_um, least=own.least_certainty)
        patches.append(chosen.double().numpy())
        certain.append(is_certain(shares, least=own.least_certainty).numpy())
        fields.append(float(chosen.mean()))
        sure_fields.append(np.nan if answer is None else answer)
    return Answers(
        name=name,
        images=count,
        patches_um=np.array(patches),
        is_certain=np.array(certain),
        field_um=np.array(fields),
        certain_field_um=np.array(sure_fields, float),
    )


def pair_answers(
    name: str, predictor: PairPredictor, cases: Cases, *, spacing_um: float = 6.0
) -> Answers:
    """Ask a pair predictor; a patch or a field that it says nothing about counts as 0 um."""
    known = predictor.calibration
    least = known.least_patch_certainty
    least = known.least_certainty if least is None else least
    patches, certain, fields, sure_fields = [], [], [], []
    for case in range(len(cases.truth_um)):
        setup = cases.scenes[cases.scene[case]].setup
        images = _images(cases, case, (0.0, spacing_um))
        guess = predictor.predict(images, spacing_um=spacing_um, setup=setup)
        if guess.patches is None or guess.probabilities is None or guess.classes_um is None:
            patches.append(np.zeros(SIDE**2))
            certain.append(np.zeros(SIDE**2, bool))
            fields.append(0.0)
        else:
            each = guess.patches
            patches.append(np.nan_to_num(each.defocus_um.ravel()))
            certain.append(np.nan_to_num(each.certainty.ravel(), nan=-1.0) >= least)
            fields.append(float(guess.probabilities @ guess.classes_um))
        sure_fields.append(np.nan if guess.defocus_um is None else guess.defocus_um)
    return Answers(
        name=name,
        images=2,
        patches_um=np.array(patches),
        is_certain=np.array(certain),
        field_um=np.array(fields),
        certain_field_um=np.array(sure_fields, float),
    )


def after_one_move(
    name: str, first: Answers, predictor: PairPredictor, cases: Cases, *, spacing_um: float = 6.0
) -> Answers:
    """Move by the field's first answer, take two more images, and ask again.

    The pair that is then looked at has its middle nearest to the focus that was said. Answers are
    still the defocus of the first plane: the way moved, and what is left.
    """
    planes, ways_um = cases.plane.copy(), np.zeros(len(cases.plane))
    for case, scene_number in enumerate(cases.scene):
        z_um = np.array(cases.scenes[scene_number].z_um)
        target_um = z_um[cases.plane[case]] - first.field_um[case] - spacing_um / 2
        last = len(z_um) - 1 - round(spacing_um / (z_um[1] - z_um[0]))
        planes[case] = min(int(np.abs(z_um - target_um).argmin()), last)
        ways_um[case] = z_um[cases.plane[case]] - z_um[planes[case]]
    second = pair_answers(name, predictor, replace(cases, plane=planes), spacing_um=spacing_um)
    return replace(
        second,
        images=first.images + second.images,
        patches_um=second.patches_um + ways_um[:, None],
        field_um=second.field_um + ways_um,
        certain_field_um=second.certain_field_um + ways_um,
    )


@dataclass(frozen=True, kw_only=True)
class Score:
    """Errors of one method over some cases, in um; None where nothing is left.

    ``mean_um`` and ``median_um`` of |error| over all, ``certain_um`` the mean over what is kept.
    """

    mean_um: float | None
    median_um: float | None
    certain_um: float | None
    kept: float


def score_patches(
    answers: Answers, cases: Cases, which: Bool[np.ndarray, " k"], kept: NDArray[Any] | None = None
) -> Score:
    """Score single patches; ``kept`` says which count as certain, by default the method's own."""
    sizes = np.abs(answers.patches_um - cases.truth_um[:, None])
    return _score(sizes, answers.is_certain if kept is None else kept, which)


def score_fields(
    answers: Answers, cases: Cases, which: Bool[np.ndarray, " k"], kept: NDArray[Any] | None = None
) -> Score:
    """Score 3 x 3 fields; with certainty, the method's own answer where it gives one."""
    sizes = np.abs(answers.field_um - cases.truth_um)
    sure = np.abs(answers.certain_field_um - cases.truth_um)
    kept = answers.is_found if kept is None else kept & answers.is_found
    score = _score(sizes, kept, which)
    picked = sure[kept & which]
    return Score(
        mean_um=score.mean_um,
        median_um=score.median_um,
        certain_um=float(picked.mean()) if picked.size else None,
        kept=score.kept,
    )


def _score(sizes: NDArray[Any], kept: NDArray[Any], which: NDArray[Any]) -> Score:
    chosen, sure = sizes[which], kept[which]
    if not chosen.size:
        return Score(mean_um=None, median_um=None, certain_um=None, kept=0.0)
    return Score(
        mean_um=float(chosen.mean()),
        median_um=float(np.median(chosen)),
        certain_um=float(chosen[sure].mean()) if sure.any() else None,
        kept=float(sure.mean()),
    )


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """Mean |error| of one method over that of another, with a 90 % interval over scenes."""

    value: float
    low: float
    high: float


def error_ratio(
    ours: Answers,
    other: Answers,
    cases: Cases,
    which: Bool[np.ndarray, " k"],
    *,
    kept: NDArray[Any] | None = None,
    seed: int = 0,
) -> Ratio | None:
    """Compare single patches, the same ones; the interval draws whole scenes with replacement.

    ``kept`` leaves only some patches, the same of both. None where nothing is left.
    """
    keep = np.broadcast_to(which[:, None], ours.patches_um.shape)
    keep = keep if kept is None else keep & kept
    sums = []
    for answers in (ours, other):
        sizes = np.where(keep, np.abs(answers.patches_um - cases.truth_um[:, None]), 0.0).sum(1)
        sums.append(np.bincount(cases.scene, sizes, minlength=len(cases.scenes)))
    inside = np.unique(cases.scene[keep.any(1)])
    if not len(inside):
        return None
    dice = np.random.default_rng(seed)
    drawn = inside[dice.integers(len(inside), size=(DRAWS, len(inside)))]
    totals = [part[drawn].sum(1) for part in sums]
    ratios = totals[0] / np.maximum(totals[1], 1e-12)
    low, high = np.quantile(ratios, (0.05, 0.95))
    value = sums[0][inside].sum() / max(sums[1][inside].sum(), 1e-12)
    return Ratio(value=float(value), low=float(low), high=float(high))


def confusion(
    answers: Answers, cases: Cases, classes_um: Float[np.ndarray, " c"]
) -> Int[np.ndarray, "c c"]:
    """How often each true class (row) was answered as each class (column), patch by patch."""
    true = np.abs(cases.truth_um[:, None] - classes_um).argmin(1)
    said = np.abs(answers.patches_um[:, :, None] - classes_um).argmin(2)
    count = len(classes_um)
    flat = true[:, None] * count + said
    return np.bincount(flat.ravel(), minlength=count * count).reshape(count, count)


@dataclass(frozen=True, kw_only=True)
class Confusions:
    """What a confusion matrix says in numbers, as shares of all patches.

    ``exact`` in the right class; ``near`` at most one class off; ``wrong_side`` of those at least
    one class from focus on both sides, the share whose sign is wrong.
    """

    exact: float
    near: float
    wrong_side: float


def sum_up(matrix: Int[np.ndarray, "c c"]) -> Confusions:
    """Sum up a confusion matrix.

    Examples
    --------
    >>> sum_up(np.array([[2, 0, 2], [0, 4, 0], [0, 1, 3]]))
    Confusions(exact=0.75, near=0.83..., wrong_side=0.28...)
    """
    count, total = len(matrix), max(1, int(matrix.sum()))
    rows, columns = np.indices(matrix.shape)
    side = np.sign(rows - (count - 1) / 2) * np.sign(columns - (count - 1) / 2)
    outside = matrix[side != 0].sum()
    return Confusions(
        exact=float(np.trace(matrix) / total),
        near=float(matrix[np.abs(rows - columns) <= 1].sum() / total),
        wrong_side=float(matrix[side < 0].sum() / max(1, outside)),
    )
