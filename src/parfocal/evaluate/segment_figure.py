"""Figures of masks: contours over planes, coverage through z, heights, projections, the volume."""

from __future__ import annotations

import base64
import io
import math
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.image import imsave
from matplotlib.ticker import MaxNLocator
from mpl_toolkits.mplot3d.art3d import Poly3DCollection
from numpy.typing import NDArray
from scipy import ndimage

from parfocal.core.masks import FocusMasks
from parfocal.core.stack import FocalStack
from parfocal.evaluate.curves import BOTTOM, HEIGHT, TOP, WIDTH, Axes, frame, gradient_css
from parfocal.evaluate.pictures import contrast_limits, grey_jpeg, scale_bar, shrink
from parfocal.evaluate.segment_fields import SegmentRecord, thinned
from parfocal.evaluate.wording import decimals_for
from parfocal.segment.mesh import mesh_of
from parfocal.segment.surface import FocusHeight, plane_widths

CONTOUR = "#ffb000"
SHOWN_PX = 560
LINE_PX = 1100
"""About the width of the picture that holds the contour, so that its line is thin."""
VOLUME_PX, VOLUME_FACES = 110, 40_000
FEW_PLANES = 5
MOST_LIFT = 4.0
"""How many times a dim plane is brightened, at most, against the brightest."""
SQUASHED = 0.22
"""Least depth of the drawn volume over its width; flatter ones are stretched, and say so."""


@dataclass(frozen=True, eq=False)
class Drawn:
    """A field as small as its pictures are, and the grey values that its planes span."""

    stack: FocalStack
    masks: FocusMasks
    limits: tuple[float, float]

    @property
    def pixel_um(self) -> float | None:
        """Of the small field."""
        return self.stack.pixel_um

    @property
    def sides(self) -> tuple[int, int]:
        """Sizes (y, x)."""
        return self.stack.shape[1], self.stack.shape[2]

    def limits_for(self, image: Float[np.ndarray, "y x"]) -> tuple[float, float]:
        """Between its own grey values, but for what little a plane of noise would span."""
        low, high = contrast_limits(image)
        least = (self.limits[1] - self.limits[0]) / MOST_LIFT
        return low, max(high, low + least)


def shown_planes(record: SegmentRecord) -> tuple[int, ...]:
    """A handful of planes: the fullest, the outer ones half as full, and those beyond the focus.

    What lies just beyond shows a reader what the masks leave out.
    """
    count = record.shape[0]
    peak = record.peak
    if peak is None:
        return tuple(sorted({0, count // 2, count - 1}))
    first, last = record.planes[0], record.planes[-1]
    half = np.flatnonzero(np.array(record.coverage) >= record.coverage[peak] / 2).tolist()
    wanted = [peak, half[0], half[-1], max(0, first - 1), min(count - 1, last + 1), 0, count - 1]
    wanted += np.linspace(0, count - 1, FEW_PLANES).round().astype(int).tolist()
    return tuple(sorted(list(dict.fromkeys(wanted))[:FEW_PLANES]))


def _png(pixels: NDArray[Any]) -> str:
    buffer = io.BytesIO()
    imsave(buffer, pixels, format="png", pil_kwargs={"optimize": True})
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def outline_png(mask: Bool[np.ndarray, "y x"]) -> str:
    """The border of a mask as thin lines on nothing, as an inline PNG of the mask's proportions."""
    times = max(1, round(LINE_PX / max(mask.shape)))
    large = mask.repeat(times, axis=0).repeat(times, axis=1)
    inner = ndimage.binary_erosion(large, iterations=2 if times > 1 else 1, border_value=1)
    pixels = np.zeros((*large.shape, 4), dtype=np.uint8)
    pixels[large & ~inner] = [*(int(CONTOUR[i : i + 2], 16) for i in (1, 3, 5)), 255]
    return _png(pixels)


def _frame(
    images: str, sides: tuple[int, int], pixel_um: float | None, *, is_pale: bool = False
) -> str:
    """Pictures one on the other in the proportions of the field, with a scale bar."""
    bar = ""
    if pixel_um is not None:
        length_um, share = scale_bar(pixel_um, sides[1])
        ink = ";color:var(--ink);border-color:var(--ink);text-shadow:none;filter:none"
        bar = (
            f'<div class="bar" style="width:{100 * share:.2f}%{ink if is_pale else ""}">'
            f"{length_um:g} µm</div>"
        )
    proportions = f"aspect-ratio:{sides[1]}/{sides[0]}"
    return f'<div class="frame" style="{proportions}">{images}{bar}</div>'


def plane_frames(drawn: Drawn, plane: int) -> tuple[str, str]:
    """One plane, plain and with the contour of its mask."""
    image = shrink(np.asarray(drawn.stack.read_counts(plane), dtype=np.float64), SHOWN_PX)
    grey = f'<img alt="Plane {plane}" src="{grey_jpeg(image, drawn.limits_for(image))}">'
    mask = drawn.masks.masks[plane]
    line = f'<img alt="Contour of what is in focus" src="{outline_png(mask)}">'
    both = grey + (line if mask.any() else "")
    sides, pixel_um = drawn.sides, drawn.pixel_um
    return _frame(grey, sides, pixel_um), _frame(both, sides, pixel_um)


def limits_of(stack: FocalStack, planes: tuple[int, ...]) -> tuple[float, float]:
    """Grey values that the planes span together."""
    return contrast_limits(
        *(shrink(np.asarray(stack.read_counts(p), dtype=np.float64), 256) for p in planes)
    )


def coverage_svg(record: SegmentRecord, shown: tuple[int, ...]) -> str:
    """Share of each plane that is in focus, over z; the planes that are shown are marked."""
    z, shares = record.z_um, [100 * share for share in record.coverage]
    axes = Axes((min(z), max(z)), (0.0, 1.06 * max(*shares, 1e-3)))
    label = "stage z (µm)" if record.z_known else "plane (counted from 0)"
    parts = [
        f'<svg class="curve" viewBox="0 0 {WIDTH:g} {HEIGHT:g}" role="img" '
        f'aria-label="Coverage through z of {escape(record.name)}">',
        *frame(axes, label, "in focus (% of the plane)"),
    ]
    if record.height is not None:
        low, high = (axes.x(end) for end in record.height)
        parts.append(
            f'<rect class="interval" x="{low:.1f}" y="{TOP}" width="{max(1.0, high - low):.1f}" '
            f'height="{HEIGHT - TOP - BOTTOM}"/>'
        )
    order = np.argsort(z)
    line = axes.points([z[i] for i in order], [shares[i] for i in order])
    parts.append(f'<polyline class="line" points="{line}"/>')
    for plane, (a, b) in enumerate(zip(z, shares, strict=True)):
        kind, radius = ("best", 5.0) if plane in shown else ("dot", 2.6)
        parts.append(
            f'<circle class="{kind}" cx="{axes.x(a):.1f}" cy="{axes.y(b):.1f}" r="{radius}">'
            f"<title>plane {plane}: {b:.2f} %</title></circle>"
        )
    return "".join([*parts, "</svg>"])


def height_range(height: FocusHeight, step: float) -> tuple[float, float] | None:
    """Ends of the colour scale: nearly all heights, and one step of the planes at least."""
    known = height.z_um[np.isfinite(height.z_um)]
    if not known.size:
        return None
    low, high = (float(end) for end in np.percentile(known, [1.0, 99.0]))
    grow = max(0.0, step - (high - low)) / 2
    return low - grow, high + grow


def height_frame(height: FocusHeight, drawn: Drawn, scale: tuple[float, float]) -> str:
    """Height per pixel in colour, hatched where nothing is in focus, with both scales."""
    low, high = scale
    share = (np.nan_to_num(height.z_um, nan=low) - low) / (high - low or 1.0)
    pixels = colormaps["viridis"](np.clip(share, 0.0, 1.0))
    pixels[..., 3] = np.isfinite(height.z_um)
    picture = f'<img class="blocky" alt="Height map" src="{_png(pixels)}">'
    digits = decimals_for(high - low)
    unit = "stage z (µm)" if height.z_known else "plane"
    return (
        f"{_frame(picture, drawn.sides, drawn.pixel_um, is_pale=True)}"
        f'<div class="ramp" style="background:{gradient_css()}"></div><div class="ends">'
        f"<span>{low:.{digits}f}</span><span>{unit}</span><span>{high:.{digits}f}</span></div>"
    )


def projection_frames(
    drawn: Drawn, sectioned: Float[np.ndarray, "y x"]
) -> tuple[str, str, tuple[float, float]]:
    """The sectioned and the plain maximum projection between the same grey values."""
    whole = np.maximum.reduce([drawn.stack.read_counts(p) for p in range(drawn.stack.shape[0])])
    plain = shrink(np.asarray(whole, dtype=np.float64), SHOWN_PX)
    limits = contrast_limits(plain)
    cut = shrink(sectioned.astype(np.float64), SHOWN_PX)
    frames = []
    for name, image in (("Sectioned", cut), ("Maximum", plain)):
        picture = f'<img alt="{name} projection" src="{grey_jpeg(image, limits)}">'
        frames.append(_frame(picture, drawn.sides, drawn.pixel_um))
    return frames[0], frames[1], limits


def volume_png(masks: FocusMasks, scale: tuple[float, float]) -> tuple[str, str]:
    """The surface of what is in focus, drawn from above and aside, and what its axes are.

    Colour is height, as in the height map. The volume is thinned to keep the drawing small.
    """
    small = thinned(masks, math.ceil(max(masks.shape[1:]) / VOLUME_PX))
    pixel = small.pixel_um if small.z_known and small.pixel_um is not None else 1.0
    volume = small.masks if small.probabilities is None else small.probabilities
    mesh = mesh_of(volume, small.z_um, pixel)
    figure = Figure(figsize=(6.4, 4.6), dpi=110)
    FigureCanvasAgg(figure)
    axes: Any = figure.add_axes((-0.04, -0.02, 1.06, 1.06), projection="3d")
    corners = mesh.vertices_um[mesh.faces]
    if len(corners) > VOLUME_FACES:
        small_ = thinned(small, math.ceil(math.sqrt(len(corners) / VOLUME_FACES)))
        return volume_png(small_, scale)
    if len(corners):
        axes.add_collection3d(_shaded(corners, scale))
    _, size_y, size_x = small.shape
    half = float(plane_widths(small.z_um).max()) / 2  # a plane is as thick as its step
    z_low, z_high = float(small.z_um.min()) - half, float(small.z_um.max()) + half
    wide, deep = pixel * max(size_x, size_y), z_high - z_low
    true_scale = small.z_known and small.pixel_um is not None
    stretch = max(1.0, SQUASHED * wide / deep) if true_scale else 0.4 * wide / deep
    axes.set(xlim=(0, pixel * size_x), ylim=(pixel * size_y, 0), zlim=(z_low, z_high))
    axes.set_box_aspect((pixel * size_x, pixel * size_y, stretch * deep), zoom=1.15)
    axes.view_init(elev=28, azim=-62)
    units = ("x (µm)", "y (µm)", "z (µm)") if true_scale else ("x (px)", "y (px)", "plane")
    axes.set(xlabel=units[0], ylabel=units[1])
    axes.set_zlabel(units[2])
    axes.tick_params(labelsize=7)
    axes.zaxis.set_major_locator(MaxNLocator(3))
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", facecolor="white")
    text = base64.b64encode(buffer.getvalue()).decode("ascii")
    note = "z not to scale" if not true_scale else ""
    if true_scale and stretch > 1.0:
        note = f"z stretched {stretch:.2g} times"
    return f'<img alt="Volume in focus" src="data:image/png;base64,{text}">', note


def _shaded(corners: Float[np.ndarray, "face 3 3"], scale: tuple[float, float]) -> Any:
    """Triangles coloured by height and lit from the upper left."""
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals /= np.linalg.norm(normals, axis=1, keepdims=True) + 1e-12
    light = np.array([-0.4, -0.5, 0.77])
    bright = 0.55 + 0.45 * (normals @ light).clip(-1, 1)
    colours = colormaps["viridis"](Normalize(*scale, clip=True)(corners[:, :, 2].mean(1)))
    colours[:, :3] *= bright[:, None].clip(0.25, 1.0)
    return Poly3DCollection(corners, facecolors=colours, edgecolors="none", antialiased=False)
