from __future__ import annotations

import numpy as np
import pytest
import torch

from parfocal.core.errors import InputError, MetadataError
from parfocal.core.setup import OpticalSetup
from parfocal.core.stack import FocalStack
from parfocal.data import KeptPlanes, LabelledStack

SETUP = OpticalSetup(na=0.5, wavelength_nm=500, pixel_um=0.5)


class Disk:
    """Planes that hold their own number, and a list of what was read."""

    dtype = np.dtype(np.uint16)

    def __init__(self, shape=(4, 6, 8)):
        self.shape = shape
        self.read = []

    def __getitem__(self, index):
        self.read.append(index)
        numbers = np.arange(self.shape[0], dtype=np.uint16)[:, None, None]
        return np.broadcast_to(numbers, self.shape)[index]


def _known(z_um=(0.0, 1.0, 2.0, 3.0), **changes):
    images = changes.pop("images", Disk())
    values = {"setup": SETUP, **changes.pop("stack", {})}
    stack = FocalStack(images=images, z_um=np.array(z_um), name="s", **values)
    facts = {"focus_um": 1.0, "interval_um": (0.5, 1.5), "specimen": "a"} | changes
    return LabelledStack(stack=stack, **facts)


def test_planes_are_read_in_order_of_rising_z_whatever_the_order_on_disk():
    falling = _known(z_um=(3.0, 2.0, 1.0, 0.0))
    assert falling.z_um.tolist() == [0.0, 1.0, 2.0, 3.0]
    part = falling.read((0, 3), slice(0, 2), slice(1, 4))
    assert part.shape == (2, 2, 3)
    assert part.dtype == torch.float32
    assert part[:, 0, 0].tolist() == [3.0, 0.0]


def test_only_what_is_asked_for_is_read():
    disk = Disk()
    _known(images=disk).read((2,), slice(0, 1), slice(0, 1))
    assert disk.read == [(2, slice(0, 1), slice(0, 1))]


def test_planes_read_last_are_kept_up_to_the_memory_given():
    disk = Disk()
    kept = KeptPlanes(disk, keep_bytes=2 * 6 * 8 * 2)
    for plane in (0, 1, 0, 2, 0, 1):
        np.testing.assert_array_equal(kept[plane, 0:2, 0:2], np.full((2, 2), plane))
    assert disk.read == [0, 1, 2, 1]
    assert kept[0:2].shape == (2, 6, 8)
    assert kept.dtype == np.uint16


def test_a_plane_too_large_to_keep_is_read_in_parts():
    disk = Disk()
    known = _known(images=disk).keeping(10)
    assert known.read((1,), slice(0, 1), slice(2, 3)).flatten().tolist() == [1.0]
    assert disk.read == [(1, slice(0, 1), slice(2, 3))]


@pytest.mark.parametrize(
    ("changes", "error", "text"),
    [
        ({"stack": {"setup": None}}, MetadataError, "--na"),
        ({"stack": {"z_known": False}}, MetadataError, "--z-step-um"),
        ({"focus_um": 2.0}, InputError, "outside its interval"),
        ({"focus_um": float("nan")}, InputError, "outside its interval"),
    ],
)
def test_a_stack_that_teaches_nothing_is_refused_in_one_line(changes, error, text):
    with pytest.raises(error, match=text) as caught:
        _known(**changes)
    assert "\n" not in str(caught.value)
