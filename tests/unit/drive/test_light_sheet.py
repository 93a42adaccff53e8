"""A light sheet moved to the plane of detection."""

from __future__ import annotations

import pytest

from parfocal import drive
from parfocal.core.errors import InputError
from parfocal.core.protocols import Clock, Exposure, Microscope, Stream
from parfocal.simulate import VirtualMicroscope


def test_it_is_a_microscope_that_keeps_its_clock_and_camera_but_not_the_stage_s_stream():
    scope = VirtualMicroscope("light-sheet-10x", seed=3)
    focus = drive.SheetFocus(scope)
    assert isinstance(focus, Microscope)
    assert isinstance(focus, Clock)
    assert isinstance(focus, Exposure)
    assert not isinstance(focus, Stream)
    stage_um = scope.position_um()
    focus.move_to_um(12.5)
    assert focus.position_um() == 12.5
    assert scope.sheet_offset_um() == -12.5
    assert scope.position_um() == stage_um


def test_a_search_brings_the_sheet_to_the_plane_of_detection():
    scope = VirtualMicroscope("light-sheet-10x", seed=1)
    focus = drive.SheetFocus(scope)
    limits = drive.Limits(z_min_um=-40, z_max_um=40, max_step_um=80)
    search = drive.SweepSearch(step_um=4.0)
    report = drive.autofocus(focus, search=search, limits=limits, setup=scope.setup)
    assert report.found, report.reason
    assert abs(scope.truth.sheet_offset_um()) < scope.setup.effective_depth_of_field_um


def test_a_microscope_without_a_sheet_is_refused():
    with pytest.raises(InputError, match="no light sheet that moves"):
        drive.SheetFocus(object())
