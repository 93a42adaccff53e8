"""What masks leave of a stack: masked planes, optical sections, and one sectioned image."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import NDArray

from parfocal.core.errors import InputError, MetadataError, ShapeError
from parfocal.core.masks import FocusMasks
from parfocal.core.stack import FocalStack, LazyImages

SAMPLE_PX = 1_000_000
"""About so many pixels of a plane tell its background."""

Background = int | float | Literal["plane"]


def require_answer(masks: FocusMasks) -> None:
    """Raise InputError for masks that were declined: nothing can be made of them."""
    if not masks.found:
        raise InputError(
            f"These masks are no answer ({masks.status}: {masks.reason.rstrip('.')}); "
            "only masks with status found can be used."
        )


def _same_field(stack: Any, masks: FocusMasks) -> FocalStack:
    """The stack, once it is sure that the masks are its own."""
    require_answer(masks)
    field_ = stack if isinstance(stack, FocalStack) else FocalStack.of(stack)
    if field_.shape != masks.shape:
        raise ShapeError(
            f"The stack has {field_.shape} and the masks {masks.shape} (z, y, x); "
            "use the masks of this very stack."
        )
    if field_.z_known and masks.z_known:
        step = field_.z_step_um or math.inf
        if float(np.abs(field_.z_um - masks.z_um).max()) > step / 2:
            raise MetadataError(
                f"The masks lie at z {masks.z_um[0]:g} to {masks.z_um[-1]:g} um and the stack at "
                f"{field_.z_um[0]:g} to {field_.z_um[-1]:g} um; use the masks of this very stack."
            )
    return field_


def _plane_background(counts: NDArray[Any], mask: Bool[np.ndarray, "y x"]) -> float:
    """Median of the pixels out of focus; of all, where everything is in focus."""
    skip = max(1, math.isqrt(counts.size // SAMPLE_PX))
    few, sharp = counts[::skip, ::skip], mask[::skip, ::skip]
    outside = few[~sharp]
    return float(np.median(outside if outside.size else few))


@dataclass(frozen=True, eq=False)
class _Cut:
    """Lazy images (z, y, x): each plane where it is in focus, another value elsewhere."""

    images: LazyImages
    masks: FocusMasks
    background: Background
    lit: bool = False
    weights: Float[np.ndarray, "z y x"] | None = None
    levels: dict[int, float] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.images.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(np.float32) if self.lit else np.dtype(self.images.dtype)

    @property
    def ndim(self) -> int:
        return 3

    def level(self, plane: int) -> float:
        """Background of a plane; the whole plane is read for it once."""
        if self.background != "plane":
            return float(self.background)
        if plane not in self.levels:
            counts = np.asarray(self.images[plane])
            self.levels[plane] = _plane_background(counts, self.masks.masks[plane])
        return self.levels[plane]

    def __getitem__(self, index: Any, /) -> NDArray[Any]:
        given = index if isinstance(index, tuple) else (index,)
        planes, *sides = (*given, slice(None), slice(None))[:3]
        if not isinstance(planes, slice):
            return self._plane(int(planes) % self.shape[0], tuple(sides))
        numbers = range(*planes.indices(self.shape[0]))
        cut = [self._plane(number, tuple(sides)) for number in numbers]
        return np.stack(cut) if cut else np.asarray(self.images[index]).astype(self.dtype)

    def _plane(self, number: int, sides: tuple[Any, ...]) -> NDArray[Any]:
        counts, mask = np.asarray(self.images[(number, *sides)]), self.masks.masks[number][sides]
        level = self.level(number)
        if not self.lit:
            rest = round(level) if self.dtype.kind in "iu" else level
            return np.where(mask, counts, np.asarray(rest, dtype=self.dtype))
        light = counts.astype(np.float32) - np.float32(level)
        weight = mask if self.weights is None else self.weights[number][sides]
        return np.where(weight > 0, light * weight, np.float32(0.0)).astype(np.float32)


def masked_stack(stack: Any, masks: FocusMasks, *, background: Background = 0.0) -> FocalStack:
    """Keep the counts of pixels in focus and set all others to a background.

    Parameters
    ----------
    stack
        A FocalStack, or an array (z, y, x) of NumPy, torch, dask or xarray.
    masks
        Of this stack.
    background
        Counts of pixels out of focus, or "plane": the median of these in each plane.

    Returns
    -------
    A stack that cuts each plane when it is read; z, optics and the type of the counts are kept.

    Raises
    ------
    InputError
        If the masks were declined, or the type of the counts cannot hold the background.
    ShapeError, MetadataError
        If the masks belong to another stack.

    Notes
    -----
    Laws: counts in focus are those of the stack; masking twice is masking once.

    Examples
    --------
    >>> from parfocal.core.status import Status
    >>> masks = FocusMasks(status=Status.FOUND, reason="", masks=np.eye(2, dtype=bool)[None],
    ...                    method="by hand", z_um=np.zeros(1))
    >>> masked_stack(np.full((1, 2, 2), 9, dtype=np.uint8), masks).read_counts()
    array([[[9, 0],
            [0, 9]]], dtype=uint8)
    """
    whole = _same_field(stack, masks)
    if background != "plane":
        _require_holds(whole.dtype, float(background))
    return replace(whole, images=_Cut(whole.images, masks, background))


def _require_holds(dtype: np.dtype[Any], value: float) -> None:
    if dtype.kind not in "iu":
        return
    limits = np.iinfo(dtype)
    if not (limits.min <= value <= limits.max and value == int(value)):
        raise InputError(
            f"background is {value:g}, but {dtype} counts hold whole numbers from {limits.min} to "
            f"{limits.max}; choose one, or 'plane'."
        )


def optical_sections(
    stack: Any, masks: FocusMasks, *, background: Background = "plane", soft: bool = False
) -> FocalStack:
    """Keep in each plane the light above background of what is in focus, and 0 elsewhere.

    Parameters
    ----------
    stack, masks
        As for ``masked_stack``.
    background
        Counts to subtract, or "plane": the median of each plane's pixels out of focus.
    soft
        Weigh every pixel by its probability of being in focus, and not by the mask.

    Returns
    -------
    A stack of float32 that cuts each plane when it is read; it knows no saturation.

    Raises
    ------
    InputError
        If the masks were declined, or ``soft`` is asked of masks without probabilities.
    ShapeError, MetadataError
        If the masks belong to another stack.

    Notes
    -----
    Laws: with "plane" offset-free; gain-linear.

    Examples
    --------
    >>> from parfocal.core.status import Status
    >>> masks = FocusMasks(status=Status.FOUND, reason="", masks=np.eye(2, dtype=bool)[None],
    ...                    method="by hand", z_um=np.zeros(1))
    >>> optical_sections(np.array([[[30.0, 10.0], [10.0, 12.0]]]), masks).read_counts()
    array([[[20.,  0.],
            [ 0.,  2.]]], dtype=float32)
    """
    whole = _same_field(stack, masks)
    if soft and masks.probabilities is None:
        raise InputError("soft=True needs probabilities, which these masks by rule do not have.")
    cut = _Cut(whole.images, masks, background, True, masks.probabilities if soft else None)
    return replace(whole, images=cut, saturation_counts=None)


def sectioned_projection(
    stack: Any, masks: FocusMasks, *, how: str = "maximum"
) -> Float[np.ndarray, "y x"]:
    """Project a stack along z from the planes in which each pixel is in focus.

    Parameters
    ----------
    stack, masks
        As for ``masked_stack``; the stack is read plane by plane.
    how
        "maximum" or "mean" over the planes in focus.

    Returns
    -------
    Counts as float32 (y, x); NaN where no plane is in focus.

    Raises
    ------
    InputError
        If the masks were declined, or there is no such projection.
    ShapeError, MetadataError
        If the masks belong to another stack.

    Notes
    -----
    Laws: reversing the planes changes nothing; gain-linear and offset-linear.

    Examples
    --------
    >>> from parfocal.core.status import Status
    >>> masks = FocusMasks(status=Status.FOUND, reason="", method="by hand", z_um=np.arange(2.0),
    ...                    masks=np.array([[[True, False]], [[True, False]]]))
    >>> sectioned_projection(np.array([[[3.0, 9.0]], [[5.0, 9.0]]]), masks)
    array([[ 5., nan]], dtype=float32)
    """
    if how not in ("maximum", "mean"):
        raise InputError(f"There is no projection {how!r}; choose maximum or mean.")
    whole = _same_field(stack, masks)
    _, size_y, size_x = whole.shape
    best = np.full((size_y, size_x), -np.inf if how == "maximum" else 0.0, dtype=np.float64)
    count = np.zeros((size_y, size_x), dtype=np.int32)
    for plane, mask in enumerate(masks.masks):
        if not mask.any():
            continue
        counts = whole.read_counts(plane)
        count += mask
        if how == "maximum":
            best[mask] = np.maximum(best[mask], counts[mask])
        else:
            best[mask] += counts[mask]
    if how == "mean":
        best /= np.maximum(count, 1)
    return np.where(count > 0, best, np.nan).astype(np.float32)
