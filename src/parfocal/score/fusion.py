"""Extended depth of field: one image in which every pixel comes from the plane in focus there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from parfocal.core.device import pick_device
from parfocal.core.errors import InputError, MetadataError, ShapeError, UnknownNameError
from parfocal.core.results import Fused
from parfocal.core.stack import FocalStack
from parfocal.score.selection import (
    PlaneChoice,
    choose_by_variance,
    choose_by_wavelets,
    fill_uncertain,
)

METHODS = ("complex-wavelets", "variance")

_MOST_LEVELS = 4
_LEAST_CORE_PX = 256
# Working memory of a tile: bytes a pixel, for each plane and besides.
_BYTES_A_PLANE, _BYTES_A_PIXEL = 16, 160


def as_focal_stack(images: Any) -> FocalStack:
    """Take a FocalStack as it is, and an array (z, y, x) as a stack whose z is unknown.

    Examples
    --------
    >>> as_focal_stack(np.zeros((3, 8, 8))).z_known
    False
    """
    if isinstance(images, FocalStack):
        return images
    if isinstance(images, Tensor):
        images = images.detach().cpu()
        images = images.float().numpy() if images.dtype == torch.bfloat16 else images.numpy()
    elif not hasattr(images, "shape"):
        images = np.asarray(images)
    planes = images.shape[0] if len(images.shape) else 0
    return FocalStack(images=images, z_um=np.arange(float(planes)), z_known=False)


def fuse(
    stack: Any,
    *,
    method: str = "complex-wavelets",
    reassign: bool = True,
    window_px: int = 17,
    memory_mb: int = 512,
    device: str = "cpu",
) -> Fused:
    """Fuse a focal stack into one image with extended depth of field [Forster2004]_.

    Parameters
    ----------
    stack
        A FocalStack, or an array (z, y, x) of NumPy, torch, dask or xarray.
    method
        "complex-wavelets": selection of the largest modulus in a dual-tree complex wavelet
        transform, agreed between subbands and between neighbours, with one consistent source
        plane for each place. "variance": the plane with the largest variance in
        a window, the plain baseline.
    reassign
        Replace each fused grey value by the nearest one among the consistent source plane and
        its two neighbours, so that every pixel is a pixel of the stack and ``index`` says of which
        plane. False keeps the wavelet image; ``index`` is then the consistent plane. No effect
        on "variance".
    window_px
        Window of "variance".
    memory_mb
        Working memory; larger images are fused in overlapping tiles, which changes about 1 pixel
        in 2000 by a plane. The result comes on top.
    device
        "cpu", "cuda" or "auto".

    Returns
    -------
    The image in counts of the input, float32, with the source plane and its z of each pixel.
    A stack of one plane gives that plane, index 0.

    Raises
    ------
    InputError
        If a plane holds NaN or infinite values.
    UnknownNameError
        If there is no such method.
    ShapeError
        If the array is not (z, y, x).

    Notes
    -----
    Where the planes differ no more than noise does, the source plane is a smooth surface through
    the trusted places around, and the middle plane where there is none in the whole image. Any
    measure of local sharpness places the halo of a defocused bright object at a wrong height.

    Laws: every pixel of a reassigned image is a pixel of the stack at its ``index``; reversing
    the planes reverses the index; offset-free, gain-linear.

    Examples
    --------
    >>> generator = np.random.default_rng(0)
    >>> sharp = generator.poisson(50.0, (64, 64)).astype(np.float32)
    >>> planes = np.full((2, 64, 64), 50.0, dtype=np.float32)
    >>> planes[0, :, :32], planes[1, :, 32:] = sharp[:, :32], sharp[:, 32:]
    >>> fused = fuse(planes)
    >>> int(fused.index[:, :24].max()), int(fused.index[:, 40:].min())
    (0, 1)
    """
    if method not in METHODS:
        raise UnknownNameError("fusion method", method, METHODS)
    if window_px < 2 or memory_mb < 1:
        raise InputError(
            f"window_px is at least 2 and memory_mb at least 1; "
            f"they came as {window_px} and {memory_mb}."
        )
    where = pick_device(device)
    field = as_focal_stack(stack)
    if field.shape[0] == 1:
        only = _read_plane(field, 0, slice(None), slice(None)).numpy().astype(np.float32)
        return _as_result(field, only, np.zeros(only.shape, dtype=np.int32), method)
    layout = _lay_tiles(field, method, window_px, memory_mb * 2**20)
    index, weight, image = _choose_planes(field, layout, memory_mb * 2**20, where)
    if layout.levels:
        index = fill_uncertain(index, weight, default=(field.shape[0] - 1) // 2)
        _, size_y, size_x = field.shape
        index = index.repeat_interleave(2, 0).repeat_interleave(2, 1)[:size_y, :size_x]
    source = index.to(torch.int32).contiguous()
    if layout.levels and reassign:
        _reassign(field, source, image, memory_mb * 2**20)
    return _as_result(field, image.numpy(), source.numpy(), method)


def apply_fusion(fused: Fused, other: Any, *, memory_mb: int = 512) -> Fused:
    """Build another channel's image from the same source planes.

    Parameters
    ----------
    fused
        The result of ``fuse`` on one channel.
    other
        The other channel's stack of the same field: a FocalStack or an array (z, y, x).
    memory_mb
        Working memory; the result comes on top.

    Raises
    ------
    ShapeError
        If the images are of another size, or hold fewer planes than the map refers to.
    MetadataError
        If both z are known and differ by more than half a step.

    Examples
    --------
    >>> planes = np.stack([np.zeros((16, 16)), np.eye(16)])
    >>> fused = fuse(planes, method="variance", window_px=3)
    >>> float(apply_fusion(fused, planes + 7.0).image[5, 5])
    8.0
    """
    field = as_focal_stack(other)
    _require_same_field(fused, field)
    source = torch.from_numpy(fused.index)
    image = torch.empty(source.shape, dtype=torch.float32)
    for rows in _bands(field, memory_mb * 2**20):
        for z in torch.unique(source[rows]).tolist():
            mask = source[rows] == z
            image[rows][mask] = _read_plane(field, z, rows, slice(None))[mask].float()
    return _as_result(field, image.numpy(), fused.index, fused.method)


@dataclass(frozen=True)
class _Layout:
    """How the field is cut: cores without overlap, a halo around them, a rim beyond the image."""

    levels: int
    window_px: int
    core_px: int
    halo_px: int
    rim_px: int

    @property
    def grain_px(self) -> int:
        """Tiles start and end on multiples of this."""
        return 1 << self.levels


def _lay_tiles(field: FocalStack, method: str, window_px: int, budget: int) -> _Layout:
    """Largest cores that the budget allows; one that covers the field needs no halo."""
    planes, size_y, size_x = field.shape
    levels, halo, rim = 0, window_px, window_px // 2 + 1
    if method == "complex-wavelets":
        fitting = int(np.log2(max(min(size_y, size_x), 8) / 4))
        levels = min(_MOST_LEVELS, fitting)
        halo, rim = 6 << levels, 4 << levels
    side = int(np.sqrt(budget / (planes * _BYTES_A_PLANE + _BYTES_A_PIXEL)))
    if (size_y + 2 * rim) * (size_x + 2 * rim) <= side * side:
        core = max(size_y, size_x)
    else:
        core = max(side - 2 * halo, _LEAST_CORE_PX) >> levels << levels
    return _Layout(levels, window_px, core, halo, rim)


def _choose_planes(
    field: FocalStack, layout: _Layout, budget: int, device: torch.device
) -> tuple[Int[Tensor, "y2 x2"], Float[Tensor, "y2 x2"], Float[Tensor, "y x"]]:
    """Index, weight and fused image of the whole field, tile by tile."""
    _, size_y, size_x = field.shape
    pitch = 2 if layout.levels else 1
    lattice = (-(-size_y // pitch), -(-size_x // pitch))
    index = torch.empty(lattice, dtype=torch.int32)
    weight = torch.empty(lattice, dtype=torch.float32)
    image = torch.empty((size_y, size_x), dtype=torch.float32)
    for top in range(0, size_y, layout.core_px):
        for left in range(0, size_x, layout.core_px):
            rows, first_y = _reflected(top, size_y, layout)
            columns, first_x = _reflected(left, size_x, layout)
            choice = _choose_in_tile(field, layout, (rows, columns), budget, device)
            y, x = top - first_y, left - first_x
            tile_y, tile_x = min(layout.core_px, size_y - top), min(layout.core_px, size_x - left)
            image[top : top + tile_y, left : left + tile_x] = choice.image[
                y : y + tile_y, x : x + tile_x
            ]
            low_y, low_x = -(-tile_y // pitch), -(-tile_x // pitch)
            y, x, at_y, at_x = (value // pitch for value in (y, x, top, left))
            core = slice(y, y + low_y), slice(x, x + low_x)
            index[at_y : at_y + low_y, at_x : at_x + low_x] = choice.index[core]
            weight[at_y : at_y + low_y, at_x : at_x + low_x] = choice.weight[core]
    return index, weight, image


def _choose_in_tile(
    field: FocalStack,
    layout: _Layout,
    places: tuple[NDArray[np.int64], NDArray[np.int64]],
    budget: int,
    device: torch.device,
) -> PlaneChoice:
    """Read one tile of every plane, reflected beyond the image, and choose."""
    rows, columns = places
    top, left = int(rows.min()), int(columns.min())
    block = slice(top, int(rows.max()) + 1), slice(left, int(columns.max()) + 1)
    pick_y, pick_x = torch.from_numpy(rows - top)[:, None], torch.from_numpy(columns - left)
    planes = torch.empty((field.shape[0], len(rows), len(columns)), dtype=torch.float32)
    for z in range(field.shape[0]):
        planes[z] = _read_plane(field, z, *block)[pick_y, pick_x]
    planes = planes.to(device)
    if layout.levels:
        return choose_by_wavelets(planes, levels=layout.levels, keep_bytes=budget // 2)
    return choose_by_variance(planes, window_px=layout.window_px)


def _reflected(start: int, size: int, layout: _Layout) -> tuple[NDArray[np.int64], int]:
    """Rows (or columns) of a tile, folded back at the image's border, and where they begin."""
    grain = layout.grain_px
    end = -(-size // grain) * grain + layout.rim_px
    first = max(start - layout.halo_px, -layout.rim_px)
    last = min(start + layout.core_px + layout.halo_px, end)
    last = first + -(-(last - first) // grain) * grain
    period = max(2 * (size - 1), 1)
    places = np.arange(first, last, dtype=np.int64) % period
    return np.minimum(places, period - places) if size > 1 else np.zeros_like(places), first


def _reassign(field: FocalStack, source: Tensor, image: Tensor, budget: int) -> None:
    """Move each pixel, in place, to the nearest grey value of its plane and the two beside it."""
    for rows in _bands(field, budget):
        consistent, wish = source[rows].clone(), image[rows].clone()
        nearest = torch.full_like(wish, torch.inf)
        low = max(int(consistent.min()) - 1, 0)
        high = min(int(consistent.max()) + 1, field.shape[0] - 1)
        for z in range(low, high + 1):
            plane = _read_plane(field, z, rows, slice(None)).float()
            distance = (plane - wish).abs()
            beside = (consistent - z).abs() <= 1
            wins = beside & (distance < nearest)
            wins |= (consistent == z) & (distance <= nearest)  # a tie keeps the consistent plane
            torch.where(wins, distance, nearest, out=nearest)
            image[rows] = torch.where(wins, plane, image[rows])
            source[rows] = torch.where(wins, z, source[rows]).to(source.dtype)


def _bands(field: FocalStack, budget: int) -> Iterator[slice]:
    height = max(1, budget // (48 * field.shape[2]))
    return field.row_bands(height)


def _read_plane(field: FocalStack, z: int, rows: slice, columns: slice) -> Tensor:
    plane = field.read(z, rows, columns)
    if not bool(torch.isfinite(plane).all()):
        raise InputError(
            f"{field.source}: plane {z} holds NaN or infinite values; replace them before fusing."
        )
    return plane


def _require_same_field(fused: Fused, field: FocalStack) -> None:
    planes, *sizes = field.shape
    if tuple(sizes) != fused.shape:
        raise ShapeError(
            f"{field.source}: images of {sizes[0]} x {sizes[1]} px cannot follow a fusion map of "
            f"{fused.shape[0]} x {fused.shape[1]} px; give the other channel of the same field."
        )
    if int(fused.index.max()) >= planes:
        raise ShapeError(
            f"{field.source}: {planes} planes cannot follow a fusion map that refers to plane "
            f"{int(fused.index.max())}; give the other channel of the same stack."
        )
    if fused.z_um is None or not field.z_known:
        return
    apart = float(np.abs(field.z_um[fused.index] - fused.z_um).max())
    if apart > 0.5 * (field.z_step_um or np.inf):
        raise MetadataError(
            f"{field.source}: its planes lie up to {apart:g} um from those of the fusion map; "
            "give the other channel of the same stack, with the planes in the same order."
        )


def _as_result(field: FocalStack, image: NDArray[Any], index: NDArray[Any], method: str) -> Fused:
    z_um = field.z_um[index] if field.z_known else None
    return Fused(image=image, index=index, z_um=z_um, method=method)
