from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from parfocal.core.errors import InputError
from parfocal.core.results import Status
from parfocal.core.setup import OpticalSetup
from parfocal.evaluate.defocus_trials import (
    DefocusTrial,
    KnownStack,
    after_one_move,
    score_trials,
    try_stack,
    useful_pairs,
)

SETUP = OpticalSetup(na=0.5, wavelength_nm=500, pixel_um=0.5)  # 2 um, and 3 with the pixel
FOCUS_UM = 10.0


def _known():
    z_um = np.arange(0.0, 21.0)
    images = np.broadcast_to(z_um[:, None, None], (21, 4, 4)).copy()  # each plane holds its z
    return KnownStack(name="planes", images=images, z_um=z_um, focus_um=FOCUS_UM, setup=SETUP)


class Reader:
    """Reads the plane's z, and errs by a share of the defocus."""

    def __init__(self, share=0.0, half_um=1.0, deaf_below=-np.inf):
        self.share, self.half_um, self.deaf_below = share, half_um, deaf_below
        self.spacings = []

    def predict(self, images, *, spacing_um=None, setup=None):
        self.spacings.append(spacing_um)
        assert setup is SETUP
        assert float(np.ptp(images[:, 0, 0])) == spacing_um
        answer = (float(images[0, 0, 0]) - FOCUS_UM) * (1 + self.share)
        if images[0, 0, 0] < self.deaf_below:
            return SimpleNamespace(
                status=Status.UNCERTAIN, reason="deaf", defocus_um=None, interval_um=None
            )
        interval = (answer - self.half_um, answer + self.half_um)
        return SimpleNamespace(
            status=Status.FOUND, reason="", defocus_um=answer, interval_um=interval
        )


def test_only_pairs_within_distance_and_reach_are_tried():
    known, reader = _known(), Reader()
    trials = try_stack(reader, known)
    assert min(reader.spacings) >= 0.4 * 3
    assert max(reader.spacings) <= 2.5 * 3
    assert {spacing for spacing in reader.spacings} == {2, 3, 4, 5, 6, 7}
    assert len(trials) == len(useful_pairs(known)) == sum(21 - k for k in range(2, 8))
    far = KnownStack(**(vars(known) | {"focus_um": 60.0}))
    assert useful_pairs(far) == []


def test_a_perfect_predictor_has_no_error_and_covers_all():
    score = score_trials(try_stack(Reader(), _known()))
    assert score.trials == score.answered
    assert score.median_depths == score.worst_dof == 0.0
    assert score.wrong_signs == 0
    assert score.coverage == 1.0
    assert score.zero_depths > 0.5


def test_errors_come_in_both_units_and_signs_count_beyond_half_a_depth():
    def trial(truth, answer, half=1.0):
        return DefocusTrial(
            first=0, second=1, truth_um=truth, depth_um=3.0, dof_um=2.0, status=Status.FOUND,
            defocus_um=answer, interval_um=(answer - half, answer + half),
        )  # fmt: skip

    declined = DefocusTrial(
        first=0, second=1, truth_um=9.0, depth_um=3.0, dof_um=2.0, status=Status.UNCERTAIN
    )
    trials = [trial(6.0, 6.6), trial(-3.0, 3.0), trial(-1.4, 1.4, half=3.0), declined]
    score = score_trials(trials)
    assert (score.trials, score.answered) == (4, 3)
    assert score.median_depths == pytest.approx(2.8 / 3)
    assert score.median_dof == pytest.approx(1.4)
    assert score.worst_dof == pytest.approx(3.0)
    assert (score.signs, score.wrong_signs) == (2, 1)
    assert score.coverage == pytest.approx(2 / 3)
    assert score.zero_depths == pytest.approx(1.0)


def test_a_second_look_is_where_the_answer_leads_and_errs_less():
    known = _known()
    trials = try_stack(Reader(share=0.2), known)
    moved = after_one_move(known, trials)
    assert len(moved) == len(trials)
    for before, after in zip(trials, moved, strict=True):
        assert after.second - after.first == before.second - before.first
    middles = [abs((t.first + t.second) / 2 - FOCUS_UM) for t in moved]
    assert max(middles) <= 0.2 * 10 + 0.5
    assert score_trials(moved).median_depths < 0.6 * score_trials(trials).median_depths


def test_what_was_declined_moves_nowhere_and_has_no_score():
    known = _known()
    trials = try_stack(Reader(deaf_below=5.0), known)
    answered = sum(trial.status == Status.FOUND for trial in trials)
    assert 0 < answered < len(trials)
    assert {trial.reason for trial in trials} == {"", "deaf"}
    assert len(after_one_move(known, trials)) == answered
    nothing = score_trials(try_stack(Reader(deaf_below=99.0), known))
    assert nothing.answered == 0
    assert nothing.median_depths is None
    assert nothing.coverage is None
    assert after_one_move(known, []) == []


def test_planes_must_have_rising_positions():
    with pytest.raises(InputError, match="planes has 3 planes and 3 positions"):
        KnownStack(
            name="planes", images=np.zeros((3, 4, 4)), z_um=np.array([0.0, 2.0, 2.0]), focus_um=0.0,
            setup=SETUP,
        )  # fmt: skip
