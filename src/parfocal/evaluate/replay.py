"""A recorded stack, or the record of a focus run, as a microscope: searches without a sample."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from parfocal.core.errors import CameraError, InputError, StageError
from parfocal.core.setup import OpticalSetup
from parfocal.core.stack import FocalStack
from parfocal.drive.limits import ROUNDING_UM, Limits
from parfocal.drive.record import FocusReport

# What a usual camera and stage take, so that searches can be compared in time and light.
EXPOSURE_MS, MOVE_S = 10.0, 0.1
# A plane is kept once it was read, as long as the planes together are no larger than this.
KEPT_BYTES = 1_000_000_000
# Nothing moves, a plane may lie anywhere beside the command, and nobody needs to wait.
FREE: dict[str, Any] = {"approach": "any", "settle_um": None, "timeout_s": None}


@dataclass
class ReplayLedger:
    """What a replayed run would have cost."""

    images: int = 0
    exposure_ms: float = 0.0

    @property
    def dose(self) -> float:
        """Light on the specimen, in ms at full power."""
        return self.exposure_ms


class ReplayMicroscope:
    """A ``Microscope`` whose images were taken before.

    A move goes to the nearest plane, and ``position_um`` says where that is. Where the z of the
    stack is unknown, um stand for plane numbers. Time is simulated: an image takes its exposure,
    a move ``move_s``.

    Parameters
    ----------
    stack
        The planes.
    start_um
        Where the stage stands at first; default the middle plane.
    interpolate
        Stop between planes, and mix the two neighbouring images by distance. No microscope makes
        such images: blurs do not mix.
    exposure_ms, move_s
        What each image and each move is said to cost.

    Raises
    ------
    InputError
        If ``start_um`` lies outside the stack.

    Notes
    -----
    Laws: an image is the plane at the position that is reported, whatever was commanded.

    Examples
    --------
    >>> stack = FocalStack.of(np.arange(12.0).reshape(3, 2, 2), z_step_um=2.0)
    >>> scope = ReplayMicroscope(stack)
    >>> scope.move_to_um(3.4)
    >>> scope.position_um(), float(scope.snap().mean())
    (4.0, 9.5)
    """

    def __init__(
        self,
        stack: FocalStack,
        *,
        start_um: float | None = None,
        interpolate: bool = False,
        exposure_ms: float = EXPOSURE_MS,
        move_s: float = MOVE_S,
    ) -> None:
        order = np.argsort(stack.z_um)
        kept = KeptPlanes(stack)
        self._prepare(
            stack.z_um[order], stack.z_um[order], [partial(kept.read, int(k)) for k in order]
        )
        self._interpolate, self.setup = interpolate, stack.setup
        self._exposure_ms, self._move_s = exposure_ms, move_s
        middle = float(self._at_um[len(self._at_um) // 2])
        self._z_um = middle if start_um is None else start_um
        if not self._inside(self._z_um):
            raise InputError(
                f"start_um is {self._z_um:g} but the stack reaches from {self.low_um:g} to "
                f"{self.high_um:g}."
            )

    @classmethod
    def of_record(
        cls, report: FocusReport, *, setup: OpticalSetup | None = None
    ) -> ReplayMicroscope:
        """The microscope of a saved run: it shows at each commanded z what was seen there.

        Raises
        ------
        InputError
            If the record keeps no images.
        """
        scope = cls(stack_of_record(report, setup=setup))
        shots: dict[float, Any] = {}
        for shot in report.shots:  # the first look at a place, which the search went by
            if shot.image is not None:
                shots.setdefault(shot.z_commanded_um, shot)
        order = sorted(shots)
        scope._prepare(
            np.array(order),
            np.array([shots[z].z_reached_um for z in order]),
            [partial(np.asarray, shots[z].image) for z in order],
        )
        exposures = [shot.exposure_ms for shot in report.shots if shot.exposure_ms]
        scope._exposure_ms = float(np.median(exposures)) if exposures else EXPOSURE_MS
        scope.low_um, scope.high_um = report.limits.low_um, report.limits.high_um
        scope._z_um, scope._nearest = report.start_um, scope._nearest_to(report.start_um)
        return scope

    def _prepare(
        self,
        at_um: NDArray[np.float64],
        seen_um: NDArray[np.float64],
        planes: Sequence[Callable[[], NDArray[Any]]],
    ) -> None:
        """Take planes, where each is to be asked for, and where the stage then says it is."""
        self._at_um, self._seen_um, self._planes = at_um, seen_um, planes
        self.low_um, self.high_um = float(at_um[0]), float(at_um[-1])
        self._nearest: int | None = None
        self._now_s = 0.0
        self.ledger = ReplayLedger()

    def position_um(self) -> float:
        """Where the stage says that it is: at a plane, once it has moved."""
        return self._z_um

    def move_to_um(self, z_um: float) -> None:
        """Go to the nearest plane, or between planes where that was asked for.

        Raises
        ------
        StageError
            Outside what was recorded; nothing has moved.
        """
        if not self._inside(z_um):
            raise StageError(
                f"z = {z_um:g} um was not recorded, only {self.low_um:g} to {self.high_um:g} um."
            )
        self._now_s += self._move_s
        self._nearest = self._nearest_to(z_um)
        self._z_um = float(z_um) if self._interpolate else float(self._seen_um[self._nearest])

    def snap(self) -> NDArray[Any]:
        """The image (y, x) of the plane where the stage is.

        Raises
        ------
        CameraError
            If the plane cannot be read.
        """
        self._now_s += self._exposure_ms / 1000
        self.ledger.images += 1
        self.ledger.exposure_ms += self._exposure_ms
        try:
            return self._between() if self._interpolate else self._plane()
        except (OSError, ValueError) as error:
            raise CameraError(f"The recorded image at {self._z_um:g} um: {error}") from error

    def exposure_ms(self) -> float:
        """What an image is said to cost, in ms."""
        return self._exposure_ms

    def set_exposure_ms(self, exposure_ms: float) -> None:
        """Refused: a record was exposed once for all."""
        raise CameraError(f"A recorded image cannot be exposed anew, for {exposure_ms:g} ms.")

    def now_s(self) -> float:
        """Time that the run would have taken so far."""
        return self._now_s

    def wait_s(self, seconds: float) -> None:
        """Let time pass."""
        self._now_s += seconds

    def _inside(self, z_um: float) -> bool:
        return self.low_um - ROUNDING_UM <= z_um <= self.high_um + ROUNDING_UM

    def _nearest_to(self, z_um: float) -> int:
        return int(np.abs(self._at_um - z_um).argmin())

    def _plane(self) -> NDArray[Any]:
        nearest = self._nearest_to(self._z_um) if self._nearest is None else self._nearest
        return self._planes[nearest]()

    def _between(self) -> NDArray[Any]:
        """Both neighbours, mixed by distance, in the type of the planes."""
        upper = int(np.clip(np.searchsorted(self._at_um, self._z_um), 1, len(self._at_um) - 1))
        low_um, high_um = self._at_um[upper - 1 : upper + 1]
        share = float(np.clip((self._z_um - low_um) / (high_um - low_um), 0.0, 1.0))
        below, above = self._planes[upper - 1](), self._planes[upper]()
        mixed = (1 - share) * below.astype(np.float64) + share * above
        return (mixed.round() if below.dtype.kind in "ui" else mixed).astype(below.dtype)


class KeptPlanes:
    """Reads each plane of a stack once, if the stack is not too large to be kept."""

    def __init__(self, stack: FocalStack) -> None:
        self._stack = stack
        self._keep = int(np.prod(stack.shape)) * stack.dtype.itemsize <= KEPT_BYTES
        self._planes: dict[int, NDArray[Any]] = {}

    def read(self, plane: int) -> NDArray[Any]:
        """One plane (y, x)."""
        if plane in self._planes:
            return self._planes[plane]
        counts = self._stack.read_counts(plane)
        if self._keep:
            self._planes[plane] = counts
        return counts


def stack_of_record(
    report: FocusReport, *, setup: OpticalSetup | None = None, name: str = ""
) -> FocalStack:
    """The images of a saved run as a stack, in order of the z that was reached.

    Raises
    ------
    InputError
        If the record keeps images at fewer than two z.
    """
    images: dict[float, NDArray[Any]] = {}
    for shot in report.shots:
        if shot.image is not None:
            images.setdefault(shot.z_reached_um, shot.image)
    if len(images) < 2:
        raise InputError(
            f"This record keeps images at {len(images)} heights, too few to replay: record with "
            "keep_images=True (--record)."
        )
    z_um = sorted(images)
    return FocalStack.of(
        np.stack([images[z] for z in z_um]), z_um=np.array(z_um), setup=setup, name=name
    )


def record_limits(report: FocusReport) -> Limits:
    """Limits of a run for its replay: without those of a real stage and of the clock."""
    limits = report.limits
    free = {"settle_um": None, "settle_s": 0.0, "timeout_s": None, "max_seconds": None}
    wide_um = limits.high_um - limits.low_um + 1.0
    return limits.model_copy(update={**free, "max_step_um": None, "still_um": wide_um})


def replay_limits(scope: ReplayMicroscope, limits: Limits | None = None) -> Limits:
    """All that was recorded, with the budget of ``limits``.

    Steps and approach are left out: nothing moves.
    """
    if limits is None:
        return Limits(z_min_um=scope.low_um, z_max_um=scope.high_um, **FREE)
    return Limits(
        z_min_um=scope.low_um,
        z_max_um=scope.high_um,
        **FREE,
        max_images=limits.max_images,
        max_exposure_ms=limits.max_exposure_ms,
        max_seconds=limits.max_seconds,
        after_failure=limits.after_failure,
    )
