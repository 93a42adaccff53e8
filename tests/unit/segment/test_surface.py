"""Height and thickness of what is in focus, against columns counted one by one."""

from __future__ import annotations

from itertools import groupby

import numpy as np
import pytest

from parfocal.core.errors import InputError
from parfocal.segment import focus_height
from parfocal.segment import surface as surface_file
from parfocal.segment.surface import plane_widths
from tests.fabricate.masks import declined, masks_of

Z_UM = np.array([3.0, 4.0, 4.5, 6.0, 8.0, 8.5, 9.0])


def _slow(column, z_um, weights):
    """Runs of one pixel in order of z: (height, planes, thickness, layers, cut)."""
    order = np.argsort(z_um)
    widths, runs = plane_widths(z_um), []
    for on, group in groupby(order, key=lambda plane: column[plane]):
        if on:
            runs.append(list(group))
    if not runs:
        return np.nan, 0, 0.0, 0, False
    heavy = max(runs, key=lambda run: sum(widths[p] * weights[p] for p in run))  # the first of ties
    mass = np.array([widths[p] * weights[p] for p in heavy])
    planes = [p for run in runs for p in run]
    cut = bool({0, len(z_um) - 1} & set(heavy))
    return mass @ z_um[heavy] / mass.sum(), len(planes), widths[planes].sum(), len(runs), cut


@pytest.mark.parametrize("falls", [False, True])
@pytest.mark.parametrize("is_soft", [False, True])
def test_every_pixel_is_its_column_counted_by_hand(falls, is_soft, monkeypatch):
    monkeypatch.setattr(surface_file, "BAND_PX", 50)  # bands of two rows
    rng = np.random.default_rng(1)
    shares = rng.random((7, 11, 23))
    z_um = Z_UM[::-1] if falls else Z_UM
    drawn = shares > 0.45
    drawn[:, 0, 0] = False
    masks = masks_of(drawn, z_um=z_um, probabilities=shares if is_soft else None)
    height = focus_height(masks)
    weights = shares if is_soft else np.ones_like(shares)
    for y, x in np.ndindex(11, 23):
        expected = _slow(drawn[:, y, x], z_um, weights[:, y, x])
        found = (height.z_um[y, x], height.planes[y, x], height.coverage_um[y, x],
                 height.layers[y, x], height.is_cut[y, x])  # fmt: skip
        np.testing.assert_allclose(found, expected, rtol=1e-9)
    assert np.isnan(height.z_um[0, 0])


def test_a_height_lies_in_a_structure_and_not_between_two():
    column = np.array([1, 1, 0, 0, 0, 0, 1], bool)[:, None, None]
    height = focus_height(masks_of(column))
    assert height.z_um.item() == 0.5
    assert height.layers.item() == 2
    assert height.is_cut.item()


def test_shares_and_ranges_are_of_what_is_in_focus():
    drawn = np.zeros((11, 1, 20), bool)
    for x in range(10):
        drawn[x, 0, x] = True
    height = focus_height(masks_of(drawn))
    assert height.share == 0.5
    assert height.range_um == pytest.approx((0.45, 8.55))
    assert height.cut_share == pytest.approx(0.1)
    assert height.to_dict()["mean_planes"] == 0.5


def test_unknown_z_gives_plane_numbers_and_no_thickness():
    height = focus_height(masks_of(np.ones((3, 2, 2), bool), z_known=False))
    assert height.coverage_um is None
    assert height.z_um[0, 0] == 1.0
    assert not height.z_known


def test_an_empty_answer_has_no_range_and_a_declined_one_is_refused():
    height = focus_height(masks_of(np.zeros((3, 2, 2), bool)))
    assert (height.range_um, height.share, height.cut_share) == (None, 0.0, 0.0)
    with pytest.raises(InputError, match="blank"):
        focus_height(declined((3, 2, 2)))
