"""Sources: where their points lie, what they weigh, and what is refused."""

from __future__ import annotations

import math
from inspect import unwrap

import pytest
import torch

from parfocal.core.errors import InputError
from parfocal.optics.illumination import (
    Source,
    annulus_source,
    disc_source,
    half_annulus_source,
    led_source,
)


@pytest.mark.parametrize("points", [1, 2, 17, 64, 301])
def test_rings_are_even_symmetric_and_of_weight_one(points):
    ring = annulus_source(0.2, 0.5, points=points)
    assert len(ring) == points + points % 2
    assert ring.weights.sum().item() == pytest.approx(1, abs=1e-6)
    radius = ring.na_yx.norm(dim=1)
    assert radius.min() > 0.2
    assert radius.max() < 0.5
    assert radius.square().mean().item() == pytest.approx((0.04 + 0.25) / 2, abs=1e-6)
    assert ring.na_yx.sum(0).abs().max() < 1e-5
    torch.testing.assert_close(ring.opposite().na_yx.sort(0)[0], ring.na_yx.sort(0)[0])


@pytest.mark.parametrize("angle_rad", [0.0, 0.5, math.pi / 2, -2.0])
def test_half_points_where_it_says(angle_rad):
    half = half_annulus_source(0.3, 0.4, angle_rad=angle_rad, points=100)
    y, x = half.na_yx.T
    assert (y * math.sin(angle_rad) + x * math.cos(angle_rad) > 0).all()
    centroid_y, centroid_x = half.na_yx.mean(0).tolist()
    assert math.atan2(centroid_y, centroid_x) == pytest.approx(angle_rad, abs=0.02)


def test_disc_fills_equal_areas_alike():
    disc = disc_source(0.6, points=600)
    y, x = disc.na_yx.T
    radius2 = y.square() + x.square()
    for k in range(4):
        ring = (radius2 >= 0.09 * k) & (radius2 < 0.09 * (k + 1))
        assert ring.double().mean().item() == pytest.approx(0.25, abs=0.01)
    for half in (y > 0, x > 0, y > x, y > -x):
        assert half.double().mean().item() == pytest.approx(0.5, abs=0.02)


def test_disc_of_no_aperture_is_one_wave():
    point = disc_source(0.0)
    assert (len(point), point.largest_na) == (1, 0.0)


def test_leds_weigh_by_brightness():
    leds = led_source([(0.0, 0.1), (0.3, 0.0)], brightness=[1.0, 3.0])
    assert leds.weights.tolist() == [0.25, 0.75]
    assert leds.largest_na == pytest.approx(0.3)
    assert leds.to("cpu").na_yx.tolist() == leds.na_yx.tolist()


@pytest.mark.parametrize(("make", "text"), [
    (lambda: annulus_source(0.5, 0.5), "0 <= na_in < na_out"),
    (lambda: disc_source(-0.1), "0 <= na_in < na_out"),
    (lambda: half_annulus_source(0.0, 0.5, points=0), "1 point or more"),
    (lambda: led_source([]), "at least one point"),
    (lambda: led_source([(0.0, 0.1)], brightness=[1.0, 2.0]), "1 LEDs came with 2 values"),
    (lambda: led_source([(0.0, 0.1), (0.0, 0.0)], brightness=[1.0, 0.0]), "must be positive"),
])  # fmt: skip
def test_impossible_sources_are_refused(make, text):
    with pytest.raises(InputError, match=text):
        make()


def test_source_of_another_shape_is_refused():
    with pytest.raises(InputError, match="na_yx came with shape"):
        unwrap(Source.__init__)(  # beneath beartype, as a user calls it
            object.__new__(Source), na_yx=torch.zeros(2, 3), weights=torch.ones(2)
        )
