"""Results of predicting: signed defocus of a field, of its patches, and as a map."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float

from parfocal.core.errors import InputError
from parfocal.core.status import Status, plain


@dataclass(frozen=True, eq=False, kw_only=True)
class PatchDefocus:
    """What each patch of a field says about the defocus of the first image.

    ``defocus_um`` and ``certainty`` are (patch y, patch x); a patch with nothing to judge is
    NaN in both. ``patch_px`` is the side of a patch and ``stride_px`` the
    distance of their corners along (y, x), both in pixels of the images.
    """

    defocus_um: Float[np.ndarray, "py px"]
    certainty: Float[np.ndarray, "py px"]
    patch_px: float
    stride_px: tuple[float, float]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "patch_px": self.patch_px,
            "stride_px": plain(self.stride_px),
            "defocus_um": plain(self.defocus_um),
            "certainty": plain(self.certainty),
        }


@dataclass(frozen=True, eq=False, kw_only=True)
class DefocusEstimate:
    """Signed defocus of the first of a few images.

    Parameters
    ----------
    status
        ``found`` is an answer; with every other status its numbers are None.
    reason
        Plain words: what was found, or why there is no answer.
    defocus_um
        z of the first image less z of best focus; a stage there must move by its negative.
    defocus_dof
        The same in depths of field, n * wavelength / NA^2.
    interval_um
        90 % interval (low, high) of defocus_um.
    certainty
        From 0 (all classes alike) to 1 (one class), of the whole field.
    probabilities, classes_um
        The field's distribution and the defocus that each class stands for, whatever the
        status: for plots, and not an answer.
    patches
        What each patch says; None where there was nothing to judge.
    tilt_um_per_mm
        Slope of the defocus along (y, x), from the patches; None where they cannot tell.
    warnings
        What to look at although there is an answer.
    """

    status: Status
    reason: str
    defocus_um: float | None = None
    defocus_dof: float | None = None
    interval_um: tuple[float, float] | None = None
    certainty: float | None = None
    probabilities: Float[np.ndarray, " c"] | None = None
    classes_um: Float[np.ndarray, " c"] | None = None
    patches: PatchDefocus | None = None
    tilt_um_per_mm: tuple[float, float] | None = None
    warnings: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        numbers = (self.defocus_um, self.defocus_dof, self.interval_um)
        answered = {value is not None for value in numbers}
        if answered != {self.status == Status.FOUND}:
            raise InputError(
                f"A defocus estimate with status {self.status} must carry "
                f"{'every' if self.status == Status.FOUND else 'no'} number."
            )

    @property
    def found(self) -> bool:
        """Whether there is an answer."""
        return self.status == Status.FOUND

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        names = (
            "status", "reason", "defocus_um", "defocus_dof", "interval_um", "certainty",
            "probabilities", "classes_um", "tilt_um_per_mm", "warnings",
        )  # fmt: skip
        values = {name: plain(getattr(self, name)) for name in names}
        values["patches"] = None if self.patches is None else self.patches.to_dict()
        return values


@dataclass(frozen=True, eq=False, kw_only=True)
class DefocusMap:
    """Signed defocus of the first of a few images at every place of a field.

    Parameters
    ----------
    status
        ``found`` if there is an answer anywhere.
    reason
        Plain words: how many places have one, or why none has.
    defocus_um
        z of the first image less z of best focus in each window; NaN where there is no answer.
    certainty
        From 0 (all classes alike) to 1 (one class); NaN where there is nothing to judge.
    window_px
        Side of a window, in pixels of the images.
    stride_px
        Distance of the windows' middles along (y, x), likewise.
    offset_px
        Middle (y, x) of the first window among pixel centres 0, 1, ...: the middle of window
        (v, u) is at offset_px + (v, u) * stride_px.
    """

    status: Status
    reason: str
    defocus_um: Float[np.ndarray, "v u"]
    certainty: Float[np.ndarray, "v u"]
    window_px: float
    stride_px: tuple[float, float]
    offset_px: tuple[float, float]

    def __post_init__(self) -> None:
        if bool(np.isfinite(self.defocus_um).any()) != self.found:
            raise InputError(
                f"A defocus map with status {self.status} must "
                f"{'carry' if self.found else 'not carry'} an answer."
            )

    @property
    def found(self) -> bool:
        """Whether there is an answer anywhere."""
        return self.status == Status.FOUND

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        names = (
            "status", "reason", "window_px", "stride_px", "offset_px", "defocus_um", "certainty",
        )  # fmt: skip
        return {name: plain(getattr(self, name)) for name in names}
