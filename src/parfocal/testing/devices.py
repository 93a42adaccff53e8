"""What every camera, stage and microscope promises, as pytest classes to subclass.

Each class asks for one fixture and takes what it may do with it from class attributes::

    class TestMyStage(StageContract):
        tolerance_um = 0.1
        outside_um = 1e6

        @pytest.fixture
        def stage(self):
            return MyStage()

The suites move the stage by ``reach_um`` about where it stands, and nowhere else.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
import pytest

from parfocal.core.errors import CameraError, DeviceError, StageError
from parfocal.core.protocols import Brake, Camera, Clock, DoseMeter, Exposure, Microscope, Stage


def _require(holds: bool, otherwise: str) -> None:
    """Fail the test in plain words; unlike an assert also under ``python -O``."""
    if not holds:
        pytest.fail(otherwise)


class StageContract:
    """Promises of a focus stage; needs a fixture ``stage``.

    Attributes
    ----------
    reach_um
        How far the suite moves from the start.
    tolerance_um
        How far from its goal a stage that returned may say it is.
    outside_um
        A position that the stage must refuse; None: it has no limits of its own.
    """

    reach_um: ClassVar[float] = 2.0
    tolerance_um: ClassVar[float] = 0.1
    outside_um: ClassVar[float | None] = None

    def test_it_is_a_stage(self, stage: object) -> None:
        _require(isinstance(stage, Stage), "it lacks position_um() or move_to_um()")

    def test_position_is_a_finite_number(self, stage: Stage) -> None:
        _require(math.isfinite(float(stage.position_um())), "position_um() must be a finite number")

    def test_asking_for_the_position_moves_nothing(self, stage: Stage) -> None:
        first = stage.position_um()
        _require(
            all(abs(stage.position_um() - first) <= self.tolerance_um for _ in range(3)),
            "asking for the position moved the stage",
        )

    def test_it_is_where_it_was_sent_when_the_move_returns(self, stage: Stage) -> None:
        start = stage.position_um()
        for goal in (start + self.reach_um, start - self.reach_um, start + 0.3, start):
            stage.move_to_um(goal)
            _require(
                abs(stage.position_um() - goal) <= self.tolerance_um,
                "the move returned before the stage was at its goal",
            )

    def test_a_move_to_where_it_stands_is_no_error(self, stage: Stage) -> None:
        start = stage.position_um()
        stage.move_to_um(start)
        _require(
            abs(stage.position_um() - start) <= self.tolerance_um, "the stage is not where it stood"
        )

    @pytest.mark.parametrize("goal", [math.nan, math.inf, -math.inf])
    def test_what_is_no_number_is_refused_and_nothing_moves(
        self, stage: Stage, goal: float
    ) -> None:
        start = stage.position_um()
        with pytest.raises((DeviceError, ValueError)):
            stage.move_to_um(goal)
        _require(
            abs(stage.position_um() - start) <= self.tolerance_um, "the stage is not where it stood"
        )

    def test_a_goal_outside_is_refused_and_nothing_moves(self, stage: Stage) -> None:
        if self.outside_um is None:
            pytest.skip("this stage has no limits of its own")
        start = stage.position_um()
        with pytest.raises(StageError, match=r"\d"):
            stage.move_to_um(self.outside_um)
        _require(
            abs(stage.position_um() - start) <= self.tolerance_um, "the stage is not where it stood"
        )


class CameraContract:
    """Promises of a camera; needs a fixture ``camera``."""

    def test_it_is_a_camera(self, camera: Camera) -> None:
        _require(isinstance(camera, Camera), "it lacks snap()")

    def test_an_image_has_two_axes_and_real_numbers(self, camera: Camera) -> None:
        image: np.ndarray[Any, Any] = np.asarray(camera.snap())
        _require(image.ndim == 2, "an image must be (y, x)")
        _require(min(image.shape) > 0, "an image must have pixels")
        _require(image.dtype.kind in "uif", "pixels must be real numbers")
        _require(bool(np.isfinite(image).all()), "pixels must be finite")

    def test_images_keep_their_shape_and_type(self, camera: Camera) -> None:
        first, second = camera.snap(), camera.snap()
        _require(first.shape == second.shape, "two images differ in shape")
        _require(first.dtype == second.dtype, "two images differ in type")

    def test_a_later_image_leaves_an_earlier_one_alone(self, camera: Camera) -> None:
        first = camera.snap()
        kept = first.copy()
        camera.snap()
        _require(np.array_equal(first, kept), "a later image changed an earlier one: give copies")

    def test_exposure_is_what_was_set(self, camera: Camera) -> None:
        if not isinstance(camera, Exposure):
            pytest.skip("this camera has no exposure to set")
        before = camera.exposure_ms()
        camera.set_exposure_ms(2 * before)
        _require(
            camera.exposure_ms() == pytest.approx(2 * before, rel=0.1),
            "the exposure is not the one that was set",
        )

    @pytest.mark.parametrize("exposure_ms", [0.0, -1.0, math.nan])
    def test_impossible_exposure_is_refused_and_changes_nothing(
        self, camera: Camera, exposure_ms: float
    ) -> None:
        if not isinstance(camera, Exposure):
            pytest.skip("this camera has no exposure to set")
        before = camera.exposure_ms()
        with pytest.raises((CameraError, ValueError)):
            camera.set_exposure_ms(exposure_ms)
        _require(camera.exposure_ms() == before, "an exposure that was refused changed the camera")


class MicroscopeContract(StageContract, CameraContract):
    """Promises of a whole microscope; needs a fixture ``microscope``."""

    @pytest.fixture
    def stage(self, microscope: Microscope) -> Microscope:
        return microscope

    @pytest.fixture
    def camera(self, microscope: Microscope) -> Microscope:
        return microscope

    def test_it_is_a_microscope(self, microscope: Microscope) -> None:
        _require(
            isinstance(microscope, Microscope), "it lacks snap(), position_um() or move_to_um()"
        )

    def test_an_image_moves_nothing(self, microscope: Microscope) -> None:
        before = microscope.position_um()
        microscope.snap()
        _require(abs(microscope.position_um() - before) <= self.tolerance_um, "the stage moved")

    def test_time_never_falls(self, microscope: Microscope) -> None:
        if not isinstance(microscope, Clock):
            pytest.skip("this microscope has no clock of its own")
        before = microscope.now_s()
        microscope.snap()
        microscope.wait_s(0.01)
        _require(microscope.now_s() > before, "the clock did not go on")

    def test_each_image_is_in_the_ledger(self, microscope: Microscope) -> None:
        if not isinstance(microscope, DoseMeter):
            pytest.skip("this microscope keeps no ledger")
        images, dose = microscope.ledger.images, microscope.ledger.dose
        microscope.snap()
        _require(microscope.ledger.images == images + 1, "an image is not in the ledger")
        _require(microscope.ledger.dose >= dose, "the dose fell")

    def test_abort_at_rest_moves_nothing_and_harms_nothing(self, microscope: Microscope) -> None:
        if not isinstance(microscope, Brake):
            pytest.skip("this microscope cannot abort")
        before = microscope.position_um()
        microscope.abort()
        microscope.move_to_um(before)
        _require(abs(microscope.position_um() - before) <= self.tolerance_um, "the stage moved")
