"""Scores of every window of a lattice, by torch: the engines behind focus maps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from parfocal.core.shapes import Images
from parfocal.measures.local import LocalMeasure

CHUNK_VALUES = 2**24
"""Most values that a chunk of windows or planes may hold at once (float64: 128 MiB)."""


@dataclass(frozen=True)
class Spans:
    """Where windows lie along one axis: image pixels ``starts[i]`` up to ``stops[i]``."""

    starts: NDArray[np.int64]
    stops: NDArray[np.int64]

    @classmethod
    def inside(cls, size_px: int, window_px: int, stride_px: int) -> Spans:
        """Whole windows only: n = (size - window) // stride + 1 of them."""
        starts = np.arange(0, size_px - window_px + 1, stride_px, dtype=np.int64)
        return cls(starts, starts + window_px)

    @classmethod
    def truncated(cls, size_px: int, window_px: int, stride_px: int) -> Spans:
        """A window at every multiple of the stride, cut off at the far border."""
        starts = np.arange(0, size_px, stride_px, dtype=np.int64)
        return cls(starts, np.minimum(starts + window_px, size_px))

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Length of each window, in px."""
        return self.stops - self.starts

    def take(self, chosen: NDArray[np.intp], *, shift_px: int = 0) -> Spans:
        """Some of the windows, as seen from ``shift_px`` further along the axis."""
        return Spans(self.starts[chosen] - shift_px, self.stops[chosen] - shift_px)

    def in_features(self, size_px: int, size_features: int, pitch_px: int) -> Spans:
        """The same windows in features of which an image of ``size_px`` has ``size_features``.

        A window owns only the features that are made from its own pixels alone.
        """
        lost = size_px // pitch_px - size_features
        starts = self.starts // pitch_px
        stops = starts + np.maximum(self.sizes // pitch_px - lost, 0)
        return Spans(np.minimum(starts, size_features), np.minimum(stops, size_features))


def local_scores(images: Images, local: LocalMeasure, rows: Spans, columns: Spans) -> Tensor:
    """Score every window of a lattice by a local measure; O(pixels) whatever the window.

    Window means of the features come from running sums in float64, first along x, then along y.
    Starts must be divisible by the measure's pitch.

    Returns
    -------
    (*batch, rows, columns) in the dtype of the images; NaN where a window is too small to hold
    one feature, or holds a pixel that is not finite.
    """
    batch, (size_y, size_x) = images.shape[:-2], images.shape[-2:]
    planes = images.reshape(-1, size_y, size_x)
    step = max(1, CHUNK_VALUES // (4 * size_y * size_x))
    parts = [_local_chunk(chunk, local, rows, columns) for chunk in torch.split(planes, step)]
    return torch.cat(parts).reshape(*batch, len(rows), len(columns))


def _local_chunk(planes: Tensor, local: LocalMeasure, rows: Spans, columns: Spans) -> Tensor:
    size_y, size_x = planes.shape[-2:]
    finite = torch.isfinite(planes)
    if not bool(finite.all()):
        # A running sum would carry one NaN to every later window; only its own may lose.
        spoilt = _window_sums((~finite).to(planes.dtype), rows, columns) > 0
        scores = _local_chunk(torch.where(finite, planes, 0.0), local, rows, columns)
        return torch.where(spoilt, torch.nan, scores)
    means = []
    for feature in local.features(planes):
        own_rows = rows.in_features(size_y, feature.shape[-2], local.pitch_px)
        own_columns = columns.in_features(size_x, feature.shape[-1], local.pitch_px)
        area = torch.from_numpy(np.outer(own_rows.sizes, own_columns.sizes)).to(feature.device)
        means.append(_window_sums(feature, own_rows, own_columns) / area)
    return local.finish(tuple(means)).to(planes.dtype)


def _window_sums(
    values: Float[Tensor, "n y x"], rows: Spans, columns: Spans
) -> Float[Tensor, "n rows columns"]:
    along_x = _span_sums(values, columns, axis=-1)
    return _span_sums(along_x, rows, axis=-2)


def _span_sums(values: Tensor, spans: Spans, *, axis: int) -> Tensor:
    running = values.cumsum(axis, dtype=torch.float64)
    first = torch.zeros_like(running.narrow(axis, 0, 1))
    running = torch.cat([first, running], dim=axis)
    starts = torch.from_numpy(spans.starts).to(values.device)
    stops = torch.from_numpy(spans.stops).to(values.device)
    return running.index_select(axis, stops) - running.index_select(axis, starts)


def crop_scores(
    images: Images,
    kernel: Callable[[Tensor], Tensor],
    rows: Spans,
    columns: Spans,
    *,
    least_px: int = 1,
) -> Tensor:
    """Score every window of a lattice by cutting it out: for measures that are not local.

    Windows of one size are scored together, in chunks of bounded memory; windows with a side
    under ``least_px`` come out as NaN.
    """
    scores = images.new_full((*images.shape[:-2], len(rows), len(columns)), torch.nan)
    planes = images.reshape(-1, *images.shape[-2:])
    flat = scores.view(-1, len(rows), len(columns))
    for number, plane in enumerate(planes):
        for js, is_ in _chunks_of_one_size(rows, columns, least_px):
            crops = _cut(plane, rows.take(js), columns.take(is_))
            place = number, torch.from_numpy(js)[:, None], torch.from_numpy(is_)[None, :]
            flat[place] = kernel(crops).to(flat.dtype)
    return scores


def _chunks_of_one_size(
    rows: Spans, columns: Spans, least_px: int
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    for height in np.unique(rows.sizes[rows.sizes >= least_px]):
        for width in np.unique(columns.sizes[columns.sizes >= least_px]):
            js = np.flatnonzero(rows.sizes == height)
            is_ = np.flatnonzero(columns.sizes == width)
            step = max(1, CHUNK_VALUES // (4 * int(height * width) * len(is_)))
            for first in range(0, len(js), step):
                yield js[first : first + step], is_


def _cut(plane: Float[Tensor, "y x"], rows: Spans, columns: Spans) -> Float[Tensor, "n m h w"]:
    ys = torch.from_numpy(rows.starts[:, None] + np.arange(rows.sizes[0])).to(plane.device)
    xs = torch.from_numpy(columns.starts[:, None] + np.arange(columns.sizes[0])).to(plane.device)
    return plane[ys[:, None, :, None], xs[None, :, None, :]]
