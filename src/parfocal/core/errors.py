"""Errors that say what came, what is allowed, and what to do next."""

from __future__ import annotations

from collections.abc import Iterable


class ParfocalError(Exception):
    """Root of every error this package raises on purpose; its text is one line for the user."""


class InputError(ParfocalError, ValueError):
    """An input that cannot be used: a file that is not an image, or data with no information."""


class ReadError(InputError):
    """A file or folder that cannot be read: absent, empty, truncated or of an unknown format."""


class MetadataError(InputError):
    """Metadata that a computation needs and that is missing, or that contradicts itself."""


class ShapeError(InputError):
    """Arrays whose axes or sizes do not fit the call."""


class UnknownNameError(InputError):
    """A name that is not in a catalogue; the message lists the ones that are."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        choices = ", ".join(sorted(known))
        super().__init__(f"There is no {kind} called {name!r}. Choose one of: {choices}.")


class MissingExtraError(ParfocalError, ImportError):
    """An optional library is not installed; the message gives the command that installs it."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs an optional library: pip install 'parfocal[{extra}]'.")


class DeviceError(ParfocalError):
    """A microscope part did not do what it was told."""


class StageError(DeviceError):
    """A stage raised, stalled or did not arrive."""


class CameraError(DeviceError):
    """A camera raised or gave no image."""


class ForeignMoveError(StageError):
    """A stage that is no longer where it was left: someone else moves it, so nothing here does."""


class LimitsError(InputError):
    """A position, step or setting that the limits of a run do not allow; nothing has moved."""


class BudgetError(ParfocalError):
    """The next image would exceed the images, exposure or time that the limits allow."""
