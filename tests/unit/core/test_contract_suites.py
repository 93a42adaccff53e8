"""The suites for plug-in authors fail, in plain words, on a device that breaks its promises."""

from __future__ import annotations

import numpy as np
import pytest

from parfocal.testing import CameraContract, StageContract


class Late:
    """A stage that returns before it is there."""

    z_um = 0.0

    def position_um(self):
        return self.z_um

    def move_to_um(self, z_um):
        self.z_um += 0.5 * (z_um - self.z_um)


class Reused:
    """A camera that hands out the same buffer again."""

    def __init__(self):
        self.buffer = np.zeros((4, 4), np.uint16)

    def snap(self):
        self.buffer += 1
        return self.buffer


def test_a_stage_that_does_not_arrive_is_told_so():
    with pytest.raises(pytest.fail.Exception, match="before the stage was at its goal"):
        StageContract().test_it_is_where_it_was_sent_when_the_move_returns(Late())


def test_a_camera_that_overwrites_its_images_is_told_so():
    with pytest.raises(pytest.fail.Exception, match="give copies"):
        CameraContract().test_a_later_image_leaves_an_earlier_one_alone(Reused())


def test_what_is_no_stage_is_told_what_it_lacks():
    with pytest.raises(pytest.fail.Exception, match="lacks position_um"):
        StageContract().test_it_is_a_stage(Reused())
