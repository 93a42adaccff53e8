"""Focus maps: a measure scored in every window of a lattice over an image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from typing import Any, Literal, cast

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from parfocal.core.device import pick_device
from parfocal.core.errors import InputError, ShapeError
from parfocal.core.setup import OpticalSetup
from parfocal.core.shapes import as_float_tensor
from parfocal.measures.catalog import Measure, find_measure
from parfocal.measures.local import LocalMeasure
from parfocal.measures.scoring import setup_options
from parfocal.measures.windows import Spans, crop_scores, local_scores

LI2023_STRIDES_PX = tuple(range(8, 37, 2))
"""The strides of the public code of [Li2023]_."""

TORCH_GRAIN, SMALL_MAP = 2**15, 2**18
"""Elements up to which torch works in one thread, and that are too few to share."""


def focus_map(
    images: Any,
    measure: str = "brenner",
    window_px: int | tuple[int, int] = 128,
    stride_px: int = 16,
    *,
    setup: OpticalSetup | None = None,
    device: str = "cpu",
) -> Any:
    """Score the focus of every window of a lattice; larger is sharper.

    Entry (j, i) is the measure's score of the crop
    ``images[..., j * stride : j * stride + window, i * stride : i * stride + window]``.
    Measures that are functions of window means cost one pass over the pixels, whatever the
    window: compiled code on the CPU, running sums in float64 on a GPU. The others are scored crop
    by crop, in chunks.

    Parameters
    ----------
    images
        (*batch, y, x), in counts: NumPy, torch, dask or xarray. NumPy images of uint8, uint16,
        float32 and float64 are read as they are, without a copy.
    measure
        A name in ``CATALOG``.
    window_px
        Side of the square window, or (y, x).
    stride_px
        Distance between neighbouring windows.
    setup
        The optics, for the measures that need them.
    device
        Where to compute; images that come as a tensor stay on theirs.

    Returns
    -------
    (*batch, ny, nx) with ny = (y - window) // stride + 1, of the kind that came in (a dask array
    stays lazy, a few planes at a time), in the dtype in which the measure scores the images.
    NaN where the score is NaN, as in windows that hold a pixel that is not finite.

    Raises
    ------
    ShapeError
        If the window is larger than the images, or smaller than the measure can score.
    InputError
        If ``window_px`` or ``stride_px`` is not a positive whole number.
    UnknownNameError
        If there is no such measure.
    MetadataError
        If the measure needs the optics and ``setup`` is missing.

    Notes
    -----
    Entropy shares its grey levels between windows: entry (j, i) is
    ``entropy(crop, range_counts=(least, largest))`` with the range of the whole image, for levels
    fitted to each window would give a dark window of noise the highest entropy.

    Examples
    --------
    >>> import numpy as np
    >>> ramp = np.tile(np.arange(64.0), (48, 1))
    >>> scores = focus_map(ramp, "brenner", window_px=32, stride_px=8)
    >>> scores.shape, float(scores[1, 2])
    ((3, 5), 4.0)
    """
    row = find_measure(measure)
    window_y, window_x = _as_pair(window_px)
    _require_positive(stride_px, "stride_px")
    least_px = min(window_y, window_x)
    if least_px < row.least_px:
        raise ShapeError(
            f"Measure {measure!r} needs windows of at least {row.least_px} px, "
            f"but window_px is {least_px}."
        )

    def map_planes(planes: Any) -> Any:
        size_y, size_x = planes.shape[-2:]
        if window_y > size_y or window_x > size_x:
            raise ShapeError(
                f"A window of {window_y} x {window_x} px (y, x) does not fit into images of "
                f"{size_y} x {size_x} px: give a smaller window_px."
            )
        rows = Spans.inside(size_y, window_y, stride_px)
        columns = Spans.inside(size_x, window_x, stride_px)
        return window_scores(planes, row, rows, columns, setup=setup, device=device)

    setup_options(row, setup)
    return _keep_kind(images, map_planes)


def multi_stride_map(
    images: Any,
    measure: str = "std",
    window_px: int = 128,
    strides_px: Sequence[int] = LI2023_STRIDES_PX,
    *,
    overlap: Literal["sum", "mean"] = "sum",
    setup: OpticalSetup | None = None,
    device: str = "cpu",
) -> Any:
    """Score the focus of every pixel by overlapping windows of several strides [Li2023]_.

    For each stride, windows start at every multiple of the stride over the whole image and are
    cut off at its far borders; each window's score is added to all of its pixels. The map is the
    largest of these sums over the strides, pixel by pixel.

    Parameters
    ----------
    images
        (*batch, y, x), in counts: NumPy, torch, dask or xarray.
    measure
        A name in ``CATALOG``.
    window_px
        Side of the square window.
    strides_px
        The strides; none larger than the window, or pixels would be left without a score.
    overlap
        ``"sum"``, as published: a pixel gains with each window that covers it, so that small
        strides outweigh large ones and the near borders come out low. ``"mean"``, ours: divided
        by the number of windows with a score, so that the map is in the units of the measure.
    setup
        The optics, for the measures that need them.
    device
        Where to compute; images that come as a tensor stay on theirs.

    Returns
    -------
    (*batch, y, x) of the kind that came in. Windows without a score (too small for the measure
    once they are cut off, or holding a pixel that is not finite) add nothing.

    Raises
    ------
    ShapeError
        If a stride is larger than the window.
    InputError
        If there is no stride, a size is not a positive whole number, or ``overlap`` is unknown.
    UnknownNameError
        If there is no such measure.
    MetadataError
        If the measure needs the optics and ``setup`` is missing.

    Notes
    -----
    The public code of [Li2023]_ converts images to 8 bits and rounds some scores to two decimals;
    this keeps every digit. Measures are this package's (means per pixel where the code sums).

    Examples
    --------
    >>> import numpy as np
    >>> flat = np.ones((48, 48))
    >>> flat[:, 1::2] = 3.0
    >>> level = multi_stride_map(flat, "std", 16, (8, 16), overlap="mean")
    >>> level.shape, float(level[20, 20])
    ((48, 48), 1.0)
    """
    row = find_measure(measure)
    strides = [*strides_px]
    if not strides:
        raise InputError("strides_px is empty: give at least one stride, in px.")
    for value, name in ((window_px, "window_px"), *((stride, "strides_px") for stride in strides)):
        _require_positive(value, name)
    if max(strides) > window_px:
        raise ShapeError(
            f"A stride of {max(strides)} px skips pixels between windows of {window_px} px: "
            "give strides_px no larger than window_px."
        )
    if overlap not in ("sum", "mean"):
        raise InputError(f"overlap must be 'sum' or 'mean', but came as {overlap!r}.")
    setup_options(row, setup)

    def map_planes(planes: Any) -> Any:
        size_y, size_x = planes.shape[-2:]
        best: Tensor | None = None
        for stride in strides:
            rows = Spans.truncated(size_y, window_px, stride)
            columns = Spans.truncated(size_x, window_px, stride)
            scores = window_scores(planes, row, rows, columns, setup=setup, device=device)
            spread = _spread(torch.as_tensor(scores), rows, columns, (size_y, size_x), overlap)
            best = spread if best is None else torch.maximum(best, spread)
        return best if isinstance(planes, Tensor) else cast(Tensor, best).numpy()

    return _keep_kind(images, map_planes)


def _as_pair(window_px: Any) -> tuple[int, int]:
    pair = tuple(window_px) if isinstance(window_px, Sequence) else (window_px, window_px)
    if len(pair) != 2:
        raise InputError(f"window_px must be one side or (y, x), but came as {window_px}.")
    for side in pair:
        _require_positive(side, "window_px")
    return pair


def _require_positive(value: Any, name: str) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise InputError(f"{name} must be a positive whole number of pixels, but came as {value}.")


def _keep_kind(images: Any, map_planes: Callable[[Any], Any]) -> Any:
    """Map NumPy or torch images, or what wraps them, and give back the kind that came."""
    if not hasattr(images, "ndim") or not hasattr(images, "dtype"):
        images = np.asarray(images)
    if images.ndim < 2:
        raise ShapeError(
            f"Images need at least two axes (y, x), but came with shape {tuple(images.shape)}."
        )
    kind = type(images).__module__.split(".")[0]
    if kind == "xarray":
        mapped = _keep_kind(images.data, map_planes)
        batch = {
            name: axis
            for name, axis in images.coords.items()
            if not {*axis.dims} & {*images.dims[-2:]}
        }
        return type(images)(mapped, dims=images.dims, coords=batch, name=images.name)
    if kind == "dask":
        whole = images.rechunk({images.ndim - 2: -1, images.ndim - 1: -1})
        probe = map_planes(np.zeros(images.shape[-2:], images.dtype))
        chunks = (*whole.chunks[:-2], *((size,) for size in probe.shape))
        return whole.map_blocks(map_planes, dtype=probe.dtype, chunks=chunks, meta=probe[:0, :0])
    return map_planes(images if isinstance(images, Tensor) else np.asarray(images))


def window_scores(
    images: Any,
    row: Measure,
    rows: Spans,
    columns: Spans,
    *,
    setup: OpticalSetup | None,
    device: str,
) -> Any:
    """Score every window of a lattice, by the fastest engine that gives the same answer."""
    if not isinstance(images, Tensor):
        if pick_device(device).type != "cpu":
            tensor = as_float_tensor(images, device=pick_device(device))
            return _tensor_scores(tensor, row, rows, columns, setup).cpu().numpy()
        return _array_scores(images, row, rows, columns, setup).numpy()
    if images.device.type == "cpu" and not images.requires_grad:
        return _array_scores(images.numpy(), row, rows, columns, setup)
    return _tensor_scores(as_float_tensor(images), row, rows, columns, setup)


def _array_scores(
    images: NDArray[Any], row: Measure, rows: Spans, columns: Spans, setup: OpticalSetup | None
) -> Tensor:
    local = row.local_measure
    fast = import_module("parfocal.measures.fast")  # here, because numba is slow to import
    pitch_px = 1 if local is None else local.pitch_px
    if row.name in fast.MEASURES and _starts_on(rows, columns, pitch_px):
        if images.dtype.name not in fast.DTYPES or not images.dtype.isnative:
            images = as_float_tensor(images).numpy()
        planes = images.reshape(-1, *images.shape[-2:])
        means = fast.window_means(planes, row.name, rows, columns)
        if means is not None:
            dtype = torch.float64 if images.dtype == np.float64 else torch.float32
            scores = _finished(means, local, dtype)
            return scores.reshape(*images.shape[:-2], len(rows), len(columns))
    return _tensor_scores(as_float_tensor(images), row, rows, columns, setup)


def _finished(
    means: Float[np.ndarray, "k n j i"], local: LocalMeasure | None, dtype: torch.dtype
) -> Float[Tensor, "n j i"]:
    """Scores from means; those of a small map few enough at a time for one thread.

    Starting torch's threads for so little, and their waiting in turning loops afterwards, would
    cost more than the whole map.
    """
    scores = torch.empty(means.shape[1:], dtype=dtype)
    flat, own = torch.from_numpy(np.ascontiguousarray(means)).flatten(1), scores.flatten()
    step = (TORCH_GRAIN - 1) // len(flat) if len(own) < SMALL_MAP else len(own)
    for first in range(0, len(own), step):
        part = flat[:, first : first + step]
        own[first : first + step] = part[0] if local is None else local.finish(tuple(part))
    return scores


def _tensor_scores(
    images: Tensor, row: Measure, rows: Spans, columns: Spans, setup: OpticalSetup | None
) -> Tensor:
    local = row.local_measure
    if local is None:
        return _cropped(images, row, rows, columns, setup)
    if _starts_on(rows, columns, local.pitch_px):
        return local_scores(images, local, rows, columns)
    # Windows that start between the points of a decimated grid have a grid of their own.
    scores = images.new_empty((*images.shape[:-2], len(rows), len(columns)))
    for y in range(local.pitch_px):
        for x in range(local.pitch_px):
            js = np.flatnonzero(rows.starts % local.pitch_px == y)
            is_ = np.flatnonzero(columns.starts % local.pitch_px == x)
            if len(js) and len(is_):
                own = rows.take(js, shift_px=y), columns.take(is_, shift_px=x)
                scores[..., torch.from_numpy(js)[:, None], torch.from_numpy(is_)] = local_scores(
                    images[..., y:, x:], local, *own
                )
    return scores


def _starts_on(rows: Spans, columns: Spans, pitch_px: int) -> bool:
    return not (np.any(rows.starts % pitch_px) or np.any(columns.starts % pitch_px))


def _cropped(
    images: Tensor, row: Measure, rows: Spans, columns: Spans, setup: OpticalSetup | None
) -> Tensor:
    if row.name != "entropy":
        kernel = partial(row.function, **setup_options(row, setup))
        return crop_scores(images, kernel, rows, columns, least_px=row.least_px)
    planes = images.reshape(-1, *images.shape[-2:])
    scores = [
        crop_scores(plane, partial(row.function, range_counts=grey_range(plane)), rows, columns)
        for plane in planes
    ]
    return torch.stack(scores).reshape(*images.shape[:-2], len(rows), len(columns))


def grey_range(plane: Float[Tensor, "y x"]) -> tuple[float, float]:
    """Least and largest finite pixel: the range of grey levels that all windows share."""
    finite = plane.detach()[torch.isfinite(plane)]
    if finite.numel() == 0:
        return 0.0, 1.0
    low, high = (float(value) for value in finite.aminmax())
    return (low, high) if high > low else (low, low + 1.0)


def _spread(
    scores: Tensor, rows: Spans, columns: Spans, size_px: tuple[int, int], overlap: str
) -> Tensor:
    """Add each window's score to all of its pixels; O(pixels)."""
    scored = ~torch.isnan(scores)
    total = _cover(torch.where(scored, scores, 0.0), rows, columns, size_px)
    if overlap == "mean":
        total = total / _cover(scored.to(scores.dtype), rows, columns, size_px).clamp(min=1.0)
    return total.to(scores.dtype)


def _cover(values: Tensor, rows: Spans, columns: Spans, size_px: tuple[int, int]) -> Tensor:
    for axis, spans, size in ((-2, rows, size_px[0]), (-1, columns, size_px[1])):
        # The windows over a pixel are neighbours: first to last, by two searches.
        pixels = np.arange(size)
        first = np.searchsorted(spans.stops, pixels, side="right")
        last = np.searchsorted(spans.starts, pixels, side="right")
        running = values.cumsum(axis, dtype=torch.float64)
        running = torch.cat([torch.zeros_like(running.narrow(axis, 0, 1)), running], dim=axis)
        ends = (torch.from_numpy(end).to(values.device) for end in (last, first))
        after, before = (running.index_select(axis, end) for end in ends)
        values = after - before
    return values
