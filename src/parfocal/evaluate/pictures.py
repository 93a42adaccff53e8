"""Images, tile maps and depth maps as small inline pictures."""

from __future__ import annotations

import base64
import io
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib import colormaps
from matplotlib.image import imsave
from numpy.typing import NDArray

from parfocal.core.results import DepthMap, FocusEstimate, Fused
from parfocal.core.stack import FocalStack
from parfocal.evaluate.fields import FieldRecord
from parfocal.evaluate.wording import decimals_for

MOST_PX = 600
WHOLE_PLANE_PX = 16_000_000
LEAST_CONFIDENCE = 0.05


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One inline image and what stands around it.

    ``shape`` is the field's own size (y, x), which sets the proportions on the page;
    ``scale`` the (low, high) of its colour bar; ``pixel_um`` draws a scale bar.
    """

    title: str
    data_uri: str
    shape: tuple[int, int]
    caption: str = ""
    unit: str = ""
    scale: tuple[float, float] | None = None
    pixel_um: float | None = None
    blocky: bool = False


def _encode(pixels: NDArray[Any], *, kind: str) -> str:
    buffer = io.BytesIO()
    if kind == "jpeg":
        imsave(
            buffer, pixels, format="jpeg", cmap="gray", vmin=0, vmax=1, pil_kwargs={"quality": 82}
        )
    else:
        imsave(buffer, pixels, format="png", pil_kwargs={"optimize": True})
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def grey_jpeg(image: Float[np.ndarray, "y x"], limits: tuple[float, float]) -> str:
    """An image as an inline JPEG, stretched between two counts."""
    return _encode(stretch(image, limits), kind="jpeg")


def shrink(image: Float[np.ndarray, "y x"], most_px: int = MOST_PX) -> Float[np.ndarray, "v u"]:
    """Average square blocks of pixels until neither side exceeds ``most_px``; NaN does not count.

    Examples
    --------
    >>> shrink(np.arange(8.0).reshape(2, 4), most_px=2)
    array([[2.5, 4.5]])
    """
    factor = math.ceil(max(image.shape) / most_px)
    if factor <= 1:
        return image
    rows, columns = (max(1, size // factor) for size in image.shape)
    step_y, step_x = (min(factor, size) for size in image.shape)
    cut = image[: rows * step_y, : columns * step_x]
    blocks = cut.reshape(rows, step_y, columns, step_x)
    known = np.isfinite(blocks)
    total = np.where(known, blocks, 0.0).sum(axis=(1, 3))
    count = known.sum(axis=(1, 3))
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def stretch(image: Float[np.ndarray, "y x"], limits: tuple[float, float]) -> NDArray[np.float64]:
    """Map counts between two limits to 0 .. 1; NaN becomes 0."""
    low, high = limits
    scaled = (np.nan_to_num(image, nan=low) - low) / (high - low if high > low else 1.0)
    clipped: NDArray[np.float64] = np.clip(scaled, 0.0, 1.0)
    return clipped


def contrast_limits(*images: Float[np.ndarray, "y x"]) -> tuple[float, float]:
    """Counts between which most of the images lie (0.2 and 99.8 percent)."""
    values = np.concatenate([image[np.isfinite(image)].ravel() for image in images])
    if not len(values):
        return 0.0, 1.0
    low, high = np.percentile(values, [0.2, 99.8])
    return float(low), float(high)


def _read_small(stack: FocalStack, plane: int) -> Float[np.ndarray, "y x"]:
    """One plane, shrunk; a huge plane is read at every n-th pixel only."""
    _, size_y, size_x = stack.shape
    skip = max(1, math.isqrt(size_y * size_x // WHOLE_PLANE_PX))
    every = slice(None, None, skip)
    counts = stack.read_counts(plane, every, every)
    return shrink(np.asarray(counts, dtype=np.float64))


def plane_pictures(stack: FocalStack, estimate: FocusEstimate) -> list[Picture]:
    """The best plane; where there is none, the first, middle and last plane alike stretched."""
    size_z = stack.shape[0]
    if estimate.index is not None:
        chosen = {estimate.index: "Sharpest plane"}
    else:
        chosen = {0: "First plane", size_z // 2: "Middle plane", size_z - 1: "Last plane"}
    images = {plane: _read_small(stack, plane) for plane in chosen}
    limits = contrast_limits(*images.values())
    digits = decimals_for(stack.z_step_um)
    pictures = []
    for plane, image in images.items():
        place = f", z = {stack.z_um[plane]:.{digits}f} µm" if stack.z_known else ""
        pictures.append(
            Picture(
                title=chosen[plane],
                data_uri=_encode(stretch(image, limits), kind="jpeg"),
                shape=stack.shape[1:],
                caption=f"plane {plane} of {size_z}{place}",
                pixel_um=stack.pixel_um,
            )
        )
    return pictures


def fused_picture(fused: Fused, pixel_um: float | None) -> Picture:
    """The image with extended depth of field."""
    small = shrink(np.asarray(fused.image, dtype=np.float64))
    return Picture(
        title="Extended depth of field",
        data_uri=_encode(stretch(small, contrast_limits(small)), kind="jpeg"),
        shape=fused.shape,
        caption=f"all planes fused ({fused.method})",
        pixel_um=pixel_um,
    )


def _coloured(values: NDArray[Any], opacity: NDArray[Any], scale: tuple[float, float]) -> str:
    low, high = scale
    share = (np.nan_to_num(values, nan=low) - low) / (high - low if high > low else 1.0)
    coloured = colormaps["viridis"](np.clip(share, 0.0, 1.0))
    coloured[..., 3] = opacity
    return _encode(coloured, kind="png")


def sure_depth(depth: DepthMap, *, z_known: bool) -> NDArray[np.float64]:
    """Heights that the images bear out, in um or planes; NaN elsewhere."""
    height = np.asarray(depth.z_um if z_known else depth.index, dtype=np.float64)
    return np.where(np.nan_to_num(depth.confidence) >= LEAST_CONFIDENCE, height, np.nan)


def tile_heights(record: FieldRecord) -> NDArray[np.float64] | None:
    """Focus of the tiles that vote, NaN for the others; None without any."""
    tiles = record.estimate.tiles
    if tiles is None:
        return None
    values = np.where(tiles.weight > 0, tiles.z_um, np.nan)
    return values if np.isfinite(values).any() else None


def height_scale(
    record: FieldRecord, *heights: NDArray[np.float64] | None
) -> tuple[float, float] | None:
    """One colour scale for all maps of a field; None where nothing is known.

    It spans at least a depth of field, or a plane without optics, so that a flat field looks
    flat and not like its noise.
    """
    known = [values[np.isfinite(values)] for values in heights if values is not None]
    known = [values for values in known if len(values)]
    if not known:
        return None
    ends = np.array([np.percentile(values, [1.0, 99.0]) for values in known])
    low, high = float(ends[:, 0].min()), float(ends[:, 1].max())
    least = 1.0
    if record.z_known:
        least = record.z_step_um or 0.0
        if record.setup is not None:
            least = max(least, record.setup.depth_of_field_um)
    grow = max(0.0, least - (high - low)) / 2
    return low - grow, high + grow


def depth_picture(depth: DepthMap, record: FieldRecord, scale: tuple[float, float]) -> Picture:
    """The depth map, see-through where confidence is low."""
    sure = sure_depth(depth, z_known=record.z_known)
    small = shrink(sure)
    confidence = shrink(np.nan_to_num(np.asarray(depth.confidence, dtype=np.float64)))
    opacity = np.where(np.isfinite(small), np.clip(confidence, 0.0, 1.0), 0.0)
    return Picture(
        title="Depth map",
        data_uri=_coloured(small, opacity, scale),
        shape=(sure.shape[0], sure.shape[1]),
        caption=f"window {depth.window_px} px, {depth.measure}; fades to hatching "
        "where confidence falls to 0",
        unit="stage z (µm)" if record.z_known else "plane",
        scale=scale,
    )


def tile_picture(record: FieldRecord, scale: tuple[float, float]) -> Picture | None:
    """Focus of each tile; hatched where a tile has no say. None without tiles."""
    values, tiles = tile_heights(record), record.estimate.tiles
    if values is None or tiles is None:
        return None
    rows, columns = values.shape
    return Picture(
        title="Tile map",
        data_uri=_coloured(values, np.isfinite(values).astype(float), scale),
        shape=(rows * tiles.tile_px, columns * tiles.tile_px),
        caption=f"best focus of {int(np.isfinite(values).sum())} tiles of {tiles.tile_px} px; "
        "hatched: background, no vote",
        unit="stage z (µm)" if record.z_known else "plane",
        scale=scale,
        blocky=True,
    )


def scale_bar(pixel_um: float, size_x: int) -> tuple[float, float]:
    """Length of a round scale bar in um, and its share of the width, near a fifth.

    Examples
    --------
    >>> scale_bar(0.5, 1000)
    (100.0, 0.2)
    """
    width_um = pixel_um * size_x
    target = width_um / 5.0
    power = 10.0 ** math.floor(math.log10(target))
    length_um = max(m * power for m in (1.0, 2.0, 5.0) if m * power <= target * 1.0001)
    return length_um, length_um / width_um
