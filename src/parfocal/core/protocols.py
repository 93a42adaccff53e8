"""What parfocal asks of a microscope: small protocols, and nothing more.

A focus search needs a Microscope. Each further protocol is asked for only by what needs it, by
``isinstance``: a driver offers those that it has.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol, runtime_checkable

from numpy.typing import NDArray

from parfocal.core.setup import OpticalSetup


@runtime_checkable
class Camera(Protocol):
    """Something that takes one image."""

    def snap(self) -> NDArray[Any]:
        """Take one image (y, x), in counts; raise CameraError if there is none."""
        ...


@runtime_checkable
class Stage(Protocol):
    """Something that moves the focus."""

    def position_um(self) -> float:
        """Where the stage is, in um."""
        ...

    def move_to_um(self, z_um: float) -> None:
        """Move, and return when settled; raise StageError if it does not arrive."""
        ...


@runtime_checkable
class Microscope(Camera, Stage, Protocol):
    """A camera on a focus stage: all that a focus search needs."""


@runtime_checkable
class Exposure(Protocol):
    """A camera whose exposure can be set."""

    def exposure_ms(self) -> float:
        """Exposure of the next image, in ms."""
        ...

    def set_exposure_ms(self, exposure_ms: float) -> None:
        """Set the exposure; raise CameraError if the camera cannot."""
        ...


@runtime_checkable
class XYStage(Protocol):
    """Something that moves the specimen across the field."""

    def xy_um(self) -> tuple[float, float]:
        """Where the stage is, (x, y) in um."""
        ...

    def move_xy_to_um(self, x_um: float, y_um: float) -> None:
        """Move, and return when settled; raise StageError if it does not arrive."""
        ...


@runtime_checkable
class Channels(Protocol):
    """A choice of light paths, of which one is in use."""

    def channels(self) -> tuple[str, ...]:
        """Names of the channels."""
        ...

    def channel(self) -> str:
        """Name of the channel in use."""
        ...

    def set_channel(self, name: str) -> None:
        """Change the channel; raise UnknownNameError if there is no such channel."""
        ...


@runtime_checkable
class Light(Protocol):
    """A light source with a shutter."""

    def light_is_on(self) -> bool:
        """Whether light falls on the specimen now."""
        ...

    def set_light(self, on: bool) -> None:
        """Open or close the shutter."""
        ...


@runtime_checkable
class LedArray(Protocol):
    """An array of lamps, each a direction of light given as numerical apertures."""

    def leds(self) -> tuple[tuple[float, float], ...]:
        """Directions (na_y, na_x) of the lamps that shine."""
        ...

    def set_leds(self, na_yx: Sequence[tuple[float, float]]) -> None:
        """Shine from these directions (na_y, na_x), and from no other."""
        ...


@runtime_checkable
class LightSheet(Protocol):
    """A light sheet that moves along the axis of detection."""

    def sheet_offset_um(self) -> float:
        """z of the sheet minus z of the focal plane, in um."""
        ...

    def set_sheet_offset_um(self, offset_um: float) -> None:
        """Move the sheet; raise StageError if it does not arrive."""
        ...


@runtime_checkable
class Stream(Protocol):
    """A stage that moves while the camera streams."""

    def sweep(
        self, z_from_um: float, z_to_um: float, count: int
    ) -> Iterator[tuple[float, NDArray[Any]]]:
        """Yield (z_um, image) ``count`` times between two positions, in the order of travel.

        z_um is where the stage was in the middle of the exposure. An iterator that is closed
        early stops the stage; a lost image raises CameraError, a stall StageError.
        """
        ...


@runtime_checkable
class Brake(Protocol):
    """Something that stops all motion at once."""

    def abort(self) -> None:
        """Stop every stage where it is; callable from any thread while a move runs."""
        ...


@runtime_checkable
class Clock(Protocol):
    """Time as the microscope has it: simulated, or that of the wall."""

    def now_s(self) -> float:
        """Seconds since some fixed moment; never falls."""
        ...

    def wait_s(self, seconds: float) -> None:
        """Let time pass."""
        ...


@runtime_checkable
class Ledger(Protocol):
    """What the images cost so far."""

    @property
    def images(self) -> int:
        """Images taken, those that failed included: they cost light too."""
        ...

    @property
    def exposure_ms(self) -> float:
        """Sum of all exposures, in ms."""
        ...

    @property
    def dose(self) -> float:
        """Light on the specimen, in ms at full power."""
        ...


@runtime_checkable
class DoseMeter(Protocol):
    """A microscope that keeps account of light and time."""

    @property
    def ledger(self) -> Ledger:
        """The account so far."""
        ...


@runtime_checkable
class Defocus(Protocol):
    """What a predictor answers; only the status ``found`` is an answer."""

    @property
    def status(self) -> str:
        """One of ``parfocal.core.results.Status``."""
        ...

    @property
    def reason(self) -> str:
        """Plain words."""
        ...

    @property
    def defocus_um(self) -> float | None:
        """z of the first image minus z of best focus, in um."""
        ...

    @property
    def interval_um(self) -> tuple[float, float] | None:
        """90 % interval (low, high) of defocus_um."""
        ...


@runtime_checkable
class DefocusPredictor(Protocol):
    """Something that tells from one to three images how far the first is from focus."""

    def predict(
        self, images: Any, *, spacing_um: float | None = None, setup: OpticalSetup | None = None
    ) -> Defocus:
        """Judge images (n, y, x), in order of increasing stage z, ``spacing_um`` apart."""
        ...
