"""What a verdict about a surface is made of."""

import math

import pytest

from parfocal.refocus.surface_trust import (
    MOST_OFF,
    SurfaceCalibration,
    surface_verdict,
    surface_verdict_facts,
)

KNOWN = SurfaceCalibration(
    verdict_offset=0.5, verdict_slope=2.0, verdict_error=-0.7, verdict_flux=-1.5
)


def test_light_that_is_off_either_way_counts_alike_and_none_at_most():
    double, half = (surface_verdict_facts(0.0, 1.0, flux)[2] for flux in (2.0, 0.5))
    assert double == pytest.approx(half) == pytest.approx(math.log(2))
    most = math.log(MOST_OFF)
    for flux in (math.nan, -0.3, 0.0, 1e9):
        assert surface_verdict_facts(0.0, 1.0, flux)[2] == pytest.approx(most)


def test_a_verdict_is_the_logistic_function_of_its_facts():
    facts = surface_verdict_facts(0.8, 0.2, 0.5)
    odds = 0.5 + 2.0 * 0.8 - 0.7 * math.log(0.2) - 1.5 * math.log(2)
    assert surface_verdict(facts, KNOWN) == pytest.approx(1 / (1 + math.exp(-odds)))


def test_less_light_or_larger_errors_are_believed_less():
    usual = surface_verdict(surface_verdict_facts(0.5, 0.3, 1.0), KNOWN)
    assert surface_verdict(surface_verdict_facts(0.5, 0.3, 0.3), KNOWN) < usual
    assert surface_verdict(surface_verdict_facts(0.5, 0.9, 1.0), KNOWN) < usual
    assert surface_verdict(surface_verdict_facts(0.1, 0.3, 1.0), KNOWN) < usual
