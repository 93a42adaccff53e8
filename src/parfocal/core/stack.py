"""A focal stack: lazy planes with their z, sampling and optics."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from parfocal.core.errors import MetadataError, ShapeError
from parfocal.core.setup import OpticalSetup
from parfocal.core.shapes import as_float_tensor

ALL = slice(None)


@runtime_checkable
class LazyImages(Protocol):
    """Anything indexed like an array (z, y, x) that reads only what is asked for."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> Any: ...
    def __getitem__(self, index: Any, /) -> Any: ...


@dataclass(frozen=True, eq=False, kw_only=True)
class FocalStack:
    """Images of one field at several z, read when they are needed.

    Parameters
    ----------
    images
        Lazy counts with axes (z, y, x); a dask array when it comes from ``open_stack``.
    z_um
        Stage z of each plane in um, strictly rising or strictly falling. Plane numbers
        0, 1, ... where ``z_known`` is false.
    pixel_um
        Distance between pixel centres in the object in um, or None.
    setup
        The optics, or None where they are not fully known.
    source
        Where the images came from, for messages and records.
    name
        Short name of the field for tables (file stem, well, position).
    channel
        Name of the channel that was picked, or None.
    saturation_counts
        Counts at which the camera clips, or None for floating-point images.
    z_known
        False where only the order of the planes is known, not their distance.
    modality
        What the metadata says of the contrast ("fluorescence", "brightfield", ...), or None.

    Raises
    ------
    ShapeError
        If the images have no three axes, or none of one, or are no real numbers, or z does not
        match them.
    MetadataError
        If z repeats, turns back or is not finite.
    """

    images: LazyImages
    z_um: Float[np.ndarray, " z"]
    pixel_um: float | None = None
    setup: OpticalSetup | None = None
    source: str = "memory"
    name: str = ""
    channel: str | None = None
    saturation_counts: float | None = None
    z_known: bool = True
    modality: str | None = None
    notes: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        shape = tuple(self.images.shape)
        if len(shape) != 3 or 0 in shape:
            raise ShapeError(
                f"{self.source}: a focal stack has axes (z, y, x), none of them empty, "
                f"but this one has shape {shape}."
            )
        if getattr(self.images.dtype, "kind", "f") not in "biuf":  # torch's types have no kind
            raise ShapeError(
                f"{self.source}: images must be real numbers, but came as {self.images.dtype}; "
                "convert complex or object arrays first."
            )
        z_um = np.asarray(self.z_um, dtype=np.float64)
        object.__setattr__(self, "z_um", z_um)
        if z_um.shape != (shape[0],):
            raise ShapeError(
                f"{self.source}: {shape[0]} planes but {z_um.size} z positions; give one z a plane."
            )
        check_z(z_um, self.source)
        if not self.name:
            object.__setattr__(self, "name", self.source)

    @classmethod
    def of(
        cls,
        images: LazyImages | ArrayLike | None,
        *,
        z_um: Float[np.ndarray, " z"] | None = None,
        z_step_um: float | None = None,
        pixel_um: float | None = None,
        setup: OpticalSetup | None = None,
        name: str = "",
    ) -> FocalStack:
        """Make a stack from images in memory, or any lazy array, with axes (z, y, x).

        Without ``z_um`` and ``z_step_um`` only the order of the planes is known.

        Examples
        --------
        >>> FocalStack.of(np.zeros((3, 8, 8)), z_step_um=0.5).z_um
        array([0. , 0.5, 1. ])
        """
        lazy = _lazy(images)
        planes = int(lazy.shape[0]) if len(lazy.shape) else 0
        numbers = np.arange(planes, dtype=np.float64)
        if z_um is None:
            z_um = numbers * (1.0 if z_step_um is None else z_step_um)
            known = z_step_um is not None
        else:
            known = True
        kind = np.dtype(lazy.dtype).kind
        limit = float(np.iinfo(lazy.dtype).max) if kind in "iu" else None
        return cls(
            images=lazy,
            z_um=np.asarray(z_um, dtype=np.float64),
            pixel_um=pixel_um if pixel_um is not None or setup is None else setup.pixel_um,
            setup=setup,
            name=name,
            saturation_counts=limit,
            z_known=known,
        )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Sizes (z, y, x)."""
        size_z, size_y, size_x = self.images.shape
        return int(size_z), int(size_y), int(size_x)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the stored counts."""
        dtype: np.dtype[Any] = np.dtype(self.images.dtype)
        return dtype

    @property
    def z_step_um(self) -> float | None:
        """Median distance between neighbouring planes in um; None for one plane."""
        if len(self.z_um) < 2:
            return None
        return float(np.median(np.abs(np.diff(self.z_um))))

    def read_counts(
        self, planes: slice | int = ALL, rows: slice = ALL, columns: slice = ALL
    ) -> NDArray[Any]:
        """Read a block as NumPy in its stored type; axes (z, y, x), or (y, x) for one plane."""
        return np.asarray(self.images[planes, rows, columns])

    def read(self, planes: slice | int = ALL, rows: slice = ALL, columns: slice = ALL) -> Tensor:
        """Read a block as a float tensor in counts; axes (z, y, x), or (y, x) for one plane."""
        return as_float_tensor(self.read_counts(planes, rows, columns))

    def row_bands(self, height_px: int, *, overlap_px: int = 0) -> Iterator[slice]:
        """Slices of rows that cover the field in bands; each overlaps the next."""
        size_y = self.shape[1]
        for start in range(0, size_y, height_px):
            yield slice(start, min(size_y, start + height_px + overlap_px))


def _lazy(images: Any) -> LazyImages:
    """Lazy images as they are; tensors and lists as an array."""
    if images is None:
        raise ShapeError("There are no images (None); give an array with axes (z, y, x).")
    if isinstance(images, Tensor):
        return images.detach().cpu().numpy()
    if isinstance(images, LazyImages):
        return images
    try:
        return np.asarray(images)
    except ValueError as error:
        raise ShapeError(
            "The images differ in shape and make up no array (z, y, x); cut them to one size."
        ) from error


def check_z(z_um: NDArray[np.float64], source: str) -> None:
    """Raise MetadataError unless z is finite and strictly rises or strictly falls."""
    if not np.all(np.isfinite(z_um)):
        raise MetadataError(
            f"{source}: z of plane {int(np.argmin(np.isfinite(z_um)))} is not a number; "
            "give the spacing with z_step_um (--z-step-um)."
        )
    steps = np.diff(z_um)
    if len(steps) and not (np.all(steps > 0) or np.all(steps < 0)):
        sign = 1.0 if np.median(steps) >= 0 else -1.0
        bad = int(np.argmax(steps * sign <= 0))
        raise MetadataError(
            f"{source}: z is not monotonic: plane {bad} is at {z_um[bad]:g} um and plane {bad + 1} "
            f"at {z_um[bad + 1]:g} um. Order the planes, or give z_step_um (--z-step-um)."
        )
