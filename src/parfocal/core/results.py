"""What the verbs answer. Only the status ``found`` is an answer; the rest say why there is none."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray

from parfocal.core.errors import InputError


class Status(StrEnum):
    """What an estimate is worth (docs: words and signs)."""

    FOUND = "found"
    EDGE = "edge"
    FLAT = "flat"
    AMBIGUOUS = "ambiguous"
    BLANK = "blank"
    SATURATED = "saturated"
    UNCERTAIN = "uncertain"
    FAILED = "failed"


def _plain(value: Any) -> Any:
    """Turn arrays and numbers into what JSON holds; not-a-number becomes null."""
    if isinstance(value, np.ndarray):
        return [_plain(item) for item in value.tolist()]
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, (np.integer, int)) and not isinstance(value, bool):
        return int(value)
    if isinstance(value, (np.floating, float)):
        return float(value) if np.isfinite(value) else None
    return str(value) if isinstance(value, StrEnum) else value


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
            "z_um": _plain(self.z_um),
            "scores": _plain(self.scores),
            "spread": _plain(self.spread),
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
            "z_um": _plain(self.z_um),
            "weight": _plain(self.weight),
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
        values = {name: _plain(getattr(self, name)) for name in names}
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
        return {name: _plain(getattr(self, name)) for name in names}


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
            "stride_px": _plain(self.stride_px),
            "defocus_um": _plain(self.defocus_um),
            "certainty": _plain(self.certainty),
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
        values = {name: _plain(getattr(self, name)) for name in names}
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
        return {name: _plain(getattr(self, name)) for name in names}


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
