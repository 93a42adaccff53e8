"""What parfocal asks of a microscope: small protocols, and nothing more."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from numpy.typing import NDArray


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
