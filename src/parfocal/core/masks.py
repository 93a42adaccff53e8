"""Results of segmenting: which pixels of a stack are in focus."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import NDArray

from parfocal.core.errors import InputError
from parfocal.core.status import Status, plain


@dataclass(frozen=True, eq=False, kw_only=True)
class FocusMasks:
    """Which pixels of each plane are in focus; ``numpy.asarray(masks)`` is bool (z, y, x).

    Parameters
    ----------
    status
        ``found`` is an answer; with every other status all masks are empty.
    reason
        Plain words: what was found, or why there is no mask.
    masks
        True where a pixel is in focus.
    method
        The rule with its measure and threshold, or the model.
    z_um
        Stage z of each plane; plane numbers where ``z_known`` is false.
    pixel_um
        Distance of pixels in the object, or None.
    probabilities
        Of being in focus, from 0 to 1, by a network; None by rule.
    scores
        The focus map that was thresholded, by rule; None by a network.
    thresholds
        One per plane: of ``scores`` or ``probabilities``; NaN where a plane held nothing.
    warnings
        What to look at although there is an answer.

    Examples
    --------
    >>> masks = FocusMasks(
    ...     status=Status.BLANK, reason="nothing there", masks=np.zeros((2, 3, 3), dtype=bool),
    ...     method="std", z_um=np.arange(2.0),
    ... )
    >>> masks.shape, int(masks.coverage.sum())
    ((2, 3, 3), 0)
    """

    status: Status
    reason: str
    masks: Bool[np.ndarray, "z y x"]
    method: str
    z_um: Float[np.ndarray, " z"]
    z_known: bool = True
    pixel_um: float | None = None
    probabilities: Float[np.ndarray, "z y x"] | None = None
    scores: Float[np.ndarray, "z y x"] | None = None
    thresholds: Float[np.ndarray, " z"] | None = None
    warnings: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        if not self.found and bool(self.masks.any()):
            raise InputError(f"Masks with status {self.status} must be empty.")

    @property
    def found(self) -> bool:
        """Whether there is an answer."""
        return self.status == Status.FOUND

    @property
    def shape(self) -> tuple[int, int, int]:
        """Sizes (z, y, x)."""
        planes, size_y, size_x = self.masks.shape
        return planes, size_y, size_x

    @property
    def dtype(self) -> np.dtype[np.bool_]:
        """Of the masks."""
        return self.masks.dtype

    @property
    def ndim(self) -> int:
        """Number of axes, 3."""
        return self.masks.ndim

    @property
    def coverage(self) -> Float[np.ndarray, " z"]:
        """Share of each plane that is in focus."""
        share: NDArray[np.float64] = self.masks.mean((1, 2))
        return share

    def __len__(self) -> int:
        return len(self.masks)

    def __getitem__(self, index: Any) -> Any:
        return self.masks[index]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """The masks, so that NumPy takes this result as an array."""
        return np.array(self.masks, dtype=dtype, copy=True if copy is None else copy)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, but for the pixels."""
        names = ("status", "reason", "method", "z_um", "z_known", "pixel_um", "warnings")
        values = {name: plain(getattr(self, name)) for name in names}
        values["shape"] = list(self.shape)
        values["coverage"] = plain(self.coverage)
        values["thresholds"] = plain(self.thresholds)
        return values
