"""What the verbs answer. Only the status ``found`` is an answer; the rest say why there is none."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray

from parfocal.core.defocus import DefocusEstimate, DefocusMap, PatchDefocus
from parfocal.core.errors import InputError
from parfocal.core.masks import FocusMasks
from parfocal.core.refocused import Refocused
from parfocal.core.status import Status, plain

__all__ = [
    "DefocusEstimate",
    "DefocusMap",
    "DepthMap",
    "FocusCurve",
    "FocusEstimate",
    "FocusMasks",
    "FocusQuality",
    "Fused",
    "PatchDefocus",
    "Refocused",
    "Status",
    "TileFocus",
]


@dataclass(frozen=True, eq=False, kw_only=True)
class FocusCurve:
    """One score per plane.

    Parameters
    ----------
    z_um
        Stage z of each plane in um (plane numbers where the stack's z is unknown).
    scores
        Score of each plane in the measure's own unit; larger is sharper.
    measure
        Name of the measure in ``parfocal.measures.CATALOG``.
    spread
        One standard error of each score from the disagreement of the tiles, or None.
    """

    z_um: Float[np.ndarray, " z"]
    scores: Float[np.ndarray, " z"]
    measure: str
    spread: Float[np.ndarray, " z"] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "measure": self.measure,
            "z_um": plain(self.z_um),
            "scores": plain(self.scores),
            "spread": plain(self.spread),
        }


@dataclass(frozen=True, eq=False, kw_only=True)
class TileFocus:
    """Where each tile of the field is sharpest.

    ``z_um`` (tile y, tile x) is NaN where a tile holds nothing to judge; ``weight`` is its say
    in the field's answer, 0 for background.
    """

    z_um: Float[np.ndarray, "ty tx"]
    weight: Float[np.ndarray, "ty tx"]
    tile_px: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "tile_px": self.tile_px,
            "z_um": plain(self.z_um),
            "weight": plain(self.weight),
        }


@dataclass(frozen=True, eq=False, kw_only=True)
class FocusEstimate:
    """Best focus of one field.

    Parameters
    ----------
    status
        ``found`` is an answer; every other status is none, and z_um, index, plane and
        interval_um are None with it.
    reason
        Plain words: what was found, or why nothing was.
    z_um
        Best focus in um, between planes; None also where the planes' distance is unknown.
    index
        Nearest plane, counted from 0 in the stack's order.
    plane
        Best focus in plane numbers, between planes.
    interval_um
        90 % interval (low, high) of z_um.
    interval_planes
        The same in plane numbers.
    curve
        The focus curve that was judged.
    measure, choice
        The measure used and why it was chosen.
    modality
        "intensity" (contrast highest in focus) or "phase" (contrast least in focus).
    tiles
        Focus of each tile, where the field was large enough to be divided.
    relief_um
        Range of focus over the field (5th to 95th percentile of the tiles); None if unknown.
    defocus_dof
        Each plane's distance from best focus in depths of field, signed; None without optics.
    warnings
        What to look at although focus was found.
    """

    status: Status
    reason: str
    curve: FocusCurve
    measure: str
    choice: str = ""
    z_um: float | None = None
    index: int | None = None
    plane: float | None = None
    interval_um: tuple[float, float] | None = None
    interval_planes: tuple[float, float] | None = None
    modality: str = "intensity"
    tiles: TileFocus | None = None
    relief_um: float | None = None
    defocus_dof: Float[np.ndarray, " z"] | None = None
    warnings: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        answered = self.plane is not None
        if answered != (self.status == Status.FOUND):
            raise InputError(
                f"A focus estimate with status {self.status} must "
                f"{'carry' if not answered else 'not carry'} an answer."
            )

    @property
    def found(self) -> bool:
        """Whether there is an answer."""
        return self.status == Status.FOUND

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        names = (
            "status", "reason", "z_um", "interval_um", "index", "plane", "interval_planes",
            "measure", "choice", "modality", "relief_um", "defocus_dof", "warnings",
        )  # fmt: skip
        values = {name: plain(getattr(self, name)) for name in names}
        values["curve"] = self.curve.to_dict()
        values["tiles"] = None if self.tiles is None else self.tiles.to_dict()
        return values


@dataclass(frozen=True, eq=False, kw_only=True)
class FocusQuality:
    """How far one image is from focus, by its own spectrum, on whichever side.

    Parameters
    ----------
    status
        ``found`` is an answer; with every other status all numbers and the grade are None.
    reason
        Plain words: what was found, or why nothing was.
    defocus_dof
        Distance from focus in depths of field, n * wavelength / NA^2; never negative.
    interval_dof
        90 % interval (low, high) of defocus_dof.
    defocus_um, interval_um
        The same in um.
    grade
        "in focus" (within half a depth of field), "slightly out of focus" (within one and a
        half), "out of focus" (within four) or "far out of focus".
    warnings
        What to look at although an answer was found.
    """

    status: Status
    reason: str
    defocus_dof: float | None = None
    interval_dof: tuple[float, float] | None = None
    defocus_um: float | None = None
    interval_um: tuple[float, float] | None = None
    grade: str | None = None
    warnings: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        numbers = (self.defocus_dof, self.interval_dof, self.defocus_um, self.interval_um)
        answered = {value is not None for value in (*numbers, self.grade)}
        if answered != {self.status == Status.FOUND}:
            raise InputError(
                f"A focus quality with status {self.status} must carry "
                f"{'every' if self.status == Status.FOUND else 'no'} number and grade."
            )

    @property
    def found(self) -> bool:
        """Whether there is an answer."""
        return self.status == Status.FOUND

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        names = (
            "status", "reason", "grade", "defocus_dof", "interval_dof", "defocus_um",
            "interval_um", "warnings",
        )  # fmt: skip
        return {name: plain(getattr(self, name)) for name in names}


@dataclass(frozen=True, eq=False, kw_only=True)
class DepthMap:
    """Height of the sharpest structure at each pixel.

    ``z_um`` (y, x) is NaN where nothing can be judged; ``confidence`` (y, x) runs from 0 (no
    information) to 1. ``index`` is the same height in plane numbers.
    """

    z_um: Float[np.ndarray, "y x"]
    confidence: Float[np.ndarray, "y x"]
    index: Float[np.ndarray, "y x"]
    measure: str
    window_px: int
    pixel_um: float | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class Fused:
    """One image with extended depth of field, and the plane that each pixel came from.

    ``numpy.asarray(fused)`` is the image. ``index`` (y, x) is the source plane, ``z_um`` its
    height (None where the stack's z is unknown).
    """

    image: Float[np.ndarray, "y x"]
    index: Int[np.ndarray, "y x"]
    z_um: Float[np.ndarray, "y x"] | None
    method: str

    @property
    def shape(self) -> tuple[int, int]:
        """Sizes (y, x)."""
        size_y, size_x = self.image.shape
        return size_y, size_x

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """The fused image, so that NumPy takes this result as an array."""
        return np.array(self.image, dtype=dtype, copy=True if copy is None else copy)
