"""What a focus search is: a value that looks through an eye and proposes where focus lies."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from parfocal.core.results import FocusCurve, Status
from parfocal.core.setup import OpticalSetup
from parfocal.drive.gate import Gate
from parfocal.drive.limits import Limits
from parfocal.drive.shots import Sharpness, Shot


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """Where a search believes focus to be; only ``found`` is an answer.

    Parameters
    ----------
    status, reason
        What it is worth, in one word and in plain words.
    z_um, interval_um
        The answer and its 90 % interval (low, high), None unless found.
    expected_score
        Score that an image at ``z_um`` should have; None where the search cannot say.
    tolerance
        How far below that the score may lie by noise and misfit.
    even_power
        Scores were divided by this power of the mean counts, since the light changed.
    width_um
        Half width of the peak, to a quarter of its height; None where the search cannot say.
    shot
        Number of the image that stands at the answer and has been judged; None before.
    """

    status: Status
    reason: str
    z_um: float | None = None
    interval_um: tuple[float, float] | None = None
    expected_score: float | None = None
    tolerance: float = 0.0
    even_power: float = 0.0
    width_um: float | None = None
    shot: int | None = None

    @property
    def found(self) -> bool:
        """Whether there is an answer."""
        return self.status == Status.FOUND and self.z_um is not None


@runtime_checkable
class Search(Protocol):
    """Anything that looks and then proposes. Implementations are frozen pydantic values."""

    def propose(self, eye: Eye) -> Proposal:
        """Look at as many z as needed, and say where focus lies, or why nowhere."""
        ...


class Eye:
    """What a search sees of the microscope: it looks at a z and gets a shot.

    Parameters
    ----------
    gate
        The way to the stage and the camera.
    sharpness
        How images are read.
    keep_images
        Whether shots carry their image.
    on_shot
        Called with every shot as it comes.
    """

    def __init__(
        self,
        gate: Gate,
        sharpness: Sharpness,
        *,
        keep_images: bool = False,
        on_shot: Callable[[Shot], None] | None = None,
    ) -> None:
        self._gate, self._sharpness = gate, sharpness
        self._keep, self._on_shot = keep_images, on_shot
        self._shots: list[Shot] = []
        self.last_image: NDArray[Any] | None = None

    @property
    def limits(self) -> Limits:
        """The envelope; looking outside raises LimitsError."""
        return self._gate.limits

    @property
    def start_um(self) -> float:
        """Where the stage stood when the run began."""
        return self._gate.start_um

    @property
    def position_um(self) -> float:
        """Where the stage says that it is."""
        return self._gate.position_um()

    @property
    def setup(self) -> OpticalSetup | None:
        """The optics, if known."""
        return self._sharpness.setup

    @property
    def depth_of_field_um(self) -> float | None:
        """One depth of field, n * wavelength / NA^2, if the optics are known."""
        return None if self.setup is None else self.setup.depth_of_field_um

    @property
    def measure(self) -> str:
        """Name of the measure."""
        return self._sharpness.name

    @property
    def shots(self) -> tuple[Shot, ...]:
        """Every image so far, in order."""
        return tuple(self._shots)

    @property
    def last_area(self) -> NDArray[Any] | None:
        """The part of the last image that is read; None before the first."""
        return None if self.last_image is None else self._sharpness.cut(self.last_image)

    @property
    def looks_left(self) -> float:
        """Images that a search may still take: the budget, less one to verify the answer."""
        return max(0.0, self._gate.images_left - 1)

    @property
    def can_sweep(self) -> bool:
        """Whether the microscope streams images while it moves."""
        return self._gate.can_sweep

    def window_um(self, range_um: float | None) -> tuple[float, float]:
        """The allowed part of a range around the start; None is all that is allowed."""
        return self.limits.window_um(self.start_um, range_um)

    def look(self, z_um: float, why: str = "", *, reuse_um: float | None = None) -> Shot:
        """Go to ``z_um`` and take an image.

        Parameters
        ----------
        reuse_um
            Give an earlier shot instead if one was commanded within this distance.

        Raises
        ------
        LimitsError
            If ``z_um`` is not allowed; nothing has moved.
        BudgetError
            If no image is left.
        DeviceError
            If the stage or the camera failed.
        """
        if reuse_um is not None and self._shots:
            nearest = min(self._shots, key=lambda shot: abs(shot.z_commanded_um - z_um))
            if abs(nearest.z_commanded_um - z_um) <= reuse_um:
                return nearest
        self.limits.require(z_um)
        if not self._gate.stands_at(z_um):
            self._gate.move_to_um(z_um)
        image = self._gate.snap()
        return self._add(image, z_um, self._gate.own_position_um(), why)

    def sweep(self, z_from_um: float, z_to_um: float, count: int, why: str = "") -> Iterator[Shot]:
        """Take ``count`` images in one continuous move; see ``Gate.sweep`` for the errors."""
        with closing(self._gate.sweep(z_from_um, z_to_um, count)) as frames:
            for z_um, image in frames:
                yield self._add(image, z_um, z_um, why)

    def curve(self) -> FocusCurve | None:
        """Scores of all shots in order of z; None before the first."""
        if not self._shots:
            return None
        z_um, scores = samples(self._shots)
        return FocusCurve(z_um=z_um, scores=scores, measure=self.measure)

    def _add(self, image: NDArray[Any], commanded_um: float, reached_um: float, why: str) -> Shot:
        reading = self._sharpness.read(image)
        shot = Shot(
            number=len(self._shots),
            z_commanded_um=commanded_um,
            z_reached_um=reached_um,
            **{name: getattr(reading, name) for name in reading.__dataclass_fields__},
            seconds=self._gate.seconds,
            exposure_ms=self._gate.exposure_ms(),
            dose=self._gate.dose,
            why=why,
            image=image if self._keep else None,
        )
        self.last_image = image
        self._shots.append(shot)
        if self._on_shot is not None:
            self._on_shot(shot)
        return shot


def samples(shots: list[Shot]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Reached z and score of each shot, in order of z."""
    pairs = sorted((shot.z_reached_um, shot.score) for shot in shots)
    z_um, scores = np.array(pairs, dtype=np.float64).reshape(-1, 2).T
    return z_um, scores


def sharpest(shots: tuple[Shot, ...]) -> Shot | None:
    """The shot with the highest score; None where no score is a number."""
    scored = [shot for shot in shots if math.isfinite(shot.score)]
    return max(scored, key=lambda shot: shot.score) if scored else None


def settings_of(search: Any) -> dict[str, Any]:
    """A search as plain values for a record."""
    dump = getattr(search, "model_dump", None)
    if callable(dump):
        return dict(dump(mode="json"))
    return {"kind": type(search).__name__}
