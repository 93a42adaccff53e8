"""Maps of one field are channels of one file."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

from parfocal.core.errors import ShapeError
from parfocal.io.channels import write_channels
from parfocal.io.opening import open_stack


def test_channels_come_back_with_names_values_and_pixel_size(tmp_path):
    path = tmp_path / "maps.ome.tif"
    height = np.linspace(-3.5, 9.25, 300 * 280).reshape(300, 280)
    height[0, 0] = np.nan
    write_channels(path, {"z_um": height, "confidence": height * 0 + 0.5}, pixel_um=0.325)
    assert np.array_equal(tifffile.imread(path)[0], height.astype(np.float32), equal_nan=True)
    stack = open_stack(path, channel="confidence", z_in_planes=True)
    assert stack.pixel_um == pytest.approx(0.325)
    assert float(stack.read(0)[5, 5]) == 0.5


def test_images_of_unequal_size_are_refused(tmp_path):
    images = {"a": np.zeros((4, 5)), "b": np.zeros((5, 4))}
    with pytest.raises(ShapeError, match=r"a \(4, 5\), b \(5, 4\)"):
        write_channels(tmp_path / "maps.ome.tif", images)
    assert list(tmp_path.iterdir()) == []
