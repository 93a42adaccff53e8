"""The virtual microscopes keep every promise of the contract suites."""

from __future__ import annotations

import pytest

from parfocal.core.setup import OpticalSetup
from parfocal.simulate.microscope import VirtualMicroscope
from parfocal.simulate.stages import StageSettings
from parfocal.simulate.world import DetectorSettings, SpecimenSettings, WorldSettings
from parfocal.testing import CameraContract, MicroscopeContract, StageContract

SMALL = {
    "setup": OpticalSetup(na=0.5, wavelength_nm=550, pixel_um=0.5),
    "specimen": SpecimenSettings(name="beads", size_px=64, thickness_um=0.0),
    "detector": DetectorSettings(size_y_px=32, size_x_px=48),
}
WORN = StageSettings(backlash_um=0.8, step_um=0.05, repeatability_um=0.05, creep_um=0.2)


class TestVirtualMicroscope(MicroscopeContract):
    outside_um = 1001.0

    @pytest.fixture(params=[StageSettings(), WORN], ids=["new", "worn"])
    def microscope(self, request):
        return VirtualMicroscope(WorldSettings(**SMALL, z=request.param))


class TestEncodedStage(StageContract):
    outside_um = -1001.0
    tolerance_um = 0.2

    @pytest.fixture
    def stage(self):
        encoded = StageSettings(reads="carriage", backlash_um=0.1, repeatability_um=0.01)
        return VirtualMicroscope(WorldSettings(**SMALL, z=encoded))


class TestCameraInRealTime(CameraContract):
    @pytest.fixture
    def camera(self):
        scope = VirtualMicroscope(WorldSettings(**SMALL, time="real"))
        scope.set_exposure_ms(1.0)
        return scope


class StageThatLies:
    """Says that it arrived wherever it was sent, and clips at 10 um without a word."""

    def __init__(self):
        self.z = 0.0

    def position_um(self):
        return self.z

    def move_to_um(self, z_um):
        self.z = min(z_um, 10.0)


def test_the_suite_finds_a_stage_that_clips():
    suite = StageContract()
    suite.outside_um = 20.0
    suite.test_it_is_where_it_was_sent_when_the_move_returns(StageThatLies())
    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        suite.test_a_goal_outside_is_refused_and_nothing_moves(StageThatLies())
    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        suite.test_what_is_no_number_is_refused_and_nothing_moves(StageThatLies(), float("nan"))
