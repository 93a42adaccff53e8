"""The one place that moves the stage or takes an image."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from parfocal.core.errors import (
    CameraError,
    DeviceError,
    ForeignMoveError,
    LimitsError,
    StageError,
)
from parfocal.core.protocols import Brake, Exposure, Microscope, Stream
from parfocal.drive.limits import ROUNDING_UM, Limits, next_step_um
from parfocal.drive.spending import Spending
from parfocal.drive.watchdog import Watchdog


@dataclass(frozen=True)
class Move:
    """One command to the stage; ``z_reached_um`` is None where it never said that it arrived."""

    z_commanded_um: float
    z_reached_um: float | None
    seconds: float


class Gate:
    """Moves and snaps within limits, counts what is spent, and refuses the rest.

    Parameters
    ----------
    scope
        Any ``Microscope``. What it has of ``Exposure``, ``Clock``, ``Brake``, ``Stream`` and
        ``DoseMeter`` is used.
    limits
        The envelope.

    Raises
    ------
    LimitsError
        If the stage stands outside the limits, or the dose is limited and the camera does not
        tell its exposure.
    StageError
        If the stage does not say where it is. Nothing has moved then.

    Notes
    -----
    Laws: no command outside the limits, none further than ``max_step_um`` from the last command
    or from the position reported before it, no image beyond the budget.
    """

    def __init__(self, scope: Microscope, limits: Limits) -> None:
        self.scope, self.limits = scope, limits
        self.moves: list[Move] = []
        self.spent = Spending(scope, limits)
        self._watchdog, self._bell = Watchdog(), Watchdog()
        self._exposure = scope if isinstance(scope, Exposure) else None
        self._stream = scope if isinstance(scope, Stream) else None
        self._kind: tuple[tuple[int, ...], np.dtype[Any]] | None = None
        # Travel towards ``limits.side`` since the last travel against it.
        self._taken_up_um = 0.0
        if limits.max_exposure_ms is not None and self._exposure is None:
            raise LimitsError(
                "max_exposure_ms is set, but this camera does not tell its exposure: "
                "give the microscope exposure_ms() and set_exposure_ms(), or limit max_images."
            )
        self.seen_um: float | None = None
        with ExitStack() as closing:
            closing.callback(self.close)
            self.start_um = self.position_um()
            limits.require(self.start_um, "the stage stands at")
            closing.pop_all()
        self.commanded_um = self.start_um
        self._left_at_um: float | None = self.start_um

    def __enter__(self) -> Gate:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the driver; nothing moves."""
        self._watchdog.close()
        self._bell.close()

    @property
    def can_sweep(self) -> bool:
        """Whether the camera streams while the stage moves."""
        return self._stream is not None

    @property
    def images(self) -> int:
        """Images so far, those that failed included."""
        return self.spent.images

    @property
    def exposure_sum_ms(self) -> float:
        """Their summed exposure."""
        return self.spent.exposure_ms

    @property
    def seconds(self) -> float:
        """Time since the gate was opened."""
        return self.spent.seconds

    @property
    def dose(self) -> float:
        """Light since the gate was opened, in ms at full power; else the summed exposure."""
        return self.spent.dose

    @property
    def images_left(self) -> float:
        """Images that the budget still allows, at the present exposure."""
        needs_exposure = self.limits.max_exposure_ms is not None
        return self.spent.images_left(self.exposure_ms() if needs_exposure else None)

    def position_um(self) -> float:
        """Where the stage says that it is."""
        position = self._call("reading the stage", self.scope.position_um, StageError)
        z_um = float(position) if isinstance(position, (int, float, np.number)) else math.nan
        if not math.isfinite(z_um):
            raise StageError(f"The stage reports {position!r} as its position: check its driver.")
        self.seen_um = z_um
        return z_um

    def own_position_um(self) -> float:
        """Where the stage is, if that is where it was left.

        Raises
        ------
        ForeignMoveError
            If it is somewhere else.
        """
        position = self.position_um()
        left = self._left_at_um
        if left is not None and abs(position - left) > self.limits.still_um:
            raise ForeignMoveError(
                f"The stage stands at {position:g} um, but was left at {left:g} um: another "
                "program or hand moves it. Nothing was moved; stop the other one first."
            )
        self._left_at_um = position
        return position

    def stands_at(self, z_um: float) -> bool:
        """Whether the last move went to ``z_um``, and came from the right side."""
        left = self._left_at_um is not None
        return left and self.commanded_um == z_um and len(self._legs_um(z_um)) == 1

    def move_to_um(self, z_um: float, *, late: bool = False) -> float:
        """Go to ``z_um`` in permitted steps; gives the position reached.

        Parameters
        ----------
        late
            Allow the move although ``max_seconds`` are over (the way back).

        Raises
        ------
        LimitsError
            If ``z_um`` is not allowed; nothing has moved.
        BudgetError
            If the time is over; nothing has moved.
        ForeignMoveError
            If the stage is not where it was left; nothing has moved.
        StageError
            If it raised, hung, stalled or went astray.
        """
        self.limits.require(z_um)
        if not late:
            self.spent.require_time()
        position = self.own_position_um()
        legs = self._legs_um(z_um)
        before, taken_up = (
            (self.commanded_um, self._taken_up_um) if len(legs) == 1 else (legs[0], 0)
        )
        self._taken_up_um = 0.0
        for leg_um in legs:
            position = self._walk(leg_um)
        way = (z_um - before) * self._sign
        self._taken_up_um = taken_up + way if way >= 0 else 0.0
        return position

    @property
    def _sign(self) -> float:
        return -1.0 if self.limits.side == "down" else 1.0

    def snap(self) -> NDArray[Any]:
        """Take one image (y, x).

        Raises
        ------
        BudgetError
            Before the image that would exceed the budget.
        CameraError
            If the camera raised, hung, or gave no image of the size that it gave before.
        """
        exposure_ms = self.exposure_ms()
        self.spent.add(exposure_ms)
        began_s = self.spent.now_s()
        image = self._call(
            "taking an image", self._copy_image, CameraError, extra_s=(exposure_ms or 0) / 1000
        )
        self.spent.longest_s = max(self.spent.longest_s, self.spent.now_s() - began_s)
        return self._checked(image)

    def sweep(
        self, z_from_um: float, z_to_um: float, count: int
    ) -> Generator[tuple[float, NDArray[Any]], None, None]:
        """Take ``count`` images while the stage moves from one z to the other.

        Raises
        ------
        LimitsError
            If an end is not allowed, the way is longer than ``max_step_um``, or the microscope
            does not stream.
        BudgetError
            If so many images exceed the budget; nothing has moved.
        """
        if self._stream is None:
            raise LimitsError("This microscope does not stream images while it moves (sweep).")
        for z_um in (z_from_um, z_to_um):
            self.limits.require(z_um)
        cap, way = self.limits.max_step_um, abs(z_to_um - z_from_um)
        if cap is not None and way > cap * (1 + 1e-9):
            raise LimitsError(
                f"A sweep over {way:g} um is longer than max_step_um = {cap:g} um: divide it."
            )
        self.spent.require(count, self.exposure_ms())
        self.move_to_um(z_from_um)
        self.commanded_um, self._left_at_um, self._taken_up_um = z_to_um, None, 0.0
        began_s = self.spent.now_s()
        self.moves.append(Move(z_to_um, None, self.seconds))
        start = partial(self._stream.sweep, z_from_um, z_to_um, count)
        stream = self._call("starting the sweep", lambda: iter(start()), StageError)
        try:
            for _ in range(count):
                self.spent.add(self.exposure_ms())
                item = self._call("the sweep", partial(_next_frame, stream), CameraError)
                if item is None:
                    raise CameraError(f"The sweep ended early: it promised {count} images.")
                self._require_inside(item[0])
                yield item[0], self._checked(item[1])
            self._call("ending the sweep", lambda: next(stream, None), StageError)
        finally:
            self._stop(stream)
        took_s = (self.spent.now_s() - began_s) / count
        self.spent.longest_s = max(self.spent.longest_s, took_s)
        self._left_at_um = self.position_um()
        self._require_inside(self._left_at_um)
        self.moves[-1] = Move(z_to_um, self._left_at_um, self.moves[-1].seconds)

    def _stop(self, stream: Iterator[Any]) -> None:
        """Close a stream, which stops its stage, unless its driver hangs."""
        close = getattr(stream, "close", None)
        if callable(close) and self._watchdog.idle:
            self._call("stopping the sweep", close, StageError)

    def abort(self) -> bool:
        """Stop all motion and wait for the driver to return; False if it does not."""
        wait_s = self.limits.timeout_s
        if isinstance(self.scope, Brake):
            self._bell.call(self.scope.abort, wait_s)
        self._left_at_um = None if not self._watchdog.idle else self._left_at_um
        return self._watchdog.wait_idle(30.0 if wait_s is None else wait_s)

    def exposure_ms(self) -> float | None:
        """Exposure of the next image; None where the camera does not tell.

        Raises
        ------
        CameraError
            If it is not positive.
        """
        if self._exposure is None:
            return None
        read = self._exposure.exposure_ms
        value = self._call("reading the exposure", lambda: float(read()), CameraError)
        if not (value > 0 and math.isfinite(value)):
            raise CameraError(f"The exposure is {value:g} ms: set a positive one.")
        return float(value)

    def _copy_image(self) -> NDArray[Any]:
        """A copy, since cameras use their buffers again."""
        return np.array(self.scope.snap())

    def _checked(self, image: NDArray[Any]) -> NDArray[Any]:
        """The image if it is one, like those before it, and the stage stood still."""
        if image.ndim != 2 or 0 in image.shape or image.dtype.kind not in "buif":
            raise CameraError(
                f"The camera gave {image.dtype} of shape {image.shape}; a focus search needs one "
                "image (y, x) of real numbers: choose one channel."
            )
        kind = (image.shape, image.dtype)
        if self._kind is not None and kind != self._kind:
            raise CameraError(
                f"The camera gave {kind[1]} of {kind[0]}, before it were {self._kind[1]} of "
                f"{self._kind[0]}: keep region, binning and pixel type fixed while focusing."
            )
        self._kind = kind
        if not np.isfinite(image.sum(dtype=np.float64)):
            raise CameraError(f"Image {self.images} holds NaN or infinite pixels.")
        return image

    def _legs_um(self, z_um: float) -> tuple[float, ...]:
        """Targets on the way, so that the last move comes from ``limits.side`` and is long enough.

        Where there is less room, it begins at the end of the range.
        """
        limits = self.limits
        if not limits.overshoot_um:
            return (z_um,)
        beyond = z_um - self._sign * limits.overshoot_um
        beyond = min(max(beyond, limits.low_um), limits.high_um)
        way = (z_um - self.commanded_um) * self._sign
        enough = way >= 0 and self._taken_up_um + way >= abs(z_um - beyond) - ROUNDING_UM
        return (z_um,) if enough or beyond == z_um else (beyond, z_um)

    def _walk(self, target_um: float) -> float:
        """Go to a target in steps of at most ``max_step_um``."""
        cap = self.limits.max_step_um
        way = abs(target_um - self.commanded_um)
        most = 1 if cap is None else 2 * math.ceil(way / cap) + 8
        for _ in range(most):
            position = self.own_position_um()
            z_um = next_step_um(target_um, position, self.commanded_um, cap)
            reached = self._command(z_um)
            if z_um == target_um:
                return reached
        raise StageError(
            f"{most} steps did not bring the stage to {target_um:g} um; "
            f"it stands at {reached:g} um."
        )

    def _command(self, z_um: float) -> float:
        """Send the stage to ``z_um`` and see where it comes to stand."""
        self.limits.require(z_um)
        self.moves.append(Move(z_um, None, self.seconds))
        self.commanded_um, self._left_at_um = z_um, None
        move = partial(self.scope.move_to_um, z_um)
        self._call(f"the move to {z_um:g} um", move, StageError)
        if self.limits.settle_s:
            wait_s = self.limits.settle_s
            self._call("settling", partial(self.spent.wait, wait_s), StageError, extra_s=wait_s)
        reached = self.position_um()
        self.moves[-1] = Move(z_um, reached, self.moves[-1].seconds)
        self._left_at_um = reached
        self._require_inside(reached)
        most = self.limits.settle_um
        if most is not None and abs(reached - z_um) > most:
            raise StageError(
                f"The stage was sent to {z_um:g} um and stands at {reached:g} um, more than "
                f"settle_um = {most:g} um away: it stalled, or its report is wrong."
            )
        return reached

    def _require_inside(self, reached_um: float) -> None:
        """Raise StageError where the stage came to stand outside the limits."""
        limits = self.limits
        slack = min(limits.settle_um or limits.still_um, limits.still_um)
        if not limits.low_um - slack <= reached_um <= limits.high_um + slack:
            raise StageError(
                f"The stage stands at {reached_um:g} um, outside {limits.low_um:g} to "
                f"{limits.high_um:g} um, where it was not sent."
            )

    def _call(
        self, what: str, task: Callable[[], Any], kind: type[DeviceError], *, extra_s: float = 0.0
    ) -> Any:
        """Call the driver; whatever it raises comes out as a DeviceError, Ctrl-C as itself."""
        timeout_s = self.limits.timeout_s
        allowed_s = None if timeout_s is None else timeout_s + extra_s
        if not self._watchdog.idle:
            raise kind(f"The driver has not returned from an earlier call; {what} was not tried.")
        began_s = self.spent.now_s()
        outcome = self._watchdog.call(task, allowed_s)
        took_s = self.spent.now_s() - began_s
        if outcome is not None and outcome.error is not None:
            outcome.reraise(what, kind)
        if outcome is None or (allowed_s is not None and took_s > allowed_s):
            raise kind(f"The driver hangs: {what} took longer than {allowed_s:g} s (timeout_s).")
        return outcome.value


def _next_frame(stream: Iterator[Any]) -> tuple[float, NDArray[Any]] | None:
    item = next(stream, None)
    return None if item is None else (float(item[0]), np.array(item[1]))
