"""A stack of planes that one image gave."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from parfocal.core.errors import InputError
from parfocal.core.results import Status


@dataclass(frozen=True, eq=False, kw_only=True)
class VirtualStack:
    """What a microscope would show on other planes, from one image; ``numpy.asarray`` is (z, y, x).

    Parameters
    ----------
    status, reason
        As of ``Refocused``; of the image as a whole.
    z_um
        Heights of the planes above that of the image.
    images
        Counts; None without an answer.
    trust
        Chance of each pixel to be nearer to the truth than the image is; 0 without an answer.
    verdicts
        The same of each plane as a whole; NaN where it is the image's own.
    card, provenance, warnings
        As of ``Refocused``.
    """

    status: Status
    reason: str
    z_um: Float[np.ndarray, " z"]
    images: Float[np.ndarray, "z y x"] | None
    trust: Float[np.ndarray, "z y x"]
    verdicts: Float[np.ndarray, " z"]
    card: dict[str, Any]
    provenance: dict[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @property
    def found(self) -> bool:
        """Whether there is an answer."""
        return self.status == Status.FOUND

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """The planes, so that NumPy takes this as an array; an error where there are none."""
        if self.images is None:
            raise InputError(f"There is no virtual stack ({self.status}): {self.reason}")
        return np.array(self.images, dtype=dtype, copy=True if copy is None else copy)
