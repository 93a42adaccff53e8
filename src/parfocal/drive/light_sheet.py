"""A light sheet as a focus stage: the plane of detection stands, and the sheet comes to it."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from numpy.typing import NDArray

from parfocal.core.errors import InputError
from parfocal.core.protocols import Camera, LightSheet

SHARED = (
    "exposure_ms", "set_exposure_ms", "channels", "channel", "set_channel", "light_is_on",
    "set_light", "xy_um", "move_xy_to_um", "now_s", "wait_s", "ledger",
)  # fmt: skip
"""What the microscope can do beside its stage, and this one then can do too."""


@runtime_checkable
class SheetMicroscope(Camera, LightSheet, Protocol):
    """A camera and a light sheet that moves along the axis of detection."""


class SheetFocus:
    """Focus a light-sheet microscope by its sheet: a ``Microscope`` for every search.

    Its z is that of the plane of detection above the sheet, the negative of the sheet's offset:
    the image is in focus where the two meet, and a plane above the sheet has a positive defocus
    [Li2021]_. The stage and the specimen do not move. Limits are those of z, thus of the negative
    offset.

    Parameters
    ----------
    scope
        A camera with a sheet that moves.

    Raises
    ------
    InputError
        If ``scope`` has none.

    Examples
    --------
    >>> class Lamp:
    ...     offset_um = 4.0
    ...     def snap(self): return None
    ...     def sheet_offset_um(self): return self.offset_um
    ...     def set_sheet_offset_um(self, offset_um): self.offset_um = offset_um
    >>> focus = SheetFocus(Lamp())
    >>> focus.move_to_um(focus.position_um() + 3.0)
    >>> focus.position_um()
    -1.0
    """

    def __init__(self, scope: Any) -> None:
        if not isinstance(scope, SheetMicroscope):
            raise InputError(
                f"{type(scope).__name__} has no light sheet that moves: it needs snap(), "
                "sheet_offset_um() and set_sheet_offset_um()."
            )
        self.scope: SheetMicroscope = scope
        for name in SHARED:
            if hasattr(scope, name):
                setattr(self, name, getattr(scope, name))

    def snap(self) -> NDArray[Any]:
        """Take one image (y, x)."""
        return self.scope.snap()

    def position_um(self) -> float:
        """z of the plane of detection above the sheet, as commanded, in um."""
        return -self.scope.sheet_offset_um()

    def move_to_um(self, z_um: float) -> None:
        """Move the sheet so that the plane of detection is ``z_um`` above it."""
        self.scope.set_sheet_offset_um(-z_um)
