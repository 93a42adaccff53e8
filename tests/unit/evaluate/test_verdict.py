"""Keep, check or image again: which answer leads to which, and with which advice."""

from __future__ import annotations

import pytest

from parfocal.evaluate.verdict import Verdict, judge


def test_narrow_and_unwarned_is_kept(make_stack, make_estimate):
    judgement = judge(make_estimate(make_stack()), depth_of_field_um=2.2)
    assert (judgement.verdict, judgement.advice) == (Verdict.KEEP, "")


def test_interval_wider_than_two_depths_of_field_is_checked(make_stack, make_estimate):
    estimate = make_estimate(make_stack(), interval_um=(4.0, 13.0))
    assert judge(estimate, depth_of_field_um=4.4).verdict == Verdict.CHECK
    assert judge(estimate, depth_of_field_um=4.6).verdict == Verdict.KEEP


def test_without_optics_the_planes_decide(make_stack, make_estimate):
    stack = make_stack()
    assert judge(make_estimate(stack, interval_planes=(3.0, 5.4))).verdict == Verdict.KEEP
    assert judge(make_estimate(stack, interval_planes=(2.9, 5.5))).verdict == Verdict.CHECK


def test_relief_of_more_than_three_depths_of_field_is_checked(make_stack, make_estimate):
    estimate = make_estimate(make_stack(), relief_um=6.0)
    assert judge(estimate, depth_of_field_um=2.1).verdict == Verdict.KEEP
    judgement = judge(estimate, depth_of_field_um=1.9)
    assert judgement.verdict == Verdict.CHECK
    assert "varies by 6 um" in judgement.advice


def test_no_interval_is_checked(make_stack, make_estimate):
    estimate = make_estimate(make_stack(), interval_um=None, interval_planes=None)
    assert judge(estimate, depth_of_field_um=2.2).verdict == Verdict.CHECK


def test_warning_is_checked_and_said(make_stack, make_estimate):
    estimate = make_estimate(make_stack(), warnings=("3 % of the pixels clip",))
    judgement = judge(estimate, depth_of_field_um=2.2)
    assert (judgement.verdict, judgement.advice) == (Verdict.CHECK, "3 % of the pixels clip")


@pytest.mark.parametrize(
    ("status", "verdict", "word"),
    [
        ("edge", Verdict.AGAIN, "both ends"),
        ("flat", Verdict.AGAIN, "longer range"),
        ("blank", Verdict.AGAIN, "holds the specimen"),
        ("saturated", Verdict.AGAIN, "Expose shorter"),
        ("ambiguous", Verdict.CHECK, "by eye"),
        ("uncertain", Verdict.CHECK, "by eye"),
        ("failed", Verdict.CHECK, "Mend"),
    ],
)
def test_every_declined_status_has_verdict_and_advice(
    make_stack, make_estimate, status, verdict, word
):
    judgement = judge(make_estimate(make_stack(), status=status))
    assert judgement.verdict == verdict
    assert word in judgement.advice


@pytest.mark.parametrize(
    ("peak", "modality", "advice"),
    [
        (10.0, "intensity", "Extend the stack above z = 20 um"),
        (0.0, "intensity", "Extend the stack below z = 0 um"),
        (0.0, "phase", "Extend the stack above z = 20 um"),
    ],
)
def test_edge_says_which_end_to_extend(make_stack, make_estimate, peak, modality, advice):
    estimate = make_estimate(make_stack(), status="edge", peak=peak, modality=modality)
    assert judge(estimate).advice == advice


def test_falling_z_is_extended_at_the_right_end(make_stack, make_estimate):
    estimate = make_estimate(make_stack(step_um=-2.0), status="edge", peak=10.0)
    assert judge(estimate).advice == "Extend the stack below z = -20 um"


def test_unknown_z_is_extended_in_planes(make_stack, make_estimate):
    estimate = make_estimate(make_stack(step_um=1.0), status="edge", peak=10.0)
    assert judge(estimate, z_known=False).advice == "Extend the stack above plane 10"
