"""Focal stacks whose focus is known, read when they are needed."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from parfocal.core.errors import InputError, MetadataError
from parfocal.core.results import TileFocus
from parfocal.core.setup import OpticalSetup
from parfocal.core.shapes import as_float_tensor
from parfocal.core.stack import ALL, FocalStack, LazyImages


@dataclass(frozen=True, eq=False, kw_only=True)
class LabelledStack:
    """A focal stack with the z of its best focus.

    Parameters
    ----------
    stack
        The images, with their optics and their z.
    focus_um
        Stage z of best focus.
    interval_um
        Where focus lies with 90 %.
    specimen
        What was imaged: stacks of one specimen are never split.
    label
        Who says where focus is.
    tiles
        Which parts of the field hold something; None where that is not known.

    Raises
    ------
    MetadataError
        If the optics or the z of the planes are unknown.
    InputError
        If the focus is no number, or the interval does not hold it.
    """

    stack: FocalStack
    focus_um: float
    interval_um: tuple[float, float]
    specimen: str
    label: str = "given"
    tiles: TileFocus | None = None

    def __post_init__(self) -> None:
        name = self.stack.name
        if self.stack.setup is None:
            raise MetadataError(
                f"{name}: learning from a stack needs its optics: give --na, --wavelength-nm and "
                "--pixel-um."
            )
        if not self.stack.z_known:
            raise MetadataError(f"{name}: the distance of its planes is unknown: --z-step-um.")
        low, high = self.interval_um
        if not low <= self.focus_um <= high:
            raise InputError(
                f"{name}: focus at {self.focus_um} um lies outside its interval {low} to {high} um."
            )

    @property
    def name(self) -> str:
        """Name of the stack."""
        return self.stack.name

    @property
    def setup(self) -> OpticalSetup:
        """The optics."""
        if self.stack.setup is None:
            raise MetadataError(f"{self.name}: the optics are unknown.")
        return self.stack.setup

    @property
    def order(self) -> Int[np.ndarray, " z"]:
        """Numbers of the stack's planes in order of rising z."""
        return np.argsort(self.stack.z_um)

    @property
    def z_um(self) -> Float[np.ndarray, " z"]:
        """Stage z of the planes, rising."""
        return np.sort(self.stack.z_um)

    def read(
        self, planes: tuple[int, ...], rows: slice = ALL, columns: slice = ALL
    ) -> Float[Tensor, "n y x"]:
        """Read some planes, by their place in rising z, in counts."""
        order = self.order
        counts = [self.stack.read_counts(int(order[plane]), rows, columns) for plane in planes]
        return as_float_tensor(np.stack(counts)).float()

    def keeping(self, keep_bytes: int) -> LabelledStack:
        """The same, with the planes that were read last kept in memory up to that size."""
        images = KeptPlanes(self.stack.images, keep_bytes=keep_bytes)
        return replace(self, stack=replace(self.stack, images=images))


class KeptPlanes:
    """Lazy images (z, y, x) that keep the planes read last, whole.

    Where one plane is larger than ``keep_bytes`` nothing is kept, and only what is asked for
    is read.

    Examples
    --------
    >>> kept = KeptPlanes(np.arange(8.0).reshape(2, 2, 2), keep_bytes=64)
    >>> kept[1, 0:1, :], kept.shape
    (array([[4., 5.]]), (2, 2, 2))
    """

    def __init__(self, images: LazyImages, *, keep_bytes: int) -> None:
        self._images = images
        size_y, size_x = images.shape[1:]
        self._most = keep_bytes // max(1, size_y * size_x * np.dtype(images.dtype).itemsize)
        self._planes: OrderedDict[int, NDArray[Any]] = OrderedDict()

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes (z, y, x)."""
        return tuple(self._images.shape)

    @property
    def dtype(self) -> Any:
        """Type of the counts."""
        return self._images.dtype

    def __getitem__(self, index: Any, /) -> Any:
        """Read one plane, or a part of one, through what is kept; all else as it is."""
        plane, *rest = index if isinstance(index, tuple) else (index,)
        if not isinstance(plane, int) or self._most < 1:
            return self._images[index]
        if plane in self._planes:
            self._planes.move_to_end(plane)
        else:
            self._planes[plane] = np.asarray(self._images[plane])
            if len(self._planes) > self._most:
                self._planes.popitem(last=False)
        return self._planes[plane][tuple(rest)]
