"""The focus stage between two focus runs: the same gate for every frame."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from parfocal.core.errors import ForeignMoveError, StageError
from parfocal.drive.gate import Gate
from parfocal.drive.limits import Limits
from parfocal.drive.pymmcore.connect import CoreMicroscope

Told = TypeVar("Told")
SAME_UM = 1e-6


class FocusAxis:
    """Moves the focus through a ``Gate``, tries again, and notices who else moves it.

    Parameters
    ----------
    scope
        The microscope.
    limits
        The envelope; its budget is that of focus runs and does not count here.
    retries
        How often a move that failed is tried again.
    """

    def __init__(self, scope: CoreMicroscope, limits: Limits, *, retries: int) -> None:
        unmetered = dict.fromkeys(("max_images", "max_exposure_ms", "max_seconds"))
        self._scope, self._limits = scope, limits.model_copy(update=unmetered)
        self._most = retries
        self._gate: Gate | None = None
        # Where a move of this gate ended; None where there was none, or it failed.
        self._left_um: float | None = None
        self.retries = 0

    def go(self, z_um: float | None) -> float:
        """Go to ``z_um``, or stay where None; gives where the stage stands.

        Raises
        ------
        LimitsError
            If it is not allowed; nothing has moved.
        ForeignMoveError
            If the stage is not where it was left; nothing has moved.
        StageError
            If it failed as often as it was tried.
        """
        if self._gate is None:
            self._gate = Gate(self._scope, self._limits)
        gate, left_um = self._gate, self._left_um
        here_um = gate.position_um()
        if left_um is not None and abs(here_um - left_um) > self._limits.still_um:
            raise ForeignMoveError(
                f"The stage stands at {here_um:g} um, but was left at {left_um:g} um: another "
                "program or hand moves it. Nothing was moved; stop the other one first."
            )
        if z_um is None or (left_um is not None and abs(z_um - gate.commanded_um) < SAME_UM):
            return here_um
        self._left_um = None
        self._left_um = self.persist(lambda: gate.move_to_um(z_um))
        return self._left_um

    def persist(self, move: Callable[[], Told]) -> Told:
        """Try a move until it works, or was tried often enough."""
        for _ in range(self._most):
            try:
                return move()
            except ForeignMoveError:
                raise
            except StageError:
                self.retries += 1
        return move()

    def close(self) -> None:
        """Let go, so that a focus run may move the stage."""
        if self._gate is not None:
            self._gate.close()
        self._gate = self._left_um = None
