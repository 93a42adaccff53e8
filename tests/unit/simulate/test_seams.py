"""Structures that cross the edge of a field go on at the other side as they do inside."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from parfocal.simulate.field import Draws, Field
from parfocal.simulate.samples_hair_cells import _rows
from parfocal.simulate.samples_histology import _fibres
from parfocal.simulate.samples_tissue import _Worm

SIDES = ((310, 530), (470, 290), (333, 811))  # no side is a multiple of any spacing


def _draws(seed: int = 0) -> Draws:
    return Draws(torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("sides", SIDES)
def test_a_worm_leaves_the_field_where_it_enters_it(sides):
    field = Field(size_y=sides[0], size_x=sides[1], pixel_um=1.0, thickness_um=40.0)
    worm = _Worm(field, _draws(), 24.0)
    ends = torch.tensor([0.0, float(sides[1])])
    for index in range(worm.count):
        y, slope = worm.middle_um(index, ends)
        torch.testing.assert_close(y[0], y[1], rtol=0, atol=1e-3)
        torch.testing.assert_close(slope[0], slope[1], rtol=0, atol=1e-4)
        side = worm.places(index, ends, torch.full((2,), 0.5), torch.zeros(2))
        apart = side[1] - side[0]
        torch.testing.assert_close(apart, torch.tensor([0.0, 0.0, sides[1]]), rtol=0, atol=1e-3)
    last, _ = worm.middle_um(worm.count - 1, torch.zeros(1))
    assert worm.pitch_um * worm.count == pytest.approx(sides[0])
    assert worm.swing_um + worm.radius_um < worm.pitch_um
    assert float(last) < worm.first_um + sides[0]


@pytest.mark.parametrize("sides", SIDES)
def test_rows_of_hair_cells_keep_their_spacing_around_the_edge(sides):
    field = Field(size_y=sides[0], size_x=sides[1], pixel_um=1.0)
    place, row, lean = _rows(field, _draws(), 8.5, 0.0)
    strips = len(place) // (4 * round(sides[1] / 8.5))
    of_row = place.view(strips, 4, -1, 2)
    pitch = sides[1] / of_row.shape[2]
    assert pitch == pytest.approx(8.5, rel=0.1)
    once_more = torch.cat([of_row, of_row[:, :, :1] + torch.tensor([0.0, sides[1]])], dim=2)
    steps = once_more.diff(dim=2)
    assert float((steps[..., 1] / pitch - 1.0).abs().max()) < 0.5
    assert float(steps[..., 0].abs().max()) < 5.5  # the curve's slope, and jitter of 0.35 um
    assert row.view(strips, 4, -1)[:, :, 0].tolist() == [[0, 1, 2, 3]] * strips
    slopes = torch.cat([lean.view(strips, 4, -1), lean.view(strips, 4, -1)[..., :1]], dim=2)
    assert float(slopes.diff(dim=2).abs().max()) < 0.15


def test_fibres_of_a_section_join_at_both_edges():
    field = Field(size_y=247, size_x=373, pixel_um=0.1)  # 24.7 x 37.3 um: no whole number of waves
    for seed in range(3):
        fibres, gaps = _fibres(field, _draws(seed), torch.zeros(2, 247, 373))
        for image in (fibres, gaps):
            for axis in (0, 1):
                assert _seam(image, axis) < 2.5


def _seam(image: Tensor, axis: int) -> float:
    """Step across the edge over the usual step between neighbours."""
    steps = (image.roll(1, axis) - image).abs().mean(1 - axis)
    return float(steps[0] / steps[1:].median())
