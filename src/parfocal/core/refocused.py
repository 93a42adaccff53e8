"""Result of refocusing: the image, where to believe it, and how it came about."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from parfocal.core.errors import InputError
from parfocal.core.status import Status, plain


@dataclass(frozen=True, eq=False, kw_only=True)
class Refocused:
    """One image brought into focus; ``numpy.asarray(result)`` is the image.

    Parameters
    ----------
    status
        ``found`` is an answer, also where the image was in focus already and is passed through;
        with every other status there is no image.
    reason
        Plain words: what was done, or why nothing was.
    method
        What was done: "passed through", "richardson-lucy", the model's name, ...
    image
        Counts (y, x) on the scale of the input; None without an answer.
    trust
        From 0 (keep the input here) to 1, per pixel; 0 everywhere without an answer.
    verdict
        Chance that the image as a whole is nearer to the truth than the input; None if unknown.
    flux
        Sum of the image less background over that of the input; about 1 where light is kept.
    defocus_um, interval_um
        Distance from focus that was undone, without its sign where one image cannot tell it, and
        its 90 % interval; None where none was needed.
    card
        Facts of the model: name, hash, settings; None without a network.
    provenance
        Settings and optics with which it was made, for the output's metadata.
    warnings
        What to look at although there is an answer.

    Examples
    --------
    >>> kept = Refocused(
    ...     status=Status.FOUND, reason="in focus already", method="passed through",
    ...     image=np.ones((2, 3)), trust=np.ones((2, 3)),
    ... )
    >>> np.asarray(kept).shape, kept.found
    ((2, 3), True)
    """

    status: Status
    reason: str
    method: str
    image: Float[np.ndarray, "y x"] | None
    trust: Float[np.ndarray, "y x"]
    verdict: float | None = None
    flux: float | None = None
    defocus_um: float | None = None
    interval_um: tuple[float, float] | None = None
    card: dict[str, Any] | None = None
    provenance: dict[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        if (self.image is not None) != self.found:
            raise InputError(
                f"A refocused image with status {self.status} must "
                f"{'carry' if self.found else 'not carry'} an image."
            )
        if not self.found and bool(self.trust.any()):
            raise InputError(f"Trust with status {self.status} must be 0.")

    @property
    def found(self) -> bool:
        """Whether there is an answer."""
        return self.status == Status.FOUND

    @property
    def shape(self) -> tuple[int, int]:
        """Sizes (y, x)."""
        size_y, size_x = self.trust.shape
        return size_y, size_x

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """The image, so that NumPy takes this result as an array; an error where there is none."""
        if self.image is None:
            raise InputError(f"There is no refocused image ({self.status}): {self.reason}")
        return np.array(self.image, dtype=dtype, copy=True if copy is None else copy)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, but for the pixels."""
        names = ("status", "reason", "method", "verdict", "flux", "defocus_um", "interval_um")
        values = {name: plain(getattr(self, name)) for name in (*names, "warnings")}
        trust = float(np.mean(self.trust)) if self.trust.size else None
        return {**values, "trust": trust, "card": self.card, "provenance": self.provenance}
