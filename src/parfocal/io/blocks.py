"""Lazy stacks: planes that read a window when asked, as one dask array in bounded blocks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable
from uuid import uuid4

import dask.array as da
import numpy as np
from numpy.typing import NDArray

from parfocal.core.errors import ShapeError
from parfocal.core.stack import LazyImages

WHOLE_PLANE_BYTES = 16 * 2**20  # a plane up to this size is one block
BLOCK_BYTES = 4 * 2**20  # larger planes are read in blocks of about this size
MOST_BLOCKS = 100_000  # a damaged header must not ask for a billion blocks

REC709 = (0.2126, 0.7152, 0.0722)


@runtime_checkable
class Plane(Protocol):
    """One image of a stack that reads a window of itself."""

    @property
    def shape(self) -> tuple[int, int]: ...
    @property
    def dtype(self) -> Any: ...
    @property
    def grain(self) -> tuple[int, int]:
        """Rows and columns of the stored tiles or strips; (1, 1) where any window is cheap."""
        ...

    def read(self, rows: slice, columns: slice) -> NDArray[Any]:
        """Counts (y, x) of a window, or (y, x, sample) where the plane has colours."""
        ...


def luminance(colours: NDArray[Any]) -> NDArray[np.float32]:
    """Grey of red, green, blue (and alpha, which is ignored) by the weights of Rec. 709.

    The weights act on the stored values; grey input keeps its counts exactly.

    Examples
    --------
    >>> luminance(np.array([[[255, 255, 255], [0, 100, 0]]], dtype=np.uint8))
    array([[255.  ,  71.52]], dtype=float32)
    """
    red, green, blue = (colours[..., i].astype(np.float64) for i in range(3))
    grey = REC709[0] * red + REC709[1] * green + REC709[2] * blue
    return np.asarray(grey, dtype=np.float32)


@dataclass(frozen=True, eq=False)
class GreyPlane:
    """A colour plane read as luminance, or as one of its samples."""

    colours: Plane
    sample: int | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Sizes (y, x)."""
        return self.colours.shape

    @property
    def dtype(self) -> Any:
        """Type of the counts: float32 for luminance."""
        return np.dtype(np.float32) if self.sample is None else self.colours.dtype

    @property
    def grain(self) -> tuple[int, int]:
        """Rows and columns of the stored tiles or strips."""
        return self.colours.grain

    def read(self, rows: slice, columns: slice) -> NDArray[Any]:
        """Counts (y, x) of a window."""
        colours = self.colours.read(rows, columns)
        return luminance(colours) if self.sample is None else colours[..., self.sample]


@dataclass(frozen=True, eq=False)
class CroppedPlane:
    """The middle of a plane."""

    whole: Plane
    shape: tuple[int, int]

    @property
    def dtype(self) -> Any:
        """Type of the counts."""
        return self.whole.dtype

    @property
    def grain(self) -> tuple[int, int]:
        """Rows and columns of the stored tiles or strips."""
        return self.whole.grain

    def read(self, rows: slice, columns: slice) -> NDArray[Any]:
        """Counts of a window of the middle."""
        top, left = ((w - s) // 2 for w, s in zip(self.whole.shape, self.shape, strict=True))
        return self.whole.read(
            slice(rows.start + top, rows.stop + top),
            slice(columns.start + left, columns.stop + left),
        )


def same_size(
    planes: Sequence[Plane], *, crop_common: bool, source: str
) -> tuple[list[Plane], list[str]]:
    """Planes of one size, and notes on what was done; refuses unequal ones unless told to crop."""
    sizes = sorted({plane.shape for plane in planes})
    if len(sizes) == 1:
        return list(planes), []
    common = (min(y for y, _ in sizes), min(x for _, x in sizes))
    shown = ", ".join(f"{y} x {x}" for y, x in sizes[:6]) + (", ..." if len(sizes) > 6 else "")
    if not crop_common:
        raise ShapeError(
            f"{source}: planes have {len(sizes)} different sizes (y x x): {shown}; cut them to "
            f"their common {common[0]} x {common[1]} px with --crop-common (crop_common=True)."
        )
    note = (
        f"planes of {len(sizes)} sizes were cut centrally to {common[0]} x {common[1]} px; "
        "a change of magnification stays in them"
    )
    return [CroppedPlane(plane, common) for plane in planes], [note]


@dataclass(frozen=True, eq=False)
class PlaneStack:
    """Planes of one size and type behind the indexing of an array (z, y, x)."""

    planes: Sequence[Plane]
    dtype: Any

    @property
    def shape(self) -> tuple[int, int, int]:
        """Sizes (z, y, x)."""
        return (len(self.planes), *self.planes[0].shape)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return 3

    def __getitem__(self, index: Any, /) -> NDArray[Any]:
        """Read what is asked for, plane by plane."""
        picks = index if isinstance(index, tuple) else (index,)
        picks = (*picks, *(slice(None),) * (3 - len(picks)))
        windows, inner = zip(
            *(_window(pick, size) for pick, size in zip(picks, self.shape, strict=True)),
            strict=True,
        )
        numbers = range(windows[0].start, windows[0].stop)
        size = (len(numbers), *(window.stop - window.start for window in windows[1:]))
        block = np.empty(size, dtype=self.dtype)  # dask would copy what does not own its memory
        for i, number in enumerate(numbers):
            block[i] = self.planes[number].read(windows[1], windows[2])
        if all(isinstance(part, slice) and part == slice(None) for part in inner):
            return block
        return np.asarray(block[inner])


def _window(pick: Any, size: int) -> tuple[slice, Any]:
    """The smallest window with step 1 that covers an index, and the index within it."""
    if isinstance(pick, slice):
        steps = range(*pick.indices(size))
        if not steps:
            return slice(0, 0), slice(None)
        low, high = min(steps[0], steps[-1]), max(steps[0], steps[-1])
        return slice(low, high + 1), (slice(None) if steps.step > 0 else slice(None, None, -1)) if (
            abs(steps.step) == 1
        ) else np.asarray(steps) - low
    number = int(pick) + (size if pick < 0 else 0)
    return slice(number, number + 1), 0


def lazy_stack(planes: Sequence[Plane], *, source: str) -> LazyImages:
    """One dask array (z, y, x) over planes, in blocks of at most one plane."""
    dtypes = {np.dtype(plane.dtype) for plane in planes}
    if len(dtypes) > 1:
        raise ShapeError(
            f"{source}: planes have different types ({', '.join(sorted(map(str, dtypes)))}); "
            "convert them to one type."
        )
    dtype = dtypes.pop()
    if dtype.kind not in "buif":
        raise ShapeError(
            f"{source}: pixels are {dtype}, but images must be real numbers; "
            "convert them to intensities first."
        )
    stack = PlaneStack(planes, dtype)
    if 0 in stack.shape:
        raise ShapeError(f"{source}: the images are empty: {stack.shape} (z, y, x); export again.")
    block = block_px(planes[0].shape, planes[0].grain, dtype.itemsize, len(planes))
    return as_dask(stack, (1, *block))


def as_dask(array: Any, chunks: tuple[int, int, int]) -> LazyImages:
    """A dask array over anything indexed like an array; every block is read when it is needed."""
    images: LazyImages = da.from_array(  # type: ignore[no-untyped-call]
        array, chunks=chunks, name=f"stack-{uuid4().hex}", lock=False, asarray=True
    )
    return images


def block_px(
    shape: tuple[int, int], grain: tuple[int, int], itemsize: int, planes: int
) -> tuple[int, int]:
    """Rows and columns of one block: a plane, or whole tiles of about 4 MB of a large plane.

    Examples
    --------
    >>> block_px((1024, 1024), (1, 1024), 2, planes=20)
    (1024, 1024)
    >>> block_px((20_000, 20_000), (512, 512), 2, planes=20)
    (1024, 2048)
    """
    size_y, size_x = shape
    total = size_y * size_x * itemsize
    if total <= WHOLE_PLANE_BYTES:
        return shape
    target = max(BLOCK_BYTES, total * planes // MOST_BLOCKS) // itemsize
    grain_y, grain_x = min(grain[0], size_y), min(grain[1], size_x)
    if grain_x in (1, size_x):  # strips or free windows: bands of rows
        rows = max(1, target // size_x // grain_y) * grain_y
        return min(size_y, rows), size_x
    side = math.isqrt(target)
    rows = max(1, side // grain_y) * grain_y
    columns = max(1, target // rows // grain_x) * grain_x
    return min(size_y, rows), min(size_x, columns)
