"""What every focus search must do, whoever wrote it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from parfocal.core.errors import LimitsError, StageError
from parfocal.core.results import Status
from parfocal.drive import FocusReport, Limits, Search, autofocus

LIMITS = Limits(z_min_um=0.0, z_max_um=20.0, max_step_um=4.0, max_images=60)


class PracticeScope:
    """A microscope in memory: a texture, sharpest at ``focus_um``, and a stage that may fail."""

    def __init__(self, *, focus_um: float = 11.3, fails_at: int | None = None) -> None:
        self.z_um, self.focus_um, self.fails_at = 9.0, focus_um, fails_at
        self.commands: list[float] = []
        self.images = 0
        self._dice = np.random.default_rng(1)
        texture = self._dice.normal(size=(64, 64))
        self._texture = texture + np.roll(texture, 1, 0) + np.roll(texture, 1, 1)

    def position_um(self) -> float:
        """Where the stage is."""
        return self.z_um

    def move_to_um(self, z_um: float) -> None:
        """Move, or fail where that is due."""
        self.commands.append(z_um)
        if self.fails_at == len(self.commands):
            raise StageError("the practice stage fails here")
        self.z_um = z_um

    def snap(self) -> NDArray[Any]:
        """An image with noise."""
        self.images += 1
        share = 1.0 / (1.0 + ((self.z_um - self.focus_um) / 1.5) ** 2)
        noise = self._dice.normal(size=self._texture.shape)
        return np.asarray(1000.0 + 300.0 * share * self._texture + 3.0 * noise)


class SearchContract:
    """Subclass as ``Test...`` and give the fixture ``search``.

    Searches that find nothing on ``PracticeScope`` (a predictor without this texture, say) set
    ``must_find = False``.
    """

    must_find = True

    @pytest.fixture
    def search(self) -> Search:
        """The search under test."""
        raise NotImplementedError

    def _focus(self, scope: PracticeScope, search: Search, limits: Limits = LIMITS) -> FocusReport:
        report = autofocus(scope, search=search, limits=limits)
        if not all(limits.allow(z_um) for z_um in scope.commands):
            pytest.fail(f"commands outside the limits: {scope.commands}")
        if limits.max_images is not None and scope.images > limits.max_images:
            pytest.fail(f"{scope.images} images, with a budget of {limits.max_images}")
        return report

    def test_it_is_a_search(self, search: Search) -> None:
        """It has ``propose``."""
        if not isinstance(search, Search):
            pytest.fail(f"{search!r} has no propose(eye)")

    def test_focus_is_found_or_declined(self, search: Search) -> None:
        """An answer is near the truth and verified, and the stage stands there."""
        scope = PracticeScope()
        report = self._focus(scope, search)
        if self.must_find and not report.found:
            pytest.fail(f"not found: {report.reason}")
        if report.found and report.z_um is not None:
            if not math.isclose(report.z_um, scope.focus_um, abs_tol=0.5):
                pytest.fail(f"answered {report.z_um:g} um, the truth is {scope.focus_um:g} um")
            if not math.isclose(scope.z_um, report.z_um, abs_tol=0.05):
                pytest.fail(f"the stage stands at {scope.z_um:g} um, not at the answer")

    @pytest.mark.parametrize("images", [1, 3, 7])
    def test_small_budgets_hold(self, search: Search, images: int) -> None:
        """A budget ends the search in good order."""
        limits = LIMITS.model_copy(update={"max_images": images})
        self._focus(PracticeScope(), search, limits)

    @pytest.mark.parametrize("where", [(0.0, 9.0), (9.0, 20.0), (8.9, 9.1)])
    def test_narrow_limits_hold(self, search: Search, where: tuple[float, float]) -> None:
        """Focus outside the limits is not gone to, and not answered."""
        limits = Limits(z_min_um=where[0], z_max_um=where[1], max_images=60)
        report = self._focus(
            PracticeScope(focus_um=15.0 if where[0] < 8.95 else 4.0), search, limits
        )
        if report.found:
            pytest.fail(f"answered {report.z_um} um, but focus is not in the limits")

    @pytest.mark.parametrize("move", [1, 2, 4])
    def test_a_stage_that_fails_is_brought_back(self, search: Search, move: int) -> None:
        """The run says that it failed, and the stage is at the start."""
        scope = PracticeScope(fails_at=move)
        report = self._focus(scope, search)
        if len(scope.commands) >= move and report.status != Status.FAILED:
            pytest.fail(f"a stage failed, but the status is {report.status}")
        if report.ended == "start" and scope.z_um != 9.0:
            pytest.fail(f"the stage stands at {scope.z_um:g} um, not at the start")

    def test_a_start_outside_the_limits_is_refused(self, search: Search) -> None:
        """Nothing moves."""
        scope = PracticeScope()
        with pytest.raises(LimitsError):
            autofocus(scope, search=search, limits=Limits(z_min_um=0, z_max_um=5))
        if scope.commands or scope.images:
            pytest.fail("something moved or an image was taken")
