"""Connected structures in focus."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.measure import label, regionprops

from parfocal.core.errors import InputError
from parfocal.segment import label_volume
from tests.fabricate.masks import declined, masks_of


@pytest.mark.parametrize("connectivity", [1, 2, 3])
def test_structures_are_those_of_scikit_image(connectivity):
    drawn = np.random.default_rng(2).random((8, 24, 30)) > 0.8
    volume = label_volume(masks_of(drawn), least_voxels=4, connectivity=connectivity)
    theirs = regionprops(label(drawn, connectivity=connectivity))
    kept = sorted((part for part in theirs if part.area >= 4), key=lambda part: -part.area)
    assert [part.voxels for part in volume.parts] == [part.area for part in kept]
    assert volume.left_out == len(theirs) - len(kept)
    ours = {(part.voxels, *np.round(part.centre_px, 6)) for part in volume.parts}
    assert ours == {(part.area, *np.round(part.centroid[1:], 6)) for part in kept}
    np.testing.assert_array_equal(np.bincount(volume.labels.ravel())[1:],
                                  [part.voxels for part in volume.parts])  # fmt: skip


def test_parts_know_their_z_volume_and_whether_they_are_cut():
    drawn = np.zeros((5, 9, 9), bool)
    drawn[1:3, 4:6, 4:6] = drawn[4, 0, :3] = True
    z_um = np.array([0.0, 1.0, 3.0, 6.0, 10.0])
    inner, border = label_volume(masks_of(drawn, z_um=z_um), least_voxels=1).parts
    assert (inner.voxels, inner.z_um, inner.centre_px) == (8, (1.0, 3.0), (4.5, 4.5))
    assert inner.volume_um3 == pytest.approx(4 * 0.25 * (1.5 + 2.5))
    assert (inner.is_cut, border.is_cut) == (False, True)
    falling = label_volume(masks_of(drawn[::-1], z_um=z_um[::-1]), least_voxels=1).parts[0]
    assert falling.z_um == (1.0, 3.0)
    unknown = label_volume(masks_of(drawn, z_known=False), least_voxels=1).parts[0]
    assert unknown.volume_um3 is None
    assert unknown.to_dict()["voxels"] == 8


def test_impossible_calls_are_refused():
    drawn = np.ones((2, 3, 3), bool)
    for options in ({"least_voxels": 0}, {"connectivity": 4}):
        with pytest.raises(InputError, match="at least 1"):
            label_volume(masks_of(drawn), **options)
    with pytest.raises(InputError, match="blank"):
        label_volume(declined((2, 3, 3)))
